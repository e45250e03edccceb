"""A run's scores as tables on the terminal."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from facesegl.reporting.scored_sets import MEANS, Scores, cell, columns, photos_scored
from facesegl.text import number

if TYPE_CHECKING:
    from rich.table import Table

    from facesegl.runs.result import Result

_MOST_CLASSES = 12  # with more classes, the table of tags has no class columns


def score_table(scores: Scores, data: str, other_data: bool = False) -> "Table":
    """One table of all sets: IoU of each class, means, floor and agreement; the title names the kind of photos.

    Args:
        scores: the scores of a `Result`.
        data: the name of the data.
        other_data: whether the model was trained on other data.
    """
    from rich.text import Text

    table = plain_table(f"Scores on {photos_scored(scores, other_data)[0]} of {data}")
    table.add_column("IoU", overflow="fold")  # long names wrap, numbers do not
    shown = columns(scores)
    for name, found in shown.items():
        table.add_column(f"{name}\n{number(found['photos'], 'photo')}", justify="right", no_wrap=True)
    for label in next(iter(shown.values()))["iou"]:
        table.add_row(Text(label), *(cell(found["iou"][label]) for found in shown.values()))  # text, never markup
    table.add_section()
    for label, key in {**MEANS, "boundary F, 2 px": "boundary_f"}.items():
        row = (cell(found[key]) for found in shown.values())
        table.add_row(label, *row, style="bold" if key == "miou" else None)
    return table


def tag_table(scores: Scores) -> "Table | None":
    """The scores of the headline set by tag, e.g. pose; None if the photos have no tags."""
    from rich.text import Text

    name, found = next(iter(scores.items()))
    if not found.get("tags"):
        return None
    classes = list(found["scores"]["iou"]) if len(found["scores"]["iou"]) <= _MOST_CLASSES else []
    table = plain_table(f"IoU on {name} by tag", caption=None if classes else "by_tag.csv has the classes.")
    for column in ("tag", "photos", "mIoU", *classes):
        table.add_column(Text(column), justify="left" if column == "tag" else "right", no_wrap=True)
    for tag, of_tag in found["tags"].items():
        row = (cell(of_tag["iou"][one]) for one in classes)
        table.add_row(Text(tag), str(of_tag["photos"]), cell(of_tag["miou"]), *row)
    return table


def how_scored(result: "Result") -> str:
    """Whether an ensemble or test-time augmentation was scored; empty if neither was."""
    ensemble = f"{len(result.scored)} models as one ensemble" if len(result.scored) > 1 else ""
    tta = "test-time augmentation (each photo also mirrored)" if result.config.get("tta") else ""
    return f"Scored: {', '.join(filter(None, (ensemble, tta)))}." if ensemble or tta else ""


def plain_table(title: str = "", **settings: Any) -> "Table":
    """A table with a line below its header and no border, at least as wide as its title; the title is never markup.

    Args:
        title: the title above it.
        settings: arguments of rich's `Table`.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    text = Text(title, style="bold") if title else None
    width = text.cell_len if text else 0
    defaults: dict[str, Any] = {"title": text, "title_justify": "left", "min_width": width, "box": box.SIMPLE_HEAD}
    return Table(**{**defaults, "show_edge": False, "pad_edge": False, **settings})


def label_table(rows: Iterable[tuple[str, str]]) -> "Table":
    """A borderless table of labels and texts; a text is never markup."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for label, words in rows:
        table.add_row(label, Text(words))
    return table
