"""Masks that hold a number a pixel, or a layer a class, to index masks.

Nothing is guessed here: a number that the taxonomy does not know ends it with a message, and never becomes void.
"""

import numpy as np

from facesegl.errors import DataError
from facesegl.labels.decode import Decoded
from facesegl.labels.taxonomy import VOID, Taxonomy

_UNKNOWN = VOID - 1  # taxonomies end below it
_SHOWN = 8


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
    unknown = numbers[mask == _UNKNOWN]
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
    return not (_looked_up(numbers, taxonomy) == _UNKNOWN).any()


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


def _looked_up(numbers: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
    """The class index, VOID or _UNKNOWN of each number (H, W) of any integer type, uint8."""
    known = taxonomy.raw_numbers()
    if numbers.dtype in (np.bool_, np.uint8, np.uint16):
        table = np.full(256 if numbers.dtype.itemsize == 1 else 65536, _UNKNOWN, dtype=np.uint8)
        for number, value in known.items():
            if 0 <= number < len(table):
                table[number] = value
        return np.asarray(table[numbers.astype(np.uint8) if numbers.dtype == np.bool_ else numbers])
    found, places = np.unique(numbers, return_inverse=True)
    values = np.array([known.get(int(number), _UNKNOWN) for number in found], dtype=np.uint8)
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
