"""The verbs from Python, under the names that they have at the top of the package."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from facesegl.runs.result import Result


def train(*overrides: str, config_dirs: Sequence["str | Path"] = ()) -> Result:
    """Train as `facesegl train` does, and score what came out.

    Args:
        *overrides: keys and groups of conf/train.yaml: `"data=fasseg_v2", "trainer.max_epochs=5"`.
        config_dirs: folders with groups of your own.

    Returns:
        The record of the run; its `folder` holds the checkpoints.

    Raises:
        FaceseglError: whatever is wrong; each class is an exit code.
        facesegl.errors.Stopped: a signal ended it.
    """
    from facesegl.commands.train import train
    from facesegl.config.compose import Composed

    return train(Composed.of(overrides, config_dirs=config_dirs), _command("train", overrides, config_dirs))


def evaluate(
    model: "str | Path | Sequence[str | Path]", *overrides: str, config_dirs: Sequence["str | Path"] = ()
) -> Result:
    """Score a model as `facesegl evaluate` does.

    Args:
        model: a file or a run folder; several in a list are scored as one ensemble.
        *overrides: keys and groups of conf/evaluate.yaml: `"set=val"`, `"data=fasseg_v1"`.
        config_dirs: folders with groups of your own.

    Raises:
        FaceseglError: whatever is wrong; each class is an exit code.
        facesegl.errors.Stopped: a signal ended it.
    """
    from facesegl.commands.evaluate import evaluate

    models = [model] if isinstance(model, str | Path) else list(model)
    words = [*map(str, models), *overrides]
    return evaluate(models, overrides, config_dirs, _command("evaluate", words, config_dirs))


def _command(verb: str, words: Sequence[str], config_dirs: Sequence["str | Path"]) -> str:
    """What would be typed to repeat a call from Python, whose own process was started otherwise."""
    places = [word for place in config_dirs for word in ("--config-dir", str(place))]
    return shlex.join(["facesegl", verb, *words, *places])
