"""Where photos and masks lie, and how one of them is opened."""

from facesegl.sources.fasseg import FASSEG
from facesegl.sources.image import open_image, read_rgb
from facesegl.sources.photo import open_photo, photo_of, resize_photo
from facesegl.sources.source import Sample, Source, join_groups
from facesegl.sources.synthetic import SyntheticFaces

__all__ = [
    "FASSEG",
    "Sample",
    "Source",
    "SyntheticFaces",
    "join_groups",
    "open_image",
    "open_photo",
    "photo_of",
    "read_rgb",
    "resize_photo",
]
