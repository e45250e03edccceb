"""Tables of `data check` on the terminal: photos, classes, and findings, worst first."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from facesegl.checks.diagnosis import Checkup
from facesegl.checks.facts import ClassCounts, Facts
from facesegl.checks.findings import Finding
from facesegl.console import printable
from facesegl.reporting.score_tables import plain_table

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_SHOWN = 8  # cases of a finding; the others are counted, and are in the JSON
_LONG = 40  # characters: a longer case gets its own line
_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}


def check_table(checkups: Sequence[Checkup]) -> "RenderableType":
    """At most two screens for each data set, however many photos and classes it has."""
    from rich.console import Group
    from rich.text import Text

    shown: list[RenderableType] = []
    for checkup in checkups:
        if checkup.facts.splits:
            shown += [_photos(checkup.facts), _classes(checkup.facts)]
        if checkup.findings:
            shown += [_findings(checkup.findings), ""]
        shown += [Text(checkup.verdict, style="bold"), ""]
    return Group(*shown)


def _photos(facts: Facts) -> "Table":
    table = plain_table(facts.name, padding=(0, 2, 0, 0))
    for title in ("", "photos", "used", "groups", "height", "width"):
        table.add_column(title, justify="right" if title else "left", no_wrap=True)
    for split in facts.splits:
        photos = facts.of(split)
        groups = {photo.sample.group for photo in photos}
        sides = (_range([photo.size[axis] for photo in photos]) for axis in (0, 1))
        table.add_row(split, *(str(len(each)) for each in (photos, facts.fitting(split), groups)), *sides)
    return table


def _classes(facts: Facts) -> "Table":
    """A row for each class; for each split its share, the number of masks with it, and the share guessed."""
    from rich.text import Text

    table = plain_table(padding=(0, 2, 0, 0) if len(facts.splits) < 3 else 0)
    table.add_column("class", overflow="ellipsis", max_width=24)
    columns: list[tuple[str, Callable[[ClassCounts], Sequence[float]], str]] = [
        ("share\n{} %", lambda counts: list(100 * counts.shares), "{:.2f}"),
        ("masks\n{}", lambda counts: counts.photos.tolist(), "{}"),
        ("inexact\n{} %", lambda counts: list(100 * counts.inexact / counts.pixels.clip(1)), "{:.2f}"),
    ]
    counted = {split: facts.counts(split) for split in facts.splits}
    cells = []
    for title, values_of, form in columns:
        for split, counts in counted.items():
            table.add_column(title.format(split), justify="right", no_wrap=True)
            cells.append([form.format(value) for value in values_of(counts)])
    for index, name in enumerate(facts.taxonomy.names):
        table.add_row(Text(name), *(column[index] for column in cells))
    table.add_section()
    blanks = [""] * (2 * len(counted))
    table.add_row("all", *blanks, *(f"{100 * counts.guessed:.2f}" for counts in counted.values()), style="bold")
    return table


def _findings(findings: Sequence[Finding]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        style = _STYLES[finding.severity]
        what = Text(f"{printable(finding.what)}.", style=style.replace("dim", ""))
        table.add_row(Text(finding.severity, style=style), what)
        for line in _lines(finding):
            table.add_row("", Text(line, style="dim"))
        table.add_row("", Text(f"-> {printable(finding.remedy)}"))
    return table


def _lines(finding: Finding) -> Iterator[str]:
    """The first cases, in one line if they are short, and how many more there are."""
    words = [printable(" ".join(case.words.splitlines())) for case in finding.cases[:_SHOWN]]
    left = len(finding.cases) - len(words)
    more = [f"and {left} more"] if left else []
    if any(len(word) > _LONG for word in words):
        yield from [*words, *more]
    elif words:
        yield "; ".join([*words, *more])


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"
