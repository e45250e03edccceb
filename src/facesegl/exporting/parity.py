"""Compare an export with its checkpoint on real photos, and list differences beyond the tolerances."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from facesegl.console import track
from facesegl.prediction.model import Model
from facesegl.prediction.predictor import Prediction
from facesegl.prediction.upsample import native_mask
from facesegl.scores.counts import confusion_counts, iou
from facesegl.sources.images import resize_photo

EQUAL = 0.9999
"""In float32, the least share of pixels, at native size, that have the same class in both."""
DIFFERENCE = 1e-3
"""In float32, the largest difference of a logit, as a share of the largest logit (of 1, if that is less)."""
CHANGE = 1e-3
"""In float32, the largest change of a class's IoU; in a class of a few thousand pixels that is one or two."""
INT8_EQUAL = 0.98
"""In int8, the least share of pixels of the same class: 0.997 on FASSEG V2, 0.8 if quantization fails."""
INT8_DROP = 0.02
"""In int8, the largest drop of a class's IoU; on FASSEG V2 it was less than 0.002."""

HALF_EQUAL = 0.998
"""In float16, the least share of pixels of the same class."""

Change = dict[str, float | None]
"""The IoU of a class in `pytorch` and in `export`, and the `change`; None for an absent class."""

Masker = Callable[[np.ndarray], np.ndarray]
"""Masks (B, H, W) uint8 of photos (B, 3, H, W) uint8 of any size."""


class Sample(NamedTuple):
    """A photo to compare on, (H, W, 3) uint8, and its mask (H, W) uint8 if it has one."""

    photo: np.ndarray
    mask: np.ndarray | None


class Size(NamedTuple):
    """A batch that was compared, in addition to the single photos.

    Attributes:
        difference: the largest difference of logits; None if masks were compared.
        equal: the share of pixels with the same class.
    """

    batch: int
    height: int
    width: int
    difference: float | None
    equal: float


@dataclass
class Parity:
    """The result of a comparison.

    Attributes:
        photos: how many.
        pixels: of all photos.
        same: pixels with the same class in both.
        difference: the largest difference of logits.
        largest: the largest absolute logit.
        sizes: batches of other sizes.
        milliseconds: of each photo, in PyTorch and in the export.
        counts: (C, C) int64, [truth, prediction], of PyTorch and of the export; None without masks.
    """

    photos: int = 0
    pixels: int = 0
    same: int = 0
    difference: float = 0.0
    largest: float = 0.0
    sizes: list[Size] = field(default_factory=list)
    milliseconds: list[tuple[float, float]] = field(default_factory=list)
    counts: "tuple[torch.Tensor, torch.Tensor] | None" = None

    @property
    def equal(self) -> float:
        """The share of pixels with the same class in both."""
        return self.same / self.pixels

    def ious(self, names: Sequence[str]) -> dict[str, Change] | None:
        """The IoU of each class by its name; None without masks."""
        if self.counts is None:
            return None
        ours, theirs = (iou(counts).tolist() for counts in self.counts)
        return {name: _change(*both) for name, *both in zip(names, ours, theirs, strict=True)}

    def medians(self) -> tuple[float, float]:
        """Milliseconds per photo, in PyTorch and in the export."""
        ours, theirs = np.median(self.milliseconds, axis=0).tolist()
        return ours, theirs


def compare(
    reference: Model,
    export: Model,
    photos: Sequence[Callable[[], Sample]],
    sizes: Sequence[tuple[int, int, int]],
    masker: Masker | None = None,
    averager: Masker | None = None,
) -> Parity:
    """Run both on photos, one by one at the net's size, and then on batches of other sizes.

    Args:
        reference: the checkpoint.
        export: the exported model.
        photos: functions that load one photo each.
        sizes: batches to compare in addition: number of photos, height, width.
        masker: computes the masks of a whole graph, to compare and time them; None for other exports.
        averager: computes the averaged logits of an ensemble's graph; None for a model alone.
    """
    parity, size = Parity(), reference.image_size
    for model in (reference, export):  # warm up
        model.logits(np.zeros((1, 3, size, size), dtype=np.uint8))
    for load in track(photos, total=len(photos), what="comparing"):
        _add_photo(parity, reference, export, load(), masker, averager)
    first = [load().photo for load in photos[: max((batch for batch, _, _ in sizes), default=0)]]
    parity.sizes = [_compare_batch(reference, export, _batch(first, *shape), masker, averager) for shape in sizes]
    return parity


def sizes_to_try(kind: str, image_size: int, stride: int) -> list[tuple[int, int, int]]:
    """Batches that show whether a graph is independent of the size it was traced at: photos, height, width.

    For a net they are near its image size, and odd if it takes odd sizes; for a whole graph smaller, wider and taller.
    Plain weights need none.
    """
    if kind == "weights":
        return []
    if kind == "whole":
        small, large = image_size // 2 + 1, 2 * image_size + 1
        return [(3, large, large), (2, small, small), (1, small, large), (2, large, image_size)]
    low = max(int(0.75 * image_size / stride), 1) * stride
    high = math.ceil(1.25 * image_size / stride) * stride
    low, high = (side + (stride == 1 and side % 2 == 0) for side in (low, high))
    return [(3, image_size, image_size), (1, low, high), (2, high, low)]


def problems_of(parity: Parity, names: Sequence[str], precision: str) -> list[str]:
    """Differences beyond the tolerances, one sentence each; empty if the export passes.

    Args:
        parity: the comparison.
        names: the classes.
        precision: float32, float16, int8, or exact (bit for bit).
    """
    least = {"float32": EQUAL, "float16": HALF_EQUAL, "int8": INT8_EQUAL, "exact": 1.0}[precision]
    problems = [
        f"{share:.4%} of the pixels of {where} have the same class, expected {least:.2%} at least"
        for where, share in [("the photos", parity.equal), *((_where(size), size.equal) for size in parity.sizes)]
        if share < least
    ]
    if precision in ("float32", "exact"):
        most = DIFFERENCE * max(parity.largest, 1.0) if precision == "float32" else 0.0
        problems += [
            f"logits of {where} differ by up to {difference:.3g}, expected {most:.3g} at most"
            for where, difference in [
                ("the photos", parity.difference),
                *((_where(size), size.difference) for size in parity.sizes if size.difference is not None),
            ]
            if not difference <= most  # NaN as well
        ]
    return problems + _changed(parity, names, CHANGE if precision in ("float32", "exact") else INT8_DROP, precision)


def _changed(parity: Parity, names: Sequence[str], most: float, precision: str) -> list[str]:
    """Classes whose IoU changed too much; in int8, which may be better by chance, dropped too much."""
    return [
        f"the IoU of {name} goes from {found['pytorch']:.4f} to {found['export']:.4f}, expected {most:g} apart at most"
        for name, found in (parity.ious(names) or {}).items()
        if found["change"] is not None and (-found["change"] if precision == "int8" else abs(found["change"])) > most
    ]


def _change(ours: float, theirs: float) -> Change:
    values = {"pytorch": ours, "export": theirs, "change": theirs - ours}
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def _add_photo(
    parity: Parity, reference: Model, export: Model, sample: Sample, masker: Masker | None, averager: Masker | None
) -> None:
    photo = sample.photo.transpose(2, 0, 1)[None]
    small = _resized(photo, reference.image_size, reference.image_size)
    ours, our_time = _timed(reference.logits, small)
    theirs, their_time = _timed(export.logits, small)
    if masker:
        our_masks, our_time = _timed(lambda photos: _masks(reference, photos), photo)
        their_masks, their_time = _timed(masker, photo)
        masks = our_masks[0], their_masks[0]
    else:
        masks = _mask(ours[0], *photo.shape[-2:]), _mask(theirs[0], *photo.shape[-2:])
    ours, theirs = _with_averages(ours, theirs, small, averager)
    parity.photos += 1
    parity.pixels += masks[0].size
    parity.same += int((masks[0] == masks[1]).sum())
    parity.difference = float(np.maximum(parity.difference, np.abs(ours - theirs).max()))  # keeps NaN
    parity.largest = max(parity.largest, float(np.abs(ours).max()))
    parity.milliseconds.append((our_time, their_time))
    if sample.mask is not None:
        truth = torch.from_numpy(sample.mask)
        one, other = (confusion_counts(torch.from_numpy(mask), truth, ours.shape[-3]) for mask in masks)
        parity.counts = (parity.counts[0] + one, parity.counts[1] + other) if parity.counts else (one, other)


def _compare_batch(
    reference: Model, export: Model, photos: np.ndarray, masker: Masker | None, averager: Masker | None
) -> Size:
    """Compare on a batch (B, 3, H, W) uint8: masks of a whole graph, otherwise logits and their argmax."""
    shape = len(photos), photos.shape[2], photos.shape[3]
    if masker:
        ours, theirs = _masks(reference, photos), masker(photos)
        return Size(*shape, None, float((ours == theirs).mean()) if ours.shape == theirs.shape else 0.0)
    ours, theirs = reference.logits(photos), export.logits(photos)
    if ours.shape != theirs.shape:
        return Size(*shape, float("nan"), 0.0)
    ours, theirs = _with_averages(ours, theirs, photos, averager)
    return Size(*shape, float(np.abs(ours - theirs).max()), float((ours.argmax(-3) == theirs.argmax(-3)).mean()))


def _with_averages(
    ours: np.ndarray, theirs: np.ndarray, images: np.ndarray, averager: Masker | None
) -> tuple[np.ndarray, np.ndarray]:
    """An ensemble's logits with the average of its members, (B, members + 1, C, h, w); those of a model as they are."""
    if averager is None:
        return ours, theirs
    logarithms = ours - ours.max(axis=2, keepdims=True)
    logarithms -= np.log(np.exp(logarithms).sum(axis=2, keepdims=True))
    average = np.logaddexp.reduce(logarithms, axis=1, keepdims=True) - np.float32(np.log(ours.shape[1]))
    return np.concatenate([ours, average], axis=1), np.concatenate([theirs, averager(images)[:, None]], axis=1)


def _masks(model: Model, photos: np.ndarray) -> np.ndarray:
    """The masks (B, H, W) uint8 of photos (B, 3, H, W) uint8, at their size."""
    logits = model.logits(_resized(photos, model.image_size, model.image_size))
    return np.stack([_mask(of_photo, *photos.shape[-2:]) for of_photo in logits])


def _mask(logits: np.ndarray, height: int, width: int) -> np.ndarray:
    """(height, width) uint8 of logits (C, h, w), or of those of an ensemble (members, C, h, w)."""
    if logits.ndim == 3:
        return native_mask(logits, height, width)
    return Prediction([*logits], height, width, ("",) * logits.shape[1]).index


def _batch(photos: Sequence[np.ndarray], batch: int, height: int, width: int) -> np.ndarray:
    """Photos (H, W, 3) as a batch (B, 3, height, width), repeated if there are too few."""
    taken = (photos[number % len(photos)].transpose(2, 0, 1)[None] for number in range(batch))
    return np.concatenate([_resized(photo, height, width) for photo in taken])


def _resized(photos: np.ndarray, height: int, width: int) -> np.ndarray:
    """Photos (B, 3, H, W) uint8 as (B, 3, height, width)."""
    resized = [resize_photo(np.ascontiguousarray(photo.transpose(1, 2, 0)), height, width) for photo in photos]
    return np.ascontiguousarray(np.stack(resized).transpose(0, 3, 1, 2))


def _timed(run: Masker, photos: np.ndarray) -> tuple[np.ndarray, float]:
    """The output of a call, and its milliseconds."""
    started = time.perf_counter()
    found = run(photos)
    return found, (time.perf_counter() - started) * 1e3


def _where(size: Size) -> str:
    return f"{size.batch} photo{'s' * (size.batch > 1)} of {size.height}x{size.width}"
