"""How a net learns, and the file that holds what it has learnt."""

from facesegl.learning.averaging import AveragedWeights
from facesegl.learning.card import Card, build_net, check_card
from facesegl.learning.checkpoint import LastCheckpoint, WholeCheckpointIO, read_checkpoint
from facesegl.learning.module import SegmentationModule
from facesegl.learning.schedules import one_cycle

__all__ = [
    "AveragedWeights",
    "Card",
    "LastCheckpoint",
    "SegmentationModule",
    "WholeCheckpointIO",
    "build_net",
    "check_card",
    "one_cycle",
    "read_checkpoint",
]
