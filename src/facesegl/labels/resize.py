"""Resize masks to the net's size and back to the photo's."""

import functools

import numpy as np

from facesegl.labels.taxonomy import VOID

_MAX_VOTES = 1 << 22  # per chunk: bounds the memory for a noisy mask


def shrink_mask(mask: np.ndarray, height: int, width: int, num_classes: int) -> np.ndarray:
    """Resize a mask by area majority: each pixel takes the class that covers most of it; void counts as a class.

    This is the argmax of the averaged one-hot mask. It also enlarges. A tie, within 1e-5 of a pixel's area, goes to the
    lower index, and to a class before void.

    Args:
        mask: (H, W) uint8, class indices or VOID.
        height: rows of the result.
        width: columns of the result.
        num_classes: number of classes.

    Returns:
        (height, width) uint8, class indices or VOID.

    Example:
        >>> shrink_mask(np.uint8([[0, 1, 1], [1, 1, 1], [0, 1, 0]]), 1, 1, num_classes=2)
        array([[1]], dtype=uint8)
    """
    rows, row_weights = _taps(mask.shape[0], height)
    columns, column_weights = _taps(mask.shape[1], width)
    result = _reduce(np.minimum, mask, rows, columns)
    mixed = np.flatnonzero(result != _reduce(np.maximum, mask, rows, columns))  # the others overlap one class only
    for pixels in np.array_split(mixed, 1 + mixed.size * len(rows) * len(columns) // _MAX_VOTES):
        y, x = np.divmod(pixels, width)
        tall, wide = row_weights[:, None, y], column_weights[:, x]
        votes = mask[rows[:, None, y], columns[:, x]]  # (row taps, column taps, pixels)
        best, winner = np.full(pixels.size, -1.0, dtype=np.float32), np.full(pixels.size, VOID, dtype=np.uint8)
        for value in (*range(num_classes), VOID):
            votes_for = votes == value
            if votes_for.any():
                area = (wide * (tall * votes_for).sum(axis=0)).sum(axis=0)
                wins = area > best + 1e-5  # equal areas stay equal although their float sums differ in the last bits
                best[wins], winner[wins] = area[wins], value
        result.flat[pixels] = winner
    return result


def restore_mask(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize a mask to the photo's size by nearest neighbour; no new class appears.

    Args:
        mask: (h, w) uint8.
        height: rows of the result.
        width: columns of the result.

    Returns:
        (height, width) uint8.
    """
    rows = (np.arange(height) * 2 + 1) * mask.shape[0] // (2 * height)  # pixel centres, in integers
    columns = (np.arange(width) * 2 + 1) * mask.shape[1] // (2 * width)
    return np.asarray(mask[rows[:, None], columns])


def _reduce(ufunc: np.ufunc, mask: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Combine the source pixels of a mask (H, W) that each target pixel covers, by their rows and columns."""
    tall = functools.reduce(ufunc, (mask[row] for row in rows))
    return np.asarray(functools.reduce(ufunc, (tall[:, column] for column in columns)))


@functools.lru_cache(maxsize=8)
def _taps(source: int, target: int) -> tuple[np.ndarray, np.ndarray]:
    """Source cells that each target cell overlaps and their shares of it, (taps, target) intp and float32."""
    edges = np.arange(target + 1) * (source / target)
    first = np.floor(edges[:-1]).astype(np.intp)
    cells = first + np.arange((np.ceil(edges[1:]) - first).max(), dtype=np.intp)[:, None]
    overlap = np.minimum(edges[1:], cells + 1) - np.maximum(edges[:-1], cells)
    weights = np.where(cells < source, np.maximum(overlap, 0) * (target / source), 0)
    return np.minimum(cells, source - 1), weights.astype(np.float32)
