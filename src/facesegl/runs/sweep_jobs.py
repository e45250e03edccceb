"""The jobs of a sweep: their job.json files, and one row per configuration with mean and spread over seeds."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from facesegl.runs.result import read_record, read_result
from facesegl.runs.run_folder import is_live
from facesegl.text import number

MOST_CLASSES = 12  # with more classes, a row has no class scores

PHOTOS = "data.photos"  # the key of the number of photos to train on

_REPEATS = ("seed", "data.photos_seed")  # runs that differ only in these are one configuration


class Job(NamedTuple):
    """A job of a sweep.

    Attributes:
        number: the number of the job.
        values: its overrides, by key.
        set: the set it was scored on; empty if it has no score.
        miou: its headline score, or None.
        classes: the IoU of each class.
        command: the command line that repeats it.
        page: its report, relative to the sweep's page; empty if there is none.
        photos: the number of photos it was trained on; 0 if unknown.
        floor: the mIoU of the floor on the same photos.
        agreement: the mIoU between two annotators on the same photos.
        state: done, pruned, failed, stopped, running or died.
    """

    number: int
    values: Mapping[str, str]
    set: str
    miou: float | None
    classes: Mapping[str, float | None]
    command: str
    page: str
    photos: int = 0
    floor: float | None = None
    agreement: float | None = None
    state: str = ""


class Row(NamedTuple):
    """A configuration.

    Attributes:
        values: its overrides, in the order of the table's keys.
        mean: the mean score over its seeds; None if none has one.
        sd: the sample standard deviation; None for fewer than two scores.
        n: the number of scores.
        classes: the mean IoU of each class.
        jobs: its jobs, in order.
    """

    values: list[str]
    mean: float | None
    sd: float | None
    n: int
    classes: list[float | None]
    jobs: list[Job]


def best_first(folder: Path) -> list[dict[str, Any]]:
    """The notes of a sweep's jobs, highest headline score first, jobs without one last."""
    return sorted(read_notes(folder), key=lambda note: _rank(note["miou"]))


def read_notes(folder: Path) -> list[dict[str, Any]]:
    """The job.json of each job of a sweep, in order; a job that died without one has the state `died`.

    Its `run` is the folder where it is now: a sweep may have been moved.

    Raises:
        ConfigError: one has an unknown schema.
    """
    notes = []
    for run in sorted((path for path in folder.iterdir() if path.name.isdecimal()), key=lambda path: int(path.name)):
        note = read_record(run / "job.json")
        if note is not None and (note["state"] != "running" or is_live(folder, f".{run.name}.lock")):
            notes.append(note | {"run": str(run)})
        else:
            reason = "it was killed; resume=auto resumes it" if note else "it has no readable job.json"
            died = {"state": "died", "messages": [reason], "exit_code": 70, "run": str(run)}
            notes.append({"job": int(run.name), "overrides": [], "set": None, "miou": None, **(note or {}), **died})
    return notes


def failures(folder: Path) -> list[str]:
    """One line per failed job, and one with their number; empty if none has failed."""
    notes = read_notes(folder)
    failed = [note for note in notes if note["state"] != "done" and note.get("exit_code")]
    lines = [
        f"job {note['job']} ({' '.join(note['overrides'])}) {note['state']}: {note['messages'][0]}" for note in failed
    ]
    rest = "the others are done" if len(failed) < len(notes) else "none is done"
    if any(map(_is_out_of_time, notes)):
        rest = "some were stopped"
    return [*lines, f"{len(failed)} of {len(notes)} jobs failed; {rest}, in {folder}."] if failed else []


def out_of_time(folder: Path) -> str:
    """A line on the jobs that `trainer.max_time` stopped; empty if there are none."""
    notes = read_notes(folder)
    stopped = sum(map(_is_out_of_time, notes))
    what = f"by trainer.max_time in {stopped} of {number(len(notes), 'job')}"
    return f"{what}. The same command with resume=auto resumes them." if stopped else ""


def _is_out_of_time(note: Mapping[str, Any]) -> bool:
    return note["state"] == "stopped" and not note.get("exit_code")


def read_jobs(folder: Path) -> list[Job]:
    """The jobs of a sweep, in order."""
    return [_job(note) for note in read_notes(folder)]


def swept(jobs: Sequence[Job]) -> list[str]:
    """The keys whose values differ between jobs, except seeds, in the order of the command line."""
    keys = dict.fromkeys(key for job in jobs for key in job.values if key not in _REPEATS)
    return [key for key in keys if len({job.values.get(key) for job in jobs}) > 1]


def fold(jobs: Sequence[Job], keys: Sequence[str]) -> list[Row]:
    """One row for all jobs with equal values, best mean first, rows without a score last."""
    together: dict[tuple[str, ...], list[Job]] = {}
    for job in jobs:
        together.setdefault(tuple(job.values.get(key, "") for key in keys), []).append(job)
    rows = [_row(list(values), same) for values, same in together.items()]
    return sorted(rows, key=lambda row: _rank(row.mean))


def _rank(score: float | None) -> tuple[bool, float]:
    return score is None, -(score or 0.0)


def spread(row: Row) -> str:
    """A row's score as text.

    Example:
        >>> spread(Row([], 0.8123, 0.0101, 3, [], []))
        '0.812 ± 0.010 (3)'
    """
    if row.mean is None:
        return "-"
    return f"{row.mean:.3f}{f' ± {row.sd:.3f}' if row.sd is not None else ''} ({row.n})"


def _row(values: list[str], jobs: list[Job]) -> Row:
    scores = [job.miou for job in jobs if job.miou is not None]
    names = next((job.classes for job in jobs if job.classes), {})
    classes = [_mean([job.classes.get(name) for job in jobs]) for name in names] if len(names) <= MOST_CLASSES else []
    sd = statistics.stdev(scores) if len(scores) > 1 else None
    return Row(values, _mean(scores), sd, len(scores), classes, jobs)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _job(note: Mapping[str, Any]) -> Job:
    run = Path(note["run"])
    record = read_result(run) or {}
    found: dict[str, Any] = next(iter((record.get("scores") or {}).values()), {})
    pairs = (text.lstrip("+~").partition("=") for text in note["overrides"])
    page = run / "report.html"
    return Job(
        number=note["job"],
        values={key: value for key, _, value in pairs},
        set=note["set"] or "",
        miou=note["miou"],
        classes=found.get("scores", {}).get("iou", {}),
        command=record.get("command") or note.get("command", ""),
        page=f"{run.name}/report.html" if page.is_file() else "",
        photos=((record.get("data") or {}).get("photos") or {}).get("train", 0),
        floor=(found.get("floor") or {}).get("miou"),
        agreement=(found.get("agreement") or {}).get("miou"),
        state=note["state"],
    )
