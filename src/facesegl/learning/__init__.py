"""How a net learns, and the file that holds what it has learnt."""

from facesegl.learning.averaging import AveragedWeights
from facesegl.learning.checkpoint import LastCheckpoint, WholeCheckpointIO, add_scores, build_net, read_checkpoint
from facesegl.learning.module import SegmentationModule
from facesegl.learning.schedules import one_cycle

__all__ = [
    "AveragedWeights",
    "LastCheckpoint",
    "SegmentationModule",
    "WholeCheckpointIO",
    "add_scores",
    "build_net",
    "one_cycle",
    "read_checkpoint",
]
