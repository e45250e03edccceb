"""Atomic writes: to a temporary file next to the target, fsynced, then renamed."""

import contextlib
import csv
import errno
import fcntl
import functools
import json
import math
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import filelock

from facesegl.errors import MachineError

_MACHINE = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EACCES: "no permission; choose another path or change its permissions",
    errno.EPERM: "no permission; choose another path or change its permissions",
    errno.EROFS: "it is read-only; choose another path",
    errno.ENOENT: "no folder can be made there; choose another path",
    errno.ENOTDIR: "a parent in the path is a file, not a folder; choose another path",
    errno.EISDIR: "a folder of that name is in the way; move it or choose another path",
    errno.EEXIST: "a file is in the way; move it or choose another path",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.EFBIG: "files may not be that large here; raise the limit (ulimit -f)",
    errno.EXDEV: "it is on another disk than its folder; link the whole folder instead",
    errno.EIO: "the disk reports an error",
}

_PART = re.compile(r"\..+\.[0-9a-f]{8}\.part", re.DOTALL)
_SURROGATES = re.compile("[\ud800-\udfff]")


def require_writable(folder: Path, name: str) -> None:
    """Check that a folder is or can be made writable, with a temporary file in its nearest existing parent.

    Raises:
        MachineError: it cannot be written; the message begins with `name`.
    """
    with machine_errors(name):
        folder = folder.absolute()
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        tempfile.TemporaryFile(dir=existing).close()


@contextlib.contextmanager
def machine_errors(path: Path | str) -> Iterator[None]:
    """Turn the operating system's errors below `path` into one plain message.

    Raises:
        MachineError: disk full, no permission, read-only, ...
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _MACHINE:
            raise
        raise MachineError(f"{path}: cannot write there: {_MACHINE[error.errno]}.") from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file atomically: yields a path next to `path`, and renames it if the block succeeds.

    Raises:
        MachineError: it cannot be written; an existing file at `path` is unchanged.
    """
    with machine_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_parts_of_the_dead(path.parent.absolute())
        part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
        lock = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with contextlib.suppress(OSError):  # a file system without locks, where no dead writer is found either
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield part
            sync(part)
            part.replace(path)
            sync(path.parent)
        finally:
            os.close(lock)
            part.unlink(missing_ok=True)


@functools.lru_cache(maxsize=1024)  # once in a process: a folder of outputs may have many files
def _remove_parts_of_the_dead(folder: Path) -> None:
    """Remove the temporary files whose writer was killed: a living one holds a lock on its file, on any host."""
    with contextlib.suppress(OSError):
        for part in filter(lambda path: _PART.fullmatch(path.name), folder.iterdir()):
            with contextlib.suppress(OSError):
                lock = os.open(part, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    part.unlink()
                finally:
                    os.close(lock)


def remove_builds_of_the_dead(root: Path) -> None:
    """Remove the temporary folders `.NAME.part` whose builder was killed: a living one holds the lock `NAME.lock`."""
    for part in root.glob(".*.part"):
        lock = filelock.FileLock(root / f"{part.name.removeprefix('.').removesuffix('.part')}.lock")
        if part.is_dir() and Path(lock.lock_file).exists():
            with contextlib.suppress(filelock.Timeout, OSError), lock.acquire(timeout=0):
                shutil.rmtree(part, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically; undecodable bytes of file names are escaped."""
    with replacing(path) as part:
        part.write_text(readable(text), encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write builtin values as indented JSON, atomically; NaN is refused, since JSON has none.

    File names with undecodable bytes survive the round trip: JSON escapes them.
    """
    # written in pieces, which together take many times the memory of the text
    with replacing(path) as part, part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        json.dump(value, file, indent=2, ensure_ascii=False, allow_nan=False)
        file.write("\n")


def write_csv(path: Path, head: Sequence[str], rows: Iterable[Sequence[str | float | None]]) -> None:
    """Write a CSV table atomically: floats with six decimals, NaN and None as empty cells."""
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(map(_cell, head))
        writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: str | float | None) -> str | int:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6f}"
    return "" if value is None else readable(value) if isinstance(value, str) else value


def readable(name: str) -> str:
    r"""Make a file name encodable: bytes that are not UTF-8 become escapes like `\xff`.

    Example:
        >>> print(readable(os.fsdecode(b"J\xf6rg.jpg")))
        J\xf6rg.jpg
    """
    return _SURROGATES.sub(lambda match: _escaped(ord(match[0])), name)


def _escaped(code: int) -> str:
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def sync(path: Path) -> None:
    """Flush a file, or a folder's list of files, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
