"""How a net learns, and the file that holds what it has learnt."""

from typing import TYPE_CHECKING

from facesegl._lazy import attach

if TYPE_CHECKING:
    from facesegl.learning.averaging import AveragedWeights as AveragedWeights
    from facesegl.learning.checkpoint import LastCheckpoint as LastCheckpoint
    from facesegl.learning.checkpoint import WholeCheckpointIO as WholeCheckpointIO
    from facesegl.learning.checkpoint import add_scores as add_scores
    from facesegl.learning.checkpoint import build_net as build_net
    from facesegl.learning.checkpoint import read_checkpoint as read_checkpoint
    from facesegl.learning.module import SegmentationModule as SegmentationModule
    from facesegl.learning.schedules import one_cycle as one_cycle

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "AveragedWeights": "facesegl.learning.averaging",
        "LastCheckpoint": "facesegl.learning.checkpoint",
        "SegmentationModule": "facesegl.learning.module",
        "WholeCheckpointIO": "facesegl.learning.checkpoint",
        "add_scores": "facesegl.learning.checkpoint",
        "build_net": "facesegl.learning.checkpoint",
        "one_cycle": "facesegl.learning.schedules",
        "read_checkpoint": "facesegl.learning.checkpoint",
    },
)
