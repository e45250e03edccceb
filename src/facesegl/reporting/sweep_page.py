"""The page of a sweep: a row for each configuration, its seeds combined into mean and standard deviation."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from facesegl.provenance import versions
from facesegl.reporting.charts import Charts, draw, map_chart, sweep_chart
from facesegl.reporting.page import render
from facesegl.reporting.scored_sets import definition
from facesegl.runs.result import read_result
from facesegl.runs.sweep_jobs import MOST_CLASSES, Job, Row, failures, fold, read_jobs, spread, swept


def sweep_page(folder: Path) -> str:
    """The page of a sweep as HTML; its charts are written next to it.

    Args:
        folder: the folder of the sweep, with its jobs in numbered folders.
    """
    jobs = read_jobs(folder)
    what = next((job.set for job in jobs if job.set), "")
    keys = swept(jobs)
    rows = fold(jobs, keys)
    names = list(next((job.classes for job in jobs if job.classes), {}))
    best = rows[0] if rows and rows[0].mean is not None else None
    return render(
        "sweep",
        title=f"Sweep {folder.name}",
        eyebrow="facesegl · sweep",
        subtitle=f"{folder.parent.name} · {len(jobs)} jobs",
        version=versions()["facesegl"],
        problems=failures(folder),
        summary=_summary(rows, what),
        keys=keys or ["configuration"],
        names=names if len(names) <= MOST_CLASSES else [],
        rows=[row if keys else row._replace(values=["all"]) for row in rows],
        definition=definition(),
        best_command=max(best.jobs, key=lambda job: -1 if job.miou is None else job.miou).command if best else "",
        best_words=_best_words(best, keys) if best else "",
        charts=draw(folder, _charts(jobs, keys, f"mIoU on {what}")),
        facts=list(_facts(folder, jobs)),
    )


def _summary(rows: Sequence[Row], what: str) -> str:
    scored = sum(row.n for row in rows)
    seeds = max((row.n for row in rows), default=0)
    note = " Seeds are combined into their mean and standard deviation." if seeds > 1 else ""
    if seeds == 1 and len(rows) > 1:
        note = " One run each: a difference may be due to the seed."
    ranked = f", best first by mIoU on {what}" if what else ""
    return f"{len(rows)} configurations, {scored} scored runs{ranked}.{note}"


def _best_words(best: Row, keys: Sequence[str]) -> str:
    chosen = ", ".join(f"{key}={value}" for key, value in zip(keys, best.values, strict=True)) or "all jobs"
    return f"{chosen}: mIoU {spread(best)}. Repeat its best run with:"


def _charts(jobs: Sequence[Job], keys: Sequence[str], what: str) -> Charts:
    scored = [job for job in jobs if job.miou is not None]
    charts: Charts = []
    for number, key in enumerate(keys):
        values, scores = [job.values.get(key, "") for job in scored], [job.miou or 0.0 for job in scored]
        if len(set(values)) > 1:
            figure = sweep_chart(key, values, scores, what)
            charts.append((f"sweep_{number}", f"{what} over {key}: a point for each run, and the means", figure))
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
