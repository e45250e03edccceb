"""Where photos and masks lie, and how one of them is opened."""

from facesegl.sources.celebamask import CelebAMaskHQ
from facesegl.sources.cvat import CVAT
from facesegl.sources.fasseg import FASSEG
from facesegl.sources.folder import FolderFaces
from facesegl.sources.image import open_image, read_rgb
from facesegl.sources.label_studio import LabelStudio
from facesegl.sources.photo import open_photo, orientation, photo_of, resize_photo
from facesegl.sources.source import Sample, Source, Survey, join_groups
from facesegl.sources.synthetic import SyntheticFaces

__all__ = [
    "CVAT",
    "FASSEG",
    "CelebAMaskHQ",
    "FolderFaces",
    "LabelStudio",
    "Sample",
    "Source",
    "Survey",
    "SyntheticFaces",
    "join_groups",
    "open_image",
    "open_photo",
    "orientation",
    "photo_of",
    "read_rgb",
    "resize_photo",
]
