"""`facesegl.train`, `facesegl.sweep`, `facesegl.tune`, `facesegl.evaluate`, ...: the verbs as Python functions."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from facesegl.provenance import command_of
from facesegl.runs.result import Result
from facesegl.runs.sweep_jobs import Job

if TYPE_CHECKING:
    from facesegl.commands.predict import Predicted
    from facesegl.commands.tune import Tuned
    from facesegl.evaluation.comparison import Comparison
    from facesegl.exporting.certificate import Certificate


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


class Sweep(NamedTuple):
    """The outcome of `sweep`.

    Attributes:
        folder: the sweep's folder, for `report`.
        jobs: its jobs, in order; one without a score has the `miou` None.
        failed: a line for each job that failed, and one with their number; empty if none has.
    """

    folder: Path
    jobs: list[Job]
    failed: list[str]


def sweep(*overrides: str, config_dirs: Sequence["str | Path"] = ()) -> Sweep:
    """Train one model for each combination of values, as `facesegl train -m` does.

    A job that fails raises nothing, since the others are trained all the same: it is in `failed`.

    Args:
        *overrides: keys and groups of conf/train.yaml, with the values of a swept key separated by commas:
            `"data=fasseg_v2", "seed=0,1"`.
        config_dirs: folders with custom config groups.

    Raises:
        FaceseglError: any error before the first job starts; each subclass has an exit code.
        facesegl.errors.Stopped: a signal ended it; with `"resume=auto"` the same call resumes it.
    """
    from facesegl.commands.sweep import rehearse_jobs, sweep
    from facesegl.runs.sweep_jobs import failures, read_jobs

    configs = rehearse_jobs(overrides, config_dirs)
    folder = sweep(configs, overrides, config_dirs, program=str(Path(__file__).with_name("__main__.py")))
    return Sweep(folder, read_jobs(folder), failures(folder))


def evaluate(
    model: "str | Path | Sequence[str | Path]", *overrides: str, config_dirs: Sequence["str | Path"] = ()
) -> Result:
    """Score a model as `facesegl evaluate` does.

    Args:
        model: a file or a run folder; several in a list, or the folder of a sweep, are scored as one ensemble.
        *overrides: keys and groups of conf/evaluate.yaml: `"set=val"`, `"data=fasseg_v1"`.
        config_dirs: folders with custom config groups.

    Raises:
        FaceseglError: any error; each subclass has an exit code.
        facesegl.errors.Stopped: a signal ended it.
    """
    from facesegl.commands.evaluate import evaluate

    models = _several(model)
    words = [*map(str, models), *overrides]
    return evaluate(models, overrides, config_dirs, command_of("evaluate", words, config_dirs))


def tune(
    *overrides: str,
    trials: int = 30,
    study: "str | Path | None" = None,
    storage: "str | Path | None" = None,
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
        storage=None if storage is None else str(storage),
        prune=prune,
        test=test,
        config_dirs=[Path(folder) for folder in config_dirs],
    )


def predict(
    model: "str | Path | Sequence[str | Path]",
    photos: "str | Path | Sequence[str | Path]",
    output: "str | Path",
    *,
    device: str = "auto",
    tta: bool = False,
    probabilities: bool = False,
    palette: bool = False,
    batch_size: int = 4,
    trust: Sequence[str] = (),
) -> "Predicted":
    """Write the masks of photos as `facesegl predict` does; `facesegl.Predictor` segments photos in memory.

    Args:
        model: a file or a run folder; the probabilities of several in a list are averaged.
        photos: files, and folders, which are searched recursively.
        output: the folder of the masks; other files in it are kept.
        device: auto, cpu, cuda or mps.
        tta: test-time augmentation: also predict each mirrored photo, and average.
        probabilities: whether to save the probabilities too.
        palette: whether the index masks have the classes' colours as their palette.
        batch_size: photos per forward pass.
        trust: packages other than facesegl whose classes a checkpoint may name.

    Returns:
        The table of the photos; those that could not be segmented are in `failed`.

    Raises:
        FaceseglError: any other error; each subclass has an exit code.
    """
    from facesegl.commands.predict import predict

    return predict(
        _several(model),
        [Path(photo) for photo in _several(photos)],
        Path(output),
        device=device,
        tta=tta,
        probabilities=probabilities,
        palette=palette,
        batch_size=batch_size,
        trust=trust,
    )


def compare(
    models: "Sequence[str | Path]",
    *overrides: str,
    set: str | None = None,
    config_dirs: Sequence["str | Path"] = (),
) -> "Comparison":
    """Compare models on the same photos as `facesegl compare` does; the first is the baseline.

    Args:
        models: folders of scored runs, their counts.npz, or model files, which are scored first.
        *overrides: keys and groups of conf/evaluate.yaml for model files: `"paths.data=FOLDER"`.
        set: the set of photos, of `facesegl.data.SETS`; None for the headline set that all models have.
        config_dirs: folders with custom config groups.

    Raises:
        FaceseglError: any error; each subclass has an exit code.
    """
    from facesegl.commands.compare import compare

    return compare(_several(models), set=set, overrides=overrides, config_dirs=config_dirs)


def report(
    folder: "str | Path",
    *overrides: str,
    baselines: "str | Path | Sequence[str | Path]" = (),
    config_dirs: Sequence["str | Path"] = (),
) -> Path:
    """Write the page of a run or a sweep as `facesegl report` does.

    Args:
        folder: the folder of a training, an evaluation or a sweep.
        *overrides: keys of conf/evaluate.yaml for the photos in the report: `"paths.data=FOLDER"`.
        baselines: runs whose scores are lines in the chart of a sweep over the number of masks.
        config_dirs: folders with custom config groups.

    Returns:
        The page's file.

    Raises:
        FaceseglError: any error; each subclass has an exit code.
    """
    from facesegl.commands.report import report

    return report(Path(folder), overrides, config_dirs, [Path(baseline) for baseline in _several(baselines)])


def export(
    model: "str | Path | Sequence[str | Path]",
    output: "str | Path",
    *overrides: str,
    whole: bool = False,
    int8: bool = False,
    half: bool = False,
    warn_unlike: bool = False,
    photos: "str | Path | None" = None,
    force: bool = False,
    trust: Sequence[str] = (),
    config_dirs: Sequence["str | Path"] = (),
) -> "Certificate":
    """Export a model to ONNX or safetensors as `facesegl export` does, with a certificate that it predicts the same.

    Args:
        model: a checkpoint, weights, or a run folder; several in a list become one graph.
        output: the file to write, `.onnx` or `.safetensors`.
        *overrides: keys and groups of conf/evaluate.yaml for the photos it is compared on: `"paths.data=FOLDER"`.
        whole: include resizing, upsampling and argmax in the graph; for ONNX.
        int8: quantize to int8, calibrated on training photos; for ONNX.
        half: write the weights in half precision; for safetensors.
        warn_unlike: write the threshold of `predict`'s warning into the card; for weights trained on synthetic faces.
        photos: a folder of photos to compare on instead of the data.
        force: replace an existing file.
        trust: packages other than facesegl whose classes the checkpoint may name.
        config_dirs: folders with custom config groups.

    Raises:
        FaceseglError: any error; each subclass has an exit code.
    """
    from facesegl.commands.export import export

    return export(
        _several(model),
        Path(output),
        whole=whole,
        int8=int8,
        half=half,
        warn_unlike=warn_unlike,
        photos=None if photos is None else Path(photos),
        force=force,
        trust=trust,
        overrides=overrides,
        config_dirs=config_dirs,
    )


def _several(paths: "str | Path | Sequence[str | Path]") -> "Sequence[str | Path]":
    return [paths] if isinstance(paths, str | Path) else paths
