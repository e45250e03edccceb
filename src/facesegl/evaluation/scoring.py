"""Score a model file at native size; floor and agreement are scored by the same code."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from facesegl.console import track
from facesegl.errors import DataError
from facesegl.evaluation.counts_file import SavedCounts
from facesegl.labels.resize import restore_mask
from facesegl.labels.taxonomy import VOID
from facesegl.scores.boundary import boundary_counts
from facesegl.scores.counts import confusion_counts
from facesegl.scores.summary import Scores, summarise
from facesegl.scores.yardsticks import agreement, commonest_classes
from facesegl.text import a_few

if TYPE_CHECKING:
    from facesegl.data.datamodule import FaceDataModule
    from facesegl.prediction.predictor import Predictor
    from facesegl.runs.result import Result

Masker = Callable[[np.ndarray], np.ndarray]
"""Returns the mask (H, W) uint8 of an image (H, W, 3) uint8."""


class PhotoCounts(NamedTuple):
    """The counts of one photo at native size.

    Attributes:
        counts: (C, C) int64, [truth, prediction].
        boundary: (C, 4) int64 boundary counts, pooled for boundary F.
    """

    counts: Tensor
    boundary: Tensor


@dataclass(frozen=True)
class SetScores:
    """The scores of one set of photos, with floor and agreement.

    Attributes:
        scores: the scores of the model.
        floor: the scores of a constant baseline: at each pixel the commonest class of the training masks.
        agreement: the scores between two annotators' masks of the same photos; None without such photos.
        tags: the scores of the photos that share a tag, e.g. `pose=+30`.
        photos: the scores of each photo, by id.
        counts: the counts of each photo, by id.
    """

    scores: Scores
    floor: Scores
    agreement: Scores | None
    tags: Mapping[str, Scores]
    photos: Mapping[str, Scores]
    counts: Mapping[str, PhotoCounts]

    def to_dict(self) -> dict[str, Any]:
        """Builtin values for result.json; the scores of single photos are in per_image.csv."""
        return {
            "scores": self.scores.to_dict(),
            "floor": self.floor.to_dict(),
            "agreement": self.agreement.to_dict() if self.agreement else None,
            "tags": {tag: scores.to_dict() for tag, scores in self.tags.items()},
        }


def sets_to_score(asked: str, faces: FaceDataModule) -> list[str]:
    """The sets to score: for `test` all non-empty sets of test photos, headline first; otherwise the set itself."""
    if asked != "test":
        return [asked]
    whole = ["test", *(name for name in ("test_clean", "test_strict") if faces.has(name))]
    return sorted(whole, key=lambda name: name != "test_clean")  # the headline first


def score(predictor: Predictor, faces: FaceDataModule, sets: Sequence[str]) -> dict[str, SetScores]:
    """Score a predictor on sets of photos: at native size, void ignored, counts pooled over each set.

    Args:
        predictor: a predictor from a model file; weights in memory are never scored.
        faces: the data module, after `setup`.
        sets: names in `facesegl.data.SETS`.

    Raises:
        DataError: a set is empty, or a photo or mask has changed since the cache was opened.
    """
    if changed := faces.cache.changed_files():
        raise DataError(
            f"{a_few(map(str, changed))}: changed since this command started, so it would be scored on other data. "
            f"Score the model again with facesegl evaluate, or train again."
        )
    indices = {name: [int(index) for index in faces.indices(name)] for name in sets}
    every = sorted({index for some in indices.values() for index in some})
    of_model, of_floor = count_photos(faces, every, lambda image: predictor(image).index, floor(faces))
    both = agreement_of(faces)
    return {name: _of_set(some, faces, of_model, of_floor, both) for name, some in indices.items()}


def _of_set(
    indices: Sequence[int],
    faces: FaceDataModule,
    of_model: Mapping[int, PhotoCounts],
    of_floor: Mapping[int, PhotoCounts],
    both: Scores | None,
) -> SetScores:
    names, ids = faces.taxonomy.names, faces.ids(indices)
    by_tag: dict[str, list[PhotoCounts]] = {}
    for index in indices:
        for tag in faces.cache.rows[index].tags:
            by_tag.setdefault(tag, []).append(of_model[index])
    return SetScores(
        scores=pooled(names, (of_model[index] for index in indices)),
        floor=pooled(names, (of_floor[index] for index in indices)),
        agreement=both,
        tags={tag: pooled(names, counted) for tag, counted in by_tag.items()},
        photos={name: pooled(names, [of_model[index]]) for name, index in zip(ids, indices, strict=True)},
        counts={name: of_model[index] for name, index in zip(ids, indices, strict=True)},
    )


def save_counts(folder: Path, scored: Mapping[str, SetScores], faces: FaceDataModule, result: Result) -> None:
    """Write `counts.npz`, for comparing models on the same photos."""
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
        data=faces.source.title,
        fingerprint=faces.cache.fingerprint,
    ).write(folder)


def count_photos(faces: FaceDataModule, indices: Collection[int], *maskers: Masker) -> list[dict[int, PhotoCounts]]:
    """Compare the masks of each masker with the truth, opening each photo once.

    Args:
        faces: the data module, after `setup`.
        indices: the photos' indices in the cache.
        maskers: functions from image to mask.

    Returns:
        For each masker, a dict from index to counts.
    """
    classes = faces.taxonomy.num_classes
    # arrays: small tensors that are made between large ones would keep a page of memory each
    counts = torch.empty(len(maskers), len(indices), classes, classes, dtype=torch.int64)
    boundary = torch.empty(len(maskers), len(indices), classes, 4, dtype=torch.int64)
    for row, index in enumerate(track(indices, total=len(indices), what="scoring")):
        image, truth = faces.native(index)
        for number, masker in enumerate(maskers):
            counts[number, row], boundary[number, row] = _count(masker(image), truth, classes)
    return [dict(zip(indices, map(PhotoCounts, *both), strict=True)) for both in zip(counts, boundary, strict=True)]


def floor(faces: FaceDataModule) -> Masker:
    """A constant baseline: at each pixel the commonest class of the training masks, for any photo."""
    mask = commonest_classes(faces.training_masks(), faces.taxonomy.num_classes)
    known = mask[mask != VOID]
    # pixels that are void in all masks; a prediction needs a class
    mask[mask == VOID] = np.bincount(known).argmax() if known.size else 0
    return lambda image: restore_mask(mask, *image.shape[:2])


def agreement_of(faces: FaceDataModule) -> Scores | None:
    """Inter-annotator agreement: scores between two masks of the same photo; None if no photo was annotated twice."""
    num_classes = faces.taxonomy.num_classes
    pairs = ((faces.mask(one), faces.mask(other)) for one, other in faces.duplicates())
    counted = [
        PhotoCounts(agreement([pair], num_classes), boundary_counts(*pair, num_classes))
        for pair in pairs
        if not np.array_equal(*pair)  # a copy is not a second annotation
    ]
    return pooled(faces.taxonomy.names, counted) if counted else None


def _count(prediction: np.ndarray, truth: np.ndarray, num_classes: int) -> PhotoCounts:
    """The counts of two (H, W) uint8 masks."""
    counts = confusion_counts(torch.from_numpy(prediction), torch.from_numpy(truth), num_classes)
    return PhotoCounts(counts, boundary_counts(prediction, truth, num_classes))


def pooled(names: tuple[str, ...], photos: Iterable[PhotoCounts]) -> Scores:
    """The scores of a set of photos, from their pooled counts."""
    counts, boundaries = (torch.stack(both) for both in zip(*photos, strict=True))
    return summarise(names, counts, boundaries.sum(0))
