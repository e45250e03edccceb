"""The LightningDataModule: cached faces, folds, loaders and the sets that are scored."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from facesegl.config.schema import SETS
from facesegl.data.augment import Augment, unpack_masks
from facesegl.data.cache import FaceCache, identical_photos
from facesegl.data.dataset import Batch, BatchOrder, CachedBatch, CachedFaces, FaceLoader, ResumableLoader
from facesegl.data.folds import assign_folds
from facesegl.errors import ConfigError, DataError
from facesegl.labels.onehot import unpack_onehot
from facesegl.labels.sides import likely_pairs
from facesegl.labels.taxonomy import Taxonomy
from facesegl.sources.photo import open_photo
from facesegl.sources.source import Source

log = logging.getLogger(__name__)


class FaceDataModule(pl.LightningDataModule):
    """Labelled faces for training, validation and test.

    Args:
        source: where photos and masks lie.
        taxonomy: the classes, as `Taxonomy.from_mapping` takes them, or a `Taxonomy`; None for those that the source's
            own files say.
        image_size: height and width of what the net sees, pixels.
        batch_size: photos a batch and device.
        fold: which part of the training photos is held out for validation; None learns from all of them.
        folds: into how many parts the training photos are dealt.
        strict: whether a mask of another size than its photo is an error; otherwise it is left out and named.
        workers: processes that read ahead; 0 reads in the process itself.
        fold_seed: deals the folds.
        seed: shuffles and augments.
        cache: the folder of all caches.
        augment: what is done to training batches; None for nothing.

    Raises:
        ConfigError: arguments that contradict each other.
    """

    def __init__(
        self,
        source: Source,
        taxonomy: Taxonomy | Mapping[str, Any] | None,
        image_size: int,
        batch_size: int,
        fold: int | None,
        folds: int,
        fold_seed: int,
        strict: bool,
        workers: int,
        seed: int,
        cache: str,
        augment: Augment | None = None,
    ) -> None:
        super().__init__()
        self.source, self.augment = source, augment
        self.taxonomy = _taxonomy(source, taxonomy)
        self.image_size, self.batch_size, self.workers = image_size, batch_size, workers
        self.fold, self.folds, self.fold_seed = fold, folds, fold_seed
        self.strict, self.seed, self.cache_root = strict, seed, Path(cache)
        _require_sensible(image_size, batch_size, fold, folds, workers)
        self._cache: FaceCache | None = None
        self._training_loader: ResumableLoader | None = None
        self._loader_state = {"batches": 0}
        self._generator = torch.Generator()
        self._mirror = torch.from_numpy(self.taxonomy.mirrored())

    def prepare_data(self) -> None:
        """Build the cache, or find it built.

        Raises:
            DataError: what is wrong with photos and masks, all told at once.
        """
        if self._cache is None:
            cache = FaceCache(self.source, self.taxonomy, self.image_size, self.cache_root)
            if self.strict and cache.left_out:
                raise DataError(*(f"{why}, which data.strict=true refuses." for why in cache.left_out.values()))
            for name, why in cache.left_out.items():
                log.warning("%s; %s is left out: a stretched mask would be a wrong one.", why, name)
            self._cache = cache

    def setup(self, stage: str | None = None) -> None:
        """Split into training, validation and test photos.

        Raises:
            DataError: nothing to learn from, or fewer persons than folds.
        """
        self.prepare_data()
        training = self._of_split("train")
        own_val = self._of_split("val")
        self.fold_of: dict[str, int] = {}
        if self.fold is not None and not own_val.size:
            groups = {self.cache.rows[place].id: self.cache.rows[place].group for place in training}
            self.fold_of = assign_folds(groups, self.folds, self.fold_seed)
        held_out = np.array([self.fold_of.get(name, -1) == self.fold for name in self.ids(training)], dtype=bool)
        self.train, self.val = training[~held_out], own_val if own_val.size else training[held_out]
        self.test = self._of_split("test")
        if not self.train.size:
            raise DataError(f"{self.source.name}: no photo to learn from; expected labelled training photos.")

    @property
    def cache(self) -> FaceCache:
        """The opened cache."""
        self.prepare_data()
        assert self._cache is not None
        return self._cache

    @property
    def held_out(self) -> str:
        """The set that training ends with scoring: `val`, or `test` where nothing is held out to choose by."""
        return "val" if self.val.size else "test"

    def places(self, name: str) -> np.ndarray:
        """The places in the cache, (N,) int64, of one of `SETS`.

        Raises:
            ConfigError: no such set.
            DataError: the set has no photo.
        """
        places = self._places(name)
        if not places.size and name == "val":
            raise ConfigError(
                "set=val: no photo is held out (data.fold=null). Score others with set=test or set=train."
            )
        if not places.size:
            remedy = "" if name == "train" else " Score others with set=val or set=train."
            raise DataError(f"{self.source.name}: the set {name} has no photo ({SETS[name]}).{remedy}")
        return places

    def has(self, name: str) -> bool:
        """Whether a set has a photo."""
        return self._places(name).size > 0

    def ids(self, places: "Iterable[int] | np.ndarray | Tensor") -> list[str]:
        """The samples' ids at places in the cache."""
        return [self.cache.rows[int(place)].id for place in places]

    def native(self, place: int) -> tuple[np.ndarray, np.ndarray]:
        """A photo, (H, W, 3) uint8, and its mask, (H, W) uint8, decoded from their files at native size."""
        return open_photo(self.cache.samples[place].photo), self.mask(place)

    def mask(self, place: int) -> np.ndarray:
        """A mask, (H, W) uint8, decoded from its file at native size."""
        return self.source.read_mask(self.cache.samples[place], self.taxonomy).mask

    def doubled(self) -> list[tuple[int, int]]:
        """Places of photos with identical pixels, in pairs: each has a mask of its own."""
        return list(identical_photos(row.pixels for row in self.cache.rows))

    def summary(self) -> dict[str, Any]:
        """What a record says of the data: name, fingerprint, classes, numbers of photos, what was left out."""
        return {
            "name": self.source.name,
            "fingerprint": self.cache.fingerprint,
            "classes": self.taxonomy.to_mapping()["classes"],
            "photos": {"train": len(self.train), "val": len(self.val), "test": len(self.test)},
            "left_out": self.cache.left_out,
        }

    def training_masks(self) -> Iterator[np.ndarray]:
        """The masks that are learnt from, (S, S) uint8 each, at the cache's size."""
        for place in self.train:
            yield unpack_onehot(self.cache.read(np.array([place]))[1][0])

    def normalisation(self) -> dict[str, list[float]]:
        """Mean and standard deviation of red, green, blue (0 to 255) over the photos that are learnt from."""
        total, squares = np.zeros(3), np.zeros(3)
        for place in self.train:
            pixels = self.cache.read(np.array([place]))[0].reshape(-1, 3).astype(np.float64)
            total += pixels.mean(axis=0)
            squares += (pixels**2).mean(axis=0)
        mean = total / len(self.train)
        deviation = np.sqrt(np.maximum(squares / len(self.train) - mean**2, 0))
        return {"mean": mean.tolist(), "std": np.maximum(deviation, 1.0).tolist()}

    def facts(self) -> dict[str, Any]:
        """What a model's card holds of the data it was trained on: name, fingerprint, taxonomy, image size, ..."""
        return {
            "name": self.source.name,
            "fingerprint": self.cache.fingerprint,
            "taxonomy": self.taxonomy.to_mapping(),
            "normalisation": self.normalisation(),
            "image_size": self.image_size,
        }

    def class_shares(self) -> Tensor:
        """Each class's share of the pixels that are learnt from, where all photos are of one size: (C,) float64."""
        counts = np.array([self.cache.rows[place].class_pixels for place in self.train], dtype=np.float64)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        return torch.from_numpy(shares.sum(axis=0) / max(shares.sum(), 1))

    def preview(self, count: int) -> tuple[str, Batch, list[str]]:
        """Some photos to look at during training: the set's name, the batch without augmentation, and its ids."""
        name, places = ("val", self.val) if self.val.size else ("train", self.train)
        order = BatchOrder(places[:count], count, None, 0, 1)
        batch = CachedFaces(self.cache).__getitems__(next(iter(order)))
        return name, _unpacked(batch), self.ids(batch.places)

    def preview_augmented(self, count: int) -> tuple[Batch, Batch, list[str]]:
        """Some photos that are learnt from: as they are, as augmentation turns them, and their ids."""
        order = BatchOrder(self.train[:count], count, None, 0, 1)
        batch = CachedFaces(self.cache).__getitems__(next(iter(order)))
        return _unpacked(batch), self._augmented(batch), self.ids(batch.places)

    def train_dataloader(self) -> ResumableLoader:
        """Shuffled batches of the photos that are learnt from; the first comes after those that a resumed run had."""
        loader = ResumableLoader(CachedFaces(self.cache), self._order(self.train, self.seed), self.workers)
        loader.load_state_dict(self._loader_state)
        self._training_loader = loader
        return loader

    def val_dataloader(self) -> FaceLoader | list[Any]:
        """Batches of the held-out photos at the cache's size, or nothing."""
        if not self.val.size:
            return []
        return FaceLoader(CachedFaces(self.cache), self._order(self.val, None), self.workers)

    def state_dict(self) -> dict[str, int]:
        """The place in the data. Lightning restores it before it asks for a loader, unlike a loader's own state."""
        return self._training_loader.state_dict() if self._training_loader else self._loader_state

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on where a run of the same seed was."""
        self._loader_state = state_dict

    def on_after_batch_transfer(self, batch: CachedBatch, dataloader_idx: int) -> Batch:
        """Unpack a batch on its device, and augment it there if it is to be learnt from."""
        learnt = self.trainer is not None and self.trainer.training
        return self._augmented(batch) if learnt else _unpacked(batch)

    def _augmented(self, batch: CachedBatch) -> Batch:
        if self.augment is None:
            return _unpacked(batch)
        # a stream apart from the one that the module's dropout takes from the same seed
        self._generator.manual_seed(batch.seed + 1)
        photo, mask = self.augment(
            batch.photo,
            unpack_masks(batch.packed),
            mirror=self._mirror,
            generator=self._generator,
        )
        return Batch(photo, mask.long(), batch.places, batch.seed)

    def _places(self, name: str) -> np.ndarray:
        if name not in SETS:
            raise ConfigError(f"set={name}: no such set; expected one of {', '.join(SETS)}.")
        rows, training = self.cache.rows, [self.cache.rows[place] for place in self._of_split("train")]
        if name == "test_clean":
            known = {row.pixels for row in training}
            return np.array([place for place in self.test if rows[place].pixels not in known], dtype=np.int64)
        if name == "test_strict":
            known = {row.group for row in training}
            return np.array([place for place in self.test if rows[place].group not in known], dtype=np.int64)
        named: np.ndarray = {"train": self.train, "val": self.val, "test": self.test}[name]
        return named

    def _of_split(self, split: str) -> np.ndarray:
        places = [place for place, row in enumerate(self.cache.rows) if row.split == split]
        return np.array(places, dtype=np.int64)

    def _order(self, places: np.ndarray, seed: int | None) -> BatchOrder:
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return BatchOrder(places, self.batch_size, seed, rank, world_size)


def _taxonomy(source: Source, given: Taxonomy | Mapping[str, Any] | None) -> Taxonomy:
    """The classes; classes that look like two sides of one thing and are no pair are told once."""
    if given is None:
        return source.own_taxonomy()
    if isinstance(given, Taxonomy):
        return given
    taxonomy = Taxonomy.from_mapping(given)
    if "pairs" not in given and (found := likely_pairs(taxonomy.names)):
        log.warning(
            "data.taxonomy: %s look like left and right of one thing, and a flip will mix them up. Say it in the YAML: "
            "`pairs: [%s]`, or `pairs: []` if they are not.",
            ", ".join(" and ".join(pair) for pair in found),
            ", ".join(f"[{', '.join(pair)}]" for pair in found),
        )
    return taxonomy


def _unpacked(batch: CachedBatch) -> Batch:
    return Batch(batch.photo, unpack_masks(batch.packed).long(), batch.places, batch.seed)


def _require_sensible(image_size: int, batch_size: int, fold: int | None, folds: int, workers: int) -> None:
    problems = [
        f"data.{name}={value}: expected {least} or more."
        for name, value, least in (
            ("image_size", image_size, 1),
            ("batch_size", batch_size, 1),
            ("folds", folds, 2),
            ("workers", workers, 0),
        )
        if value < least
    ]
    if fold is not None and not 0 <= fold < folds:
        problems.append(
            f"data.fold={fold}: expected 0 to {folds - 1}, since data.folds={folds}, or null to learn from all "
            f"training photos."
        )
    if problems:
        raise ConfigError(*problems)
