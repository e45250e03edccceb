"""A run's scores as columns, cells and words, the same on the terminal and on the page.

Scores are as in result.json: they map a set's name to `scores`, `floor`, `agreement` and `tags`. The first set is the
headline.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from facesegl.runs.result import TOUCHES_TEST
from facesegl.text import a_few

Scores = Mapping[str, Any]

MEANS = {"mIoU": "miou", "mIoU per photo": "miou_per_photo", "accuracy": "accuracy"}

_DEFINITION = (
    "IoU at native size, counts pooled over all pixels of the set; mIoU is the mean over classes, background included."
)
_FLOOR = " Floor: a constant baseline, at each pixel the most common class of the training masks."
_AGREEMENT = " Agreement: between two annotators' masks of one photo, on all photos that were labelled twice."
_MOST_NAMED = 8


def definition(scores: Scores | None = None) -> str:
    """The definition of the scores, and of floor and agreement if `scores` has them."""
    if not scores:
        return _DEFINITION
    return _DEFINITION + _FLOOR + _AGREEMENT * any(found["agreement"] for found in scores.values())


def columns(scores: Scores) -> dict[str, Scores]:
    """Each set's scores, then the floor of the first set, and the agreement, which is the same for all."""
    first = next(iter(scores.values()))
    agreement = {"agreement": first["agreement"]} if first["agreement"] else {}
    return {**{name: found["scores"] for name, found in scores.items()}, "floor": first["floor"], **agreement}


def cell(value: float | None) -> str:
    """A score with three decimals; a dash if there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def photos_scored(scores: Scores, other_data: bool) -> tuple[str, str]:
    """The kind of photos that were scored, and a sentence on how to use the scores.

    Args:
        scores: the scores in result.json.
        other_data: whether the model was trained on other data.
    """
    if TOUCHES_TEST & scores.keys():
        return "test photos", "Use these scores to report, not to select a model."
    held_out = next(iter(scores)) == "val"
    if other_data:
        return "held-out photos" if held_out else "the training photos", "The model was trained on other data."
    if held_out:
        return "held-out training photos", "This run was not trained on them. No test photo was scored."
    return "the photos it was trained on", "This says nothing about other photos."


def below_the_floor(scores: Scores) -> str:
    """A warning if the model does not score above the floor; empty otherwise."""
    found = next(iter(scores.values()))
    own, floor = found["scores"]["miou"], found["floor"]["miou"]
    if own is None or floor is None or own > floor:
        return ""
    missed = _never_found(found["scores"]["iou"], found["scores"].get("confusion") or [])
    never = f" It never finds {a_few(missed, _MOST_NAMED)}." if missed else ""
    return f"Below the floor: a mask that is the same for every photo scores {floor:.3f}.{never}"


def _never_found(iou: Mapping[str, float | None], confusion: Sequence[Sequence[int]]) -> list[str]:
    """The classes that occur in the truth but have an IoU of 0."""
    return [name for (name, value), row in zip(iou.items(), confusion, strict=False) if value == 0 and any(row)]
