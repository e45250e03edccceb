"""Synthetic faces in training batches: their share, and which samples a batch has."""

import math
from collections.abc import Callable

import numpy as np

from facesegl.data.dataset import BatchOrder

_MOST, _ENOUGH = 0.5, 15  # the share at one photo, and the number of photos from which it is 0

Share = tuple[float, float]
"""The share of synthetic samples in the first and in the last training batch, 0 to 1; linear in between."""


def automatic_share(photos: int) -> float:
    """The share of synthetic samples that `data.synthetic_share=auto` resolves to.

    Example:
        >>> [automatic_share(photos) for photos in (1, 5, 10, 15, 100)]
        [0.5, 0.36, 0.18, 0.0, 0.0]
    """
    return round(_MOST * max(_ENOUGH - photos, 0) / (_ENOUGH - 1), 2)


class MixedOrder(BatchOrder):
    """Full batches of photos and synthetic faces; batch number n is a function of (seed, n), as without them.

    An epoch has as many batches as without synthetic faces. Photos are shuffled in passes that continue across epochs:
    a photo is repeated only after all others. The number of synthetic samples up to any batch is the sum of the shares,
    rounded.

    Args:
        indices: (N,) int64, the photos' indices.
        batch_size: samples per batch and rank.
        seed: shuffles photos and synthetic faces.
        rank: of this process.
        world_size: the number of ranks.
        synthetic: (M,) int64, the synthetic faces' indices.
        share: the first and the last batch's share of synthetic samples.
        total: returns the number of batches in the whole training.
    """

    def __init__(
        self,
        indices: np.ndarray,
        batch_size: int,
        seed: int,
        rank: int,
        world_size: int,
        *,
        synthetic: np.ndarray,
        share: Share,
        total: Callable[[], float],
    ) -> None:
        super().__init__(indices, batch_size, seed, rank, world_size)
        self._synthetic, self._share, self._total = synthetic, share, total

    def _batch(self, number: int) -> np.ndarray:
        step = self._batch_size * self._world_size
        start, stop = self._synthetic_before(number), self._synthetic_before(number + 1)
        photos = self._slice(self._indices, number * step - start, (number + 1) * step - stop)
        batch = np.concatenate([photos, self._slice(self._synthetic, start, stop, 0, 1)])
        return batch[self._rank :: self._world_size]  # every rank has its part of both

    def _synthetic_before(self, number: int) -> int:
        """The number of synthetic samples in all batches before this one."""
        first, last = self._share
        total = self._total() if first != last else 1
        falling = min(number, total)
        mean = first + (last - first) * max(falling - 1, 0) / max(total - 1, 1) / 2
        samples = self._batch_size * self._world_size * (mean * falling + last * (number - falling))
        return math.floor(samples + 0.5)

    def _slice(self, indices: np.ndarray, start: int, stop: int, *numbers: int) -> np.ndarray:
        """The samples `start` to `stop` of endless shuffled passes over the indices; `numbers` vary their seeds."""
        passes = range(start // len(indices), -(-stop // len(indices)))
        first = start // len(indices) * len(indices)  # the sample at which the first of them begins
        orders = (self._shuffled(indices, each, *numbers) for each in passes)
        parts = [
            order[max(start - first - i * len(indices), 0) : stop - first - i * len(indices)]
            for i, order in enumerate(orders)
        ]
        return np.concatenate([indices[:0], *parts])
