"""The one way into and out of a checkpoint file, and when one is written.

A checkpoint is Lightning's file with the card as its only hyper-parameter. It holds tensors and builtin values, and is
read with `weights_only=True`.
"""

import pickle
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor, nn

from facesegl.card import Card, check_card
from facesegl.errors import CheckpointError, ConfigError, TrainingError
from facesegl.files import replacing
from facesegl.learning.trusted import build_trusted
from facesegl.learning.weights import read_weights
from facesegl.nets.smp import weights_follow


def read_checkpoint(path: "str | Path", map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint file, or weights with a card, without running anything that it holds, and check the card.

    Raises:
        CheckpointError: no such file, no checkpoint, one that holds code, or one whose card is not understood.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        return read_weights(path, map_location)
    _require_archive(path)
    try:
        checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path}: holds more than tensors and plain values; it was not opened, since that would run code from it. "
            f"Expected a file that facesegl wrote."
        ) from None
    except Exception as error:  # torch raises what zip and storages raise, each for its own damage
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise CheckpointError(
            f"{path}: cannot be read as a checkpoint ({reason}); is it cut off? Copy it again."
        ) from None
    if not isinstance(checkpoint, dict) or not {"state_dict", "hyper_parameters"} <= checkpoint.keys():
        raise CheckpointError(
            f"{path}: no checkpoint of facesegl; it has no weights with a card that says what they are."
        )
    check_card(checkpoint["hyper_parameters"], str(path))
    return checkpoint


def build_net(card: Card, trust: Sequence[str] = ()) -> nn.Module:
    """Build the net that a card names, untrained.

    Args:
        card: a checked card.
        trust: packages beside facesegl whose classes may be built.

    Raises:
        CheckpointError: the class is not an `nn.Module` of a trusted package, or does not take its parameters.
    """
    with weights_follow():  # what a card names is never a reason to fetch something
        net: nn.Module = build_trusted(card["net"], base=nn.Module, trust=trust)
    return net


def add_scores(path: "str | Path", scores: Mapping[str, Any]) -> None:
    """Write into a checkpoint's card what it scored; its weights stay as they are.

    Args:
        path: a checkpoint file.
        scores: a set's name to its scores and yardsticks, builtin values.

    Raises:
        CheckpointError: as `read_checkpoint`.
        MachineError: it cannot be written.
    """
    checkpoint = read_checkpoint(path)
    checkpoint["hyper_parameters"] = {**checkpoint["hyper_parameters"], "scores": dict(scores)}
    WholeCheckpointIO().save_checkpoint(checkpoint, path)


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its final name, syncs it and renames it: disk full or a kill leaves the old one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint whole or not at all.

        Raises:
            MachineError: disk full or no permission.
        """
        with replacing(Path(path)) as part, part.open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:  # torch's writer tells so of what the file said
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise


class LastCheckpoint(ModelCheckpoint):
    """Keeps `last.ckpt`: at the end of an epoch, not more often than every so many seconds, and when training ends.

    An epoch ends when it was validated: what early stopping and the best checkpoint made of that is kept too, and a
    resumed run stops where the undisturbed one does. So this callback has to come after all others. SIGTERM has one
    written at the end of the step that it meets, with the gradients that were accumulated for a step to come; while an
    epoch is validated it has none written.

    Args:
        dirpath: the folder.
        every_s: seconds that lie between two of them at least.

    Attributes:
        written_step: the number of optimiser steps in the last one; -1 if this process has written none.
    """

    def __init__(self, dirpath: str, every_s: float) -> None:
        super().__init__(dirpath=dirpath, filename="last", save_top_k=1, enable_version_counter=False)
        if every_s < 0:
            raise ConfigError(f"callbacks.checkpoint.every_s={every_s}: expected 0 or more seconds.")
        self._every_s, self._written_at, self.written_step = every_s, -float("inf"), -1
        self._gradients: dict[str, Tensor] = {}

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Write one if SIGTERM ends the training here, within an epoch."""
        if trainer.received_sigterm and not trainer.is_last_batch:
            self._write(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write one if it is time, or if the training ends."""
        due = time.monotonic() - self._written_at >= self._every_s
        if due or trainer.received_sigterm or _is_last_epoch(trainer):
            self._write(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Nothing: what validation says does not change the last weights."""

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Nothing: it may come in the middle of a step, or while the averaged weights stand swapped in."""

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write one if training ended otherwise than with its last step, as early stopping ends it."""
        if self.written_step != trainer.global_step:
            self._write(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the gradients of batches that wait for others before the optimiser steps."""
        if not trainer.is_last_batch and (trainer.fit_loop.batch_idx + 1) % trainer.accumulate_grad_batches:
            named = pl_module.named_parameters()
            checkpoint["gradients"] = {name: weight.grad for name, weight in named if weight.grad is not None}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take them again."""
        self._gradients = checkpoint.get("gradients", {})

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give them to the weights, which are on their device by now."""
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
    """Rather keep the last good weights than write such as are of no use."""
    weights = [weight.isfinite().all() for weight in trainer.lightning_module.parameters()]
    if not bool(torch.stack(weights).all()):
        raise TrainingError(
            f"step {trainer.global_step}: a weight is not finite, so no checkpoint of it was written. Lower "
            f"optimizer.lr, or set trainer.gradient_clip_val=1. What was saved before, if anything, is in checkpoints/."
        )


def _is_last_epoch(trainer: pl.Trainer) -> bool:
    epochs, steps = trainer.max_epochs or -1, trainer.max_steps
    return trainer.should_stop or trainer.current_epoch + 1 == epochs or trainer.global_step == steps


def _require_archive(path: Path) -> None:
    """Every checkpoint is a zip archive; what is none need not be opened to be refused."""
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder; expected a file, such as its checkpoints/last.ckpt.")
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; expected one such as runs/NAME/DATE/checkpoints/last.ckpt.")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path}: empty; expected a checkpoint. Copy it again.")
    if zipfile.is_zipfile(path):
        _require_whole(path)
    else:
        raise CheckpointError(
            f"{path}: no checkpoint, or one that is cut off; it was not opened, since that would run code from it were "
            f"it a pickle. Expected a file that facesegl wrote."
        )


def _require_whole(path: Path) -> None:
    """Hold each part of an archive against its checksum: torch does not, and would predict with flipped weights."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception:  # what the archive's own list has wrong is told by the one who reads it
        return
    if damaged:
        raise CheckpointError(f"{path}: damaged ({damaged} does not fit its checksum); copy it again.")
