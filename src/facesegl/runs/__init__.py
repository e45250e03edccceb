"""What the command does, one file a verb, and the run folders that it leaves."""

from collections.abc import Sequence
from pathlib import Path

from facesegl.config import compose
from facesegl.runs.evaluate import evaluate as _evaluate
from facesegl.runs.result import Result
from facesegl.runs.train import train as _train

__all__ = ["Result", "evaluate", "train"]


def train(*overrides: str, config_dirs: Sequence["str | Path"] = ()) -> Result:
    """Train as `facesegl train` does, and score what came out.

    Args:
        *overrides: keys and groups of conf/train.yaml: `"data=fasseg_v2", "trainer.max_epochs=5"`.
        config_dirs: folders with groups of your own.

    Returns:
        The record of the run; its `folder` holds the checkpoints.

    Raises:
        FaceseglError: whatever ends it; each class is an exit code.
    """
    return _train(compose(overrides, config_dirs=config_dirs))


def evaluate(checkpoint: "str | Path", *overrides: str, config_dirs: Sequence["str | Path"] = ()) -> Result:
    """Score a checkpoint as `facesegl evaluate` does.

    Args:
        checkpoint: the file.
        *overrides: keys and groups of conf/evaluate.yaml: `"set=val"`, `"data=fasseg_v1"`.
        config_dirs: folders with groups of your own.

    Raises:
        FaceseglError: whatever ends it; each class is an exit code.
    """
    return _evaluate(checkpoint, overrides, config_dirs)
