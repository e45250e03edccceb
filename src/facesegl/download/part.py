"""The archive as far as it has come, with what the server said of it: kept over a stop, dropped when in doubt."""

import contextlib
import json
import re
from collections.abc import Iterable
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

from facesegl.files import machine_errors, sync, write_json

_STRONG = re.compile(r'"[\x21\x23-\x7e]*"')  # RFC 9110, 8.8.3: a weak one (W/"...") may stand for other bytes
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class Part:
    """An archive that is being fetched.

    Args:
        folder: takes it, and the notes about it.
        url: where it comes from; what came from elsewhere is not gone on with.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self.file, self._notes_file = folder / "archive.part", folder / "archive.json"
        notes = _read(self._notes_file)
        self._notes: dict[str, Any] = notes if notes.get("url") == url else {"url": url}

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self.file.stat().st_size if self.file.is_file() else 0

    @property
    def total(self) -> int | None:
        """Bytes that there will be, where the server said so."""
        total = self._notes.get("total")
        return total if isinstance(total, int) else None

    @property
    def is_whole(self) -> bool:
        """Whether all of it came."""
        return self.size > 0 and self.size in (self._notes.get("whole"), self.total)

    def conditions(self) -> dict[str, str]:
        """The headers that ask for the rest of the same file; none where only the whole can be asked for."""
        etag = self._notes.get("etag")
        if not self.size or not isinstance(etag, str) or not _STRONG.fullmatch(etag):
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": etag}

    def begin(self, response: HTTPResponse) -> None:
        """Start over with the answer of a server."""
        self.drop()
        self._notes |= {"etag": response.headers.get("ETag"), "total": response.length}
        write_json(self._notes_file, self._notes)

    def goes_on_with(self, response: HTTPResponse) -> bool:
        """Whether an answer holds what comes after the bytes that are there."""
        match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        etag = response.headers.get("ETag", self._notes.get("etag"))
        if not match or int(match[1]) != self.size or etag != self._notes.get("etag"):
            return False
        total = None if match[3] == "*" else int(match[3])
        return self.total in (None, total)

    def take(self, pieces: Iterable[bytes]) -> None:
        """Append what comes."""
        with machine_errors(self.file), self.file.open("ab") as file:
            for piece in pieces:
                file.write(piece)
                file.flush()  # a stop loses nothing that came

    def finish(self) -> None:
        """Note that all of it came."""
        with machine_errors(self.file):
            sync(self.file)
        self._notes["whole"] = self.size
        write_json(self._notes_file, self._notes)

    def drop(self) -> None:
        """Forget what came."""
        self._notes = {"url": self._notes["url"]}
        for file in (self._notes_file, self.file):  # notes without a file say nothing, a file must not outlive its own
            with machine_errors(file):
                file.unlink(missing_ok=True)


def _read(file: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        notes = json.loads(file.read_text(encoding="utf-8"))
        return notes if isinstance(notes, dict) else {}
    return {}
