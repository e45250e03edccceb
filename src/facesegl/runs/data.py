"""The data that a model names: found again from its card, wherever the model's file lies now."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict

from facesegl.card import Card
from facesegl.config import EvaluateKeys, build, check, compose
from facesegl.data import FaceDataModule
from facesegl.errors import CheckpointError, ConfigError
from facesegl.runs.result import read_result

GIVEN = {"data": {"augment"}}
"""Parameters that no config gives to data that are only looked at."""

_OF_TRAINING = {"model", "loss", "optimizer", "schedule", "augment", "trainer", "callbacks", "logger"}


def open_faces(
    card: Card, model: Path, overrides: Sequence[str] = (), config_dirs: Sequence["str | Path"] = ()
) -> FaceDataModule:
    """Build and set up the data that a card names, or others that the overrides name.

    Args:
        card: a checked card.
        model: the file that it came from.
        overrides: keys and groups of conf/evaluate.yaml, such as `paths.data=FOLDER`.
        config_dirs: folders with a person's own groups.

    Raises:
        ConfigError: overrides that are wrong, or data of other classes.
        DataError: the data are not there, or are wrong.
    """
    config = config_to_evaluate(card, model, overrides, config_dirs)
    faces = build_faces(check(config, roots=EvaluateKeys, given=GIVEN), card)
    faces.setup("test")
    return faces


def build_faces(plan: DictConfig, card: Card) -> FaceDataModule:
    """Build the data of a plan, which have the classes of the card.

    Raises:
        ConfigError: they have others.
    """
    faces: FaceDataModule = build(plan.data)
    _require_same_classes(faces, card)
    return faces


def config_to_evaluate(
    card: Card, model: Path, overrides: Sequence[str], config_dirs: Sequence["str | Path"]
) -> DictConfig:
    """The config to evaluate with; data that the command line does not name are those of the card."""
    typed = [override.split("=", 1)[0].lstrip("+~") for override in overrides]
    chosen = [] if "data" in typed else [f"data={card['data']['choice']}"]
    if foreign := sorted({key.partition(".")[0] for key in typed} & _OF_TRAINING):
        raise ConfigError(*(f"{key}: evaluate takes everything about the net from the model." for key in foreign))
    config = compose([*chosen, *overrides], config_name="evaluate", config_dirs=config_dirs)
    with open_dict(config):
        if chosen:
            _take(config.data, card["data"]["values"], "data", typed, model)
        elif "data.image_size" not in typed and config.data is not None:
            config.data.image_size = card["image_size"]
        if config.paths.data is None:
            config.paths.data = _data_of_the_run_around(model) or "data"
    return config


def _take(node: DictConfig, values: Mapping[str, Any], key: str, typed: Sequence[str], model: Path) -> None:
    """Set what a card says of its data; neither where they lie, nor what the command line says.

    Names are those that the node has, never paths to others, and a taxonomy is taken as a whole.
    """
    for name, value in values.items():
        full = f"{key}.{name}"
        if any(one == full or (one.startswith(f"{full}.") and name == "taxonomy") for one in typed):
            continue
        if name not in node or (name == "taxonomy" and not isinstance(value, Mapping)):
            raise CheckpointError(f"{model}: its card says {full}, which these data do not have; it is not trusted.")
        inner = node._get_node(name)
        if isinstance(value, Mapping) and isinstance(inner, DictConfig) and name != "taxonomy":
            _take(inner, value, full, typed, model)
        elif "${paths." not in str(inner):
            node[name] = value


def _data_of_the_run_around(model: Path) -> str | None:
    """Where the run that made a model had its photos, if that run's folder is still around it."""
    before = read_result(model.resolve().parent.parent) or {}
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
