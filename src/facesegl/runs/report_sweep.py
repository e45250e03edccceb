"""The page of a sweep: one row a configuration, with its seeds folded into mean and spread."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from facesegl.reporting import map_chart, render, sweep_chart
from facesegl.runs.report import Charts, draw
from facesegl.runs.result import read_result, versions
from facesegl.runs.sweep import failures, read_notes
from facesegl.runs.tables import DEFINITION

_MOST_CLASSES = 12  # of more than these the table has the mean alone


class Job(NamedTuple):
    """A job of a sweep.

    Attributes:
        number: its number.
        values: what it overrode, by key.
        miou: its headline score; None if it has none.
        classes: the IoU of each class.
        command: what repeats it.
        page: its own report as seen from the sweep's page; empty if there is none.
    """

    number: int
    values: Mapping[str, str]
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


def sweep_page(folder: Path) -> str:
    """The page of a sweep as HTML; its charts are written beside it.

    Args:
        folder: of the sweep, whose jobs lie in numbered folders.
    """
    notes = read_notes(folder)
    jobs = [_job(folder, note) for note in notes]
    what = next((note["set"] for note in notes if note.get("set")), "") or ""
    keys = swept(jobs)
    rows = fold(jobs, keys)
    names = list(next((job.classes for job in jobs if job.classes), {}))
    best = rows[0] if rows and rows[0].mean is not None else None
    return render(
        "sweep",
        title=f"Sweep {folder.name}",
        eyebrow="facesegl · a sweep",
        subtitle=f"{folder.parent.name} · {len(jobs)} jobs",
        version=versions()["facesegl"],
        problems=failures(folder),
        summary=_summary(rows, what),
        keys=keys or ["configuration"],
        names=names if len(names) <= _MOST_CLASSES else [],
        rows=[row if keys else row._replace(values=["all"]) for row in rows],
        definition=" ".join(DEFINITION.split()),
        best_command=min(best.jobs, key=lambda job: -(job.miou or -1)).command if best else "",
        best_words=_best_words(best, keys) if best else "",
        charts=draw(folder, _charts(jobs, keys, f"mIoU on {what}")),
        facts=list(_facts(folder, jobs)),
    )


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


def _row(values: list[str], jobs: list[Job]) -> Row:
    scores = [job.miou for job in jobs if job.miou is not None]
    names = next((job.classes for job in jobs if job.classes), {})
    classes = [_mean([job.classes.get(name) for job in jobs]) for name in names] if len(names) <= _MOST_CLASSES else []
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
        miou=note["miou"],
        classes=found.get("scores", {}).get("iou", {}),
        command=record.get("command", ""),
        page=f"{note['job']}/report.html" if place.absolute().parent == folder.absolute() and page.is_file() else "",
    )


def _summary(rows: Sequence[Row], what: str) -> str:
    scored = sum(row.n for row in rows)
    seeds = max((row.n for row in rows), default=0)
    spread = " Seeds are folded into their mean and standard deviation." if seeds > 1 else ""
    alone = " One run each: a difference may be the seed's." if seeds == 1 and len(rows) > 1 else ""
    told = f"{len(rows)} configurations, {scored} scored runs, best first by mIoU on {what or 'nothing'}."
    return f"{told}{spread}{alone}"


def _best_words(best: Row, keys: Sequence[str]) -> str:
    chosen = ", ".join(f"{key}={value}" for key, value in zip(keys, best.values, strict=True)) or "all jobs"
    spread = f" ± {best.sd:.3f}" if best.sd is not None else ""
    return f"{chosen}: mIoU {best.mean:.3f}{spread} ({best.n}). This repeats its best run:"


def _charts(jobs: Sequence[Job], keys: Sequence[str], what: str) -> Charts:
    scored = [job for job in jobs if job.miou is not None]
    charts: Charts = []
    for number, key in enumerate(keys):
        values, scores = [job.values.get(key, "") for job in scored], [job.miou or 0.0 for job in scored]
        if len(set(values)) > 1:
            figure = sweep_chart(key, values, scores, what)
            charts.append((f"sweep_{number}", f"{what} over {key}: a point a run, and the means", figure))
    if len(keys) == 2 and scored:
        means = {(row.values[0], row.values[1]): row.mean for row in fold(scored, keys) if row.mean is not None}
        figure = map_chart((keys[0], keys[1]), means, what)
        charts.append(("sweep_map", f"{what} over {keys[0]} and {keys[1]}: the mean of each pair of values", figure))
    return charts


def _facts(folder: Path, jobs: Sequence[Job]) -> Iterator[tuple[str, str]]:
    record = next((found for job in jobs if (found := read_result(folder / str(job.number)))), None)
    if record:
        data = record.get("data") or {}
        yield "data", f"{data.get('name')}, fingerprint {data.get('fingerprint')}"
        yield "versions", ", ".join(f"{name} {version}" for name, version in (record.get("versions") or {}).items())
    yield "folder", folder.name
