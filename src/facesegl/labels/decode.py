"""Decode raw masks (colours, numbers, layers, one image per part) to index masks, and render index masks in colour.

The rule for colours is measured in docs/architecture.md: a colour within 32 of a class colour is that class; any other
pixel takes the nearest class among those in the window around it. The nearest colour alone is not enough: where eye and
skin blend, the grey between them is nearest to hair.

Numbers and layers are never guessed: a value that is not in the taxonomy is an error, and never becomes void.
"""

import itertools
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from facesegl.errors import DataError
from facesegl.labels.onehot import pack_onehot
from facesegl.labels.taxonomy import VOID, Colour, Taxonomy

RULE = "within 32, else nearest in 5x5 doubled"
"""The name of the decoding rule; a cache built with another rule is rebuilt."""

TOLERANCE = 32  # no blend of two FASSEG colours comes closer than 90.5 to a third one
MOST_FAR = 0.5
_FLAT = 1e-3  # share of the pixels inside areas of one foreign colour

_UNCLAIMED = VOID - 1  # while decoding: not a class; class indices are below it
_SHOWN = 8


class Decoded(NamedTuple):
    """An index mask, and which of its pixels are guesses.

    Attributes:
        mask: (H, W) uint8, class indices or VOID.
        inexact: (H, W) bool, true where the raw value was not exactly that of a class (or of void).
    """

    mask: np.ndarray
    inexact: np.ndarray


def class_pixels(mask: np.ndarray, num_classes: int) -> np.ndarray:
    """(C,) uint32: the number of pixels of each class in a uint8 mask of any shape; VOID is not counted."""
    return np.bincount(mask.ravel(), minlength=256)[:num_classes].astype(np.uint32)


def decode_mask(colours: np.ndarray, taxonomy: Taxonomy) -> Decoded:
    """Decode a colour mask.

    Args:
        colours: (H, W, 3) uint8, R-G-B, at native size. Never resize before this step: interpolation invents colours
            that belong to no class.
        taxonomy: the classes and their colours.

    Returns:
        The index mask, and which of its pixels were inexact.

    Raises:
        DataError: most pixels are far from every colour. The caller adds the file's name.

    Example:
        >>> two = Taxonomy(names=("background", "skin"), colours=((255, 0, 0), (255, 255, 0)))
        >>> decode_mask(np.uint8([[[255, 0, 0], [250, 255, 3]]]), two).mask
        array([[0, 1]], dtype=uint8)
    """
    palette, values = _palette(taxonomy)
    mask = _exact_matches(colours, palette, values)
    off = np.flatnonzero(mask == _UNCLAIMED)
    inexact = np.zeros(mask.shape, dtype=bool)
    inexact.flat[off] = True
    if off.size:
        distance = _squared_distances(colours.reshape(-1, 3)[off], palette)
        near = distance.min(axis=1) <= TOLERANCE**2
        _require_known_colours(colours, off[~near])
        mask.flat[off[near]] = values[distance[near].argmin(axis=1)]
        _fill_from_neighbours(mask, off[~near], distance[~near], values)
    return Decoded(mask, inexact)


def foreign_colour(colours: np.ndarray, taxonomy: Taxonomy) -> tuple[Colour, float] | None:
    """The most common colour that fills areas, unlike blended edges, but belongs to no class: probably a missing one.

    Args:
        colours: (H, W, 3) uint8, R-G-B.
        taxonomy: the classes and their colours.

    Returns:
        The colour and its share of the pixels; None if at most 0.1 % of the pixels are inside such areas (FASSEG's
        masks have 2 such pixels at most).

    Example:
        >>> two = Taxonomy(names=("background", "skin"), colours=((255, 0, 0), (255, 255, 0)))
        >>> foreign_colour(np.zeros((5, 5, 3), np.uint8), two)
        ((0, 0, 0), 1.0)
    """
    palette, values = _palette(taxonomy)
    off = np.flatnonzero(_exact_matches(colours, palette, values) == _UNCLAIMED)
    packed = _packed(colours)
    inside = np.zeros(packed.shape, dtype=bool)
    inside.flat[off] = _squared_distances(colours.reshape(-1, 3)[off], palette).min(axis=1) > TOLERANCE**2
    inside = uniform_areas(packed, inside)
    found, counts = np.unique(packed[inside], return_counts=True)
    if not found.size or counts.max() <= _FLAT * packed.size:
        return None
    commonest = int(found[counts.argmax()])
    return _unpacked(commonest), float((packed == commonest).mean())


def uniform_areas(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """(H, W) bool: the pixels of `inside` (H, W) bool whose eight neighbours all have the same value (H, W)."""
    inside = inside.copy()
    inside[0], inside[-1], inside[:, 0], inside[:, -1] = False, False, False, False
    for rows, columns in itertools.product((-1, 0, 1), repeat=2):
        inside &= np.roll(values, (rows, columns), (0, 1)) == values
    return inside


def mask_to_colours(mask: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
    """Render a mask in the taxonomy's colours.

    Args:
        mask: (H, W) uint8, class indices; other values get the void colour, or grey.
        taxonomy: the classes and their colours.

    Returns:
        (H, W, 3) uint8, R-G-B.
    """
    return np.asarray(taxonomy.palette()[mask])


def decode_numbers(numbers: np.ndarray, taxonomy: Taxonomy, palette: np.ndarray | None = None) -> Decoded:
    """Decode an index mask, with the taxonomy's `remap` if it has one.

    Args:
        numbers: (H, W) of any integer type, or bool for 0 and 1.
        taxonomy: the classes.
        palette: (256, 3) uint8, the colours with which the file shows its numbers, for messages.

    Returns:
        The index mask; none of its pixels is inexact.

    Raises:
        DataError: numbers that the taxonomy does not define, one problem each. The caller adds the file's name.

    Example:
        >>> two = Taxonomy(names=("wall", "face"), colours=((0, 0, 0), (9, 9, 9)), remap={3: "wall", 40: "face"})
        >>> decode_numbers(np.uint16([[3, 40]]), two).mask
        array([[0, 1]], dtype=uint8)
    """
    mask = _look_up(numbers, taxonomy)
    found, counts = np.unique(numbers[mask == _UNCLAIMED], return_counts=True)
    if len(found) > _SHOWN:
        raise DataError(
            f"holds numbers of no class in {counts.sum() / mask.size:.2%} of the pixels, more than {_SHOWN} different "
            f"ones; {_known(taxonomy)}. Is this a photo, or a soft mask? Expected one number per class."
        )
    if found.size:
        shares = (counts / mask.size).tolist()
        raise DataError(
            *(
                _unknown_number(int(number), share, taxonomy, palette)
                for number, share in zip(found, shares, strict=True)
            )
        )
    return Decoded(mask, np.zeros(mask.shape, dtype=bool))


def _unknown_number(number: int, share: float, taxonomy: Taxonomy, palette: np.ndarray | None) -> str:
    color = "" if palette is None else f" ({', '.join(map(str, palette[number]))})"
    remedy = (
        f"add it to `remap`, as `{number}: CLASS or void`"
        if any(isinstance(raw, int) for raw in taxonomy.remap)
        else f"add it to `classes`, or to `remap` with every other number, as "
        f"`remap: {{0: {taxonomy.names[0]}, {number}: CLASS or void, ...}}`"
    )
    return f"holds {number}{color}, which is no class: {remedy} ({share:.2%} of the pixels; {_known(taxonomy)})."


def are_known(numbers: np.ndarray, taxonomy: Taxonomy) -> bool:
    """Whether the taxonomy defines every number of a mask (H, W) of integers."""
    return not (_look_up(numbers, taxonomy) == _UNCLAIMED).any()


def decode_layers(layers: np.ndarray, taxonomy: Taxonomy) -> Decoded:
    """Decode one layer per class, stacked along the first or the last axis.

    Args:
        layers: (C, H, W) or (H, W, C), of any type, zeros and ones.
        taxonomy: the classes; C is their number, or the number of values that it remaps.

    Returns:
        The index mask; a pixel in no layer is void if the taxonomy has a void.

    Raises:
        DataError: a wrong number of layers, values other than 0 and 1, or pixels in several layers or in none.
    """
    numbers = [raw for raw in taxonomy.remap if isinstance(raw, int)] or range(taxonomy.num_classes)
    known = taxonomy.raw_numbers()
    values = np.array([known[number] for number in sorted(numbers)], np.uint8)
    stack = _classes_first(layers, len(values))
    if not np.isin(stack, (0, 1)).all():
        raise DataError(
            "has values other than 0 and 1 in its layers; expected one-hot layers. Save the index of the largest layer "
            "instead (argmax)."
        )
    times = stack.astype(bool).sum(axis=0)
    if (times > 1).any():
        raise DataError(
            f"{(times > 1).mean():.1%} of the pixels are in several layers; expected one layer for each pixel. "
            f"Save class indices instead."
        )
    if not times.all() and taxonomy.void is None:
        raise DataError(
            f"{(times == 0).mean():.1%} of the pixels are in no layer; expected one layer for each pixel. "
            f"Add a layer, or a void to the taxonomy."
        )
    mask = np.where(times == 1, values[stack.argmax(axis=0)], VOID).astype(np.uint8)
    return Decoded(mask, np.zeros(mask.shape, dtype=bool))


def overlay_parts(parts: Iterable[tuple[int, np.ndarray]], rest: int, smallest_on_top: bool = False) -> Decoded:
    """Overlay black and white images, one per part; where they overlap, the later one wins.

    Args:
        parts: for each part a class index or VOID, and its image: (H, W) of bool, uint8 or uint16, all of one size.
            White (1 if no value is larger) is the part; values above half of it count as white.
        rest: the value of pixels in no part.
        smallest_on_top: whether the class with the smaller area wins instead of the later one.

    Returns:
        The index mask; pixels between black and white are inexact.

    Raises:
        DataError: images of different sizes, or an image with grey pixels but none above half of white.

    Example:
        >>> overlay_parts([(1, np.uint8([[0, 255, 0]])), (2, np.uint8([[255, 255, 0]]))], rest=0).mask
        array([[2, 2, 0]], dtype=uint8)
    """
    mask, inexact = np.zeros((0, 0), dtype=np.uint8), np.zeros((0, 0), dtype=bool)
    areas: dict[int, np.ndarray] = {}
    for number, (value, grey) in enumerate(parts):
        if number == 0:
            mask, inexact = np.full(grey.shape, rest, dtype=np.uint8), np.zeros(grey.shape, dtype=bool)
        _require_size(mask, grey)
        white = _white(grey)
        on = grey > white // 2
        if grey.any() and not on.any():
            raise DataError(f"its parts: one has no value above {grey.max()}; expected black (0) and white ({white}).")
        inexact |= (grey != 0) & (grey != white)
        mask[on] = value
        if smallest_on_top:
            areas[value] = areas.get(value, False) | on
    for value in sorted(areas, key=lambda value: -int(areas[value].sum())):
        mask[areas[value]] = value
    return Decoded(mask, inexact)


def likeliest_parts(parts: Iterable[tuple[int, np.ndarray]], rest: int) -> Decoded:
    """Give each pixel the class whose parts have the largest sum of probabilities; ties go to the earlier class.

    Args:
        parts: for each part a class index or VOID, and its probability: (H, W) uint8, 0 to 255, all of one size;
            the parts of a class must be adjacent.
        rest: the value of pixels where every part is 0.

    Returns:
        The index mask; pixels where no class has more than half are inexact.

    Raises:
        DataError: images of different sizes, or not of 8 bits.

    Example:
        >>> likeliest_parts([(0, np.uint8([[200, 40]])), (1, np.uint8([[55, 215]]))], rest=0).mask
        array([[0, 1]], dtype=uint8)
    """
    mask, best = np.zeros((0, 0), dtype=np.uint8), np.zeros((0, 0), dtype=np.uint16)
    for number, (value, alike) in enumerate(itertools.groupby(parts, key=lambda part: part[0])):
        total = _sum_of(grey for _value, grey in alike)
        if number == 0:
            mask, best = np.full(total.shape, rest, dtype=np.uint8), np.zeros(total.shape, dtype=np.uint16)
        _require_size(mask, total)
        wins = total > best
        mask[wins], best[wins] = value, total[wins]
    return Decoded(mask, best <= 127)  # a soft border with a clear winner is not a guess


def _palette(taxonomy: Taxonomy) -> tuple[np.ndarray, np.ndarray]:
    """The known colours, (C, 3) int32, and their mask values, (C,) uint8; the void colour comes last."""
    known = taxonomy.raw_colours()
    return np.array([*known], dtype=np.int32), np.array([*known.values()], dtype=np.uint8)


def _exact_matches(colours: np.ndarray, palette: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The mask (H, W) of the pixels that match a colour of the palette (C, 3) exactly; the others are _UNCLAIMED."""
    packed = _packed(colours)  # one comparison for each class instead of three
    mask = np.full(packed.shape, _UNCLAIMED, dtype=np.uint8)
    for key, value in zip(_packed(palette), values, strict=True):
        mask[packed == key] = value
    return mask


def _packed(colours: np.ndarray) -> np.ndarray:
    """(..., 3) colours as (...) uint32."""
    red, green, blue = np.moveaxis(colours.astype(np.uint32), -1, 0)
    return np.asarray((red << 16) | (green << 8) | blue)


def _squared_distances(colours: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """(P, C) int32: from P colours (P, 3) to those of the palette (C, 3)."""
    difference = colours[:, None, :].astype(np.int32) - palette
    return np.asarray(np.einsum("pcd,pcd->pc", difference, difference))


def _require_known_colours(colours: np.ndarray, far: np.ndarray) -> None:
    """Raise if most pixels of colours (H, W, 3) are among `far` (P,), flat indices of unclaimed pixels."""
    pixels = colours.shape[0] * colours.shape[1]
    if far.size <= MOST_FAR * pixels:
        return
    found, counts = np.unique(_packed(colours.reshape(-1, 3)[far]), return_counts=True)
    commonest = int(found[counts.argmax()])
    raise DataError(
        f"{far.size / pixels:.0%} of the pixels are far from every class colour (limit {MOST_FAR:.0%}); the most "
        f"common is {_unpacked(commonest)}. Is this the photo, or a mask in other colours? Give its colours as "
        f"data.taxonomy=FILE.yaml."
    )


def _unpacked(colour: int) -> Colour:
    return colour >> 16, colour >> 8 & 255, colour & 255


def _fill_from_neighbours(mask: np.ndarray, far: np.ndarray, distance: np.ndarray, values: np.ndarray) -> None:
    """Give the pixels at flat indices `far` (P,), with distances (P, C), the nearest class in 5x5, else in 9x9, ..."""
    values, distance = _nearest_of_each(values, distance)
    index_of = np.full(256, VOID, dtype=np.uint8)
    index_of[values] = np.arange(len(values))
    present = pack_onehot(index_of[mask], len(values))  # one bit for each value in a window
    present = _dilate(_dilate(present, 1), 1)
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
            present, step = _dilate(present, step), step * 2


def _nearest_of_each(values: np.ndarray, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct mask values, (V,) uint8, and the distance to the nearest colour of each, (P, V)."""
    single = np.unique(values)
    if len(single) == len(values):
        return values, distance
    return single, np.stack([distance[:, values == value].min(axis=1) for value in single], axis=1)


def _dilate(present: np.ndarray, step: int) -> np.ndarray:
    """OR each window (H, W, bytes) with those `step` away; windows of radius `step` or more leave no gap."""
    for axis in (0, 1):
        moved = present.copy()
        ahead = [slice(None)] * 3
        back = [slice(None)] * 3
        ahead[axis], back[axis] = slice(step, None), slice(None, -step)
        moved[tuple(back)] |= present[tuple(ahead)]
        moved[tuple(ahead)] |= present[tuple(back)]
        present = moved
    return present


def _look_up(numbers: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
    """(H, W) uint8: the class index, VOID or _UNCLAIMED for each number, of any integer type."""
    known = taxonomy.raw_numbers()
    if numbers.dtype in (np.bool_, np.uint8, np.uint16):
        table = np.full(256 if numbers.dtype.itemsize == 1 else 65536, _UNCLAIMED, dtype=np.uint8)
        for number, value in known.items():
            if 0 <= number < len(table):
                table[number] = value
        return np.asarray(table[numbers.astype(np.uint8) if numbers.dtype == np.bool_ else numbers])
    found, indices = np.unique(numbers, return_inverse=True)
    values = np.array([known.get(int(number), _UNCLAIMED) for number in found], dtype=np.uint8)
    return np.asarray(values[indices].reshape(numbers.shape))


def _classes_first(layers: np.ndarray, number: int) -> np.ndarray:
    """Layers as (C, H, W), from either axis order; if both fit, the one that is one-hot."""
    fitting = [stack for stack in (layers, np.moveaxis(layers, -1, 0)) if len(stack) == number]
    if not fitting:
        raise DataError(
            f"has the shape {layers.shape}; expected {number} layers first or last, one for each class of the taxonomy."
        )
    return next((stack for stack in fitting if (stack.sum(axis=0) == 1).all()), fitting[0])


def _known(taxonomy: Taxonomy) -> str:
    numbers = sorted(taxonomy.raw_numbers())
    if numbers == [*range(numbers[0], numbers[-1] + 1)]:
        return f"the taxonomy defines {numbers[0]} to {numbers[-1]}"
    return f"the taxonomy defines {', '.join(map(str, numbers[:_SHOWN]))}{' ...' if len(numbers) > _SHOWN else ''}"


def _sum_of(images: Iterable[np.ndarray]) -> np.ndarray:
    """The sum (H, W) uint16 of images (H, W) uint8 of one size."""
    total = np.zeros((0, 0), dtype=np.uint16)
    for number, grey in enumerate(images):
        if grey.dtype != np.uint8:
            raise DataError(f"its parts: one has dtype {grey.dtype}; expected probabilities in 8 bits, 0 to 255.")
        _require_size(grey if number == 0 else total, grey)
        total = grey.astype(np.uint16) if number == 0 else total + grey
    return total


def _white(grey: np.ndarray) -> int:
    """The value of white in a grey picture (H, W): 1, 255 or 65535."""
    top = int(grey.max(initial=0))
    return next(white for white in (1, 255, 65535) if top <= white)


def _require_size(one: np.ndarray, other: np.ndarray) -> None:
    if one.shape != other.shape:
        sizes = [f"{width}x{height}" for height, width in (one.shape, other.shape)]
        raise DataError(f"its parts are {sizes[0]} and {sizes[1]}; expected one size.")
