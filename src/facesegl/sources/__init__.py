"""Where photos and masks lie."""

from facesegl.sources.fasseg import FASSEG
from facesegl.sources.image import open_image, read_rgb
from facesegl.sources.source import Sample, Source, join_groups
from facesegl.sources.synthetic import SyntheticFaces

__all__ = ["FASSEG", "Sample", "Source", "SyntheticFaces", "join_groups", "open_image", "read_rgb"]
