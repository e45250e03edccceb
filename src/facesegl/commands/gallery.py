"""The best and the worst photos of a scored run, predicted again with its model."""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from facesegl.commands.datasets import open_models
from facesegl.errors import CheckpointError, ConfigError, DataError, FaceseglError
from facesegl.evaluation.counts_file import read_counts
from facesegl.evaluation.score_files import worst_first
from facesegl.pretrained import is_pretrained, on_disk
from facesegl.reporting.pictures import Shown, show
from facesegl.reporting.run_page import Gallery
from facesegl.scores.counts import miou

log = logging.getLogger(__name__)

WORST, BEST = 6, 3
"""How many photos are shown."""


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
    _, _, predictor, faces = open_models(model_files(folder, record), overrides, config_dirs, tta=tta)
    source, taxonomy, scores = faces.source, faces.taxonomy, _scores(folder)
    if not source.on_disk():
        raise DataError(f"{folder}: the synthetic faces that were scored are not on disk; evaluate renders them.")
    samples = {sample.id: sample for sample in source.samples()}
    if missing := [name for name in scores if name not in samples]:
        raise CheckpointError(
            f"{folder}: {missing[0]} was scored but is not in these data; choose its data with data=NAME."
        )
    order = worst_first(scores)
    worst, best = order[:WORST], order[WORST:][::-1][:BEST]

    def shown(name: str) -> Shown:
        photo, truth = source.read(samples[name], taxonomy)
        return show(name, scores[name], photo, truth.mask, predictor(photo).index, taxonomy)

    chosen = f"The {len(worst)} worst and {len(best)} best of {len(order)}" if best else f"All {len(order)}"
    return Gallery(list(map(shown, worst)), list(map(shown, best)), f"{chosen} photos, by their own mIoU.")


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
