"""The checks of labelled photos: each kind of finding is a row of severity, check, text and remedy."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeVar

import numpy as np

from facesegl.checks.duplicates import ALIKE, BITS, Similar, identical, similar_across, similar_within
from facesegl.checks.facts import Facts, Labelled, PhotoFacts, Refused
from facesegl.text import a_few, grouped, number, percent

T = TypeVar("T")
Severity = Literal["error", "warning", "note"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""Worst first.

- error: do not train on this yet: training would refuse the data, or its scores would be wrong.
- warning: worth a look. Training skips and reports it, or only you can decide.
- note: for your information.
"""


@dataclass(frozen=True)
class Case:
    """One item of a finding.

    Attributes:
        words: the text on the terminal.
        photos: the ids of the photos.
    """

    words: str
    photos: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """Something about the data that the user should know.

    Attributes:
        severity: how bad it is.
        check: the name of the check, the same in every version.
        what: a sentence without its full stop.
        remedy: what to do about it.
        cases: its items, worst first.
    """

    severity: Severity
    check: str
    what: str
    remedy: str
    cases: Sequence[Case] = ()

    @property
    def line(self) -> str:
        """All of it in one line, with the first cases."""
        cases = f" ({a_few(case.words for case in self.cases)})" if self.cases else ""
        return f"{self.what}{cases}. {self.remedy}"


def find(facts: Facts, held_out: Collection[str] = ()) -> Iterator[Finding]:
    """Run every check on the facts of a data set; `held_out` are the ids of training photos to validate on."""
    photos = facts.fitting("train")
    yield from _files(facts)
    yield from unfit(
        facts.taxonomy.names,
        train=[photo for photo in photos if photo.id not in held_out],
        val=[*facts.fitting("val"), *(photo for photo in photos if photo.id in held_out)],
        shown=[_case(lambda photo: photo.sample.photo.name)(photo) for photo in facts.photos if photo.shows_mask],
        skipped=[_mismatch(photo) for photo in _mostly_skipped(facts)],
    )
    for check in (_duplicates, _classes, _inexact, _shapes, _photos):
        yield from check(facts)


def unfit(
    names: Sequence[str],
    train: Sequence[Labelled],
    val: Sequence[Labelled],
    shown: Sequence[Case],
    skipped: Sequence[Case],
) -> Iterator[Finding]:
    """The errors that training refuses too, although it could read the data.

    Args:
        names: the classes.
        train: the photos to train on.
        val: the photos to validate on.
        shown: the photos that show their own mask.
        skipped: the training photos with a mask of another size, if they are most.
    """
    yield from _error("size", f"<mask> {_OTHER_SIZE} skips: more than are left", _RESIZING, skipped, lambda case: case)
    yield from _error(
        "photo_is_mask",
        "<photo> showing the mask itself: the input would contain the answer",
        "Replace them by the real photos; were photos and masks taken from one folder?",
        shown,
        lambda case: case,
    )
    yield from _error(
        "identical_across",
        "<val photo> also in train, pixel for pixel",
        "Remove them from one of the two: validation would measure memorization, and select the checkpoint by it.",
        identical(val, train),
        _same,
    )
    pixels = np.sum([np.asarray(photo.class_pixels) for photo in train], axis=0)
    if train and (pixels > 0).sum() <= 1:
        name = names[int(pixels.argmax())] if pixels.any() else "void"
        yield Finding(
            "error",
            "one_class",
            f"every pixel of every training mask is {name}: there is nothing to distinguish",
            "Compare the masks' colours or values with the taxonomy, and its remap.",
        )
    if val and not any(np.any(photo.class_pixels) for photo in val):
        yield Finding(
            "error",
            "void",
            "every pixel of every mask to validate on is void: there is nothing to score",
            "Compare the masks' colours or values with the taxonomy, and its remap; or choose another fold.",
        )


_RARE = 1e-3  # share of the training pixels; FASSEG's rarest class, the eyes of V3, has 7e-3
_FEW = 3  # photos: a class in fewer may be from one person
_APART = 2.0  # ratio of a class's shares in two splits
_INEXACT = 0.05  # share of all pixels; FASSEG's anti-aliased edges are 2.4 %
_INEXACT_MASK = 0.1  # share of one mask's pixels; FASSEG V2's worst has 3.5 %
_NAMED = 3  # masks to name if none has too many inexact pixels
_SPECKS = 20  # in a mask: FASSEG's masks have 8 at most; decoded by the nearest colour, they would have 40
_TINY = 64  # pixels of the shorter side; below, an eye has three or four
_HUGE = 4096  # pixels of the longer side; scoring opens photos at full size
_MANY, _MANY_OF = 20, 0.2  # photos and share: if more look alike, similarity does not indicate copies

_FRONTAL: dict[str, tuple[int, ...]] = {"eyes": (2,), "nose": (1,), "mouth": (1,)}
_PARTS: dict[str, dict[str, tuple[int, ...]]] = {
    "fasseg_v1": _FRONTAL,
    "fasseg_v2": _FRONTAL,
    "fasseg_v3": {**_FRONTAL, "eyes": (1, 2)},  # a profile has one
    "synthetic": _FRONTAL,
}
"""The number of parts of a class in a face, by name of the data; true of every mask of FASSEG."""

_IDENTICAL = {
    ("test", "train"): "Report test_clean, which excludes them; the plain test score includes them.",
    ("test", "val"): "Remove them from val: photos that select the best checkpoint should not be scored afterwards.",
}
_PERSONS = {
    ("test", "train"): "Report test_strict, which excludes these photos, next to test_clean.",
    ("val", "train"): "Keep each person in one split: validation is optimistic on faces that were trained on.",
    ("test", "val"): "Keep each person in one split if the test photos should be of unseen people.",
}
_OTHERWISE = "Remove them from one of the two."
_OTHER_SIZE = "of another size than the photo, which training"
_RESIZING = "Export the masks at the photo's size. Stretching them would make wrong masks that look right."
_ROTATED = " Masks with height and width swapped were drawn on a photo that EXIF data rotate: rotate these masks."


def _row(
    severity: Severity, check: str, text: str, remedy: str, select: Sequence[T], describe: Callable[[T], Case]
) -> Iterator[Finding]:
    """A finding about the selected items, if there are any; `<noun>` at the start of the text becomes a count."""
    if select:
        noun, _, rest = text[1:].partition(">")
        what = number(len(select), *noun.split("|")) + rest
        yield Finding(severity, check, what, remedy, [describe(one) for one in select])


_error, _warning, _note = partial(_row, "error"), partial(_row, "warning"), partial(_row, "note")


def _case(words: Callable[[PhotoFacts], str] | None = None) -> Callable[[PhotoFacts], Case]:
    return lambda photo: Case(photo.sample.id + (f" ({words(photo)})" if words else ""), (photo.sample.id,))


def _files(facts: Facts) -> Iterator[Finding]:
    yield from _error(
        "listing",
        "<problem> with the files: training refuses to start",
        "Fix each of them; the files that could be listed were checked.",
        facts.problems,
        Case,
    )
    unreadable, foreign = ([one for one in facts.refused if one.readable == readable] for readable in (False, True))
    what = f"{number(len(unreadable), 'file')} that cannot be read: training refuses to start"
    yield from _refused("unreadable", what, "Copy each again, or remove the photo and its mask.", unreadable)
    what = f"{number(len(foreign), 'mask')} in other colours or values than the classes': training refuses to start"
    remedy = "Do what each line says; the masks' colours or values are defined in data.taxonomy=FILE.yaml."
    yield from _refused("foreign", what, remedy, foreign)
    if not facts.fitting("train") and not facts.problems:
        yield Finding(
            "error", "empty", "no usable training photo", "Training needs labelled photos in the split train."
        )
    most = _mostly_skipped(facts)
    wrong = [photo for photo in facts.photos if not photo.fits and not (most and photo.sample.split == "train")]
    yield from _row(
        "error" if facts.strict else "warning",
        "size",
        f"<mask> {_OTHER_SIZE} {'refuses (data.strict=true)' if facts.strict else 'skips'}",
        _RESIZING + (_ROTATED if any(map(_ignores_exif, wrong)) else ""),
        wrong,
        _mismatch,
    )
    is_error = any("a photo without a mask" in problem for problem in facts.problems)
    yield from _note(
        "unlabelled",
        "<photo> without a mask, left out",
        "Nothing to do if that is intended; otherwise add their masks.",
        [] if is_error else facts.unlabelled,
        lambda path: Case(path.name),
    )


def _mostly_skipped(facts: Facts) -> list[PhotoFacts]:
    """The training photos with a mask of another size, if they are most and not refused anyway."""
    wrong = [photo for photo in facts.of("train") if not photo.fits]
    return wrong if 2 * len(wrong) > len(facts.of("train")) and not facts.strict else []


def _refused(check: str, what: str, remedy: str, refused: Sequence[Refused]) -> Iterator[Finding]:
    if refused:
        every = [(line, one.sample.id) for one in refused for line in one.why]
        lines = grouped(line for line, _ in every)
        cases = [Case(line, tuple(dict.fromkeys(every[index][1] for index in same))) for line, same in lines.items()]
        yield Finding("error", check, what, remedy, cases)


def _mismatch(photo: PhotoFacts) -> Case:
    own, masks = (f"{width}x{height}" for height, width in (photo.size, photo.mask_size))
    rotated = ", which its EXIF data rotate and the mask does not follow" if _ignores_exif(photo) else ""
    return Case(f"{photo.sample.id}: the mask is {masks}, its photo {own}{rotated}", (photo.sample.id,))


def _ignores_exif(photo: PhotoFacts) -> bool:
    return photo.exif_orientation != 1 and photo.mask_size == photo.size[::-1]


def _duplicates(facts: Facts) -> Iterator[Finding]:
    pairs = list(facts.pairs_of_splits())
    for later, earlier in pairs:
        if (later, earlier) == ("val", "train"):
            continue  # an error: see `unfit`
        yield from _warning(
            "identical_across",
            f"<{later} photo> also in {earlier}, pixel for pixel",
            _IDENTICAL.get((later, earlier), _OTHERWISE),
            identical(facts.fitting(later), facts.fitting(earlier)),
            _same,
        )
    for later, earlier in pairs:
        before, after = (_by_group(facts.fitting(split)) for split in (earlier, later))
        both = [group for group in after if group in before]
        count = number(sum(len(after[group]) for group in both), f"{later} photo")
        yield from _warning(
            "persons",
            f"<person> in both {later} and {earlier}: {count}",
            _PERSONS.get((later, earlier), _OTHERWISE),
            [(group, {later: after[group], earlier: before[group]}) for group in both],
            _person,
        )
    for later, earlier in pairs:
        similar = similar_across(facts.fitting(later), facts.fitting(earlier))
        remedy = "Check each pair: a copy belongs in one split only. No set excludes them unless they share a group."
        if all(photo.sample.group == other.sample.group for photo, other, _bits in similar[0]):
            remedy = _PERSONS.get((later, earlier), _OTHERWISE)  # the persons are reported, too
        yield from _similar("warning", "alike_across", f"<{later} photo> similar to one in {earlier}", remedy, similar)
    for split in facts.splits:
        photos = facts.fitting(split)
        yield from _note(
            "identical_within",
            f"<photo> in {split} more than once, pixel for pixel",
            "Each copy counts. Copies share a group, so no fold separates them; remove them if they are not intended.",
            identical(photos, photos),
            _same,
        )
        yield from _similar(
            "note",
            "alike_within",
            f"<{split} photo> similar to another in {split}",
            "Check each pair: folds may separate two shots of one photo or person unless they share a group.",
            similar_within(photos),
        )


def _by_group(photos: Sequence[PhotoFacts]) -> dict[str, list[PhotoFacts]]:
    groups: dict[str, list[PhotoFacts]] = {}
    for photo in photos:
        groups.setdefault(photo.sample.group, []).append(photo)
    return groups


def _similar(severity: Severity, check: str, text: str, remedy: str, similar: Similar) -> Iterator[Finding]:
    pairs, compared = similar
    if len(pairs) > max(_MANY, _MANY_OF * compared):
        severity, remedy = "note", "Check the most similar pairs; the others only show that the photos are much alike."
    yield from _row(severity, check, f"{text} (a guess: {ALIKE} of {BITS} bits or fewer differ)", remedy, pairs, _alike)


def _alike(pair: tuple[PhotoFacts, PhotoFacts, int]) -> Case:
    photo, other = pair[0].sample, pair[1].sample
    known = ", one person" if photo.group == other.group else ""
    return Case(f"{photo.id} ~ {other.id} ({number(pair[2], 'bit')}{known})", (photo.id, other.id))


def _same(pair: tuple[Labelled, Labelled]) -> Case:
    photo, other = pair  # if their class counts differ, so do their masks
    differs = "" if np.array_equal(photo.class_pixels, other.class_pixels) else ", with another mask"
    return Case(f"{photo.id} = {other.id}{differs}", (photo.id, other.id))


def _person(person: tuple[str, dict[str, list[PhotoFacts]]]) -> Case:
    group, photos = person
    ids = [photo.sample.id for of_split in photos.values() for photo in of_split]
    counts = " and ".join(f"{len(of_split)} in {split}" for split, of_split in photos.items())
    return Case(" and ".join(ids) if len(ids) == 2 else f"{group}: {counts}", tuple(ids))


def _classes(facts: Facts) -> Iterator[Finding]:
    if (facts.counts("train").pixels > 0).sum() <= 1:
        return  # an error: see `unfit`
    for check in (_missing_and_rare, _shares_apart, _void):
        yield from check(facts)


def _missing_and_rare(facts: Facts) -> Iterator[Finding]:
    train, names = facts.counts("train"), facts.taxonomy.names
    others = [facts.counts(split).photos for split in facts.splits if split != "train"]
    scored = np.sum([np.zeros_like(train.photos), *others], axis=0)
    yield from _warning(
        "missing",
        "<class|classes> in no training mask: never learned, and wrong wherever scored",
        "Is the class's colour or value right? If the photos have none of it, remove it from the taxonomy.",
        sorted(np.flatnonzero(train.photos == 0), key=lambda index: -scored[index]),
        lambda index: Case(
            f"{names[index]} (in {number(int(scored[index]), 'other mask') if scored[index] else 'no other either'})"
        ),
    )
    yield from _warning(
        "rare",
        f"<class|classes> rare in training: below {percent(_RARE)} of the pixels or in fewer than {_FEW} masks",
        "Expect a low or erratic IoU; more photos that show it help, or a loss that weights classes.",
        [
            index
            for index in np.argsort(train.shares, kind="stable")
            if train.photos[index] and (train.shares[index] < _RARE or train.photos[index] < _FEW)
        ],
        lambda index: Case(
            f"{names[index]} ({percent(float(train.shares[index]))}, in {number(int(train.photos[index]), 'mask')})"
        ),
    )


def _shares_apart(facts: Facts) -> Iterator[Finding]:
    train, names = facts.counts("train").shares, facts.taxonomy.names
    for split in (split for split in facts.splits if split != "train" and facts.counts(split).pixels.any()):
        shares = facts.counts(split).shares
        low, high = np.minimum(train, shares), np.maximum(train, shares)
        # the shares of a class that is rare in both mean nothing
        times = np.where((high >= _RARE) & (train > 0), high / np.maximum(low, 1e-9), 1)
        yield from _warning(
            "shares",
            f"<class|classes> with more than {_APART:g} times the share in one of train and {split}",
            "Were both labelled by the same rules? If not, their scores are not comparable.",
            [index for index in np.argsort(-times, kind="stable") if times[index] > _APART],
            _shares(names, train, shares),
        )


def _shares(names: Sequence[str], *shares: np.ndarray) -> Callable[[int], Case]:
    return lambda index: Case(f"{names[index]} ({' and '.join(percent(float(each[index])) for each in shares)})")


def _void(facts: Facts) -> Iterator[Finding]:
    yield from _warning(
        "void",
        "<mask> of nothing but void: neither trained on nor scored",
        "Remove the photos, or label them.",
        [photo for photo in facts.photos if photo.void and not photo.class_pixels.any()],
        _case(),
    )


def _inexact(facts: Facts) -> Iterator[Finding]:
    ranked = sorted(facts.photos, key=lambda photo: -photo.guessed)
    if not (ranked and ranked[0].guessed):
        return
    shares = {split: facts.counts(split).guessed for split in facts.splits}
    worst = [photo for photo in ranked if photo.guessed > _INEXACT_MASK]
    bad = bool(worst) or max(shares.values()) > _INEXACT
    where = " and ".join(f"{percent(share)} of the pixels of {split}" for split, share in shares.items())
    many = f"; in {len(worst)} of the masks more than {percent(_INEXACT_MASK)}" if worst else ""
    yield Finding(
        "warning" if bad else "note",
        "inexact",
        f"{where} match no class's colour exactly{many}",
        "See where with facesegl data preview --inexact. Masks saved as JPEG or resized have many."
        if bad
        else "Nothing to do: so few are edges between classes, or specks. facesegl data preview --inexact shows where.",
        list(map(_case(lambda photo: percent(photo.guessed)), worst or ranked[:_NAMED])),
    )


def _shapes(facts: Facts) -> Iterator[Finding]:
    yield from _warning(
        "specks",
        f"<mask> with more than {_SPECKS} specks (islands of a few pixels)",
        "View them with facesegl data preview. Masks that were resized or saved as JPEG are like that.",
        sorted((photo for photo in facts.photos if photo.specks > _SPECKS), key=lambda photo: -photo.specks),
        _case(lambda photo: str(photo.specks)),
    )
    names = facts.taxonomy.names
    expected = {names.index(name): counts for name, counts in _PARTS.get(facts.name, {}).items() if name in names}

    def odd(photo: PhotoFacts) -> list[str]:
        found = {index: int(photo.parts[index]) for index in expected}
        return [
            f"{number(count, 'connected part')} of {names[index]}"
            for index, count in found.items()
            if count not in expected[index]
        ]

    yield from _warning(
        "anatomy",
        "<mask> with another number of eyes, noses or mouths than every face in FASSEG has",
        "View them with facesegl data preview. A part may be missing, cut in two or painted in another colour.",
        [photo for photo in facts.photos if odd(photo)],
        lambda photo: Case(f"{photo.sample.id}: {', '.join(odd(photo))}", (photo.sample.id,)),
    )


def _photos(facts: Facts) -> Iterator[Finding]:
    turned = [photo for photo in facts.photos if photo.exif_orientation != 1 and photo.fits]
    # a mask with the upright photo's size, which differs from the stored size, certainly follows the rotation
    sure = [photo for photo in turned if photo.exif_orientation >= 5 and photo.size[0] != photo.size[1]]
    orientation = _case(lambda photo: f"EXIF orientation {photo.exif_orientation}")
    yield from _warning(
        "turned",
        "<photo> rotated by EXIF data, with a mask that fits either way",
        "Photos are rotated upright, masks never: check with facesegl data preview that these agree.",
        [photo for photo in turned if photo not in sure],
        orientation,
    )
    yield from _note(
        "turned",
        "<photo> rotated upright by EXIF data, with an upright mask",
        "Nothing to do: photos are always opened upright.",
        sure,
        orientation,
    )
    yield from _warning(
        "blank",
        "<photo> of almost one colour",
        "View them; was the export interrupted?",
        [photo for photo in facts.photos if photo.dhash is None],
        _case(),
    )
    size = _case(lambda photo: f"{photo.size[1]}x{photo.size[0]}")
    yield from _warning(
        "tiny",
        f"<photo> with a side below {_TINY} pixels: too few for eyes and mouth",
        "Find larger versions, or remove them.",
        sorted((photo for photo in facts.photos if min(photo.size) < _TINY), key=lambda photo: min(photo.size)),
        size,
    )
    yield from _note(
        "huge",
        f"<photo> with a side above {_HUGE} pixels: slow to score at native size",
        "Shrink photo and mask together, the mask by nearest neighbour, if the time matters.",
        sorted((photo for photo in facts.photos if max(photo.size) > _HUGE), key=lambda photo: -max(photo.size)),
        size,
    )
