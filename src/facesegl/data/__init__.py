"""From files to batches on the device: the cache, the LightningDataModule and its sets, and augmentation.

Reading single files, splits and folds are in `sources/`; nothing here depends on nets, losses or runs.
"""

from typing import TYPE_CHECKING

from facesegl._lazy import attach

if TYPE_CHECKING:
    from facesegl.config.schema import SETS as SETS
    from facesegl.data.augment import Augment as Augment
    from facesegl.data.augment import unpack_masks as unpack_masks
    from facesegl.data.cache import FaceCache as FaceCache
    from facesegl.data.cache import Row as Row
    from facesegl.data.datamodule import FaceDataModule as FaceDataModule
    from facesegl.data.dataset import Batch as Batch
    from facesegl.data.dataset import CachedBatch as CachedBatch
    from facesegl.data.hashes import digest as digest

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Augment": "facesegl.data.augment",
        "Batch": "facesegl.data.dataset",
        "CachedBatch": "facesegl.data.dataset",
        "FaceCache": "facesegl.data.cache",
        "FaceDataModule": "facesegl.data.datamodule",
        "Row": "facesegl.data.cache",
        "SETS": "facesegl.config.schema",
        "digest": "facesegl.data.hashes",
        "unpack_masks": "facesegl.data.augment",
    },
)
