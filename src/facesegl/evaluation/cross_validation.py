"""Cross-validation: the pooled score of runs that were validated on different folds, over all of their photos."""

import logging
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from facesegl.errors import CheckpointError, ConfigError
from facesegl.evaluation.comparison import pick
from facesegl.evaluation.counts_file import SavedCounts, read_counts
from facesegl.prediction.model import is_sweep
from facesegl.runs.result import read_result
from facesegl.runs.sweep_jobs import Job, read_jobs
from facesegl.scores.bootstrap import FEWEST, interval, resampled_scores
from facesegl.scores.summary import Scores, summarise
from facesegl.text import a_few

log = logging.getLogger(__name__)


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
    return _pool({folder: read_counts(folder) for folder in folders})


def _pool(counted: Mapping[Path, SavedCounts]) -> Pooled:
    _require_different_folds(counted)
    runs = list(counted.values())
    photos = [photo for run in runs for photo in run.sets["val"]]
    counts, boundary = map(np.concatenate, zip(*(pick(run, run.sets["val"]) for run in runs), strict=True))
    group_of = {photo: group for run in runs for photo, group in zip(run.photos, run.groups, strict=True)}
    groups = [group_of[photo] for photo in photos]
    scores = summarise(runs[0].classes, torch.from_numpy(counts), torch.from_numpy(boundary).sum(0))
    ends = math.nan, math.nan
    if (persons := len({*groups})) >= FEWEST:
        ends = interval(resampled_scores([(counts, boundary)], groups)[0].miou)
    return Pooled(scores, ScoreEstimate(scores.miou, *ends), tuple(photos), persons, len(runs))


def pool_folds(jobs: Sequence[Job]) -> list[Job]:
    """Replace jobs of a sweep that differ only in their fold by one, with the score over all of their photos.

    A fold whose counts cannot be read does not count; jobs that cannot be pooled stay as they are. The log says why.
    """
    together: dict[object, list[Job]] = {}
    for job in jobs:
        same = job.number if job.fold is None else frozenset(job.values.items())
        together.setdefault(same, []).append(job)
    return [one for same in together.values() for one in (_pooled(same) if same[0].fold is not None else same)]


def pool_trials(jobs: Sequence[Job]) -> list[Job]:
    """Replace each scored trial of a search over all folds, whose folds are below its folder, by its pooled folds."""
    return [_trial(job) if job.miou is not None and is_sweep(job.run) else job for job in jobs]


def _trial(job: Job) -> Job:
    pooled = _pooled(read_jobs(job.run))
    return pooled[0]._replace(number=job.number, state=job.state) if len(pooled) == 1 else job


def _pooled(jobs: Sequence[Job]) -> Sequence[Job]:
    counted = {job.run: counts for job in jobs if job.miou is not None and job.classes and (counts := _counts(job))}
    parts = [job if job.run in counted else job._replace(miou=None) for job in jobs]
    one = jobs[0]._replace(
        fold=None, folds=max(job.folds for job in jobs) or len(jobs), pooled=parts, page="", miou=None, classes={}
    )
    try:
        found = _pool(counted) if counted else None
    except ConfigError as error:
        for problem in error.problems:
            log.warning("no pooled score: %s", problem)
        return jobs
    if found is None:
        return [one]
    scored = [job for job in parts if job.miou is not None]
    floors = [job.floor for job in scored if job.floor is not None]
    low, high = (None if math.isnan(end) else end for end in found.miou[1:])
    whole = one._replace(
        set=scored[0].set,
        miou=found.miou.value,
        low=low,
        high=high,
        scored_photos=len(found.photos),
        classes=found.scores.to_dict()["iou"],
        command=scored[0].command,
        photos=scored[0].photos,
        floor=statistics.fmean(floors) if floors else None,
        agreement=scored[0].agreement,
    )
    return [whole]


def _counts(job: Job) -> SavedCounts | None:
    try:
        return read_counts(job.run)
    except CheckpointError as error:
        log.warning("job %s does not count: %s", job.number, error)
        return None


def _require_different_folds(runs: Mapping[Path, SavedCounts]) -> None:
    problems = []
    before, first = next(iter(runs.items()))
    seen: dict[str, Path] = {}
    for folder, run in runs.items():
        if not run.sets.get("val"):
            problems.append(f"{folder}: no validation photos; expected a run with data.fold=0, 1, ...")
        if run.classes != first.classes:
            problems.append(f"{folder}: other classes than {before}; expected folds of the same data.")
        if run.fingerprint != first.fingerprint:
            problems.append(
                f"{folder}: other data than {before} (fingerprints {run.fingerprint}, {first.fingerprint}); train "
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


def pooled_scores(jobs: Sequence[Job]) -> dict[str, Any]:
    """The pooled scores of jobs of different folds in the form of `Result.scores`, with floor and agreement.

    The floor, too, is pooled over the folds: at each photo it is that of the masks that its model was trained on.
    """
    found = pool_runs([job.run for job in jobs])
    of_folds = [((read_result(job.run) or {}).get("scores") or {})["val"] for job in jobs]
    confusion = torch.tensor([fold["floor"]["confusion"] for fold in of_folds])
    names = tuple(found.scores.iou)
    floor = summarise(names, confusion, torch.zeros(len(names), 4, dtype=torch.int64)).to_dict()
    floor |= {"photos": len(found.photos), "miou_per_photo": None}  # which the folds' records do not have
    return {"val": {"scores": found.scores.to_dict(), "floor": floor, "agreement": of_folds[0]["agreement"]}}
