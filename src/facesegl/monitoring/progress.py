"""How far a training is: one bar over all its epochs on a terminal, sparse plain lines elsewhere."""

import logging
import math
import time
from collections.abc import Mapping
from typing import Any, Protocol

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar

from facesegl.console import bar, duration, is_live

_REDRAW_S = 0.5  # reading a loss waits for the device, so it is not read more often than a person can
_SCORE = "val/miou"
_log = logging.getLogger("facesegl")


class TrainingProgress(ProgressBar):
    """Lightning's progress bar, but for the whole training: a person wants to know when it will be done.

    A resumed training starts where it left off; the time left follows from the pace of this process alone.

    Args:
        every_s: seconds between two lines where there is no terminal.
    """

    def __init__(self, every_s: float) -> None:
        super().__init__()
        self.every_s = every_s
        self._enabled = True
        self._standing: _Standing | None = None
        self._display: _Display | None = None

    @property
    def is_enabled(self) -> bool:
        """Whether anything is shown: Lightning disables all ranks but the first, and its tuners switch it off."""
        return self._enabled

    def disable(self) -> None:
        """Show nothing from now on."""
        self._enabled = False

    def enable(self) -> None:
        """Show progress again."""
        self._enabled = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to show; rich and its thread start here and not sooner."""
        if self.is_enabled:
            self._standing = _Standing(trainer)
            self._display = _Bar(self._standing.total) if is_live() else _Lines(self.every_s)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count, and show what is known when it is due; between that nothing is read from the device."""
        if self._display is None or self._standing is None:
            return
        self._standing.count(outputs, batch_idx)
        if self._display.is_due():
            self._display.show(self._standing, self._standing.left())

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the last numbers and leave them there."""
        if self._display is not None and self._standing is not None and self._standing.done:
            self._display.show(self._standing, self._standing.took())
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give the terminal back, whatever ended the training: an error, Ctrl-C or SIGTERM."""
        self._close()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Give the terminal back, at the latest."""
        self._close()

    def _close(self) -> None:
        if self._display is not None:
            self._display.close()
        self._standing = self._display = None


class _Standing:
    """Where the training stands, in batches since its first epoch, and how quickly this process moves on.

    Attributes:
        done: batches since the first epoch, those of earlier processes included.
        total: how many there will be; None where only a clock or a person ends the training.
        epoch: the epoch in words.
    """

    def __init__(self, trainer: pl.Trainer) -> None:
        self._trainer = trainer
        self._started = time.monotonic()
        self._first: tuple[float, int] | None = None
        self._loss: Any = None
        self.done = 0
        self.total = _planned_batches(trainer)
        self.epoch = ""
        size = getattr(trainer.lightning_module, "image_size", None)
        self._score_name = f"{_SCORE} at {size}x{size}" if size else _SCORE  # not that of the tables, at native size

    def count(self, outputs: Any, batch_idx: int) -> None:
        """One more batch; its loss is kept where it is and not read."""
        epoch, batches, last = self._trainer.current_epoch, self._trainer.num_training_batches, self._trainer.max_epochs
        self.done = batch_idx + 1 + (epoch * int(batches) if math.isfinite(batches) else 0)
        self.epoch = f"epoch {epoch + 1}/{last}" if _is_limit(last) else f"epoch {epoch + 1}"
        if isinstance(outputs, Mapping):
            self._loss = outputs.get("loss")
        # The pace counts from the end of the first batch, which warms up and waits for the first photos.
        self._first = self._first or (time.monotonic(), self.done)

    def numbers(self) -> str:
        """The latest loss and score, read from the device now."""
        score = self._trainer.callback_metrics.get(_SCORE)
        # Lightning hands the loss on divided by the number of batches that make a step.
        loss = None if self._loss is None else float(self._loss) * self._trainer.accumulate_grad_batches
        shown = [f"loss {loss:#.3g}"] if loss is not None else []
        return "  ".join(shown if score is None else [*shown, f"{self._score_name} {float(score):.3f}"])

    def left(self) -> str:
        """The time that the rest takes at this process's pace; empty until it is known."""
        if self.total is None or self._first is None or self.done <= self._first[1]:
            return ""
        began, before = self._first
        return f"{duration((time.monotonic() - began) / (self.done - before) * (self.total - self.done))} left"

    def took(self) -> str:
        """The time that this process has trained."""
        return f"took {duration(time.monotonic() - self._started)}"


class _Display(Protocol):
    """A way to show where the training stands."""

    def is_due(self) -> bool: ...

    def show(self, standing: _Standing, clock: str) -> None: ...

    def close(self) -> None: ...


class _Bar:
    """One bar that is redrawn in place by rich's own thread; only `show` reads new numbers."""

    def __init__(self, total: int | None) -> None:
        from rich.progress import BarColumn, TextColumn

        epoch, *numbers = (
            TextColumn(text, markup=False)
            for text in ("{task.description}", "{task.fields[numbers]}", "{task.fields[clock]}")
        )
        self._bar = bar(epoch, BarColumn(bar_width=None), *numbers)
        self._task = self._bar.add_task("training", total=total, numbers="", clock="")
        self._shown = -math.inf
        self._bar.start()

    def is_due(self) -> bool:
        return time.monotonic() - self._shown >= _REDRAW_S

    def show(self, standing: _Standing, clock: str) -> None:
        self._shown = time.monotonic()
        numbers = standing.numbers()
        self._bar.update(self._task, completed=standing.done, description=standing.epoch, numbers=numbers, clock=clock)

    def close(self) -> None:
        self._bar.stop()


class _Lines:
    """A line after the first batch, one at the end, and one every few seconds between."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._shown = -math.inf

    def is_due(self) -> bool:
        return time.monotonic() - self._shown >= self._every_s

    def show(self, standing: _Standing, clock: str) -> None:
        self._shown = time.monotonic()
        _log.info("  ".join(text for text in (standing.epoch, standing.numbers(), clock) if text))

    def close(self) -> None:
        """There is nothing to give back."""


def _planned_batches(trainer: pl.Trainer) -> int | None:
    """How many batches the whole training has, from its first epoch on; None where nothing but a clock limits it."""
    limits: list[float] = []
    if _is_limit(trainer.max_epochs):
        limits.append((trainer.max_epochs or 0) * trainer.num_training_batches)
    if _is_limit(trainer.max_steps):
        limits.append(trainer.max_steps * trainer.accumulate_grad_batches)
    most = min(limits, default=math.inf)
    return int(most) if math.isfinite(most) else None


def _is_limit(value: int | None) -> bool:
    return value is not None and value >= 0  # Lightning's -1 is "no limit"
