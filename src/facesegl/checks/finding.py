"""What the doctor tells: a finding, how bad it is, and the photos that it is about."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""Worst first.

- error: training would be wrong. It would refuse these data, or learn from or be scored on something else than it says.
- warning: worth a look. Training says so itself and leaves out what it must, or it cannot be known from the files.
- note: how the data are.
"""


@dataclass(frozen=True)
class Case:
    """One of the things that a finding is about.

    Attributes:
        words: what to read on a terminal: names, and how bad it is.
        photos: the ids of the photos.
    """

    words: str
    photos: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """Something about the data that a person should know.

    Attributes:
        severity: how bad it is.
        check: a word for what was looked at, the same in every version.
        what: what is so, in a sentence without its full stop.
        remedy: what to do about it.
        cases: what it is about, worst first.
    """

    severity: Severity
    check: str
    what: str
    remedy: str
    cases: Sequence[Case] = ()


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Errors, warnings, notes; those of one kind as they come."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def percent(share: float) -> str:
    """A share in per cent, to three figures.

    Example:
        >>> percent(0.02258), percent(0.346), percent(0.00031), percent(0.0), percent(0.99999)
        ('2.26 %', '34.6 %', '0.031 %', '0 %', '100 %')
    """
    return f"{100 * share:.3g} %"
