"""The jobs of a sweep: their job.json files, and one row per configuration with mean and spread over seeds."""

import shlex
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from facesegl.runs.locks import is_live
from facesegl.runs.result import read_record, read_result
from facesegl.text import number

MOST_CLASSES = 12  # with more classes, a row has no class scores

PHOTOS = "data.photos"  # the key of the number of photos to train on

FOLD = "data.fold"  # the key of the fold that is held out

_REPEATS = ("seed", "data.photos_seed")  # runs that differ only in these, and in their fold, are one configuration


class Job(NamedTuple):
    """A job of a sweep, or the jobs of several folds as one (`facesegl.evaluation.cross_validation.pool_folds`).

    Attributes:
        number: the number of the job.
        values: its overrides, by key, without that of its fold.
        set: the set it was scored on; empty if it has no score.
        miou: its headline score, or None.
        classes: the IoU of each class.
        command: the command line that repeats it.
        page: its report, relative to the sweep's page; empty if there is none.
        photos: the number of photos it was trained on; 0 if unknown.
        floor: the mIoU of the floor on the same photos.
        agreement: the mIoU between two annotators on the same photos.
        state: done, pruned, failed, stopped, running or died.
        run: its folder.
        fold: the fold that it held out, if that was swept.
        folds: the number of folds of its data; 0 if unknown.
        pooled: the jobs of the folds that are pooled; empty for a single job.
        low: the lower end of the interval of a pooled score.
        high: the upper end.
        scored_photos: the number of photos of a pooled score.
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
    run: Path = Path()
    fold: int | None = None
    folds: int = 0
    pooled: Sequence["Job"] = ()
    low: float | None = None
    high: float | None = None
    scored_photos: int = 0

    @property
    def scored_folds(self) -> int:
        """The number of pooled folds that have a score."""
        return sum(job.miou is not None for job in self.pooled)

    @property
    def lacks_folds(self) -> bool:
        """Whether a fold has no score, so that the pooled score is not of all photos."""
        return bool(self.pooled) and self.scored_folds < self.folds


class Row(NamedTuple):
    """A configuration.

    Attributes:
        values: its overrides, in the order of the table's keys.
        mean: the mean score over its seeds; None if none has one. Seeds that lack folds count only if all do.
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

    @property
    def lacks_folds(self) -> bool:
        """Whether all of its cross-validated scores lack folds, so that they are not compared with complete ones."""
        return all(job.lacks_folds for job in self.jobs if job.miou is not None)

    @property
    def runs(self) -> list[Job]:
        """Its jobs, those of pooled folds one by one."""
        return [run for job in self.jobs for run in job.pooled or [job]]

    @property
    def counted(self) -> str:
        """The number of scores, and of folds in each.

        Example:
            >>> fold = Job(0, {}, "val", 0.8, {}, "", "")
            >>> Row([], 0.8, None, 1, [], [fold._replace(folds=5, pooled=[fold] * 4)]).counted
            '4 of 5 folds'
        """
        scored = [job for job in self.jobs if job.miou is not None]
        if not any(job.pooled for job in scored):
            return str(self.n)
        used = [job for job in scored if job.lacks_folds == self.lacks_folds]
        counts = sorted({job.scored_folds for job in used})
        folds = " to ".join(map(str, [*counts[:1], *counts[1:][-1:]])) + f" of {used[0].folds}" * self.lacks_folds
        several = f"{self.n} x " if self.n > 1 else ""
        left_out = f"; {len(self.jobs) - len(used)} incomplete" if len(used) < len(self.jobs) else ""
        return f"{several}{folds} folds{left_out}"


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
        if note and (note["state"] != "running" or is_live(folder, f".{run.name}.lock")):
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


def ranked(jobs: Sequence[Job]) -> list[Job]:
    """The jobs, best score first; those that lack folds, or have no score, come last."""
    return sorted(jobs, key=lambda job: (job.lacks_folds, _rank(job.miou)))


def of_all_photos(job: Job) -> str:
    """The command that trains what a job trained on all training photos, and scores the test photos."""
    words = [word for word in shlex.split(job.command) if word.lstrip("+").partition("=")[0] not in (FOLD, "resume")]
    return shlex.join([*words, f"{FOLD}=null"])


def swept(jobs: Sequence[Job]) -> list[str]:
    """The keys whose values differ between jobs, except seeds, in the order of the command line."""
    keys = dict.fromkeys(key for job in jobs for key in job.values if key not in _REPEATS)
    return [key for key in keys if len({job.values.get(key) for job in jobs}) > 1]


def fold(jobs: Sequence[Job], keys: Sequence[str]) -> list[Row]:
    """One row for all jobs with equal values, best mean first; rows that lack folds, or have no score, come last."""
    together: dict[tuple[str, ...], list[Job]] = {}
    for job in jobs:
        together.setdefault(tuple(job.values.get(key, "") for key in keys), []).append(job)
    rows = [_row(list(values), same) for values, same in together.items()]
    return sorted(rows, key=lambda row: (row.lacks_folds, _rank(row.mean)))


def cross_validated(jobs: Sequence[Job]) -> tuple[str, list[Job]]:
    """The best configuration of which several folds were scored: its overrides as text, and its scored runs.

    Args:
        jobs: the jobs of a sweep, those of folds pooled.

    Returns:
        An empty text and no jobs if there is none.
    """
    keys = swept(jobs)
    for row in fold(jobs, keys):
        if any(job.scored_folds > 1 for job in row.jobs):
            scored = [run for run in row.runs if run.miou is not None]
            return ", ".join(f"{key}={value}" for key, value in zip(keys, row.values, strict=True)), scored
    return "", []


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
    return f"{row.mean:.3f}{f' ± {row.sd:.3f}' if row.sd is not None else ''} ({row.counted})"


def _row(values: list[str], jobs: list[Job]) -> Row:
    used = [job for job in jobs if not job.lacks_folds and job.miou is not None] or jobs
    scores = [job.miou for job in used if job.miou is not None]
    names = next((job.classes for job in used if job.classes), {})
    classes = [_mean([job.classes.get(name) for job in used]) for name in names] if len(names) <= MOST_CLASSES else []
    sd = statistics.stdev(scores) if len(scores) > 1 else None
    return Row(values, _mean(scores), sd, len(scores), classes, jobs)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _job(note: Mapping[str, Any]) -> Job:
    run = Path(note["run"])
    record = read_result(run) or {}
    found: dict[str, Any] = next(iter((record.get("scores") or {}).values()), {})
    values = {key: value for key, _, value in (text.lstrip("+~").partition("=") for text in note["overrides"])}
    fold = values.pop(FOLD) if values.get(FOLD, "").isdecimal() else None
    page = run / "report.html"
    return Job(
        number=note["job"],
        values=values,
        set=note["set"] or "",
        miou=note["miou"],
        classes=found.get("scores", {}).get("iou", {}),
        command=record.get("command") or note.get("command", ""),
        page=f"{run.name}/report.html" if page.is_file() else "",
        photos=((record.get("data") or {}).get("photos") or {}).get("train", 0),
        floor=(found.get("floor") or {}).get("miou"),
        agreement=(found.get("agreement") or {}).get("miou"),
        state=note["state"],
        run=run,
        fold=None if fold is None else int(fold),
        folds=((record.get("config") or {}).get("data") or {}).get("folds", 0),
    )
