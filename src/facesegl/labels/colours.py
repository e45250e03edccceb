"""Colours for classes that come without any."""

import itertools

import numpy as np

from facesegl.labels.taxonomy import Colour

_LEVELS = range(0, 256, 51)
_TAKEN = ((0, 0, 0), (128, 128, 128))  # what pictures have for the background and for void


def distinct_colours(number: int) -> list[Colour]:
    """As many colours as are asked for, up to 215, each as far as can be from black, grey and those before it.

    Example:
        >>> distinct_colours(3)
        [(0, 0, 255), (0, 255, 0), (255, 0, 0)]
    """
    grid = np.array(list(itertools.product(_LEVELS, repeat=3)))
    chosen = [np.array(colour) for colour in _TAKEN]
    for _ in range(number):
        nearest = np.min([np.square(grid - colour).sum(axis=1) for colour in chosen], axis=0)
        chosen.append(grid[nearest.argmax()])
    return [(int(red), int(green), int(blue)) for red, green, blue in chosen[len(_TAKEN) :]]
