"""Masks to the net's size and back to the photo's."""

import functools

import numpy as np

from facesegl.labels.taxonomy import VOID


def shrink_mask(mask: np.ndarray, height: int, width: int, num_classes: int) -> np.ndarray:
    """Resize a mask by majority of area: a pixel takes the class that covers most of it, void voting too.

    This is the argmax of the averaged one-hot mask. It also enlarges. A tie goes to the lower index.

    Args:
        mask: (H, W) uint8, class indices or VOID.
        height: rows of the result.
        width: columns of the result.
        num_classes: how many classes there are.

    Returns:
        (height, width) uint8, class indices or VOID.

    Example:
        >>> shrink_mask(np.uint8([[0, 1, 1], [1, 1, 1], [0, 1, 0]]), 1, 1, num_classes=2)
        array([[1]], dtype=uint8)
    """
    rows, columns = _overlap(mask.shape[0], height), _overlap(mask.shape[1], width)
    values = [*range(num_classes), VOID]
    best = np.full((height, width), -1.0, dtype=np.float32)
    result = np.full((height, width), VOID, dtype=np.uint8)
    for value in values:
        share = rows @ (mask == value).astype(np.float32) @ columns.T
        wins = share > best + 1e-5  # equal areas stay equal although their float sums differ in the last bits
        best[wins], result[wins] = share[wins], value
    return result


def restore_mask(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bring a mask to a photo's size, each pixel from the nearest one; no class appears that was not there.

    Args:
        mask: (h, w) uint8.
        height: rows of the result.
        width: columns of the result.

    Returns:
        (height, width) uint8.
    """
    rows = (np.arange(height) * 2 + 1) * mask.shape[0] // (2 * height)  # pixel centres, in whole numbers
    columns = (np.arange(width) * 2 + 1) * mask.shape[1] // (2 * width)
    restored: np.ndarray = mask[rows[:, None], columns]
    return restored


@functools.lru_cache(maxsize=8)
def _overlap(source: int, target: int) -> np.ndarray:
    """Of shape (target, source), float32: which share of each target cell each source cell covers; rows sum to one."""
    edges = np.arange(target + 1) * (source / target)
    cells = np.arange(source)
    low = np.maximum(edges[:-1, None], cells)
    high = np.minimum(edges[1:, None], cells + 1)
    overlap: np.ndarray = (np.maximum(high - low, 0) * (target / source)).astype(np.float32)
    return overlap
