"""A comparison on the terminal, in 80 columns."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from facesegl.evaluation.comparison import DEFINITION, LEVEL_IN_WORDS, Comparison, Difference
from facesegl.reporting.score_tables import plain_table
from facesegl.scores.bootstrap import FEWEST, Estimate
from facesegl.text import number

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

_PAIRS_SHOWN = 15
_PADDING = (0, 1, 0, 0)
_CLASSES_WIDTH = 58  # characters: what 80 columns leave beside letter, mIoU and boundary F


def comparison_table(comparison: Comparison) -> "Group":
    """A row a model, the differences with their intervals, what each letter stands for, and what to make of it.

    With two models the differences are those of every score that is shown, else those of the mIoU of each pair. Where
    there are too many classes for 80 columns, those are shown that differ most.
    """
    from rich.console import Group
    from rich.text import Text

    names = _classes_shown(comparison)
    two = len(comparison.models) == 2
    return Group(
        _score_rows(comparison, names),
        "",
        _difference_rows(comparison, names) if two else _pair_rows(comparison),
        "",
        _letters(comparison),
        "",
        *(Text(note) for note in _words(comparison, names)),
    )


def _score_rows(comparison: Comparison, names: Sequence[str]) -> "Table":
    from rich.text import Text

    photos, persons = number(len(comparison.photos), "photo"), number(comparison.persons, "person")
    table = plain_table(f"IoU on {comparison.set} of {comparison.data}: {photos} of {persons}", padding=_PADDING)
    for title in ("", "mIoU", *names, "boundary F"):
        table.add_column(Text(title), justify="right" if title else "left", no_wrap=True)
    marks = {one.model: one for one in _to_first(comparison)} if len(comparison.models) > 2 else {}
    for model in comparison.models:
        scores, mark = model.scores, marks.get(model.letter)
        miou = _marked(scores.miou, mark.miou if mark else None)
        classes = (_marked(scores.iou[name], mark.iou[name] if mark else None) for name in names)
        boundary = _marked(scores.boundary_f, mark.boundary_f if mark else None)
        table.add_row(model.letter, miou, *classes, boundary)
    return table


def _difference_rows(comparison: Comparison, names: Sequence[str]) -> "Table":
    """The difference of two models, a row a score."""
    from rich.text import Text

    only = comparison.differences[0]
    table = plain_table(f"{only.model} against {only.against}", padding=_PADDING)
    for title in ("", f"{only.model} - {only.against}", f"{LEVEL_IN_WORDS} interval", ""):
        table.add_column(title, justify="right" if title else "left")
    table.add_row("mIoU", *_shown(only.miou), _coloured(only.verdict, only.miou), style="bold")
    others = [(name, only.iou[name]) for name in names] + [("boundary F", only.boundary_f)]
    for name, estimate in others:
        told = {1: "better", -1: "worse", 0: "cannot tell"}[estimate.sign]
        known = not math.isnan(estimate.low)
        table.add_row(Text(name), *_shown(estimate), _coloured(told, estimate) if known else "")
    return table


def _pair_rows(comparison: Comparison) -> "Table":
    """The difference of the mIoU of each pair; where there are very many, of those with the first model."""
    table = plain_table("mIoU of one model against another", padding=_PADDING)
    for title in ("", "difference", f"{LEVEL_IN_WORDS} interval", ""):
        table.add_column(title, justify="right" if title else "left")
    for one in _pairs_shown(comparison):
        table.add_row(f"{one.model} - {one.against}", *_shown(one.miou), _coloured(one.verdict, one.miou))
    return table


def _letters(comparison: Comparison) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for model in comparison.models:
        what = model.path if model.scored == model.path else f"{model.path} (of {model.scored})"
        table.add_row(model.letter, Text(what))  # a name from a file is text, never markup
    return table


def _words(comparison: Comparison, names: Sequence[str]) -> Iterator[str]:
    """What stands below the tables: what they leave out, what to make of them, and the definition."""
    if len(names) < len(comparison.classes):
        yield f"Shown are the {len(names)} of {len(comparison.classes)} classes that differ most; --json has all."
    if len(comparison.models) > 2 and comparison.persons >= FEWEST:
        yield f"+ and -: above or below {comparison.models[0].letter} by more than the luck of the photos."
    if left_out := len(comparison.differences) - len(_pairs_shown(comparison)):
        yield f"{number(left_out, 'pair')} without {comparison.models[0].letter} not shown; --json has all."
    yield from comparison.notes
    yield DEFINITION


def _to_first(comparison: Comparison) -> list[Difference]:
    first = comparison.models[0].letter
    return [one for one in comparison.differences if one.against == first]


def _pairs_shown(comparison: Comparison) -> Sequence[Difference]:
    every = comparison.differences
    return every if len(every) <= _PAIRS_SHOWN else _to_first(comparison)


def _classes_shown(comparison: Comparison) -> list[str]:
    """All classes if there is room for them, else those that differ most from the first model; always in order."""
    most = {
        name: max(_size(difference.iou[name]) for difference in _to_first(comparison)) for name in comparison.classes
    }
    by_size = sorted(most, key=lambda name: most[name], reverse=True)
    ends = itertools.accumulate(max(len(name), len("0.000+")) + 2 for name in by_size)
    shown = {name for name, end in zip(by_size, ends, strict=True) if end <= _CLASSES_WIDTH}
    return [name for name in comparison.classes if name in shown]


def _size(estimate: Estimate) -> float:
    return -1 if math.isnan(estimate.difference) else abs(estimate.difference)


def _marked(value: float, against: Estimate | None) -> str:
    """A score; where it is told apart from the first model's, with the sign of the difference."""
    if math.isnan(value):
        return "-"
    return f"{value:.3f}" + ({1: "+", -1: "-", 0: " "}[against.sign] if against else "")


def _shown(estimate: Estimate) -> tuple[str, str]:
    """A difference and its interval."""
    ends = f"{_signed(estimate.low)} to {_signed(estimate.high)}" if not math.isnan(estimate.low) else "-"
    return _signed(estimate.difference), ends


def _signed(value: float) -> str:
    return "-" if math.isnan(value) else f"{round(value, 4) + 0:+.4f}"  # + 0: never -0


def _coloured(words: str, estimate: Estimate) -> "Text":
    from rich.text import Text

    return Text(words, style={1: "green", -1: "red", 0: ""}[estimate.sign])
