"""The scores of a run as its page shows them: one number with what it means, and tables; plain values in and out.

A run's scores are read as result.json has them: a set's name to its `scores`, `floor`, `agreement` and `tags`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from facesegl.reporting.charts import percent, shares

Scores = Mapping[str, Any]

_NOISE = 0.01  # a score as near as this below the agreement of two people is at the labels' own noise
_APART = 0.38  # labels of a scale from 0 to 1 that stand nearer would lie on each other on a phone
_MUCH = 0.6  # above this share a cell is so dark that its words are light
_MEANS = (("mIoU", "miou"), ("mIoU per photo", "miou_per_photo"), ("accuracy", "accuracy"))


def headline(scores: Scores, touches_test: Collection[str], other_data: bool = False) -> dict[str, Any] | None:
    """The first set's mIoU between its yardsticks, and what to make of it; None where nothing was scored.

    Args:
        scores: as result.json has them.
        touches_test: the sets that are made of test photos.
        other_data: whether these are other data than the model learnt from.
    """
    if not scores:
        return None
    name, found = next(iter(scores.items()))
    own, floor, agreement = found["scores"], found["floor"], found["agreement"] or {}
    marks = list(_marks(own.get("miou"), floor.get("miou"), agreement.get("miou")))
    return {
        "set": name,
        "miou": own["miou"],
        "photos": own["photos"],
        "marks": marks,
        "words": ", ".join(f"{mark['name']} {mark['value']:.3f}" for mark in marks),
        "sentences": [
            _measured_on(scores, touches_test, other_data),
            *_sentences(own, floor, agreement if name in touches_test else {}),
        ],
    }


def score_table(scores: Scores, colours: Mapping[str, str]) -> dict[str, Any] | None:
    """Classes and means down, sets and yardsticks across; Dice and boundary F are those of the first set."""
    if not scores:
        return None
    sets = list(scores.values())
    first, floor, agreement = sets[0]["scores"], sets[0]["floor"], sets[0]["agreement"]
    beside = [floor, *([agreement] if agreement else [])]
    classes = [
        {
            "name": name,
            "colour": colours[name],
            "cells": [
                *(found["scores"]["iou"][name] for found in sets),
                *(yardstick["iou"][name] for yardstick in beside),
                first["dice"][name],
                first["boundary"][name],
            ],
        }
        for name in first["iou"]
    ]
    means = [
        {
            "name": label,
            "cells": [
                *(found["scores"][key] for found in sets),
                *(yardstick[key] for yardstick in beside),
                None,
                first["boundary_f"] if key == "miou" else None,
            ],
        }
        for label, key in _MEANS
    ]
    yardsticks = ["floor", *(["agreement"] if agreement else [])]
    return {"columns": [*scores, *yardsticks, "Dice", "boundary F"], "classes": classes, "means": means}


def other_sets_table(scores: Scores) -> dict[str, Any] | None:
    """Dice and boundary F of the sets after the first; None where there is one set."""
    others = dict(list(scores.items())[1:])
    if not others:
        return None
    first = next(iter(others.values()))["scores"]
    rows = [
        (name, [found["scores"][key][name] for key in ("dice", "boundary") for found in others.values()])
        for name in first["iou"]
    ]
    mean = ("mean", [*(None for _ in others), *(found["scores"]["boundary_f"] for found in others.values())])
    columns = [f"{kind}, {name}" for kind in ("Dice", "boundary F") for name in others]
    return {"columns": columns, "rows": [*rows, mean]}


def confusion_table(scores: Scores) -> dict[str, Any] | None:
    """Of the first set: which share of each class's pixels was taken for which class; None where it was not counted."""
    name, found = next(iter(scores.items()), ("", None))
    if found is None or not (counts := found["scores"].get("confusion")):
        return None
    names = list(found["scores"]["iou"])
    rows = [
        {"name": truth, "pixels": sum(row), "cells": [*_cells(truth, row, of_row, names)]}
        for truth, row, of_row in zip(names, counts, shares(counts), strict=True)
    ]
    return {"set": name, "names": names, "rows": rows}


def tag_table(scores: Scores) -> dict[str, Any] | None:
    """The first set by tags, such as poses; None where its photos have none."""
    found = next(iter(scores.values()), None)
    if not found or not found.get("tags"):
        return None
    rows = [
        {"tag": tag, "photos": one["photos"], "miou": one["miou"], "cells": list(one["iou"].values())}
        for tag, one in found["tags"].items()
    ]
    return {"names": list(found["scores"]["iou"]), "rows": rows}


def _marks(own: float | None, floor: float | None, agreement: float | None) -> Iterator[dict[str, Any]]:
    """What stands on the scale from 0 to 1: the yardsticks below it, the model above."""
    near = floor is not None and agreement is not None and abs(floor - agreement) < _APART
    for name, value, row in (
        ("floor", floor, "lower" if near else "low"),
        ("agreement", agreement, "low"),
        ("this model", own, "high"),
    ):
        if value is not None:
            label_at = min(max(100 * value, 17), 83)  # its words hang over no end
            yield {"name": name, "value": value, "row": row, "at": 100 * value, "label_at": label_at}


def _measured_on(scores: Scores, touches_test: Collection[str], other_data: bool) -> str:
    if any(name in touches_test for name in scores):
        return "Measured on test photos. Choose nothing by them, or they are test photos no longer."
    if other_data:
        return "Measured on photos of other data than it learnt from."
    return {
        "val": "Measured on training photos that were held out: this run did not learn from them. No test photo was "
        "scored.",
        "train": "Measured on the photos that it learnt from: this says nothing about others.",
    }.get(next(iter(scores)), "")


def _sentences(own: Scores, floor: Scores, agreement: Scores) -> Iterator[str]:
    """What to make of scores between floor and agreement."""
    miou, lowest, highest = own.get("miou"), floor.get("miou"), agreement.get("miou")
    if miou is not None and lowest is not None and miou <= lowest:
        yield "That is below the floor: a mask that is the same for every photo does better. It has learnt too little."
    if miou is not None and highest is not None and miou >= highest - _NOISE:
        yield (
            f"This is at the noise of the labels themselves: two people's masks of the same photos agree at "
            f"{highest:.3f}. Beyond it a higher number tells nothing about the model."
        )
    both = [(name, value, (agreement.get("iou") or {}).get(name)) for name, value in (own.get("iou") or {}).items()]
    there = [name for name, value, limit in both if value is not None and limit is not None and value >= limit - _NOISE]
    if 0 < len(there) < len(both):
        yield f"At the labels' noise, or beyond it: {', '.join(there)}."


def _cells(
    truth: str, counts: Sequence[int], of_row: Sequence[float], names: Sequence[str]
) -> Iterator[dict[str, Any]]:
    for name, count, share in zip(names, counts, of_row, strict=True):
        yield {
            "words": percent(share),
            "share": round(100 * share),
            "much": share >= _MUCH,
            "right": name == truth,
            "count": int(count),
            "taken_for": name,
        }
