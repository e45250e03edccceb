"""Batches from the cache, in an order that depends only on the seed and on the number of batches before."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from facesegl.user_modules import current_folder

if TYPE_CHECKING:
    from facesegl.data.cache import FaceCache

PADDING = -1
"""The index of a padding sample, a black image that is all void: every rank has the same number of batches."""


class CachedBatch(NamedTuple):
    """A batch as it is stored in the cache.

    Attributes:
        image: (B, 3, H, W) uint8, channels last in memory.
        packed: (B, H, W, ceil(C/8)) uint8, the bit-packed one-hot mask.
        indices: (B,) int64, the samples' indices: in the cache, and after its photos the synthetic faces.
        seed: the seed of everything random about this batch.
    """

    image: Tensor
    packed: Tensor
    indices: Tensor
    seed: int


class Batch(NamedTuple):
    """A batch for the LightningModule.

    Attributes:
        image: (B, 3, H, W) uint8, or float32 after augmentation, 0 to 255.
        target: (B, H, W) int64, class indices, or VOID for pixels that the loss ignores.
        indices: (B,) int64, the samples' indices, as in `CachedBatch`.
        seed: the seed of everything random about this batch.
    """

    image: Tensor
    target: Tensor
    indices: Tensor
    seed: int


class BatchIndices(NamedTuple):
    """The samples of a batch, (B,) int64, and its seed."""

    indices: np.ndarray
    seed: int


class CachedFaces(Dataset[CachedBatch]):
    """Whole batches from the cache, one gather per array; indices after its photos are those of synthetic faces."""

    def __init__(self, cache: "FaceCache", synthetic: "FaceCache | None" = None) -> None:
        self.modules = current_folder  # pickled first: a spawned worker imports the class of a custom source
        self.cache, self.synthetic = cache, synthetic

    def __getitems__(self, batch: BatchIndices) -> CachedBatch:
        photos = len(self.cache.rows)
        padding, drawn = batch.indices == PADDING, batch.indices >= photos
        image, packed = self.cache.read(np.where(padding | drawn, 0, batch.indices))
        if padding.any():
            image[padding], packed[padding] = 0, 0
        if self.synthetic and drawn.any():
            image[drawn], packed[drawn] = self.synthetic.read(batch.indices[drawn] - photos)
        return CachedBatch(
            image=torch.from_numpy(image).permute(0, 3, 1, 2),
            packed=torch.from_numpy(packed),
            indices=torch.from_numpy(batch.indices),
            seed=batch.seed,
        )


class BatchOrder(Sampler[BatchIndices]):
    """The order of the samples: batch number n is a function of (seed, n), so that a resumed run continues exactly.

    Every epoch is reshuffled. Several ranks share every batch.

    Args:
        indices: (N,) int64, the samples' indices in the cache.
        batch_size: samples per batch and rank.
        seed: shuffles every epoch; None keeps the order, and pads the last batch instead of repeating samples.
        rank: of this process.
        world_size: the number of ranks.

    Attributes:
        start: the number of the first batch of the next iteration.
    """

    def __init__(self, indices: np.ndarray, batch_size: int, seed: int | None, rank: int, world_size: int) -> None:
        self._indices, self._batch_size, self._seed = indices, batch_size, seed
        self._rank, self._world_size = rank, world_size
        self._passes: dict[tuple[int, ...], np.ndarray] = {}
        self.start = 0

    def __len__(self) -> int:
        return -(-len(self._indices) // (self._batch_size * self._world_size))

    def smallest_batch(self) -> int:
        """The number of samples in the last batch of an epoch, which may be smaller than the others."""
        return len(self._batch(len(self) - 1))

    def __iter__(self) -> Iterator[BatchIndices]:
        for number in range(self.start, self.start + len(self)):
            yield BatchIndices(self._batch(number), seed_of(self._seed or 0, number, self._rank))

    def _batch(self, number: int) -> np.ndarray:
        """This rank's share of a batch: (B,) int64."""
        epoch, turn = divmod(number, len(self))
        order = self._order(epoch)
        step = self._batch_size * self._world_size
        batch = order[turn * step : (turn + 1) * step]
        share = -(-len(batch) // self._world_size)
        missing = share * self._world_size - len(batch)
        fill = np.full(missing, PADDING) if self._seed is None else np.resize(order, missing)
        return np.concatenate([batch, fill])[self._rank * share : (self._rank + 1) * share]

    def _order(self, epoch: int) -> np.ndarray:
        """The indices of an epoch: (N,) int64."""
        return self._indices if self._seed is None else self._shuffled(self._indices, epoch)

    def _shuffled(self, indices: np.ndarray, *numbers: int) -> np.ndarray:
        """`shuffled` with the seed; the last orders are kept, since each of their batches needs them."""
        if numbers not in self._passes:
            self._passes = dict([*self._passes.items()][-3:])
            self._passes[numbers] = shuffled(indices, self._seed or 0, *numbers)
        return self._passes[numbers]


class FaceLoader(DataLoader[CachedBatch]):
    """Loads whole batches; `workers=0` is usually fastest, since the data are cached."""

    def __init__(self, faces: CachedFaces, order: BatchOrder, workers: int) -> None:
        super().__init__(
            faces,
            batch_sampler=order,  # type: ignore[arg-type] # BatchIndices instead of a list of indices
            num_workers=workers,
            collate_fn=_identity,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=workers > 0,
            generator=torch.Generator(),  # separate, so that iterating does not advance the global one
        )
        self.order = order


class ResumableLoader(FaceLoader):
    """A loader whose state is the number of batches so far, which Lightning saves in checkpoints."""

    def __iter__(self) -> Iterator[CachedBatch]:  # type: ignore[override]
        for batch in super().__iter__():
            self.order.start += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """The number of batches so far."""
        return {"batches": self.order.start}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue after the batches of a run with the same seed."""
        self.order.start = state["batches"]


def shuffled(indices: np.ndarray, *numbers: int) -> np.ndarray:
    """The indices, (N,) int64, in an order that follows from some numbers."""
    generator = torch.Generator().manual_seed(seed_of(*numbers))
    order: np.ndarray = indices[torch.randperm(len(indices), generator=generator).numpy()]
    return order


def seed_of(*numbers: int) -> int:
    """One seed from several numbers, unrelated for (0, 1) and (1, 0)."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _identity(batch: Any) -> Any:
    return batch
