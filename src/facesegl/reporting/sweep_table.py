"""A sweep on the terminal: a row for each job, and one for each configuration that has several seeds."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from facesegl.evaluation.comparison import LEVEL_IN_WORDS
from facesegl.reporting.score_tables import plain_table
from facesegl.reporting.scored_sets import cell
from facesegl.runs.sweep_jobs import PHOTOS, Job, best_first, fold, ranked, spread, swept
from facesegl.text import finite, number

if TYPE_CHECKING:
    from rich.table import Table


def folds_table(name: str, jobs: Sequence[Job]) -> "Table":
    """A row for each cross-validation of a sweep, best first: its overrides, folds, and pooled score with interval."""
    from rich.text import Text

    photos = max(job.scored_photos for job in jobs)
    table = plain_table(f"Sweep {name}, cross-validated over {number(photos, 'photo')}")
    for column in ("jobs", "overrides", "folds", "mIoU", f"{LEVEL_IN_WORDS} interval"):
        table.add_column(column, justify="right" if column == "mIoU" else "left", overflow="fold")
    for job in ranked(jobs):
        parts = job.pooled or [job]
        overrides = " ".join(f"{key}={value}" for key, value in job.values.items())
        ends = "-" if job.low is None else f"{cell(job.low)} to {cell(job.high)}"
        table.add_row(
            ranges([part.number for part in parts]), Text(overrides), folds_in_words(job), cell(job.miou), ends
        )
    return table


def sweep_table(folder: Path) -> "Table":
    """A row for each job, best first: overrides, state and headline score."""
    notes = best_first(folder)
    scored = next((note["set"] for note in notes if note["set"]), "")
    table = plain_table(f"{'Study' if (folder / 'study.json').is_file() else 'Sweep'} {folder.name}")
    for column in ("job", "overrides", "state", f"mIoU on {scored}" if scored else "mIoU"):
        table.add_column(column, justify="right" if column.startswith("mIoU") else "left", overflow="fold")
    for note in notes:
        table.add_row(str(note["job"]), " ".join(note["overrides"]), note["state"], cell(note["miou"]))
    return table


def seeds_table(jobs: Sequence[Job]) -> "Table | None":
    """A row for each configuration: mean, standard deviation and number of its seeds.

    The best comes first; if the number of photos was swept, the smallest number.

    Returns:
        None if no configuration has two seeds with a score.
    """
    from rich.text import Text

    keys = swept(jobs)
    rows = fold(jobs, keys)
    if not any(row.n > 1 for row in rows):
        return None
    if PHOTOS in keys:
        rows.sort(key=lambda row: finite(row.values[keys.index(PHOTOS)]) or math.inf)
    photos = max(job.scored_photos for job in jobs)
    validated = f"Cross-validated over {number(photos, 'photo')}, over" if photos else "Over"
    table = plain_table(f"{validated} the seeds: mean ± standard deviation (runs)")
    for key in keys or ["configuration"]:
        table.add_column(Text(key), overflow="fold")
    table.add_column(f"mIoU on {next(job.set for job in jobs if job.set)}", justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(value) for value in row.values or ["all"]), spread(row))
    return table


def folds_in_words(job: Job) -> str:
    """How many folds of a job have a score, and the states of the others.

    Example:
        >>> fold = Job(0, {}, "val", 0.8, {}, "", "", state="done", folds=3)
        >>> folds_in_words(fold._replace(pooled=[fold, fold, fold._replace(miou=None, state="failed")]))
        '2 of 3: 1 failed'
    """
    if not job.pooled:
        return "-"
    others = Counter(part.state for part in job.pooled if part.miou is None)
    if missing := job.folds - len(job.pooled):
        others["not run"] = missing
    words = ", ".join(f"{count} {state}" for state, count in others.items())
    return f"{job.scored_folds} of {job.folds}{f': {words}' if words else ''}"


def ranges(numbers: Iterable[int]) -> str:
    """Numbers in order, runs of them shortened.

    Example:
        >>> ranges([0, 1, 2, 3, 4]), ranges([0, 2, 4, 5])
        ('0-4', '0, 2, 4-5')
    """
    runs: list[list[int]] = []
    for each in numbers:
        if runs and each == runs[-1][-1] + 1:
            runs[-1].append(each)
        else:
            runs.append([each])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
