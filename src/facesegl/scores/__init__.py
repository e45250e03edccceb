"""Scores: pooled counts and their IoU, Dice and boundary F, the two baselines, and bootstrap intervals.

Masks are NumPy arrays (H, W); counts are int64 tensors that add up over photos. Models and files belong elsewhere.
"""

from typing import TYPE_CHECKING

from facesegl._lazy import attach

if TYPE_CHECKING:
    from facesegl.scores.bootstrap import FEWEST as FEWEST
    from facesegl.scores.bootstrap import LEVEL as LEVEL
    from facesegl.scores.bootstrap import RESAMPLES as RESAMPLES
    from facesegl.scores.bootstrap import Estimate as Estimate
    from facesegl.scores.bootstrap import Resampled as Resampled
    from facesegl.scores.bootstrap import interval as interval
    from facesegl.scores.bootstrap import resampled_scores as resampled_scores
    from facesegl.scores.boundary import boundary_counts as boundary_counts
    from facesegl.scores.boundary import boundary_f as boundary_f
    from facesegl.scores.counts import PooledCounts as PooledCounts
    from facesegl.scores.counts import accuracy as accuracy
    from facesegl.scores.counts import confusion_counts as confusion_counts
    from facesegl.scores.counts import dice as dice
    from facesegl.scores.counts import iou as iou
    from facesegl.scores.counts import miou as miou
    from facesegl.scores.counts import miou_per_photo as miou_per_photo
    from facesegl.scores.summary import Scores as Scores
    from facesegl.scores.summary import summarise as summarise
    from facesegl.scores.yardsticks import agreement as agreement
    from facesegl.scores.yardsticks import commonest_classes as commonest_classes

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Estimate": "facesegl.scores.bootstrap",
        "FEWEST": "facesegl.scores.bootstrap",
        "LEVEL": "facesegl.scores.bootstrap",
        "PooledCounts": "facesegl.scores.counts",
        "RESAMPLES": "facesegl.scores.bootstrap",
        "Resampled": "facesegl.scores.bootstrap",
        "Scores": "facesegl.scores.summary",
        "accuracy": "facesegl.scores.counts",
        "agreement": "facesegl.scores.yardsticks",
        "boundary_counts": "facesegl.scores.boundary",
        "boundary_f": "facesegl.scores.boundary",
        "commonest_classes": "facesegl.scores.yardsticks",
        "confusion_counts": "facesegl.scores.counts",
        "dice": "facesegl.scores.counts",
        "interval": "facesegl.scores.bootstrap",
        "iou": "facesegl.scores.counts",
        "miou": "facesegl.scores.counts",
        "miou_per_photo": "facesegl.scores.counts",
        "resampled_scores": "facesegl.scores.bootstrap",
        "summarise": "facesegl.scores.summary",
    },
)
