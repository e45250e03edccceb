"""The LightningModule and its learning rate schedule. Independent of image files and Hydra."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from facesegl.card import Card, check_card
from facesegl.errors import TrainingError
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
        schedule: called with the optimiser and `total_steps`; None for a constant learning rate.
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
        """Give a loss with class weights the class shares of the training set."""
        if stage == "fit" and (set_class_shares := getattr(self.loss, "set_class_shares", None)):
            set_class_shares(self.trainer.datamodule.class_shares())  # type: ignore[attr-defined]

    def configure_optimizers(self) -> Any:
        """The optimiser over the net's parameters, and its schedule per step."""
        assert self._optimizer is not None
        optimizer = self._optimizer(self.net.parameters())
        if self._schedule is None:
            return optimizer
        schedule = self._schedule(optimizer, total_steps=int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

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

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the loss of the epoch so far."""
        checkpoint["train_loss"] = [float(self._loss_sum), self._samples]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Read the loss of the epoch so far."""
        self._loss_sum, self._samples = checkpoint.get("train_loss", [0.0, 0])

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
