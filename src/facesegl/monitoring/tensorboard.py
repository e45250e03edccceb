"""Charts of TensorBoard that hold several curves: both losses in one, the IoU of all classes in one."""

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger

_LAYOUT = {
    "facesegl": {
        "loss: training and validation": ["Multiline", ["train/loss", "val/loss"]],
        "validation IoU of each class": ["Multiline", ["val/iou/.*"]],
    }
}


class Charts(pl.Callback):
    """Lays out TensorBoard's tab Custom Scalars."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the layout once, where TensorBoard is written at all."""
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
                logger.experiment.add_custom_scalars(_LAYOUT)
