"""Batches from the cache, in an order that depends on nothing but the seed and how many batches came before."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from facesegl.data.cache import FaceCache

NOTHING = -1
"""A place that holds no sample: a black photo under a mask of void, to give every rank as many batches."""


class CachedBatch(NamedTuple):
    """A batch as the cache holds it.

    Attributes:
        photo: (B, 3, H, W) uint8, channels last in memory.
        packed: (B, H, W, ceil(C/8)) uint8, the bit-packed one-hot mask.
        places: (B,) int64, where the samples lie in the cache.
        seed: what everything random about this batch follows from.
    """

    photo: Tensor
    packed: Tensor
    places: Tensor
    seed: int


class Batch(NamedTuple):
    """A batch as the module takes it.

    Attributes:
        photo: (B, 3, H, W) uint8, or float32 after augmentation, 0 to 255.
        target: (B, H, W) int64, class indices, VOID where nothing is learnt.
        places: (B,) int64, where the samples lie in the cache.
        seed: what everything random about this batch follows from.
    """

    photo: Tensor
    target: Tensor
    places: Tensor
    seed: int


class Draw(NamedTuple):
    """Which samples make up a batch, and its seed."""

    places: np.ndarray
    seed: int


class CachedFaces(Dataset[CachedBatch]):
    """Whole batches from the cache, one gather an array."""

    def __init__(self, cache: FaceCache) -> None:
        self.cache = cache

    def __getitems__(self, draw: Draw) -> CachedBatch:
        photo, packed = self.cache.read(np.maximum(draw.places, 0))
        nothing = draw.places == NOTHING
        if nothing.any():
            photo[nothing], packed[nothing] = 0, 0
        return CachedBatch(
            photo=torch.from_numpy(photo).permute(0, 3, 1, 2),
            packed=torch.from_numpy(packed),
            places=torch.from_numpy(draw.places),
            seed=draw.seed,
        )


class BatchOrder(Sampler[Draw]):
    """Which samples come when: batch number n is a function of (seed, n), so a resumed run goes on where it was.

    Every pass over the data is shuffled anew. With several ranks each takes its share of every batch.

    Args:
        places: (N,) int64, the samples' places in the cache.
        batch_size: samples a batch and rank.
        seed: shuffles every pass; None keeps the order, and then no sample comes twice to fill a batch.
        rank: of this process.
        world_size: how many ranks there are.

    Attributes:
        start: the batch that comes first when it is next iterated over.
    """

    def __init__(self, places: np.ndarray, batch_size: int, seed: int | None, rank: int, world_size: int) -> None:
        self._places, self._batch_size, self._seed = places, batch_size, seed
        self._rank, self._world_size = rank, world_size
        self.start = 0

    def __len__(self) -> int:
        return -(-len(self._places) // (self._batch_size * self._world_size))

    def __iter__(self) -> Iterator[Draw]:
        for number in range(self.start, self.start + len(self)):
            yield Draw(self._batch(number), seed_of(self._seed or 0, number, self._rank))

    def _batch(self, number: int) -> np.ndarray:
        """This rank's share of a batch: places (B,) int64."""
        epoch, turn = divmod(number, len(self))
        order = self._order(epoch)
        step = self._batch_size * self._world_size
        batch = order[turn * step : (turn + 1) * step]
        share = -(-len(batch) // self._world_size)
        missing = share * self._world_size - len(batch)
        fill = np.full(missing, NOTHING) if self._seed is None else np.resize(order, missing)
        return np.concatenate([batch, fill])[self._rank * share : (self._rank + 1) * share]

    def _order(self, epoch: int) -> np.ndarray:
        """The places (N,) int64 in the order of one pass."""
        if self._seed is None:
            return self._places
        generator = torch.Generator().manual_seed(seed_of(self._seed, epoch))
        shuffled: np.ndarray = self._places[torch.randperm(len(self._places), generator=generator).numpy()]
        return shuffled


class FaceLoader(DataLoader[CachedBatch]):
    """Loads whole batches, in the process itself by default: for cached data, workers cost more than they give."""

    def __init__(self, faces: CachedFaces, order: BatchOrder, workers: int) -> None:
        super().__init__(
            faces,
            batch_sampler=order,  # type: ignore[arg-type] # a Draw stands for the list of indices
            num_workers=workers,
            collate_fn=_as_it_is,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=workers > 0,
            generator=torch.Generator(),  # of its own: iterating must not move the global one
        )
        self.order = order


class ResumableLoader(FaceLoader):
    """A loader whose whole state is how many batches it has given; Lightning keeps that in a checkpoint."""

    def __iter__(self) -> Iterator[CachedBatch]:  # type: ignore[override]
        for batch in super().__iter__():
            self.order.start += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """How many batches it has given."""
        return {"batches": self.order.start}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after the batches that a run of the same seed has had."""
        self.order.start = state["batches"]


def seed_of(*numbers: int) -> int:
    """One seed from several numbers, so that those of (0, 1) and (1, 0) have nothing in common."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _as_it_is(batch: Any) -> Any:
    return batch
