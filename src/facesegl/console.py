"""Log lines and progress on stderr, results on stdout; nothing from a file can control the terminal."""

import contextlib
import functools
import io
import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress, ProgressColumn

T = TypeVar("T")

_QUIET_S = 1.0  # shorter work gets no line
_NARROWEST, _USUAL = 20, 80  # columns; rich cannot draw a table in a few
_log = logging.getLogger("facesegl")


@functools.cache
def console() -> "Console":
    """The console shared by log lines and bars, so that a line does not break a live bar."""
    from rich.console import Console

    class Lasting(Console):
        def _check_buffer(self) -> None:
            try:
                super()._check_buffer()
            except OSError:  # the disk is full, or the terminal is gone
                self.on_broken_pipe()

        def on_broken_pipe(self) -> None:
            """The reader closed the pipe; the work continues, and its log is in the run folder."""
            self.quiet = True
            _discard_stderr()

    # rich treats notebooks, and logs with FORCE_COLOR, as terminals, but they keep every redrawn line
    terminal = None if sys.stderr.isatty() else False
    return _wide_enough(Lasting(stderr=True, highlight=False, force_jupyter=False, force_terminal=terminal))


def print_errors(*lines: str) -> None:
    """Print lines on stderr, their control characters escaped; if it cannot be written, the exit code remains."""
    try:
        print(*(f"{printable(line)}\n" for line in lines), sep="", end="", file=sys.stderr, flush=True)
    except OSError:
        _discard_stderr()


def _discard_stderr() -> None:
    """Write to the null device from now on: what is buffered could not be flushed at exit, which would set its code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _wide_enough(console: "Console") -> "Console":
    if console.width < _NARROWEST:  # COLUMNS=1, or a terminal that reports no size
        console.width = _USUAL
    return console


def is_live() -> bool:
    """Whether a bar can be redrawn in place: stderr is a terminal that supports it, not a file or pipe."""
    return console().is_terminal and not console().is_dumb_terminal


def open_closed_streams() -> None:
    """Open the null device for standard streams that are closed, so that no file takes their descriptors."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - open until the process ends


def configure_logging(prefix: str = "") -> None:
    """Write the log of facesegl and Python's warnings to stderr, a plain line each; results go to stdout.

    File names that stdout cannot encode are written with escapes, as Python does on stderr.

    Args:
        prefix: the start of each line, for one of several processes that write to one stderr.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    for name in ("facesegl", "py.warnings"):
        logging.getLogger(name).handlers[:] = [_Terminal(prefix)]
    _log.setLevel(logging.DEBUG)  # for log.txt
    logging.captureWarnings(True)
    warnings.formatwarning = lambda message, *_args, **_kwargs: str(message).splitlines()[0]


_NO_ACTION = (  # library warnings, each with the reason to ignore it
    r".*does not have many workers.*",  # cached data need no workers
    r".*isinstance\(treespec, LeafSpec\).*",  # Lightning's own use of torch
    r"Grad strides do not match bucket view strides.*",  # weights are channels last, DDP's buckets are not
    r"Checkpoint directory .* exists and is not empty.*",  # true of every resumed run
    r"The `srun` command is available on your system but is not used.*",  # not needed for one process
    r"The ``noload`` loader strategy is deprecated.*",  # MLflow's own use of SQLAlchemy
    r"`ModelCheckpoint\(monitor=.* could not find the monitored key.*",  # an epoch without a validation
)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress known library warnings that a user cannot act on; also a decorator."""
    for name in ("pytorch_lightning", "pytorch_lightning.utilities.rank_zero", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)  # tips and the list of devices
    with warnings.catch_warnings():
        for message in _NO_ACTION:
            warnings.filterwarnings("ignore", message)
        yield


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Suppress warnings and log lines of work that is done again later."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def bar(*columns: "ProgressColumn") -> "Progress":
    """A bar with these columns, to be used in a `with` block or stopped by hand."""
    from rich.progress import Progress

    # rich would redirect prints to the bar's console, stderr, which is wrong for `> out.txt`
    prints = sys.stdout.isatty()
    return Progress(*columns, console=console(), expand=True, refresh_per_second=5, redirect_stdout=prints)


def track(items: Iterable[T], *, total: int | None, what: str, every_s: float = 10.0) -> Iterator[T]:
    """Yield the items and show progress; without a terminal, work of less than a second shows no line.

    Args:
        items: any iterable, also a lazy one.
        total: the number of items; None if it is unknown.
        what: a description of the work, e.g. "building the cache".
        every_s: seconds between plain lines, which go to the logger `facesegl`.

    Example:
        >>> list(track("abc", total=3, what="reading"))
        ['a', 'b', 'c']
    """
    what = printable(what)
    return _with_bar(items, total, what) if is_live() else _with_lines(items, total, what, every_s)


def show(*results: "RenderableType") -> None:
    """Print texts, each as one line, and tables on stdout; names in them cannot control the terminal.

    Raises:
        BrokenPipeError: the reader closed the pipe.
    """
    for result in results:
        if isinstance(result, str):
            print(printable(result))
        else:
            _results().print(result)


def show_json(value: Any) -> None:
    """Print a value as JSON on stdout; characters that are not printable are escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    print("".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text))


def _results() -> "Console":
    from rich.console import Console
    from rich.segment import Segment

    class Printable(Console):
        def render(self, renderable: Any, options: Any = None) -> Iterator[Segment]:
            for text, style, control in super().render(renderable, options):
                yield Segment(text if control else "\n".join(map(printable, text.split("\n"))), style, control)

        def on_broken_pipe(self) -> None:
            raise  # rich calls this while it handles the error, and would exit with 1

    return _wide_enough(Printable())


def printable(text: str) -> str:
    r"""Escape the control characters in text: names from files can neither control the terminal nor add a line.

    Example:
        >>> print(printable("skin\x1b[2J\nerror: forged"))
        skin\x1b[2J\nerror: forged
    """
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def duration(seconds: float) -> str:
    """Minutes and seconds, with hours if there are any.

    Example:
        >>> duration(190), duration(3723.4)
        ('3:10', '1:02:03')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _with_bar(items: Iterable[T], total: int | None, what: str) -> Iterator[T]:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

    name = TextColumn("{task.description}", markup=False)
    with bar(name, BarColumn(bar_width=None), MofNCompleteColumn(), TimeRemainingColumn()) as shown:
        task = shown.add_task(what, total=total)
        for item in items:
            yield item
            shown.advance(task)


def _with_lines(items: Iterable[T], total: int | None, what: str, every_s: float) -> Iterator[T]:
    started = time.monotonic()
    due = started + _QUIET_S
    done = 0
    for item in items:
        yield item
        done += 1
        now = time.monotonic()
        if now >= due and done != total:
            left = f" of {total}, {duration((now - started) / done * (total - done))} left" if total else " so far"
            _log.info("%s: %d%s", what, done, left)
            due = now + every_s
    took = time.monotonic() - started
    if took >= _QUIET_S:
        _log.info("%s: %d%s in %s", what, done, f" of {total}" if total else "", duration(took))


class _Terminal(logging.Handler):
    """Log through the console, which does not break a live bar."""

    def __init__(self, prefix: str) -> None:
        super().__init__(logging.INFO)
        self._prefix = prefix

    def emit(self, record: logging.LogRecord) -> None:
        word = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        message = record.getMessage().rstrip().removeprefix(self._prefix)
        console().print(word + printable(self._prefix + message), markup=False, soft_wrap=True)
