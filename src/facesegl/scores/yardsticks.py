"""Two references for every test score: a constant baseline and inter-annotator agreement.

Both are scored with the same functions as a model's predictions.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from facesegl.errors import DataError
from facesegl.labels.taxonomy import VOID
from facesegl.scores.counts import confusion_counts


def commonest_classes(masks: Iterable[np.ndarray], num_classes: int) -> np.ndarray:
    """The floor, a constant baseline: at each pixel the most common class of the training masks.

    `restore_mask` resizes it to each photo. Void wins only where every mask is void; ties go to the lower index. Memory
    does not grow with the number of masks.

    Args:
        masks: each (h, w) uint8, class indices or VOID, all of one size.
        num_classes: number of classes.

    Returns:
        (h, w) uint8, class indices; VOID where every mask is void.

    Raises:
        DataError: there is no mask.

    Example:
        >>> commonest_classes([np.uint8([[1, 0]]), np.uint8([[1, 2]]), np.uint8([[0, VOID]])], num_classes=3)
        array([[1, 0]], dtype=uint8)
    """
    votes: np.ndarray | None = None  # (C, h, w)
    for mask in masks:
        if votes is None:
            votes = np.zeros((num_classes, *mask.shape), dtype=np.int32)
        for index, of_class in enumerate(votes):
            of_class += mask == index
    if votes is None:
        raise DataError("scores: no training mask to compute the floor from; expected at least one.")
    return np.where(votes.any(axis=0), votes.argmax(axis=0), VOID).astype(np.uint8)


def agreement(pairs: Iterable[tuple[np.ndarray, np.ndarray]], num_classes: int) -> Tensor:
    """Inter-annotator agreement: two people's masks of the same photos, compared with each other.

    Args:
        pairs: two masks of each photo, (H, W) uint8, class indices or VOID; the second is the truth. Pixels that are
            void in either are ignored.
        num_classes: number of classes.

    Returns:
        (C, C) int64, pooled over all pairs, second mask by first; all 0 if there are no pairs.

    Raises:
        DataError: the masks of a pair differ in size, or have invalid values.
    """
    counts = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    for mask, truth in pairs:
        first, second = (torch.from_numpy(each.astype(np.int64)) for each in (mask, truth))
        if first.shape == second.shape:  # otherwise confusion_counts raises
            second = second.where(first != VOID, VOID)
            first = first.where(first != VOID, 0)
        counts += confusion_counts(first, second, num_classes)
    return counts
