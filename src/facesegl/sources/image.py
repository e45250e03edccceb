"""Open one image file, or say what is wrong with it."""

import functools
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from facesegl.errors import DataError


def open_image(path: Path) -> Image.Image:
    """Open an image and read all of its pixels.

    Raises:
        DataError: no such file, no image, cut off, or so large that it looks like a decompression bomb.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about tags beside the pixels
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_formats()) as image:
                image.load()
            return image
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; is its name right, or was it moved?") from None
    except UnidentifiedImageError:
        raise DataError(f"{path}: {_not_an_image(path)}; expected an image that Pillow opens. Replace it.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{path}: too large to be opened safely ({error}). Shrink it first.") from None
    except Exception as error:  # Pillow's decoders raise what they like on broken files
        raise DataError(f"{path}: cannot be read as an image ({error}); is it cut off? Copy it again.") from None


@functools.cache
def _formats() -> list[str]:
    """Every format that Pillow reads by itself: for PostScript it would start another program on a stranger's code."""
    Image.init()
    return [name for name in Image.OPEN if name != "EPS"]


def read_rgb(path: Path) -> np.ndarray:
    """The pixels of an image as (H, W, 3) uint8, R-G-B; a fourth byte of a 32-bit BMP is padding, never alpha.

    Raises:
        DataError: as `open_image`.
    """
    return np.asarray(open_image(path).convert("RGB"))


def _not_an_image(path: Path) -> str:
    with path.open("rb") as file:
        beginning = file.read(12)
    return f"no image (it begins with {beginning!r})" if beginning else "empty"
