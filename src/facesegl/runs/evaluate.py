"""Score a checkpoint on the data that it names, or on others."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, open_dict

from facesegl.config import EvaluateKeys, build, check, compose, resolve_accelerator, to_plain
from facesegl.data import FaceDataModule, digest
from facesegl.errors import CheckpointError, ConfigError
from facesegl.learning import Card, SegmentationModule, read_checkpoint
from facesegl.runs.folder import make_folder, recording
from facesegl.runs.panels import draw_worst
from facesegl.runs.parts import require_name
from facesegl.runs.result import Result, command_line, read_result
from facesegl.runs.scoring import score, sets_to_score
from facesegl.runs.tables import write_scores

log = logging.getLogger(__name__)

GIVEN = {"data": {"augment"}}
_OF_TRAINING = {"model", "loss", "optimizer", "schedule", "augment", "trainer", "callbacks", "logger"}


def evaluate(
    checkpoint: "str | Path", overrides: Sequence[str] = (), config_dirs: Sequence["str | Path"] = ()
) -> Result:
    """Score a checkpoint file: float32, native size, counts pooled over each set.

    Args:
        checkpoint: the file; it may have been moved anywhere.
        overrides: keys and groups of conf/evaluate.yaml, as on the command line: `set=val`, `data=fasseg_v1`.
        config_dirs: folders with a person's own groups.

    Raises:
        FaceseglError: whatever ends it; each class is an exit code.
    """
    checkpoint = Path(checkpoint)
    card: Card = read_checkpoint(checkpoint)["hyper_parameters"]
    config = _config(card, checkpoint, overrides, config_dirs)
    plan = check(config, roots=EvaluateKeys, given=GIVEN)
    require_name(plan.name)
    module = SegmentationModule.load_from_checkpoint(checkpoint, _device(plan.device), trust=plan.trust)
    faces: FaceDataModule = build(plan.data)
    _require_same_classes(faces, card)
    faces.setup("test")
    sets = sets_to_score(plan.set, faces)
    for name in sets:
        faces.places(name)  # an empty set is told before there is a folder
    result = Result(
        folder=make_folder(Path(plan.paths.runs) / plan.name),
        command=command_line(),
        config=to_plain(plan),
        identity=digest([to_plain(plan.data), faces.cache.fingerprint, sets]),
        data=_describe(card, config, faces),
        scored=str(checkpoint),
    )
    with recording(result):
        with result.phase("scoring"):
            scored = score(module, faces, sets)
        result.scores = {name: found.to_dict() for name, found in scored.items()}
        write_scores(result.folder, scored)
        draw_worst(result.folder / "panels", module, faces, scored, plan.panels)
    return result


def _config(card: Card, checkpoint: Path, overrides: Sequence[str], config_dirs: Sequence["str | Path"]) -> DictConfig:
    """The config to evaluate with; data that the command line does not name are those of the card."""
    typed = [override.split("=", 1)[0].lstrip("+~") for override in overrides]
    chosen = [] if "data" in typed else [f"data={card['data']['choice']}"]
    if foreign := sorted({key.partition(".")[0] for key in typed} & _OF_TRAINING):
        raise ConfigError(*(f"{key}: evaluate takes everything about the net from the checkpoint." for key in foreign))
    config = compose([*chosen, *overrides], config_name="evaluate", config_dirs=config_dirs)
    with open_dict(config):
        if chosen:
            _take(config.data, card["data"]["values"], "data", typed, checkpoint)
        elif "data.image_size" not in typed and config.data is not None:
            config.data.image_size = card["image_size"]
        if config.paths.data is None:
            config.paths.data = _data_of_the_run_around(checkpoint) or "data"
    return config


def _take(node: DictConfig, values: Mapping[str, Any], key: str, typed: Sequence[str], checkpoint: Path) -> None:
    """Set what a card says of its data; neither where they lie, nor what the command line says.

    Names are those that the node has, never paths to others, and a taxonomy is taken as a whole.
    """
    for name, value in values.items():
        full = f"{key}.{name}"
        if any(one == full or (one.startswith(f"{full}.") and name == "taxonomy") for one in typed):
            continue
        if name not in node or (name == "taxonomy" and not isinstance(value, Mapping)):
            raise CheckpointError(
                f"{checkpoint}: its card says {full}, which these data do not have; it is not trusted."
            )
        inner = node._get_node(name)
        if isinstance(value, Mapping) and isinstance(inner, DictConfig) and name != "taxonomy":
            _take(inner, value, full, typed, checkpoint)
        elif "${paths." not in str(inner):
            node[name] = value


def _device(name: str) -> str:
    """The device to score on.

    Raises:
        ConfigError: torch knows no such device.
        MachineError: it is not there.
    """
    device = resolve_accelerator(name, "device")
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device={name}: {str(error).splitlines()[0]}; expected auto, cpu, cuda or mps.") from None
    return device


def _data_of_the_run_around(checkpoint: Path) -> str | None:
    """Where the run that made a checkpoint had its photos, if that run's folder is still around it."""
    before = read_result(checkpoint.resolve().parent.parent) or {}
    try:
        return str(Path(before["started_in"]) / before["config"]["paths"]["data"])
    except (KeyError, TypeError):
        return None


def _require_same_classes(faces: FaceDataModule, card: Card) -> None:
    ours, theirs = list(faces.taxonomy.names), list(card["taxonomy"]["classes"])
    if ours != theirs:
        raise ConfigError(
            f"data: these have the classes {', '.join(ours)}; the checkpoint learnt {', '.join(theirs)}. Score it on "
            f"data of its own classes."
        )


def _describe(card: Card, config: DictConfig, faces: FaceDataModule) -> dict[str, Any]:
    trained_on = {name: card["data"].get(name) for name in ("name", "fingerprint")}
    other = trained_on["fingerprint"] != faces.cache.fingerprint
    if other:
        log.warning(
            "these are other data than it was trained on: %s (%s) and not %s (%s)",
            faces.source.name,
            faces.cache.fingerprint,
            trained_on["name"],
            trained_on["fingerprint"],
        )
    return {
        "choice": config.choices.data,
        **faces.summary(),
        "trained_on": trained_on,
        "other_data": other,
    }
