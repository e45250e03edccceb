"""Scores: pooled counts and what is read off them, boundaries, the yardsticks beside every score, and its luck.

Masks of whole photos are NumPy arrays (H, W), as everywhere; counts are int64 tensors, and add up over photos.
"""

from facesegl.scores.bootstrap import FEWEST, LEVEL, RESAMPLES, Estimate, Resampled, interval, resampled_scores
from facesegl.scores.boundary import boundary_counts, boundary_f
from facesegl.scores.counts import PooledCounts, accuracy, confusion_counts, dice, iou, miou, miou_per_photo
from facesegl.scores.summary import Scores, summarise
from facesegl.scores.yardsticks import agreement, commonest_classes

__all__ = [
    "FEWEST",
    "LEVEL",
    "RESAMPLES",
    "Estimate",
    "PooledCounts",
    "Resampled",
    "Scores",
    "accuracy",
    "agreement",
    "boundary_counts",
    "boundary_f",
    "commonest_classes",
    "confusion_counts",
    "dice",
    "interval",
    "iou",
    "miou",
    "miou_per_photo",
    "resampled_scores",
    "summarise",
]
