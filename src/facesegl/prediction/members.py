"""The files of a model: one, or of a sweep's folder the checkpoints of its finished jobs, which are an ensemble.

In a study over `data.fold=all` each trial is itself a sweep of folds.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facesegl.errors import CheckpointError, ConfigError
from facesegl.prediction.model import is_sweep, model_file
from facesegl.pretrained import model_path
from facesegl.runs.result import read_record
from facesegl.runs.sweep_jobs import Job, best_first, fold, read_jobs, read_notes, swept
from facesegl.text import a_few, number

log = logging.getLogger(__name__)


def member_files(model: "str | Path") -> list[Path]:
    """The file of a model, or the last checkpoint of each finished job of a sweep, in the order of the jobs.

    Jobs that are not finished are named in a log line.

    Args:
        model: as for `model_file`, or the folder of a sweep whose jobs are one configuration: they differ only in
            seeds, folds and the choice of photos.

    Raises:
        CheckpointError: as `model_file`, or no job is done.
        ConfigError: the jobs are several configurations.
    """
    folder = model_path(model)
    if not is_sweep(folder):
        return [model_file(model)]
    notes = read_notes(folder)
    died = {note["job"] for note in notes if note["state"] == "died"}  # without overrides
    _require_one_configuration(folder, [job for job in read_jobs(folder) if job.number not in died])
    left_out = {note["job"]: reason for note in notes if (reason := _unusable(note))}
    reasons = [f"job {job} ({reason})" for job, reason in left_out.items()]
    jobs = int((read_record(folder / "sweep.json") or {}).get("jobs", len(notes)))
    if jobs > len(notes):
        reasons.append(f"{jobs - len(notes)} not started")
    if len(left_out) == len(notes):
        raise CheckpointError(
            f"{folder}: a sweep without a finished job ({a_few(reasons)}); finish it with its command and resume=auto."
        )
    if reasons:
        log.warning(
            "%s: an ensemble of %d of %s; left out: %s",
            folder,
            len(notes) - len(left_out),
            number(max(jobs, len(notes)), "job"),
            a_few(reasons),
        )
    return [file for note in notes if note["job"] not in left_out for file in member_files(note["run"])]


def _unusable(note: Mapping[str, Any]) -> str:
    """Why a job is not in the ensemble; empty if it is."""
    if note["state"] != "done":
        return "unfinished" if note["state"] == "died" else str(note["state"])
    run = Path(note["run"])
    return "" if is_sweep(run) or (run / "checkpoints" / "last.ckpt").is_file() else "no last.ckpt"


def _require_one_configuration(folder: Path, jobs: Sequence[Job]) -> None:
    keys = swept(jobs)
    rows = sorted(fold(jobs, keys), key=lambda row: row.jobs[0].number)
    if len(rows) < 2:
        return
    if (folder / "study.json").is_file():
        best = best_first(folder)[0]
        named = f"e.g. the best, {best['run']}" if best["miou"] is not None else "but none has a score yet"
        raise ConfigError(f"{folder}: a study of {len(rows)} configurations; name one of its trials, {named}.")
    ways = [
        f"{' '.join(f'{key}={value}' for key, value in zip(keys, row.values, strict=True))}: "
        f"{' '.join(str(folder / str(job.number)) for job in row.jobs)}"
        for row in rows
    ]
    raise ConfigError(
        f"{folder}: a sweep of {len(rows)} configurations; expected one, with several seeds or folds. Name the jobs of "
        f"one configuration instead: {a_few(ways)}."
    )
