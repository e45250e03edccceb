"""One grey picture a part, laid over each other to an index mask."""

import itertools
from collections.abc import Iterable

import numpy as np

from facesegl.errors import DataError
from facesegl.labels.decode import Decoded


def overlay_parts(parts: Iterable[tuple[int, np.ndarray]], rest: int, smallest_on_top: bool = False) -> Decoded:
    """Lay black and white pictures over each other; where they overlap, the later one counts.

    Args:
        parts: for each part a class index or VOID, and its picture: (H, W) of bool, uint8 or uint16, all of one size.
            White, or 1 where nothing is larger, is the part; what is above half of that counts as white.
        rest: what pixels without any part are.
        smallest_on_top: whether the class that covers less counts, and not the later one.

    Returns:
        The index mask; inexact are pixels between black and white.

    Raises:
        DataError: pictures of several sizes, or one that is neither black nor white anywhere but in between.

    Example:
        >>> overlay_parts([(1, np.uint8([[0, 255, 0]])), (2, np.uint8([[255, 255, 0]]))], rest=0).mask
        array([[2, 2, 0]], dtype=uint8)
    """
    mask, inexact = np.zeros((0, 0), dtype=np.uint8), np.zeros((0, 0), dtype=bool)
    whole: dict[int, np.ndarray] = {}
    for number, (value, grey) in enumerate(parts):
        if number == 0:
            mask, inexact = np.full(grey.shape, rest, dtype=np.uint8), np.zeros(grey.shape, dtype=bool)
        _require_size(mask, grey)
        white = _white(grey)
        on = grey > white // 2
        if grey.any() and not on.any():
            raise DataError(f"its parts: one holds nothing above {grey.max()}; expected black (0) and white ({white}).")
        inexact |= (grey != 0) & (grey != white)
        mask[on] = value
        if smallest_on_top:
            whole[value] = whole.get(value, False) | on
    for value in sorted(whole, key=lambda value: -int(whole[value].sum())):
        mask[whole[value]] = value
    return Decoded(mask, inexact)


def likeliest_parts(parts: Iterable[tuple[int, np.ndarray]], rest: int) -> Decoded:
    """Give each pixel the class whose parts are likeliest together; on a tie the earlier one.

    Args:
        parts: for each part a class index or VOID, and its probability: (H, W) of uint8, 0 to 255, all of one size;
            the parts of a class follow each other.
        rest: what pixels are where every part is 0.

    Returns:
        The index mask; inexact are pixels where no class is likelier than all others together.

    Raises:
        DataError: pictures of several sizes.

    Example:
        >>> likeliest_parts([(0, np.uint8([[200, 40]])), (1, np.uint8([[55, 215]]))], rest=0).mask
        array([[0, 1]], dtype=uint8)
    """
    mask, best = np.zeros((0, 0), dtype=np.uint8), np.zeros((0, 0), dtype=np.uint16)
    for number, (value, alike) in enumerate(itertools.groupby(parts, key=lambda part: part[0])):
        total = _total(grey for _value, grey in alike)
        if number == 0:
            mask, best = np.full(total.shape, rest, dtype=np.uint8), np.zeros(total.shape, dtype=np.uint16)
        _require_size(mask, total)
        wins = total > best
        mask[wins], best[wins] = value, total[wins]
    return Decoded(mask, best <= 127)  # soft rims are what probabilities are for: nothing is guessed there


def _total(pictures: Iterable[np.ndarray]) -> np.ndarray:
    """The sum (H, W) uint16 of pictures (H, W) uint8 of one size.

    Raises:
        DataError: pictures of another depth, whose white is another one, or of several sizes.
    """
    total = np.zeros((0, 0), dtype=np.uint16)
    for number, grey in enumerate(pictures):
        if grey.dtype != np.uint8:
            raise DataError(f"its parts: one is of {grey.dtype}; expected probabilities in 8 bits, 0 to 255.")
        _require_size(grey if number == 0 else total, grey)
        total = grey.astype(np.uint16) if number == 0 else total + grey
    return total


def _white(grey: np.ndarray) -> int:
    """What is white in a picture (H, W) of bool, uint8 or uint16."""
    top = int(grey.max(initial=0))
    return next(white for white in (1, 255, 65535) if top <= white)


def _require_size(one: np.ndarray, other: np.ndarray) -> None:
    """Raise unless two pictures (H, W) are equally large."""
    if one.shape != other.shape:
        sizes = [f"{width}x{height}" for height, width in (one.shape, other.shape)]
        raise DataError(f"its parts are {sizes[0]} and {sizes[1]}; expected one size.")
