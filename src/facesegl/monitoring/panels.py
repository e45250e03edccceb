"""Panels of predictions during training: PNGs in the run folder, and pictures in the loggers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image

from facesegl.drawing.panel import draw_panel, draw_samples
from facesegl.errors import ConfigError
from facesegl.files import replacing
from facesegl.monitoring.loggers import log_image


class PanelCallback(pl.Callback):
    """Saves a panel of the same few photos every few epochs and when training ends, as a PNG and in the loggers.

    When training begins, `augmented.png` shows some augmented training photos.

    A panel of validation photos is drawn before the first validation batch: at that point averaged weights are swapped
    in whatever the order of the callbacks (Lightning swaps them out again before `on_validation_end`). The last panel
    shows averaged weights if the averaging callback comes before this one.

    The data module must have `taxonomy`, `preview(count)` and `preview_augmented(count)`, as `FaceDataModule` has,
    and the module `predict_masks(image)`. No global random generator is used, and the net stays in its mode.

    Args:
        folder: the folder of the PNGs, e.g. `epoch_0094.png` after 94 epochs.
        photos: photos per panel.
        every: epochs between two panels.

    Raises:
        ConfigError: a negative number of photos, or no epochs.
    """

    def __init__(self, folder: str | Path, photos: int, every: int) -> None:
        if photos < 0 or every < 1:
            raise ConfigError(
                f"callbacks.panels: photos={photos}, every={every}; expected 0 or more photos, every 1 or more epochs."
            )
        self.folder, self.photos, self.every = Path(folder), photos, every
        self._epochs, self._step = 0, -1  # at the latest panel

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw augmented training photos; a resumed training continues its count of epochs."""
        self._epochs, self._step = trainer.current_epoch, trainer.global_step
        if trainer.is_global_zero and self.photos and not trainer.global_step:
            self._save("augmented", _samples(trainer, self.photos), "augmented", trainer)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Draw a panel of validation photos if one is due."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking and batch_idx == dataloader_idx == 0:
            self._draw_if_due(trainer, trainer.current_epoch + 1)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw a panel of training photos if one is due and there is no validation."""
        if not any(trainer.num_val_batches):
            self._draw_if_due(trainer, trainer.current_epoch + 1)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw a panel of the final weights, unless there is one already."""
        if trainer.global_step != self._step:
            self._draw(trainer, trainer.current_epoch)

    def _draw_if_due(self, trainer: pl.Trainer, epochs: int) -> None:
        if epochs // self.every > self._epochs // self.every:
            self._draw(trainer, epochs)

    def _draw(self, trainer: pl.Trainer, epochs: int) -> None:
        self._epochs, self._step = epochs, trainer.global_step
        if trainer.is_global_zero and self.photos:
            split, panel = _panel(trainer, self.photos, epochs)
            self._save(f"epoch_{epochs:04d}", panel, split, trainer)

    def _save(self, name: str, picture: Image.Image, tag: str, trainer: pl.Trainer) -> None:
        with replacing(self.folder / f"{name}.png") as part:
            picture.save(part, format="PNG")
        log_image(trainer.loggers, f"panels/{tag}", picture, trainer.global_step)


def _panel(trainer: pl.Trainer, count: int, epochs: int) -> tuple[str, Image.Image]:
    """The split that the photos are from, "val" or "train", and their panel."""
    faces: Any = trainer.datamodule  # type: ignore[attr-defined]
    net: Any = trainer.lightning_module
    split, batch, ids = faces.preview(count)
    masks = net.predict_masks(batch.image.to(net.device)).cpu().numpy()
    shown = "validation photos" if split == "val" else "TRAINING photos: the net was trained on these masks"
    title = f"After epoch {epochs}: {shown}"
    return split, draw_panel(_pixels(batch), _truths(batch), list(masks), faces.taxonomy, ids, title=title)


def _samples(trainer: pl.Trainer, count: int) -> Image.Image:
    faces: Any = trainer.datamodule  # type: ignore[attr-defined]
    plain, augmented, ids = faces.preview_augmented(count)
    return draw_samples(_pixels(plain), _pixels(augmented), _truths(augmented), faces.taxonomy, ids)


def _pixels(batch: Any) -> list[np.ndarray]:
    """The batch's images as (H, W, 3) uint8 arrays."""
    return list(batch.image.permute(0, 2, 3, 1).to("cpu", torch.uint8).numpy())


def _truths(batch: Any) -> list[np.ndarray]:
    """The batch's masks as (H, W) uint8 arrays."""
    return list(batch.target.to("cpu", torch.uint8).numpy())
