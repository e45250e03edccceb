"""Compare models on the same photos: scores, differences, and confidence intervals of the differences."""

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
"""Incremented when a key of `Comparison.to_dict` changes its meaning."""

LEVEL_IN_WORDS = f"{100 * LEVEL:g} %"

DEFINITION = (
    "IoU at native size, counts pooled over all photos; mIoU is the mean over classes, background included; boundary F "
    f"at 2 pixels. Intervals: {LEVEL_IN_WORDS}, percentiles of a paired bootstrap over persons ({RESAMPLES} draws, the "
    "same for all; Efron and Tibshirani 1993). They cover the choice of photos, not the randomness of training: "
    "compare several seeds before you call a recipe better."
)

_FEW = 20
"""With fewer persons the intervals are too narrow: on counts of real photos the 95 % interval covered the true value in
93 % of draws of 44 persons, 90 % of 20, 87 % of 10 and 82 % of 6."""


@dataclass(frozen=True)
class Scored:
    """A scored model, with the counts in its run folder."""

    path: Path
    run: Path
    saved: SavedCounts

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names."""
        return self.saved.classes


@dataclass(frozen=True)
class Compared:
    """One of the models.

    Attributes:
        letter: its name in the tables.
        path: as given.
        scored: the model's file, as named in its counts.
        run: the folder with its counts.
        scores: the scores on the photos that all models have.
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
        model: the letter of the model.
        against: the letter of the model whose scores are subtracted.
        verdict: a verdict in words, from the mIoU.
        miou: the difference in mIoU.
        boundary_f: the difference in mean boundary F.
        iou: the difference in IoU of each class.
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
        photos: the ids of the shared photos.
        persons: the number of persons in them, as far as known.
        classes: the class names.
        models: in the order given.
        differences: one for each pair, those from the first model first.
        notes: caveats for the reader.
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
    """A model with its counts on each photo, and its scores on each bootstrap draw."""

    model: Compared
    counts: np.ndarray
    boundary: np.ndarray
    drawn: Resampled


def compare_counts(models: Sequence[Scored], set: str, photos: Sequence[str]) -> Comparison:
    """Compare scored models on shared photos with the same masks.

    Args:
        models: two or more models of the same classes; the first is the baseline.
        set: the name of the set.
        photos: the ids of the photos.
    """
    picked = [pick(model.saved, photos) for model in models]
    # the most conservative grouping: the fewest persons
    groups = min((_groups(model.saved, photos) for model in models), key=lambda each: len({*each}))
    persons = len({*groups})
    counted = [
        _Counted(_compared(_letter(number), model, counts, set, photos), *counts, drawn)
        for number, (model, counts, drawn) in enumerate(
            zip(models, picked, resampled_scores(picked, groups), strict=True)
        )
    ]
    pairs = itertools.combinations(counted, 2)
    differences = tuple(_difference(one, other, groups) for other, one in pairs)
    return Comparison(
        set=set,
        data=" / ".join(dict.fromkeys(model.saved.data for model in models)),
        photos=tuple(photos),
        persons=persons,
        classes=models[0].classes,
        models=tuple(one.model for one in counted),
        differences=differences,
        notes=(*_notes_on_photos(models, counted, set), *_notes_on_chance(differences, persons)),
    )


def _letter(number: int) -> str:
    before, last = divmod(number, 26)
    return (_letter(before - 1) if before else "") + chr(ord("A") + last)


def _groups(saved: SavedCounts, photos: Sequence[str]) -> list[str]:
    group = dict(zip(saved.photos, saved.groups, strict=True))
    return [group[photo] for photo in photos]


def _compared(
    letter: str, model: Scored, counts: tuple[np.ndarray, np.ndarray], set: str, photos: Sequence[str]
) -> Compared:
    """A row of the comparison from its counts (N, C, C) and boundary counts (N, C, 4)."""
    of_photos, boundary = (torch.from_numpy(each) for each in counts)
    return Compared(
        letter=letter,
        path=str(model.path),
        scored=model.saved.scored,
        run=str(model.run),
        scores=summarise(model.classes, of_photos, boundary.sum(0)),
        left_out=tuple(photo for photo in model.saved.sets[set] if photo not in {*photos}),
    )


def _difference(one: _Counted, other: _Counted, groups: Sequence[str]) -> Difference:
    """`one` minus `other`; the interval of a class needs enough persons with that class."""
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
    """The number of persons with each class in truth or prediction, from counts (N, C, C)."""
    there = (counts.sum(axis=2) + counts.sum(axis=1)) > 0
    return [len({group for group, has in zip(groups, of_class, strict=True) if has}) for of_class in there.T]


def _same(one: _Counted, other: _Counted) -> bool:
    return np.array_equal(one.counts, other.counts) and np.array_equal(one.boundary, other.boundary)


def _verdict(miou: Estimate, photos: int, persons: int) -> str:
    if persons < FEWEST:
        return f"{number(persons, 'person')}: too few for a verdict"
    return {1: "better", -1: "worse"}.get(miou.sign, f"no significant difference on {photos} photos")


def _notes_on_photos(models: Sequence[Scored], counted: Sequence[_Counted], set: str) -> Iterator[str]:
    for model, one in zip(models, counted, strict=True):
        if left_out := one.model.left_out:
            every = len(model.saved.sets[set])
            yield (
                f"Left out: {len(left_out)} of the {every} photos of {one.model.letter}, which another model lacks "
                f"({a_few(left_out)})."
            )
    fingerprints = dict.fromkeys(model.saved.fingerprint for model in models)
    if len(fingerprints) > 1:
        yield f"The data differ (fingerprints {a_few(fingerprints)}), but the masks of these photos agree."
    for one, other in itertools.combinations(counted, 2):
        if _same(one, other):
            yield f"{one.model.letter} and {other.model.letter} agree on every photo: are they the same model?"


def _notes_on_chance(differences: Sequence[Difference], persons: int) -> Iterator[str]:
    if persons < FEWEST:
        yield f"No intervals: they need at least {FEWEST} persons, these photos show {persons}."
        return
    if persons < _FEW:
        yield (
            f"{persons} persons are few: the intervals are too narrow. Treat an interval that barely excludes 0 as no "
            f"difference."
        )
    if len(differences) > 1:
        yield (
            f"{len(differences)} pairs are compared: of pairs without a difference, one in 20 appears to have one. "
            f"Trust the pair that you meant to compare, not the largest difference of many."
        )
    else:
        yield "The verdict is about mIoU. Of the other rows, one in 20 excludes 0 by chance."


def pick(saved: SavedCounts, photos: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The counts (N, C, C) and boundary counts (N, C, 4) of some photos, in their order."""
    index_of = {photo: index for index, photo in enumerate(saved.photos)}
    indices = [index_of[photo] for photo in photos]
    return saved.counts[indices], saved.boundary[indices]
