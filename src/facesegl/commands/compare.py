"""`facesegl compare`: compare models on the same photos, with confidence intervals.

Each argument is a run folder with its counts, a counts.npz, or a model file or sweep, which is scored first.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from facesegl.commands.evaluate import evaluate
from facesegl.config.schema import SETS
from facesegl.errors import ConfigError, DataError, FaceseglError
from facesegl.evaluation.comparison import Comparison, Scored, compare_counts, pick
from facesegl.evaluation.counts_file import NAME, read_counts
from facesegl.prediction.members import member_files
from facesegl.prediction.model import SUFFIXES, is_sweep, names_model, read_card
from facesegl.pretrained import is_pretrained, model_path
from facesegl.provenance import command_of
from facesegl.runs.result import TOUCHES_TEST
from facesegl.text import a_few, suggestion

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Made = TypeVar("Made")

_BY_PREFERENCE = ("test_clean", "test", "test_strict", "val", "train")


def compare(
    models: Sequence["str | Path"],
    *,
    set: str | None = None,
    overrides: Sequence[str] = (),
    config_dirs: Sequence["str | Path"] = (),
) -> Comparison:
    """Compare models on the photos that all of them have; the first is the baseline.

    Args:
        models: folders of scored runs, their counts.npz, or model files and folders of sweeps, which are scored first.
        set: one of `facesegl.data.SETS`; None for the headline set that all models have.
        overrides: keys and groups of conf/evaluate.yaml for model files: `paths.data=FOLDER`.
        config_dirs: folders with custom config groups.

    Raises:
        ConfigError: nothing to compare, different classes, a set that a model lacks, no shared photo.
        CheckpointError: counts or a model that cannot be read.
        DataError: the models were scored with different masks.
    """
    _require_arguments(models, set, overrides)
    opened = _map_all(_open, map(model_path, models))
    _require_same_classes(opened)
    ready = [model for model in opened if isinstance(model, Scored)]
    if len(ready) == len(opened) and overrides:
        raise ConfigError(
            f"{' '.join(overrides)}: keys are for model files, which are scored first; all of these have counts."
        )
    if ready and (alone := [key for key in overrides if not key.startswith("paths.")]):
        log.warning(
            "%s: used only for models that are scored now; %s had counts",
            " ".join(alone),
            a_few(str(one.path) for one in ready),
        )
    name = _choose(ready, set) if ready else set
    if ready and name:
        _shared_photos(ready, name)  # report problems before scoring, which takes minutes
    scored = _score_the_rest(opened, name, overrides, config_dirs)
    name = _choose(scored, name)
    return compare_counts(scored, name, _shared_photos(scored, name))


def _require_arguments(models: Sequence["str | Path"], set: str | None, overrides: Sequence[str]) -> None:
    problems = []
    if len(models) < 2:
        problems.append(f"compare: {len(models) or 'nothing'} to compare; expected two runs or models, or more.")
    if set is not None and set not in SETS:
        problems.append(f"--set {set}: no such set; {suggestion(set, SETS)}")
    problems += [f"{key}: give it as --set NAME." for key in overrides if key.lstrip("+").startswith("set=")]
    problems += [
        f"{key}: several models may be scored, each in its own folder; choose their parent with paths.runs=FOLDER."
        for key in overrides
        if key.lstrip("+").startswith("paths.run=")
    ]
    if problems:
        raise ConfigError(*problems)


@dataclass(frozen=True)
class _Model:
    path: Path
    files: tuple[Path, ...]
    classes: tuple[str, ...]


def _open(path: Path) -> _Model | Scored:
    if is_pretrained(path) or (path.is_file() and names_model(path)) or is_sweep(path):
        files = tuple(member_files(path))
        return _Model(path, files, tuple(read_card(files[0])["taxonomy"]["classes"]))
    if path.is_dir() and (path / NAME).is_file():
        return Scored(path, path, read_counts(path))
    if path.is_dir():
        raise ConfigError(f"{path}: {_describe_folder(path)}")
    if path.is_file() and path.suffix == Path(NAME).suffix:
        return Scored(path, path.parent, read_counts(path))
    fact = "neither counts nor a model" if path.exists() else "no such file or folder"
    raise ConfigError(f"{path}: {fact}; expected a run folder, its {NAME}, or a model file ({', '.join(SUFFIXES)}).")


def _describe_folder(folder: Path) -> str:
    if (last := folder / "checkpoints" / "last.ckpt").is_file():
        return f"a run without {NAME}; name its {last.relative_to(folder)}, which is scored first."
    return f"a folder without {NAME}; expected the folder of a scored run."


def _require_same_classes(models: "Sequence[_Model | Scored]") -> None:
    first = models[0]
    problems = [
        f"{model.path}: different classes from {first.path} ({_class_differences(model.classes, first.classes)}); "
        f"expected models of the same classes."
        for model in models
        if model.classes != first.classes
    ]
    if problems:
        raise ConfigError(*dict.fromkeys(problems))


def _class_differences(here: Sequence[str], there: Sequence[str]) -> str:
    extra, lacking = ([name for name in one if name not in other] for one, other in ((here, there), (there, here)))
    words = [f"{what} {a_few(names)}" for what, names in (("it has", extra), ("it lacks", lacking)) if names]
    return ", ".join(words) or "the same names in another order"


def _choose(models: Sequence[Scored], set: str | None) -> str:
    for name in [set] if set else _BY_PREFERENCE:
        if all(name in model.saved.sets for model in models):
            return name
    if set:
        lacking = [model for model in models if set not in model.saved.sets]
        raise ConfigError(*dict.fromkeys(_no_such_set(set, model) for model in lacking))
    scored = "; ".join(f"{model.path} on {a_few(model.saved.sets)}" for model in models)
    raise ConfigError(
        f"compare: no set on which all were scored: {scored}. Name their checkpoints instead of the runs: they are "
        f"scored first, on the same set."
    )


def _no_such_set(set: str, model: Scored) -> str:
    remedy = (
        "Its data have no such photos; choose another set."
        if names_model(model.path)
        else "Name its checkpoint instead of the run: it is scored first, on that set."
    )
    return f"{model.path}: not scored on {set}, only on {a_few(model.saved.sets)}. {remedy}"


def _shared_photos(models: Sequence[Scored], set: str) -> list[str]:
    shared = [photo for photo in models[0].saved.sets[set] if all(photo in one.saved.sets[set] for one in models)]
    if not shared:
        remedy = (
            "Models of other folds hold out other photos: train them with the same data.fold, data.folds and "
            "data.fold_seed, or name their checkpoints and --set test"
            if set == "val"
            else "Score them on the same data"
        )
        raise ConfigError(
            f"compare: no photo of {set} is in all of {a_few(str(one.path) for one in models)}. {remedy}."
        )
    _require_same_truth(models, shared)
    return shared


def _require_same_truth(models: Sequence[Scored], photos: Sequence[str]) -> None:
    """Compare the numbers of true pixels and boundary pixels of each class in each photo."""
    first, problems = models[0], []
    of_first = _truth(first, photos)
    for model in models[1:]:
        differ = (_truth(model, photos) != of_first).any(axis=(1, 2))
        if names := [photo for photo, differs in zip(photos, differ, strict=True) if differs]:
            data = f" ({model.saved.data}, {first.saved.data})" if model.saved.data != first.saved.data else ""
            problems.append(
                f"{model.path}: the masks of {len(names)} of {len(photos)} photos differ from those of "
                f"{first.path}{data}: {a_few(names)}. Score both on the same data."
            )
    if problems:
        raise DataError(*dict.fromkeys(problems))


def _truth(model: Scored, photos: Sequence[str]) -> np.ndarray:
    """(N, C, 2) int64: the true pixels of each class, and its boundary pixels."""
    counts, boundary = pick(model.saved, photos)
    return np.stack([counts.sum(axis=2), boundary[:, :, 3]], axis=-1)


def _score_the_rest(
    models: "Sequence[_Model | Scored]",
    set: str | None,
    overrides: Sequence[str],
    config_dirs: Sequence["str | Path"],
) -> list[Scored]:
    to_score = "test" if set is None or set in TOUCHES_TEST else set
    keys = [f"set={to_score}", *overrides]
    done: dict[Path, Scored] = {}
    for model in models:
        if isinstance(model, _Model) and model.path not in done:
            log.info("scoring %s", model.path)
            command = command_of("evaluate", [str(model.path), *keys], config_dirs)
            folder = evaluate(model.files, keys, config_dirs, command=command).folder
            log.info("saved in %s", folder)
            done[model.path] = Scored(model.path, folder, read_counts(folder))
    return [model if isinstance(model, Scored) else done[model.path] for model in models]


def _map_all(make: Callable[[Item], Made], items: Iterable[Item]) -> list[Made]:
    made: list[Made] = []
    errors: list[FaceseglError] = []
    for item in items:
        try:
            made.append(make(item))
        except FaceseglError as error:
            errors.append(error)
    if errors:
        raise type(errors[0])(*dict.fromkeys(problem for error in errors for problem in error.problems))
    return made
