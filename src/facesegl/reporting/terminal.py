"""The final output of train, evaluate and sweeps: scores and paths."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from facesegl.console import show
from facesegl.evaluation.comparison import LEVEL_IN_WORDS
from facesegl.evaluation.cross_validation import pool_folds, pooled_scores
from facesegl.reporting.score_tables import how_scored, score_table, tag_table
from facesegl.reporting.scored_sets import below_the_floor, cell, definition
from facesegl.reporting.sweep_table import folds_in_words, folds_table, seeds_table, sweep_table
from facesegl.runs.result import Result, read_result
from facesegl.runs.sweep_jobs import Job, best_first, fold, of_all_photos, ranked, read_jobs, swept
from facesegl.text import number


def show_result(result: Result) -> None:
    """Print the scores of a run, their definition, and the paths of its files."""
    if result.scores:
        other_data = result.data.get("other_data", False)
        show(score_table(result.scores, result.data["name"], other_data))
        if by_tag := tag_table(result.scores):
            show("", by_tag)
        show("")
        words = [how_scored(result), definition(result.scores), below_the_floor(result.scores)]
        if words[-1] and not other_data:
            words[-1] += " Train it longer?"
        for paragraph in filter(None, words):
            show(Text(paragraph), "")
    show(f"run folder: {result.folder}")
    if (result.folder / "tensorboard").is_dir():
        show(f"curves:     tensorboard --logdir {shlex.quote(str(result.folder.parent))}")
    if (result.folder / "panels").is_dir():
        show(f"pictures:   {result.folder / 'panels'}")
    show(f"page:       facesegl report {shlex.quote(str(result.folder))}")


def show_sweep(folder: Path) -> None:
    """Print the jobs of a sweep, best first, and the paths of their files."""
    jobs = pool_folds(read_jobs(folder))
    if any(job.pooled for job in jobs):
        _show_cross_validated(folder, jobs)
    else:
        _show_jobs(folder, jobs)
    show(f"run folders: {_from_here(folder)}")
    show(f"curves:      tensorboard --logdir {shlex.quote(str(_from_here(folder)))}")
    show(f"page:        facesegl report {shlex.quote(str(_from_here(folder)))}")


def _show_jobs(folder: Path, jobs: Sequence[Job]) -> None:
    show(sweep_table(folder), "")
    if over_seeds := seeds_table(jobs):
        show(over_seeds, "")
    best = best_first(folder)[0]
    checkpoint = Path(best["run"]) / "checkpoints" / "last.ckpt"
    if best["miou"] is not None and checkpoint.is_file():
        show(f"best:        {shlex.quote(str(_from_here(checkpoint)))}  (job {best['job']}; the file that was scored)")


def _show_cross_validated(folder: Path, jobs: Sequence[Job]) -> None:
    if over_seeds := seeds_table(jobs):
        show(over_seeds, "")
    show(sweep_table(folder) if len(jobs) == 1 else folds_table(folder.name, jobs), "")
    best = fold(jobs, swept(jobs))[0]
    if best.mean is None:
        return
    if len(jobs) == 1:
        _show_pooled(jobs[0])
    show(
        "No test photo was scored. To report the best configuration, train it on all training photos:",
        of_all_photos(ranked(best.jobs)[0]),
        "The page below lists the masks to check."
        + (" The folder is an ensemble for facesegl evaluate, predict and export." if len(jobs) == 1 else ""),
        "",
    )


def _show_pooled(job: Job) -> None:
    """The scores of one cross-validation."""
    scored = [part for part in job.pooled if part.miou is not None]
    scores = pooled_scores(scored)
    show(score_table(scores, (read_result(scored[0].run) or {})["data"]["name"]), "")
    ends = "" if job.low is None else f", {LEVEL_IN_WORDS} interval {cell(job.low)} to {cell(job.high)}"
    words = (
        f"mIoU {cell(job.miou)}{ends}: cross-validated over {number(job.scored_photos, 'photo')}; "
        f"folds: {folds_in_words(job)}. Each photo was scored by the model that was not trained on it."
    )
    for paragraph in filter(None, [words, definition(scores), below_the_floor(scores)]):
        show(Text(paragraph), "")


def show_study(folder: Path, selected: str, command: str) -> None:
    """Print the trials of a study, best first, and the selected config as a command.

    Args:
        folder: the study's folder.
        selected: the selected trial and its score in words; empty if no trial has a score.
        command: the command that trains the selected config.
    """
    if not best_first(folder):
        show(f"no trial ran in {_from_here(folder)}; other machines of this study have them all")
        return
    show_sweep(folder)
    if selected:
        show(f"selected:    {selected}", f"train it:    {command}")


def _from_here(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
