"""A run's scores for the page: the headline score with floor and agreement, and the confusion matrix."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from facesegl.drawing.confusion import shares, whole_percent
from facesegl.reporting.scored_sets import Scores, below_the_floor, cell, photos_scored
from facesegl.runs.result import TOUCHES_TEST

_NOISE = 0.01  # a score this close below the agreement is within the noise of the labels
_APART = 0.38  # labels closer than this on a scale from 0 to 1 would overlap on a phone
_MUCH = 0.6  # above this share a cell is dark and its text light


def headline(scores: Scores, other_data: bool = False) -> dict[str, Any] | None:
    """The first set's mIoU with floor and agreement, and sentences about it; None if nothing was scored.

    Args:
        scores: the scores in result.json.
        other_data: whether the model was trained on other data.
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
        "words": ", ".join(f"{mark['name']} {cell(mark['value'])}" for mark in marks),
        "sentences": [
            "Measured on {}. {}".format(*photos_scored(scores, other_data)),
            *filter(None, [below_the_floor(scores)]),
            *_at_the_noise(own, agreement if name in TOUCHES_TEST else {}),
        ],
    }


def confusion_table(scores: Scores) -> dict[str, Any] | None:
    """The confusion matrix of the first set, as shares of each true class; None if it was not counted."""
    name, found = next(iter(scores.items()), ("", None))
    if found is None or not (counts := found["scores"].get("confusion")):
        return None
    names = list(found["scores"]["iou"])
    rows = [
        {"name": truth, "pixels": sum(row), "cells": [*_cells(truth, row, of_row, names)]}
        for truth, row, of_row in zip(names, counts, shares(counts), strict=True)
    ]
    return {"set": name, "names": names, "rows": rows}


def _marks(own: float | None, floor: float | None, agreement: float | None) -> Iterator[dict[str, Any]]:
    """The marks on the scale from 0 to 1: floor and agreement below it, the model above."""
    near = floor is not None and agreement is not None and abs(floor - agreement) < _APART
    for name, value, row in (
        ("floor", floor, "lower" if near else "low"),
        ("agreement", agreement, "low"),
        ("this model", own, "high"),
    ):
        if value is not None:
            label_at = min(max(100 * value, 17), 83)  # keeps the label within the scale
            yield {"name": name, "value": value, "row": row, "at": 100 * value, "label_at": label_at}


def _at_the_noise(own: Scores, agreement: Scores) -> Iterator[str]:
    miou, highest = own.get("miou"), agreement.get("miou")
    if miou is not None and highest is not None and miou >= highest - _NOISE:
        yield (
            f"This is within the noise of the labels: two annotators of the same photos agree at {highest:.3f}. A "
            f"higher score says nothing about the model."
        )
    limits: Mapping[str, float | None] = agreement.get("iou") or {}
    classes: Mapping[str, float | None] = own.get("iou") or {}
    both = [(name, value, limits.get(name)) for name, value in classes.items()]
    there = [name for name, value, limit in both if value is not None and limit is not None and value >= limit - _NOISE]
    if 0 < len(there) < len(both):
        yield f"Within the labels' noise: {', '.join(there)}."


def _cells(
    truth: str, counts: Sequence[int], of_row: Sequence[float], names: Sequence[str]
) -> Iterator[dict[str, Any]]:
    for name, count, share in zip(names, counts, of_row, strict=True):
        yield {
            "words": whole_percent(share),
            "share": round(100 * share),
            "much": share >= _MUCH,
            "right": name == truth,
            "count": int(count),
            "predicted": name,
        }
