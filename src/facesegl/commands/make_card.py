"""The card of a model in training: what its weights will be, as plain data that can travel."""

import shlex
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from facesegl.card import FORMAT, Card
from facesegl.config.identity import to_plain
from facesegl.config.signatures import path_keys
from facesegl.data.datamodule import FaceDataModule
from facesegl.files import readable
from facesegl.provenance import versions

A_PATH = "(a path)"
"""What a card says instead of where something lies."""


def make_card(config: DictConfig, plan: DictConfig, faces: FaceDataModule, *, parameters: int, command: str) -> Card:
    """Describe the weights that a run will make.

    It holds no absolute path and one `_target_`, the net's. The config stands in it as text, to be read by people.

    Args:
        config: as composed, with its interpolations.
        plan: the same, checked and resolved.
        faces: set up.
        parameters: how many numbers the net learns.
        command: what repeats the run.
    """
    return {
        "format": FORMAT,
        "net": {**to_plain(plan.model), "num_classes": faces.taxonomy.num_classes},
        "taxonomy": faces.taxonomy.to_mapping(),
        "normalisation": faces.normalisation(),
        "image_size": faces.image_size,
        "data": {
            "choice": str(config.choices.data),
            "name": faces.source.name,
            "fingerprint": faces.cache.fingerprint,
            "values": _travelling(to_plain(plan.data), OmegaConf.to_container(config.data)),
        },
        "config": yaml.safe_dump(_without_paths(OmegaConf.to_container(config)), sort_keys=False),
        "versions": versions(),
        "parameters": parameters,
        "command": readable(shlex.join(_without_place(word) for word in shlex.split(command))),
    }


def _travelling(plan: Mapping[str, Any], written: Any) -> dict[str, Any]:
    """What a data node says beside what is built and where things lie: `fold`, `seed`, `source.version`, ..."""
    kept: dict[str, Any] = {}
    places = path_keys(plan)
    for key, value in plan.items():
        as_written = written.get(key) if isinstance(written, Mapping) else None
        if key in places and "${paths." not in str(as_written):
            kept[key] = _hidden(value)
        elif isinstance(value, Mapping):
            kept[key] = _travelling(value, as_written)
        elif key != "_target_" and not _names_a_place(value) and "${paths." not in str(as_written):
            kept[key] = value
    return kept


def _hidden(place: Any) -> Any:
    """Whether something lies somewhere, without the place."""
    if isinstance(place, Mapping):
        return {key: _hidden(inner) for key, inner in place.items()}
    return None if place is None else A_PATH


def _without_paths(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_paths(inner) for key, inner in value.items()}
    return A_PATH if _names_a_place(value) else value


def _without_place(word: str) -> str:
    """A word of a command without the folder that it may name: `paths.data=/home/me/photos`."""
    key, equals, value = word.rpartition("=")
    return f"{key}{equals}{A_PATH}" if _names_a_place(value) else word


def _names_a_place(value: Any) -> bool:
    return isinstance(value, str) and PurePath(value).is_absolute()
