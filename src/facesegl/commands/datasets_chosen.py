"""The data that a command line chooses, for the verbs that look at data and train nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import open_dict

from facesegl.commands.datasets import GIVEN
from facesegl.config.check import check
from facesegl.config.compose import Composed
from facesegl.config.instantiate import build
from facesegl.config.schema import Node, PathText, Seed
from facesegl.data.datamodule import FaceDataModule
from facesegl.errors import ConfigError

_LEFT = ("name", "resume", "init", "trust", "model", "loss", "optimizer", "schedule", "trainer", "callbacks", "logger")


@dataclass(frozen=True)
class _DataPaths:
    data: PathText
    cache: PathText


@dataclass(frozen=True)
class _DataKeys:
    """What data need of the root of `conf/train.yaml`."""

    seed: Seed
    paths: _DataPaths
    data: Node
    augment: Node | None = None
    choices: dict[str, Any] | None = None


def choose_data(overrides: Sequence[str], config_dirs: Sequence["str | Path"] = (), *, verb: str) -> FaceDataModule:
    """Build the data that overrides choose, as training would have them; no photo is read.

    Args:
        overrides: keys and groups of conf/train.yaml that are about data: `data=synthetic`, `paths.data=FOLDER`.
        config_dirs: folders with a person's own groups.
        verb: how the command is called, for messages.

    Raises:
        ConfigError: what is wrong with them, all told at once.
    """
    if foreign := [text for text in overrides if text.lstrip("+~").partition("=")[0].partition(".")[0] in _LEFT]:
        raise ConfigError(*(f"{text}: {verb} looks at the data alone; leave it out." for text in foreign))
    composed = Composed.of(overrides, config_dirs=config_dirs)
    config = composed.config
    with open_dict(config):
        for name in _LEFT:
            config.pop(name, None)
        for name in ("runs", "run"):  # nothing is written there
            config.paths.pop(name, None)
    plan = check(composed, roots=_DataKeys, given=GIVEN)
    faces: FaceDataModule = build(plan.data, augment=build(plan.augment))
    return faces
