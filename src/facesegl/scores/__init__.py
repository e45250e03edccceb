"""Scores: pooled confusion counts and what is read off them, boundaries, and the yardsticks beside every score.

Masks of whole photos are NumPy arrays (H, W), as everywhere; counts are int64 tensors, and add up over photos.
"""

from facesegl.scores.boundary import boundary_counts, boundary_f
from facesegl.scores.counts import PooledCounts, accuracy, confusion_counts, dice, iou, miou, miou_per_photo
from facesegl.scores.summary import Scores, summarise
from facesegl.scores.yardsticks import agreement, commonest_classes

__all__ = [
    "PooledCounts",
    "Scores",
    "accuracy",
    "agreement",
    "boundary_counts",
    "boundary_f",
    "commonest_classes",
    "confusion_counts",
    "dice",
    "iou",
    "miou",
    "miou_per_photo",
    "summarise",
]
