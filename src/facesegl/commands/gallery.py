"""Photos for a page, predicted again: the best and the worst of a run, and the suspects of a cross-validation."""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from facesegl.commands.datasets import open_models
from facesegl.errors import CheckpointError, ConfigError, DataError, FaceseglError
from facesegl.evaluation.counts_file import SavedCounts, read_counts
from facesegl.evaluation.cross_validation import pool_folds, pool_trials
from facesegl.evaluation.score_files import worst_first
from facesegl.evaluation.suspects import HELD_OUT, Suspect, rank_suspects
from facesegl.files import write_csv
from facesegl.pretrained import is_pretrained, on_disk
from facesegl.reporting.pictures import Shown, show
from facesegl.reporting.run_page import Gallery
from facesegl.reporting.sweep_page import Suspects
from facesegl.runs.sweep_jobs import cross_validated, read_jobs
from facesegl.scores.counts import miou

log = logging.getLogger(__name__)

WORST, BEST, SUSPECTS = 6, 3, 8
"""How many photos are shown."""

LISTED = 20
"""How many suspects the page lists; suspects.csv has all photos."""

CSV = "suspects.csv"


def gallery(
    folder: Path, record: Mapping[str, Any], overrides: Sequence[str], config_dirs: Sequence["str | Path"]
) -> Gallery:
    """Show some photos of the headline set; if that is not possible, the note says why.

    Args:
        folder: the run's folder.
        record: its result.json.
        overrides: keys of conf/evaluate.yaml, e.g. `paths.data=FOLDER`.
        config_dirs: folders with custom config groups.
    """
    try:
        return _gallery(folder, record, overrides, config_dirs)
    except FaceseglError as error:
        if overrides and isinstance(error, ConfigError):
            raise
        log.warning("no photos in the report: %s", error.problems[0])
        return Gallery([], [], f"No photos are shown: {error.problems[0]}")


def _gallery(
    folder: Path, record: Mapping[str, Any], overrides: Sequence[str], config_dirs: Sequence["str | Path"]
) -> Gallery:
    tta = bool((record.get("config") or {}).get("tta"))
    scores, files = _scores(folder), model_files(folder, record)
    order = worst_first(scores)
    worst, best = order[:WORST], order[WORST:][::-1][:BEST]
    shown = _pictures(folder, files, scores, [*worst, *best], overrides, config_dirs, tta=tta)
    chosen = f"The {len(worst)} worst and {len(best)} best of {len(order)}" if best else f"All {len(order)}"
    return Gallery(shown[: len(worst)], shown[len(worst) :], f"{chosen} photos, by their own mIoU.")


def _pictures(
    folder: Path,
    files: Sequence[Path],
    scores: Mapping[str, float],
    photos: Sequence[str],
    overrides: Sequence[str],
    config_dirs: Sequence["str | Path"],
    *,
    tta: bool = False,
) -> list[Shown]:
    """Show some of the scored photos of a run, with the predictions of one model or an ensemble."""
    _, _, predictor, faces = open_models(files, overrides, config_dirs, tta=tta)
    source, taxonomy = faces.source, faces.taxonomy
    if not source.on_disk():
        raise DataError(f"{folder}: the synthetic faces that were scored are not on disk; evaluate renders them.")
    samples = {sample.id: sample for sample in source.samples()}
    if missing := [name for name in scores if name not in samples]:
        raise CheckpointError(
            f"{folder}: {missing[0]} was scored but is not in these data; choose its data with data=NAME."
        )

    def shown(name: str) -> Shown:
        photo, truth = source.read(samples[name], taxonomy)
        return show(name, scores[name], photo, truth.mask, predictor(photo).index, taxonomy)

    return list(map(shown, photos))


def find_suspects(
    folder: Path, overrides: Sequence[str] = (), config_dirs: Sequence["str | Path"] = ()
) -> Suspects | None:
    """Rank the photos of a cross-validated sweep by how suspect their masks are, and write them to suspects.csv.

    Args:
        folder: the folder of the sweep.
        overrides: keys of conf/evaluate.yaml, e.g. `paths.data=FOLDER`.
        config_dirs: folders with custom config groups.

    Returns:
        The most suspect photos, with pictures if photos and models are there; None if the sweep has no folds.
    """
    configuration, jobs = cross_validated(pool_folds(pool_trials(read_jobs(folder))))
    counts: dict[Path, SavedCounts] = {}
    for run in (job.run for job in jobs):
        try:
            counts[run] = read_counts(run)
        except CheckpointError as error:
            log.warning("%s", error)
    ranked = rank_suspects([*counts.values()])
    if not ranked:
        return None
    head = ["photo", "disagreement", "miou", "class", "iou", "fact", "models"]
    write_csv(folder / CSV, head, ranked)
    listed = [one for one in ranked[:LISTED] if one.disagreement > 0]
    worst = listed[:SUSPECTS]
    try:
        pictures, note = _out_of_fold(counts, worst, overrides, config_dirs), ""
    except FaceseglError as error:
        if overrides and isinstance(error, ConfigError):
            raise
        log.warning("no pictures of the suspects in the report: %s", error.problems[0])
        pictures, note = {}, f"No pictures are shown: {error.problems[0]}"
    return Suspects(listed, len(ranked), configuration, len(counts), pictures, note)


def _out_of_fold(
    counts: Mapping[Path, SavedCounts],
    suspects: Sequence[Suspect],
    overrides: Sequence[str],
    config_dirs: Sequence["str | Path"],
) -> dict[str, Shown]:
    """The pictures of photos by id, each predicted by all models that were not trained on it."""
    scores = {one.photo: one.miou for one in suspects}
    together: dict[tuple[Path, ...], list[str]] = {}
    for photo in scores:
        runs = tuple(run for run, saved in counts.items() if photo in saved.sets.get(HELD_OUT, ()))
        together.setdefault(runs, []).append(photo)
    pictures: dict[str, Shown] = {}
    for runs, photos in together.items():
        files = [file for run in runs for file in model_files(run, {})]
        of_fold = {photo: scores[photo] for photo in photos}
        shown = _pictures(runs[0], files, of_fold, photos, overrides, config_dirs)
        pictures |= dict(zip(photos, shown, strict=True))
    return pictures


def model_files(folder: Path, record: Mapping[str, Any]) -> list[Path]:
    """The model files of a scored run: its own checkpoint if it has one, else the recorded files.

    Raises:
        CheckpointError: they no longer exist.
    """
    own = folder / "checkpoints" / "last.ckpt"
    if own.is_file():  # even if another file is now at the recorded path
        return [own]
    scored = record.get("scored") or []
    named = [Path(name) for name in ([scored] if isinstance(scored, str) else scored)]
    start = Path(str(record.get("started_in") or "."))
    files = [name if is_pretrained(name) else start / name for name in named]
    there = [file for file in files if on_disk(file).is_file()]
    if named and len(there) == len(named):
        return there
    raise CheckpointError(f"{folder}: the model that was scored no longer exists ({', '.join(map(str, named))}).")


def _scores(folder: Path) -> dict[str, float]:
    """The mIoU of each photo of the headline set; an all-void photo has none."""
    counts = read_counts(folder)
    values = dict(zip(counts.photos, miou(torch.from_numpy(counts.counts)).tolist(), strict=True))
    headline = next(iter(counts.sets.values()), [])
    return {photo: values[photo] for photo in headline if not math.isnan(values[photo])}
