"""Content hashes of files, stored with what `stat` says of them, so that unchanged files are not read again.

Size and modification time are not enough: `cp -p`, `rsync -t` and `unzip` set the time, and masks often have the same
size. The change time (ctime) cannot be set, and the inode differs where another file has taken the name. If in doubt, a
file is read again.
"""

import hashlib
import json
import logging
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from facesegl.errors import DataError, MachineError
from facesegl.files import write_json
from facesegl.sources.listing import read_text, require_regular

log = logging.getLogger(__name__)

_HASH = re.compile("[0-9a-f]{32}")
_MIN_AGE_NS = 2_000_000_000  # a file changed later may change again within one tick of its clock
_COARSE_NS = 10_000_000  # FAT, ISO 9660 and SquashFS have no ctime and show the modification time, in such steps


def digest(value: Any) -> str:
    """12 hex digits that identify a builtin value: blake2b of its JSON, independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


class FileHashes:
    """The content hashes of files, stored in one JSON file.

    Args:
        memory: the JSON file; if it cannot be read or written, files are hashed again.
    """

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._known = _read(memory)
        self._new = False

    def hashes(self, paths: Iterable[Path]) -> list[str]:
        """The hash of each file, in the order given; stores new ones.

        Raises:
            DataError: every file that cannot be read.
        """
        found: list[str] = []
        problems: list[str] = []
        for path in paths:
            try:
                found.append(self._hash(path))
            except DataError as error:
                problems += error.problems
            except OSError as error:
                problems.append(f"{path}: cannot be read ({error.strerror}); check that it exists and its permissions.")
        if problems:
            raise DataError(*problems)
        self._save()
        return found

    def _hash(self, path: Path) -> str:
        require_regular(path)
        now, status, name = time.time_ns(), path.stat(), str(path.absolute())
        stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
        known = self._known.get(name)
        if known and known[:-1] == stamp:
            return str(known[-1])
        with path.open("rb") as file:
            value = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        if now - status.st_ctime_ns > _MIN_AGE_NS and status.st_ctime_ns % _COARSE_NS:
            self._known[name] = [*stamp, value]
            self._new = True
        return value

    def _save(self) -> None:
        if self._new:
            try:
                write_json(self._memory, self._known)
                self._new = False
            except (MachineError, OSError) as error:
                log.debug("content hashes are not stored: %s", error)


def _read(memory: Path) -> dict[str, list[Any]]:
    try:
        known = json.loads(read_text(memory))
    except (OSError, ValueError, RecursionError, DataError):
        return {}
    return {path: entry for path, entry in known.items() if _is_entry(entry)} if isinstance(known, dict) else {}


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, list) or [type(value) for value in entry] != [int, int, int, int, str]:
        return False
    return _HASH.fullmatch(entry[-1]) is not None
