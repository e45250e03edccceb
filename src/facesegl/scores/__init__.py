"""Scores: pooled counts and their IoU, Dice and boundary F, the two baselines, and bootstrap intervals.

Masks are NumPy arrays (H, W); counts are int64 tensors that add up over photos. Models and files belong elsewhere.
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
