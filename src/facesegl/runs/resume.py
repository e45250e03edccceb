"""Which run goes on, and from which checkpoint."""

import logging
from pathlib import Path
from typing import NamedTuple

from facesegl.errors import CheckpointError, ConfigError
from facesegl.runs.folder import is_live
from facesegl.runs.result import read_result

log = logging.getLogger(__name__)


class Resumed(NamedTuple):
    """A run to go on with.

    Attributes:
        folder: its folder.
        checkpoint: where it goes on; None if it died before its first one.
    """

    folder: Path
    checkpoint: Path | None


def find_run(resume: str, runs: Path, name: str, identity: str) -> Resumed | None:
    """Find the run that `resume` means.

    Args:
        resume: `auto`, a run folder, or a checkpoint in one.
        runs: the folder of all runs.
        name: the folder below it that the config's runs go to.
        identity: that of config and data now.

    Returns:
        The run, or None if `auto` finds none that is unfinished.

    Raises:
        ConfigError: the run is another one, is done, or still alive.
        CheckpointError: no such folder or checkpoint.
    """
    if resume == "auto":
        return _newest_unfinished(runs / name, identity)
    folder = _folder_of(Path(resume))
    result = read_result(folder)
    if result is None:
        raise CheckpointError(f"resume={resume}: {folder} has no readable result.json; expected the folder of a run.")
    if is_live(folder):
        raise ConfigError(f"resume={resume}: that run is still going on; wait for it, or stop it first.")
    if result.get("identity") != identity:
        raise ConfigError(
            f"resume={resume}: that run had another config or other data; a run goes on only as it began (its config "
            f"is in {folder / 'config.yaml'}). To start a new run from its weights use init=CHECKPOINT."
        )
    if result.get("state") == "done":
        raise ConfigError(
            f"resume={resume}: that run is done. To start a new run from its weights use init=CHECKPOINT."
        )
    checkpoint = Path(resume) if Path(resume).is_file() else _checkpoint(folder)
    return Resumed(folder, checkpoint)


def _newest_unfinished(parent: Path, identity: str) -> Resumed | None:
    unfinished = []
    for path in [*parent.glob("*/result.json"), *parent.glob("*/*/result.json")]:
        result = read_result(path.parent) or {}
        if result.get("identity") == identity and result.get("state") != "done" and not is_live(path.parent):
            unfinished.append((path.stat().st_mtime_ns, path.parent))
    if not unfinished:
        log.info("resume=auto: no unfinished run of this config and data below %s; a new one starts", parent)
        return None
    folder = max(unfinished)[1]
    return Resumed(folder, _checkpoint(folder))


def _checkpoint(folder: Path) -> Path | None:
    last = folder / "checkpoints" / "last.ckpt"
    return last if last.is_file() else None


def _folder_of(path: Path) -> Path:
    if path.is_dir():
        return path
    if path.is_file() and path.parent.name == "checkpoints":
        return path.parent.parent
    raise CheckpointError(f"resume={path}: no such run folder or checkpoint; expected one such as runs/NAME/DATE.")
