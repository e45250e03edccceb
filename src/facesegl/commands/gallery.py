"""The best and the worst photos of a scored run, predicted again from its model's file."""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from facesegl.commands.datasets import open_models
from facesegl.errors import CheckpointError, ConfigError, FaceseglError
from facesegl.evaluation.counts_file import read_counts
from facesegl.evaluation.scoring import worst_first
from facesegl.reporting.images import Shown, show
from facesegl.reporting.run_page import Gallery
from facesegl.scores.counts import miou

log = logging.getLogger(__name__)

WORST, BEST = 6, 3
"""How many photos are shown."""


def gallery(
    folder: Path, record: Mapping[str, Any], overrides: Sequence[str], config_dirs: Sequence["str | Path"]
) -> Gallery:
    """Show some photos of the headline set; where that cannot be done the note says why.

    Args:
        folder: the run's folder.
        record: its result.json.
        overrides: keys of conf/evaluate.yaml, such as `paths.data=FOLDER`.
        config_dirs: folders with a person's own groups.
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
    scores = _scores(folder)
    place_of = {row.id: place for place, row in enumerate(faces.cache.rows)}
    if missing := [name for name in scores if name not in place_of]:
        raise CheckpointError(f"{folder}: {missing[0]} was scored and is not in these data; name them with data=NAME.")
    order = worst_first(scores)
    worst, best = order[:WORST], order[WORST:][::-1][:BEST]

    def shown(name: str) -> Shown:
        photo, truth = faces.native(place_of[name])
        return show(name, scores[name], photo, truth, predictor(photo).index, faces.taxonomy)

    chosen = f"The {len(worst)} worst and {len(best)} best of {len(order)}" if best else f"All {len(order)}"
    note = f"{chosen} photos, by their own mIoU."
    return Gallery([shown(name) for name in worst], [shown(name) for name in best], note)


def model_files(folder: Path, record: Mapping[str, Any]) -> list[Path]:
    """The files that a run was scored with, wherever it was started; its own checkpoint if they have moved.

    Raises:
        CheckpointError: they are nowhere to be found.
    """
    own = folder / "checkpoints" / "last.ckpt"
    if own.is_file():  # whatever lies now where the run was when it was scored
        return [own]
    scored = record.get("scored") or []
    named = [Path(name) for name in ([scored] if isinstance(scored, str) else scored)]
    there = [file for file in (Path(str(record.get("started_in") or ".")) / name for name in named) if file.is_file()]
    if named and len(there) == len(named):
        return there
    raise CheckpointError(f"{folder}: the model that was scored is no longer there ({', '.join(map(str, named))}).")


def _scores(folder: Path) -> dict[str, float]:
    """The mIoU of each photo of the headline set that has one: a photo of nothing but void has none."""
    counts = read_counts(folder)
    headline = next(iter(counts.sets), None)
    place_of = {photo: place for place, photo in enumerate(counts.photos)}
    values = miou(torch.from_numpy(counts.counts)).tolist()
    every = {photo: values[place_of[photo]] for photo in (counts.sets[headline] if headline else [])}
    return {photo: score for photo, score in every.items() if not math.isnan(score)}
