"""`facesegl.train`, `facesegl.evaluate` and `facesegl.tune`: the verbs as Python functions."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from facesegl.provenance import command_of
from facesegl.runs.result import Result

if TYPE_CHECKING:
    from facesegl.commands.tune import Tuned


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


def tune(
    *overrides: str,
    trials: int = 30,
    study: "str | Path | None" = None,
    storage: str | None = None,
    prune: bool = True,
    test: bool = False,
    config_dirs: Sequence["str | Path"] = (),
) -> "Tuned":
    """Search for the best hyperparameters as `facesegl tune` does.

    Args:
        *overrides: keys and groups of conf/train.yaml, with a search space in Hydra's sweep grammar:
            `"data=fasseg_v2", "optimizer.lr=tag(log,interval(1e-4,1e-1))"`.
        trials: the number of trials of the study, over all processes.
        study: the study's folder, new or to join; None for a new one by date.
        storage: a database or a journal file of Optuna; None for a journal in the folder.
        prune: whether trials that are worse than the median of the others end early.
        test: whether the selected config is trained on all photos and scored on the test photos, once.
        config_dirs: folders with custom config groups.

    Returns:
        The study's folder, and the selected trial with its score and command.

    Raises:
        FaceseglError: any error; each subclass has an exit code.
        facesegl.errors.Stopped: a signal ended it.
    """
    from facesegl.tuning import require_optuna

    require_optuna()
    from facesegl.commands.tune import tune

    return tune(
        overrides,
        trials=trials,
        folder=None if study is None else Path(study),
        storage=storage,
        prune=prune,
        test=test,
        config_dirs=[Path(folder) for folder in config_dirs],
    )
