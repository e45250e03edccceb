"""Averaged weights: smoother than the last ones, and what is validated, saved and scored."""

import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor

from facesegl.errors import ConfigError


class AveragedWeights(WeightAveraging):
    """An exponential moving average that forgets fast at first, so that the untrained weights do not linger.

    The decay of update n is min(decay, (1 + n) / (10 + n)), as TensorFlow's ExponentialMovingAverage has it.

    Args:
        decay: what it rises to; the average then reaches back about 1 / (1 - decay) steps.
    """

    def __init__(self, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ConfigError(f"callbacks.averaging.decay={decay}: expected 0 to just below 1; 0.99 is usual.")
        super().__init__(multi_avg_fn=_Decay(decay))


class _Decay:
    """A class, not a closure: with `spawn` callbacks are sent to other processes."""

    def __init__(self, decay: float) -> None:
        self.decay = decay

    @torch.no_grad()
    def __call__(
        self,
        averaged: "tuple[Tensor, ...] | list[Tensor]",
        current: "tuple[Tensor, ...] | list[Tensor]",
        count: "Tensor | int",
    ) -> None:
        """Update averages in place; tensors of any shape, `count` updates after the first."""
        weight = 1 - torch.clamp((1 + torch.as_tensor(count)) / (10 + torch.as_tensor(count)), max=self.decay)
        for average, value in zip(averaged, current, strict=True):
            if average.is_floating_point():
                average.lerp_(value, weight.to(average))
            else:
                average.copy_(value)  # batch norm's count of batches is no average
