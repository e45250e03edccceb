"""The data that a model names: found again from its card, wherever the model's file lies now."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from facesegl.card import Card
from facesegl.commands.make_card import A_PATH
from facesegl.config.check import check
from facesegl.config.compose import Composed
from facesegl.config.instantiate import build
from facesegl.config.schema import EvaluateKeys
from facesegl.config.signatures import path_keys
from facesegl.data.datamodule import FaceDataModule
from facesegl.errors import CheckpointError, ConfigError
from facesegl.runs.result import read_result

log = logging.getLogger(__name__)

GIVEN = {"data": {"augment"}}
"""Parameters that no config gives to data that are only looked at."""

_OF_TRAINING = {"model", "loss", "optimizer", "schedule", "augment", "trainer", "callbacks", "logger"}


def open_faces(
    card: Card, model: Path, overrides: Sequence[str] = (), config_dirs: Sequence["str | Path"] = ()
) -> FaceDataModule:
    """Build and set up the data that a card names, or others that the overrides name.

    Args:
        card: a checked card.
        model: the file that it came from.
        overrides: keys and groups of conf/evaluate.yaml, such as `paths.data=FOLDER`.
        config_dirs: folders with a person's own groups.

    Raises:
        ConfigError: overrides that are wrong, or data of other classes.
        DataError: the data are not there, or are wrong.
    """
    composed = config_to_evaluate(card, model, overrides, config_dirs)
    faces = build_faces(check(composed, roots=EvaluateKeys, given=GIVEN), card)
    faces.setup("test")
    return faces


def build_faces(plan: DictConfig, card: Card) -> FaceDataModule:
    """Build the data of a plan, which have the classes of the card.

    Raises:
        ConfigError: they have others.
    """
    faces: FaceDataModule = build(plan.data)
    _require_same_classes(faces, card)
    return faces


def config_to_evaluate(
    card: Card, model: Path, overrides: Sequence[str], config_dirs: Sequence["str | Path"]
) -> Composed:
    """The config to evaluate with; data that the command line does not name are those of the card."""
    typed = [override.split("=", 1)[0].lstrip("+~").replace("data/taxonomy", "data.taxonomy") for override in overrides]
    chosen = [] if "data" in typed else [f"data={card['data']['choice']}"]
    if foreign := sorted({key.partition(".")[0] for key in typed} & _OF_TRAINING):
        raise ConfigError(*(f"{key}: evaluate takes everything about the net from the model." for key in foreign))
    composed = Composed.of([*chosen, *overrides], config_name="evaluate", config_dirs=config_dirs)
    config = composed.config
    around = _RunAround.of(model)
    with open_dict(config):
        if chosen:
            taking = _Taking(typed, model, around)
            taking.into(config.data, card["data"]["values"], "data")
            taking.require_all()
        elif config.data is not None:
            if "data.image_size" not in typed:
                config.data.image_size = card["image_size"]
            _deal_as_learnt(config, card, typed)
            if OmegaConf.is_missing(config.data, "taxonomy"):
                config.data.taxonomy = card["taxonomy"]
        if config.paths.data is None:
            config.paths.data = around.place("paths.data") or "data"
    return composed


def _deal_as_learnt(config: DictConfig, card: Card, typed: Sequence[str]) -> None:
    """Data that the command line names have the model's own folds where they are its own, and none where not."""
    learnt = card["data"]["values"] if config.choices.data == card["data"]["choice"] else {"fold": None}
    for key in ("fold", "folds", "fold_seed"):
        if key in learnt and key in config.data and f"data.{key}" not in typed:
            config.data[key] = learnt[key]


class _Taking:
    """What a card says of its data, set in a config; not what the command line says.

    Names are those that the node has, never paths to others, and a taxonomy is taken as a whole. Where things lie comes
    from the run around the model; where there is none, from the config itself.
    """

    def __init__(self, typed: Sequence[str], model: Path, around: "_RunAround") -> None:
        self._typed, self._model, self._around = typed, model, around
        self._lacking: list[str] = []

    def into(self, node: DictConfig, values: Mapping[str, Any], key: str, all_places: bool = False) -> None:
        """Set what `values` say in a node; a place is never theirs to say."""
        places = [*values] if all_places else path_keys(node)
        written: Any = OmegaConf.to_container(node)
        for name, value in values.items():
            full = f"{key}.{name}"
            if any(one == full or (one.startswith(f"{full}.") and name == "taxonomy") for one in self._typed):
                continue
            if name not in node.keys() or (name == "taxonomy" and not isinstance(value, Mapping | None)):  # noqa: SIM118
                raise CheckpointError(
                    f"{self._model}: its card says {full}, which these data do not have; it is not trusted."
                )
            inner = written[name]
            if name in places and not isinstance(value, Mapping) and value not in (None, A_PATH):
                raise CheckpointError(
                    f"{self._model}: its card says where {full} lies, which no card does; it is not trusted."
                )
            if isinstance(value, Mapping) and isinstance(inner, Mapping) and name != "taxonomy":
                self.into(node[name], value, full, all_places=name in places)
            elif value == A_PATH:
                self._place(node, str(name), full)
            elif "${paths." not in str(inner):
                node[name] = value

    def _place(self, node: DictConfig, name: str, full: str) -> None:
        """Set where something lies; a config of the person's own may know it by itself."""
        found = self._around.place(full)
        if found is not None and Path(found.partition("{")[0]).parent.is_dir():
            node[name] = found
        elif OmegaConf.is_missing(node, name) or node[name] is None:
            self._lacking.append(full)

    def require_all(self) -> None:
        """Ask for what neither the command line, nor the run around the model, nor the config knows."""
        if self._lacking:
            asked = " ".join(f"{key}=PATH" for key in self._lacking)
            raise ConfigError(
                f"{self._model}: a model's file does not say where its photos lie, and its run is not around it; give "
                f"{asked}"
            )


class _RunAround:
    """What the run that made a model says of where things lie, if that run's folder is still around the model."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        self._record = record

    @classmethod
    def of(cls, model: Path) -> "_RunAround":
        """The run around a model's file."""
        return cls(read_result(model.resolve().parent.parent) or {})

    def place(self, key: str) -> str | None:
        """A path of its config; a relative one began where the run was started."""
        value: Any = self._record.get("config")
        for name in key.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        started = self._record.get("started_in")
        if not isinstance(value, str) or not isinstance(started, str):
            return None
        return value if value.startswith("~") else str(Path(started) / value)


def tell_other_data(card: Card, faces: FaceDataModule) -> bool:
    """Whether these are other data than a model learnt from; if so, the log says it."""
    learnt, now = (card["data"].get("name"), card["data"].get("fingerprint")), faces.cache.fingerprint
    if learnt[1] == now:
        return False
    log.warning("these are other data than it was trained on: %s (%s) and not %s (%s)", faces.source.name, now, *learnt)
    return True


def _require_same_classes(faces: FaceDataModule, card: Card) -> None:
    ours, theirs = list(faces.taxonomy.names), list(card["taxonomy"]["classes"])
    if ours != theirs:
        raise ConfigError(
            f"data: these have the classes {', '.join(ours)}; the checkpoint learnt {', '.join(theirs)}. Score it on "
            f"data of its own classes."
        )
