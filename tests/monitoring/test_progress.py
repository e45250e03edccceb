import io
import logging
import re

import pytest
import pytorch_lightning as pl
import torch
from rich.console import Console
from torch.utils.data import DataLoader, TensorDataset

from facesegl import console
from facesegl.monitoring import TrainingProgress, progress
from helpers.modules import bare_trainer, make_trainer

pytestmark = bare_trainer


class Line(pl.LightningModule):
    """One weight; its loss is 0.5."""

    def __init__(self, stop_at=None, error=None):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.stop_at, self.error = stop_at, error

    def training_step(self, batch, batch_idx):
        if (self.current_epoch, batch_idx) == self.stop_at:
            raise self.error
        return 0 * self.weight + 0.5

    def validation_step(self, batch, batch_idx):
        self.log("val/miou", 0.8125)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def loader():
    return DataLoader(TensorDataset(torch.zeros(4, 1)))


def fit(module, *callbacks, ckpt_path=None, **flags):
    trainer = make_trainer(3, callbacks, **{"enable_progress_bar": True, **flags})
    trainer.fit(module, loader(), loader(), ckpt_path=ckpt_path, weights_only=True)
    return trainer


@pytest.fixture
def terminal(monkeypatch):
    screen = Console(file=io.StringIO(), force_terminal=True, width=90, _environ={"TERM": "xterm"})
    monkeypatch.setattr(console, "console", lambda: screen)
    return screen.file


@pytest.fixture
def lines(monkeypatch, caplog):
    monkeypatch.setattr(console, "console", lambda: Console(file=io.StringIO(), force_terminal=False))
    caplog.set_level(logging.INFO, "facesegl")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "facesegl"]


def test_without_a_terminal_there_is_a_line_for_each_epoch(lines):
    fit(Line(), TrainingProgress(every_s=1000))
    assert lines() == [
        "epoch 1/3  loss 0.500  val/miou 0.812  0:00 left",
        "epoch 2/3  loss 0.500  val/miou 0.812  0:00 left",
        "epoch 3/3  loss 0.500  val/miou 0.812  took 0:00",
    ]


@pytest.mark.parametrize("batches", [1, 2])
def test_lines_within_an_epoch_have_epoch_loss_of_a_batch_score_and_time_left(lines, batches):
    fit(Line(), TrainingProgress(every_s=0), accumulate_grad_batches=batches)
    assert all("loss 0.500" in line for line in lines())
    assert len(lines()) == 3 * 4
    assert lines()[5] == "epoch 2/3  loss 0.500  val/miou 0.812  0:00 left"


def test_without_validation_there_is_no_score(lines):
    fit(Line(), TrainingProgress(every_s=0), validate=False)
    assert not any("miou" in line for line in lines())


def test_a_terminal_has_one_bar_for_the_whole_training_and_is_restored(terminal):
    fit(Line(), TrainingProgress(every_s=1000))
    last = terminal.getvalue().split("\n")[-2]
    assert "epoch 3/3" in last
    assert "loss 0.500  val/miou 0.812 took 0:00" in last
    assert terminal.getvalue().count("\n") == 1, "one bar, redrawn in place"
    assert cursor_is_back(terminal)


@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()])
def test_after_an_error_or_ctrl_c_the_terminal_is_restored(terminal, error):
    shown = TrainingProgress(every_s=1000)
    with pytest.raises((RuntimeError, SystemExit)):
        fit(Line(stop_at=(1, 2), error=error), shown)
    assert "epoch 1/3" in terminal.getvalue()
    assert cursor_is_back(terminal)
    assert "took" not in terminal.getvalue()


def cursor_is_back(terminal):
    return 0 <= terminal.getvalue().rfind("\x1b[?25l") < terminal.getvalue().rfind("\x1b[?25h")


@pytest.mark.parametrize("end", [{"max_epochs": -1, "max_steps": 6}, {"max_epochs": 9, "max_steps": 6}])
def test_a_limit_of_steps_is_the_total(monkeypatch, lines, end):
    seen = watch_progress(monkeypatch)
    fit(Line(), TrainingProgress(every_s=0), **end)
    assert seen[-1] == (6, 6)


def test_without_any_end_there_is_no_time_left(lines):
    fit(Line(), TrainingProgress(every_s=0), max_epochs=-1, max_time={"seconds": 1}, validate=False)
    assert lines()[0].startswith("epoch 1  loss")
    assert not any("left" in line for line in lines())


def test_a_resumed_training_continues_the_count_with_its_own_pace(monkeypatch, lines, tmp_path):
    fit(Line(), max_epochs=2, enable_progress_bar=False).save_checkpoint(tmp_path / "two.ckpt")
    seen = watch_progress(monkeypatch)
    fit(Line(), TrainingProgress(every_s=0), max_epochs=4, ckpt_path=tmp_path / "two.ckpt")
    assert seen[0] == (9, 16)
    assert lines()[0] == "epoch 3/4  loss 0.500", "no time left is guessed from batches of another process"
    assert seen[-1] == (16, 16)


def watch_progress(monkeypatch):
    """(done, total) of each update."""
    seen, show = [], progress._Lines.show
    monkeypatch.setattr(
        progress._Lines, "show", lambda self, now, clock: (seen.append((now.done, now.total)), show(self, now, clock))
    )
    return seen


def test_the_time_left_follows_from_the_pace_since_the_first_batch(monkeypatch, lines):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    class Slow(Line):
        def training_step(self, batch, batch_idx):
            now[0] += 100 if self.global_step == 0 else 10
            return super().training_step(batch, batch_idx)

    fit(Slow(), TrainingProgress(every_s=0), validate=False)
    left = [re.search(r"\S+ left", line) for line in lines()]
    assert [found and found[0] for found in left[:3]] == [None, "1:40 left", "1:30 left"]
    assert lines()[-1].endswith("took 3:30")


def test_the_loss_is_not_read_at_every_batch(terminal, monkeypatch):
    reads, numbers = [], progress._Progress.numbers
    monkeypatch.setattr(progress._Progress, "numbers", lambda self: reads.append(1) or numbers(self))
    monkeypatch.setattr(progress, "_REDRAW_S", 1000)
    fit(Line(), TrainingProgress(every_s=0))
    assert len(reads) == 2, "at the first batch and at the end"


def test_a_disabled_one_shows_nothing(terminal, lines):
    shown = TrainingProgress(every_s=0)
    shown.disable()
    assert not shown.is_enabled
    fit(Line(), shown)
    assert terminal.getvalue() == ""
    assert lines() == []
    shown.enable()
    assert shown.is_enabled


def test_it_changes_nothing_in_the_global_generator(lines):
    states = []
    for callbacks in ([TrainingProgress(every_s=0)], []):
        torch.manual_seed(0)
        fit(Line(), *callbacks, enable_progress_bar=bool(callbacks))
        states.append(torch.get_rng_state())
    assert torch.equal(*states)
