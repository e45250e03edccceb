"""One photo: open it, turn it upright, make it R-G-B, resize it."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from facesegl.sources import open_image


def open_photo(path: Path) -> np.ndarray:
    """Open any photo that Pillow opens, upright as its EXIF data say.

    Args:
        path: the photo; grey, palette, 16-bit and CMYK are turned to R-G-B, transparent parts become white.

    Returns:
        (H, W, 3) uint8, R-G-B, at native size.

    Raises:
        DataError: no image, cut off, or too large.
    """
    return np.asarray(_to_rgb(ImageOps.exif_transpose(open_image(path))))


def resize_photo(photo: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize a photo with a triangle filter as wide as the reduction, so that nothing aliases and nothing rings.

    Args:
        photo: (H, W, 3) uint8.
        height: rows of the result.
        width: columns of the result.

    Returns:
        (height, width, 3) uint8.
    """
    return np.asarray(Image.fromarray(photo).resize((width, height), Image.Resampling.BILINEAR))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return Image.fromarray(_to_8_bits(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _to_8_bits(grey: np.ndarray) -> np.ndarray:
    """Grey (H, W) of any type as uint8: 16-bit becomes 8-bit; what does not need 16 bits is taken as it is."""
    scaled = grey / 257 if grey.max(initial=0) > 255 else grey
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
