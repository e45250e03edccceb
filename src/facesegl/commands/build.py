"""Build all objects of a plan before a photo is read, so that constructors report errors early."""

from __future__ import annotations

import contextlib
import io
import pickle
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from omegaconf import DictConfig
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from facesegl.config.check import check
from facesegl.config.compose import Composed
from facesegl.config.instantiate import build
from facesegl.console import quiet
from facesegl.errors import ConfigError
from facesegl.learning.module import bind_schedule
from facesegl.nets.fcn import check_size, stride_of

if TYPE_CHECKING:
    from facesegl.data.datamodule import FaceDataModule

GIVEN = {"data": {"augment"}, "model": {"num_classes"}, "trainer": {"callbacks", "logger", "plugins"}}
"""Parameters that the code passes and no config sets, by the key of their node."""


class Parts(NamedTuple):
    """Data module, net and loss of a training; no photo has been read."""

    faces: FaceDataModule
    net: nn.Module
    loss: nn.Module


@quiet()
def build_parts(plan: DictConfig) -> Parts:
    """Build data, net and loss, and try to build all other objects of a plan.

    Raises:
        ConfigError: a constructor refuses its arguments, or a part does not fit the data or the net.
    """
    require_name(plan.name)
    faces: FaceDataModule = build(plan.data, augment=build(plan.augment))
    net, loss = build(plan.model, num_classes=faces.taxonomy.num_classes), build(plan.loss)
    if set_class_names := getattr(loss, "set_class_names", None):
        set_class_names(faces.taxonomy.names)
    check_size(faces.image_size, faces.image_size, stride_of(net), type(net).__name__)
    _require_an_end(plan.trainer)
    _require_sensible_callbacks(plan.callbacks or {}, faces)
    _try_optimizer(plan)
    for nodes in (plan.callbacks, plan.logger):
        build(nodes)
    build(plan.trainer, logger=False)
    return Parts(faces, net, loss)


def try_all(configs: Sequence[Composed]) -> None:
    """Build the parts of each config of a sweep and discard them.

    Raises:
        ConfigError: a constructor refuses its arguments; each message once.
    """
    problems: list[str] = []
    for config in configs:
        try:
            build_parts(check(config, given=GIVEN, again=True))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(*dict.fromkeys(problems))


def require_name(name: str) -> None:
    """Refuse a `name` that leads outside the folder of all runs."""
    if not re.fullmatch(r"[^/\\.][^/\\]*(/[^/\\.][^/\\]*)*", name):
        raise ConfigError(f"name={name!r}: expected the name of a folder below paths.runs, e.g. name=first-try.")


def _require_an_end(trainer: Mapping[str, Any]) -> None:
    epochs, steps = trainer.get("max_epochs"), trainer.get("max_steps", -1)
    if (epochs is None or epochs < 1) and steps < 1:
        raise ConfigError(f"trainer.max_epochs={epochs}: expected 1 or more, or +trainer.max_steps=NUMBER.")


def _require_sensible_callbacks(callbacks: Mapping[str, Any], faces: FaceDataModule) -> None:
    """Report errors that Lightning's callbacks would only report during training."""
    known = ["train/loss", "val/loss", "val/miou", *(f"val/iou/{name}" for name in faces.taxonomy.names)]
    problems = [
        f"callbacks.{name}.monitor={node['monitor']}: nothing of that name is logged; available: {', '.join(known)}."
        for name, node in callbacks.items()
        if node and node.get("monitor") not in (None, *known)
    ]
    problems += [
        f"callbacks.{name}.patience={node['patience']}: expected 0 or more."
        for name, node in callbacks.items()
        if node and node.get("patience", 0) < 0
    ]
    if problems:
        raise ConfigError(*problems)


def _try_optimizer(plan: DictConfig) -> None:
    """Take one step on a scalar: Lightning builds optimizer and schedule only when training starts."""
    weight = nn.Parameter(torch.zeros(1))
    weight.grad = torch.ones(1)
    with _refusing("optimizer", plan.optimizer):
        optimizer = build(plan.optimizer)([weight])
        optimizer.step()
        _require_plain_state(optimizer)
    if plan.schedule:
        with _refusing("schedule", plan.schedule):
            schedule, _interval = bind_schedule(build(plan.schedule), optimizer, total_steps=1000)
            optimizer.step()
            if isinstance(schedule, ReduceLROnPlateau):
                schedule.step(1.0)
            else:
                schedule.step()
            _require_plain_state(schedule)


def _require_plain_state(part: Any) -> None:
    file = io.BytesIO()
    torch.save(part.state_dict(), file)
    file.seek(0)
    try:
        torch.load(file, weights_only=True)
    except pickle.UnpicklingError:
        raise ConfigError(
            "its state holds more than tensors and plain values; no checkpoint could be read or resumed"
        ) from None


@contextlib.contextmanager
def _refusing(key: str, node: Mapping[str, Any]) -> Iterator[None]:
    values = ", ".join(f"{name}={value}" for name, value in node.items() if not name.startswith("_"))
    try:
        yield
    except (TypeError, ValueError, RuntimeError, OverflowError, ConfigError) as error:
        reason = " ".join(str(error).split()).removeprefix(f"{key}: ")
        raise ConfigError(f"{key}: {reason}; the values are {values}.") from error
