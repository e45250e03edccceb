"""From files to batches on the device: the cache, folds, augmentation, and the LightningDataModule."""

from facesegl.data.augment import Augment, unpack_masks
from facesegl.data.cache import FaceCache, Row
from facesegl.data.contents import digest
from facesegl.data.dataset import Batch, CachedBatch
from facesegl.data.module import SETS, FaceDataModule

__all__ = [
    "SETS",
    "Augment",
    "Batch",
    "CachedBatch",
    "FaceCache",
    "FaceDataModule",
    "Row",
    "digest",
    "unpack_masks",
]
