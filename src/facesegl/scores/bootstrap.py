"""Whether a difference in scores may be due to chance: a paired bootstrap over persons.

Efron and Tibshirani, An Introduction to the Bootstrap (1993): chapter 6 for the resampling, 13 for the percentile
interval. The unit that is drawn, with replacement, is a person with all of their photos. All models are scored on the
same draws, so that a difference does not depend on how hard each person is. The scores of a draw are those of
`counts.py` and `boundary.py`: counts pooled first, absent classes left out of the means.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
import torch

from facesegl.scores.boundary import boundary_f

RESAMPLES = 10_000
LEVEL = 0.95

FEWEST = 6
"""The fewest persons that can be conclusive at `LEVEL`: with five, all favour the same one of two equally good models
in 2 of 32 cases, which is more than 1 in 20."""

_CELLS = 1 << 21
"""The largest number of elements in an array of draws (16 MB)."""


class Resampled(NamedTuple):
    """A model's scores on R draws of persons; NaN if there was nothing to score.

    Attributes:
        miou: (R,) float64.
        boundary_f: (R,) float64.
        iou: (R, C) float64.
    """

    miou: np.ndarray
    boundary_f: np.ndarray
    iou: np.ndarray


@dataclass(frozen=True)
class Estimate:
    """A difference of two scores with its interval; NaN if there was nothing to score or to resample.

    Attributes:
        difference: on all photos, each once.
        low: the lower end of the interval.
        high: the upper end.
    """

    difference: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 or -1 if the interval is on one side of 0; 0 if it is inconclusive."""
        return int(self.low > 0) - int(self.high < 0)

    def to_dict(self) -> dict[str, float | None]:
        """Builtin values for JSON, with None for NaN."""
        return {name: None if math.isnan(value) else value for name, value in asdict(self).items()}


def resampled_scores(
    models: Sequence[tuple[np.ndarray, np.ndarray]],
    groups: Sequence[str],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Resampled]:
    """Score models on the same draws of persons, each draw as large as the number of persons.

    The order of the photos does not matter. Memory grows with the numbers of resamples and of photos, not with their
    product.

    Args:
        models: for each model (N, C, C) int64 counts [photo, truth, prediction] and (N, C, 4) int64 boundary counts,
            all of the same photos in the same order.
        groups: the person of each photo.
        resamples: number of draws, R.
        seed: seed of the draws.

    Returns:
        The scores of each model.
    """
    persons, indices = np.unique(np.asarray(groups), return_inverse=True)
    summed = [_per_person(counts, boundary, indices, len(persons)) for counts, boundary in models]
    parts: list[list[Resampled]] = [[] for _ in models]
    for weights in _draws(len(persons), resamples, seed, width=max(of_model[0].size for of_model in summed)):
        for of_model, part in zip(summed, parts, strict=True):
            part.append(_scores(np.tensordot(weights, of_model, axes=1)))
    return [Resampled(*map(np.concatenate, zip(*part, strict=True))) for part in parts]


def interval(differences: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """The percentile interval of a difference, from its values in all draws.

    Args:
        differences: (R,) float64; draws in which it is NaN (an absent class) are left out.
        level: share of the draws inside the interval.

    Returns:
        Its ends; NaN if no draw is left.

    Example:
        >>> interval(np.arange(101.0), level=0.5)
        (25.0, 75.0)
    """
    known = differences[~np.isnan(differences)]
    if not known.size:
        return math.nan, math.nan
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _per_person(counts: np.ndarray, boundary: np.ndarray, indices: np.ndarray, persons: int) -> np.ndarray:
    """Sum the counts for IoU and boundary F over each person's photos: (P, C, 7) float64, exact up to 2**53 pixels."""
    correct, true, predicted = counts.diagonal(axis1=1, axis2=2), counts.sum(axis=2), counts.sum(axis=1)
    of_photos = np.concatenate([np.stack([correct, true, predicted], axis=-1), boundary], axis=-1)
    summed = np.zeros((persons, *of_photos.shape[1:]))
    np.add.at(summed, indices, of_photos)
    return summed


def _draws(persons: int, resamples: int, seed: int, width: int) -> Iterator[np.ndarray]:
    """How often each draw contains each person: (R, P) float64, in chunks of rows."""
    rng = np.random.default_rng(seed)
    at_once = max(1, _CELLS // max(persons, width))
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn = rng.integers(persons, size=(rows, persons)) + persons * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * persons).reshape(rows, persons).astype(np.float64)


def _scores(pooled: np.ndarray) -> Resampled:
    """The scores of draws from their pooled counts (R, C, 7)."""
    correct, true, predicted = np.moveaxis(pooled[..., :3], -1, 0)
    union = true + predicted - correct
    iou = np.where(union > 0, correct / np.maximum(union, 1), np.nan)
    outlines = boundary_f(torch.from_numpy(pooled[..., 3:])).numpy()
    return Resampled(_mean(iou), _mean(outlines), iou)


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean of (R, C) over the classes, (R,), NaN left out; NaN if all are."""
    mean: np.ndarray = torch.from_numpy(values).nanmean(dim=-1).numpy()
    return mean
