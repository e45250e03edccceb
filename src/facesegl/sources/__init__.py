"""Find photos and masks, pair them, read their files, and assign splits and folds.

Decoding masks to classes is in `labels/`, caches and batches in `data/`.
"""

from typing import TYPE_CHECKING

from facesegl._lazy import attach

if TYPE_CHECKING:
    from facesegl.sources.celebamask import CelebAMaskHQ as CelebAMaskHQ
    from facesegl.sources.cvat import CVAT as CVAT
    from facesegl.sources.fasseg import FASSEG as FASSEG
    from facesegl.sources.folder import FolderFaces as FolderFaces
    from facesegl.sources.images import open_image as open_image
    from facesegl.sources.images import open_photo as open_photo
    from facesegl.sources.images import orientation as orientation
    from facesegl.sources.images import photo_of as photo_of
    from facesegl.sources.images import read_rgb as read_rgb
    from facesegl.sources.images import resize_photo as resize_photo
    from facesegl.sources.label_studio import LabelStudio as LabelStudio
    from facesegl.sources.source import Sample as Sample
    from facesegl.sources.source import Source as Source
    from facesegl.sources.source import Survey as Survey
    from facesegl.sources.source import join_groups as join_groups
    from facesegl.sources.synthetic import SyntheticFaces as SyntheticFaces

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "CVAT": "facesegl.sources.cvat",
        "CelebAMaskHQ": "facesegl.sources.celebamask",
        "FASSEG": "facesegl.sources.fasseg",
        "FolderFaces": "facesegl.sources.folder",
        "LabelStudio": "facesegl.sources.label_studio",
        "Sample": "facesegl.sources.source",
        "Source": "facesegl.sources.source",
        "Survey": "facesegl.sources.source",
        "SyntheticFaces": "facesegl.sources.synthetic",
        "join_groups": "facesegl.sources.source",
        "open_image": "facesegl.sources.images",
        "open_photo": "facesegl.sources.images",
        "orientation": "facesegl.sources.images",
        "photo_of": "facesegl.sources.images",
        "read_rgb": "facesegl.sources.images",
        "resize_photo": "facesegl.sources.images",
    },
)
