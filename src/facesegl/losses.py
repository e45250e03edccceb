"""Losses from logits and target to a scalar. Void pixels are ignored, and nothing synchronises with the device."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from facesegl.errors import ConfigError, DataError, FaceseglError
from facesegl.labels.taxonomy import VOID
from facesegl.text import suggestion

ClassWeights = bool | list[float] | dict[str, float]
"""Whether to weight classes by their shares; or a weight per class, by index or by name (1 for the others)."""

SMOOTH = 1.0
"""Pixels added to numerator and denominator of each Dice: they damp the gradient of a class with only a few pixels."""


class CrossEntropy(nn.Module):
    """Mean cross-entropy over the pixels that are not void, in float32; 0 with zero gradient if all are void.

    With class weights it is the weighted mean. The weights are a non-persistent buffer, so that a checkpoint loads
    strictly into a module with or without this loss.

    Shape: float logits (B, C, H, W) and an int64 target (B, H, W) -> a float32 scalar.

    Args:
        class_weights: true to weight the classes by their shares, which are set by `set_class_shares`; or the weights
            by index, or by name, which `set_class_names` resolves.

    Raises:
        ConfigError: a weight is negative or not finite, or all are 0.
    """

    weight: Tensor | None
    gamma = 0.0  # without the factor of the focal loss

    def __init__(self, class_weights: ClassWeights) -> None:
        super().__init__()
        self.class_weights = class_weights
        self.register_buffer("weight", None, persistent=False)
        if not isinstance(class_weights, bool):
            _require_weights(class_weights)

    def set_class_names(self, names: Sequence[str]) -> None:
        """Set the classes' names, which weights by index or by name have to fit.

        Args:
            names: the classes, by index.

        Raises:
            ConfigError: another number of weights, or a weight of an unknown class.
        """
        if isinstance(self.class_weights, bool):
            return
        self.weight = torch.tensor(_in_order(self.class_weights, names), dtype=torch.float32)

    def set_class_shares(self, shares: Tensor) -> None:
        """Set the classes' shares of the training pixels; only `class_weights=true` uses them.

        Args:
            shares: (C,) float, each class's share of the training fold's pixels that are not void.
        """
        if self.class_weights is True:
            self.weight = weights_from_shares(shares)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the loss of a batch.

        Args:
            logits: (B, C, H, W) float.
            target: (B, H, W) int64, class indices or VOID.

        Returns:
            A float32 scalar.
        """
        return cross_entropy(_log_probabilities(logits), target, self._weight(), self.gamma)

    def _weight(self) -> Tensor | None:
        if self.class_weights is not False and self.weight is None:
            missing = "class_shares" if self.class_weights is True else "class_names"
            raise FaceseglError(f"loss: class_weights={self.class_weights}, but call set_{missing} in setup first.")
        return self.weight


class CrossEntropyDice(CrossEntropy):
    """Cross-entropy plus `dice` times the soft Dice loss, in which small and large classes count the same.

    Args:
        class_weights: whether the cross-entropy weights the classes; Dice is not affected.
        dice: factor of the Dice loss.
    """

    def __init__(self, class_weights: ClassWeights, dice: float) -> None:
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
        entropy = cross_entropy(log_probabilities, target, self._weight())
        return entropy + self.dice * soft_dice_loss(log_probabilities.exp(), target)


class Focal(CrossEntropy):
    """Focal loss (Lin et al. 2017, arXiv:1708.02002): cross-entropy in which pixels that are already right count less.

    A pixel's cross-entropy is multiplied by (1 - p)^gamma, with p the probability of its true class. The class weights
    are the paper's alpha; the loss is the weighted mean, so that with gamma 0 it is the cross-entropy.

    Args:
        class_weights: as for `CrossEntropy`.
        gamma: 0 or more; 2 in the paper.

    Raises:
        ConfigError: a negative gamma, or as for `CrossEntropy`.
    """

    def __init__(self, class_weights: ClassWeights, gamma: float) -> None:
        super().__init__(class_weights)
        if gamma < 0:
            raise ConfigError(f"loss.gamma={gamma}: expected 0 or more; 2 is usual.")
        self.gamma = gamma


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


def cross_entropy(log_probabilities: Tensor, target: Tensor, weight: Tensor | None, gamma: float = 0.0) -> Tensor:
    """Mean of the true class's negative log-probability over the pixels that are not void, focal if `gamma` is not 0.

    Args:
        log_probabilities: (B, C, H, W) float32.
        target: (B, H, W) int64, class indices or VOID.
        weight: (C,) float32, the weight of each class, or None for equal weights.
        gamma: the exponent of the focal factor.

    Returns:
        A float32 scalar; 0 if no pixel counts.
    """
    known = target != VOID
    counting = known.sum() if weight is None else (weight[target.where(known, 0)] * known).sum()
    # reduction="none" and a separate sum: on CUDA the kernel's sum has no fixed order
    each = functional.nll_loss(log_probabilities, target, weight, ignore_index=VOID, reduction="none")
    if gamma:
        surprise = functional.nll_loss(log_probabilities, target, ignore_index=VOID, reduction="none")
        wrong = -torch.expm1(-surprise)  # 1 - p without cancellation
        each = each * wrong.clamp(min=torch.finfo(wrong.dtype).tiny) ** gamma  # 0^gamma has no gradient for gamma < 1
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


def _require_weights(weights: Sequence[float] | Mapping[str, float]) -> None:
    values = list(weights.values() if isinstance(weights, Mapping) else weights)
    if not all(math.isfinite(value) and value >= 0 for value in values) or (values and not any(values)):
        raise ConfigError(f"loss.class_weights={weights}: expected weights of 0 or more, not all 0.")


def _in_order(weights: Sequence[float] | Mapping[str, float], names: Sequence[str]) -> list[float]:
    """The weight of each class."""
    if isinstance(weights, Mapping):
        unknown = [name for name in weights if name not in names]
        if unknown:
            raise ConfigError(
                *(f"loss.class_weights.{name}: no such class; {suggestion(name, names)}" for name in unknown)
            )
        return [weights.get(name, 1.0) for name in names]
    if len(weights) != len(names):
        raise ConfigError(
            f"loss.class_weights: {len(weights)} weights for {len(names)} classes; expected one for each of "
            f"{', '.join(names)}, or a mapping by name, e.g. {{{names[-1]}: 3}}."
        )
    return list(weights)


def _log_probabilities(logits: Tensor) -> Tensor:
    """Float32 log-probabilities of logits (B, C, H, W) of any float type: bf16 is too coarse for sums over an image."""
    return functional.log_softmax(logits.float(), dim=1)
