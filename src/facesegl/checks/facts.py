"""Facts about every photo and mask, small enough to keep for a hundred thousand of them."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from facesegl.labels.taxonomy import Taxonomy
from facesegl.sources.source import Sample
from facesegl.sources.splits import SPLITS


class Labelled(Protocol):
    """What `PhotoFacts` and a row of the cache both say of a photo and its mask."""

    @property
    def id(self) -> str:
        """The sample's id."""

    @property
    def pixels(self) -> Hashable:
        """A hash of the photo's pixels."""

    @property
    def class_pixels(self) -> Sequence[int] | np.ndarray:
        """The mask's pixels of each class."""


class PhotoFacts(NamedTuple):
    """The facts about a readable photo and its mask.

    Attributes:
        sample: the sample.
        size: native rows and columns of the photo, upright.
        mask_size: rows and columns of the mask.
        exif_orientation: the photo's EXIF orientation; 1 is upright.
        pixels: a hash of the photo's pixels.
        dhash: the photo's difference hash; None if it is almost one colour.
        shows_mask: whether the photo is a picture of its own mask.
        class_pixels: (C,) uint32, the mask's pixels of each class.
        inexact: (C,) uint32, the pixels whose colour is not exactly the class's.
        void: the mask's void pixels.
        specks: the number of connected parts with only a few pixels.
        parts: (C,) uint32, the number of other connected parts of each class.
    """

    sample: Sample
    size: tuple[int, int]
    mask_size: tuple[int, int]
    exif_orientation: int
    pixels: bytes
    dhash: bytes | None
    shows_mask: bool
    class_pixels: np.ndarray
    inexact: np.ndarray
    void: int
    specks: int
    parts: np.ndarray

    @property
    def id(self) -> str:
        """The sample's id."""
        return self.sample.id

    @property
    def fits(self) -> bool:
        """Whether the mask has the size of its photo; training skips the others."""
        return self.size == self.mask_size

    @property
    def guessed(self) -> float:
        """The share of the mask's pixels whose colour is not exactly that of a class."""
        return int(self.inexact.sum()) / max(self.mask_size[0] * self.mask_size[1], 1)


class Refused(NamedTuple):
    """A file that could not be used.

    Attributes:
        sample: its sample.
        readable: whether it opens as an image, but its colours or values are not those of the classes.
        why: the problems, one line each.
    """

    sample: Sample
    readable: bool
    why: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """The facts about a data set.

    Attributes:
        name: the data's name.
        taxonomy: the classes.
        photos: the photos that could be read, in the order of the source.
        refused: the files that could not be used.
        problems: the source's problems with listing the files.
        unlabelled: photos without a mask, which the source leaves out.
        strict: whether training refuses a mask of another size than its photo.
    """

    name: str
    taxonomy: Taxonomy
    photos: Sequence[PhotoFacts] = ()
    refused: Sequence[Refused] = ()
    problems: Sequence[str] = ()
    unlabelled: Sequence[Path] = ()
    strict: bool = False

    @cached_property
    def _counts(self) -> "dict[str, ClassCounts]":
        return {s: class_counts(self.fitting(s), self.taxonomy.num_classes) for s in ("train", *self.splits)}

    @cached_property
    def splits(self) -> list[str]:
        """The splits with a readable photo: train, val, test, then any others."""
        return sorted(
            {photo.sample.split for photo in self.photos},
            key=lambda split: (SPLITS.index(split) if split in SPLITS else 3, split),
        )

    def of(self, split: str) -> list[PhotoFacts]:
        """The photos of a split."""
        return [photo for photo in self.photos if photo.sample.split == split]

    def fitting(self, split: str) -> list[PhotoFacts]:
        """The photos of a split with a mask of the same size; training and scoring use only these."""
        return [photo for photo in self.of(split) if photo.fits]

    def counts(self, split: str) -> "ClassCounts":
        """The counts of each class in the masks of a split."""
        return self._counts[split]

    def pairs_of_splits(self) -> Iterator[tuple[str, str]]:
        """Each split with each earlier one: (val, train), (test, train), (test, val)."""
        for index, later in enumerate(self.splits):
            for earlier in self.splits[:index]:
                yield later, earlier


class ClassCounts(NamedTuple):
    """The counts of each class in some masks.

    Attributes:
        pixels: (C,) int64, pixels of each class.
        inexact: (C,) int64, the pixels whose class was guessed.
        photos: (C,) int64, masks that contain the class.
        void: void pixels.
    """

    pixels: np.ndarray
    inexact: np.ndarray
    photos: np.ndarray
    void: int

    @property
    def shares(self) -> np.ndarray:
        """(C,) float64: each class's share of the pixels that are not void; zeros if there are none."""
        shares: np.ndarray = self.pixels / max(self.pixels.sum(), 1)
        return shares

    @property
    def guessed(self) -> float:
        """The share of all pixels, void included, whose class was guessed."""
        return float(self.inexact.sum() / max(self.pixels.sum() + self.void, 1))


def class_counts(photos: Sequence[PhotoFacts], num_classes: int) -> ClassCounts:
    """Sum the counts of some photos' masks."""
    none = np.zeros(num_classes, dtype=np.int64)
    pixels, inexact = (
        np.stack([none, *(getattr(photo, name) for photo in photos)]) for name in ("class_pixels", "inexact")
    )
    void = sum(photo.void for photo in photos)
    return ClassCounts(pixels.sum(axis=0), inexact.sum(axis=0), (pixels > 0).sum(axis=0), void)
