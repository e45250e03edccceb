"""The LightningModule and its learning rate schedule. Independent of image files and Hydra."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau

from facesegl.card import Card, check_card
from facesegl.config.signatures import Signature
from facesegl.errors import ConfigError, TrainingError
from facesegl.learning.checkpoint import load_net
from facesegl.learning.normalized_net import NormalizedNet
from facesegl.scores.counts import PooledCounts, iou, miou

_CHECK_EVERY = 50  # steps between checks for a non-finite loss; reading a loss waits for the device


class SegmentationModule(NormalizedNet, pl.LightningModule):
    """Trains and validates a net: images (B, 3, H, W) from 0 to 255 in, logits (B, classes, H, W) out.

    Args:
        net: maps normalised float images (B, 3, H, W) to logits (B, classes, H, W).
        loss: takes logits and target (B, H, W) int64 with VOID; None for a module that only predicts.
        optimizer: called with the net's parameters; None for a module that only predicts.
        schedule: called with the optimiser and the length of the training (`bind_schedule`); None for a constant
            learning rate.
        card: describes the weights, in builtin values; saved with them as the only hyper-parameter.
    """

    def __init__(
        self,
        net: nn.Module,
        loss: nn.Module | None = None,
        optimizer: Callable[..., Optimizer] | None = None,
        schedule: Callable[..., LRScheduler] | None = None,
        *,
        card: Card,
    ) -> None:
        check_card(card, "card")
        super().__init__(net, card)
        self._set_hparams(card)
        self.loss, self._optimizer, self._schedule = loss, optimizer, schedule
        self.counts = PooledCounts(self.taxonomy.num_classes)
        self._loss_sum: Tensor | float = 0.0  # over the samples of the epoch so far
        self._samples = 0
        self._since_check: list[tuple[Tensor, Tensor]] = []

    @classmethod
    def load_from_checkpoint(  # type: ignore[override] # the card replaces Lightning's arguments
        cls, checkpoint_path: "str | Path", map_location: Any = "cpu", *, trust: Sequence[str] = ()
    ) -> "SegmentationModule":
        """Build a module from a checkpoint file alone, in eval mode; its classes must be facesegl's or in `trust`.

        Raises:
            CheckpointError: the file is not a checkpoint, or names an untrusted class.
        """
        device = map_location if isinstance(map_location, str | torch.device) else "cpu"
        loaded = load_net(checkpoint_path, device, trust)
        return cls(loaded.net, card=loaded.card).to(device).eval()

    @torch.no_grad()
    def predict_masks(self, image: Tensor) -> Tensor:
        """The class of every pixel, (B, H, W) uint8, of images (B, 3, H, W) from 0 to 255, predicted in eval mode."""
        training = self.training
        self.eval()
        try:
            masks: Tensor = self(image.to(self.device)).argmax(1).to(torch.uint8)
            return masks
        finally:
            self.train(training)

    def setup(self, stage: str) -> None:
        """Give a loss with class weights the names of the classes, and their shares of the training set."""
        if stage == "fit" and (set_class_names := getattr(self.loss, "set_class_names", None)):
            set_class_names(self.taxonomy.names)
        if stage == "fit" and (set_class_shares := getattr(self.loss, "set_class_shares", None)):
            set_class_shares(self.trainer.datamodule.class_shares())  # type: ignore[attr-defined]

    def configure_optimizers(self) -> Any:
        """The optimiser over the net's parameters, and its schedule."""
        assert self._optimizer is not None
        optimizer = self._optimizer(self.net.parameters())
        if self._schedule is None:
            return optimizer
        total = int(self.trainer.estimated_stepping_batches)
        schedule, interval = bind_schedule(self._schedule, optimizer, total)
        if (given := getattr(schedule, "total_steps", total)) < total:
            raise ConfigError(
                f"schedule: {given} steps, and the training has {total}; omit its length for all of them."
            )
        config = {"scheduler": schedule, "interval": interval, "reduce_on_plateau": False}  # see _step_plateau
        return {"optimizer": optimizer, "lr_scheduler": config}

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Step a schedule, except one that watches a loss."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)

    def _step_plateau(self, loss: Tensor) -> None:
        """Lightning would do it after last.ckpt is written, and not at all after a resume."""
        schedule = self.lr_schedulers()
        if isinstance(schedule, ReduceLROnPlateau) and not self.trainer.sanity_checking:
            schedule.step(float(loss))

    def on_train_epoch_start(self) -> None:
        """Start the epoch's mean loss; Lightning does not call this when it resumes within an epoch."""
        self._loss_sum, self._samples = 0.0, 0

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed dropout from the batch, so that a resumed run draws the same numbers as an uninterrupted one."""
        torch.manual_seed(batch.seed)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The loss of one batch."""
        loss = self._loss_of(self(batch.image), batch.target)
        self._loss_sum = self._loss_sum + loss.detach() * len(batch.indices)
        self._samples += len(batch.indices)
        self._since_check.append((loss.detach(), batch.indices))
        if self.trainer.is_last_batch or len(self._since_check) >= _CHECK_EVERY:
            self._require_finite()
        return loss

    def on_train_epoch_end(self) -> None:
        """Log the mean loss over the epoch's samples, before a checkpoint is written.

        Lightning logs it after that, where a kill loses it, and its own mean lacks the samples before a resume.
        """
        loss = self.trainer.strategy.reduce(torch.as_tensor(self._loss_sum / self._samples), reduce_op="mean")
        self.log("train/loss", loss, logger=False, sync_dist=True)
        for logger in self.loggers:
            logger.log_metrics({"train/loss": float(loss), "epoch": self.current_epoch}, self.global_step - 1)
        if not self.trainer.enable_validation:
            self._step_plateau(loss)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the loss of the epoch so far, over all ranks."""
        sums = torch.tensor([float(self._loss_sum), self._samples], device=self.device)
        loss_sum, samples = self.trainer.strategy.reduce(sums, reduce_op="sum").tolist()
        checkpoint["train_loss"] = [loss_sum, int(samples)]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Read the loss of the epoch so far."""
        self._loss_sum, self._samples = (
            total / self.trainer.world_size for total in checkpoint.get("train_loss", [0.0, 0])
        )

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Loss and counts of one batch at the net's size."""
        logits = self(batch.image)
        samples = int((batch.indices >= 0).sum())  # without the padding that gives every rank equally many batches
        self.log("val/loss", self._loss_of(logits, batch.target), batch_size=samples, sync_dist=True)
        self.counts.update(logits.argmax(1), batch.target)

    def on_validation_epoch_end(self) -> None:
        """Log scores at the net's size, which is part of their tag; reported scores are at native size."""
        counts = self.counts.compute()
        self.counts.reset()
        self.log("val/miou", float(miou(counts)), logger=False, sync_dist=True)
        self.log(f"val/miou at {self.image_size}x{self.image_size}", float(miou(counts)), sync_dist=True)
        for name, value in zip(self.taxonomy.names, iou(counts).tolist(), strict=True):
            self.log(f"val/iou/{name}", value, sync_dist=True)
        self._step_plateau(self.trainer.callback_metrics["val/loss"])

    def _loss_of(self, logits: Tensor, target: Tensor) -> Tensor:
        assert self.loss is not None
        loss: Tensor = self.loss(logits, target)
        return loss

    def _require_finite(self) -> None:
        checked, self._since_check = self._since_check, []
        if not bool(torch.stack([loss for loss, _ in checked]).isfinite().all()):
            first = next(indices for loss, indices in checked if not loss.isfinite())
            ids = ", ".join(self.trainer.datamodule.ids(first))  # type: ignore[attr-defined]
            raise TrainingError(
                f"step {self.trainer.global_step}: the loss is not finite since the batch of {ids}. Lower "
                f"optimizer.lr, or set trainer.gradient_clip_val=1. Earlier checkpoints, if any, are in checkpoints/."
            )


_LENGTHS = ("total_steps", "T_max", "total_iters")


def bind_schedule(
    schedule: Callable[..., Any], optimizer: Optimizer, total_steps: int
) -> tuple[LRScheduler, Literal["step", "epoch"]]:
    """Build a schedule, with the length of the training where it has a parameter for it that is not given.

    Args:
        schedule: takes the optimiser; a partial of any schedule of torch, or a function with `total_steps`, `T_max` or
            `total_iters`. Partials in a list `schedulers`, as for SequentialLR, are built too.
        optimizer: as built.
        total_steps: optimiser steps in the whole training.

    Returns:
        The schedule, and what it counts: steps if its length is filled in or its parameters are documented in steps
        (`total_steps`, `step_size_up`), else epochs.

    Raises:
        ConfigError: it watches a loss to rise, or its milestones are text.
    """
    function, given = _unwrapped(schedule)
    if isinstance(milestones := given.get("milestones"), str):  # torch would take its letters
        raise ConfigError(f"milestones={milestones!r} is text; expected a list of epochs, e.g. [100,150]")
    signature = Signature.of(function)
    names = set(signature.hints) if signature else set()
    if signature is None or (signature.open and not names & {*_LENGTHS}):
        names.add("total_steps")
    filled: dict[str, Any] = {name: total_steps for name in _LENGTHS if name in names and given.get(name) is None}
    counts_steps = bool(filled or names & {"total_steps", "step_size_up"})
    if isinstance(nested := given.get("schedulers"), list):
        filled["schedulers"] = [each(optimizer) for each in nested]
    built = schedule(optimizer=optimizer, **filled) if "optimizer" in names else schedule(optimizer, **filled)
    if isinstance(built, ReduceLROnPlateau) and built.mode == "max":
        raise ConfigError("mode=max: it watches a loss, which falls; expected mode=min")
    return built, "step" if counts_steps else "epoch"


def _unwrapped(function: Callable[..., Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The function inside of partials, Hydra's among them, and what they give it by name."""
    given: dict[str, Any] = {}
    while isinstance(function, partial):
        given = {**function.keywords, **given}
        function = function.func
    return function, given


def one_cycle(
    optimizer: Optimizer, *, total_steps: int, rise: float, start_divisor: float, end_divisor: float
) -> LRScheduler:
    """Cosine warm-up to the optimiser's learning rate and cosine annealing (Smith & Topin 2018, arXiv:1708.07120).

    Args:
        optimizer: its learning rate is the peak.
        total_steps: optimiser steps in the whole training.
        rise: share of the steps that go up, 0 to 1.
        start_divisor: the first learning rate is the peak divided by this.
        end_divisor: the last one is the first divided by this.
    """
    return OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=total_steps,
        pct_start=rise,
        div_factor=start_divisor,
        final_div_factor=end_divisor,
    )
