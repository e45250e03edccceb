"""Score a checkpoint file at native size, and its yardsticks by the same code."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from facesegl.console import track
from facesegl.data.datamodule import FaceDataModule
from facesegl.evaluation.counts_file import SavedCounts
from facesegl.labels.resize import restore_mask
from facesegl.labels.taxonomy import VOID
from facesegl.prediction.predictor import Predictor
from facesegl.runs.result import Result
from facesegl.scores.boundary import boundary_counts
from facesegl.scores.counts import confusion_counts
from facesegl.scores.summary import Scores, summarise
from facesegl.scores.yardsticks import agreement, commonest_classes

Masker = Callable[[np.ndarray], np.ndarray]
"""Gives the mask (H, W) uint8 of a photo (H, W, 3) uint8."""


class PhotoCounts(NamedTuple):
    """What was counted on one photo at native size.

    Attributes:
        counts: (C, C) int64, [truth, prediction].
        boundary: (C, 4) int64, what the boundary score pools.
    """

    counts: Tensor
    boundary: Tensor


@dataclass(frozen=True)
class SetScores:
    """The scores of one set of photos, and what they are to be held against.

    Attributes:
        scores: of the checkpoint.
        floor: of a model that never looks: per pixel the commonest class of the training masks.
        agreement: of two people's masks of the same photos against each other, where the data have such.
        tags: the scores of the photos that share a tag, such as `pose=+30`.
        photos: the scores of each photo, by id.
        counts: what was counted on each photo, by id.
    """

    scores: Scores
    floor: Scores
    agreement: Scores | None
    tags: Mapping[str, Scores]
    photos: Mapping[str, Scores]
    counts: Mapping[str, PhotoCounts]

    def to_dict(self) -> dict[str, Any]:
        """Builtin values for result.json; the photos' scores stand in per_image.csv."""
        return {
            "scores": self.scores.to_dict(),
            "floor": self.floor.to_dict(),
            "agreement": self.agreement.to_dict() if self.agreement else None,
            "tags": {tag: scores.to_dict() for tag, scores in self.tags.items()},
        }


def sets_to_score(asked: str, faces: FaceDataModule) -> list[str]:
    """`test` stands for all sets of test photos that are not empty; any other set for itself."""
    if asked != "test":
        return [asked]
    whole = ["test", *(name for name in ("test_clean", "test_strict") if faces.has(name))]
    return sorted(whole, key=lambda name: name != "test_clean")  # the headline first


def score(predictor: Predictor, faces: FaceDataModule, sets: Sequence[str]) -> dict[str, SetScores]:
    """Score what a predictor says on sets of photos: native size, void left out, counts pooled over each set.

    Args:
        predictor: of a file; weights still in memory are never scored.
        faces: set up.
        sets: names of `facesegl.data.SETS`.

    Raises:
        DataError: a set has no photo, or a photo or mask can no longer be read.
    """
    places = {name: [int(place) for place in faces.places(name)] for name in sets}
    every = sorted({place for some in places.values() for place in some})
    of_model, of_floor = count_photos(faces, every, lambda photo: predictor(photo).index, floor(faces))
    both = agreement_of(faces)
    return {name: _of_set(some, faces, of_model, of_floor, both) for name, some in places.items()}


def _of_set(
    places: Sequence[int],
    faces: FaceDataModule,
    of_model: Mapping[int, PhotoCounts],
    of_floor: Mapping[int, PhotoCounts],
    both: Scores | None,
) -> SetScores:
    names, ids = faces.taxonomy.names, faces.ids(places)
    by_tag: dict[str, list[PhotoCounts]] = {}
    for place in places:
        for tag in faces.cache.rows[place].tags:
            by_tag.setdefault(tag, []).append(of_model[place])
    return SetScores(
        scores=pooled(names, (of_model[place] for place in places)),
        floor=pooled(names, (of_floor[place] for place in places)),
        agreement=both,
        tags={tag: pooled(names, counted) for tag, counted in by_tag.items()},
        photos={name: pooled(names, [of_model[place]]) for name, place in zip(ids, places, strict=True)},
        counts={name: of_model[place] for name, place in zip(ids, places, strict=True)},
    )


def save_counts(folder: Path, scored: Mapping[str, SetScores], faces: FaceDataModule, result: Result) -> None:
    """Leave `counts.npz`: what was counted on each photo, so that models can be compared on the same photos later."""
    every = {photo: counted for found in scored.values() for photo, counted in found.counts.items()}
    groups = {row.id: row.group for row in faces.cache.rows}
    SavedCounts(
        classes=faces.taxonomy.names,
        photos=tuple(every),
        groups=tuple(groups[photo] for photo in every),
        sets={name: list(found.counts) for name, found in scored.items()},
        counts=torch.stack([counted.counts for counted in every.values()]).numpy(),
        boundary=torch.stack([counted.boundary for counted in every.values()]).numpy(),
        scored=" + ".join(result.scored),
        data=faces.source.name,
        fingerprint=faces.cache.fingerprint,
    ).write(folder)


def worst_first(scores: Mapping[str, float]) -> list[str]:
    """Photos by their own mIoU; those of nothing but void have none (NaN), and come last."""
    return sorted(scores, key=lambda photo: (math.isnan(scores[photo]), scores[photo]))


def count_photos(faces: FaceDataModule, places: Collection[int], *maskers: Masker) -> list[dict[int, PhotoCounts]]:
    """Hold the masks that each masker gives against the truth, each photo opened once.

    Args:
        faces: set up.
        places: the photos' places in the cache.
        maskers: what gives a mask for a photo.

    Returns:
        For each masker, place to counts.
    """
    counted: list[dict[int, PhotoCounts]] = [{} for _ in maskers]
    for place in track(places, total=len(places), what="scoring"):
        photo, truth = faces.native(place)
        for counts, masker in zip(counted, maskers, strict=True):
            counts[place] = _count(masker(photo), truth, faces.taxonomy.num_classes)
    return counted


def floor(faces: FaceDataModule) -> Masker:
    """A model that never looks: at each pixel the commonest class of the training masks, whatever the photo."""
    mask = commonest_classes(faces.training_masks(), faces.taxonomy.num_classes)
    known = mask[mask != VOID]
    mask[mask == VOID] = np.bincount(known).argmax() if known.size else 0  # it has to say something there too
    return lambda photo: restore_mask(mask, *photo.shape[:2])


def agreement_of(faces: FaceDataModule) -> Scores | None:
    """Score two people's masks of the same photos against each other; None where no photo was masked twice."""
    num_classes = faces.taxonomy.num_classes
    pairs = ((faces.mask(one), faces.mask(other)) for one, other in faces.doubled())
    counted = [
        PhotoCounts(agreement([pair], num_classes), boundary_counts(*pair, num_classes))
        for pair in pairs
        if not np.array_equal(*pair)  # a copy is no second opinion
    ]
    return pooled(faces.taxonomy.names, counted) if counted else None


def _count(prediction: np.ndarray, truth: np.ndarray, num_classes: int) -> PhotoCounts:
    """Hold one mask (H, W) against another."""
    counts = confusion_counts(torch.from_numpy(prediction), torch.from_numpy(truth), num_classes)
    return PhotoCounts(counts, boundary_counts(prediction, truth, num_classes))


def pooled(names: tuple[str, ...], photos: Iterable[PhotoCounts]) -> Scores:
    """The scores of a set of photos from the counts of each."""
    counts, boundaries = (torch.stack(both) for both in zip(*photos, strict=True))
    return summarise(names, counts, boundaries.sum(0))
