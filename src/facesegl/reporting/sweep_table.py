"""A sweep on the terminal: a row for each job, and one for each configuration that has several seeds."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from facesegl.reporting.score_tables import plain_table
from facesegl.reporting.scored_sets import cell
from facesegl.runs.sweep_jobs import PHOTOS, best_first, fold, read_jobs, spread, swept
from facesegl.text import finite

if TYPE_CHECKING:
    from rich.table import Table


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


def seeds_table(folder: Path) -> "Table | None":
    """A row for each configuration: mean, standard deviation and number of its seeds.

    The best comes first; if the number of photos was swept, the smallest number.

    Returns:
        None if no configuration has two seeds with a score.
    """
    from rich.text import Text

    jobs = read_jobs(folder)
    keys = swept(jobs)
    rows = fold(jobs, keys)
    if not any(row.n > 1 for row in rows):
        return None
    if PHOTOS in keys:
        rows.sort(key=lambda row: finite(row.values[keys.index(PHOTOS)]) or math.inf)
    table = plain_table("Over the seeds: mean ± standard deviation (runs)")
    for key in keys or ["configuration"]:
        table.add_column(Text(key), overflow="fold")
    table.add_column(f"mIoU on {next(job.set for job in jobs if job.set)}", justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(value) for value in row.values or ["all"]), spread(row))
    return table
