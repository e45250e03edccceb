"""Open one image file, or say what is wrong with it."""

import functools
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from facesegl.errors import DataError
from facesegl.sources.listing import require_regular

_MOST = 1000  # pictures in one file: more are not counted
_NO_PICTURE = 0b101  # of TIFF's NewSubfileType: a smaller copy of another page, or where that is transparent
_SUBFILE = 254


def open_image(path: Path, *, alone: bool = False) -> Image.Image:
    """Open an image and read all of its pixels.

    Args:
        path: the file. Of several pictures in it (an animation, pages) the first is taken.
        alone: whether several pictures are an error instead.

    Raises:
        DataError: no such file or no regular one, no image, cut off, several pictures, or so large that it looks like a
            decompression bomb.
    """
    require_regular(path)
    pictures = 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about tags beside the pixels
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_formats()) as image:
                if alone and getattr(image, "is_animated", False):
                    pictures = _pictures(image)
                if pictures == 1:
                    image.load()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; is its name right, or was it moved?") from None
    except UnidentifiedImageError:
        raise DataError(f"{path}: {_not_an_image(path)}; expected an image that Pillow opens. Replace it.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{path}: too large to be opened safely ({error}). Shrink it first.") from None
    except Exception as error:  # Pillow's decoders raise what they like on broken files
        raise DataError(f"{path}: cannot be read as an image ({error}); is it cut off? Copy it again.") from None
    if pictures > 1:
        count = pictures if pictures < _MOST else f"{_MOST} or more"
        raise DataError(f"{path}: a file with {count} pictures (frames or pages); expected one. Save that alone.")
    return image


def _pictures(image: Image.Image) -> int:
    """How many pictures an opened file has, not counting smaller copies of them; the first one is current again."""
    found = 1
    for frame in range(1, _MOST):
        try:
            image.seek(frame)
        except EOFError:
            break
        found += not getattr(image, "tag_v2", {}).get(_SUBFILE, 0) & _NO_PICTURE
    image.seek(0)
    return found


@functools.cache
def _formats() -> list[str]:
    """Every format that Pillow reads by itself: for PostScript it would start another program on a stranger's code."""
    Image.init()
    return [name for name in Image.OPEN if name != "EPS"]


def read_rgb(path: Path) -> np.ndarray:
    """The pixels of a colour mask as (H, W, 3) uint8, R-G-B; a fourth byte of a 32-bit BMP is padding, never alpha.

    Raises:
        DataError: as `open_image`, several pictures in one file as well.
    """
    return np.asarray(open_image(path, alone=True).convert("RGB"))


def _not_an_image(path: Path) -> str:
    with path.open("rb") as file:
        beginning = file.read(12)
    return f"no image (it begins with {beginning.decode('latin-1')!a})" if beginning else "empty"
