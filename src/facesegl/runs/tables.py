"""Scores as a table on the terminal and as CSV files."""

import csv
import io
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facesegl.files import write_text
from facesegl.runs.result import Result
from facesegl.runs.scoring import TOUCHES_TEST, SetScores, worst_first
from facesegl.scores.summary import Scores
from facesegl.words import a_few, number

if TYPE_CHECKING:
    from rich.table import Table

Cell = str | float | None

_DEFINITION = (
    "IoU at native size, counts pooled over all pixels of the set; mIoU is the mean over classes, background included."
)
_FLOOR = " Floor: a model that never looks."
_AGREEMENT = " Agreement: two people's masks of one photo against each other, on all photos that were masked twice."

_KINDS = {"val": "held-out training photos", "train": "the photos that were learnt from"}
_OTHERS = {"val": "photos held out", "train": "the training photos"}
"""What photos are called that the model has never had to do with."""

_MOST_ACROSS = 12  # of more classes than these no table has a column each
_MOST_NAMED = 8

_MEANS = {
    "mIoU": "miou",
    "mIoU per photo": "miou_per_photo",
    "accuracy": "accuracy",
    "boundary F, 2 px": "boundary_f",
}


def write_scores(folder: Path, scored: Mapping[str, SetScores]) -> None:
    """Write scores.csv, a row a set and class, and per_image.csv, a row a photo, worst first."""
    rows: list[list[Cell]] = []
    for name, found in scored.items():
        beside = (found.floor, found.agreement)
        for label, value in found.scores.iou.items():
            yardsticks = (scores.iou[label] if scores else None for scores in beside)
            rows.append([name, label, value, found.scores.dice[label], *yardsticks])
        rows.append([name, "mIoU", found.scores.miou, None, *(scores.miou if scores else None for scores in beside)])
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
    """A row a set and class of the truth: how many of its pixels were taken for each class."""
    names = list(next(iter(scored.values())).scores.iou)
    rows: list[list[Cell]] = [
        [name, truth, *map(str, row)]
        for name, found in scored.items()
        for truth, row in zip(names, found.scores.confusion, strict=True)
    ]
    return _csv(["set", "truth", *names], rows)


def _of_tags(scored: Mapping[str, SetScores]) -> str:
    """A row a set and tag, such as a pose; nothing where the photos have none."""
    rows: list[list[Cell]] = [
        [name, tag, str(scores.photos), scores.miou, scores.boundary_f, *scores.iou.values()]
        for name, found in scored.items()
        for tag, scores in found.tags.items()
    ]
    names = [f"iou_{name}" for name in next(iter(scored.values())).scores.iou]
    return _csv(["set", "tag", "photos", "miou", "boundary_f", *names], rows) if rows else ""


def definition(scores: Mapping[str, Any] | None = None) -> str:
    """What the numbers are, and the yardsticks that stand beside them.

    Args:
        scores: as a `Result` has them; None where they stand without yardsticks.
    """
    if not scores:
        return _DEFINITION
    return _DEFINITION + _FLOOR + _AGREEMENT * any(found["agreement"] for found in scores.values())


def tag_table(scores: Mapping[str, Any]) -> "Table | None":
    """The headline set by tags, such as poses: a row a tag; None where the photos have none.

    Args:
        scores: as a `Result` has them.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    name, found = next(iter(scores.items()))
    if not found.get("tags"):
        return None
    classes = list(found["scores"]["iou"]) if len(found["scores"]["iou"]) <= _MOST_ACROSS else []
    title = f"IoU on {name} by tag"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, min_width=len(title))
    table.caption = None if classes else "by_tag.csv has the classes."
    for column in ("tag", "photos", "mIoU", *classes):
        table.add_column(Text(column), justify="left" if column == "tag" else "right", no_wrap=True)
    for tag, of_tag in found["tags"].items():
        row = (_shown(of_tag["iou"][one]) for one in classes)
        table.add_row(Text(tag), str(of_tag["photos"]), _shown(of_tag["miou"]), *row)
    return table


def score_table(scores: Mapping[str, Any], data: str, other_data: bool = False) -> "Table":
    """One table of all sets, which says whether test photos were touched: IoU of each class, means, yardsticks.

    Args:
        scores: as a `Result` has them.
        data: what the photos are called.
        other_data: whether these are other data than the model learnt from.
    """
    from rich.text import Text

    kinds = _OTHERS if other_data else _KINDS
    kind = "test photos" if TOUCHES_TEST & scores.keys() else kinds[next(iter(scores))]
    table = plain_table(f"Scores on {kind} of {data}")
    columns = list(_columns(scores))
    table.add_column("IoU", overflow="fold")  # a long name gives way to the numbers
    for title, _ in columns:
        table.add_column(title, justify="right", no_wrap=True)
    for label in columns[0][1]["iou"]:
        words = Text(label)  # a name from a file is text, never markup
        table.add_row(words, *(_shown(column["iou"][label]) for _, column in columns))
    table.add_section()
    for label, key in _MEANS.items():
        row = (_shown(column[key]) for _, column in columns)
        table.add_row(label, *row, style="bold" if key == "miou" else None)
    return table


def plain_table(title: str, **look: Any) -> "Table":
    """A table with a rule below its head and nothing around it, never narrower than its title, which is no markup.

    Args:
        title: what stands above it.
        look: as rich's `Table` takes it.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    words = Text(title)
    return Table(
        title=words,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        min_width=words.cell_len,
        **look,
    )


def how_scored(result: Result) -> str:
    """That several models were scored as one, or that photos were looked at mirrored too; empty where neither was."""
    models = f"{len(result.scored)} models as one ensemble" if len(result.scored) > 1 else ""
    mirrored = "each photo mirrored as well" if result.config.get("tta") else ""
    return f"Scored: {', '.join(filter(None, (models, mirrored)))}." if models or mirrored else ""


def below_the_floor(scores: Mapping[str, Any]) -> str:
    """A warning where a mask that is the same for every photo does better; empty where the model is above that.

    Args:
        scores: as a `Result` has them.
    """
    found = next(iter(scores.values()))
    own, floor = found["scores"]["miou"], found["floor"]["miou"]
    if own is None or floor is None or own > floor:
        return ""
    lacks = f" It never finds {a_few(never, _MOST_NAMED)}." if (never := _never_found(found["scores"])) else ""
    return f"Below the floor: a mask that is the same for every photo scores {floor:.3f}.{lacks}"


def _never_found(scores: Mapping[str, Any]) -> list[str]:
    """The classes that are there and of which no pixel was found."""
    pixels = [sum(row) for row in scores["confusion"]]
    return [name for (name, value), count in zip(scores["iou"].items(), pixels, strict=True) if value == 0 and count]


def _columns(scores: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each set, then the yardsticks: the floor of the first set, and the agreement, which is the same for all."""
    for name, found in scores.items():
        yield f"{name}\n{number(found['scores']['photos'], 'photo')}", found["scores"]
    first = next(iter(scores.values()))
    yield f"floor\n{number(first['floor']['photos'], 'photo')}", first["floor"]
    if agreement := first["agreement"]:
        yield f"agreement\n{number(agreement['photos'], 'photo')}", agreement


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _photos(scored: Mapping[str, SetScores]) -> dict[str, Scores]:
    return {photo: scores for found in scored.values() for photo, scores in found.photos.items()}


def _csv(head: list[str], rows: list[list[Cell]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_cell(cell) for cell in row] for row in rows)
    return text.getvalue()


def _cell(cell: Cell) -> str:
    """Six digits; an absent class is an empty cell."""
    if isinstance(cell, float):
        return "" if math.isnan(cell) else f"{cell:.6f}"
    return cell or ""
