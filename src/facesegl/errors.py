"""Everything that can go wrong, one class per exit code.

A message is one line: where, what is so, what was expected, what to do. An error may carry several, since all
problems are told at once.

    FaceseglError          70  a bug of ours
     +- PartlyFailed        1  done, but something that is named failed
     +- ConfigError         2  the command or the config is wrong; nothing ran
     +- DataError           3  photos or masks are wrong
     +- CheckpointError     4  a checkpoint or model file is wrong
     +- MachineError        5  no such device, disk full, no permission
     +- TrainingError       6  training stopped itself
    Stopped               130  a signal ended it, after a clean end (143 for SIGTERM)
"""


class FaceseglError(Exception):
    """One or more problems, each a full line.

    Attributes:
        problems: the messages, without a leading `error: `.
        exit_code: what the command ends with.
    """

    exit_code = 70

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class PartlyFailed(FaceseglError):  # noqa: N818 - not an error of the whole: the rest is done
    """The work is done, but what the message names failed."""

    exit_code = 1


class ConfigError(FaceseglError):
    """The command line or the config is wrong; nothing ran."""

    exit_code = 2


class DataError(FaceseglError):
    """Photos or masks are wrong."""

    exit_code = 3


class CheckpointError(FaceseglError):
    """A checkpoint or model file is wrong, or not to be trusted."""

    exit_code = 4


class MachineError(FaceseglError):
    """The machine cannot: no such device, disk full, no permission."""

    exit_code = 5


class TrainingError(FaceseglError):
    """Training stopped itself: its loss is not finite."""

    exit_code = 6


class Stopped(BaseException):
    """A signal ended the work; what was done is kept.

    As KeyboardInterrupt it is no `Exception`: whatever code the signal meets may have an `except Exception` around it,
    which would take it for a fault of its own and go on.

    Attributes:
        problems: the message, alone in a tuple.
        exit_code: what the command ends with.

    Args:
        problem: what was kept and how to go on.
        signum: the signal's number, 2 (SIGINT) or 15 (SIGTERM).
    """

    def __init__(self, problem: str, signum: int) -> None:
        super().__init__(problem)
        self.problems = (problem,)
        self.exit_code = 128 + signum
