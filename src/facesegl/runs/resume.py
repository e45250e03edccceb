"""Which run goes on, and from which checkpoint."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from facesegl.errors import CheckpointError, ConfigError
from facesegl.runs.folder import is_live
from facesegl.runs.result import read_result

log = logging.getLogger(__name__)


class Resumed(NamedTuple):
    """A run to go on with.

    Attributes:
        folder: its folder.
        checkpoint: where it goes on; None if it died before its first one.
        done: whether nothing is left to do.
    """

    folder: Path
    checkpoint: Path | None
    done: bool = False


def find_run(resume: str, runs: Path, run: str | None, identity: str) -> Resumed | None:
    """Find the run that `resume` means.

    Args:
        resume: `auto`, a run folder, or a checkpoint in one.
        runs: the folder of all runs of that name.
        run: the folder that the run is to have, if it is named.
        identity: that of config and data now.

    Returns:
        The run, or None if `auto` finds none that is unfinished.

    Raises:
        ConfigError: the run is another one, is done, or still alive.
        CheckpointError: no such folder or checkpoint.
    """
    if resume.casefold() == "auto":
        if run and (before := read_result(Path(run))):
            _require_same(resume, Path(run), before, identity)
            if before.get("state") == "done":
                return Resumed(Path(run), None, done=True)
            return _newest_unfinished([Path(run)], identity, runs)
        return _newest_unfinished(_below(runs), identity, runs)
    folder = _folder_of(Path(resume))
    result = read_result(folder)
    if result is None:
        raise CheckpointError(f"resume={resume}: {folder} has no readable result.json; expected the folder of a run.")
    if is_live(folder):
        raise ConfigError(f"resume={resume}: that run is still going on; wait for it, or stop it first.")
    _require_same(resume, folder, result, identity)
    if result.get("state") == "done":
        raise ConfigError(
            f"resume={resume}: that run is done. To start a new run from its weights use init=CHECKPOINT."
        )
    checkpoint = Path(resume) if Path(resume).is_file() else _checkpoint(folder)
    return Resumed(folder, checkpoint)


def _require_same(resume: str, folder: Path, result: Mapping[str, Any], identity: str) -> None:
    if result.get("identity") != identity:
        raise ConfigError(
            f"resume={resume}: the run in {folder} had another config or other data; a run goes on only as it began "
            f"(its config is in {folder / 'config.yaml'}). To start a new run from its weights use init=CHECKPOINT."
        )


def _below(runs: Path) -> list[Path]:
    """Run folders, those of sweeps' jobs too."""
    return [path.parent for pattern in ("*/result.json", "*/*/result.json") for path in runs.glob(pattern)]


def _newest_unfinished(folders: Sequence[Path], identity: str, runs: Path) -> Resumed | None:
    unfinished = []
    for folder in folders:
        result = read_result(folder) or {}
        if result.get("identity") == identity and result.get("state") != "done" and not is_live(folder):
            unfinished.append(((folder / "result.json").stat().st_mtime_ns, folder))
    if not unfinished:
        log.info("resume=auto: no unfinished run of this config and data in %s; a new one starts", runs)
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
