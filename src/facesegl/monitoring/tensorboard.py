"""TensorBoard: its first screen has the losses and mIoU; its Custom Scalars have them and a chart of each class."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger as LightningTensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only

from facesegl.monitoring.tags import to_tag


class TensorBoardLogger(LightningTensorBoardLogger):
    """Lightning's, with tags in the order in which they are looked at (`facesegl.monitoring.tags`)."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics under their tags."""
        super().log_metrics({to_tag(name): value for name, value in metrics.items()}, step)


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
            "loss: training and validation": ["Multiline", ["loss/train", "loss/val"]],
            "validation mIoU": ["Multiline", ["miou/val.*"]],
            "validation IoU of all classes": ["Multiline", ["per class/.*"]],
        },
        "validation IoU of each class": {name: ["Multiline", [f"per class/{re.escape(name)}$"]] for name in classes},
    }
