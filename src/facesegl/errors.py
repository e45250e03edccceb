"""The errors of facesegl, one class per exit code.

A message is one line: location, fact, expectation, remedy. An error may have several, since all problems are reported
together.

    FaceseglError          70  a bug in facesegl
     +- PartlyFailed        1  done, except for the items it names
     +- ConfigError         2  the command or the config is wrong; nothing ran
     +- DataError           3  photos or masks are wrong
     +- CheckpointError     4  a checkpoint or model file is wrong
     +- MachineError        5  no such device, out of memory, disk full, no permission
     +- TrainingError       6  training stopped itself
    Stopped               130  a signal ended it, after a clean end (143 for SIGTERM; 0 for trainer.max_time)
     +- Pruned              0  a search ended a training that is worse than the others
"""

import contextlib
import re
from collections.abc import Iterator


class FaceseglError(Exception):
    """One or more problems, each a full line.

    Attributes:
        problems: the messages, without a leading `error: `.
        exit_code: the exit code of the command.
    """

    exit_code = 70

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class PartlyFailed(FaceseglError):  # noqa: N818 - not a complete failure
    """The work is done, except for the items in the message."""

    exit_code = 1


class ConfigError(FaceseglError):
    """The command line or the config is wrong; nothing ran."""

    exit_code = 2


class DataError(FaceseglError):
    """Photos or masks are wrong."""

    exit_code = 3


class CheckpointError(FaceseglError):
    """A checkpoint or model file is wrong or not trusted."""

    exit_code = 4


class MachineError(FaceseglError):
    """The machine is at fault: no such device, disk full, no permission."""

    exit_code = 5


class TrainingError(FaceseglError):
    """Training stopped itself: its loss is not finite."""

    exit_code = 6


class Stopped(BaseException):
    """A signal or a time limit ended the work; finished parts are kept.

    Like KeyboardInterrupt it is not an `Exception`: the interrupted code may have an `except Exception` that would
    swallow it.

    Attributes:
        problems: the message, in a tuple.
        exit_code: the exit code of the command.

    Args:
        problem: the message, with what was kept and how to resume.
        signum: the signal's number, e.g. 2 (SIGINT) or 15 (SIGTERM); 0 for a time limit, which is no failure.
    """

    def __init__(self, problem: str, signum: int) -> None:
        super().__init__(problem)
        self.problems: tuple[str, ...] = (problem,)
        self.exit_code = 128 + signum if signum else 0

    def __reduce__(self) -> tuple[type["Stopped"], tuple[str, int]]:
        """Pickle both arguments, for a launcher's process; an exception alone would pickle its message."""
        return type(self), (self.problems[0], max(0, self.exit_code - 128))


class Pruned(Stopped):
    """A search ended a training that is worse than the others; no failure.

    Args:
        problem: the message, with what was kept.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem, 0)


def error_class(exit_code: int) -> type[FaceseglError]:
    """The class of the errors with an exit code; FaceseglError for any other code."""
    return next((kind for kind in FaceseglError.__subclasses__() if kind.exit_code == exit_code), FaceseglError)


_NO_MEMORY = re.compile(
    r"out of (shared )?memory|allocate memory|not enough memory|bad_alloc|ALLOC_FAILED|failed to allocate"
    r"|killed by signal: Killed",  # what the OOM killer leaves of a data loader's worker
    re.IGNORECASE,
)
_AMOUNT = re.compile(r"allocate ([\d.]+ ?(?:[KMGT]i?B|bytes))")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python, NumPy, torch (CPU, CUDA, cuBLAS, cuDNN, MPS) or ONNX Runtime is lack of memory."""
    if isinstance(error, MemoryError):
        return True
    return not isinstance(error, FaceseglError) and bool(_NO_MEMORY.search(str(error)))


@contextlib.contextmanager
def memory_errors(what: str, remedy: str) -> Iterator[None]:
    """Turn lack of memory, as any library reports it, into one message.

    Raises:
        MachineError: `what` ran out of memory; with the amount, if it is known, and `remedy`.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        amount = _AMOUNT.search(str(error))
        tried = f" (it tried to allocate {amount[1]})" if amount else ""
        raise MachineError(f"{what}: out of memory{tried}. {remedy}") from error
