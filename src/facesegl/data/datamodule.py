"""The LightningDataModule: cached faces, loaders, and the sets that are scored."""

import logging
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from facesegl.checks.findings import Case, unfit
from facesegl.config.schema import SETS
from facesegl.data.augment import Augment, unpack_masks
from facesegl.data.cache import FaceCache, Row, identical_photos
from facesegl.data.dataset import Batch, BatchOrder, CachedBatch, CachedFaces, FaceLoader, ResumableLoader
from facesegl.data.mixing import MixedOrder, Share, automatic_share
from facesegl.errors import ConfigError, DataError
from facesegl.labels.from_parts import can_be_drawn
from facesegl.labels.onehot import unpack_onehot
from facesegl.labels.taxonomy import Taxonomy, likely_pairs
from facesegl.sources.drawn import DrawnFaces
from facesegl.sources.images import open_photo
from facesegl.sources.source import Source
from facesegl.sources.splits import assign_folds, choose
from facesegl.synthetic.parts import PARTS
from facesegl.text import number, percent

log = logging.getLogger(__name__)

_REMEDY = f"if these are faces, data.taxonomy can say so: `synthetic_as: {{PART: CLASS}}`, with {', '.join(PARTS)}"


class FaceDataModule(pl.LightningDataModule):
    """Labelled faces for training, validation and test.

    Args:
        source: the photos and masks.
        taxonomy: the classes, as `Taxonomy.from_mapping` takes them, or a `Taxonomy`; None for the classes
            that the source's files define.
        image_size: height and width of the net's input, pixels.
        batch_size: images per batch and device.
        fold: the fold of the training photos that is held out for validation; None trains on all of them.
        folds: the number of folds.
        strict: whether a mask that differs in size from its photo is an error; otherwise it is left out and reported.
        workers: processes that load batches; 0 loads them in the main process.
        fold_seed: seed of the assignment to folds.
        seed: seed of shuffling and augmentation.
        cache: the folder of all caches.
        augment: augmentation of training batches; None for none.
        synthetic_share: the share of synthetic faces in training batches, 0 to 1; the first and the last batch's share;
            or `auto`, which follows from the number of training photos.
        synthetic_faces: the number of different synthetic faces.
        photos: how many of the training photos (of the training fold) to train on; None for all. The sets of other
            photos stay as they are, so scores of different numbers can be compared.
        photos_seed: seed of the choice of these photos; a larger choice contains the smaller ones.
        force: whether to train on data that `data check` calls unfit for it; the reasons are then warnings.

    Raises:
        ConfigError: invalid arguments, or a share of synthetic faces that cannot be drawn with these classes.
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
        synthetic_share: float | Share | Literal["auto"] = 0.0,
        synthetic_faces: int = 0,
        photos: int | None = None,
        photos_seed: int = 0,
        force: bool = False,
    ) -> None:
        super().__init__()
        self.source, self.augment = source, augment
        self.taxonomy = _taxonomy(source, taxonomy)
        self.image_size, self.batch_size, self.workers = image_size, batch_size, workers
        self.fold, self.folds, self.fold_seed = fold, folds, fold_seed
        self.photos, self.photos_seed = photos, photos_seed
        self.strict, self.force, self.seed, self.cache_root = strict, force, seed, Path(cache)
        self.synthetic_share, self.synthetic_faces = synthetic_share, synthetic_faces
        _check(image_size, batch_size, fold, folds, workers, photos)
        _check_mixing(synthetic_share, synthetic_faces, self.taxonomy)
        self._cache: FaceCache | None = None
        self._synthetic: FaceCache | None = None
        self._is_fit = False
        self._training_loader: ResumableLoader | None = None
        self._loader_state = {"batches": 0}
        self._generator = torch.Generator()
        self._mirror = torch.from_numpy(self.taxonomy.mirrored())

    def prepare_data(self) -> None:
        """Open the cache, building it if necessary.

        Raises:
            DataError: every problem with the photos and masks.
        """
        if self._cache is None:
            cache = FaceCache(self.source, self.taxonomy, self.image_size, self.cache_root)
            if self.strict and cache.left_out:
                raise DataError(*(f"{why}, which data.strict=true does not allow." for why in cache.left_out.values()))
            for name, why in cache.left_out.items():
                log.warning("%s; %s is left out, since a resized mask would be wrong.", why, name)
            self._cache = cache

    def setup(self, stage: str | None = None) -> None:
        """Divide the samples into the sets; for training, also draw the synthetic faces if they are not cached.

        Raises:
            ConfigError: fewer training photos than `photos`.
            DataError: no photo to train on, fewer persons than folds, or, for training, data that are unfit for it.
        """
        rows = self.cache.rows
        self.fold_of: dict[str, int] = {}
        if self.fold is not None and not any(row.split == "val" for row in rows):
            groups = {row.id: row.group for row in rows if row.split == "train"}
            self.fold_of = assign_folds(groups, self.folds, self.fold_seed)
        self._sets = _sets(rows, {name for name, fold in self.fold_of.items() if fold == self.fold})
        self.train, self.val, self.test = (self._sets[name] for name in ("train", "val", "test"))
        if not self.train.size:
            raise DataError(f"{self.source.title}: no photo to train on; expected labelled training photos.")
        self.available = len(self.train)
        if self.photos is not None:
            chosen = choose(self.ids(self.train), self.photos, self.photos_seed)
            self.train = self._sets["train"] = self.train[np.isin(self.ids(self.train), [*chosen])]
        if stage == "fit" and not self._is_fit:
            self._require_fit()
            self._is_fit = True
        if stage == "fit" and self._synthetic is None:
            self._mix()

    def _require_fit(self) -> None:
        """Refuse what `data check` calls an error; with `force`, only report it."""
        cache = self.cache
        training = {sample.id for sample in cache.listed if sample.split == "train"}
        skipped = [Case(why, (name,)) for name, why in cache.left_out.items() if name in training]
        found = unfit(
            self.taxonomy.names,
            train=[cache.rows[index] for index in self.train],
            val=[cache.rows[index] for index in self.val],
            shown=[Case(name, (name,)) for name in cache.show_masks],
            skipped=skipped if 2 * len(skipped) > len(training) else (),
        )
        lines = [f"{self.source.title}: {finding.line}" for finding in found]
        if lines and not self.force:
            raise DataError(*(f"{line} To train on these data all the same: data.force=true." for line in lines))
        for line in lines:
            log.warning("%s (data.force=true)", line)

    def _mix(self) -> None:
        if self.synthetic_share == "auto":
            self.synthetic_share = self._automatic_share()
        if any(_ends(self.synthetic_share)):
            drawn = DrawnFaces(self.synthetic_faces, self.image_size)
            self._synthetic = FaceCache(drawn, self.taxonomy, self.image_size, self.cache_root)

    def _automatic_share(self) -> float:
        share, key = automatic_share(len(self.train)), "data.synthetic_share=auto"
        photos = number(len(self.train), "training photo")
        if not share:
            log.info("%s: no synthetic faces, with %s", key, photos)
        elif not can_be_drawn(self.taxonomy):
            log.info("%s: no synthetic faces, since none can be drawn with these classes; %s", key, _REMEDY)
            return 0.0
        else:
            log.info(
                "%s: %s of the samples in training batches are synthetic faces, with %s", key, percent(share), photos
            )
        return share

    @property
    def mixed(self) -> list[Any]:
        """What identifies the synthetic faces in training batches: their share and content; empty for none."""
        return [self.synthetic_share, self._synthetic.key] if self._synthetic else []

    @property
    def cache(self) -> FaceCache:
        """The opened cache."""
        self.prepare_data()
        assert self._cache is not None
        return self._cache

    @property
    def held_out(self) -> str:
        """The set that is scored after training: `val`, or `test` if there is no validation set."""
        return "val" if self.val.size else "test"

    def indices(self, name: str) -> np.ndarray:
        """The indices in the cache, (N,) int64, of one of `SETS`.

        Raises:
            ConfigError: no such set.
            DataError: the set is empty.
        """
        indices = self._set(name)
        if not indices.size and name == "val":
            raise ConfigError(
                "set=val: no photo is held out (data.fold=null). Score others with set=test or set=train."
            )
        if not indices.size:
            remedy = "" if name == "train" else " Score others with set=val or set=train."
            raise DataError(f"{self.source.title}: the set {name} has no photo.{remedy}")
        return indices

    def has(self, name: str) -> bool:
        """Whether a set has a photo."""
        return self._set(name).size > 0

    def ids(self, indices: "Iterable[int] | np.ndarray | Tensor") -> list[str]:
        """The ids of the samples with these indices."""
        rows = [*self.cache.rows, *(self._synthetic.rows if self._synthetic else ())]
        return [rows[int(index)].id for index in indices]

    def native(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """A photo, (H, W, 3) uint8, and its mask, (H, W) uint8, read from their files at native size."""
        return open_photo(self.cache.samples[index].photo), self.mask(index)

    def mask(self, index: int) -> np.ndarray:
        """A mask, (H, W) uint8, read from its file at native size."""
        return self.source.read_mask(self.cache.samples[index], self.taxonomy).mask

    def duplicates(self) -> list[tuple[int, int]]:
        """Pairs of indices of photos with identical pixels; each has its own mask."""
        return list(identical_photos(row.pixels for row in self.cache.rows))

    def summary(self) -> dict[str, Any]:
        """The data as recorded in a run: name, fingerprint, classes, numbers of photos, photos left out."""
        return {
            "name": self.source.title,
            "fingerprint": self.cache.fingerprint,
            "classes": self.taxonomy.to_mapping()["classes"],
            "photos": {"train": len(self.train), "val": len(self.val), "test": len(self.test)},
            "left_out": self.cache.left_out,
        }

    def training_masks(self) -> Iterator[np.ndarray]:
        """The training masks, (S, S) uint8 each, at the cache's size."""
        for index in self.train:
            yield unpack_onehot(self.cache.read(np.array([index]))[1][0])

    def normalisation(self) -> dict[str, list[float]]:
        """Mean and standard deviation of red, green, blue (0 to 255) over the training photos."""
        total, squares = np.zeros(3), np.zeros(3)
        for index in self.train:
            pixels = self.cache.read(np.array([index]))[0].reshape(-1, 3).astype(np.float64)
            total += pixels.mean(axis=0)
            squares += (pixels**2).mean(axis=0)
        mean = total / len(self.train)
        deviation = np.sqrt(np.maximum(squares / len(self.train) - mean**2, 0))
        return {"mean": mean.tolist(), "std": np.maximum(deviation, 1.0).tolist()}

    def facts(self) -> dict[str, Any]:
        """The data as recorded in a model's card: name, fingerprint, taxonomy, normalisation, image size."""
        return {
            "name": self.source.name,
            "fingerprint": self.cache.fingerprint,
            "taxonomy": self.taxonomy.to_mapping(),
            "normalisation": self.normalisation(),
            "image_size": self.image_size,
        }

    def class_shares(self) -> Tensor:
        """Each class's share of the training pixels, with equal weight for each photo: (C,) float64."""
        counts = np.array([self.cache.rows[index].class_pixels for index in self.train], dtype=np.float64)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        return torch.from_numpy(shares.sum(axis=0) / max(shares.sum(), 1))

    def preview(self, count: int) -> tuple[str, Batch, list[str]]:
        """Some photos to show during training: the set's name, the batch without augmentation, and its ids."""
        name = "val" if self.val.size else "train"
        batch = self._first(self._set(name), count)
        return name, _unpacked(batch), self.ids(batch.indices)

    def preview_augmented(self, count: int) -> tuple[Batch, Batch, list[str]]:
        """Some training photos: without augmentation, with augmentation, and their ids."""
        batch = self._first(self.train, count)
        return _unpacked(batch), self._augmented(batch), self.ids(batch.indices)

    def train_dataloader(self) -> ResumableLoader:
        """Shuffled batches of training photos and synthetic faces; a resumed run continues after its last batch."""
        order = self._mixed_order(self._synthetic) if self._synthetic else self._order(self.train, self.seed)
        loader = ResumableLoader(CachedFaces(self.cache, self._synthetic), order, self.workers)
        loader.load_state_dict(self._loader_state)
        self._training_loader = loader
        return loader

    def val_dataloader(self) -> FaceLoader | list[Any]:
        """Batches of the validation photos at the cache's size, or nothing."""
        if not self.val.size:
            return []
        return FaceLoader(CachedFaces(self.cache), self._order(self.val, None), self.workers)

    def state_dict(self) -> dict[str, int]:
        """The training loader's state. Lightning restores it before it creates loaders, unlike a loader's state."""
        return self._training_loader.state_dict() if self._training_loader else self._loader_state

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Continue where a run with the same seed stopped."""
        self._loader_state = state_dict

    def on_after_batch_transfer(self, batch: CachedBatch, dataloader_idx: int) -> Batch:
        """Unpack a batch on its device, and augment it there if it is for training."""
        training = self.trainer is not None and self.trainer.training
        return self._augmented(batch) if training else _unpacked(batch)

    def _augmented(self, batch: CachedBatch) -> Batch:
        if self.augment is None:
            return _unpacked(batch)
        self._generator.manual_seed(batch.seed + 1)  # the LightningModule seeds dropout with the seed itself
        image, mask = self.augment(
            batch.image, unpack_masks(batch.packed), mirror=self._mirror, generator=self._generator
        )
        return Batch(image, mask.long(), batch.indices, batch.seed)

    def _set(self, name: str) -> np.ndarray:
        if name not in SETS:
            raise ConfigError(f"set={name}: no such set; expected one of {', '.join(SETS)}.")
        return self._sets[name]

    def _first(self, indices: np.ndarray, count: int) -> CachedBatch:
        order = BatchOrder(indices[:count], count, None, 0, 1)
        return CachedFaces(self.cache).__getitems__(next(iter(order)))

    def _order(self, indices: np.ndarray, seed: int | None) -> BatchOrder:
        return BatchOrder(indices, self.batch_size, seed, *self._rank())

    def _mixed_order(self, synthetic: FaceCache) -> MixedOrder:
        return MixedOrder(
            self.train,
            self.batch_size,
            self.seed,
            *self._rank(),
            synthetic=len(self.cache.rows) + np.arange(len(synthetic.rows)),
            share=_ends(self.synthetic_share),
            total=self._total_batches,
        )

    def _rank(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _total_batches(self) -> float:
        if self.trainer is None:
            return math.inf
        return self.trainer.estimated_stepping_batches * self.trainer.accumulate_grad_batches


def _sets(rows: Sequence[Row], held_out: Collection[str]) -> dict[str, np.ndarray]:
    """The indices, (N,) int64, of each of `SETS`; `held_out` are the ids of the validation fold."""
    training = [row for row in rows if row.split == "train"]
    pixels, groups = {row.pixels for row in training}, {row.group for row in training}

    def select(belongs: Callable[[Row], bool]) -> np.ndarray:
        return np.array([index for index, row in enumerate(rows) if belongs(row)], dtype=np.int64)

    return {
        "train": select(lambda row: row.split == "train" and row.id not in held_out),
        "val": select(lambda row: row.split == "val" or row.id in held_out),
        "test": select(lambda row: row.split == "test"),
        "test_clean": select(lambda row: row.split == "test" and row.pixels not in pixels),
        "test_strict": select(lambda row: row.split == "test" and row.group not in groups),
    }


def _taxonomy(source: Source, given: Taxonomy | Mapping[str, Any] | None) -> Taxonomy:
    if given is None:
        return source.own_taxonomy()
    if isinstance(given, Taxonomy):
        return given
    taxonomy = Taxonomy.from_mapping(given)
    if "pairs" not in given and (found := likely_pairs(taxonomy.names)):
        log.warning(
            "data.taxonomy: %s look like left and right of the same part, and a flip will mix them up. Declare them in "
            "the YAML: `pairs: [%s]`, or `pairs: []` if they are not.",
            ", ".join(" and ".join(pair) for pair in found),
            ", ".join(f"[{', '.join(pair)}]" for pair in found),
        )
    return taxonomy


def _unpacked(batch: CachedBatch) -> Batch:
    return Batch(batch.image, unpack_masks(batch.packed).long(), batch.indices, batch.seed)


def _check(image_size: int, batch_size: int, fold: int | None, folds: int, workers: int, photos: int | None) -> None:
    minima = {
        "image_size": (image_size, 1),
        "batch_size": (batch_size, 1),
        "folds": (folds, 2),
        "workers": (workers, 0),
        "photos": (1 if photos is None else photos, 1),
    }
    problems = [
        f"data.{name}={value}: expected {least} or more." for name, (value, least) in minima.items() if value < least
    ]
    if fold is not None and not 0 <= fold < folds:
        problems.append(
            f"data.fold={fold}: expected 0 to {folds - 1}, since data.folds={folds}, or null to train on all training "
            f"photos."
        )
    if problems:
        raise ConfigError(*problems)


def _check_mixing(share: float | Share | Literal["auto"], faces: int, taxonomy: Taxonomy) -> None:
    ends = (0.0, 0.0) if share == "auto" else _ends(share)
    problems = []
    if not all(0 <= end <= 1 for end in ends):
        problems.append(f"data.synthetic_share={share}: expected auto, 0 to 1, or two such numbers [FIRST, LAST].")
    elif any(ends) and not can_be_drawn(taxonomy):
        problems.append(
            f"data.synthetic_share={share}: no synthetic faces can be drawn with the classes "
            f"{', '.join(taxonomy.names)}; {_REMEDY}."
        )
    if faces < 1 and share != 0:
        problems.append(f"data.synthetic_faces={faces}: expected 1 or more.")
    if problems:
        raise ConfigError(*problems)


def _ends(share: float | Share | str) -> Share:
    """The shares in the first and in the last batch."""
    return (share[0], share[1]) if isinstance(share, list | tuple) else (float(share), float(share))
