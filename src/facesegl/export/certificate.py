"""The parity certificate: that an export predicts what its checkpoint predicts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Certificate:
    """That an export predicts what its checkpoint predicts; it lies beside the export as JSON.

    Attributes:
        checkpoint: file name, SHA-256 and bytes of what was exported.
        model: the same of the export.
        kind: logits, whole or weights.
        precision: float32 or int8.
        calibrated_on: the training photos that int8 was calibrated on; None in float32.
        photos: what it was tried on: `of`, `count`, and `there`, how many there were to choose from.
        pixels: how many pixels the photos have, at their own sizes.
        same: how many of these have the same class in both.
        difference: the largest difference of logits.
        largest: the largest logit, without its sign.
        sizes: batches and other sizes that were tried.
        iou: class to `pytorch`, `export` and `change`; None where the photos have no masks.
        milliseconds: a photo's median in `pytorch` and `export`, the number of `threads`, and what they are `of`.
        versions: what it was made with.
        machine: what the milliseconds depend on.
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
