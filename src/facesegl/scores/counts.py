"""Confusion counts, pooled over all pixels of a set, and the scores computed from them.

`counts[truth, prediction]` is int64; void is ignored.

- IoU of a class = TP / (TP + FP + FN) of the pooled counts; a class absent from truth and prediction is NaN and left
  out of the mean.
- `miou` = mean over classes, background included. `accuracy` = correct / all. Dice (F1) per class as well.
- `miou_per_photo` = mean of the mIoU of each photo: a different number, never called mIoU.
"""

import torch
from torch import Tensor
from torchmetrics import Metric

from facesegl.errors import DataError
from facesegl.labels.taxonomy import VOID


class PooledCounts(Metric):
    """The pooled confusion counts of all batches, photos and processes since the last reset.

    Args:
        num_classes: number of classes.

    Example:
        >>> metric = PooledCounts(num_classes=2)
        >>> metric.update(preds=torch.tensor([[0, 1, 1]]), target=torch.tensor([[0, 0, VOID]]))
        >>> metric.compute()
        tensor([[1, 1],
                [0, 0]])
    """

    is_differentiable = False
    full_state_update = False

    counts: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        zeros = torch.zeros(num_classes, num_classes, dtype=torch.int64)
        self.add_state("counts", zeros, dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count a batch or a photo.

        Args:
            preds: (B, H, W) or (H, W) of any integer type, class indices.
            target: the same shape, class indices or VOID.

        Raises:
            DataError: see `confusion_counts`.
        """
        self.counts = self.counts + confusion_counts(preds, target, self.num_classes)

    def compute(self) -> Tensor:
        """The (C, C) int64 counts, truth by prediction."""
        return self.counts


def confusion_counts(preds: Tensor, target: Tensor, num_classes: int) -> Tensor:
    """Count pixels by target class and predicted class; void pixels of the target are ignored.

    Args:
        preds: (..., H, W) of any integer type, class indices.
        target: the same shape, class indices or VOID.
        num_classes: number of classes.

    Returns:
        (C, C) int64, truth by prediction, on the device of the arguments.

    Raises:
        DataError: the shapes differ, a prediction is not a class, or a target is neither a class nor VOID.
    """
    if preds.shape != target.shape:
        raise DataError(
            f"scores: predictions have shape {tuple(preds.shape)} and their target {tuple(target.shape)}; expected the "
            f"same. Resize the logits to the mask before the argmax."
        )
    beyond = VOID + 1  # values out of range count in the first and the last cell, so that none goes unnoticed
    rows, columns = (values.long().clamp(-1, beyond) + 1 for values in (target, preds))
    cells = torch.bincount((rows * (beyond + 2) + columns).flatten(), minlength=(beyond + 2) ** 2)
    table = cells.view(beyond + 2, beyond + 2)
    classes = slice(1, num_classes + 1)
    counts = table[classes, classes]
    if counts.sum() + table[VOID + 1, classes].sum() != target.numel():
        raise DataError(_stray_values(table, num_classes))
    return counts.clone()


def iou(counts: Tensor) -> Tensor:
    """Intersection over union of each class: TP / (TP + FP + FN).

    Args:
        counts: (..., C, C) int64, truth by prediction.

    Returns:
        (..., C) float64; NaN for a class that is absent from truth and prediction.
    """
    correct, true, predicted = _per_class(counts)
    return correct / (true + predicted - correct)


def dice(counts: Tensor) -> Tensor:
    """Dice, or F1, of each class: 2 TP / (2 TP + FP + FN).

    Args:
        counts: (..., C, C) int64, truth by prediction.

    Returns:
        (..., C) float64; NaN for a class that is absent from truth and prediction.
    """
    correct, true, predicted = _per_class(counts)
    return 2 * correct / (true + predicted)


def miou(counts: Tensor) -> Tensor:
    """Mean IoU over the classes, background included, NaN left out.

    Args:
        counts: (..., C, C) int64, truth by prediction.

    Returns:
        (...) float64; NaN where nothing was counted.
    """
    return iou(counts).nanmean(dim=-1)


def accuracy(counts: Tensor) -> Tensor:
    """Share of correct pixels.

    Args:
        counts: (..., C, C) int64, truth by prediction.

    Returns:
        (...) float64; NaN where nothing was counted.
    """
    correct, true, _ = _per_class(counts)
    return correct.sum(dim=-1) / true.sum(dim=-1)


def miou_per_photo(counts: Tensor) -> Tensor:
    """Mean of the mIoU of each photo, photos that are all void left out.

    Args:
        counts: (N, C, C) int64, each photo's counts, truth by prediction.

    Returns:
        A float64 scalar; NaN if there are no photos.
    """
    return miou(counts).nanmean()


def _per_class(counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Correct, true and predicted pixels of each class, (..., C) float64 on the CPU, from counts (..., C, C)."""
    exact = counts.to("cpu", torch.float64)  # Apple's GPUs have no float64
    return exact.diagonal(dim1=-2, dim2=-1), exact.sum(dim=-1), exact.sum(dim=-2)


def _stray_values(table: Tensor, num_classes: int) -> str:
    """The message about values other than classes and void in a table (258, 258), target by prediction."""
    allowed = set(range(num_classes))
    found = [(table.sum(dim=dim).nonzero().flatten() - 1).tolist() for dim in (1, 0)]
    targets = sorted(set(found[0]) - allowed - {VOID})
    preds = sorted(set(found[1]) - allowed)
    return (
        f"scores: the target holds {targets or 'nothing'} and the prediction {preds or 'nothing'} besides the classes "
        f"0 to {num_classes - 1} (below 0 shown as -1, above {VOID} as {VOID + 1}); expected classes, and {VOID} for "
        f"void in the target only. Were masks and model made for the same taxonomy?"
    )
