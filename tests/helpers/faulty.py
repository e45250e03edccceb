"""Parts for configs that fail or send signals at a chosen moment."""

import contextlib
import os
import shutil
import sys
import threading
import time
from pathlib import Path

import pytorch_lightning as pl
import torch

from facesegl.errors import TrainingError
from facesegl.nets import UNet
from facesegl.sources import FASSEG


class SignallingFASSEG(FASSEG):
    """Sends this process a signal when a mask is read for the n-th time; caching reads them in threads."""

    def __init__(self, root: str, version: str, signum: int, at: int) -> None:
        super().__init__(root, version)
        self.signum, self.at, self.masks_read, self.counting = signum, at, 0, threading.Lock()

    def read_mask(self, sample, taxonomy):
        with self.counting:
            self.masks_read += 1
            is_due = self.masks_read == self.at
        if is_due:
            os.kill(os.getpid(), self.signum)
        return super().read_mask(sample, taxonomy)


class SignalAtSetup(pl.Callback):
    """Sends this process a signal when `trainer.fit` begins, before Lightning handles any."""

    def __init__(self, signum: int) -> None:
        self.signum = signum

    def setup(self, trainer, pl_module, stage):
        os.kill(os.getpid(), self.signum)


class SignalInDestructor(SignalAtSetup):
    """Sends the signal while a destructor runs, which swallows whatever the signal raises."""

    def setup(self, trainer, pl_module, stage):
        parent = super()

        class Dying:
            def __del__(self):
                parent.setup(trainer, pl_module, stage)

        Dying()
        time.sleep(5)


class CopyAtEnd(pl.Callback):
    """Copies a file over another one when training ends, before it is scored."""

    def __init__(self, source: str, target: str) -> None:
        self.source, self.target = source, target

    def on_train_end(self, trainer, pl_module):
        shutil.copy(self.source, self.target)


class FillDisk(pl.Callback):
    """Fills the disk at `folder` when a step begins, except for `room` bytes."""

    def __init__(self, folder: str, at_step: int, room: int) -> None:
        self.folder, self.at_step, self.room = Path(folder), at_step, room

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.at_step:
            with (self.folder / "ballast").open("wb", buffering=0) as file:
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"\0" * 512)
                file.truncate(file.tell() - self.room)


class FailIf(pl.Callback):
    """Fails a training whose command has all of the given words."""

    def __init__(self, words: list[str]) -> None:
        self.words = words

    def on_train_start(self, trainer, pl_module):
        if {*self.words} <= {word.lstrip("+") for word in sys.argv}:
            raise TrainingError("this one was to fail.")


class Poison(pl.Callback):
    """Makes a weight infinite after a step."""

    def __init__(self, after_step: int) -> None:
        self.after_step = after_step

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.after_step:
            with torch.no_grad():
                next(pl_module.net.parameters()).fill_(float("inf"))


class Bug(pl.Callback):
    """Raises an exception of its own."""

    def on_train_start(self, trainer, pl_module):
        raise ValueError("a bug")


class OnePixelNet(torch.nn.Module):
    """A net whose features are 1x1, with batch norm: it cannot be trained on one image."""

    def __init__(self, num_classes: int, channels: int, depth: int) -> None:
        super().__init__()
        pooled = torch.nn.AdaptiveAvgPool2d(1), torch.nn.BatchNorm2d(3), torch.nn.Conv2d(3, num_classes, 1)
        self.layers = torch.nn.Sequential(*pooled)

    def forward(self, images):
        return self.layers(images).expand(-1, -1, *images.shape[-2:])


class Greedy(UNet):
    """A net that lacks memory in training or in evaluation: it asks for too much, or raises what CUDA raises."""

    def __init__(self, num_classes: int, channels: int, depth: int, *, training: bool, cuda: bool) -> None:
        super().__init__(num_classes, channels, depth)
        self.greedy_in_training, self.cuda = training, cuda

    def forward(self, image):
        if self.training == self.greedy_in_training:
            if self.cuda:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has 79.00 GiB.")
            torch.empty(2**50, dtype=torch.uint8)
        return super().forward(image)
