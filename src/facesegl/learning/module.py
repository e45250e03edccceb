"""The LightningModule: normalises, steps, counts and logs. It reads no files and knows nothing of Hydra."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from facesegl.card import Card, check_card
from facesegl.errors import CheckpointError, TrainingError
from facesegl.labels.taxonomy import Taxonomy
from facesegl.learning.checkpoint import build_net, read_checkpoint
from facesegl.scores.counts import PooledCounts, iou, miou

_CHECK_EVERY = 50  # steps between two looks at whether the loss is finite, in an epoch longer than that


class SegmentationModule(pl.LightningModule):
    """A net that learns to segment faces.

    Args:
        net: maps normalised float images (B, 3, H, W) to logits (B, classes, H, W).
        loss: takes logits and target (B, H, W) int64 with VOID; None for a module that only predicts.
        optimizer: called with the net's parameters; None for a module that only predicts.
        schedule: called with the optimiser and `total_steps`; None for a constant learning rate.
        card: what the weights are, builtin values only; saved with them as their only hyper-parameter.
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
        super().__init__()
        check_card(card, "card")
        self._set_hparams(card)
        self.net, self.loss = _channels_last(net), loss
        self._optimizer, self._schedule = optimizer, schedule
        self.taxonomy = Taxonomy.from_mapping(card["taxonomy"])
        self.mean: Tensor
        self.std: Tensor
        for name in ("mean", "std"):
            values = torch.tensor(card["normalisation"][name], dtype=torch.float32).view(1, 3, 1, 1)
            self.register_buffer(name, values, persistent=False)
        self.counts = PooledCounts(self.taxonomy.num_classes)
        self.image_size: int = card["image_size"]
        self._since_check: list[tuple[Tensor, Tensor]] = []

    @classmethod
    def load_from_checkpoint(  # type: ignore[override] # the card says what Lightning would ask for
        cls, checkpoint_path: "str | Path", map_location: Any = "cpu", *, trust: Sequence[str] = ()
    ) -> "SegmentationModule":
        """Build a module from a checkpoint file and nothing else, ready to predict (in eval mode).

        Args:
            checkpoint_path: the file.
            map_location: the device for its weights.
            trust: packages beside facesegl whose classes it may name.

        Raises:
            CheckpointError: the file is no checkpoint, or names what is not trusted.
        """
        checkpoint = read_checkpoint(checkpoint_path, map_location)
        card = checkpoint["hyper_parameters"]
        try:
            net = build_net(card, trust)
        except (MemoryError, RuntimeError) as error:
            raise CheckpointError(f"{checkpoint_path}: the net in its card cannot be built ({error}).") from None
        except CheckpointError as error:
            raise CheckpointError(*(f"{checkpoint_path}: {problem}" for problem in error.problems)) from error
        module = cls(net, card=card)
        try:
            module.load_state_dict(checkpoint["state_dict"])
        except (RuntimeError, AttributeError, TypeError) as error:
            reason = str(error).splitlines()[-1].strip()
            raise CheckpointError(
                f"{checkpoint_path}: its weights do not fit the net in its card ({reason})."
            ) from None
        weights = [weight for weight in net.state_dict().values() if weight.is_floating_point()]
        if not all(bool(weight.isfinite().all()) for weight in weights):
            raise CheckpointError(
                f"{checkpoint_path}: it has weights that are not finite; nothing can be predicted so."
            )
        return module.to(map_location if isinstance(map_location, str | torch.device) else "cpu").eval()

    def forward(self, photo: Tensor) -> Tensor:
        """Logits of photos.

        Args:
            photo: (B, 3, H, W) uint8, or float 0 to 255.

        Returns:
            (B, classes, H, W) float.
        """
        logits: Tensor = self.net((photo - self.mean) / self.std)
        return logits

    @torch.no_grad()
    def predict_masks(self, photo: Tensor) -> Tensor:
        """The class of every pixel, in eval mode whatever the module's.

        Args:
            photo: (B, 3, H, W) uint8, or float 0 to 255, on any device.

        Returns:
            (B, H, W) uint8.
        """
        training = self.training
        self.eval()
        try:
            masks: Tensor = self(photo.to(self.device)).argmax(1).to(torch.uint8)
            return masks
        finally:
            self.train(training)

    def setup(self, stage: str) -> None:
        """Tell a loss that weighs classes how large they are in the photos that are learnt from."""
        if stage == "fit" and (set_class_shares := getattr(self.loss, "set_class_shares", None)):
            set_class_shares(self.trainer.datamodule.class_shares())  # type: ignore[attr-defined]

    def configure_optimizers(self) -> Any:
        """The optimiser over the net's parameters, and its schedule by steps."""
        assert self._optimizer is not None
        optimizer = self._optimizer(self.net.parameters())
        if self._schedule is None:
            return optimizer
        schedule = self._schedule(optimizer, total_steps=int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed dropout from the batch, so that a resumed run draws what the undisturbed one drew."""
        torch.manual_seed(batch.seed)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The loss of one batch."""
        loss = self._loss_of(self(batch.image), batch.target)
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.indices), sync_dist=True)
        self._since_check.append((loss.detach(), batch.indices))
        if self.trainer.is_last_batch or len(self._since_check) >= _CHECK_EVERY:
            self._require_finite()
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Loss and counts of one batch at the cache's size."""
        logits = self(batch.image)
        samples = int((batch.indices >= 0).sum())  # without those that only give every rank as many batches
        self.log("val/loss", self._loss_of(logits, batch.target), batch_size=samples, sync_dist=True)
        self.counts.update(logits.argmax(1), batch.target)

    def on_validation_epoch_end(self) -> None:
        """Log the scores at the cache's size, whose name says so; those that count are at native size."""
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
        """Stop if a loss since the last look was not finite. Read here alone, since reading waits for the device."""
        looked_at, self._since_check = self._since_check, []
        if not bool(torch.stack([loss for loss, _ in looked_at]).isfinite().all()):
            first = next(places for loss, places in looked_at if not loss.isfinite())
            ids = ", ".join(self.trainer.datamodule.ids(first))  # type: ignore[attr-defined]
            raise TrainingError(
                f"step {self.trainer.global_step}: the loss is not finite since the batch of {ids}. Lower "
                f"optimizer.lr, or set trainer.gradient_clip_val=1. What was saved before, if anything, lies in "
                f"checkpoints/."
            )


def _channels_last(net: nn.Module) -> nn.Module:
    """As the cache's photos lie in memory; convolutions on a CPU are quicker so."""
    for weights in net.parameters():
        if weights.dim() == 4:
            weights.data = weights.data.contiguous(memory_format=torch.channels_last)
    return net
