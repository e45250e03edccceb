"""Cross-validation: the pooled score of runs that were validated on different folds, over all of their photos."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from facesegl.errors import ConfigError
from facesegl.evaluation.comparison import pick
from facesegl.evaluation.counts_file import SavedCounts, read_counts
from facesegl.scores.bootstrap import FEWEST, interval, resampled_scores
from facesegl.scores.summary import Scores, summarise
from facesegl.text import a_few


class ScoreEstimate(NamedTuple):
    """A score with its interval; NaN if there was nothing to score or to resample.

    Attributes:
        value: on all photos, each once.
        low: the lower end of the interval.
        high: the upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Pooled:
    """Runs of different folds as one score.

    Attributes:
        scores: from the counts of all validation photos, each scored by the run that was not trained on it.
        miou: `scores.miou` with its bootstrap interval over persons; no interval below `FEWEST` persons.
        photos: the ids of the photos.
        persons: the number of persons in them, as far as known.
        folds: the number of runs.
    """

    scores: Scores
    miou: ScoreEstimate
    photos: tuple[str, ...]
    persons: int
    folds: int


def pool_runs(folders: Sequence[Path]) -> Pooled:
    """Pool the validation counts of runs of different folds, all with one seed and one configuration.

    Args:
        folders: run folders with counts.npz, one or more.

    Raises:
        CheckpointError: a counts.npz that cannot be read.
        ConfigError: a run without validation photos, runs with a shared photo, other classes or other data.
    """
    runs = [read_counts(folder) for folder in folders]
    _require_different_folds(folders, runs)
    photos = [photo for run in runs for photo in run.sets["val"]]
    counts, boundary = map(np.concatenate, zip(*(pick(run, run.sets["val"]) for run in runs), strict=True))
    group_of = {photo: group for run in runs for photo, group in zip(run.photos, run.groups, strict=True)}
    groups = [group_of[photo] for photo in photos]
    scores = summarise(runs[0].classes, torch.from_numpy(counts), torch.from_numpy(boundary).sum(0))
    ends = math.nan, math.nan
    if (persons := len({*groups})) >= FEWEST:
        ends = interval(resampled_scores([(counts, boundary)], groups)[0].miou)
    return Pooled(scores, ScoreEstimate(scores.miou, *ends), tuple(photos), persons, len(runs))


def _require_different_folds(folders: Sequence[Path], runs: Sequence[SavedCounts]) -> None:
    first, problems = runs[0], []
    seen: dict[str, Path] = {}
    for folder, run in zip(folders, runs, strict=True):
        if not run.sets.get("val"):
            problems.append(f"{folder}: no validation photos; expected a run with data.fold=0, 1, ...")
        if run.classes != first.classes:
            problems.append(f"{folder}: other classes than {folders[0]}; expected folds of the same data.")
        if run.fingerprint != first.fingerprint:
            problems.append(
                f"{folder}: other data than {folders[0]} (fingerprints {run.fingerprint}, {first.fingerprint}); train "
                f"all folds on the same data."
            )
        val = run.sets.get("val", ())
        if shared := [photo for photo in val if photo in seen]:
            problems.append(
                f"{folder}: {len(shared)} of its {len(val)} validation photos are also those of {seen[shared[0]]} "
                f"({a_few(shared)}); expected another fold, with the same data.folds and data.fold_seed."
            )
        seen |= dict.fromkeys(val, folder)
    if problems:
        raise ConfigError(*problems)
