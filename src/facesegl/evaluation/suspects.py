"""Rank photos by how much their masks disagree with models that were not trained on them.

The IoU of each class in a photo is compared with the pooled one of all photos, so that a class which is hard everywhere
makes no photo suspect. Before that it is shrunk towards the pooled one, as if the photo had another area of the class,
of mean size: the IoU of a few pixels, an eye in profile, is mostly noise. docs/results.md measures how well this ranks.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from facesegl.evaluation.counts_file import SavedCounts
from facesegl.scores.counts import iou, miou

HELD_OUT = "val"
"""The set of photos that a run was not trained on."""


class Suspect(NamedTuple):
    """A photo and the class of its mask that disagrees most.

    Attributes:
        photo: its id.
        disagreement: that of this class, 0 (no more than in other photos) to 1; 0.5 if all of its usual area is wrong.
        miou: the photo's own mIoU.
        cls: the class that disagrees most.
        iou: its IoU in this photo.
        fact: how it disagrees, in words.
        models: how many models predicted the photo.
    """

    photo: str
    disagreement: float
    miou: float
    cls: str
    iou: float
    fact: str
    models: int


def rank_suspects(runs: Sequence[SavedCounts]) -> list[Suspect]:
    """Rank the held-out photos of cross-validated runs, the most suspect first; photos that are all void are left out.

    The counts of a photo that several models have predicted are pooled.

    Args:
        runs: the counts of runs that held out different photos, with the same classes.
    """
    pooled: dict[str, np.ndarray] = {}
    models: dict[str, int] = {}
    for run in runs:
        for photo in run.sets.get(HELD_OUT, ()):
            counts = run.counts[run.photos.index(photo)]
            pooled[photo] = pooled.get(photo, 0) + counts
            models[photo] = models.get(photo, 0) + 1
    photos = [photo for photo, counts in pooled.items() if counts.any()]
    if not photos:
        return []
    counts = torch.from_numpy(np.stack([pooled[photo] for photo in photos]))
    disagreement, worst = (1 - _relative_iou(counts)).clamp(min=0).max(dim=1)
    names = runs[0].classes
    columns = (photos, disagreement.tolist(), miou(counts).tolist(), worst.tolist(), iou(counts).tolist())
    found = [
        Suspect(photo, score, mean, names[cls], ious[cls], _fact(pooled[photo], cls, names), models[photo])
        for photo, score, mean, cls, ious in zip(*columns, strict=True)
    ]
    return sorted(found, key=lambda one: (-one.disagreement, one.miou))


def _relative_iou(counts: Tensor) -> Tensor:
    """The shrunk IoU of each class in each photo relative to the pooled one, (N, C) float64, of counts (N, C, C)."""
    shares = counts / counts.sum(dim=(1, 2), keepdim=True).double()  # photos of all sizes count alike
    correct = shares.diagonal(dim1=1, dim2=2)
    union = shares.sum(dim=1) + shares.sum(dim=2) - correct
    pooled = correct.mean(dim=0) / union.mean(dim=0)
    # a class that no photo has, or that no model finds, says nothing
    return ((correct / pooled + union.mean(dim=0)) / (union + union.mean(dim=0))).nan_to_num(nan=1.0)


def _fact(counts: np.ndarray, cls: int, names: Sequence[str]) -> str:
    """How a class disagrees in one photo, given its counts (C, C), truth by prediction."""
    if not counts[cls].any():
        return "the mask has none"
    if not counts[:, cls].any():
        return "none is predicted"
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    wrong[[other for other in range(len(names)) if other != cls]] *= np.arange(len(names)) == cls
    truth, predicted = np.unravel_index(wrong.argmax(), wrong.shape)
    return f"mostly {names[int(predicted)]} predicted where the mask has {names[int(truth)]}"
