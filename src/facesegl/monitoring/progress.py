"""Training progress: on a terminal one bar over all epochs, elsewhere a log line for each epoch."""

import logging
import math
import time
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar

from facesegl.console import bar, duration, is_live

_REDRAW_S = 0.5  # reading a loss waits for the device, so it is not read more often
_SCORE = "val/miou"
_log = logging.getLogger("facesegl")


class TrainingProgress(ProgressBar):
    """A progress bar for the whole training, with the time left.

    A resumed training continues where it stopped; the time left follows from the pace of this process.

    Args:
        every_s: seconds between two lines within an epoch, without a terminal.
    """

    def __init__(self, every_s: float) -> None:
        super().__init__()
        self.every_s = every_s
        self._enabled = True
        self._progress: _Progress | None = None
        self._display: _Bar | _Lines | None = None

    @property
    def is_enabled(self) -> bool:
        """Whether anything is shown: Lightning and its tuners disable it, also on every rank but the first."""
        return self._enabled

    def disable(self) -> None:
        """Show nothing."""
        self._enabled = False

    def enable(self) -> None:
        """Show progress again."""
        self._enabled = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the display, and rich with its thread."""
        if self.is_enabled:
            self._progress = _Progress(trainer)
            self._display = _Bar(self._progress.total) if is_live() else _Lines(self.every_s)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the epoch before, validated by now; the last one is shown when the training ends."""
        if self._display is not None and self._progress is not None and self._progress.done:
            self._display.end_epoch(self._progress)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch, and update the display if due; only then is anything read from the device."""
        if self._display is None or self._progress is None:
            return
        self._progress.count(outputs, batch_idx)
        if self._display.is_due() and not trainer.is_last_batch:
            self._display.show(self._progress, self._progress.left())

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the final numbers."""
        if self._display is not None and self._progress is not None and self._progress.done:
            self._display.show(self._progress, self._progress.took())
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Restore the terminal after an error, Ctrl-C or SIGTERM."""
        self._close()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Restore the terminal."""
        self._close()

    def _close(self) -> None:
        if self._display is not None:
            self._display.close()
        self._progress = self._display = None


class _Progress:
    """Batches done since the first epoch, and the pace of this process.

    Attributes:
        done: batches since the first epoch, including those of earlier processes.
        total: batches of the whole training; None if no number of epochs or steps limits it.
        epoch: such as `epoch 3/20`.
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
        # the scores in tables are at native size
        self._score_name = f"{_SCORE} at {size}x{size}" if size else _SCORE

    def count(self, outputs: Any, batch_idx: int) -> None:
        """Count a batch; its loss stays on the device."""
        epoch, batches, last = self._trainer.current_epoch, self._trainer.num_training_batches, self._trainer.max_epochs
        self.done = batch_idx + 1 + (epoch * int(batches) if math.isfinite(batches) else 0)
        self.epoch = f"epoch {epoch + 1}/{last}" if _is_limit(last) else f"epoch {epoch + 1}"
        if isinstance(outputs, Mapping):
            self._loss = outputs.get("loss")
        # the pace counts from the end of the first batch, which includes the warm-up
        self._first = self._first or (time.monotonic(), self.done)

    def numbers(self) -> str:
        """The latest loss and score, read from the device."""
        score = self._trainer.callback_metrics.get(_SCORE)
        # Lightning has divided the loss by accumulate_grad_batches
        loss = None if self._loss is None else float(self._loss) * self._trainer.accumulate_grad_batches
        shown = [f"loss {loss:#.3g}"] if loss is not None else []
        return "  ".join(shown if score is None else [*shown, f"{self._score_name} {float(score):.3f}"])

    def left(self) -> str:
        """The time left at this process's pace; empty until it is known."""
        if self.total is None or self._first is None or self.done <= self._first[1]:
            return ""
        began, before = self._first
        return f"{duration((time.monotonic() - began) / (self.done - before) * (self.total - self.done))} left"

    def took(self) -> str:
        return f"took {duration(time.monotonic() - self._started)}"


class _Bar:
    """A bar that rich's thread redraws in place; only `show` reads new numbers."""

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

    def show(self, progress: _Progress, clock: str) -> None:
        self._shown = time.monotonic()
        numbers = progress.numbers()
        self._bar.update(self._task, completed=progress.done, description=progress.epoch, numbers=numbers, clock=clock)

    def end_epoch(self, progress: _Progress) -> None:
        pass

    def close(self) -> None:
        self._bar.stop()


class _Lines:
    """A line for each epoch, and one every few seconds within a longer one."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._shown = time.monotonic()

    def is_due(self) -> bool:
        return time.monotonic() - self._shown >= self._every_s

    def show(self, progress: _Progress, clock: str) -> None:
        self._shown = time.monotonic()
        _log.info("  ".join(text for text in (progress.epoch, progress.numbers(), clock) if text))

    def end_epoch(self, progress: _Progress) -> None:
        self.show(progress, progress.left())

    def close(self) -> None:
        pass


def _planned_batches(trainer: pl.Trainer) -> int | None:
    """Batches of the whole training; None if neither epochs nor steps limit it."""
    limits: list[float] = []
    if _is_limit(trainer.max_epochs):
        limits.append((trainer.max_epochs or 0) * trainer.num_training_batches)
    if _is_limit(trainer.max_steps):
        limits.append(trainer.max_steps * trainer.accumulate_grad_batches)
    most = min(limits, default=math.inf)
    return int(most) if math.isfinite(most) else None


def _is_limit(value: int | None) -> bool:
    return value is not None and value >= 0  # Lightning's -1 is "no limit"
