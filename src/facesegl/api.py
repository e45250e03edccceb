"""`facesegl.train` and `facesegl.evaluate`: the verbs as Python functions."""

from collections.abc import Sequence
from pathlib import Path

from facesegl.provenance import command_of
from facesegl.runs.result import Result


def train(*overrides: str, config_dirs: Sequence["str | Path"] = ()) -> Result:
    """Train and score a model as `facesegl train` does.

    Args:
        *overrides: keys and groups of conf/train.yaml: `"data=fasseg_v2", "trainer.max_epochs=5"`.
        config_dirs: folders with custom config groups.

    Returns:
        The record of the run; its `folder` holds the checkpoints.

    Raises:
        FaceseglError: any error; each subclass has an exit code.
        facesegl.errors.Stopped: a signal ended it.
    """
    from facesegl.commands.train import train
    from facesegl.config.compose import Composed

    return train(Composed.of(overrides, config_dirs=config_dirs), command_of("train", overrides, config_dirs))


def evaluate(
    model: "str | Path | Sequence[str | Path]", *overrides: str, config_dirs: Sequence["str | Path"] = ()
) -> Result:
    """Score a model as `facesegl evaluate` does.

    Args:
        model: a file or a run folder; several in a list are scored as one ensemble.
        *overrides: keys and groups of conf/evaluate.yaml: `"set=val"`, `"data=fasseg_v1"`.
        config_dirs: folders with custom config groups.

    Raises:
        FaceseglError: any error; each subclass has an exit code.
        facesegl.errors.Stopped: a signal ended it.
    """
    from facesegl.commands.evaluate import evaluate

    models = [model] if isinstance(model, str | Path) else list(model)
    words = [*map(str, models), *overrides]
    return evaluate(models, overrides, config_dirs, command_of("evaluate", words, config_dirs))
