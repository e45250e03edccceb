"""Score a checkpoint file at native size, and its yardsticks by the same code."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from facesegl.console import track
from facesegl.data import FaceDataModule, resize_photo
from facesegl.labels import restore_mask
from facesegl.learning import SegmentationModule
from facesegl.scores import Scores, boundary_counts, commonest_classes, confusion_counts, summarise

TOUCHES_TEST = frozenset({"test", "test_clean", "test_strict"})
"""The sets that are made of test photos."""


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
        photos: the scores of each photo, by id.
    """

    scores: Scores
    floor: Scores
    agreement: Scores | None
    photos: Mapping[str, Scores]

    def to_dict(self) -> dict[str, Any]:
        """Builtin values for result.json; the photos' scores stand in per_image.csv."""
        return {
            "scores": self.scores.to_dict(),
            "floor": self.floor.to_dict(),
            "agreement": self.agreement.to_dict() if self.agreement else None,
        }


def sets_to_score(asked: str, faces: FaceDataModule) -> list[str]:
    """`test` stands for all sets of test photos that are not empty; any other set for itself."""
    if asked != "test":
        return [asked]
    whole = ["test", *(name for name in ("test_clean", "test_strict") if faces.has(name))]
    return sorted(whole, key=lambda name: name != "test_clean")  # the headline first


def score(module: SegmentationModule, faces: FaceDataModule, sets: Sequence[str]) -> dict[str, SetScores]:
    """Score a checkpoint on sets of photos: float32, native size, void left out, counts pooled over each set.

    Args:
        module: as `SegmentationModule.load_from_checkpoint` gives it; weights still in memory are never scored.
        faces: set up.
        sets: names of `facesegl.data.SETS`.

    Raises:
        DataError: a set has no photo, or a photo or mask can no longer be read.
    """
    places = {name: faces.places(name) for name in sets}
    every = sorted({int(place) for some in places.values() for place in some})
    floor_mask = commonest_classes(faces.training_masks(), faces.taxonomy.num_classes)
    counted = {}
    for place in track(every, total=len(every), what="scoring"):
        photo, truth = faces.native(place)
        counted[place] = _count(predict(module, photo), truth, faces.taxonomy.num_classes)
    agreement, names = agreement_of(faces), faces.taxonomy.names
    return {
        name: SetScores(
            scores=_pooled(names, (counted[int(place)] for place in some)),
            floor=floor_of(faces, floor_mask, some),
            agreement=agreement,
            photos={faces.ids([place])[0]: _pooled(names, [counted[int(place)]]) for place in some},
        )
        for name, some in places.items()
    }


@torch.inference_mode()
def predict(module: SegmentationModule, photo: np.ndarray) -> np.ndarray:
    """The class of every pixel of a photo: logits at the net's size, upsampled bilinearly to the photo's, argmax.

    Args:
        module: in eval mode.
        photo: (H, W, 3) uint8, R-G-B.

    Returns:
        (H, W) uint8, class indices.
    """
    size = module.image_size
    small = torch.from_numpy(resize_photo(photo, size, size).copy()).permute(2, 0, 1)[None]
    logits = module(small.to(module.device)).float()
    large = functional.interpolate(logits, size=photo.shape[:2], mode="bilinear", align_corners=False)
    return large.argmax(1)[0].to(torch.uint8).cpu().numpy()


def floor_of(faces: FaceDataModule, mask: np.ndarray, places: Iterable[int]) -> Scores:
    """Score one and the same mask on every photo, as a model that never looks would give it.

    Args:
        faces: set up.
        mask: (S, S) uint8, per pixel the commonest class of the training masks.
        places: the photos' places in the cache.
    """
    counted = []
    for place in places:
        truth = faces.native(int(place))[1]
        counted.append(_count(restore_mask(mask, *truth.shape), truth, faces.taxonomy.num_classes))
    return _pooled(faces.taxonomy.names, counted)


def agreement_of(faces: FaceDataModule) -> Scores | None:
    """Score two people's masks of the same photos against each other; None where no photo was masked twice."""
    doubled = [(faces.native(one)[1], faces.native(other)[1]) for one, other in faces.doubled()]
    masks = [pair for pair in doubled if not np.array_equal(*pair)]  # a copy is no second opinion
    if not masks:
        return None
    return _pooled(faces.taxonomy.names, [_count(*pair, faces.taxonomy.num_classes) for pair in masks])


def _count(prediction: np.ndarray, truth: np.ndarray, num_classes: int) -> PhotoCounts:
    """Hold one mask (H, W) against another."""
    counts = confusion_counts(torch.from_numpy(prediction), torch.from_numpy(truth), num_classes)
    return PhotoCounts(counts, boundary_counts(prediction, truth, num_classes))


def _pooled(names: tuple[str, ...], photos: Iterable[PhotoCounts]) -> Scores:
    counts, boundaries = (torch.stack(both) for both in zip(*photos, strict=True))
    return summarise(names, counts, boundaries.sum(0))
