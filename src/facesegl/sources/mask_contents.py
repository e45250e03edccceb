"""What a mask file holds, before its classes are known: numbers, greys or colors, or layers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image

from facesegl.errors import DataError
from facesegl.labels.decode import uniform_areas
from facesegl.labels.proposal import FEW, Tally, tally
from facesegl.labels.taxonomy import Colour
from facesegl.sources.images import open_image, to_rgba, upright
from facesegl.sources.listing import require_regular
from facesegl.sources.stored import lossy_format

_DARK = 64  # greys up to here are numbers of classes


class Contents(NamedTuple):
    """The values of a mask.

    Attributes:
        kind: what they are; `greys` may be numbers or colors.
        every: where each value occurs; a color is packed, as 0xRRGGBB.
        filled: the same for pixels inside areas of one value, which leaves out blended edges.
        pixels: how many the mask has.
        lossy: whether the format changes values.
        palette: the color of each number in a palette image, else empty.
        layers: the number of one-hot layers, else 0.
        hidden: whether some pixels are transparent, or in no layer.
    """

    kind: Literal["numbers", "greys", "colors"]
    every: dict[int, Tally]
    filled: dict[int, Tally]
    pixels: int
    lossy: bool = False
    palette: Mapping[int, Colour] = {}
    layers: int = 0
    hidden: bool = False

    def in_color(self) -> "Contents":
        """Greys as colors."""
        every, filled = ({grey * 0x10101: own for grey, own in of.items()} for of in (self.every, self.filled))
        return self._replace(kind="colors", every=every, filled=filled)


def read_contents(path: Path) -> Contents:
    """Read the values of a mask file.

    Raises:
        DataError: it cannot be read, or holds numbers in a lossy format.
    """
    if path.suffix.casefold() == ".npy":
        return _of_array(path)
    image = open_image(path, alone=True)
    lossy, image = lossy_format(path, image), upright(image)
    if image.mode == "F":
        raise DataError(f"{path}: a floating-point image (mode F); expected 8 or 16 bits. Save numbers as PNG or .npy.")
    if image.mode in ("1", "L", "LA", "I") or image.mode.startswith("I;16"):
        grey = image.getchannel(0) if image.mode == "LA" else image
        return _of_greys(path, np.asarray(grey).astype(np.int64), lossy, None)
    colors, seen = np.asarray(image.convert("RGB")), _opaque(image)
    packed = _pack(colors)
    if image.mode in ("P", "PA"):
        numbers = np.asarray(image if image.mode == "P" else image.getchannel(0))
        found, first = np.unique(numbers, return_index=True)
        palette = {int(number): unpacked(int(packed.flat[at])) for number, at in zip(found, first, strict=True)}
        if all(color == (number,) * 3 for number, color in palette.items()):
            return _of_greys(path, numbers, lossy, seen)
        if not _is_blended(packed):
            return _contents("numbers", path, numbers, None, palette=palette)
    shown = colors if seen is None else colors[seen]
    if (shown[..., :1] == shown).all() and shown.max(initial=0) < _DARK:
        return _of_greys(path, colors[..., 0], lossy, seen)
    return _contents("colors", path, packed, seen, lossy=bool(lossy))


def _contents(
    kind: Literal["numbers", "greys", "colors"], path: Path, values: np.ndarray, seen: np.ndarray | None, **more: Any
) -> Contents:
    hidden = seen is not None and not seen.all()
    among = np.ones(values.shape, dtype=bool) if seen is None else seen
    every, filled = (tally(values, str(path), inside) for inside in (among, uniform_areas(values, among)))
    return Contents(kind, every, filled, values.size, hidden=hidden, **more)


def _pack(colors: np.ndarray) -> np.ndarray:
    """Colors (..., 3) uint8 as (...) uint32."""
    return np.asarray(colors.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32))


def unpacked(color: int) -> Colour:
    """The red, green and blue of a packed color."""
    return color >> 16, color >> 8 & 255, color & 255


def _of_array(path: Path) -> Contents:
    require_regular(path)
    try:
        array = np.asarray(np.load(path, allow_pickle=False))
    except Exception as error:  # on broken headers NumPy raises any kind of exception
        raise DataError(
            f"{path}: not a readable NumPy array ({' '.join(str(error).split())}); save it again."
        ) from None
    if array.size and array.ndim == 2 and array.dtype.kind in "iub":
        return _contents("numbers", path, array, None)
    if array.size and array.ndim == 3 and array.dtype.kind in "iubf":
        stack = array if array.shape[0] <= array.shape[2] else np.moveaxis(array, -1, 0)
        return _contents("numbers", path, stack.argmax(axis=0), np.asarray(stack.any(axis=0)), layers=len(stack))
    raise DataError(
        f"{path}: an array of shape {array.shape} and type {array.dtype}; expected integers (H, W) or layers."
    )


def _of_greys(path: Path, greys: np.ndarray, lossy: str | None, seen: np.ndarray | None) -> Contents:
    if lossy and greys.max(initial=0) < _DARK:
        raise DataError(
            f"{path}: class numbers saved as {lossy}, which changes them; export as PNG from where it was drawn."
        )
    if greys.max(initial=0) < 256 and (lossy or _is_blended(greys)):
        return _contents("colors", path, greys.astype(np.uint32) * 0x10101, seen, lossy=bool(lossy))
    return _contents("greys", path, greys, seen)


def _opaque(image: Image.Image) -> np.ndarray | None:
    if not image.has_transparency_data or image.mode not in ("P", "RGB", "PA", "RGBA", "La", "RGBa"):
        return None
    alpha = np.asarray(to_rgba(image))[..., 3] > 127
    return None if alpha.all() or not alpha.any() else alpha


def _is_blended(values: np.ndarray) -> bool:
    found, areas = np.unique(values), uniform_areas(values, np.ones(values.shape, dtype=bool))
    return len(found) > FEW and len(np.unique(values[areas])) < len(found)
