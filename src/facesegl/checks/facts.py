"""What is known of every photo and mask: small enough to be kept for each of a hundred thousand."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from facesegl.labels.taxonomy import Taxonomy
from facesegl.sources.source import Sample
from facesegl.sources.splits import SPLITS


class PhotoFacts(NamedTuple):
    """One photo with its mask, both of which could be read.

    Attributes:
        sample: whose they are.
        size: native rows and columns of the photo, upright.
        mask_size: of the mask.
        turn: the photo's EXIF orientation; 1 is upright.
        pixels: a hash of the photo's pixels.
        look: a hash of what it looks like; None where there is next to nothing to see on it.
        shows_mask: whether the photo is a picture of its own mask.
        class_pixels: (C,) uint32, the mask's pixels of each class.
        inexact: (C,) uint32, of those, the ones whose colour was not exactly the class's.
        void: the mask's void pixels.
        specks: connected parts of the mask that are no more than a few pixels.
        parts: (C,) uint32, the other connected parts of each class.
    """

    sample: Sample
    size: tuple[int, int]
    mask_size: tuple[int, int]
    turn: int
    pixels: bytes
    look: bytes | None
    shows_mask: bool
    class_pixels: np.ndarray
    inexact: np.ndarray
    void: int
    specks: int
    parts: np.ndarray

    @property
    def fits(self) -> bool:
        """Whether the mask has the size of its photo; training leaves the others out."""
        return self.size == self.mask_size

    @property
    def guessed(self) -> float:
        """The share of the mask's pixels whose colour was not exactly that of a class."""
        return int(self.inexact.sum()) / max(self.mask_size[0] * self.mask_size[1], 1)


class Refused(NamedTuple):
    """A file that could not be used.

    Attributes:
        sample: whose it is.
        readable: whether it is an image all the same: a mask in colours or values that are not the classes'.
        why: what is wrong, a line each.
    """

    sample: Sample
    readable: bool
    why: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """All that is known of a data set.

    Attributes:
        name: what the data are called.
        taxonomy: their classes.
        photos: those that could be read, in the order of the source.
        refused: the files that could not.
        problems: what is wrong with how they lie, as the source says it.
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
    def _of_split(self) -> dict[str, list[PhotoFacts]]:
        found: dict[str, list[PhotoFacts]] = {}
        for photo in self.photos:
            found.setdefault(photo.sample.split, []).append(photo)
        return found

    @cached_property
    def _counts(self) -> "dict[str, ClassCounts]":
        return {}

    @property
    def splits(self) -> list[str]:
        """The splits that have a photo that could be read: train, val, test, then any others."""
        return sorted(self._of_split, key=lambda split: (SPLITS.index(split) if split in SPLITS else 3, split))

    def of(self, split: str) -> list[PhotoFacts]:
        """The photos of a split."""
        return self._of_split.get(split, [])

    def fitting(self, split: str) -> list[PhotoFacts]:
        """The photos of a split that training and scoring take: those with a mask of their own size."""
        return [photo for photo in self.of(split) if photo.fits]

    def counts(self, split: str) -> "ClassCounts":
        """What the masks of a split hold, class by class."""
        if split not in self._counts:
            self._counts[split] = class_counts(self.fitting(split), self.taxonomy.num_classes)
        return self._counts[split]

    def pairs_of_splits(self) -> Iterator[tuple[str, str]]:
        """Each split with each earlier one: (val, train), (test, train), (test, val)."""
        splits = self.splits
        for place, later in enumerate(splits):
            for earlier in splits[:place]:
                yield later, earlier


class ClassCounts(NamedTuple):
    """What masks hold.

    Attributes:
        pixels: (C,) int64, pixels of each class.
        inexact: (C,) int64, of those, the ones that were guessed.
        photos: (C,) int64, masks that have the class.
        void: void pixels.
    """

    pixels: np.ndarray
    inexact: np.ndarray
    photos: np.ndarray
    void: int

    @property
    def shares(self) -> np.ndarray:
        """(C,) float64: each class's share of the pixels that are no void; zeros where there is none."""
        shares: np.ndarray = self.pixels / max(self.pixels.sum(), 1)
        return shares

    @property
    def guessed(self) -> float:
        """The share of all pixels, void included, that were guessed."""
        return float(self.inexact.sum() / max(self.pixels.sum() + self.void, 1))


def class_counts(photos: Sequence[PhotoFacts], num_classes: int) -> ClassCounts:
    """Sum up what the masks of some photos hold."""
    if not photos:
        none = np.zeros(num_classes, dtype=np.int64)
        return ClassCounts(none, none, none, 0)
    pixels, inexact = (
        np.stack([getattr(photo, name) for photo in photos]).astype(np.int64) for name in ("class_pixels", "inexact")
    )
    return ClassCounts(
        pixels.sum(axis=0), inexact.sum(axis=0), (pixels > 0).sum(axis=0), sum(photo.void for photo in photos)
    )
