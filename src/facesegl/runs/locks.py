"""Locks of folders: held by a running process, free when it has ended, however it did."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import filelock

from facesegl.files import machine_errors

_LOCK = ".lock"


@contextlib.contextmanager
def locked(folder: Path, name: str = _LOCK) -> Iterator[bool]:
    """Hold the folder's lock, which the process releases when it ends; yields False if another process holds it."""
    lock = filelock.FileLock(folder / name)
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


def is_live(folder: Path, name: str = _LOCK) -> bool:
    """Whether a running process holds the folder."""
    if not (folder / name).exists():
        return False
    with locked(folder, name) as free:
        return not free
