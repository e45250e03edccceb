"""The layout of TensorBoard's Custom Scalars: both losses in one chart, the IoU of all classes in another."""

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger

_LAYOUT = {
    "facesegl": {
        "loss: training and validation": ["Multiline", ["train/loss", "val/loss"]],
        "validation IoU of each class": ["Multiline", ["val/iou/.*"]],
    }
}


class Charts(pl.Callback):
    """Lays out TensorBoard's Custom Scalars tab."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the layout, if TensorBoard is used."""
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
                logger.experiment.add_custom_scalars(_LAYOUT)
