"""Colour mask to index mask, and back.

The rule is the project's own, measured in docs/architecture.md: a colour within 32 of a class colour is that class; any
other pixel takes the nearest among the classes so present around it. The nearest colour alone is not enough: where eye
and skin blend, the grey between them lies nearest to hair.
"""

import itertools
from collections.abc import Iterable
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
_SHOWN = 8


class Decoded(NamedTuple):
    """A mask, and where it was guessed.

    Attributes:
        mask: (H, W) uint8, class indices or VOID.
        inexact: (H, W) bool, true where the colour was not exactly that of a class (or of void).
    """

    mask: np.ndarray
    inexact: np.ndarray


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


def decode_numbers(numbers: np.ndarray, taxonomy: Taxonomy) -> Decoded:
    """Turn the numbers of an index mask into class indices, by the taxonomy's remapping where it has one.

    Args:
        numbers: (H, W) of any integer type, or bool for 0 and 1.
        taxonomy: the classes.

    Returns:
        The index mask; none of its pixels is inexact.

    Raises:
        DataError: numbers that the taxonomy does not know. The message does not know the file: the caller names it.

    Example:
        >>> two = Taxonomy(names=("wall", "face"), colours=((0, 0, 0), (9, 9, 9)), remap={3: "wall", 40: "face"})
        >>> decode_numbers(np.uint16([[3, 40]]), two).mask
        array([[0, 1]], dtype=uint8)
    """
    mask = _looked_up(numbers, taxonomy)
    unknown = numbers[mask == _UNCLAIMED]
    if unknown.size:
        found = np.unique(unknown).tolist()
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise DataError(
            f"holds {', '.join(str(int(value)) for value in found[:_SHOWN])}{more} in {unknown.size / mask.size:.2%} "
            f"of its pixels; the taxonomy knows {_known(taxonomy)}. Say in its YAML what every number is, such as "
            f"`remap: {{0: {taxonomy.names[0]}, {int(found[0])}: CLASS or void, ...}}`."
        )
    return Decoded(mask, np.zeros(mask.shape, dtype=bool))


def are_known(numbers: np.ndarray, taxonomy: Taxonomy) -> bool:
    """Whether every number of a mask (H, W) of integers means something to the taxonomy."""
    return not (_looked_up(numbers, taxonomy) == _UNCLAIMED).any()


def decode_layers(layers: np.ndarray, taxonomy: Taxonomy) -> Decoded:
    """Turn one layer a class, which may stand first or last among the axes, into class indices.

    Args:
        layers: (C, H, W) or (H, W, C), of any type, holding zeros and ones.
        taxonomy: the classes; C is their number, or that of the numbers that it remaps.

    Returns:
        The index mask; a pixel in no layer is void where the taxonomy has a void.

    Raises:
        DataError: another number of layers, other values, pixels in several layers, or in none.
    """
    numbers = [raw for raw in taxonomy.remap if isinstance(raw, int)] or range(taxonomy.num_classes)
    known = taxonomy.raw_numbers()
    values = np.array([known[number] for number in sorted(numbers)], np.uint8)
    stack = _classes_first(layers, len(values))
    if not np.isin(stack, (0, 1)).all():
        raise DataError(
            "holds other values than 0 and 1 in its layers; expected one-hot layers. Save the index of the largest "
            "layer instead (argmax)."
        )
    times = stack.astype(bool).sum(axis=0)
    if (times > 1).any():
        raise DataError(
            f"{(times > 1).mean():.1%} of the pixels are in several layers; expected one a pixel. Save the index of "
            f"the layer that counts."
        )
    if not times.all() and taxonomy.void is None:
        raise DataError(
            f"{(times == 0).mean():.1%} of the pixels are in no layer; expected one a pixel. Add a layer, or a void to "
            f"the taxonomy."
        )
    mask = np.where(times == 1, values[stack.argmax(axis=0)], VOID).astype(np.uint8)
    return Decoded(mask, np.zeros(mask.shape, dtype=bool))


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


def _looked_up(numbers: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
    """The class index, VOID or _UNCLAIMED of each number (H, W) of any integer type, uint8."""
    known = taxonomy.raw_numbers()
    if numbers.dtype in (np.bool_, np.uint8, np.uint16):
        table = np.full(256 if numbers.dtype.itemsize == 1 else 65536, _UNCLAIMED, dtype=np.uint8)
        for number, value in known.items():
            if 0 <= number < len(table):
                table[number] = value
        return np.asarray(table[numbers.astype(np.uint8) if numbers.dtype == np.bool_ else numbers])
    found, places = np.unique(numbers, return_inverse=True)
    values = np.array([known.get(int(number), _UNCLAIMED) for number in found], dtype=np.uint8)
    return np.asarray(values[places].reshape(numbers.shape))


def _classes_first(layers: np.ndarray, number: int) -> np.ndarray:
    """Layers (C, H, W), from that or from (H, W, C); where both would do, the one that is one-hot."""
    fitting = [way for way in (layers, np.moveaxis(layers, -1, 0)) if len(way) == number]
    if not fitting:
        raise DataError(
            f"has the shape {layers.shape}; expected {number} layers first or last, one a class of the taxonomy."
        )
    return next((way for way in fitting if (way.sum(axis=0) == 1).all()), fitting[0])


def _known(taxonomy: Taxonomy) -> str:
    numbers = sorted(taxonomy.raw_numbers())
    if numbers == [*range(numbers[0], numbers[-1] + 1)]:
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers[:_SHOWN])) + (" ..." if len(numbers) > _SHOWN else "")


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
