"""The LightningModule, its callbacks, and checkpoints.

Reading a checkpoint needs torch, never Lightning. What is shown during training is in `monitoring/`.
"""

from typing import TYPE_CHECKING

from facesegl._lazy import attach

if TYPE_CHECKING:
    from facesegl.learning.callbacks import AveragedWeights as AveragedWeights
    from facesegl.learning.callbacks import LastCheckpoint as LastCheckpoint
    from facesegl.learning.callbacks import WholeCheckpointIO as WholeCheckpointIO
    from facesegl.learning.callbacks import add_scores as add_scores
    from facesegl.learning.checkpoint import build_net as build_net
    from facesegl.learning.checkpoint import read_checkpoint as read_checkpoint
    from facesegl.learning.module import SegmentationModule as SegmentationModule
    from facesegl.learning.module import one_cycle as one_cycle

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "AveragedWeights": "facesegl.learning.callbacks",
        "LastCheckpoint": "facesegl.learning.callbacks",
        "SegmentationModule": "facesegl.learning.module",
        "WholeCheckpointIO": "facesegl.learning.callbacks",
        "add_scores": "facesegl.learning.callbacks",
        "build_net": "facesegl.learning.checkpoint",
        "one_cycle": "facesegl.learning.module",
        "read_checkpoint": "facesegl.learning.checkpoint",
    },
)
