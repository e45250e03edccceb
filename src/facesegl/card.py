"""The card: what weights are, as plain data that can travel with them.

It stands in a checkpoint, in a file of weights and in an exported model alike. Nothing in it is ever run. The one class
that it names is the net's, and that is built only if it is an `nn.Module` of facesegl or of a package that the person
trusts by name.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from facesegl.errors import CheckpointError, ConfigError
from facesegl.labels.taxonomy import RESERVED, Taxonomy

FORMAT = 1
"""The card's format; raised whenever an older facesegl could misread a newer card."""

LARGEST = 8192
"""The largest side, in pixels, that a net may see: more is a damaged card, or a trap for the memory."""

_DEEPEST, _LONGEST, _LARGEST_NUMBER = 32, 1000, 2**63
"""How deep a card's values are nested at most, how long their names and texts, and how large their whole numbers."""

_TEXTS = ("config", "command")  # which are read by people, and may be longer

KEY = "facesegl"
"""Where the metadata of a file of weights or of an exported model have the card, as JSON."""

Card = dict[str, Any]

_PLAIN_NAME = re.compile(r"[\w-]+(/[\w-]+)*")

_PARTS: dict[str, type] = {
    "format": int,
    "net": dict,
    "taxonomy": dict,
    "normalisation": dict,
    "image_size": int,
    "data": dict,
    "config": str,
    "versions": dict,
}

_SETS = ("train", "val", "test", "test_clean", "test_strict")

_LATER: dict[str, type] = {"parameters": int, "command": str, "scores": dict}
"""What a card may lack: how many numbers the net learnt, the command of its run, and the scores that it ended with."""


def card_as_text(card: Card) -> str:
    """A card as JSON, for a file's metadata."""
    return json.dumps(card, ensure_ascii=False)


def card_in(metadata: Mapping[str, str], place: str) -> Card:
    """The checked card in a file's metadata.

    Raises:
        CheckpointError: there is none, or one that is not understood, naming `place`.
    """
    text = metadata.get(KEY)
    try:
        card: Any = json.loads(text) if text else None
    except (ValueError, RecursionError):
        card = None
    if card is None:
        raise CheckpointError(f"{place}: it has no card, so it is none that facesegl export wrote.")
    check_card(card, place)
    return dict(card)


def check_card(card: Any, place: str) -> None:
    """Refuse a card that is not understood; its values stay plain data whatever they are.

    Raises:
        CheckpointError: what is wrong with it, naming `place`.
    """
    if not isinstance(card, Mapping) or "format" not in card:
        raise CheckpointError(f"{place}: no card of facesegl in it; was it written by another program?")
    if strange := _strange({**card, **{name: "" for name in _TEXTS if isinstance(card.get(name), str)}}):
        raise CheckpointError(f"{place}: its card holds {strange}, which no card does. It is not to be trusted.")
    if card["format"] != FORMAT:
        raise CheckpointError(
            f"{place}: its card has format {card['format']!r}, this facesegl reads {FORMAT}; use the one that wrote it "
            f"({_version(card)}), or train anew."
        )
    lacking = [name for name, kind in _PARTS.items() if not _is_a(card.get(name), kind)]
    lacking += [name for name, kind in _LATER.items() if name in card and not _is_a(card[name], kind)]
    if lacking:
        raise CheckpointError(
            f"{place}: its card lacks {', '.join(lacking)}, or has another type there; is it damaged?"
        )
    for wrong in (_untrusted(card), _damaged(card)):
        if wrong:
            raise CheckpointError(f"{place}: its card{wrong}")
    try:
        Taxonomy.from_mapping(card["taxonomy"])
    except ConfigError as error:
        raise CheckpointError(*(f"{place}: in its card, {problem[:_LONGEST]}" for problem in error.problems)) from None


def _untrusted(card: Mapping[str, Any]) -> str:
    """What is said of a card that reaches beyond plain data; nothing if it does not."""
    for name in ("net", "taxonomy", "normalisation", "data"):
        if _has_interpolation(card[name]):
            return f" has ${{...}} in {name}; expected plain values. It is not to be trusted."
        if _names_a_class(card[name] if name != "net" else [*card[name].values()]):
            return f" names a class in {name}; expected one, the net's. It is not to be trusted."
    return ""


def _damaged(card: Mapping[str, Any]) -> str:
    """What is said of a card with a value that it cannot have; nothing if it has none."""
    data, size = card["data"], card["image_size"]
    mean, std = (card["normalisation"].get(name) for name in ("mean", "std"))
    if not 1 <= size <= LARGEST:
        return f" says image size {size}; expected 1 to {LARGEST}. Is it damaged?"
    if not isinstance(data.get("values"), Mapping) or not _is_name(data.get("name")):
        return " has no name or no values of its data; is it damaged?"
    if not isinstance(data.get("choice"), str) or not _PLAIN_NAME.fullmatch(data["choice"]):
        return "'s data choice is no plain name. It is not to be trusted."
    if not _are_three_numbers(mean) or not _are_three_numbers(std) or min(std) <= 0:
        return "'s normalisation is not three finite numbers for mean and std, std above 0; is it damaged?"
    if not all(_is_scored(name, found) for name, found in card.get("scores", {}).items()):
        return "'s scores are not as facesegl writes them; is it damaged?"
    return ""


def _strange(value: Any, depth: int = 0) -> str:
    """What in a value is no plain data of a card's kind, in words; nothing if all is."""
    if depth > _DEEPEST:
        return f"values nested more than {_DEEPEST} deep"
    if isinstance(value, Mapping) and (odd := [key for key in value if not isinstance(key, str | int)]):
        return f"a {type(odd[0]).__name__} as a name"
    if isinstance(value, Mapping | list | tuple):
        inner = [*value, *value.values()] if isinstance(value, Mapping) else value
        return next((strange for one in inner if (strange := _strange(one, depth + 1))), "")
    if isinstance(value, str):
        return f"a text of {len(value)} letters" if len(value) > _LONGEST else "" if _is_text(value) else "broken text"
    if isinstance(value, int):
        return f"a number of {value.bit_length()} bits" if abs(value) >= _LARGEST_NUMBER else ""
    return "" if value is None or isinstance(value, float) else f"a {type(value).__name__}"


def _is_a(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _names_a_class(value: Any) -> bool:
    """Whether a key that Hydra treats as special stands anywhere in it."""
    if isinstance(value, Mapping):
        return any(key in RESERVED or _names_a_class(inner) for key, inner in value.items())
    return isinstance(value, list | tuple) and any(map(_names_a_class, value))


def _are_three_numbers(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(_is_number(one) and one is not None for one in value)


def _is_text(value: str) -> bool:
    """Whether it can be written in UTF-8: no halves of signs, nor bytes of a file's name that are no text."""
    return value.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in value)


def _is_name(value: Any) -> bool:
    """Whether it is text that can be shown as it is."""
    return isinstance(value, str) and value.isprintable()


def _is_scored(name: Any, found: Any) -> bool:
    """Whether what a card says of a set has the form that is shown."""
    if name not in _SETS or not isinstance(found, Mapping) or "agreement" not in found:
        return False
    shown = [found.get("scores"), found.get("floor"), *([found["agreement"]] if found["agreement"] else [])]
    return all(map(_are_scores, shown)) and all([*one["iou"]] == [*shown[0]["iou"]] for one in shown)


def _are_scores(scores: Any) -> bool:
    means = ("miou", "accuracy", "miou_per_photo", "boundary_f")
    return (
        isinstance(scores, Mapping)
        and isinstance(scores.get("iou"), Mapping)
        and all(map(_is_name, scores["iou"]))
        and _is_a(scores.get("photos"), int)
        and all(_is_number(value) for value in (*scores["iou"].values(), *(scores.get(name, "") for name in means)))
    )


def _is_number(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and math.isfinite(value))


def _version(card: Mapping[str, Any]) -> str:
    versions = card.get("versions")
    return f"facesegl {versions.get('facesegl', 'unknown')}" if isinstance(versions, Mapping) else "unknown"


def _has_interpolation(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_has_interpolation(item) for pair in value.items() for item in pair)
    if isinstance(value, list | tuple):
        return any(_has_interpolation(item) for item in value)
    return isinstance(value, str) and "${" in value
