"""Lightning callbacks for averaged weights, `last.ckpt` and the end of a training; how a checkpoint is written."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping as LightningEarlyStopping
from pytorch_lightning.callbacks import ModelCheckpoint, Timer, WeightAveraging
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor

from facesegl.errors import ConfigError, TrainingError
from facesegl.files import replacing
from facesegl.learning.checkpoint import TRAINED, read_checkpoint
from facesegl.text import number

log = logging.getLogger(__name__)


class AveragedWeights(WeightAveraging):
    """An exponential moving average with a fast start, so that the untrained weights do not linger.

    The averaged weights are the ones that are validated, saved and scored. The decay of update n is
    min(decay, (1 + n) / (10 + n)), as in TensorFlow's ExponentialMovingAverage.

    Args:
        decay: the limit of the decay; the average then covers about 1 / (1 - decay) steps.
    """

    def __init__(self, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ConfigError(f"callbacks.averaging.decay={decay}: expected 0 to just below 1; 0.99 is usual.")
        super().__init__(multi_avg_fn=_Decay(decay))


class _Decay:
    """A class, not a closure: with `spawn` callbacks are pickled."""

    def __init__(self, decay: float) -> None:
        self.decay = decay

    @torch.no_grad()
    def __call__(
        self,
        averaged: "tuple[Tensor, ...] | list[Tensor]",
        current: "tuple[Tensor, ...] | list[Tensor]",
        count: "Tensor | int",
    ) -> None:
        weight = 1 - torch.clamp((1 + torch.as_tensor(count)) / (10 + torch.as_tensor(count)), max=self.decay)
        for average, value in zip(averaged, current, strict=True):
            if average.is_floating_point():
                average.lerp_(value.to(average), weight.to(average))  # trainer.precision=64-true
            else:
                average.copy_(value)  # batch norm's num_batches_tracked


def add_scores(path: "str | Path", scores: Mapping[str, Any]) -> None:
    """Write scores, builtin values by the name of the set, into a checkpoint's card; its weights are unchanged."""
    checkpoint = read_checkpoint(path)
    checkpoint["hyper_parameters"] = {**checkpoint["hyper_parameters"], "scores": dict(scores)}
    WholeCheckpointIO().save_checkpoint(checkpoint, path)


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint next to its final name, syncs and renames it: a full disk or a kill leaves the old one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint atomically; raises a MachineError on a full disk or without permission."""
        with replacing(Path(path)) as part, part.open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:  # torch's writer raises this for an OSError of the file
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise


class LastCheckpoint(ModelCheckpoint):
    """Keeps `last.ckpt`, written at the end of an epoch, at most once in `every_s` seconds, and when training ends.

    An epoch ends after its validation, so the state of early stopping and of the best checkpoint is saved too and a
    resumed run stops where an uninterrupted one does; this callback must therefore come last. On SIGTERM `last.ckpt` is
    written at the end of the current step, with the gradients accumulated so far, but not during validation. The
    checkpoint of a training that has ended says so, under `TRAINED`.

    Args:
        dirpath: the folder.
        every_s: minimum seconds between two writes.

    Attributes:
        written_step: optimiser steps when it was last written; -1 if this process has not written it.
    """

    def __init__(self, dirpath: str, every_s: float) -> None:
        super().__init__(dirpath=dirpath, filename="last", save_top_k=1, enable_version_counter=False)
        if every_s < 0:
            raise ConfigError(f"callbacks.checkpoint.every_s={every_s}: expected 0 or more seconds.")
        self._every_s, self._written_at, self.written_step = every_s, -float("inf"), -1
        self._gradients: dict[str, Tensor] = {}
        self._validation_is_due = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Resume after an epoch also with `max_steps`, where Lightning would end that epoch a second time."""
        super().setup(trainer, pl_module, stage)
        trainer.fit_loop._iteration_based_training = lambda: False  # type: ignore[method-assign]

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Write `last.ckpt` if SIGTERM ends the training within an epoch; a validation that is due comes after that."""
        if trainer.received_sigterm and not trainer.is_last_batch:
            self._validation_is_due = _validates_now(trainer)
            self._write(trainer)
            self._validation_is_due = False

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write `last.ckpt` if SIGTERM ends the training within an epoch."""
        if trainer.received_sigterm and not trainer.is_last_batch and not trainer.sanity_checking:
            self._write(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write `last.ckpt` if it is due, or if the training ends."""
        due = time.monotonic() - self._written_at >= self._every_s
        if due or trainer.received_sigterm or _is_over(trainer):
            self._write(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Do nothing: this may be in the middle of a step, or while the averaged weights are swapped in."""

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write `last.ckpt` if it lacks the last step, as with early stopping."""
        if self.written_step != trainer.global_step:
            self._write(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the accumulated gradients if the optimiser has not stepped since, and whether the training has ended."""
        if _is_over(trainer):
            checkpoint[TRAINED] = True
        if self._validation_is_due:
            _plan_validation(checkpoint["loops"]["fit_loop"])
        if not trainer.is_last_batch and (trainer.fit_loop.batch_idx + 1) % trainer.accumulate_grad_batches:
            gradients = {name: weight.grad for name, weight in pl_module.named_parameters() if weight.grad is not None}
            mean = partial(
                trainer.strategy.reduce, reduce_op="mean"
            )  # each rank has the gradients of its share of the batch
            checkpoint["gradients"] = {name: mean(gradient.clone()) for name, gradient in gradients.items()}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Read the accumulated gradients; the paths of a copied or moved run become those of its new folder."""
        self._gradients = checkpoint.get("gradients", {})
        for callback in trainer.checkpoint_callbacks:
            state = checkpoint["callbacks"].get(callback.state_key)
            if isinstance(callback, ModelCheckpoint) and state:
                checkpoint["callbacks"][callback.state_key] = _moved(state, str(callback.dirpath))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the accumulated gradients; by now the weights are on their device."""
        for name, weight in pl_module.named_parameters():
            if name in self._gradients:
                weight.grad = self._gradients[name].to(weight)
        self._gradients = {}

    def _write(self, trainer: pl.Trainer) -> None:
        assert self.dirpath is not None
        _require_finite_weights(trainer)
        for logger in trainer.loggers:
            logger.save()  # what a kill loses of the curves, a resumed run logs again
        path = str(Path(self.dirpath) / "last.ckpt")
        self.best_model_path = self.last_model_path = path
        self._save_checkpoint(trainer, path)
        self._written_at, self.written_step = time.monotonic(), trainer.global_step


def _require_finite_weights(trainer: pl.Trainer) -> None:
    """Refuse to overwrite a good checkpoint with non-finite weights."""
    weights = [weight.isfinite().all() for weight in trainer.lightning_module.parameters()]
    if not bool(torch.stack(weights).all()):
        raise TrainingError(
            f"step {trainer.global_step}: a weight is not finite, so no checkpoint was written. Lower "
            f"optimizer.lr, or set trainer.gradient_clip_val=1. Earlier checkpoints, if any, are in checkpoints/."
        )


def _moved(state: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """The state of a ModelCheckpoint, which Lightning would ignore for the most part in another folder."""

    def path(old: str) -> str:
        return str(Path(folder, Path(old).relative_to(state["dirpath"]))) if old else ""

    paths = {name: path(state[name]) for name in ("best_model_path", "kth_best_model_path", "last_model_path")}
    best = {path(old): score for old, score in state["best_k_models"].items()}
    return {**state, **paths, "dirpath": folder, "best_k_models": best}


def _plan_validation(loops: dict[str, Any]) -> None:
    """Let a resumed run begin with the validation: Lightning only repeats one that had begun, and skips others."""
    for count in ("total", "current"):
        batches = loops["epoch_loop.batch_progress"][count]
        batches["completed"] = batches["processed"]
        loops["epoch_loop.val_loop.batch_progress"][count] = {"ready": 1, "started": 1, "processed": 0, "completed": 0}


def _validates_now(trainer: pl.Trainer) -> bool:
    fetcher = trainer.fit_loop._data_fetcher
    return fetcher is not None and trainer.fit_loop.epoch_loop._should_check_val_fx(fetcher)


def _is_over(trainer: pl.Trainer) -> bool:
    """Whether the training ends here: Lightning's `FitLoop.done`, which writes log lines and changes counters."""
    epochs = trainer.fit_loop.epoch_progress.current.processed  # type: ignore[attr-defined]
    steps = trainer.global_step
    may_stop = epochs >= (trainer.min_epochs or 0) and steps >= (trainer.min_steps or 0)
    limits = ((epochs, trainer.max_epochs), (steps, trainer.max_steps))
    at_limit = any(limit is not None and 0 <= limit <= done for done, limit in limits)
    return at_limit or (trainer.should_stop and may_stop)


class TimeLimit(Timer):
    """Ends a training after the current step, as SIGTERM does; each start has the whole time.

    Args:
        duration: as `max_time` of Lightning's Trainer.

    Attributes:
        ended: whether it has ended the training.
    """

    def __init__(self, duration: Any) -> None:
        super().__init__(duration)
        self.ended = False

    def on_fit_start(self, trainer: pl.Trainer, *_: Any, **__: Any) -> None:
        """Do nothing: no time has passed yet."""

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any, **__: Any) -> None:
        """End the training within an epoch."""
        if not trainer.is_last_batch:
            self._check(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, *_: Any, **__: Any) -> None:
        """End the training after an epoch."""
        self._check(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the time of earlier starts does not count."""
        return {}

    def _check(self, trainer: pl.Trainer) -> None:
        remaining = self.time_remaining()
        if trainer.strategy.broadcast(remaining is not None and remaining <= 0) and not _is_over(trainer):
            self.ended = trainer._signal_connector.received_sigterm = True


class StopTogether(pl.Callback):
    """Ends all ranks after the same step if one of them got SIGTERM.

    Lightning's handler starts a collective wherever the signal comes, while another rank may be in another one.
    """

    def __init__(self) -> None:
        self.asked = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Take the place of Lightning's handler, which is set after this."""

        def ask(signum: int, _frame: Any) -> None:
            launcher = trainer.strategy.launcher
            if launcher is not None and not self.asked:
                launcher.kill(signum)  # the ranks that this one has started
            self.asked = True

        trainer._signal_connector._sigterm_notifier_fn = ask  # type: ignore[method-assign, assignment]

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any, **__: Any) -> None:
        """Agree whether to end here."""
        self._agree(trainer)

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any, **__: Any) -> None:
        """Agree whether to end here."""
        self._agree(trainer)

    def _agree(self, trainer: pl.Trainer) -> None:
        if trainer.strategy.reduce_boolean_decision(self.asked, all=False):
            trainer._signal_connector.received_sigterm = True


class Pruning(pl.Callback):
    """Reports the validation mIoU of each epoch to a search, which may end the training, with a checkpoint.

    On several devices nothing is pruned: the search is known to one of them.

    Args:
        is_hopeless: reports an epoch, counted from 0, and its validation mIoU; whether the training is to end.

    Attributes:
        ended: whether it has ended the training.
    """

    def __init__(self, is_hopeless: Callable[[int, float], bool]) -> None:
        self.ended = False
        self._is_hopeless, self._miou = is_hopeless, math.nan

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the score until the epoch ends."""
        if not trainer.sanity_checking:
            self._miou = float(trainer.callback_metrics.get("val/miou", math.nan))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the score, and end the training as SIGTERM does, unless it ends here anyway."""
        if not math.isnan(self._miou) and trainer.world_size == 1:
            hopeless = self._is_hopeless(trainer.current_epoch, self._miou)
            if hopeless and not _is_over(trainer):
                self.ended = trainer._signal_connector.received_sigterm = True
        self._miou = math.nan


class EarlyStopping(LightningEarlyStopping):
    """Lightning's, except that only a validation counts, and none whose IoU is NaN; it logs why it ended a training.

    Lightning checks at the end of an epoch, also of one that `max_steps` ended without a validation. The name is
    Lightning's too, since it is the key of the state in a checkpoint.
    """

    def __init__(self, monitor: str, check_on_train_epoch_end: bool | None = None, **arguments: Any) -> None:
        if monitor.startswith("val/"):
            check_on_train_epoch_end = False
        super().__init__(monitor, check_on_train_epoch_end=check_on_train_epoch_end, **arguments)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check, unless there was nothing to score."""
        score = trainer.callback_metrics.get(self.monitor)
        if score is None or not (self.monitor.startswith(("val/miou", "val/iou/")) and score.isnan()):
            super().on_validation_end(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log why it has ended the training."""
        if trainer.should_stop and self.stopping_reason_message:
            reason = self.stopping_reason_message.removesuffix(" Signaling Trainer to stop.")
            if self.wait_count >= self.patience:
                validations = f"{number(self.wait_count, 'validation')} (patience={self.patience})"
                reason = f"{self.monitor} has not improved on {float(self.best_score):.4f} in {validations}"
            log.info("early stopping after epoch %d: %s", trainer.current_epoch, reason)
