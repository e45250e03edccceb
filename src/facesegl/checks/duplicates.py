"""Photos that stand twice: pixel for pixel, or by their looks; and persons who stand on both sides of a split."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from facesegl.checks.dhash import ALIKE, BITS, nearest, nearest_before
from facesegl.checks.facts import Facts, PhotoFacts
from facesegl.checks.finding import Case, Finding, Severity
from facesegl.text import number

_IDENTICAL: dict[tuple[str, str], tuple[Severity, str]] = {
    ("test", "train"): ("warning", "Quote test_clean, which leaves them out; the plain test score has them in it."),
    ("val", "train"): (
        "error",
        "Take them out of one of the two: validation would measure memory, and choose the best checkpoint by it.",
    ),
    ("test", "val"): (
        "warning",
        "Take them out of val: what chooses the best checkpoint should not be what it is scored on.",
    ),
}
_PERSONS = {
    ("test", "train"): "Quote test_strict, which leaves these photos out, beside test_clean.",
    ("val", "train"): "Move each person to one side: validation is kinder to faces that were learnt from.",
    ("test", "val"): "Move each person to one side, if the test photos should be of strangers.",
}
_MANY, _MANY_OF = 20, 0.2  # photos, and their share: where more look alike, looks tell no copies
_OTHERWISE = "Take them out of one of the two."


def check_doubles(facts: Facts) -> Iterator[Finding]:
    """What stands twice, across splits before within them, and for sure before by its looks."""
    for later, earlier in facts.pairs_of_splits():
        yield from _identical_across(facts, later, earlier)
    for later, earlier in facts.pairs_of_splits():
        yield from _persons(facts, later, earlier)
    for later, earlier in facts.pairs_of_splits():
        yield from _alike_across(facts, later, earlier)
    for split in facts.splits:
        yield from _identical_within(facts, split)
        yield from _alike_within(facts, split)


def _identical_across(facts: Facts, later: str, earlier: str) -> Iterator[Finding]:
    first = _first_by_pixels(facts.fitting(earlier))
    pairs = [(photo, first[photo.pixels]) for photo in facts.fitting(later) if photo.pixels in first]
    if pairs:
        severity, remedy = _IDENTICAL.get((later, earlier), ("warning", _OTHERWISE))
        what = f"{number(len(pairs), f'{later} photo')} also in {earlier}, pixel for pixel"
        yield Finding(severity, "identical_across", what, remedy, [_same(*pair) for pair in pairs])


def _persons(facts: Facts, later: str, earlier: str) -> Iterator[Finding]:
    known = _by_group(facts.fitting(earlier))
    both = {group: photos for group, photos in _by_group(facts.fitting(later)).items() if group in known}
    if both:
        photos = sum(map(len, both.values()))
        yield Finding(
            "warning",
            "persons",
            f"{number(len(both), 'person')} in {later} and in {earlier}: {number(photos, f'{later} photo')}",
            _PERSONS.get((later, earlier), _OTHERWISE),
            [_person(group, {later: photos, earlier: known[group]}) for group, photos in both.items()],
        )


def _alike_across(facts: Facts, later: str, earlier: str) -> Iterator[Finding]:
    among = _telling(facts.fitting(earlier))
    known = {photo.pixels for photo in among}
    photos = [photo for photo in _telling(facts.fitting(later)) if photo.pixels not in known]
    if not (photos and among):
        return
    places, bits = nearest(_looks(photos), _looks(among))
    cases = _alike(photos, [among[place] for place in places], bits)
    if cases:
        yield _told(
            "warning",
            "alike_across",
            f"{number(len(cases), f'{later} photo')} that look{'s' * (len(cases) == 1)} like one in {earlier}",
            "Look at each pair: a copy belongs on one side only. No set leaves these out unless one person is known.",
            cases,
            len(photos),
        )


def _identical_within(facts: Facts, split: str) -> Iterator[Finding]:
    photos = facts.fitting(split)
    first = _first_by_pixels(photos)
    pairs = [(photo, first[photo.pixels]) for photo in photos if first[photo.pixels] is not photo]
    if pairs:
        yield Finding(
            "note",
            "identical_within",
            f"{number(len(pairs), 'photo')} in {split} more than once, pixel for pixel",
            "They count each time. They share a group, so no fold parts them; take one away if it was not meant.",
            [_same(*pair) for pair in pairs],
        )


def _alike_within(facts: Facts, split: str) -> Iterator[Finding]:
    photos = _telling(_first_by_pixels(facts.fitting(split)).values())
    if len(photos) < 2:
        return
    places, bits = nearest_before(_looks(photos))
    others = [photos[place] for place in places]
    strangers = np.array([a.sample.group != b.sample.group for a, b in zip(photos[1:], others, strict=True)])
    cases = _alike(photos[1:], others, np.where(strangers, bits, BITS))
    if cases:
        yield _told(
            "note",
            "alike_within",
            f"{number(len(cases), f'{split} photo')} that look{'s' * (len(cases) == 1)} like another in {split}",
            "Look at each pair: where it is one photo or one person, folds may part them unless they share a group.",
            cases,
            len(photos),
        )


def _told(severity: Severity, check: str, what: str, remedy: str, cases: Sequence[Case], photos: int) -> Finding:
    """What is said of photos that look alike; where a good part of them does, they are all of one kind."""
    if len(cases) > max(_MANY, _MANY_OF * photos):
        severity, remedy = "note", "Look at the nearest pairs; the others only say that the photos are all of one kind."
    return Finding(severity, check, f"{what} (a guess: {ALIKE} of {BITS} bits or fewer differ)", remedy, cases)


def _first_by_pixels(photos: Sequence[PhotoFacts]) -> dict[bytes, PhotoFacts]:
    first: dict[bytes, PhotoFacts] = {}
    for photo in photos:
        first.setdefault(photo.pixels, photo)
    return first


def _by_group(photos: Sequence[PhotoFacts]) -> dict[str, list[PhotoFacts]]:
    groups: dict[str, list[PhotoFacts]] = {}
    for photo in photos:
        groups.setdefault(photo.sample.group, []).append(photo)
    return groups


def _telling(photos: Iterable[PhotoFacts]) -> list[PhotoFacts]:
    """The photos that show something by which they could be told."""
    return [photo for photo in photos if photo.look is not None]


def _looks(photos: Sequence[PhotoFacts]) -> list[bytes]:
    return [photo.look or b"" for photo in photos]


def _same(photo: PhotoFacts, other: PhotoFacts) -> Case:
    """Two photos of the same pixels; class counts that differ are masks that differ."""
    otherwise = "" if (photo.class_pixels == other.class_pixels).all() else ", masked otherwise"
    return Case(f"{photo.sample.id} = {other.sample.id}{otherwise}", (photo.sample.id, other.sample.id))


def _person(group: str, photos: dict[str, list[PhotoFacts]]) -> Case:
    ids = [photo.sample.id for of_split in photos.values() for photo in of_split]
    if len(ids) == 2:
        return Case(" and ".join(ids), tuple(ids))
    numbers = " and ".join(f"{len(of_split)} in {split}" for split, of_split in photos.items())
    return Case(f"{group}: {numbers}", tuple(ids))


def _alike(photos: Sequence[PhotoFacts], others: Sequence[PhotoFacts], bits: np.ndarray) -> list[Case]:
    """Pairs of photos that look alike, those first that differ in the fewest of `bits` (N,)."""
    cases = []
    for place in np.argsort(bits, kind="stable")[: int((bits <= ALIKE).sum())]:
        photo, other = photos[place].sample, others[place].sample
        known = ", one person" if photo.group == other.group else ""
        words = f"{photo.id} ~ {other.id} ({number(int(bits[place]), 'bit')}{known})"
        cases.append(Case(words, (photo.id, other.id)))
    return cases
