"""Logits to a photo's own size, bilinearly, as PyTorch's `interpolate(mode="bilinear", align_corners=False)` does."""

import numpy as np


def upsample(logits: np.ndarray, height: int, width: int, rows: slice) -> np.ndarray:
    """Some rows of logits resized to a photo's size; it also reduces, by the same two neighbours a side.

    Args:
        logits: (C, h, w) float32.
        height: rows of the photo.
        width: columns of the photo.
        rows: which of its rows to make.

    Returns:
        (C, rows, width) float32.

    Example:
        >>> upsample(np.float32([[[0, 1]]]), 1, 4, slice(0, 1))
        array([[[0.  , 0.25, 0.75, 1.  ]]], dtype=float32)
    """
    above, below, down = _neighbours(logits.shape[1], height, np.arange(rows.start, rows.stop))
    left, right, along = _neighbours(logits.shape[2], width, np.arange(width))
    bands = _between(logits[:, above], logits[:, below], down[:, None])
    return _between(bands.take(left, axis=2), bands.take(right, axis=2), along)


def _neighbours(source: int, target: int, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For pixels of a side: the source pixel before each, the one after it, and how far it lies between them."""
    # in float32 as PyTorch computes it, so that both find the same neighbours, and shares that differ in the last bits
    half, scale = np.float32(0.5), np.float32(source / target)
    centres = np.maximum((places.astype(np.float32) + half) * scale - half, 0)
    before = np.minimum(centres.astype(np.int64), source - 1)
    return before, np.minimum(before + 1, source - 1), centres - before.astype(np.float32)


def _between(one: np.ndarray, other: np.ndarray, share: np.ndarray) -> np.ndarray:
    """`one` and `other` of equal shape, mixed by `share` of the other; reuses the memory of both."""
    other -= one
    other *= share
    one += other
    return one
