"""One training in a separate process: its log lines, errors and signals are those of this one.

Lightning starts the processes of further devices from the command line of the first, once for each process; a job of a
sweep has none.
"""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from typing import IO, Any

from facesegl.errors import FaceseglError, MachineError, Stopped, error_class
from facesegl.provenance import JOB_COMMAND, command_line
from facesegl.runs.signals import handlers
from facesegl.runs.slurm import handled

log = logging.getLogger(__name__)


def train_in_process(words: Sequence[str]) -> None:
    """Run `facesegl train WORDS` to its end. Signals are passed on to it.

    Raises:
        FaceseglError: it failed; the class is that of its exit code.
        Stopped: a signal ended it.
    """
    received: list[signal.Signals] = []
    process: subprocess.Popen[str] | None = None

    def forward(signum: int, _frame: Any) -> None:
        received.append(signal.Signals(signum))
        if process:
            process.send_signal(signum)

    with handlers(dict.fromkeys([signal.SIGINT, signal.SIGTERM, *handled()], forward)):
        process = subprocess.Popen(
            [sys.executable, "-m", "facesegl", "train", *words],
            env={**os.environ, JOB_COMMAND: command_line()},
            stdout=subprocess.DEVNULL,  # its scores are in result.json
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="backslashreplace",
            start_new_session=True,  # otherwise it would get Ctrl-C twice
        )
        if received:
            process.send_signal(received[-1])
        said: deque[str] = deque(maxlen=100)
        relay = threading.Thread(target=_relay, args=(process.stderr, said))
        relay.start()
        try:
            code = process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # ranks that outlived it
            relay.join()
    if received:
        reasons = [line.removeprefix("stopped: ") for line in said if line.startswith("stopped: ")]
        raise Stopped(reasons[-1] if reasons else f"by {received[-1].name}", received[-1])
    if code:
        raise _error(code, list(said))


def _relay(stream: IO[str], said: "deque[str]") -> None:
    """Pass lines on, except those that the caller reports."""
    with stream:
        for line in stream:
            said.append(line.rstrip("\n"))
            if not line.startswith(("error: ", "stopped: ")):
                log.info("%s", line.rstrip())


def _error(code: int, said: Sequence[str]) -> FaceseglError:
    if code < 0:
        name = signal.Signals(-code).name
        return MachineError(f"its process was killed by {name}; is there enough memory? resume=auto resumes it.")
    problems = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
    if (kind := error_class(code)) is FaceseglError:
        problems = [*said[-2:-1]]  # the last line of a traceback, before the request to report it
    return kind(*dict.fromkeys(problems or [f"its process ended with exit code {code}"]))
