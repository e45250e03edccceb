"""Small trainings, and callbacks that send a signal to one or copy it."""

import os
import shutil
import signal
from pathlib import Path

import pytorch_lightning as pl

from facesegl.prediction.model import read_card
from facesegl.pretrained import FACES

SMALL = [
    "data.image_size=16",
    "data.batch_size=2",
    "data.synthetic_share=0",
    "trainer=cpu",
    "trainer.max_epochs=3",
    "callbacks.checkpoint.every_s=0",
    "callbacks.panels=null",
]
SMALL_UNET = [*SMALL, "model.channels=4", "model.depth=3"]


def net_of_faces():
    """The keys for a net like that of `facesegl:faces`."""
    net = {name: value for name, value in read_card(FACES)["net"].items() if name not in {"_target_", "num_classes"}}
    return [f"model.{name}={value}" for name, value in net.items()]


class Signal(pl.Callback):
    """Sends this process a signal after a step, once: then the file `marker` exists."""

    def __init__(self, after_step: int, signum: int, marker: str) -> None:
        self.after_step, self.signum, self.marker = after_step, signum, Path(marker)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.after_step and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), self.signum)


class Unsaved:
    """A factor of the learning rate whose state is no plain data."""

    def __init__(self) -> None:
        self.function = print

    def __call__(self, epoch: int) -> float:
        return 1.0


class Copies(pl.Callback):
    """Copies the run folder as a kill would leave it: at the start of each epoch, to `copies/EPOCH`."""

    def on_train_epoch_start(self, trainer, pl_module):
        folder = Path(trainer.checkpoint_callback.dirpath).parent
        if trainer.current_epoch and not (copy := Path("copies", str(trainer.current_epoch))).exists():
            shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(".lock"))


COPIES = ["+callbacks.copies._target_=helpers.trainings.Copies"]


def disturbed(after_step, signum=signal.SIGKILL):
    return [
        "+callbacks.disturb._target_=helpers.trainings.Signal",
        f"+callbacks.disturb.after_step={after_step}",
        f"+callbacks.disturb.signum={int(signum)}",
        f"+callbacks.disturb.marker={Path('disturbed').absolute()}",
    ]
