"""Ctrl-C and SIGTERM end a training after the step that they meet, with a checkpoint of it."""

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities.exceptions import SIGTERMException

from facesegl.errors import Stopped
from facesegl.learning.callbacks import LastCheckpoint

log = logging.getLogger(__name__)


@contextlib.contextmanager
def stops_after_a_step(trainer: pl.Trainer, how_to_go_on: str) -> Iterator[None]:
    """Around `trainer.fit`: the first Ctrl-C ends it as SIGTERM does, after a step; the second ends it at once.

    Args:
        trainer: whose training it is.
        how_to_go_on: the last part of the message.

    Raises:
        Stopped: a signal ended the training.
    """
    received = signal.SIGTERM

    def terminate(_signum: int, _frame: Any) -> None:
        if not trainer.received_sigterm:  # Lightning listens from shortly before its first step on
            raise Stopped(f"by {received.name} before a step. {how_to_go_on}", received)

    def interrupt(_signum: int, _frame: Any) -> None:
        nonlocal received
        received = signal.SIGINT
        log.info("stopping after this step; press Ctrl-C again to stop at once")
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.kill(os.getpid(), signal.SIGTERM)  # Lightning ends cleanly on this one

    try:
        with _handlers({signal.SIGINT: interrupt, signal.SIGTERM: terminate}):
            yield
    except SIGTERMException:
        raise Stopped(f"by {received.name} after a step, {_kept(trainer)}. {how_to_go_on}", received) from None
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        raise Stopped(f"at once by SIGINT. {how_to_go_on}", signal.SIGINT) from None


@contextlib.contextmanager
def stops_at_once(what: str, how_to_go_on: str) -> Iterator[None]:
    """Around work that a signal ends where it is, so that the message says what was done and how to go on.

    Args:
        what: what is being done, as in "while it was scored".
        how_to_go_on: the last part of the message.

    Raises:
        Stopped: a signal ended it.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped(f"by SIGINT {what}. {how_to_go_on}", signal.SIGINT) from None
    except Stopped as error:
        signum = signal.Signals(error.exit_code - 128)
        raise Stopped(f"by {signum.name} {what}. {how_to_go_on}", signum) from None


def _kept(trainer: pl.Trainer) -> str:
    """What is left of a training that SIGTERM ended; the validation of an epoch is not waited for."""
    written = [one.written_step for one in trainer.checkpoint_callbacks if isinstance(one, LastCheckpoint)]
    if not written:
        return "without a checkpoint, since callbacks.checkpoint is none"
    if written[0] == trainer.global_step:
        return "with a checkpoint of it"
    last = f"the last checkpoint is of step {written[0]}" if written[0] >= 0 else "no checkpoint was written yet"
    return f"while an epoch was validated; {last}"


@contextlib.contextmanager
def _handlers(handlers: dict[signal.Signals, Any]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # signals reach the main thread alone
        yield
        return
    before = {signum: signal.signal(signum, handler) for signum, handler in handlers.items()}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
