"""The identity of a run: a hash of its config as plain data."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from facesegl.errors import ConfigError

if TYPE_CHECKING:
    from omegaconf import DictConfig

SYNTHETIC_KEYS = ("synthetic_share", "synthetic_faces")
"""The keys of `data` that only training uses, and only if synthetic faces are mixed in."""

_LATER_KEYS: dict[tuple[str, ...], Any] = {
    ("data", "source", "without"): [],
    ("data", "source", "image_name"): None,
}
"""Keys that older configs lack, with the value at which everything is as before: then they do not count."""

_UNCOUNTED = (
    ("callbacks", "progress"),
    ("trainer", "max_time"),
    *(("data", key) for key in (*SYNTHETIC_KEYS, "force")),
)
"""Keys below the root that never count."""

_IGNORED_KEYS = ("choices", "hydra", "logger", "name", "paths", "resume", "trust")


def to_plain(config: DictConfig | Mapping[str, Any]) -> dict[str, Any]:
    """A config in builtin containers, its interpolations resolved, for JSON and checkpoints."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if not OmegaConf.is_config(config):
        return dict(config)
    try:
        plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key or 'config'}: {str(error).splitlines()[0]}") from error
    return {str(key): value for key, value in plain.items()}


def identity(
    config: DictConfig, data_key: str, *, mixed: Sequence[Any] = (), init: str | None = None, ranks: int = 1
) -> str:
    """12 hex digits that are equal if and only if two runs train the same thing on the same data.

    Paths, loggers, the progress bar, the time limit of a start, trusted packages and the order of keys do not count.
    Nor does the number of ranks: what counts is the batch that they share.

    Args:
        config: as composed, before `auto` is resolved on one machine.
        data_key: the key of the data's content.
        mixed: identifies the synthetic faces in training batches; empty for none.
        init: the digest of the weights that the run starts from, in place of their path.
        ranks: the number of processes, each with `data.batch_size` samples of a batch.
    """
    plain = _counted(config)
    unused = () if plain["data"].get("photos") is not None else ("photos", "photos_seed")  # not in older configs
    for *nodes, key in (*_UNCOUNTED, *(("data", key) for key in unused)):
        _below(plain, nodes).pop(key, None)
    for (*nodes, key), old in _LATER_KEYS.items():
        if (node := _below(plain, nodes)).get(key, ...) == old:
            del node[key]
    _on_one_device(plain, ranks)
    if init:
        plain["init"] = init
    text = json.dumps([plain, data_key, *mixed], sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _on_one_device(plain: dict[str, Any], ranks: int) -> None:
    trainer = plain.get("trainer") or {}
    if str(trainer.get("strategy")).startswith("ddp"):
        del trainer["strategy"]
    if ranks > 1:
        plain["data"]["batch_size"] *= ranks
        trainer["devices"] = 1
        trainer.pop("num_nodes", None)


def hyperparameters(config: DictConfig) -> dict[str, Any]:
    """The config for loggers: plain values by dotted key, group choices included, e.g. `model` and `model.channels`.

    Without what does not count for the identity, folders of this machine, and the classes of a taxonomy group.

    Args:
        config: as composed, before `auto` is resolved on one machine.
    """
    groups = {key: choice for key, choice in (config.get("choices") or {}).items() if key not in _IGNORED_KEYS}
    flat = dict(_flat(_counted(config)))
    return {str(key): choice for key, choice in groups.items() if choice} | flat


def _flat(plain: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in plain.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            if name != "taxonomy" and tuple(key.split(".")) not in _UNCOUNTED:
                yield from _flat(value, f"{key}.")
        elif isinstance(value, list):
            yield key, json.dumps(value)
        elif name != "_partial_" and not (isinstance(value, str) and value.startswith(("paths.", "/", "~"))):
            yield key, value


def _counted(config: DictConfig) -> dict[str, Any]:
    from omegaconf import OmegaConf, open_dict

    masked: Any = OmegaConf.masked_copy(config, [str(key) for key in config])
    with open_dict(masked):
        # An interpolated path counts by its name, so that moved data do not change the identity.
        masked.paths = {key: f"paths.{key}" for key in config.get("paths") or {}}
    return {key: value for key, value in to_plain(masked).items() if key not in _IGNORED_KEYS}


def _below(plain: dict[str, Any], nodes: Sequence[str]) -> dict[str, Any]:
    return functools.reduce(lambda node, name: node.get(name) or {}, nodes, plain)
