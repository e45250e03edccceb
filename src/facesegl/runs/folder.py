"""A run's folder: made for one run alone, locked while that runs, and never left in doubt.

runs/<name>/<date_time>/          (a job of a sweep: runs/<name>/<date_time>/<job>/)
  config.yaml  folds.json  log.txt  result.json  scores.csv  per_image.csv
  checkpoints/  tensorboard/  panels/

A state of `running` in result.json without a holder of the lock is a run that died.
"""

import contextlib
import itertools
import logging
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import filelock
import yaml
from omegaconf import DictConfig

from facesegl.errors import ConfigError, FaceseglError, MachineError, Stopped
from facesegl.files import machine_errors, write_text
from facesegl.runs.result import Result, read_result

log = logging.getLogger(__name__)

_LOCK = ".lock"
_FOLDER, _CHECKPOINT = "FACESEGL_RUN_FOLDER", "FACESEGL_RUN_CHECKPOINT"


class Joined(NamedTuple):
    """The run of the process that started this one: the other ranks of a training have no folder of their own.

    Attributes:
        folder: the run's folder.
        checkpoint: where it goes on; None for a new run.
    """

    folder: Path
    checkpoint: Path | None


def joined() -> Joined | None:
    """The run that this process was started for, if it is not the first of a run."""
    folder, checkpoint = os.environ.get(_FOLDER), os.environ.get(_CHECKPOINT)
    return Joined(Path(folder), Path(checkpoint) if checkpoint else None) if folder else None


def new_folder(plan: DictConfig) -> Path:
    """Make the folder that a plan's `paths.run` names (a sweep names one a job), or a new one by date and time.

    Raises:
        ConfigError: that folder holds a run already.
        MachineError: it cannot be made there.
    """
    if plan.paths.run is None:
        return make_folder(Path(plan.paths.runs) / plan.name)
    folder = Path(plan.paths.run)
    with machine_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if before := read_result(folder):
        state = before.get("state")
        rest = "init=RUN starts from its weights" if state == "done" else "resume=auto goes on with a training"
        raise ConfigError(f"paths.run={folder}: it holds a run already, which is {state}. Name another folder; {rest}.")
    return folder


def make_folder(parent: Path) -> Path:
    """Make a folder below `parent` that nobody else has, named by date and time.

    Raises:
        MachineError: it cannot be made there.
    """
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    with machine_errors(parent):
        parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, 1000):
            folder = parent / (stamp if attempt == 1 else f"{stamp}_{attempt}")
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                return folder
    raise MachineError(f"{parent}: a thousand runs started in one second; start it again.")


def _set_aside(folder: Path) -> None:
    """Give what an earlier start of a run has written a number, where its writer would begin by deleting it."""
    if folder.is_dir():
        places = (folder.with_name(f"{folder.name}_{number}") for number in itertools.count(1))
        folder.replace(next(place for place in places if not place.exists()))


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Hold the folder's lock, which dies with its process; yields False if a live run has it."""
    lock = filelock.FileLock(folder / _LOCK)
    try:
        with machine_errors(folder):
            lock.acquire(timeout=0)
    except filelock.Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def is_live(folder: Path) -> bool:
    """Whether a running process holds the folder."""
    if not (folder / _LOCK).exists():
        return False
    with locked(folder) as free:
        return not free


@contextlib.contextmanager
def recording(result: Result, checkpoint: Path | None = None) -> Iterator[Result]:
    """Keep the record of a run: config.yaml, and result.json and log.txt from start to end, whatever the end is.

    Args:
        result: the record.
        checkpoint: where the run goes on; None for a new one. The other ranks are told.

    Raises:
        MachineError: another process holds the folder.
    """
    if joined():
        yield result
        return
    with locked(result.folder) as free:
        if not free:
            raise MachineError(f"{result.folder}: a live run holds this folder; wait for it, or start a new run.")
        before = read_result(result.folder) or {}
        result.seconds = before.get("seconds") or {}
        _set_aside(result.folder / "csv")
        os.environ[_FOLDER] = str(result.folder.absolute())
        os.environ[_CHECKPOINT] = str(checkpoint.absolute()) if checkpoint else ""
        try:
            with _log_file(result.folder / "log.txt"):
                result.write()
                config = yaml.safe_dump(result.config, sort_keys=False, allow_unicode=True)
                write_text(result.folder / "config.yaml", config)
                yield from _ended(result)
        finally:
            del os.environ[_FOLDER], os.environ[_CHECKPOINT]


def _ended(result: Result) -> Iterator[Result]:
    try:
        yield result
        result.state = "done"
    except BaseException as error:
        stopped = isinstance(error, Stopped | KeyboardInterrupt)
        result.state = "stopped" if stopped else "failed"
        code = getattr(error, "exit_code", 130 if stopped else FaceseglError.exit_code)
        result.failure = {"exit_code": code, "messages": str(error).splitlines() or [type(error).__name__]}
        log.debug("the run ended with %r", error, exc_info=not isinstance(error, FaceseglError | Stopped))
        raise
    finally:
        result.write()


@contextlib.contextmanager
def _log_file(path: Path) -> Iterator[None]:
    """What the command says, with times, in the run's folder too."""
    logger = logging.getLogger("facesegl")
    with machine_errors(path):
        handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
