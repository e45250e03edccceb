"""All checks on what is known of a data set, and what they come to."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from facesegl.checks.classes import check_classes
from facesegl.checks.colours import check_colours
from facesegl.checks.duplicates import check_doubles
from facesegl.checks.facts import Facts, PhotoFacts
from facesegl.checks.finding import SEVERITIES, Finding, worst_first
from facesegl.checks.photos import check_photos
from facesegl.checks.refused import check_files
from facesegl.checks.shapes import check_shapes
from facesegl.text import number

SCHEMA = 1
"""Raised whenever `Checkup.to_dict` changes its meaning."""

_CHECKS = (check_files, check_doubles, check_classes, check_colours, check_shapes, check_photos)


@dataclass(frozen=True)
class Checkup:
    """What the doctor says of a data set.

    Attributes:
        facts: what is known of it.
        findings: what follows, worst first.
    """

    facts: Facts
    findings: Sequence[Finding]

    @property
    def wrong(self) -> bool:
        """Whether training would be wrong: it would refuse, or learn or be scored on something else than it says."""
        return any(finding.severity == "error" for finding in self.findings)

    @property
    def verdict(self) -> str:
        """One line that says whether training would be wrong, and how much there is to read."""
        counts = {severity: sum(f.severity == severity for f in self.findings) for severity in SEVERITIES}
        words = ", ".join(number(count, severity) for severity, count in counts.items() if count)
        judgement = f"training would {'' if self.wrong else 'not '}be wrong"
        return f"{self.facts.name}: {judgement}{words and f' ({words})'}"

    def to_dict(self) -> dict[str, Any]:
        """Everything as builtin values, for JSON: each finding with all its cases, each split, each photo."""
        facts = self.facts
        return {
            "name": facts.name,
            "wrong": self.wrong,
            "classes": list(facts.taxonomy.names),
            "findings": [_finding(finding) for finding in self.findings],
            "splits": {split: _split(facts, split) for split in facts.splits},
            "photos": [_photo(photo, facts.taxonomy.names) for photo in facts.photos],
        }


def diagnose(facts: Facts) -> Checkup:
    """Run every check on what is known."""
    return Checkup(facts, worst_first(chain.from_iterable(check(facts) for check in _CHECKS)))


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "severity": finding.severity,
        "check": finding.check,
        "what": finding.what,
        "remedy": finding.remedy,
        "cases": [{"words": case.words, "photos": list(case.photos)} for case in finding.cases],
    }


def _split(facts: Facts, split: str) -> dict[str, Any]:
    photos, counts = facts.of(split), facts.counts(split)
    sides = list(zip(*(photo.size for photo in photos), strict=True))
    return {
        "photos": len(photos),
        "used": len(facts.fitting(split)),
        "groups": len({photo.sample.group for photo in photos}),
        "height": [min(sides[0]), max(sides[0])],
        "width": [min(sides[1]), max(sides[1])],
        "void_pixels": counts.void,
        "inexact_share": counts.guessed,
        "classes": {
            name: {"pixels": pixels, "share": share, "inexact": inexact, "masks": masks}
            for name, pixels, share, inexact, masks in zip(
                facts.taxonomy.names,
                counts.pixels.tolist(),
                counts.shares.tolist(),
                counts.inexact.tolist(),
                counts.photos.tolist(),
                strict=True,
            )
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
