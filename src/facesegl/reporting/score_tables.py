"""Scores as tables on the terminal."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from facesegl.evaluation.scoring import TOUCHES_TEST
from facesegl.runs.result import Result
from facesegl.text import a_few, number

if TYPE_CHECKING:
    from rich.table import Table

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
