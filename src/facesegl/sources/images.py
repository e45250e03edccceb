"""Read an image file: open it, turn it upright, convert it to R-G-B, resize it, hash it."""

import functools
import hashlib
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from facesegl.errors import DataError
from facesegl.sources.listing import HEIC_REMEDY, reads_heic, require_regular

_MAX_FRAMES = 1000  # frames or pages in one file: more are not counted
_REDUCED = 0b101  # bits of TIFF's NewSubfileType: a smaller copy of another page, or its transparency mask
_SUBFILE = 254
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_ORIENTATION = 0x0112  # the EXIF tag
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def open_image(path: Path, *, alone: bool = False) -> Image.Image:
    """Open an image and load its pixels.

    Args:
        path: the file. Of several frames or pages the first is used.
        alone: whether several frames or pages are an error instead.

    Raises:
        DataError: no such file, not a regular file, not an image, truncated, several frames or pages, or so large that
            it may be a decompression bomb.
    """
    require_regular(path)
    frames = 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about metadata
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_formats()) as image:
                if alone and getattr(image, "is_animated", False):
                    frames = _count_frames(image)
                if frames == 1:
                    image.load()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; is its name right, or was it moved?") from None
    except UnidentifiedImageError:
        raise DataError(f"{path}: {_not_an_image(path)}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{path}: too large to be opened safely ({error}). Shrink it first.") from None
    except Exception as error:  # on broken files Pillow's decoders raise any kind of exception
        raise DataError(f"{path}: cannot be read as an image ({error}); is it cut off? Copy it again.") from None
    if frames > 1:
        count = frames if frames < _MAX_FRAMES else f"{_MAX_FRAMES} or more"
        raise DataError(f"{path}: has {count} frames or pages; expected one. Save the right one as a separate file.")
    return image


def _count_frames(image: Image.Image) -> int:
    """The number of frames or pages without smaller copies; the image is back at the first one afterwards."""
    found = 1
    for frame in range(1, _MAX_FRAMES):
        try:
            image.seek(frame)
        except EOFError:
            break
        found += not getattr(image, "tag_v2", {}).get(_SUBFILE, 0) & _REDUCED
    image.seek(0)
    return found


@functools.cache
def _formats() -> list[str]:
    """Every format but PostScript, for which Pillow would run Ghostscript on untrusted code."""
    reads_heic()
    Image.init()
    return [name for name in Image.OPEN if name != "EPS"]


def _not_an_image(path: Path) -> str:
    with path.open("rb") as file:
        beginning = file.read(12)
    if beginning[4:8] == b"ftyp" and beginning[8:] in _HEIC_BRANDS and not reads_heic():
        return f"a HEIC photo, which needs pillow-heif: {HEIC_REMEDY}."
    fact = f"not an image (it begins with {beginning.decode('latin-1')!a})" if beginning else "empty"
    return f"{fact}; expected an image that Pillow opens. Replace it."


def read_rgb(path: Path) -> np.ndarray:
    """The pixels of a colour mask, (H, W, 3) uint8, R-G-B; the fourth byte of a 32-bit BMP is padding, not alpha.

    Raises:
        DataError: as `open_image`, also for several frames or pages, and for transparent pixels.
    """
    image = open_image(path, alone=True)
    if image.format != "BMP" and "A" in image.mode and np.asarray(image.getchannel("A")).min() < 255:
        raise DataError(f"{path}: has transparent pixels, which have no class. Save it without alpha.")
    return np.asarray(image.convert("RGB"))


def open_photo(path: Path) -> np.ndarray:
    """Open a photo, rotated upright by its EXIF orientation: (H, W, 3) uint8, R-G-B, at native size.

    Of several frames or pages the first is used; grey, palette, 16-bit and CMYK are converted to R-G-B, and transparent
    parts become white.

    Raises:
        DataError: not an image, truncated, or too large.
    """
    return photo_of(open_image(path))


def photo_of(image: Image.Image) -> np.ndarray:
    """The pixels of an opened image of any mode, (H, W, 3) uint8, R-G-B, at native size, upright."""
    return np.asarray(_to_rgb(upright(image)))


def upright(image: Image.Image) -> Image.Image:
    """An image rotated and flipped by its EXIF orientation."""
    turn = _TRANSPOSE.get(orientation(image))
    return image if turn is None else image.transpose(turn)


def orientation(image: Image.Image) -> int:
    """The EXIF orientation; 1 (upright) if it is missing or the EXIF data are broken.

    Pillow's `exif_transpose` rewrites all EXIF data, and fails where any of them is invalid.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about other tags
        try:
            found = image.getexif().get(_ORIENTATION)
        except Exception:  # broken EXIF data raise any kind of exception
            return 1
    return found if isinstance(found, int) else 1


def resize_photo(photo: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize (H, W, 3) uint8 to (height, width, 3) uint8 with an antialiasing triangle filter, which does not ring."""
    narrow = Image.fromarray(photo).resize((width, photo.shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(narrow.resize((width, height), Image.Resampling.BILINEAR))


def to_rgba(image: Image.Image) -> Image.Image:
    """An image as RGBA, from any mode that has a conversion."""
    return (image.convert("LA") if image.mode == "La" else image).convert("RGBA")  # La has none to RGBA


def pixel_hash(photo: np.ndarray) -> bytes:
    """16 bytes that identify the pixels and the shape of a photo, (H, W, 3) uint8."""
    return hashlib.blake2b(photo.tobytes() + str(photo.shape).encode(), digest_size=16).digest()


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return Image.fromarray(_to_8_bits(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), to_rgba(image)).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_8_bits(grey: np.ndarray) -> np.ndarray:
    """Scale (H, W) of any dtype to uint8; NaN becomes black.

    White is the smallest of 255, 65535 (and 1 for floats) that no pixel exceeds, or else the largest value.
    """
    scaled = grey.astype(np.float32)
    top = float(scaled.max(initial=0, where=np.isfinite(scaled)))
    whites = (1, 255, 65535) if grey.dtype.kind == "f" else (255, 65535)
    white = next((white for white in whites if top <= white), top)
    np.nan_to_num(scaled, copy=False, nan=0, posinf=white, neginf=0)
    scaled *= 255 / white
    return np.rint(np.clip(scaled, 0, 255, out=scaled), out=scaled).astype(np.uint8)
