"""The command, called as a person calls it: in this process where that is enough, in one of its own where not."""

import contextlib
import io
import logging
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

from facesegl import cli

TESTS = Path(__file__).parents[1]
SMALL = ["data.image_size=16", "data.batch_size=2", "trainer=cpu", "trainer.max_epochs=1", "callbacks.panels=null"]
SMALL_UNET = [*SMALL, "model.channels=4", "model.depth=3"]
QUIET = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


class Ended(NamedTuple):
    """How a command ended: its exit code, and what it said."""

    code: object
    out: str
    err: str

    def lines(self, word):
        return [line for line in self.err.splitlines() if line.startswith(f"{word}: ")]


def call(*arguments):
    """Run the command in this process; signals, warnings and logging are as they were afterwards."""
    out, err, argv, path = io.StringIO(), io.StringIO(), sys.argv, list(sys.path)
    handlers = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    loggers = {name: list(logging.getLogger(name).handlers) for name in ("facesegl", "py.warnings")}
    sys.argv = ["facesegl", *map(str, arguments)]
    try:
        with _as_python_warns(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.main()
    except (KeyboardInterrupt, SystemExit) as end:
        code = end.code if isinstance(end, SystemExit) else "KeyboardInterrupt"
    finally:
        sys.argv, sys.path[:] = argv, path
        logging.captureWarnings(False)
        for name, before in loggers.items():
            logging.getLogger(name).handlers = before
        for signum, handler in handlers.items():
            signal.signal(signum, handler)
    return Ended(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _as_python_warns():
    """Warnings as a person has them, not the errors that the tests make of them."""
    shown = warnings.formatwarning
    with warnings.catch_warnings():
        warnings.resetwarnings()
        for category in QUIET:
            warnings.simplefilter("ignore", category)
        yield
    warnings.formatwarning = shown


def script():
    """The installed command."""
    return Path(sys.executable).with_name("facesegl")


def start(*arguments, environment=None, **how):
    """Start the installed command in a process of its own, in the current folder."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS), **(environment or {})}
    return subprocess.Popen(
        [script(), *map(str, arguments)],
        env=env,
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how},
    )


def run(*arguments, **how):
    """Run it to its end."""
    process = start(*arguments, **how)
    out, err = process.communicate(timeout=120)
    return Ended(process.returncode, out or "", err or "")


# What bash calls when the tab key is pressed, called for each line that is given to the script.
TAB = """
    eval "$(facesegl -sc install=bash)" || exit 1
    for line; do
        COMP_LINE="$line"; COMP_POINT=${#line}; read -ra COMP_WORDS <<< "$line"; COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
        COMPREPLY=()
        $(complete -p facesegl | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        echo "${COMPREPLY[@]}"
    done
"""


def tab(*lines, command=None, environment=None):
    """What a real bash offers after each line, with the installed command (or another) on its path."""
    folder = (command or script()).parent
    given = environment or {**os.environ, "HOME": str(Path().absolute())}
    shell = subprocess.run(
        ["bash", "--norc", "-i", "-c", TAB, "bash", *lines],
        env={**given, "PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        start_new_session=True,
        check=False,
    )
    assert shell.returncode == 0, shell.stderr
    return [set(offered.split()) for offered in shell.stdout.splitlines()]


def assert_reported(ended, code, *messages):
    """The exit code, and one line for each problem: each `message` is a list of parts of it, or one part."""
    word = "stopped" if code in (130, 143) else "error"
    assert ended.code == code, ended.err
    assert "Traceback" not in ended.err
    assert "Logging error" not in ended.err
    told = ended.lines(word)
    assert len(told) == len(messages), ended.err
    assert not ended.lines("warning"), ended.err
    for line, parts in zip(told, messages, strict=True):
        for part in [parts] if isinstance(parts, str) else parts:
            assert part in line


def half_files(folder):
    """What a write that was broken off would leave."""
    return [path for path in Path(folder).rglob("*") if path.name.endswith(".part")]


def runs(folder="."):
    """The run folders below `runs/`."""
    return sorted(path.parent for path in Path(folder).glob("runs/**/result.json"))
