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


_ORIENTATION = 0x0112  # the EXIF tag
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def open_photo(path: Path) -> np.ndarray:
    """Open any photo that Pillow opens, upright as its EXIF data say.

    Args:
        path: the photo, of several in a file the first; grey, palette, 16-bit and CMYK are turned to R-G-B, transparent
            parts become white.

    Returns:
        (H, W, 3) uint8, R-G-B, at native size.

    Raises:
        DataError: no image, cut off, or too large.
    """
    return photo_of(open_image(path))


def photo_of(image: Image.Image) -> np.ndarray:
    """The pixels of an opened image, upright as its EXIF data say.

    Args:
        image: of any mode.

    Returns:
        (H, W, 3) uint8, R-G-B, at native size.
    """
    return np.asarray(_to_rgb(upright(image)))


def upright(image: Image.Image) -> Image.Image:
    """An image turned as its EXIF data say; itself where they say nothing."""
    turn = _UPRIGHT.get(orientation(image))
    return image if turn is None else image.transpose(turn)


def resize_photo(photo: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize a photo with a triangle filter as wide as the reduction, so that nothing aliases and nothing rings.

    Args:
        photo: (H, W, 3) uint8.
        height: rows of the result.
        width: columns of the result.

    Returns:
        (height, width, 3) uint8.
    """
    narrow = Image.fromarray(photo).resize((width, photo.shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(narrow.resize((width, height), Image.Resampling.BILINEAR))


def orientation(image: Image.Image) -> int:
    """What the EXIF data say of how the camera was held; 1, upright, where they are broken.

    Pillow's own `exif_transpose` writes all of them anew, and gives up where any of them is odd.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about tags that nobody asked for
        try:
            found = image.getexif().get(_ORIENTATION)
        except Exception:  # what is no EXIF raises what it likes
            return 1
    return found if isinstance(found, int) else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return Image.fromarray(_to_8_bits(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("LA") if image.mode == "La" else image  # the one mode with no way to RGBA
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_8_bits(grey: np.ndarray) -> np.ndarray:
    """Grey (H, W) of any type as uint8; what is white follows from the largest value.

    White is the least of 255, 65535 and that value itself, which no pixel exceeds; of floats also 1. What is no
    number becomes black.
    """
    scaled = grey.astype(np.float32)
    top = float(scaled.max(initial=0, where=np.isfinite(scaled)))
    whites = (1, 255, 65535) if grey.dtype.kind == "f" else (255, 65535)
    white = next((white for white in whites if top <= white), top)
    np.nan_to_num(scaled, copy=False, nan=0, posinf=white, neginf=0)
    scaled *= 255 / white
    return np.rint(np.clip(scaled, 0, 255, out=scaled), out=scaled).astype(np.uint8)
