"""The card: a description of the weights as plain data, made by training and checked on reading.

It is stored in a checkpoint, in a file of weights and in an exported model. Nothing in it is ever run. It
names one class, the net's, which is built only if it is an `nn.Module` of facesegl or of a package that you trust.
"""

import json
import math
import re
import shlex
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import yaml

from facesegl.config.schema import SETS
from facesegl.config.signatures import path_keys
from facesegl.errors import CheckpointError, ConfigError
from facesegl.files import readable
from facesegl.labels.taxonomy import Taxonomy, is_config_syntax

FORMAT = 1
"""The card's format; raised whenever an older facesegl could misread a newer card."""

LARGEST = 8192
"""The largest input side in pixels: more is a damaged card, or an attempt to exhaust the memory."""

KEY = "facesegl"
"""The metadata key of the card (JSON) in a weights file or an exported model."""

A_PATH = "(a path)"
"""The placeholder for a path."""

Card = dict[str, Any]

_DEEPEST, _LONGEST, _LARGEST_NUMBER = 32, 1000, 2**63
"""Limits of a card's values: nesting depth, length of names and texts, size of integers."""

_TEXTS = ("config", "command")  # for people to read; these may be longer

_PLAIN_NAME = re.compile(r"[\w-]+(/[\w-]+)*")

_REQUIRED: dict[str, type] = {
    "format": int,
    "net": dict,
    "taxonomy": dict,
    "normalisation": dict,
    "image_size": int,
    "data": dict,
    "config": str,
    "versions": dict,
}

_OPTIONAL: dict[str, type] = {"parameters": int, "command": str, "scores": dict, "unlike_below": float, "members": list}


def make_card(
    config: Mapping[str, Any],
    plan: Mapping[str, Any],
    facts: Mapping[str, Any],
    parameters: int,
    command: str,
    versions: Mapping[str, str],
) -> Card:
    """Describe the weights that a run will make.

    The card has no absolute path and one `_target_`, the net's; the config is included as text, for people to read.

    Args:
        config: the composed config with its interpolations, as builtin values.
        plan: the same config, checked and resolved.
        facts: the facts about the data from `FaceDataModule.facts`.
        parameters: the net's number of trainable parameters.
        command: the command line that repeats the run.
        versions: the version of each package.
    """
    return {
        "format": FORMAT,
        "net": {**plan["model"], "num_classes": len(facts["taxonomy"]["classes"])},
        "taxonomy": facts["taxonomy"],
        "normalisation": facts["normalisation"],
        "image_size": facts["image_size"],
        "data": {
            "choice": str(config["choices"]["data"]),
            "name": facts["name"],
            "fingerprint": facts["fingerprint"],
            "values": _portable(plan["data"], config["data"]),
        },
        "config": yaml.safe_dump(_without_paths(config), sort_keys=False),
        "versions": dict(versions),
        "parameters": parameters,
        "command": readable(shlex.join(_without_path(word) for word in shlex.split(command))),
    }


def _portable(plan: Mapping[str, Any], written: Any) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    paths = path_keys(plan)
    for key, value in plan.items():
        as_written = written.get(key) if isinstance(written, Mapping) else None
        if key in paths and "${paths." not in str(as_written):
            kept[key] = _hidden(value)
        elif isinstance(value, Mapping):
            kept[key] = _portable(value, as_written)
        elif key != "_target_" and not _is_absolute_path(value) and "${paths." not in str(as_written):
            kept[key] = value
    return kept


def _hidden(path: Any) -> Any:
    if isinstance(path, Mapping):
        return {key: _hidden(inner) for key, inner in path.items()}
    return None if path is None else A_PATH


def _without_paths(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_paths(inner) for key, inner in value.items()}
    return A_PATH if _is_absolute_path(value) else value


def _without_path(word: str) -> str:
    """A word of a command with its absolute path replaced: `paths.data=/home/me/photos`."""
    key, equals, value = word.rpartition("=")
    return f"{key}{equals}{A_PATH}" if _is_absolute_path(value) else word


def _is_absolute_path(value: Any) -> bool:
    return isinstance(value, str) and PurePath(value).is_absolute()


def card_as_text(card: Card) -> str:
    """Serialize a card as JSON, for a file's metadata."""
    return json.dumps(card, ensure_ascii=False)


def card_in(metadata: Mapping[str, str], path: str) -> Card:
    """Read and check the card in a file's metadata.

    Raises:
        CheckpointError: the card is missing or invalid; the message begins with `path`.
    """
    text = metadata.get(KEY)
    try:
        card: Any = json.loads(text) if text else None
    except (ValueError, RecursionError):
        card = None
    if card is None:
        raise CheckpointError(f"{path}: it has no card; expected a file written by facesegl export.")
    check_card(card, path)
    return dict(card)


def check_card(card: Any, path: str) -> None:
    """Refuse an invalid or malicious card, without running anything in it.

    Raises:
        CheckpointError: the card is invalid; the message begins with `path`.
    """
    if not isinstance(card, Mapping) or "format" not in card:
        raise CheckpointError(f"{path}: it has no card of facesegl; was it written by another program?")
    if strange := _not_plain({**card, **{name: "" for name in _TEXTS if isinstance(card.get(name), str)}}):
        raise CheckpointError(f"{path}: its card has {strange}, which facesegl never writes. Do not use this file.")
    if card["format"] != FORMAT:
        raise CheckpointError(
            f"{path}: its card has format {card['format']!r}, this facesegl reads {FORMAT}; use the version that "
            f"wrote it ({_version(card)}), or train again."
        )
    wrong_types = [name for name, kind in _REQUIRED.items() if not _has_type(card.get(name), kind)]
    wrong_types += [name for name, kind in _OPTIONAL.items() if name in card and not _has_type(card[name], kind)]
    if wrong_types:
        raise CheckpointError(
            f"{path}: its card lacks {', '.join(wrong_types)}, or has the wrong type there; is it damaged?"
        )
    for wrong in (_untrusted(card), _damaged(card)):
        if wrong:
            raise CheckpointError(f"{path}: its card{wrong}")
    try:
        Taxonomy.from_mapping(card["taxonomy"])
    except ConfigError as error:
        raise CheckpointError(*(f"{path}: in its card, {problem[:_LONGEST]}" for problem in error.problems)) from None


def _untrusted(card: Mapping[str, Any]) -> str:
    """A problem with config syntax in a card; empty if there is none."""
    # without its underscores, since `_target_`, the net's class, is checked later
    net = {str(name).strip("_"): value for name, value in card["net"].items()}
    for name, value in (("net", net), *((name, card[name]) for name in ("taxonomy", "normalisation", "data"))):
        if found := _config_syntax(value):
            return f" has {found} in {name}; expected plain values. Do not use this file."
    return ""


def _config_syntax(value: Any) -> str:
    """The first value or key that OmegaConf or Hydra would act on (`${...}`, `_target_`, ...); empty if none."""
    if isinstance(value, Mapping):
        keys = [f"the key {key}" for key in value if isinstance(key, str) and is_config_syntax(key)]
        return next(filter(None, (*keys, *map(_config_syntax, value.values()))), "")
    if isinstance(value, list | tuple):
        return next(filter(None, map(_config_syntax, value)), "")
    return "${...}" if isinstance(value, str) and "${" in value else ""


def _damaged(card: Mapping[str, Any]) -> str:
    """A problem with the values of a card; empty if there is none."""
    data, size = card["data"], card["image_size"]
    mean, std = (card["normalisation"].get(name) for name in ("mean", "std"))
    if not 1 <= size <= LARGEST:
        return f" says image size {size}; expected 1 to {LARGEST}. Is it damaged?"
    if not isinstance(data.get("values"), Mapping) or not _is_name(data.get("name")):
        return " has no name or no values for its data; is it damaged?"
    if not isinstance(data.get("choice"), str) or not _PLAIN_NAME.fullmatch(data["choice"]):
        return "'s data choice is not a plain name. Do not use this file."
    if not _are_three_numbers(mean) or not _are_three_numbers(std) or min(std) <= 0:
        return "'s normalisation is not three finite numbers for mean and std, std above 0; is it damaged?"
    if not all(_is_scored(name, found) for name, found in card.get("scores", {}).items()):
        return "'s scores are not as facesegl writes them; is it damaged?"
    if not all(isinstance(member, Mapping) for member in card.get("members", [])):
        return "'s members are not as facesegl writes them; is it damaged?"
    if not 0 <= (unlike := card.get("unlike_below", 0)) <= 1:
        return f" warns below a familiarity of {unlike}; expected 0 to 1. Is it damaged?"
    return ""


def _not_plain(value: Any, depth: int = 0) -> str:
    """The first part of a value that is not plain data within a card's limits; empty if there is none."""
    if depth > _DEEPEST:
        return f"values nested more than {_DEEPEST} deep"
    if isinstance(value, Mapping) and (odd := [key for key in value if not isinstance(key, str | int)]):
        return f"a key of type {type(odd[0]).__name__}"
    if isinstance(value, Mapping | list | tuple):
        inner = [*value, *value.values()] if isinstance(value, Mapping) else value
        return next((strange for one in inner if (strange := _not_plain(one, depth + 1))), "")
    if isinstance(value, str):
        if len(value) > _LONGEST:
            return f"a string of {len(value)} characters"
        return "" if _is_text(value) else "a string that is not valid Unicode"
    if isinstance(value, int):
        return f"a number of {value.bit_length()} bits" if abs(value) >= _LARGEST_NUMBER else ""
    return "" if value is None or isinstance(value, float) else f"a {type(value).__name__}"


def _has_type(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _are_three_numbers(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(_is_number(one) and one is not None for one in value)


def _is_text(value: str) -> bool:
    """Whether it can be encoded as UTF-8: it has no lone surrogates (undecodable bytes of file names)."""
    return value.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in value)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()


def _is_scored(name: Any, found: Any) -> bool:
    if name not in SETS or not isinstance(found, Mapping) or "agreement" not in found:
        return False
    shown = [found.get("scores"), found.get("floor"), *([found["agreement"]] if found["agreement"] else [])]
    return all(map(_are_scores, shown)) and all([*one["iou"]] == [*shown[0]["iou"]] for one in shown)


def _are_scores(scores: Any) -> bool:
    means = ("miou", "accuracy", "miou_per_photo", "boundary_f")
    return (
        isinstance(scores, Mapping)
        and isinstance(scores.get("iou"), Mapping)
        and all(map(_is_name, scores["iou"]))
        and _has_type(scores.get("photos"), int)
        and all(_is_number(value) for value in (*scores["iou"].values(), *(scores.get(name, "") for name in means)))
    )


def _is_number(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and math.isfinite(value))


def _version(card: Mapping[str, Any]) -> str:
    found = card.get("versions")
    return f"facesegl {found.get('facesegl', 'unknown')}" if isinstance(found, Mapping) else "unknown"
