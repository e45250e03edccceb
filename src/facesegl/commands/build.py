"""Build all objects of a plan before a photo is read, so that constructors report errors early."""

from __future__ import annotations

import contextlib
import copy
import io
import os
import pickle
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.accelerators import CPUAccelerator
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from facesegl.config.check import check
from facesegl.config.instantiate import build
from facesegl.console import quiet, silent
from facesegl.errors import ConfigError, FaceseglError, is_out_of_memory
from facesegl.learning.module import bind_schedule
from facesegl.nets.fcn import check_size, stride_of
from facesegl.text import number
from facesegl.user_modules import require_packages_exist

if TYPE_CHECKING:
    from facesegl.config.compose import Composed
    from facesegl.data.datamodule import FaceDataModule

GIVEN = {"data": {"augment"}, "model": {"num_classes"}, "trainer": {"callbacks", "logger", "plugins"}}
"""Parameters that the code passes and no config sets, by the key of their node."""


class Parts(NamedTuple):
    """Data module, net and loss of a training, and a Trainer to read its settings from; no photo has been read."""

    faces: FaceDataModule
    net: nn.Module
    loss: nn.Module
    trainer: pl.Trainer


def build_parts(plan: DictConfig) -> Parts:
    """Build data, net and loss, and try to build all other objects of a plan.

    Raises:
        ConfigError: a constructor refuses its arguments, or a part does not fit the data or the net; all problems.
    """
    parts, problems = _try_parts(plan)
    if problems:
        raise ConfigError(*problems)
    return Parts(*parts)


def problems_of_parts(plan: DictConfig) -> list[str]:
    """The problems of `build_parts`; a plan may lack nodes, which are then not built."""
    with silent():
        return _try_parts(plan)[1]


@quiet()
def _try_parts(plan: DictConfig) -> tuple[tuple[Any, ...], list[str]]:
    problems: list[str] = []

    def attempt(make: Callable[..., Any], *given: Any, **named: Any) -> Any:
        try:
            return make(*given, **named)
        except ConfigError as error:
            problems.extend(error.problems)

    attempt(require_name, plan.get("name", "unnamed"))
    attempt(require_packages_exist, plan.get("trust") or ())
    faces = attempt(build, plan.get("data"), augment=attempt(build, plan.get("augment")))
    # any number of classes shows what is wrong with the net
    net = attempt(build, plan.get("model"), num_classes=faces.taxonomy.num_classes if faces else 2)
    loss = attempt(build, plan.get("loss"))
    if faces and (set_class_names := getattr(loss, "set_class_names", None)):
        attempt(set_class_names, faces.taxonomy.names)
    if faces and net:
        attempt(check_size, faces.image_size, faces.image_size, stride_of(net), type(net).__name__)
    attempt(_require_sensible_callbacks, plan.get("callbacks") or {}, faces)
    if plan.get("optimizer"):
        attempt(_try_optimizer, plan)
    callbacks = attempt(build, plan.get("callbacks"))
    attempt(_require_loggers, plan.get("logger") or {})
    trainer = attempt(_trainer, plan.get("trainer") or {}, [*(callbacks or {}).values()])
    return (faces, net, loss, trainer), problems


def _require_loggers(nodes: Mapping[str, Any]) -> None:
    """Build loggers, except MLflow's, which would open its database."""
    for name, node in nodes.items():
        if node and not node["_target_"].endswith(".MLFlowLogger"):
            build(node)
        elif node and not find_spec("mlflow"):
            raise ConfigError(f"logger.{name}: mlflow is not installed; pip install 'facesegl[mlflow]'")


def require_folds(composed: Composed) -> None:
    """Refuse to cross-validate on data that cannot be divided into folds.

    Raises:
        ConfigError: the data have their own validation photos, on which every fold would be validated.
        DataError: the data cannot be read, or show fewer persons than folds.
    """
    faces = build(check(composed, given=GIVEN, again=True).data, augment=None)
    faces.setup()
    if not faces.fold_of:
        raise ConfigError(
            f"data.fold=all: {faces.source.title} has its own {number(len(faces.val), 'validation photo')}, on which "
            f"every fold would be validated. Leave data.fold=all out."
        )


def require_batches(parts: Parts) -> None:
    """Check what depends on the number of batches; the data module is set up.

    Raises:
        ConfigError: limits that leave no batch, or a last batch of one photo that the net cannot be trained on.
    """
    faces, trainer = parts.faces, parts.trainer
    loader = faces.train_dataloader()
    counts = {"train": len(loader), "val": len(faces.val_dataloader())}
    batches = {name: -(-count // trainer.world_size) for name, count in counts.items()}
    problems = {}
    cores = os.cpu_count() or 1
    if isinstance(trainer.accelerator, CPUAccelerator) and trainer.num_devices > max(cores, 2):
        problems["devices"] = (
            f"trainer.devices={trainer.num_devices}: on a CPU each is a process, and this machine has "
            f"{number(cores, 'core')}; expected that or less."
        )
    for name, count in batches.items():
        limit = getattr(trainer, f"limit_{name}_batches")
        batches[name] = min(int(limit * count) if isinstance(limit, float) else limit, count)
        if count and limit and not batches[name]:
            given = "overfit_batches" if getattr(trainer, "overfit_batches", 0) else f"limit_{name}_batches"
            problems[given] = (
                f"trainer.{given}={limit}: it leaves none of {number(count, 'batch', 'batches')} per epoch; expected a "
                f"share of {1 / count:.2g} or more, or a number of batches."
            )
    every = getattr(trainer, "val_check_interval", None)  # None: a time, not batches
    if trainer.check_val_every_n_epoch and isinstance(every, int) and every > batches["train"] and batches["val"]:
        problems["val_check_interval"] = (
            f"trainer.val_check_interval={every}: there are {number(batches['train'], 'batch', 'batches')} per epoch; "
            f"expected that or less, or trainer.check_val_every_n_epoch=null to count over epochs."
        )
    if problems:
        raise ConfigError(*problems.values())
    if loader.order.smallest_batch() == 1:
        _require_trainable_by_one(parts)


def _require_trainable_by_one(parts: Parts) -> None:
    """Batch norm needs two values per channel: one photo has them if its smallest features are not 1x1."""
    size = parts.faces.image_size
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            copy.deepcopy(parts.net).train()(torch.zeros(1, 3, size, size))
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise ConfigError(
                f"data.batch_size={parts.faces.batch_size}: it leaves one photo for the last batch, and "
                f"{type(parts.net).__name__} cannot be trained on one photo of {size}x{size} (batch norm); choose "
                f"another data.batch_size, a larger data.image_size, or a smaller net."
            ) from error


@contextlib.contextmanager
def lightning_refusals() -> Iterator[None]:
    """Wrap `trainer.fit`: what Lightning refuses is the user's error; exceptions of other code stay what they are.

    Raises:
        ConfigError: a `raise` statement of Lightning raised an exception, or one of its callbacks that no config file
            of facesegl uses failed.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, FaceseglError | OSError) or is_out_of_memory(error):
            raise
        if callback := _foreign_callback(error.__traceback__):
            cause = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise ConfigError(f"callbacks: {callback} does not fit this training ({cause}); leave it out.") from error
        innermost = traceback.extract_tb(error.__traceback__)[-1]
        by_lightning = {"pytorch_lightning", "lightning_fabric"} & {*Path(innermost.filename).parts}
        if not by_lightning or not (innermost.line or "").startswith("raise "):
            raise
        raise ConfigError(f"trainer: Lightning refuses this: {' '.join(str(error).split())}") from error


_USED_CALLBACKS = {"early_stopping", "lr_monitor", "model_checkpoint"}


def _foreign_callback(trace: TracebackType | None) -> str | None:
    """The class of a callback of Lightning's that facesegl does not use, in which Lightning or torch failed."""
    frames = [frame for frame, _ in traceback.walk_tb(trace)]
    if frames[-1].f_globals.get("__name__", "").partition(".")[0] not in ("torch", "pytorch_lightning"):
        return None
    for owner in (type(frame.f_locals.get("self")) for frame in frames):
        package, _, module = owner.__module__.rpartition(".")
        if package == "pytorch_lightning.callbacks" and module not in _USED_CALLBACKS:
            return owner.__name__
    return None


def require_name(name: str) -> None:
    """Refuse a `name` that leads outside the folder of all runs."""
    if not re.fullmatch(r"[^/\\.][^/\\]*(/[^/\\.][^/\\]*)*", name):
        raise ConfigError(f"name={name!r}: expected the name of a folder below paths.runs, e.g. name=first-try.")


def _trainer(node: Mapping[str, Any], callbacks: list[pl.Callback]) -> pl.Trainer | None:
    """Build the Trainer; refuses what Lightning accepts, but what trains nothing or divides by zero later."""
    if not node:
        return None
    epochs, steps = node.get("max_epochs"), node.get("max_steps", -1)
    problems = []
    if steps == 0:
        problems.append("trainer.max_steps=0: expected 1 or more, or -1 for no limit.")
    elif (epochs is None or epochs < 1) and steps < 1:
        problems.append(f"trainer.max_epochs={epochs}: expected 1 or more, or +trainer.max_steps=NUMBER.")
    for name in ("limit_train_batches", "accumulate_grad_batches", "check_val_every_n_epoch", "val_check_interval"):
        if isinstance(value := node.get(name), int | float) and value <= 0:
            problems.append(f"trainer.{name}={value}: expected more than 0.")
    if problems:
        raise ConfigError(*problems)
    trainer: pl.Trainer = build(node, logger=False, callbacks=callbacks)
    return trainer


def _require_sensible_callbacks(callbacks: Mapping[str, Any], faces: FaceDataModule | None) -> None:
    """Report errors that Lightning's callbacks would only report during training."""
    names = faces.taxonomy.names if faces else ()
    known = ["train/loss", "val/loss", "val/miou", *(f"val/iou/{name}" for name in names)]
    problems = [
        f"callbacks.{name}.monitor={node['monitor']}: nothing of that name is logged; available: {', '.join(known)}."
        for name, node in callbacks.items()
        if node and (faces or "val/iou/" not in str(node.get("monitor"))) and node.get("monitor") not in (None, *known)
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
    if plan.get("schedule"):
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
