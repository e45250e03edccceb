"""The connected components of a mask, from runs of equal pixels, in NumPy."""

from typing import NamedTuple

import numpy as np


class Parts(NamedTuple):
    """The connected components of a mask (4-connectivity).

    Attributes:
        value: (P,) uint8, the mask's value in each part.
        size: (P,) int64, the pixels of each part.
    """

    value: np.ndarray
    size: np.ndarray


def connected_parts(mask: np.ndarray) -> Parts:
    """Find the connected components of a mask: equal neighbours in a row or column are connected.

    Args:
        mask: (H, W) uint8, class indices or VOID.

    Returns:
        The parts, in the order of their first pixel.

    Example:
        >>> connected_parts(np.uint8([[1, 0, 1], [1, 0, 0]]))
        Parts(value=array([1, 0, 1], dtype=uint8), size=array([2, 3, 1]))
    """
    starts, ends, value = _runs(mask)
    part = _joined(len(value), *_touching(starts, ends, value, mask.shape[1] + 1))
    first, which = np.unique(part, return_inverse=True)
    size = np.bincount(which, weights=ends - starts, minlength=len(first)).astype(np.int64)
    inside = value[first] >= 0
    return Parts(value[first][inside].astype(np.uint8), size[inside])


def _runs(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Start, end and value of each run of equal pixels, (R,) each, in a mask (H, W) read row by row.

    A column of -1 after the mask ends each row; starts and ends count it.
    """
    padded = np.full((mask.shape[0], mask.shape[1] + 1), -1, dtype=np.int16)
    padded[:, :-1] = mask
    line = padded.ravel()
    starts = np.concatenate([[0], np.flatnonzero(line[1:] != line[:-1]) + 1])
    return starts, np.append(starts[1:], line.size), line[starts]


def _touching(starts: np.ndarray, ends: np.ndarray, value: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (upper, lower), (T,) each, of runs of one value above each other; runs are (R,) each."""
    first = np.searchsorted(ends, starts + width - 1, side="right")
    last = np.searchsorted(starts, ends + width + 1, side="left")
    below = np.maximum(last - first, 0)
    upper = np.repeat(np.arange(len(starts)), below)
    lower = np.arange(below.sum()) + np.repeat(first - np.cumsum(below) + below, below)
    same = value[upper] == value[lower]
    return upper[same], lower[same]


def _joined(runs: int, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """The first run, (R,), of the part that each run belongs to; the runs `upper` and `lower`, (T,) each, touch."""
    leader = np.arange(runs)
    while True:
        one, other = leader[upper], leader[lower]
        apart = one != other
        if not apart.any():
            return leader
        np.minimum.at(leader, np.maximum(one, other)[apart], np.minimum(one, other)[apart])
        while (leader[leader] != leader).any():
            leader = leader[leader]
