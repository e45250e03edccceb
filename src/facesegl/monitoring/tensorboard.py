"""The layout of TensorBoard's Custom Scalars: the losses and mIoU, and a chart of each class."""

import re
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger


class Charts(pl.Callback):
    """Lays out TensorBoard's Custom Scalars tab."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the layout, if TensorBoard is used."""
        module: Any = pl_module
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
                logger.experiment.add_custom_scalars(_layout(module.taxonomy.names))


def _layout(classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    return {
        "losses and mIoU": {
            "loss: training and validation": ["Multiline", ["train/loss", "val/loss"]],
            "validation mIoU": ["Multiline", ["val/miou.*"]],
            "validation IoU of all classes": ["Multiline", ["val/iou/.*"]],
        },
        "validation IoU of each class": {name: ["Multiline", [f"val/iou/{re.escape(name)}$"]] for name in classes},
    }
