"""What an export gives on real photos, beside what PyTorch gives, and what of that is off."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import torch

from facesegl.console import track
from facesegl.errors import CheckpointError, ConfigError
from facesegl.learning.module import SegmentationModule
from facesegl.prediction.upsample import upsample
from facesegl.scores.counts import confusion_counts, iou
from facesegl.sources.images import resize_photo

EQUAL = 0.9999
"""In float32, the least share of pixels, at the photos' own sizes, that have the same class in both."""
DIFFERENCE = 1e-3
"""In float32, the most that a logit may differ, as a share of the largest logit (of 1, if that is less)."""
CHANGE = 1e-3
"""In float32, the most that the IoU of a class may change; a class of a few thousand pixels may lose one or two."""
INT8_EQUAL = 0.98
"""In int8, the least share of pixels of the same class: 0.997 on FASSEG V2, 0.8 where quantising went wrong."""
INT8_DROP = 0.02
"""In int8, the most that the IoU of a class may drop; on FASSEG V2 it was less than 0.002."""

_BAND = 1 << 22  # numbers that are upsampled at a time


Change = dict[str, float | None]
"""What a class has in `pytorch` and in `export`, and the `change` between them; None where it is absent."""


class Sample(NamedTuple):
    """A photo to compare on: (H, W, 3) uint8, and its mask (H, W) uint8 where there is one."""

    photo: np.ndarray
    mask: np.ndarray | None


class Side(Protocol):
    """One of the two that are compared."""

    def logits(self, photos: np.ndarray) -> np.ndarray:
        """Logits (B, C, h, w) float32 of photos (B, 3, h, w) uint8."""
        ...

    def masks(self, photos: np.ndarray) -> np.ndarray:
        """Masks (B, H, W) uint8 of photos (B, 3, H, W) uint8 of any size."""
        ...


class PyTorch:
    """A module on the CPU in float32.

    Args:
        module: in eval mode.
        name: what messages call it.
    """

    def __init__(self, module: SegmentationModule, name: str) -> None:
        self._module, self._name = module, name

    @torch.inference_mode()
    def logits(self, photos: np.ndarray) -> np.ndarray:
        """Logits (B, C, h, w) float32 of photos (B, 3, h, w) uint8.

        Raises:
            CheckpointError: the net does not take that size.
        """
        try:
            found: np.ndarray = self._module(torch.from_numpy(photos)).numpy()
        except (RuntimeError, ConfigError) as error:
            raise CheckpointError(_cannot_run(self._name, photos, error)) from error
        return found

    def masks(self, photos: np.ndarray) -> np.ndarray:
        """Masks (B, H, W) uint8 of photos (B, 3, H, W) uint8, as `predict` makes them."""
        small = np.stack([_resized(photo, self._module.image_size, self._module.image_size) for photo in photos])
        return np.stack([native_mask(logits, *photos.shape[-2:]) for logits in self.logits(small)])


class OnnxRuntime:
    """A graph in ONNX Runtime on the CPU.

    Args:
        model: its bytes.
        threads: how many it may use.
        name: what messages call it.
    """

    def __init__(self, model: bytes, threads: int, name: str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 4  # what is wrong is raised as well
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._input, self._name = self._session.get_inputs()[0], name

    def logits(self, photos: np.ndarray) -> np.ndarray:
        """Logits (B, C, h, w) float32 of photos (B, 3, h, w) uint8."""
        return self._run("logits", photos)

    def masks(self, photos: np.ndarray) -> np.ndarray:
        """Masks (B, H, W) uint8 of photos (B, 3, H, W) uint8; of a whole graph."""
        return self._run("mask", photos)

    def _run(self, output: str, photos: np.ndarray) -> np.ndarray:
        taken = np.uint8 if self._input.type == "tensor(uint8)" else np.float32
        try:
            found: np.ndarray = self._session.run(
                [output], {self._input.name: np.ascontiguousarray(photos, dtype=taken)}
            )[0]
        except Exception as error:  # ONNX Runtime has a class for each of its own faults
            raise CheckpointError(_cannot_run(self._name, photos, error)) from error
        return found


class Size(NamedTuple):
    """A batch that was tried beside the photos one by one.

    Attributes:
        batch: photos in it.
        height: rows of each.
        width: columns of each.
        difference: the largest of logits; None where masks were compared.
        equal: the share of pixels with the same class.
    """

    batch: int
    height: int
    width: int
    difference: float | None
    equal: float


@dataclass
class Parity:
    """What was found on photos.

    Attributes:
        photos: how many.
        pixels: how many they have together.
        same: how many of these have the same class in both.
        difference: the largest difference of logits.
        largest: the largest logit, without its sign.
        sizes: other batches and sizes that were tried.
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
        """Milliseconds a photo, in PyTorch and in the export."""
        ours, theirs = np.median(self.milliseconds, axis=0).tolist()
        return ours, theirs


def compare(
    reference: Side,
    export: Side,
    photos: Sequence[Callable[[], Sample]],
    image_size: int,
    kind: str,
    sizes: Sequence[tuple[int, int, int]],
) -> Parity:
    """Run both on photos, one by one at the net's size, and then on batches of other sizes.

    Args:
        reference: PyTorch.
        export: what was exported.
        photos: opens each of them.
        image_size: height and width of what the net sees.
        kind: logits, whole or weights; of a whole graph the masks are compared and timed.
        sizes: batches to try besides: photos, height, width.
    """
    parity = Parity()
    for both in (reference, export):  # the first call of each prepares what later ones find ready
        both.logits(np.zeros((1, 3, image_size, image_size), dtype=np.uint8))
    for load in track(photos, total=len(photos), what="comparing"):
        _add(parity, reference, export, load(), image_size, kind)
    first = [load().photo for load in photos[: max((batch for batch, _, _ in sizes), default=0)]]
    parity.sizes = [_try(reference, export, _batch(first, *size), kind) for size in sizes]
    return parity


def sizes_to_try(kind: str, image_size: int, stride: int) -> list[tuple[int, int, int]]:
    """Batches that show whether a graph is free of the size that it was traced at: photos, height, width.

    Those of a net lie around its own size, and are odd where it takes odd ones. Those of a whole graph are smaller,
    wider and taller. Plain weights have no size.
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


def native_mask(logits: np.ndarray, height: int, width: int) -> np.ndarray:
    """The class of every pixel of a photo.

    Args:
        logits: (C, h, w) float32 at the net's size.
        height: rows of the photo.
        width: columns of the photo.

    Returns:
        (height, width) uint8.
    """
    step = max(_BAND // (len(logits) * width), 1)
    bands = (slice(top, min(top + step, height)) for top in range(0, height, step))
    return np.concatenate([upsample(logits, height, width, rows).argmax(0).astype(np.uint8) for rows in bands])


def problems_of(parity: Parity, names: Sequence[str], precision: str) -> list[str]:
    """What is off, one sentence each; nothing for an export that passes.

    Args:
        parity: what was found.
        names: the classes.
        precision: float32, int8, or exact, where not a bit may differ.
    """
    least = {"float32": EQUAL, "int8": INT8_EQUAL, "exact": 1.0}[precision]
    problems = [
        f"{share:.4%} of the pixels of {where} have the same class, expected {least:.2%} at least"
        for where, share in [("the photos", parity.equal), *((_where(size), size.equal) for size in parity.sizes)]
        if share < least
    ]
    if precision != "int8":
        most = DIFFERENCE * max(parity.largest, 1.0) if precision == "float32" else 0.0
        problems += [
            f"logits of {where} differ by up to {difference:.3g}, expected {most:.3g} at most"
            for where, difference in [
                ("the photos", parity.difference),
                *((_where(size), size.difference) for size in parity.sizes if size.difference is not None),
            ]
            if not difference <= most  # also where it is not a number
        ]
    return problems + _changed(parity, names, INT8_DROP if precision == "int8" else CHANGE, precision)


def _changed(parity: Parity, names: Sequence[str], most: float, precision: str) -> list[str]:
    """Classes whose IoU changed too much; of int8, which may do better by chance, those that lost."""
    return [
        f"the IoU of {name} goes from {found['pytorch']:.4f} to {found['export']:.4f}, expected {most:g} apart at most"
        for name, found in (parity.ious(names) or {}).items()
        if found["change"] is not None and (-found["change"] if precision == "int8" else abs(found["change"])) > most
    ]


def _change(ours: float, theirs: float) -> Change:
    """IoU of both and the difference; None for what an absent class makes no number."""
    values = {"pytorch": ours, "export": theirs, "change": theirs - ours}
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def _add(parity: Parity, reference: Side, export: Side, sample: Sample, image_size: int, kind: str) -> None:
    """Compare on one photo."""
    photo = sample.photo.transpose(2, 0, 1)[None]
    small = _resized(photo[0], image_size, image_size)[None]
    ours, our_time = _timed(reference.logits, small)
    theirs, their_time = _timed(export.logits, small)
    if kind == "whole":
        our_masks, our_time = _timed(reference.masks, photo)
        their_masks, their_time = _timed(export.masks, photo)
        masks = our_masks[0], their_masks[0]
    else:
        masks = native_mask(ours[0], *photo.shape[-2:]), native_mask(theirs[0], *photo.shape[-2:])
    parity.photos += 1
    parity.pixels += masks[0].size
    parity.same += int((masks[0] == masks[1]).sum())
    parity.difference = float(np.maximum(parity.difference, np.abs(ours - theirs).max()))  # keeps what is not a number
    parity.largest = max(parity.largest, float(np.abs(ours).max()))
    parity.milliseconds.append((our_time, their_time))
    if sample.mask is not None:
        parity.counts = _counted(parity, masks, sample.mask, classes=ours.shape[1])


def _counted(
    parity: Parity, masks: tuple[np.ndarray, np.ndarray], truth: np.ndarray, classes: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The counts so far, with those of one photo's masks (H, W) against the truth (H, W)."""
    ours, theirs = (confusion_counts(torch.from_numpy(mask), torch.from_numpy(truth), classes) for mask in masks)
    return (ours, theirs) if parity.counts is None else (parity.counts[0] + ours, parity.counts[1] + theirs)


def _try(reference: Side, export: Side, photos: np.ndarray, kind: str) -> Size:
    """Compare on a batch (B, 3, H, W) uint8: masks of a whole graph, otherwise logits and what is largest in them."""
    shape = len(photos), photos.shape[2], photos.shape[3]
    if kind == "whole":
        ours, theirs = reference.masks(photos), export.masks(photos)
        return Size(*shape, None, float((ours == theirs).mean()) if ours.shape == theirs.shape else 0.0)
    ours, theirs = reference.logits(photos), export.logits(photos)
    if ours.shape != theirs.shape:
        return Size(*shape, float("nan"), 0.0)
    return Size(*shape, float(np.abs(ours - theirs).max()), float((ours.argmax(1) == theirs.argmax(1)).mean()))


def _batch(photos: Sequence[np.ndarray], batch: int, height: int, width: int) -> np.ndarray:
    """Photos (H, W, 3) as a batch (B, 3, height, width), from the first again where there are too few."""
    taken = (photos[number % len(photos)] for number in range(batch))
    return np.stack([_resized(photo.transpose(2, 0, 1), height, width) for photo in taken])


def _resized(photo: np.ndarray, height: int, width: int) -> np.ndarray:
    """A photo (3, H, W) uint8 as (3, height, width), in order in memory."""
    resized = resize_photo(np.ascontiguousarray(photo.transpose(1, 2, 0)), height, width)
    return np.ascontiguousarray(resized.transpose(2, 0, 1))


def _timed(run: Callable[[np.ndarray], np.ndarray], photos: np.ndarray) -> tuple[np.ndarray, float]:
    """What a call gives, and its milliseconds."""
    started = time.perf_counter()
    found = run(photos)
    return found, (time.perf_counter() - started) * 1e3


def _where(size: Size) -> str:
    return f"{size.batch} photo{'s' * (size.batch > 1)} of {size.height}x{size.width}"


def _cannot_run(name: str, photos: np.ndarray, error: Exception) -> str:
    batch, _, height, width = photos.shape
    reason = " ".join(str(error).split())[:160]
    return (
        f"{name}: it cannot be run on {batch} photos of {height}x{width} ({reason}); expected any size. A net of one's "
        f"own says with `stride` what its sizes are multiples of."
    )
