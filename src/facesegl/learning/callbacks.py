"""Lightning callbacks for averaged weights and `last.ckpt`, and how a checkpoint is written."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint, WeightAveraging
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor

from facesegl.errors import ConfigError, TrainingError
from facesegl.files import replacing
from facesegl.learning.checkpoint import read_checkpoint


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
    written at the end of the current step, with the gradients accumulated so far, but not during validation.

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

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Write `last.ckpt` if SIGTERM ends the training within an epoch."""
        if trainer.received_sigterm and not trainer.is_last_batch:
            self._write(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write `last.ckpt` if it is due, or if the training ends."""
        due = time.monotonic() - self._written_at >= self._every_s
        if due or trainer.received_sigterm or _is_last_epoch(trainer):
            self._write(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Do nothing: validation does not change the last weights."""

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Do nothing: this may be in the middle of a step, or while the averaged weights are swapped in."""

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write `last.ckpt` if it lacks the last step, as with early stopping."""
        if self.written_step != trainer.global_step:
            self._write(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the accumulated gradients if the optimiser has not stepped since."""
        if not trainer.is_last_batch and (trainer.fit_loop.batch_idx + 1) % trainer.accumulate_grad_batches:
            named = pl_module.named_parameters()
            checkpoint["gradients"] = {name: weight.grad for name, weight in named if weight.grad is not None}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Read the accumulated gradients."""
        self._gradients = checkpoint.get("gradients", {})

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the accumulated gradients; by now the weights are on their device."""
        for name, weight in pl_module.named_parameters():
            if name in self._gradients:
                weight.grad = self._gradients[name].to(weight)
        self._gradients = {}

    def _write(self, trainer: pl.Trainer) -> None:
        assert self.dirpath is not None
        _require_finite_weights(trainer)
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


def _is_last_epoch(trainer: pl.Trainer) -> bool:
    epochs, steps = trainer.max_epochs or -1, trainer.max_steps
    return trainer.should_stop or trainer.current_epoch + 1 == epochs or trainer.global_step == steps
