"""What the jobs of a sweep left: their notes, and a row a configuration, its seeds folded into mean and spread."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from facesegl.runs.result import read_result

MOST_CLASSES = 12  # of more than these a row has the mean alone


class Job(NamedTuple):
    """A job of a sweep.

    Attributes:
        number: its number.
        values: what it overrode, by key.
        set: what that is scored on; empty if it has no score.
        miou: its headline score; None if it has none.
        classes: the IoU of each class.
        command: what repeats it.
        page: its own report as seen from the sweep's page; empty if there is none.
    """

    number: int
    values: Mapping[str, str]
    set: str
    miou: float | None
    classes: Mapping[str, float | None]
    command: str
    page: str


class Row(NamedTuple):
    """A configuration.

    Attributes:
        values: what it overrode, in the order of the table's keys.
        mean: the mean of its seeds' scores; None if none has one.
        sd: their standard deviation (of a sample); None below two.
        n: how many have a score.
        classes: the mean IoU of each class.
        jobs: its jobs, by number.
    """

    values: list[str]
    mean: float | None
    sd: float | None
    n: int
    classes: list[float | None]
    jobs: list[Job]


def best_first(folder: Path) -> list[dict[str, Any]]:
    """The notes of a sweep's jobs, highest headline score first, jobs without one last."""
    return sorted(read_notes(folder), key=lambda note: -(-1 if note["miou"] is None else note["miou"]))


def read_notes(folder: Path) -> list[dict[str, Any]]:
    """The notes of a sweep's jobs, in the order of the jobs; a job that died without one has the state `died`."""
    notes = []
    for place in sorted((path for path in folder.iterdir() if path.name.isdecimal()), key=lambda path: int(path.name)):
        try:
            notes.append(json.loads((place / "job.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, RecursionError):
            died = {"state": "died", "messages": ["it left no word"], "exit_code": 70, "run": str(place)}
            notes.append({"job": int(place.name), "overrides": [], "set": None, "miou": None, **died})
    return notes


def failures(folder: Path) -> list[str]:
    """A line for each job that failed, and one that counts them; nothing if all are done."""
    notes = read_notes(folder)
    failed = [note for note in notes if note["state"] != "done"]
    lines = [
        f"job {note['job']} ({' '.join(note['overrides'])}) {note['state']}: {note['messages'][0]}" for note in failed
    ]
    rest = "the others are done" if len(failed) < len(notes) else "none is done"
    return [*lines, f"{len(failed)} of {len(notes)} jobs failed; {rest}, in {folder}."] if failed else []


def read_jobs(folder: Path) -> list[Job]:
    """The jobs of a sweep, by number."""
    return [_job(folder, note) for note in read_notes(folder)]


def swept(jobs: Sequence[Job]) -> list[str]:
    """The keys that differ between jobs, but for the seed, in the order in which they were given."""
    keys = dict.fromkeys(key for job in jobs for key in job.values if key != "seed")
    return [key for key in keys if len({job.values.get(key) for job in jobs}) > 1]


def fold(jobs: Sequence[Job], keys: Sequence[str]) -> list[Row]:
    """One row for all jobs of equal values, best mean first, rows without a score last."""
    together: dict[tuple[str, ...], list[Job]] = {}
    for job in jobs:
        together.setdefault(tuple(job.values.get(key, "") for key in keys), []).append(job)
    rows = [_row(list(values), same) for values, same in together.items()]
    return sorted(rows, key=lambda row: -(-1 if row.mean is None else row.mean))


def spread(row: Row) -> str:
    """A row's score in words.

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
    there = [value for value in values if value is not None]
    return statistics.fmean(there) if there else None


def _job(folder: Path, note: Mapping[str, Any]) -> Job:
    place = Path(note["run"]) if Path(note["run"]).is_dir() else folder / str(note["job"])
    record = read_result(place) or {}
    found: dict[str, Any] = next(iter((record.get("scores") or {}).values()), {})
    pairs = (text.lstrip("+~").partition("=") for text in note["overrides"])
    page = place / "report.html"
    return Job(
        number=note["job"],
        values={key: value for key, _, value in pairs},
        set=note["set"] or "",
        miou=note["miou"],
        classes=found.get("scores", {}).get("iou", {}),
        command=record.get("command", ""),
        page=f"{note['job']}/report.html" if place.absolute().parent == folder.absolute() and page.is_file() else "",
    )
