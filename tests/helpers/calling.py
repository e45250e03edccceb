"""Call the command as a user does: in this process, or in a new one."""

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

import pytest
from rich.console import Console

import facesegl
from facesegl import cli

TESTS = Path(__file__).parents[1]
SMALL = ["data.image_size=16", "data.batch_size=2", "data.synthetic_share=0", "trainer=cpu"]
SMALL += ["trainer.max_epochs=1", "callbacks.panels=null"]
SMALL_UNET = [*SMALL, "model.channels=4", "model.depth=3"]
QUIET = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


class Ended(NamedTuple):
    """How a command ended: exit code, stdout and stderr."""

    code: object
    out: str
    err: str

    def lines(self, word):
        return [line for line in self.err.splitlines() if line.startswith(f"{word}: ")]


def call(*arguments):
    """Run the command in this process, and restore signal handlers, warnings and logging."""
    out, err, argv, path, hook = io.StringIO(), io.StringIO(), sys.argv, list(sys.path), sys.unraisablehook
    handlers = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    loggers = {name: list(logging.getLogger(name).handlers) for name in ("facesegl", "py.warnings")}
    sys.argv = ["facesegl", *map(str, arguments)]
    try:
        with _as_python_warns(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.main()
    except (KeyboardInterrupt, SystemExit) as end:
        code = end.code if isinstance(end, SystemExit) else "KeyboardInterrupt"
    finally:
        sys.argv, sys.path[:], sys.unraisablehook = argv, path, hook
        logging.captureWarnings(False)
        for name, before in loggers.items():
            logging.getLogger(name).handlers = before
        for signum, handler in handlers.items():
            signal.signal(signum, handler)
    return Ended(code, out.getvalue(), err.getvalue())


def succeed(*arguments):
    """Run the command in this process; it must succeed."""
    ended = call(*arguments)
    assert ended.code == 0, ended.err
    return ended


def train(*overrides):
    return call("train", *SMALL_UNET, *overrides)


def printed(renderable, width=80):
    """What a terminal without colours shows of a table."""
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    return console.file.getvalue()


def train_in(folder, *overrides):
    """Train in a folder, which then has runs and a cache; returns the result."""
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("FACESEGL_CACHE", str(folder / "cache"))
        patched.delenv("FACESEGL_DATA", raising=False)
        return facesegl.train(*overrides, f"paths.runs={folder / 'runs'}")


@contextlib.contextmanager
def _as_python_warns():
    """Show warnings as Python does, instead of raising them as the tests do."""
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
    """Start the installed command in a new process, in the current folder."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS), **(environment or {})}
    return subprocess.Popen(
        [script(), *map(str, arguments)],
        env=env,
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how},
    )


def run(*arguments, **how):
    """Run the installed command in a new process, to its end."""
    process = start(*arguments, **how)
    out, err = process.communicate(timeout=240)
    return Ended(process.returncode, out or "", err or "")


# What bash calls when the tab key is pressed, for each line given to the script.
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
    """The completions of a real bash after each line, with the installed command (or another) on its path."""
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
    """Check the exit code and that each problem is one line; each message is a part of its line, or a list of parts."""
    word = "stopped" if code in (130, 143) else "error"
    assert ended.code == code, ended.err
    assert "Traceback" not in ended.err
    assert "Logging error" not in ended.err
    reported = ended.lines(word)
    assert len(reported) == len(messages), ended.err
    assert not ended.lines("warning"), ended.err
    for line, parts in zip(reported, messages, strict=True):
        for part in [parts] if isinstance(parts, str) else parts:
            assert part in line


def half_files(folder):
    """What an interrupted write would leave."""
    return [path for path in Path(folder).rglob("*") if path.name.endswith(".part")]


def runs(folder="."):
    """The run folders below `runs/`."""
    return sorted(path.parent for path in Path(folder).glob("runs/**/result.json"))
