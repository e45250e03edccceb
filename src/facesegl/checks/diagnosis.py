"""The result of all checks on a data set: its facts, the findings and the verdict."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from facesegl.checks.facts import Facts, PhotoFacts
from facesegl.checks.findings import SEVERITIES, Finding, find
from facesegl.text import number

SCHEMA = 1
"""Incremented when a key of `Checkup.to_dict` changes its meaning."""


@dataclass(frozen=True)
class Checkup:
    """The result of all checks on a data set.

    Attributes:
        facts: the facts about its files.
        findings: the findings, worst first.
    """

    facts: Facts
    findings: Sequence[Finding]

    @property
    def wrong(self) -> bool:
        """Whether the data are unfit for training: refused, or trained or scored on wrong content."""
        return any(finding.severity == "error" for finding in self.findings)

    @property
    def verdict(self) -> str:
        """One line that says whether to train on it, and how many findings there are."""
        counts = {severity: sum(f.severity == severity for f in self.findings) for severity in SEVERITIES}
        words = ", ".join(number(count, severity) for severity, count in counts.items() if count)
        verdict = "FAIL: do not train on this yet" if self.wrong else "OK to train"
        return f"{self.facts.name}: {verdict}{words and f' ({words})'}"

    def to_dict(self) -> dict[str, Any]:
        """Builtin values for JSON: each finding with all its cases, each split, each photo."""
        facts = self.facts
        return {
            "name": facts.name,
            "wrong": self.wrong,
            "classes": list(facts.taxonomy.names),
            "findings": [asdict(finding) for finding in self.findings],
            "splits": {split: _split(facts, split) for split in facts.splits},
            "photos": [_photo(photo, facts.taxonomy.names) for photo in facts.photos],
        }


def diagnose(facts: Facts, others: Iterable[Finding] = (), held_out: Collection[str] = ()) -> Checkup:
    """Run every check on the facts of a data set.

    Args:
        facts: the facts.
        others: findings of other checks on it.
        held_out: the ids of the training photos that training would hold out for validation.
    """
    found = [*find(facts, held_out), *others]
    return Checkup(facts, sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))


def _split(facts: Facts, split: str) -> dict[str, Any]:
    photos, counts = facts.of(split), facts.counts(split)
    columns = (each.tolist() for each in (counts.pixels, counts.shares, counts.inexact, counts.photos))
    heights, widths = zip(*(photo.size for photo in photos), strict=True)
    return {
        "photos": len(photos),
        "used": len(facts.fitting(split)),
        "groups": len({photo.sample.group for photo in photos}),
        "height": [min(heights), max(heights)],
        "width": [min(widths), max(widths)],
        "void_pixels": counts.void,
        "inexact_share": counts.guessed,
        "classes": {
            name: {"pixels": pixels, "share": share, "inexact": inexact, "masks": masks}
            for name, pixels, share, inexact, masks in zip(facts.taxonomy.names, *columns, strict=True)
        },
    }


def _photo(photo: PhotoFacts, names: Sequence[str]) -> dict[str, Any]:
    return {
        "id": photo.sample.id,
        "split": photo.sample.split,
        "group": photo.sample.group,
        "photo": str(photo.sample.photo),
        "mask": str(photo.sample.mask),
        "size": list(photo.size),
        "mask_size": list(photo.mask_size),
        "inexact": {name: count for name, count in zip(names, photo.inexact.tolist(), strict=True) if count},
        "specks": photo.specks,
    }
