"""The page of a sweep: a row for each configuration, its seeds combined into mean and standard deviation."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from facesegl.errors import ConfigError
from facesegl.evaluation.comparison import LEVEL_IN_WORDS
from facesegl.evaluation.cross_validation import pool_folds, pool_trials
from facesegl.evaluation.suspects import Suspect
from facesegl.provenance import versions
from facesegl.reporting.charts import Charts, draw, map_chart, masks_chart, means, sweep_chart
from facesegl.reporting.page import render
from facesegl.reporting.pictures import Shown
from facesegl.reporting.run_page import class_colours
from facesegl.reporting.scored_sets import cell, definition
from facesegl.reporting.study_charts import states_in_words, study_charts
from facesegl.reporting.sweep_table import folds_in_words, ranges
from facesegl.runs.result import read_record, read_result
from facesegl.runs.sweep_jobs import (
    MOST_CLASSES,
    PHOTOS,
    Job,
    Row,
    failures,
    fold,
    of_all_photos,
    out_of_time,
    ranked,
    read_jobs,
    spread,
    swept,
)
from facesegl.text import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Suspects(NamedTuple):
    """The photos of a cross-validated sweep whose masks disagree most with models that were not trained on them.

    Attributes:
        ranked: the most suspect photos, worst first.
        photos: how many photos were ranked.
        configuration: the overrides of the models; empty if the sweep has only one configuration.
        models: how many models predicted the photos.
        pictures: some of the photos, by id.
        note: why there are no pictures, or empty.
    """

    ranked: Sequence[Suspect]
    photos: int
    configuration: str
    models: int
    pictures: Mapping[str, Shown]
    note: str


def sweep_page(folder: Path, baselines: Sequence[Path] = (), suspects: Suspects | None = None) -> str:
    """The page of a sweep as HTML; its charts are written next to it.

    Args:
        folder: the folder of the sweep, with its jobs in numbered folders.
        baselines: run folders whose scores are lines in the chart over the number of masks.
        suspects: photos to check; None if the sweep has no folds.

    Raises:
        ConfigError: a baseline without a score on the photos of the sweep, or in a sweep that has no such chart.
    """
    jobs = read_jobs(folder)
    runs = pool_folds(pool_trials(jobs))
    parts = [part for run in runs for part in run.pooled or [run]]
    record = next((found for part in parts if (found := read_result(part.run))), {})
    what = next((job.set for job in jobs if job.set), "")
    keys = swept(runs)
    rows = fold(runs, keys)
    names = list(next((run.classes for run in runs if run.classes), {}))
    if baselines and PHOTOS not in keys:
        raise ConfigError(
            f"--baseline: a line in the chart over {PHOTOS}, which this sweep did not vary; leave it out."
        )
    levels = dict(_level(baseline, record, what) for baseline in baselines)
    best = rows[0] if rows and rows[0].mean is not None else None
    study = read_record(folder / "study.json") or {}
    kind = "study" if study else "sweep"
    score = f"mIoU on {what}"
    charts = study_charts(jobs, study["space"], score) if study else _charts(runs, keys, score, levels)
    return render(
        "sweep",
        title=f"{kind.capitalize()} {folder.name}",
        eyebrow=f"facesegl · {kind}",
        subtitle=f"{folder.parent.name} · {states_in_words(jobs) if study else f'{len(jobs)} jobs'}",
        study=study,
        version=versions()["facesegl"],
        problems=[*failures(folder), *filter(None, [out_of_time(folder)])],
        summary=_summary(rows, what),
        keys=keys or ["configuration"],
        names=names if len(names) <= MOST_CLASSES else [],
        rows=[row if keys else row._replace(values=["all"]) for row in rows],
        definition=definition(),
        ranges=ranges,
        level=LEVEL_IN_WORDS,
        cross_validations=[
            (" ".join(f"{key}={value}" for key, value in run.values.items()), folds_in_words(run), run)
            for run in ranked(runs)
            if run.pooled
        ],
        best_command=_best_command(best) if best else "",
        best_words=_best_words(best, keys) if best else "",
        charts=draw(folder, charts),
        suspects=suspects,
        colours=class_colours(record) if suspects and suspects.pictures else {},
        facts=list(_facts(folder, record)),
    )


def _summary(rows: Sequence[Row], what: str) -> str:
    runs = [run for row in rows for run in row.jobs]
    scored = sum(max(run.scored_folds, run.miou is not None) for run in runs)
    photos = max((run.scored_photos for run in runs), default=0)
    seeds = max((row.n for row in rows), default=0)
    note = " Seeds are combined into their mean and standard deviation." if seeds > 1 else ""
    if seeds == 1 and len(rows) > 1:
        note = " One run each: a difference may be due to the seed."
    ranked = f", best first by mIoU on {what}" if what else ""
    if photos:
        ranked += f", cross-validated over {number(photos, 'photo')}: the counts of all folds are pooled"
    return f"{number(len(rows), 'configuration')}, {scored} scored runs{ranked}.{note}"


def _best_command(best: Row) -> str:
    run = ranked(best.jobs)[0]
    return of_all_photos(run) if run.pooled else run.command


def _best_words(best: Row, keys: Sequence[str]) -> str:
    chosen = ", ".join(f"{key}={value}" for key, value in zip(keys, best.values, strict=True)) or "all jobs"
    if any(run.pooled for run in best.jobs):
        return f"{chosen}: mIoU {spread(best)}. No test photo was scored; train it on all training photos to report it:"
    return f"{chosen}: mIoU {spread(best)}. Repeat its best run with:"


def _level(baseline: Path, record: Mapping[str, Any], what: str) -> tuple[str, float]:
    """The name and the score of a baseline, on the photos of the sweep."""
    other = read_result(baseline) or {}
    found = (other.get("scores") or {}).get(what)
    fingerprints = {(each.get("data") or {}).get("fingerprint") for each in (record, other)}
    if not found or len(fingerprints) > 1:
        raise ConfigError(
            f"--baseline {baseline}: no score on {what} of the sweep's data; expected a run folder of facesegl "
            f"evaluate on the same data."
        )
    return " + ".join(other["scored"]), found["scores"]["miou"]


def _charts(jobs: Sequence[Job], keys: Sequence[str], what: str, levels: Mapping[str, float]) -> Charts:
    scored = [job for job in jobs if job.miou is not None]
    scored = [job for job in scored if not job.lacks_folds] or scored  # scores of the same photos
    charts: Charts = []
    if PHOTOS in keys and (counted := [job for job in scored if job.photos]):
        charts.append(_masks(counted, [key for key in keys if key != PHOTOS], what, levels))
    for index, key in enumerate(keys):
        if key == PHOTOS:
            continue
        values, scores = [job.values.get(key, "") for job in scored], [job.miou or 0.0 for job in scored]
        if len(set(values)) > 1:
            figure = sweep_chart(key, values, scores, what)
            point = "cross-validation" if any(job.pooled for job in scored) else "run"
            charts.append((f"sweep_{index}", f"{what} over {key}: a point for each {point}, and the means", figure))
    if len(keys) == 2 and scored:
        means = {(row.values[0], row.values[1]): row.mean for row in fold(scored, keys) if row.mean is not None}
        figure = map_chart((keys[0], keys[1]), means, what)
        charts.append(("sweep_map", f"{what} over {keys[0]} and {keys[1]}: the mean of each pair of values", figure))
    return charts


def _masks(
    jobs: Sequence[Job], others: Sequence[str], what: str, levels: Mapping[str, float]
) -> tuple[str, str, "Figure"]:
    """The chart over the number of masks: a line for each value of the other keys, floor, agreement and baselines."""
    runs: dict[str, list[tuple[int, float]]] = {}
    for job in jobs:
        name = " ".join(f"{key}={job.values.get(key, '')}" for key in others) or "mean"
        runs.setdefault(name, []).append((job.photos, job.miou or 0.0))
    floor = [(job.photos, job.floor) for job in jobs if job.floor is not None]
    agreement = next((job.agreement for job in jobs if job.agreement is not None), None)
    levels = {**({"agreement": agreement} if agreement is not None else {}), **levels}
    curves = [(name, means(points)) for name, points in (*runs.items(), ("floor", floor)) if points]
    words = [f"{name} {', '.join(f'{photos}: {score:.3f}' for photos, score in curve)}" for name, curve in curves]
    words += [f"{name} {cell(level)}" for name, level in levels.items()]
    title = f"{what} over the number of masks: a point for each run, and the means. {'; '.join(words)}"
    return "masks", title, masks_chart(runs, floor, levels, what)


def _facts(folder: Path, record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if record:
        data = record.get("data") or {}
        yield "data", f"{data.get('name')}, fingerprint {data.get('fingerprint')}"
        yield "versions", ", ".join(f"{name} {version}" for name, version in (record.get("versions") or {}).items())
    yield "folder", folder.name
