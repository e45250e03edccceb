"""Models on the same photos: their scores, the differences, and how far those may be the luck of the photos."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facesegl.evaluation.counts_file import SavedCounts
from facesegl.scores.bootstrap import FEWEST, LEVEL, RESAMPLES, Estimate, Resampled, interval, resampled_scores
from facesegl.scores.summary import Scores, summarise
from facesegl.text import a_few, number

SCHEMA = 1
"""Raised whenever a key of `Comparison.to_dict` changes its meaning."""

LEVEL_IN_WORDS = f"{100 * LEVEL:g} %"

DEFINITION = (
    "IoU at native size, counts pooled over all photos; mIoU is the mean over classes, background included; boundary F "
    f"at 2 pixels. Intervals: {LEVEL_IN_WORDS}, percentiles of a paired bootstrap over persons ({RESAMPLES} draws, the "
    "same for all; Efron and Tibshirani 1993). They hold the luck of the photos, not that of a training: compare "
    "several seeds before you call a recipe better."
)

_FEW = 20
"""Of fewer persons an interval is clearly too narrow: of draws from real photos' counts, the 95 % interval held the
truth in 93 % with 44 persons, 90 % with 20, 87 % with 10 and 82 % with 6."""


@dataclass(frozen=True)
class Scored:
    """What has counts already, which lie in the folder `run`."""

    path: Path
    run: Path
    saved: SavedCounts

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names."""
        return self.saved.classes


@dataclass(frozen=True)
class Compared:
    """One of the models.

    Attributes:
        letter: what the tables call it.
        path: as it was given.
        scored: the model's file, as its counts name it.
        run: the folder with its counts.
        scores: on the photos that all models have.
        left_out: its photos that another model lacks.
    """

    letter: str
    path: str
    scored: str
    run: str
    scores: Scores
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """How much higher one model scores than another.

    Attributes:
        model: the letter of the one.
        against: the letter of the other, whose scores are subtracted.
        verdict: in words, by mIoU.
        miou: of the mIoU.
        boundary_f: of the mean boundary F.
        iou: of each class.
    """

    model: str
    against: str
    verdict: str
    miou: Estimate
    boundary_f: Estimate
    iou: Mapping[str, Estimate]

    def to_dict(self) -> dict[str, Any]:
        """Builtin values for JSON."""
        return {
            "model": self.model,
            "against": self.against,
            "verdict": self.verdict,
            "miou": self.miou.to_dict(),
            "boundary_f": self.boundary_f.to_dict(),
            "iou": {name: estimate.to_dict() for name, estimate in self.iou.items()},
        }


@dataclass(frozen=True)
class Comparison:
    """Models on the same photos.

    Attributes:
        set: the name of the set.
        data: the name of the data.
        photos: the ids of the photos that all have.
        persons: how many persons they show, as far as is known.
        classes: the classes' names.
        models: in the order given.
        differences: of each pair, those to the first model first.
        notes: what a reader should know.
    """

    set: str
    data: str
    photos: tuple[str, ...]
    persons: int
    classes: tuple[str, ...]
    models: tuple[Compared, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Builtin values for JSON."""
        return {
            "schema": SCHEMA,
            "set": self.set,
            "data": self.data,
            "photos": list(self.photos),
            "persons": self.persons,
            "classes": list(self.classes),
            "level": LEVEL,
            "resamples": RESAMPLES,
            "definition": DEFINITION,
            "models": [
                {**vars(model), "scores": model.scores.to_dict(), "left_out": list(model.left_out)}
                for model in self.models
            ],
            "differences": [difference.to_dict() for difference in self.differences],
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class _Counted:
    """A model with what was counted on each photo, and its scores on each draw of persons."""

    model: Compared
    counts: np.ndarray
    boundary: np.ndarray
    drawn: Resampled


def compare_counts(things: Sequence[Scored], set: str, photos: Sequence[str]) -> Comparison:
    """Hold scored models against each other on photos that all of them have, under the same masks.

    Args:
        things: two or more, of the same classes; the first is what the others are held against.
        set: the name of the set.
        photos: the ids of the photos.
    """
    picked = [pick(thing.saved, photos) for thing in things]
    groups = min((_groups(thing.saved, photos) for thing in things), key=lambda each: len({*each}))  # the wariest
    persons = len({*groups})
    counted = [
        _Counted(_compared(_letter(number), thing, counts, set, photos), *counts, drawn)
        for number, (thing, counts, drawn) in enumerate(
            zip(things, picked, resampled_scores(picked, groups), strict=True)
        )
    ]
    pairs = itertools.combinations(counted, 2)
    differences = tuple(_difference(one, other, groups) for other, one in pairs)
    return Comparison(
        set=set,
        data=" / ".join(dict.fromkeys(thing.saved.data for thing in things)),
        photos=tuple(photos),
        persons=persons,
        classes=things[0].classes,
        models=tuple(one.model for one in counted),
        differences=differences,
        notes=(*_notes_on_photos(things, counted, set), *_notes_on_luck(differences, persons)),
    )


def _letter(number: int) -> str:
    """A to Z, then AA, as a spreadsheet has them."""
    before, last = divmod(number, 26)
    return (_letter(before - 1) if before else "") + chr(ord("A") + last)


def _groups(saved: SavedCounts, photos: Sequence[str]) -> list[str]:
    group = dict(zip(saved.photos, saved.groups, strict=True))
    return [group[photo] for photo in photos]


def _compared(
    letter: str, thing: Scored, counts: tuple[np.ndarray, np.ndarray], set: str, photos: Sequence[str]
) -> Compared:
    of_photos, boundary = (torch.from_numpy(each) for each in counts)
    return Compared(
        letter=letter,
        path=str(thing.path),
        scored=thing.saved.scored,
        run=str(thing.run),
        scores=summarise(thing.classes, of_photos, boundary.sum(0)),
        left_out=tuple(photo for photo in thing.saved.sets[set] if photo not in {*photos}),
    )


def _difference(one: _Counted, other: _Counted, groups: Sequence[str]) -> Difference:
    """How much higher `one` scores than `other`; a class's interval needs enough persons who have that class."""
    persons, persons_of = len({*groups}), _persons_of_classes(one.counts + other.counts, groups)

    def estimate(
        value: float, value_of_other: float, draws: np.ndarray, draws_of_other: np.ndarray, of: int = persons
    ) -> Estimate:
        ends = interval(draws - draws_of_other) if of >= FEWEST else (math.nan, math.nan)
        return Estimate(value - value_of_other, *ends)

    ours, theirs = one.model.scores, other.model.scores
    miou = estimate(ours.miou, theirs.miou, one.drawn.miou, other.drawn.miou)
    by_class = zip(ours.iou, one.drawn.iou.T, other.drawn.iou.T, persons_of, strict=True)
    return Difference(
        model=one.model.letter,
        against=other.model.letter,
        verdict="the same on every photo" if _same(one, other) else _verdict(miou, ours.photos, persons),
        miou=miou,
        boundary_f=estimate(ours.boundary_f, theirs.boundary_f, one.drawn.boundary_f, other.drawn.boundary_f),
        iou={
            name: estimate(ours.iou[name], theirs.iou[name], draws, draws_of_other, of)
            for name, draws, draws_of_other, of in by_class
        },
    )


def _persons_of_classes(counts: np.ndarray, groups: Sequence[str]) -> list[int]:
    """Of counts (N, C, C): how many persons have each class, in the truth or in a prediction."""
    there = (counts.sum(axis=2) + counts.sum(axis=1)) > 0
    return [len({group for group, has in zip(groups, of_class, strict=True) if has}) for of_class in there.T]


def _same(one: _Counted, other: _Counted) -> bool:
    return np.array_equal(one.counts, other.counts) and np.array_equal(one.boundary, other.boundary)


def _verdict(miou: Estimate, photos: int, persons: int) -> str:
    if persons < FEWEST:
        return f"{number(persons, 'person')}: too few to tell"
    return {1: "better", -1: "worse"}.get(miou.sign, f"no difference that {photos} photos could tell")


def _notes_on_photos(things: Sequence[Scored], counted: Sequence[_Counted], set: str) -> Iterator[str]:
    for thing, one in zip(things, counted, strict=True):
        if left_out := one.model.left_out:
            every = len(thing.saved.sets[set])
            yield (
                f"Left out: {len(left_out)} of the {every} photos of {one.model.letter}, which another model lacks "
                f"({a_few(left_out)})."
            )
    fingerprints = dict.fromkeys(thing.saved.fingerprint for thing in things)
    if len(fingerprints) > 1:
        yield f"The data differ (fingerprints {a_few(fingerprints)}), but the masks of these photos agree."
    for one, other in itertools.combinations(counted, 2):
        if _same(one, other):
            yield f"{one.model.letter} and {other.model.letter} counted the same on every photo: are they one model?"


def _notes_on_luck(differences: Sequence[Difference], persons: int) -> Iterator[str]:
    if persons < FEWEST:
        yield f"No intervals: they need {FEWEST} persons at least, these photos show {persons}."
        return
    if persons < _FEW:
        yield (
            f"{persons} persons are few: the intervals come out too narrow. Take what misses 0 by little for no "
            f"difference."
        )
    if len(differences) > 1:
        yield (
            f"{len(differences)} pairs are compared: of models that do not differ, one pair in 20 looks as if it did. "
            f"Trust the pair that you meant to compare, not the largest difference of many."
        )
    else:
        yield "The verdict is that of mIoU. Of the other lines, one in 20 misses 0 by luck alone."


def pick(saved: SavedCounts, photos: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The counts (N, C, C) and boundary counts (N, C, 4) of some photos, in their order."""
    place = {photo: index for index, photo in enumerate(saved.photos)}
    places = [place[photo] for photo in photos]
    return saved.counts[places], saved.boundary[places]
