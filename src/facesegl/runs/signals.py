"""Ctrl-C, SIGTERM, a cluster's warning and a time limit end a training after the current step, with a checkpoint."""

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities.exceptions import SIGTERMException

from facesegl.errors import Pruned, Stopped
from facesegl.learning.callbacks import LastCheckpoint, Pruning, StopTogether, TimeLimit
from facesegl.runs.slurm import handled

log = logging.getLogger(__name__)


@contextlib.contextmanager
def stop_after_step(trainer: pl.Trainer, resume_hint: str) -> Iterator[None]:
    """Wrap `trainer.fit`: the first Ctrl-C, like SIGTERM, ends it after the current step; the second ends it at once.

    So does a signal that announces the end of a cluster's job, if it has a handler, which is left to the caller.

    Args:
        trainer: the trainer.
        resume_hint: the end of the message.

    Raises:
        Stopped: a signal or the time limit ended the training.
        Pruned: a search ended it.
    """
    received = signal.SIGTERM

    def terminate(_signum: int, _frame: Any) -> None:
        callbacks = trainer.callbacks  # type: ignore[attr-defined]
        asked = any(one.asked for one in callbacks if isinstance(one, StopTogether))
        if not (trainer.received_sigterm or asked):  # Lightning handles the signal once its first step is near
            raise Stopped(f"by {received.name} before a step. {resume_hint}", received)

    def interrupt(_signum: int, _frame: Any) -> None:
        nonlocal received
        received = signal.SIGINT
        repeated = "TORCHELASTIC_RUN_ID" in os.environ  # torchrun sends it again, and SIGKILL after half a minute
        log.info("stopping after this step%s", "" if repeated else "; press Ctrl-C again to stop at once")
        signal.signal(signal.SIGINT, signal.SIG_IGN if repeated else signal.default_int_handler)
        os.kill(os.getpid(), signal.SIGTERM)  # Lightning ends cleanly on SIGTERM

    def announced(signum: int, _frame: Any) -> None:
        nonlocal received
        received = signal.Signals(signum)
        os.kill(os.getpid(), signal.SIGTERM)

    cluster: dict[signal.Signals, Any] = dict.fromkeys(handled(), announced)
    try:
        with handlers({signal.SIGINT: interrupt, signal.SIGTERM: terminate, **cluster}):
            yield
    except SIGTERMException:
        callbacks = trainer.callbacks  # type: ignore[attr-defined]
        if any(isinstance(one, TimeLimit) and one.ended for one in callbacks):
            reason = f"by trainer.max_time after step {trainer.global_step}, in {_epoch(trainer)}"
            raise Stopped(f"{reason}, {_kept(trainer)}. {resume_hint}", 0) from None
        if any(isinstance(one, Pruning) and one.ended for one in callbacks):
            raise Pruned(f"by pruning after {_epoch(trainer)}, {_kept(trainer)}.") from None
        raise Stopped(f"by {received.name} after a step, {_kept(trainer)}. {resume_hint}", received) from None
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        raise Stopped(f"at once by SIGINT. {resume_hint}", signal.SIGINT) from None


@contextlib.contextmanager
def stop_now(what: str, resume_hint: str) -> Iterator[None]:
    """Wrap work that a signal ends at once; the message says what was interrupted and how to resume.

    Args:
        what: a description of the work, e.g. "while it was scored".
        resume_hint: the end of the message.

    Raises:
        Stopped: a signal ended it.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped(f"by SIGINT {what}. {resume_hint}", signal.SIGINT) from None
    except Stopped as error:
        signum = signal.Signals(error.exit_code - 128)
        raise Stopped(f"by {signum.name} {what}. {resume_hint}", signum) from None


def _epoch(trainer: pl.Trainer) -> str:
    last = trainer.max_epochs
    return f"epoch {trainer.fit_loop.epoch_progress.current.ready}" + (f" of {last}" if last and last > 0 else "")


def _kept(trainer: pl.Trainer) -> str:
    written = [one.written_step for one in trainer.checkpoint_callbacks if isinstance(one, LastCheckpoint)]
    if not written:
        return "without a checkpoint, since callbacks.checkpoint is none"
    if written[0] == trainer.global_step:
        return "with a checkpoint of it"
    last = f"the last checkpoint is of step {written[0]}" if written[0] >= 0 else "no checkpoint was written yet"
    return f"while an epoch was validated; {last}"


@contextlib.contextmanager
def handlers(chosen: dict[signal.Signals, Any]) -> Iterator[None]:
    """Set signal handlers for a block; does nothing in a thread, where Python allows none."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return
    before = {signum: signal.signal(signum, handler) for signum, handler in chosen.items()}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
