"""Find the run and the checkpoint that `resume` refers to."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from facesegl.errors import CheckpointError, ConfigError
from facesegl.learning.checkpoint import TRAINED, best_instead, read_checkpoint
from facesegl.runs.locks import is_live
from facesegl.runs.result import Run, read_result
from facesegl.runs.run_folder import require_unused
from facesegl.text import nearest

log = logging.getLogger(__name__)

_NEW_RUN = "To start a new run from its weights use init=CHECKPOINT."


def find_run(plan: DictConfig, identity: str) -> Run | None:
    """Find the run that `plan.resume` refers to: `auto`, a run folder, or a checkpoint in one.

    Args:
        plan: a checked config.
        identity: the identity of the current config and data.

    Returns:
        The run, with its record; None without `resume`, or if `auto` finds no unfinished run. With `auto` the run at
        `paths.run` may be done.

    Raises:
        ConfigError: the run has another identity, is done, or is still running.
        CheckpointError: no such folder or checkpoint, or the checkpoint cannot be resumed from.
    """
    if not plan.resume:
        return None
    run = _automatic(plan, identity) if plan.resume.casefold() == "auto" else _named(plan.resume, identity)
    if run and run.checkpoint and not run.is_done:
        run = run._replace(is_trained=_is_trained(run.checkpoint))
    if run is None and plan.paths.run:
        require_unused(plan)
        log.info("resume=auto: %s has no run yet; it starts", plan.paths.run)
    elif run is None:
        log.info("resume=auto: no unfinished run of this config and data in %s; a new one starts", _parent(plan))
    elif run.is_done:
        log.info("%s is already done; these are its scores", run.folder)
    elif run.is_trained:
        log.info("resuming %s: it is trained, and is only scored", run.folder)
    else:
        start = f"from {run.checkpoint}" if run.checkpoint else "from the beginning: it has no checkpoint yet"
        log.info("resuming %s %s", run.folder, start)
    return run


def _is_trained(path: Path) -> bool:
    """Whether the training has ended by a checkpoint; raises a CheckpointError if it cannot be resumed from."""
    try:
        checkpoint = read_checkpoint(path)
    except CheckpointError as error:
        again = "" if (best := best_instead(path)) is None else f"; resume={best} repeats the training from its epoch"
        raise CheckpointError(f"{error}{again}") from None
    if missing := {"loops", "optimizer_states"} - checkpoint.keys():
        raise CheckpointError(
            f"{path}: without {' and '.join(sorted(missing))}, so no training resumes from it. To start a new run from "
            f"its weights use init={path}."
        )
    return bool(checkpoint.get(TRAINED))


def _parent(plan: DictConfig) -> Path:
    return Path(plan.paths.runs, plan.name)


def _automatic(plan: DictConfig, identity: str) -> Run | None:
    named = Path(plan.paths.run) if plan.paths.run else None
    if named and (record := read_result(named)):
        _require_same(plan.resume, named, record, identity)
        run = Run(named, _last_checkpoint(named), record)
        return run if run.is_done else _newest_unfinished([run], identity)
    below = [path.parent for pattern in ("*/result.json", "*/*/result.json") for path in _parent(plan).glob(pattern)]
    return _newest_unfinished((Run(path, _last_checkpoint(path), _record(path)) for path in below), identity)


def _record(folder: Path) -> dict[str, Any]:
    try:
        return read_result(folder) or {}
    except ConfigError as error:  # of another version
        log.warning("resume=auto: %s", error)
        return {}


def _newest_unfinished(runs: Iterable[Run], identity: str) -> Run | None:
    unfinished = [
        run for run in runs if run.record.get("identity") == identity and not run.is_done and not is_live(run.folder)
    ]
    return max(unfinished, key=lambda run: ((run.folder / "result.json").stat().st_mtime_ns, run.folder), default=None)


def _named(resume: str, identity: str) -> Run:
    path = Path(resume)
    in_checkpoints = path.is_file() and path.parent.name == "checkpoints"
    if not (path.is_dir() or in_checkpoints):
        hint = "did you mean resume=auto?" if nearest(resume, ["auto"]) else "expected auto, or e.g. runs/NAME/DATE."
        raise CheckpointError(f"resume={resume}: no such run folder or checkpoint; {hint}")
    folder = path.parent.parent if in_checkpoints else path
    record = read_result(folder)
    if record is None:
        hint = " It is a sweep: resume it with facesegl train -m." if (folder / "sweep.json").is_file() else ""
        raise CheckpointError(f"resume={resume}: {folder} has no readable result.json; expected a run folder.{hint}")
    if is_live(folder):
        raise ConfigError(f"resume={resume}: that run is still running; wait for it, or stop it first.")
    _require_same(resume, folder, record, identity)
    run = Run(folder, path if in_checkpoints else _last_checkpoint(folder), record)
    if run.is_done:
        raise ConfigError(f"resume={resume}: that run is done. {_NEW_RUN}")
    return run


def _require_same(resume: str, folder: Path, record: Mapping[str, Any], identity: str) -> None:
    if record.get("identity") != identity:
        raise ConfigError(
            f"resume={resume}: the run in {folder} had another config or other data; a run is resumed only with its "
            f"own (its config is in {folder / 'config.yaml'}). {_NEW_RUN}"
        )


def _last_checkpoint(folder: Path) -> Path | None:
    last = folder / "checkpoints" / "last.ckpt"
    return last if last.is_file() else None
