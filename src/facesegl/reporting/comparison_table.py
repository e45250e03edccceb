"""A comparison on the terminal, in 80 columns."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from facesegl.evaluation.comparison import DEFINITION, LEVEL_IN_WORDS, Comparison, Difference
from facesegl.reporting.score_tables import label_table, plain_table
from facesegl.reporting.scored_sets import cell
from facesegl.scores.bootstrap import FEWEST, Estimate
from facesegl.text import number

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

_PAIRS_SHOWN = 15
_PADDING = (0, 1, 0, 0)
_CLASSES_WIDTH = 58  # characters left of 80, without letter, mIoU and boundary F
_VERDICTS = {1: "better", -1: "worse", 0: "inconclusive"}


def comparison_table(comparison: Comparison) -> "Group":
    """A row for each model, the differences with their intervals, the models' names, and notes.

    With two models the differences are those of every score shown, otherwise those of the mIoU of each pair. If there
    are too many classes for 80 columns, those that differ most are shown.
    """
    from rich.console import Group
    from rich.text import Text

    names = _classes_shown(comparison)
    two = len(comparison.models) == 2
    return Group(
        _score_rows(comparison, names),
        "",
        _difference_rows(comparison.differences[0], names) if two else _pair_rows(comparison),
        "",
        label_table((model.letter, _name(model.path, model.scored)) for model in comparison.models),
        "",
        *(Text(note) for note in _notes(comparison, names)),
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
        values = [scores.miou, *(scores.iou[name] for name in names), scores.boundary_f]
        estimates = [mark.miou, *(mark.iou[name] for name in names), mark.boundary_f] if mark else [None] * len(values)
        table.add_row(model.letter, *map(_marked, values, estimates))
    return table


def _difference_rows(only: Difference, names: Sequence[str]) -> "Table":
    from rich.text import Text

    table = _table_of_differences(f"{only.model} compared with {only.against}", f"{only.model} - {only.against}")
    table.add_row("mIoU", *_shown(only.miou), _coloured(only.verdict, only.miou), style="bold")
    for name, estimate in [*((name, only.iou[name]) for name in names), ("boundary F", only.boundary_f)]:
        known = not math.isnan(estimate.low)
        table.add_row(Text(name), *_shown(estimate), _coloured(_VERDICTS[estimate.sign], estimate) if known else "")
    return table


def _pair_rows(comparison: Comparison) -> "Table":
    """The mIoU difference of each pair; of many pairs, only those with the first model."""
    table = _table_of_differences("mIoU of each model compared with another", "difference")
    for one in _pairs_shown(comparison):
        table.add_row(f"{one.model} - {one.against}", *_shown(one.miou), _coloured(one.verdict, one.miou))
    return table


def _table_of_differences(title: str, difference: str) -> "Table":
    table = plain_table(title, padding=_PADDING)
    for column in ("", difference, f"{LEVEL_IN_WORDS} interval", ""):
        table.add_column(column, justify="right" if column else "left")
    return table


def _name(path: str, scored: str) -> str:
    return path if scored == path else f"{path} (of {scored})"


def _notes(comparison: Comparison, names: Sequence[str]) -> Iterator[str]:
    """The text below the tables: what is not shown, how to read them, and the definition."""
    first = comparison.models[0].letter
    if len(names) < len(comparison.classes):
        yield f"Shown are the {len(names)} of {len(comparison.classes)} classes that differ most; --json has all."
    if len(comparison.models) > 2 and comparison.persons >= FEWEST:
        yield f"+ and -: significantly above or below {first}."
    if left_out := len(comparison.differences) - len(_pairs_shown(comparison)):
        yield f"{number(left_out, 'pair')} without {first} not shown; --json has all."
    yield from comparison.notes
    yield DEFINITION


def _to_first(comparison: Comparison) -> list[Difference]:
    first = comparison.models[0].letter
    return [one for one in comparison.differences if one.against == first]


def _pairs_shown(comparison: Comparison) -> Sequence[Difference]:
    every = comparison.differences
    return every if len(every) <= _PAIRS_SHOWN else _to_first(comparison)


def _classes_shown(comparison: Comparison) -> list[str]:
    """All classes if they fit, otherwise those that differ most from the first model; always in order."""
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
    """A score, with the sign of its difference from the first model's if that is significant."""
    sign = {1: "+", -1: "-", 0: " "}[against.sign] if against and not math.isnan(value) else ""
    return cell(value) + sign


def _shown(estimate: Estimate) -> tuple[str, str]:
    ends = f"{_signed(estimate.low)} to {_signed(estimate.high)}" if not math.isnan(estimate.low) else "-"
    return _signed(estimate.difference), ends


def _signed(value: float) -> str:
    return "-" if math.isnan(value) else f"{round(value, 4) + 0:+.4f}"  # + 0: never -0


def _coloured(words: str, estimate: Estimate) -> "Text":
    from rich.text import Text

    return Text(words, style={1: "green", -1: "red", 0: ""}[estimate.sign])
