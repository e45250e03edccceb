"""What loggers get besides curves: the config, the final scores and pictures. No logger can fail a training."""

import contextlib
import functools
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pytorch_lightning.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from facesegl.config.instantiate import build
from facesegl.drawing.confusion import draw_confusion
from facesegl.errors import ConfigError, FaceseglError
from facesegl.files import write_json
from facesegl.scores.summary import Scores

_log = logging.getLogger("facesegl")

_RUN_ID = {"WandbLogger": "id", "MLFlowLogger": "run_id"}  # the argument that continues a run
_QUIET = {"WANDB_SILENT": "true", "WANDB_CONSOLE": "off", "MLFLOW_LOGGING_LEVEL": "WARNING"}
_SQLITE = "sqlite:///"
_METHODS = ("log_metrics", "log_hyperparams", "log_image", "save", "finalize", "after_save_checkpoint")


@contextlib.contextmanager
def open_loggers(nodes: Mapping[str, Any], folder: Path, params: Mapping[str, Any]) -> Iterator[list[Logger]]:
    """Build loggers and log the config; within the block, a failure of a service is a warning.

    `loggers.json` in the run's folder keeps the ids of W&B's and MLflow's runs, which a resumed training continues.

    Args:
        nodes: nodes by name; null switches one off.
        folder: the run's folder.
        params: hyper-parameters, plain values by name.

    Raises:
        ConfigError: a logger cannot be built, or its service refuses the hyper-parameters.
    """
    file = folder / "loggers.json"
    ids = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    loggers = {name: _open(name, node, ids.get(name), params) for name, node in nodes.items() if node}
    _keep_ids(file, ids, loggers)
    failed = True
    try:
        yield list(loggers.values())
        failed = False
    finally:
        _finish(loggers, failed)


@rank_zero_only
def _keep_ids(file: Path, ids: Mapping[str, Any], loggers: Mapping[str, Logger]) -> None:
    services = {name: one for name, one in loggers.items() if isinstance(one, WandbLogger | MLFlowLogger)}
    if services:
        write_json(file, {**ids, **{name: one.version for name, one in services.items()}})


@rank_zero_only
def _finish(loggers: Mapping[str, Logger], failed: bool) -> None:
    """End the runs of W&B: Lightning leaves them open, and the next training of this process would join them."""
    for name, logger in loggers.items():
        if isinstance(logger, WandbLogger):
            _forgiven(name, logger.experiment.finish, set())(exit_code=int(failed))


def _open(name: str, node: Mapping[str, Any], run_id: str | None, params: Mapping[str, Any]) -> Logger:
    for variable, value in _QUIET.items():
        os.environ.setdefault(variable, value)
    argument = _RUN_ID.get(node["_target_"].rpartition(".")[2])
    given = {argument: run_id} if argument and run_id else {}
    if (uri := str(node.get("tracking_uri"))).startswith(_SQLITE):  # MLflow keeps the database of a relative path
        given["tracking_uri"] = f"{_SQLITE}{Path(uri.removeprefix(_SQLITE)).absolute()}"
    logging.getLogger("pytorch_lightning.loggers.mlflow").setLevel(logging.ERROR)  # says that it makes an experiment
    try:
        logger: Logger = build(node, **given)
        _log_config(logger, params)
    except (FaceseglError, OSError):
        raise
    except Exception as error:
        raise ConfigError(f"logger.{name}: {_words(error)}; omit it, or set another logger=") from error
    if not isinstance(logger, TensorBoardLogger | CSVLogger):  # files, whose failure is that of the disk
        warned: set[str] = set()
        for method in _METHODS:
            if function := getattr(logger, method, None):
                setattr(logger, method, _forgiven(name, function, warned))
    return logger


@rank_zero_only
def _log_config(logger: Logger, params: Mapping[str, Any]) -> None:
    if isinstance(logger, WandbLogger):
        logger._wandb_init.pop("anonymous", None)  # Lightning gives it, and W&B warns that it has no effect
    logger.log_hyperparams(dict(params))
    if isinstance(logger, TensorBoardLogger):
        _write_session(logger, params, ends=False)


def _write_session(logger: TensorBoardLogger, params: Mapping[str, Any], *, ends: bool) -> None:
    """Show a run in the HParams tab.

    Lightning would also declare an experiment; without it TensorBoard compares all runs, values that differ first.
    """
    from torch.utils.tensorboard.summary import hparams  # imports TensorBoard

    _, start, end = hparams({key: value for key, value in params.items() if value is not None}, {})  # type: ignore[no-untyped-call]
    logger.experiment._get_file_writer().add_summary(end if ends else start)


def _forgiven(name: str, function: Callable[..., Any], warned: set[str]) -> Callable[..., Any]:
    """The function, with each kind of failure logged once."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except FaceseglError:
            raise
        except Exception as error:
            if (kind := type(error).__name__) not in warned:
                warned.add(kind)
                _log.warning("logger.%s has lost something; training continues: %s", name, _words(error))

    return call


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split()):.300}"


@rank_zero_only
def log_image(loggers: Sequence[Logger], tag: str, image: Image.Image, step: int) -> None:
    """Log a picture to TensorBoard, MLflow and each logger with `log_image(key, images, step)`, as W&B's has."""
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(tag, np.asarray(image), step, dataformats="HWC")
        elif isinstance(logger, MLFlowLogger):
            _forgiven("mlflow", logger.experiment.log_image, set())(logger.run_id, image, key=tag, step=step)
        elif log := getattr(logger, "log_image", None):
            log(tag, [image], step=step)


@rank_zero_only
def log_scores(loggers: Sequence[Logger], params: Mapping[str, Any], scores: Mapping[str, Scores], step: int) -> None:
    """Log the final scores of each set, and the confusion matrix of the first.

    Args:
        loggers: as from `open_loggers`.
        params: the hyper-parameters.
        scores: the scores of each set by name, headline first.
        step: optimiser steps of the training.
    """
    headline, found = next(iter(scores.items()))
    metrics = {f"final/{name}/miou": each.miou for name, each in scores.items()}
    more = {f"final/{headline}/boundary_f": found.boundary_f}
    more |= {f"final/{headline}/iou/{name}": value for name, value in found.iou.items()}
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):  # each metric would be a chart of one point
            logger.log_metrics(metrics, step)
            _write_session(logger, params, ends=True)
        else:
            logger.log_metrics(metrics | more, step)
    title = f"{headline}: mIoU {found.miou:.4f}"
    log_image(loggers, f"panels/confusion_{headline}", draw_confusion(found.confusion, [*found.iou], title=title), step)
    for logger in loggers:
        logger.save()
