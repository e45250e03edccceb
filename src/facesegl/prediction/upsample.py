"""Upsample logits to a photo's size, bilinear as in PyTorch's `interpolate(mode="bilinear", align_corners=False)`."""

from collections.abc import Iterator

import numpy as np

_BAND = 1 << 22  # numbers in a band of rows: 16 MiB of float32, whatever the photo


def row_bands(classes: int, height: int, width: int) -> Iterator[slice]:
    """The rows of a photo from top to bottom, in bands of some 16 MiB of logits."""
    step = max(_BAND // (classes * width), 1)
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


def native_mask(logits: np.ndarray, height: int, width: int) -> np.ndarray:
    """The class of every pixel of a photo: (height, width) uint8 from logits (C, h, w) float32 at the net's size."""
    bands = row_bands(len(logits), height, width)
    return np.concatenate([upsample(logits, height, width, rows).argmax(0).astype(np.uint8) for rows in bands])


def upsample(logits: np.ndarray, height: int, width: int, rows: slice) -> np.ndarray:
    """Some rows of logits resized to a photo's size; a smaller size is interpolated in the same way.

    Args:
        logits: (C, h, w) float32.
        height: rows of the photo.
        width: columns of the photo.
        rows: which of its rows to compute.

    Returns:
        (C, rows, width) float32.

    Example:
        >>> upsample(np.float32([[[0, 1]]]), 1, 4, slice(0, 1))
        array([[[0.  , 0.25, 0.75, 1.  ]]], dtype=float32)
    """
    above, below, down = _neighbours(logits.shape[1], height, np.arange(rows.start, rows.stop))
    left, right, along = _neighbours(logits.shape[2], width, np.arange(width))
    bands = _lerp(logits[:, above], logits[:, below], down[:, None])
    return _lerp(bands.take(left, axis=2), bands.take(right, axis=2), along)


def _neighbours(source: int, target: int, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For pixels along a side: the source pixel before each, the one after it, and the weight of the latter."""
    # in float32 as PyTorch computes it, to find the same neighbours and weights that differ in the last bits only
    half, scale = np.float32(0.5), np.float32(source / target)
    centres = np.maximum((indices.astype(np.float32) + half) * scale - half, 0)
    before = np.minimum(centres.astype(np.int64), source - 1)
    return before, np.minimum(before + 1, source - 1), centres - before.astype(np.float32)


def _lerp(start: np.ndarray, end: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Linear interpolation between arrays of equal shape; overwrites both to save memory."""
    end -= start
    end *= weight
    start += end
    return start
