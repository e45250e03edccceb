"""Scores as CSV files: scores.csv, confusion.csv, by_tag.csv and per_image.csv."""

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path

from facesegl.evaluation.scoring import SetScores, worst_first
from facesegl.files import write_text
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
        rows.append([name, "mIoU", found.scores.miou, None, *(one.miou if one else None for one in yardsticks)])
    write_text(folder / "scores.csv", _csv(["set", "class", "iou", "dice", "floor_iou", "agreement_iou"], rows))
    names = [f"iou_{name}" for name in next(iter(scored.values())).scores.iou]
    write_text(folder / "confusion.csv", _confusion(scored))
    if tags := _of_tags(scored):
        write_text(folder / "by_tag.csv", tags)
    photos = _photos(scored)
    sets_of = {photo: [name for name in scored if photo in scored[name].photos] for photo in photos}
    lines: list[list[Cell]] = []
    for photo in worst_first({photo: own.miou for photo, own in photos.items()}):
        own = photos[photo]
        lines.append([photo, " ".join(sets_of[photo]), own.miou, own.accuracy, own.boundary_f, *own.iou.values()])
    write_text(folder / "per_image.csv", _csv(["photo", "sets", "miou", "accuracy", "boundary_f", *names], lines))


def _confusion(scored: Mapping[str, SetScores]) -> str:
    names = list(next(iter(scored.values())).scores.iou)
    rows: list[list[Cell]] = [
        [name, truth, *map(str, row)]
        for name, found in scored.items()
        for truth, row in zip(names, found.scores.confusion, strict=True)
    ]
    return _csv(["set", "truth", *names], rows)


def _of_tags(scored: Mapping[str, SetScores]) -> str:
    rows: list[list[Cell]] = [
        [name, tag, str(scores.photos), scores.miou, scores.boundary_f, *scores.iou.values()]
        for name, found in scored.items()
        for tag, scores in found.tags.items()
    ]
    names = [f"iou_{name}" for name in next(iter(scored.values())).scores.iou]
    return _csv(["set", "tag", "photos", "miou", "boundary_f", *names], rows) if rows else ""


def _photos(scored: Mapping[str, SetScores]) -> dict[str, Scores]:
    return {photo: scores for found in scored.values() for photo, scores in found.photos.items()}


def _csv(head: list[str], rows: list[list[Cell]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_cell(cell) for cell in row] for row in rows)
    return text.getvalue()


def _cell(cell: Cell) -> str:
    if isinstance(cell, float):
        return "" if math.isnan(cell) else f"{cell:.6f}"
    return cell or ""
