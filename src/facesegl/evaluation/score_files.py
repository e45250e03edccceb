"""Scores as CSV files: scores.csv, confusion.csv, by_tag.csv and per_image.csv."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from facesegl.files import write_csv

if TYPE_CHECKING:
    from facesegl.evaluation.scoring import SetScores
    from facesegl.scores.summary import Scores

Cell = str | float | None


def write_scores(folder: Path, scored: Mapping[str, SetScores]) -> None:
    """Write scores.csv (a row per set and class), confusion.csv, by_tag.csv, and per_image.csv (worst photo first)."""
    rows: list[list[Cell]] = []
    for name, found in scored.items():
        yardsticks = (found.floor, found.agreement)
        for label, value in found.scores.iou.items():
            others = (scores.iou[label] if scores else None for scores in yardsticks)
            rows.append([name, label, value, found.scores.dice[label], *others])
        rows.append(
            [name, "mIoU", found.scores.miou, None, *(scores.miou if scores else None for scores in yardsticks)]
        )
    write_csv(folder / "scores.csv", ["set", "class", "iou", "dice", "floor_iou", "agreement_iou"], rows)
    classes = list(next(iter(scored.values())).scores.iou)
    names = [f"iou_{name}" for name in classes]
    write_csv(folder / "confusion.csv", ["set", "truth", *classes], _confusion(scored))
    if tags := _of_tags(scored):
        write_csv(folder / "by_tag.csv", ["set", "tag", "photos", "miou", "boundary_f", *names], tags)
    photos = _photos(scored)
    sets_of = {photo: [name for name in scored if photo in scored[name].photos] for photo in photos}
    lines: list[list[Cell]] = []
    for photo in worst_first({photo: own.miou for photo, own in photos.items()}):
        own = photos[photo]
        lines.append([photo, " ".join(sets_of[photo]), own.miou, own.accuracy, own.boundary_f, *own.iou.values()])
    write_csv(folder / "per_image.csv", ["photo", "sets", "miou", "accuracy", "boundary_f", *names], lines)


def _confusion(scored: Mapping[str, SetScores]) -> list[list[Cell]]:
    """A row per set and true class: the number of pixels predicted as each class."""
    return [
        [name, truth, *row]
        for name, found in scored.items()
        for truth, row in zip(found.scores.iou, found.scores.confusion, strict=True)
    ]


def _of_tags(scored: Mapping[str, SetScores]) -> list[list[Cell]]:
    return [
        [name, tag, scores.photos, scores.miou, scores.boundary_f, *scores.iou.values()]
        for name, found in scored.items()
        for tag, scores in found.tags.items()
    ]


def _photos(scored: Mapping[str, SetScores]) -> dict[str, Scores]:
    return {photo: scores for found in scored.values() for photo, scores in found.photos.items()}


def worst_first(scores: Mapping[str, float]) -> list[str]:
    """Photos by mIoU, lowest first; all-void photos (NaN) come last."""
    return sorted(scores, key=lambda photo: (math.isnan(scores[photo]), scores[photo]))
