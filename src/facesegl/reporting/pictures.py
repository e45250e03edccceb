"""Photos and masks in the page, shrunk and encoded as data URIs."""

import base64
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from facesegl.drawing.overlay import overlay
from facesegl.drawing.panel import paint_errors
from facesegl.labels.taxonomy import Taxonomy
from facesegl.sources.images import open_photo

LONGEST = 480
"""The longest side of a photo in the page, pixels."""


class Shown(NamedTuple):
    """A photo in the page with its overlays; all pictures are data URIs of one size.

    Attributes:
        name: the photo's id.
        score: its mIoU.
        width: pixels of each picture.
        height: pixels of each picture.
        photo: the photo.
        truth: its mask as an overlay.
        prediction: the predicted mask as an overlay.
        errors: the photo in grey, wrong pixels in the colour of the predicted class.
    """

    name: str
    score: float
    width: int
    height: int
    photo: str
    truth: str
    prediction: str
    errors: str


def show(
    name: str, score: float, photo: np.ndarray, truth: np.ndarray, prediction: np.ndarray, taxonomy: Taxonomy
) -> Shown:
    """Encode a photo, its truth and its prediction for the page.

    Args:
        name: the photo's id.
        score: its mIoU.
        photo: (H, W, 3) uint8.
        truth: (H, W) uint8, class indices or VOID.
        prediction: (H, W) uint8, class indices.
        taxonomy: the classes' colours.
    """
    pictures = [
        Image.fromarray(photo),
        overlay(photo, truth, taxonomy),
        overlay(photo, prediction, taxonomy),
        Image.fromarray(paint_errors(photo, truth, prediction, taxonomy)),
    ]
    small = [_shrink(picture) for picture in pictures]
    return Shown(name, score, small[0].width, small[0].height, *map(as_data, small))


def as_data(picture: Image.Image) -> str:
    """A picture as a data URI (WebP, lossy)."""
    encoded = io.BytesIO()
    picture.save(encoded, "WEBP", quality=82, method=4)
    return f"data:image/webp;base64,{base64.b64encode(encoded.getvalue()).decode()}"


def file_as_data(file: Path, longest: int = 1400) -> tuple[str, int, int]:
    """Encode a picture file as a data URI; returns its width and height in the page too.

    Raises:
        DataError: the file is truncated or not a picture.
    """
    picture = _shrink(Image.fromarray(open_photo(file)), longest)
    return as_data(picture), picture.width, picture.height


def _shrink(picture: Image.Image, longest: int = LONGEST) -> Image.Image:
    picture.thumbnail((longest, longest), Image.Resampling.BILINEAR)
    return picture
