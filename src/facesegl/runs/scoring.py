"""Score a checkpoint file at native size, and its yardsticks by the same code."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from facesegl.console import track
from facesegl.data import FaceDataModule, resize_photo
from facesegl.labels import VOID, restore_mask
from facesegl.learning import SegmentationModule
from facesegl.scores import Scores, agreement, boundary_counts, commonest_classes, confusion_counts, summarise

TOUCHES_TEST = frozenset({"test", "test_clean", "test_strict"})
"""The sets that are made of test photos."""


Predictor = Callable[[np.ndarray], np.ndarray]
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
    places = {name: [int(place) for place in faces.places(name)] for name in sets}
    every = sorted({place for some in places.values() for place in some})
    of_model, of_floor = count_photos(faces, every, partial(predict, module), floor(faces))
    both, names = agreement_of(faces), faces.taxonomy.names
    return {
        name: SetScores(
            scores=pooled(names, (of_model[place] for place in some)),
            floor=pooled(names, (of_floor[place] for place in some)),
            agreement=both,
            photos={faces.ids([place])[0]: pooled(names, [of_model[place]]) for place in some},
        )
        for name, some in places.items()
    }


def count_photos(
    faces: FaceDataModule, places: Collection[int], *predictors: Predictor
) -> list[dict[int, PhotoCounts]]:
    """Hold the masks that each predictor gives against the truth, each photo opened once.

    Args:
        faces: set up.
        places: the photos' places in the cache.
        predictors: what gives a mask for a photo.

    Returns:
        For each predictor, place to counts.
    """
    counted: list[dict[int, PhotoCounts]] = [{} for _ in predictors]
    for place in track(places, total=len(places), what="scoring"):
        photo, truth = faces.native(place)
        for counts, predictor in zip(counted, predictors, strict=True):
            counts[place] = _count(predictor(photo), truth, faces.taxonomy.num_classes)
    return counted


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


def floor(faces: FaceDataModule) -> Predictor:
    """A model that never looks: at each pixel the commonest class of the training masks, whatever the photo."""
    mask = commonest_classes(faces.training_masks(), faces.taxonomy.num_classes)
    known = mask[mask != VOID]
    mask[mask == VOID] = np.bincount(known).argmax() if known.size else 0  # it has to say something there too
    return lambda photo: restore_mask(mask, *photo.shape[:2])


def agreement_of(faces: FaceDataModule) -> Scores | None:
    """Score two people's masks of the same photos against each other; None where no photo was masked twice."""
    doubled = [(faces.mask(one), faces.mask(other)) for one, other in faces.doubled()]
    masks = [pair for pair in doubled if not np.array_equal(*pair)]  # a copy is no second opinion
    if not masks:
        return None
    num_classes = faces.taxonomy.num_classes
    counted = (PhotoCounts(agreement([pair], num_classes), boundary_counts(*pair, num_classes)) for pair in masks)
    return pooled(faces.taxonomy.names, counted)


def _count(prediction: np.ndarray, truth: np.ndarray, num_classes: int) -> PhotoCounts:
    """Hold one mask (H, W) against another."""
    counts = confusion_counts(torch.from_numpy(prediction), torch.from_numpy(truth), num_classes)
    return PhotoCounts(counts, boundary_counts(prediction, truth, num_classes))


def pooled(names: tuple[str, ...], photos: Iterable[PhotoCounts]) -> Scores:
    """The scores of a set of photos from the counts of each."""
    counts, boundaries = (torch.stack(both) for both in zip(*photos, strict=True))
    return summarise(names, counts, boundaries.sum(0))
