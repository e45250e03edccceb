"""How much of a file has come, at what rate, and how long the rest will take."""

import contextlib
import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from facesegl import console

if TYPE_CHECKING:
    from rich.progress import Progress

log = logging.getLogger(__name__)


class Meter(Protocol):
    """Shows bytes: a live bar on a terminal, sparse plain lines elsewhere."""

    def begin(self, done: int, total: int | None) -> None:
        """A transfer starts, with `done` bytes there already; it may start again from less."""

    def advance(self, count: int) -> None:
        """So many more bytes came."""


@contextlib.contextmanager
def meter(what: str, every_s: float = 10.0) -> Iterator[Meter]:
    """Show a transfer of bytes while the block runs."""
    if not console.is_live():
        yield _Lines(what, every_s)
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeElapsedColumn, TransferSpeedColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    name = TextColumn("{task.description}", markup=False)
    columns = (name, BarColumn(bar_width=None), DownloadColumn(), TransferSpeedColumn(), TimeElapsedColumn())
    with console.bar(*columns, TextColumn("{task.fields[left]}"), TimeLeft()) as shown:
        yield _Bar(shown, what)


def megabytes(count: int) -> str:
    """Bytes for people.

    Example:
        >>> megabytes(61_949_069)
        '61.9 MB'
    """
    return f"{count / 1e6:.1f} MB"


class _Bar:
    def __init__(self, shown: "Progress", what: str) -> None:
        self._shown, self._task = shown, shown.add_task(what, total=None, left="")

    def begin(self, done: int, total: int | None) -> None:
        self._shown.reset(self._task, completed=done)
        self._shown.update(self._task, total=total, left="left" if total else "")

    def advance(self, count: int) -> None:
        self._shown.advance(self._task, count)


class _Lines:
    def __init__(self, what: str, every_s: float) -> None:
        self._what, self._every_s = what, every_s
        self.begin(0, None)

    def begin(self, done: int, total: int | None) -> None:
        self._before, self._done, self._total = done, done, total
        self._started = time.monotonic()
        self._due = self._started + self._every_s

    def advance(self, count: int) -> None:
        self._done += count
        if (now := time.monotonic()) >= self._due:
            self._due = now + self._every_s
            log.info("%s: %s", self._what, self._words(now - self._started))

    def _words(self, took: float) -> str:
        rate = (self._done - self._before) / took
        words = f"{megabytes(self._done)}, {rate / 1e6:.2f} MB/s"
        if not self._total or not rate:
            return f"{words}, {console.duration(took)} so far"
        left = console.duration((self._total - self._done) / rate)
        return f"{words}, {left} left of {megabytes(self._total)}"
