"""Losses from logits and target to a scalar. Void pixels are ignored, and nothing synchronises with the device."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from facesegl.errors import DataError, FaceseglError
from facesegl.labels.taxonomy import VOID

SMOOTH = 1.0
"""Pixels added to numerator and denominator of each Dice: they damp the gradient of a class with only a few pixels."""


class CrossEntropy(nn.Module):
    """Mean cross-entropy over the pixels that are not void, in float32; 0 with zero gradient if all are void.

    With class weights it is the weighted mean. The weights are a non-persistent buffer, so that a checkpoint loads
    strictly into a module with or without this loss.

    Shape: float logits (B, C, H, W) and an int64 target (B, H, W) -> a float32 scalar.

    Args:
        class_weights: whether to weight the classes by their shares, which are set by `set_class_shares`.
    """

    weight: Tensor | None

    def __init__(self, class_weights: bool) -> None:
        super().__init__()
        self.class_weights = class_weights
        self.register_buffer("weight", None, persistent=False)

    def set_class_shares(self, shares: Tensor) -> None:
        """Set the classes' shares of the training pixels; without class weights they have no effect.

        Args:
            shares: (C,) float, each class's share of the training fold's pixels that are not void.
        """
        if self.class_weights:
            self.weight = weights_from_shares(shares)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the loss of a batch.

        Args:
            logits: (B, C, H, W) float.
            target: (B, H, W) int64, class indices or VOID.

        Returns:
            A float32 scalar.
        """
        return self._cross_entropy(_log_probabilities(logits), target)

    def _cross_entropy(self, log_probabilities: Tensor, target: Tensor) -> Tensor:
        if self.class_weights and self.weight is None:
            raise FaceseglError(
                "loss: class_weights=true, but no class shares are set; call set_class_shares in setup."
            )
        return cross_entropy(log_probabilities, target, self.weight)


class CrossEntropyDice(CrossEntropy):
    """Cross-entropy plus `dice` times the soft Dice loss, in which small and large classes count the same.

    Args:
        class_weights: whether the cross-entropy weights the classes; Dice is not affected.
        dice: factor of the Dice loss.
    """

    def __init__(self, class_weights: bool, dice: float) -> None:
        super().__init__(class_weights)
        self.dice = dice

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the loss of a batch.

        Args:
            logits: (B, C, H, W) float.
            target: (B, H, W) int64, class indices or VOID.

        Returns:
            A float32 scalar.
        """
        log_probabilities = _log_probabilities(logits)
        entropy = self._cross_entropy(log_probabilities, target)
        return entropy + self.dice * soft_dice_loss(log_probabilities.exp(), target)


def weights_from_shares(shares: Tensor) -> Tensor:
    """Class weights that balance rare and common classes: the inverse square root of the share, with a mean of one.

    The full inverse would give a pixel of FASSEG's eyes some hundred times the weight of one of its background. A class
    without a pixel has weight 0 and is left out of the mean.

    Args:
        shares: (C,) float, each class's share of the pixels.

    Returns:
        (C,) float32.

    Raises:
        DataError: no class has a share.

    Example:
        >>> weights_from_shares(torch.tensor([0.64, 0.04, 0.0]))
        tensor([0.4000, 1.6000, 0.0000])
    """
    present = shares > 0
    if not present.any():
        raise DataError(
            "loss: the training masks have no pixel of any class, so there are no shares to weight by; expected masks "
            "that are not all void."
        )
    weights = torch.where(present, shares, torch.inf).double().rsqrt()
    return (weights / weights[present].mean()).float()


def cross_entropy(log_probabilities: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    """Mean of the true class's negative log-probability over the pixels that are not void.

    Args:
        log_probabilities: (B, C, H, W) float32.
        target: (B, H, W) int64, class indices or VOID.
        weight: (C,) float32, the weight of each class, or None for equal weights.

    Returns:
        A float32 scalar; 0 if no pixel counts.
    """
    known = target != VOID
    counting = known.sum() if weight is None else (weight[target.where(known, 0)] * known).sum()
    # reduction="none" and a separate sum: on CUDA the kernel's sum has no fixed order
    each = functional.nll_loss(log_probabilities, target, weight, ignore_index=VOID, reduction="none")
    return each.sum() / counting.where(counting > 0, 1)


def soft_dice_loss(probabilities: Tensor, target: Tensor) -> Tensor:
    """One minus the mean Dice of the predicted probabilities, pooled over the batch.

    A class's Dice is (2 sum(p t) + SMOOTH) / (sum(p) + sum(t) + SMOOTH), with p its probability and t 1 where it is
    true, else 0, over the pixels that are not void: Milletari et al., V-Net (3DV 2016), with plain sums in the
    denominator instead of squares, as in nnU-Net. The mean is over the classes in the batch's target: the Dice of an
    absent class is near 0 until all its probabilities are, which is noise on a batch of four, and cross-entropy
    penalises it already.

    Args:
        probabilities: (B, C, H, W) float32, summing to one over C.
        target: (B, H, W) int64, class indices or VOID.

    Returns:
        A float32 scalar; 0 if all pixels are void.
    """
    pixels = (0, 2, 3)
    classes = torch.arange(probabilities.shape[1], device=target.device)
    true = target[:, None] == classes[:, None, None]  # (B, C, H, W) bool: an eighth of an int64 one-hot
    size = true.sum(pixels)
    common = (probabilities * true).sum(pixels)
    predicted = (probabilities * (target != VOID)[:, None]).sum(pixels)
    loss = 1 - (2 * common + SMOOTH) / (predicted + size + SMOOTH)
    present = size > 0
    return (loss * present).sum() / present.sum().clamp(min=1)


def _log_probabilities(logits: Tensor) -> Tensor:
    """Float32 log-probabilities of logits (B, C, H, W) of any float type: bf16 is too coarse for sums over an image."""
    return functional.log_softmax(logits.float(), dim=1)
