"""`facesegl evaluate`: score a model on the data it was trained on, or on other data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facesegl.commands.datasets import Opened, chooses_data, open_models, warn_of_other_data
from facesegl.config.identity import to_plain
from facesegl.data.hashes import digest
from facesegl.drawing.panel import draw_panel
from facesegl.errors import ConfigError
from facesegl.evaluation.score_files import worst_first, write_scores
from facesegl.evaluation.scoring import SetScores, save_counts, score, sets_to_score
from facesegl.files import replacing
from facesegl.prediction.members import member_files
from facesegl.prediction.predictor import Predictor
from facesegl.pretrained import is_pretrained
from facesegl.provenance import command_line
from facesegl.runs.result import Result, warn_of_unfinished
from facesegl.runs.run_folder import new_folder, recording
from facesegl.text import a_few

if TYPE_CHECKING:
    from facesegl.data.datamodule import FaceDataModule


def evaluate(
    models: Sequence[str | Path],
    overrides: Sequence[str] = (),
    config_dirs: Sequence[str | Path] = (),
    command: str | None = None,
) -> Result:
    """Score a model, or several as one ensemble: float32, native size, counts pooled over each set.

    Args:
        models: model files, or folders of runs or sweeps, also if they were moved.
        overrides: keys and groups of conf/evaluate.yaml, as on the command line: `set=val`, `data=fasseg_v1`.
        config_dirs: folders with custom config groups.
        command: the command line that repeats this; None for this process's command line.

    Raises:
        FaceseglError: any error; each subclass has an exit code.
    """
    files = [file for model in models for file in member_files(model)]
    if is_pretrained(files[0]) and not chooses_data(overrides):
        raise ConfigError(f"{files[0]}: it comes without photos; choose data to score it on: data=fasseg_v2.")
    opened = open_models(files, overrides, config_dirs)
    for file in files:
        warn_of_unfinished(file)
    _, plan, predictor, faces = opened
    faces.setup("test")
    sets = sets_to_score(plan.set, faces)
    if "val" in sets:
        _require_held_out(predictor, faces)
    for name in sets:
        faces.indices(name)  # an empty set is reported before there is a folder
    result = Result(
        folder=new_folder(plan),
        command=command or command_line(),
        config=to_plain(plan),
        identity=digest([to_plain(plan.data), faces.cache.fingerprint, sets]),
        data=_describe(opened),
        scored=[str(file) for file in files],
    )
    with recording(result):
        with result.phase("scoring"):
            scored = score(predictor, faces, sets)
        result.scores = {name: found.to_dict() for name, found in scored.items()}
        write_scores(result.folder, scored)
        save_counts(result.folder, scored, faces, result)
        _draw_worst(result.folder / "panels", predictor, faces, scored, plan.panels)
    return result


def _require_held_out(predictor: Predictor, faces: FaceDataModule) -> None:
    """Refuse photos as held out if a model was trained on them: the same data with other folds.

    Raises:
        ConfigError: one line per such model, with a remedy.
    """
    if faces.val.size and not faces.fold_of:  # the data come with a validation set
        return
    asked = {"fold": faces.fold, "folds": faces.folds, "fold_seed": faces.fold_seed}
    data = {model.name: model.card["data"] for model in predictor.models}
    here = {name: of for name, of in data.items() if of.get("fingerprint") == faces.cache.fingerprint}
    held_out = {name: {key: of["values"].get(key) for key in asked} for name, of in here.items()}
    if len({*map(_as_keys, held_out.values())}) > 1 and all(own["fold"] is not None for own in held_out.values()):
        each = a_few(f"{name} {_as_keys(own)}" for name, own in held_out.items())
        raise ConfigError(
            f"set=val: no photo is held out by all models of this ensemble, which are of different folds ({each}). "
            f"Score each model alone, or set=test."
        )
    problems = []
    for name, own in held_out.items():
        if own == asked and faces.val.size:
            continue
        if own["fold"] is None:
            fact = "all training photos (data.fold=null); score set=test."
        else:
            remedy = "Score each model alone, without these keys, or set=test."
            fact = f"photos that {_as_keys(asked)} holds out; expected {_as_keys(own)}. {remedy}"
        problems.append(f"{name}: set=val: it was trained on {fact}")
    if problems:
        raise ConfigError(*problems)


def _as_keys(values: Mapping[str, Any]) -> str:
    return " ".join(f"data.{key}={value}" for key, value in values.items())


def _describe(opened: Opened) -> dict[str, Any]:
    card, plan, _, faces = opened
    return {
        "choice": plan.choices.data,
        **faces.summary(),
        "trained_on": {name: card["data"].get(name) for name in ("name", "fingerprint")},
        "other_data": warn_of_other_data(card, faces),
    }


def _draw_worst(
    folder: Path, predictor: Predictor, faces: FaceDataModule, scored: Mapping[str, SetScores], count: int
) -> None:
    """Write `worst.png` with the photos of lowest mIoU of all scored sets, worst first."""
    every = {photo: scores.miou for found in scored.values() for photo, scores in found.photos.items()}
    scores = {photo: score for photo, score in every.items() if not math.isnan(score)}
    worst = worst_first(scores)[:count]
    if not worst:
        return
    indices = {row.id: index for index, row in enumerate(faces.cache.rows)}
    photos, truths = zip(*(faces.native(indices[photo]) for photo in worst), strict=True)
    panel = draw_panel(
        photos,
        truths,
        [predictor(photo).index for photo in photos],
        faces.taxonomy,
        [f"{photo}  mIoU {scores[photo]:.3f}" for photo in worst],
        title=f"the {len(worst)} worst of {len(scores)} photos",
    )
    with replacing(folder / "worst.png") as part:
        panel.save(part, format="PNG")
