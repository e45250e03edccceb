"""The parity certificate: whether an export predicts the same as its checkpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Certificate:
    """The comparison of an export with its checkpoint, saved as JSON next to the export.

    Attributes:
        checkpoint: file name, SHA-256 and bytes; of an ensemble its name, bytes and `members`.
        model: the same of the export.
        kind: logits, whole or weights.
        precision: float32, float16 or int8.
        calibrated_on: the training photos of the int8 calibration; None in float32.
        photos: the data that the photos are `of`, their `count`, and how many were available (`there`).
        pixels: of the photos, at native size.
        same: pixels with the same class in both.
        difference: the largest difference of logits.
        largest: the largest absolute logit.
        sizes: batches of other sizes that were compared.
        iou: class to `pytorch`, `export` and `change`; None for photos without masks.
        milliseconds: the median per photo in `pytorch` and `export`, the number of `threads`, the timed step (`of`).
        versions: of the packages.
        machine: where the milliseconds were measured.
    """

    checkpoint: Mapping[str, Any]
    model: Mapping[str, Any]
    kind: str
    precision: str
    calibrated_on: str | None
    photos: Mapping[str, Any]
    pixels: int
    same: int
    difference: float
    largest: float
    sizes: Sequence[Mapping[str, Any]]
    iou: Mapping[str, Mapping[str, float | None]] | None
    milliseconds: Mapping[str, Any]
    versions: Mapping[str, str]
    machine: Mapping[str, Any]

    @property
    def equal(self) -> float:
        """The share of pixels with the same class in both."""
        return self.same / self.pixels

    def to_dict(self) -> dict[str, Any]:
        """Builtin values for JSON."""
        return {**asdict(self), "equal": self.equal}
