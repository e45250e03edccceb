"""All scores of a set, as they are written to a result file."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from facesegl.scores.boundary import boundary_f
from facesegl.scores.counts import accuracy, dice, iou, miou, miou_per_photo


@dataclass(frozen=True)
class Scores:
    """The scores of a set of photos. NaN means that there was nothing to score.

    Attributes:
        iou: IoU of each class by name, from the pooled counts.
        dice: Dice (F1) of each class by name, from the pooled counts.
        boundary: boundary F of each class by name, from the pooled matches.
        miou: mean of `iou`, background included, absent classes left out.
        accuracy: correct pixels / all.
        miou_per_photo: mean of the mIoU of each photo; not mIoU.
        boundary_f: mean of `boundary`, absent classes left out.
        photos: number of photos.
        confusion: number of pixels by class indices, [truth][prediction].
    """

    iou: dict[str, float]
    dice: dict[str, float]
    boundary: dict[str, float]
    miou: float
    accuracy: float
    miou_per_photo: float
    boundary_f: float
    photos: int
    confusion: list[list[int]]

    def to_dict(self) -> dict[str, Any]:
        """Builtin values for JSON, with None for NaN."""
        return {name: _without_nan(value) for name, value in asdict(self).items()}


def summarise(names: tuple[str, ...], per_photo_counts: Tensor, boundary: Tensor) -> Scores:
    """Compute all scores from the counts of a set.

    Args:
        names: the classes' names.
        per_photo_counts: (N, C, C) int64, each photo's counts, truth by prediction.
        boundary: (C, 4) int64, pooled over all photos, as from `boundary_counts`.
    """
    counts, outlines = per_photo_counts.sum(0), boundary_f(boundary)
    return Scores(
        iou=_named(names, iou(counts)),
        dice=_named(names, dice(counts)),
        boundary=_named(names, outlines),
        miou=miou(counts).item(),
        accuracy=accuracy(counts).item(),
        miou_per_photo=miou_per_photo(per_photo_counts).item(),
        boundary_f=outlines.nanmean().item(),
        photos=len(per_photo_counts),
        confusion=counts.tolist(),
    )


def _named(names: tuple[str, ...], values: Tensor) -> dict[str, float]:
    return dict(zip(names, values.tolist(), strict=True))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
