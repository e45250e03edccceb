"""Build the data of a command: named by a model's card, or chosen on the command line."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from omegaconf import DictConfig, OmegaConf, open_dict

from facesegl.card import A_PATH, Card
from facesegl.commands.build import GIVEN, require_name
from facesegl.config.check import check
from facesegl.config.compose import Composed, conf_dir, literal
from facesegl.config.identity import SYNTHETIC_KEYS
from facesegl.config.instantiate import build
from facesegl.config.schema import EvaluateKeys, Node, PathText, Seed
from facesegl.config.signatures import path_keys
from facesegl.errors import CheckpointError, ConfigError
from facesegl.prediction.model import read_card
from facesegl.prediction.predictor import Predictor
from facesegl.pretrained import is_pretrained, on_disk
from facesegl.runs.result import read_result

if TYPE_CHECKING:
    from facesegl.data.datamodule import FaceDataModule

log = logging.getLogger(__name__)

_OF_TRAINING = {"model", "loss", "optimizer", "schedule", "augment", "trainer", "callbacks", "logger"}

_UNUSED_KEYS = ("name", "resume", "init", "trust", *sorted(_OF_TRAINING - {"augment"}))


class Opened(NamedTuple):
    """Models with their data.

    Attributes:
        card: the card of the first model.
        plan: the checked config of the evaluation.
        predictor: one model or an ensemble.
        faces: the data module; no photo is read before its `setup`.
    """

    card: Card
    plan: DictConfig
    predictor: Predictor
    faces: FaceDataModule


def open_models(
    files: Sequence[Path],
    overrides: Sequence[str] = (),
    config_dirs: Sequence[str | Path] = (),
    *,
    tta: bool | None = None,
) -> Opened:
    """Open models and choose the data named by the first model's card or by the overrides.

    Args:
        files: checkpoints or exported models.
        overrides: keys and groups of conf/evaluate.yaml, e.g. `paths.data=FOLDER`.
        config_dirs: folders with custom config groups.
        tta: test-time augmentation; None for the config's value.

    Raises:
        ConfigError: wrong overrides, or data with other classes.
        CheckpointError: a model cannot be read or is not trusted.
    """
    card = read_card(files[0])
    plan = _plan(card, files[0], overrides, config_dirs)
    predictor = Predictor(*files, device=plan.device, tta=plan.tta if tta is None else tta, trust=plan.trust)
    return Opened(card, plan, predictor, _build_faces(plan, card))


def open_faces(
    card: Card, model: Path, overrides: Sequence[str] = (), config_dirs: Sequence[str | Path] = ()
) -> FaceDataModule:
    """The data of `open_models` alone; `card` is the card of the file `model`."""
    return _build_faces(_plan(card, model, overrides, config_dirs), card)


def chooses_data(overrides: Sequence[str]) -> bool:
    """Whether overrides choose the data: `data=fasseg_v2`."""
    return "data" in _typed(overrides)


def warn_of_other_data(card: Card, faces: FaceDataModule) -> bool:
    """Return whether a model was trained on other data, and log a warning if so."""
    name, fingerprint = (card["data"].get(key) for key in ("name", "fingerprint"))
    now = faces.cache.fingerprint
    if fingerprint == now:
        return False
    log.warning(
        "these data differ from the training data: %s (%s) instead of %s (%s)",
        faces.source.name,
        now,
        name,
        fingerprint,
    )
    return True


def _plan(card: Card, model: Path, overrides: Sequence[str], config_dirs: Sequence[str | Path]) -> DictConfig:
    plan = check(_config_to_evaluate(card, model, overrides, config_dirs), roots=EvaluateKeys, given=GIVEN)
    require_name(plan.name)
    return plan


def _build_faces(plan: DictConfig, card: Card) -> FaceDataModule:
    faces: FaceDataModule = build(plan.data)
    ours, theirs = list(faces.taxonomy.names), list(card["taxonomy"]["classes"])
    if ours != theirs:
        raise ConfigError(
            f"data: the classes are {', '.join(ours)}; the model was trained on {', '.join(theirs)}. Use data with the "
            f"same classes{_mapped_classes(plan.choices.data, theirs)}."
        )
    return faces


def _mapped_classes(data: str, classes: Sequence[str]) -> str:
    """A choice of taxonomy that gives these data the classes, as the end of a message; empty if there is none."""
    folder = conf_dir() / "data" / "taxonomy"
    for mapped in folder.glob(f"{data}_as_*.yaml"):
        of = folder / f"{mapped.stem.removeprefix(f'{data}_as_')}.yaml"
        if list(OmegaConf.load(of).classes) == list(classes):
            return f", here data/taxonomy={mapped.stem}"
    return ""


def _typed(overrides: Sequence[str]) -> list[str]:
    return [override.split("=", 1)[0].lstrip("+~").replace("data/taxonomy", "data.taxonomy") for override in overrides]


def _config_to_evaluate(
    card: Card, model: Path, overrides: Sequence[str], config_dirs: Sequence[str | Path]
) -> Composed:
    """Compose conf/evaluate.yaml; the data come from the card unless the command line names them."""
    typed = _typed(overrides)
    chosen = [] if "data" in typed else [f"data={card['data']['choice']}"]
    if foreign := sorted({key.partition(".")[0] for key in typed} & _OF_TRAINING):
        raise ConfigError(*(f"{key}: evaluate takes everything about the net from the model." for key in foreign))
    composed = Composed.of([*chosen, *overrides], config_name="evaluate", config_dirs=config_dirs)
    config = composed.config
    defaults = _CardDefaults(card, model, typed)
    with open_dict(config):
        if chosen and not is_pretrained(model):  # conf/ has fewer synthetic faces than their training had
            defaults.fill(config.data)
        elif config.data is not None:
            defaults.fill_other_data(config)
        if config.paths.data is None:
            config.paths.data = literal(defaults.recorded_path("paths.data") or "data")
        _mix_nothing(config.data)
    return composed


def _mix_nothing(data: DictConfig | None) -> None:
    """Leave out the synthetic faces in training batches: nothing is trained."""
    for key in SYNTHETIC_KEYS:
        if data is not None:
            data.pop(key, None)


class _CardDefaults:
    """Fill a data config from a model's card, without overwriting keys from the command line.

    Only keys that the config has are set, never interpolations of paths, and a taxonomy is taken as a whole. Paths come
    from the record of the run folder around the model, if there is one.
    """

    def __init__(self, card: Card, model: Path, typed: Sequence[str]) -> None:
        self._card, self._model, self._typed = card, model, typed
        self._lacking: list[str] = []

    def fill(self, data: DictConfig) -> None:
        """Fill the data that the card names."""
        self._fill(data, self._card["data"]["values"], "data")
        if self._lacking:
            asked = " ".join(f"{key}=PATH" for key in self._lacking)
            raise ConfigError(
                f"{self._model}: model files do not contain the paths of their photos, and this one is not in its run "
                f"folder; give {asked}"
            )

    def fill_other_data(self, config: DictConfig) -> None:
        """Fill data that the command line names: image size, the photos trained on if they are the card's, taxonomy."""
        data, of_card = config.data, self._card["data"]
        if "data.image_size" not in self._typed:
            data.image_size = self._card["image_size"]
        trained = of_card["values"] if config.choices.data == of_card["choice"] else {"fold": None}
        for key in ("fold", "folds", "fold_seed", "photos", "photos_seed"):
            if key in trained and key in data and f"data.{key}" not in self._typed:
                data[key] = trained[key]
        if OmegaConf.is_missing(data, "taxonomy"):
            data.taxonomy = self._card["taxonomy"]

    def recorded_path(self, key: str) -> str | None:
        """A path in the config of the run around the model; a relative one starts from the run's working directory."""
        record = read_result(on_disk(self._model).resolve().parent.parent) or {}
        value: Any = record.get("config")
        for name in key.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        started = record.get("started_in")
        if not isinstance(value, str) or not isinstance(started, str):
            return None
        return value if value.startswith("~") else str(Path(started) / value)

    def _fill(self, node: DictConfig, values: Mapping[str, Any], key: str, all_paths: bool = False) -> None:
        paths = [*values] if all_paths else path_keys(node)
        written: Any = OmegaConf.to_container(node)
        for name, value in values.items():
            full = f"{key}.{name}"
            if any(one == full or (one.startswith(f"{full}.") and name == "taxonomy") for one in self._typed):
                continue
            if name not in written or (name == "taxonomy" and not isinstance(value, Mapping | None)):
                raise CheckpointError(
                    f"{self._model}: its card sets {full}, which these data do not have; do not use this file."
                )
            if name in paths and not isinstance(value, Mapping) and value not in (None, A_PATH):
                raise CheckpointError(
                    f"{self._model}: its card has a path, {full}, which facesegl never writes; do not use this file."
                )
            if isinstance(value, Mapping) and isinstance(written[name], Mapping) and name != "taxonomy":
                self._fill(node[name], value, full, all_paths=name in paths)
            elif value == A_PATH:
                self._fill_path(node, str(name), full)
            elif "${paths." not in str(written[name]):
                node[name] = value

    def _fill_path(self, node: DictConfig, name: str, full: str) -> None:
        found = self.recorded_path(full)
        if found is not None and Path(found.partition("{")[0]).parent.is_dir():
            node[name] = literal(found)
        elif OmegaConf.is_missing(node, name) or node[name] is None:  # otherwise the user's config sets it
            self._lacking.append(full)


@dataclass(frozen=True)
class _DataPaths:
    data: PathText
    cache: PathText


@dataclass(frozen=True)
class _DataKeys:
    """The root keys of `conf/train.yaml` for data."""

    seed: Seed
    paths: _DataPaths
    data: Node
    augment: Node | None = None
    choices: dict[str, Any] | None = None


def choose_data(overrides: Sequence[str], config_dirs: Sequence[str | Path] = (), *, verb: str) -> FaceDataModule:
    """Build the data of the overrides, as for training; no photo is read.

    Args:
        overrides: keys and groups of conf/train.yaml about data: `data=synthetic`, `paths.data=FOLDER`.
        config_dirs: folders with custom config groups.
        verb: the name of the command, for messages.

    Raises:
        ConfigError: all problems with the overrides.
    """
    if foreign := [text for text in overrides if text.lstrip("+~").partition("=")[0].partition(".")[0] in _UNUSED_KEYS]:
        raise ConfigError(*(f"{text}: {verb} works on data alone; leave it out." for text in foreign))
    composed = Composed.of(overrides, config_dirs=config_dirs)
    config = composed.config
    with open_dict(config):
        for name in _UNUSED_KEYS:
            config.pop(name, None)
        for name in ("runs", "run"):  # nothing is written there
            config.paths.pop(name, None)
        _mix_nothing(config.data)
    plan = check(composed, roots=_DataKeys, given=GIVEN)
    faces: FaceDataModule = build(plan.data, augment=build(plan.augment))
    return faces
