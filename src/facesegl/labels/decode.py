"""Colour mask to index mask, and back.

The rule is the project's own, measured in docs/architecture.md: a colour within 32 of a class colour is that class; any
other pixel takes the nearest among the classes so present around it. The nearest colour alone is not enough: where eye
and skin blend, the grey between them lies nearest to hair.
"""

import itertools
from typing import NamedTuple

import numpy as np

from facesegl.errors import DataError
from facesegl.labels.onehot import pack_onehot
from facesegl.labels.taxonomy import VOID, Colour, Taxonomy

RULE = "within 32, else nearest in 5x5 doubled"
"""The name of the decoding rule; a cache that another rule made is not reused."""

TOLERANCE = 32  # no blend of two FASSEG colours comes closer than 90.5 to a third one
MOST_FAR = 0.5
_FLAT = 1e-3  # of a mask's pixels, in the inside of areas of one colour

_UNCLAIMED = VOID - 1  # while decoding: a pixel whose colour no class claims; taxonomies end below it


class Decoded(NamedTuple):
    """A mask, and where it was guessed.

    Attributes:
        mask: (H, W) uint8, class indices or VOID.
        inexact: (H, W) bool, true where the colour was not exactly that of a class (or of void).
    """

    mask: np.ndarray
    inexact: np.ndarray


def class_pixels(mask: np.ndarray, num_classes: int) -> np.ndarray:
    """(C,) uint32: the number of pixels of each class in a uint8 mask of any shape; VOID is not counted."""
    return np.bincount(mask.ravel(), minlength=256)[:num_classes].astype(np.uint32)


def decode_mask(colours: np.ndarray, taxonomy: Taxonomy) -> Decoded:
    """Turn a colour mask into class indices.

    Args:
        colours: (H, W, 3) uint8, R-G-B, at native size. Never resize before this step: interpolation invents colours
            that belong to no class.
        taxonomy: the classes and their colours.

    Returns:
        The index mask, and which of its pixels were inexact.

    Raises:
        DataError: most pixels are far from every colour. The message does not know the file: the caller names it.

    Example:
        >>> two = Taxonomy(names=("background", "skin"), colours=((255, 0, 0), (255, 255, 0)))
        >>> decode_mask(np.uint8([[[255, 0, 0], [250, 255, 3]]]), two).mask
        array([[0, 1]], dtype=uint8)
    """
    palette, values = _palette(taxonomy)
    mask = _exact(colours, palette, values)
    off = np.flatnonzero(mask == _UNCLAIMED)
    inexact = np.zeros(mask.shape, dtype=bool)
    inexact.flat[off] = True
    if off.size:
        distance = _squared_distances(colours.reshape(-1, 3)[off], palette)
        near = distance.min(axis=1) <= TOLERANCE**2
        _refuse_foreign(colours, off[~near])
        mask.flat[off[near]] = values[distance[near].argmin(axis=1)]
        _take_from_around(mask, off[~near], distance[~near], values)
    return Decoded(mask, inexact)


def foreign_colour(colours: np.ndarray, taxonomy: Taxonomy) -> tuple[Colour, float] | None:
    """A colour that no class has and that fills areas, as blends never do: most likely a class that is missing.

    Args:
        colours: (H, W, 3) uint8, R-G-B.
        taxonomy: the classes and their colours.

    Returns:
        The commonest such colour and its share of the pixels; None where less than 0.1 % lies inside its areas (of
        FASSEG's masks none has more than 2 such pixels).

    Example:
        >>> two = Taxonomy(names=("background", "skin"), colours=((255, 0, 0), (255, 255, 0)))
        >>> foreign_colour(np.zeros((5, 5, 3), np.uint8), two)
        ((0, 0, 0), 1.0)
    """
    palette, values = _palette(taxonomy)
    off = np.flatnonzero(_exact(colours, palette, values) == _UNCLAIMED)
    packed = _packed(colours)
    inside = np.zeros(packed.shape, dtype=bool)
    inside.flat[off] = _squared_distances(colours.reshape(-1, 3)[off], palette).min(axis=1) > TOLERANCE**2
    inside[0], inside[-1], inside[:, 0], inside[:, -1] = False, False, False, False
    for rows, columns in itertools.product((-1, 0, 1), repeat=2):
        inside &= np.roll(packed, (rows, columns), (0, 1)) == packed
    found, counts = np.unique(packed[inside], return_counts=True)
    if not found.size or counts.max() <= _FLAT * packed.size:
        return None
    commonest = int(found[counts.argmax()])
    return _unpacked(commonest), float((packed == commonest).mean())


def mask_to_colours(mask: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
    """Paint a mask.

    Args:
        mask: (H, W) uint8, class indices; what is no class is painted in the void colour, or grey.
        taxonomy: the classes and their colours.

    Returns:
        (H, W, 3) uint8, R-G-B.
    """
    painted: np.ndarray = taxonomy.palette()[mask]
    return painted


def _palette(taxonomy: Taxonomy) -> tuple[np.ndarray, np.ndarray]:
    """The colours to look for, (C, 3) int32, and the mask value of each, (C,) uint8; the void colour comes last."""
    known = taxonomy.raw_colours()
    return np.array([*known], dtype=np.int32), np.array([*known.values()], dtype=np.uint8)


def _exact(colours: np.ndarray, palette: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The mask (H, W) of the pixels that have exactly a colour of the palette (C, 3); the others are unclaimed."""
    packed = _packed(colours)  # one comparison of whole numbers a class instead of three of bytes
    mask = np.full(packed.shape, _UNCLAIMED, dtype=np.uint8)
    for key, value in zip(_packed(palette), values, strict=True):
        mask[packed == key] = value
    return mask


def _packed(colours: np.ndarray) -> np.ndarray:
    """(..., 3) colours as (...) uint32, a number each."""
    red, green, blue = np.moveaxis(colours.astype(np.uint32), -1, 0)
    packed: np.ndarray = (red << 16) | (green << 8) | blue
    return packed


def _squared_distances(colours: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """(P, C) int32: from each of P colours to each of the palette."""
    difference = colours[:, None, :].astype(np.int32) - palette
    squared: np.ndarray = np.einsum("pcd,pcd->pc", difference, difference)
    return squared


def _refuse_foreign(colours: np.ndarray, far: np.ndarray) -> None:
    """Raise if most pixels of colours (H, W, 3) are among the flat places `far` (P,), which no class claims."""
    pixels = colours.shape[0] * colours.shape[1]
    if far.size <= MOST_FAR * pixels:
        return
    found, counts = np.unique(_packed(colours.reshape(-1, 3)[far]), return_counts=True)
    commonest = int(found[counts.argmax()])
    raise DataError(
        f"{far.size / pixels:.0%} of the pixels are far from every class colour (limit {MOST_FAR:.0%}); the commonest "
        f"is {_unpacked(commonest)}. Is this the photo, or a mask in other colours? Give its colours as "
        f"data.taxonomy=FILE.yaml."
    )


def _unpacked(colour: int) -> Colour:
    return colour >> 16, colour >> 8 & 255, colour & 255


def _take_from_around(mask: np.ndarray, far: np.ndarray, distance: np.ndarray, values: np.ndarray) -> None:
    """Give pixels `far` (P,), with distances (P, C), the nearest class in 5x5, in 9x9 where there is none, ..."""
    values, distance = _nearest_of_each(values, distance)
    places = np.full(256, VOID, dtype=np.uint8)
    places[values] = np.arange(len(values))
    present = pack_onehot(places[mask], len(values))  # which colours of the palette a window holds, a bit each
    present = _spread(_spread(present, 1), 1)
    step = 2
    while far.size:
        around = np.unpackbits(
            present.reshape(-1, present.shape[-1])[far], axis=1, count=len(values), bitorder="little"
        )
        allowed = np.where(around, distance, np.iinfo(distance.dtype).max)
        found = around.any(axis=1)
        mask.flat[far[found]] = values[allowed[found].argmin(axis=1)]
        far, distance = far[~found], distance[~found]
        if far.size:
            present, step = _spread(present, step), step * 2


def _nearest_of_each(values: np.ndarray, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each mask value once, (V,) uint8, and the distance (P, V) to the nearest of its colours, of (C,) and (P, C)."""
    single = np.unique(values)
    if len(single) == len(values):
        return values, distance
    return single, np.stack([distance[:, values == value].min(axis=1) for value in single], axis=1)


def _spread(present: np.ndarray, step: int) -> np.ndarray:
    """Join each window (H, W, bytes) with those `step` away; windows of radius `step` or more leave no gap."""
    for axis in (0, 1):
        moved = present.copy()
        ahead = [slice(None)] * 3
        back = [slice(None)] * 3
        ahead[axis], back[axis] = slice(step, None), slice(None, -step)
        moved[tuple(back)] |= present[tuple(ahead)]
        moved[tuple(ahead)] |= present[tuple(back)]
        present = moved
    return present
