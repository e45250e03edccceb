"""A place to work beside a folder, for one process at a time, and the way from there into the folder."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import filelock

from facesegl.errors import MachineError
from facesegl.files import machine_errors, replacing, sync


@contextlib.contextmanager
def workplace(target: Path) -> Iterator[Path]:
    """A folder on the target's own disk; a `.part` that is left in it stays for the next start.

    Raises:
        MachineError: another process works there, or nothing can be written there.
    """
    work = _beside(target)
    if work.is_symlink():
        raise MachineError(f"{work}: a link, where facesegl makes a folder to work in; move it away.")
    made = [folder for folder in (work, *work.parents) if not folder.exists()]
    lock = filelock.FileLock(work / "lock")
    try:
        with machine_errors(work):
            work.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        yield work
    except filelock.Timeout:
        raise MachineError(f"{target}: another process fetches into it; wait for that one.") from None
    finally:
        if lock.is_locked:
            _tidy(work)
            lock.release()
        for folder in made:  # those that are empty again, the innermost first
            with contextlib.suppress(OSError):
                folder.rmdir()


def clear(target: Path) -> None:
    """Remove what an earlier start left to go on with, unless a process is at it."""
    if _beside(target).is_dir():
        with contextlib.suppress(MachineError), workplace(target) as work, machine_errors(work):
            for part in work.glob("*.part"):
                part.unlink()


def move_in(source: Path, target: Path) -> None:
    """Give what lies below `source` its final names: whole folders at once where the target has none of that name.

    Raises:
        MachineError: it cannot be written there.
    """
    with machine_errors(target):
        if source.is_dir() and target.is_dir():
            for entry in sorted(source.iterdir()):
                move_in(entry, target / entry.name)
            sync(target)
            return
        try:
            source.replace(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy_in(source, target)


def _copy_in(source: Path, target: Path) -> None:
    """File by file, where a folder below the target is a link to another disk."""
    if source.is_dir():
        target.mkdir()
        move_in(source, target)
    else:
        with replacing(target) as part:
            shutil.copyfile(source, part)


def _beside(target: Path) -> Path:
    """Beside the target; inside it where the folder above is another disk, or somebody else's."""
    real = Path(os.path.realpath(target))
    inside = real.is_dir() and (real.is_mount() or not os.access(real.parent, os.W_OK))
    return (real if inside else real.parent) / f".{real.name}.download"


def _tidy(work: Path) -> None:
    if not any(entry.suffix == ".part" for entry in work.iterdir()):
        shutil.rmtree(work, ignore_errors=True)
