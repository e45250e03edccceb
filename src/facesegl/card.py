"""The card: what weights are, as plain data that can travel with them.

It stands in a checkpoint, in a file of weights and in an exported model alike. Nothing in it is ever run. The one class
that it names is the net's, and that is built only if it is an `nn.Module` of facesegl or of a package that the person
trusts by name.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from facesegl.errors import CheckpointError, ConfigError
from facesegl.labels import Taxonomy
from facesegl.labels.taxonomy import RESERVED

FORMAT = 1
"""The card's format; raised whenever an older facesegl could misread a newer card."""

LARGEST = 8192
"""The largest side, in pixels, that a net may see: more is a damaged card, or a trap for the memory."""

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

_LATER: dict[str, type] = {"parameters": int, "command": str, "scores": dict}
"""What a card may lack: how many numbers the net learnt, the command of its run, and the scores that it ended with."""


def check_card(card: Any, place: str) -> None:
    """Refuse a card that is not understood; its values stay plain data whatever they are.

    Raises:
        CheckpointError: what is wrong with it, naming `place`.
    """
    if not isinstance(card, Mapping) or "format" not in card:
        raise CheckpointError(f"{place}: no card of facesegl in it; was it written by another program?")
    if card["format"] != FORMAT:
        raise CheckpointError(
            f"{place}: its card has format {card['format']!r}, this facesegl reads {FORMAT}; use the one that wrote it "
            f"({_version(card)}), or train anew."
        )
    wrong = [name for name, kind in _PARTS.items() if not isinstance(card.get(name), kind)]
    wrong += [name for name, kind in _LATER.items() if name in card and not isinstance(card[name], kind)]
    if wrong:
        raise CheckpointError(f"{place}: its card lacks {', '.join(wrong)}, or has another type there; is it damaged?")
    for name in ("net", "taxonomy", "normalisation", "data"):
        if _has_interpolation(card[name]):
            raise CheckpointError(
                f"{place}: its card has ${{...}} in {name}; expected plain values. It is not to be trusted."
            )
        if _names_a_class(card[name] if name != "net" else [*card[name].values()]):
            raise CheckpointError(
                f"{place}: its card names a class in {name}; expected one, the net's. It is not to be trusted."
            )
    if not 1 <= card["image_size"] <= LARGEST:
        raise CheckpointError(
            f"{place}: its card says image size {card['image_size']}; expected 1 to {LARGEST}. Is it damaged?"
        )
    if not isinstance(card["data"].get("values"), Mapping) or not isinstance(card["data"].get("name"), str):
        raise CheckpointError(f"{place}: its card has no name or no values of its data; is it damaged?")
    choice = card["data"].get("choice")
    if not isinstance(choice, str) or not _PLAIN_NAME.fullmatch(choice):
        raise CheckpointError(f"{place}: its card's data choice is no plain name. It is not to be trusted.")
    mean, std = (card["normalisation"].get(name) for name in ("mean", "std"))
    if not _are_three_numbers(mean) or not _are_three_numbers(std) or min(std) <= 0:
        raise CheckpointError(
            f"{place}: its card's normalisation is not three finite numbers for mean and std, std above 0; is it "
            f"damaged?"
        )
    if not all(map(_is_scored, card.get("scores", {}).values())):
        raise CheckpointError(f"{place}: its card's scores are not as facesegl writes them; is it damaged?")
    try:
        Taxonomy.from_mapping(card["taxonomy"])
    except ConfigError as error:
        raise CheckpointError(*(f"{place}: in its card, {problem}" for problem in error.problems)) from None


def _names_a_class(value: Any) -> bool:
    """Whether a key that Hydra treats as special stands anywhere in it."""
    if isinstance(value, Mapping):
        return any(key in RESERVED or _names_a_class(inner) for key, inner in value.items())
    return isinstance(value, list | tuple) and any(map(_names_a_class, value))


def _are_three_numbers(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(_is_share(one) and one is not None for one in value)


def _is_scored(found: Any) -> bool:
    """Whether what a card says of a set has the form that is shown."""
    if not isinstance(found, Mapping):
        return False
    agreement = found.get("agreement")
    return all(map(_are_scores, (found.get("scores"), found.get("floor"), *([agreement] if agreement else []))))


def _are_scores(scores: Any) -> bool:
    means = ("miou", "accuracy", "miou_per_photo", "boundary_f")
    return (
        isinstance(scores, Mapping)
        and isinstance(scores.get("iou"), Mapping)
        and isinstance(scores.get("photos"), int)
        and all(_is_share(value) for value in (*scores["iou"].values(), *(scores.get(name, "") for name in means)))
    )


def _is_share(value: Any) -> bool:
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
