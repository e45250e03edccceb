"""A run folder: created for one run, locked while it runs, its state always recorded.

runs/<name>/<date_time>/          (a job of a sweep: runs/<name>/<date_time>/<job>/)
  config.yaml  folds.json  log.txt  result.json  scores.csv  per_image.csv
  checkpoints/  tensorboard/  panels/

A run whose state in result.json is `running` while nobody holds the lock has died.

The other ranks of a training join the run of rank 0, and leave records, log lines and output to it (ranks.py). Those
that Lightning starts find it in two environment variables; any other child of rank 0 inherits LOCAL_RANK=0, and is no
rank.
"""

import contextlib
import itertools
import logging
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig

from facesegl.console import printable
from facesegl.errors import ConfigError, FaceseglError, MachineError, Pruned, Stopped
from facesegl.files import machine_errors, write_text
from facesegl.runs.locks import locked
from facesegl.runs.ranks import RUN_CHECKPOINT, RUN_FOLDER, is_first, launched
from facesegl.runs.result import Result, Run, read_result

log = logging.getLogger(__name__)


def run_of_rank_zero() -> Run | None:
    """The run that this process joins as another rank, for which it may wait; None on rank 0.

    Raises:
        FaceseglError, Stopped: rank 0 has ended with it.
    """
    if is_first():
        return None
    if ranks := launched():
        return _run_of(ranks.receive("run"))
    checkpoint = os.environ[RUN_CHECKPOINT]
    folder = Path(os.environ[RUN_FOLDER])
    return Run(folder, Path(checkpoint) if checkpoint else None, read_result(folder) or {})


def show_to_ranks(run: Run) -> None:
    """Give the run of rank 0 to the ranks that wait for it."""
    if ranks := launched():
        paths = {"folder": str(run.folder.absolute()), "checkpoint": run.checkpoint and str(run.checkpoint.absolute())}
        ranks.send("run", run._asdict() | paths)


def _run_of(sent: dict[str, Any]) -> Run:
    checkpoint = sent["checkpoint"]
    paths = {"folder": Path(sent["folder"]), "checkpoint": Path(checkpoint) if checkpoint else None}
    return Run(**(sent | paths))


@contextlib.contextmanager
def _named_for_other_ranks(folder: Path, checkpoint: Path | None) -> Iterator[None]:
    os.environ[RUN_FOLDER] = str(folder.absolute())
    os.environ[RUN_CHECKPOINT] = str(checkpoint.absolute()) if checkpoint else ""
    try:
        yield
    finally:
        del os.environ[RUN_FOLDER], os.environ[RUN_CHECKPOINT]


def new_folder(plan: DictConfig) -> Path:
    """Make the folder of a new run: `paths.run` (set for each job of a sweep), or one named by date and time.

    Raises:
        ConfigError: the folder contains a run already.
        MachineError: it cannot be made.
    """
    if plan.paths.run is None:
        return make_folder(Path(plan.paths.runs) / plan.name)
    require_unused(plan)
    folder = Path(plan.paths.run)
    with machine_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def require_unused(plan: DictConfig) -> None:
    """Refuse a `paths.run` that contains a run already, with a ConfigError."""
    if not plan.paths.run:
        return
    folder = Path(plan.paths.run)
    if before := read_result(folder):
        state = before.get("state")
        hint = "init=RUN starts from its weights" if state == "done" else "resume=auto resumes a training"
        raise ConfigError(
            f"paths.run={folder}: it contains a run already, which is {state}. Name another folder; {hint}."
        )
    if left := sorted(folder.glob("checkpoints/*.ckpt")):
        raise ConfigError(
            f"paths.run={folder}: it contains {left[0].relative_to(folder)} of a run without a readable result.json. "
            f"Name another folder, or move it away; init={left[0]} starts from its weights."
        )


def make_folder(parent: Path) -> Path:
    """Make a new folder below `parent`, named by date and time.

    Raises:
        MachineError: it cannot be made.
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
    if folder.is_dir():
        names = (folder.with_name(f"{folder.name}_{number}") for number in itertools.count(1))
        folder.replace(next(name for name in names if not name.exists()))


@contextlib.contextmanager
def recording(result: Result, checkpoint: Path | None = None) -> Iterator[None]:
    """Write config.yaml, result.json and log.txt; result.json is updated however the block ends.

    Args:
        result: the record to write.
        checkpoint: the checkpoint to resume from, for other ranks.

    Raises:
        MachineError: another process holds the folder.
    """
    if not is_first():
        yield
        return
    with locked(result.folder) as free:
        if not free:
            raise MachineError(f"{result.folder}: another process is using this run folder; wait, or start a new run.")
        _set_aside(result.folder / "csv")  # or the logger would delete what an earlier start wrote
        with _named_for_other_ranks(result.folder, checkpoint), _log_file(result.folder / "log.txt"):
            result.write()
            config = yaml.safe_dump(result.config, sort_keys=False, allow_unicode=True)
            write_text(result.folder / "config.yaml", config)
            with _recorded_end(result):
                yield


@contextlib.contextmanager
def _recorded_end(result: Result) -> Iterator[None]:
    try:
        yield
        result.state = "done"
    except BaseException as error:
        stopped = isinstance(error, Stopped | KeyboardInterrupt)
        result.state = "pruned" if isinstance(error, Pruned) else "stopped" if stopped else "failed"
        code = getattr(error, "exit_code", 130 if stopped else FaceseglError.exit_code)
        result.failure = {"exit_code": code, "messages": _messages(error)}
        log.debug("the run ended with %r", error, exc_info=not isinstance(error, FaceseglError | Stopped))
        raise
    finally:
        result.write()


def _messages(error: BaseException) -> list[str]:
    problems = error.problems if isinstance(error, FaceseglError | Stopped) else str(error).splitlines()
    return list(problems) or [type(error).__name__]


@contextlib.contextmanager
def _log_file(path: Path) -> Iterator[None]:
    logger = logging.getLogger("facesegl")
    with machine_errors(path):
        handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)-7s %(message)s"))
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()


class _OneLine(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - named by logging
        return printable(super().formatMessage(record).rstrip())

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return "\n".join(map(printable, super().formatException(ei).splitlines()))
