"""The parity certificate, as a record and as a table: an export predicts the same as its checkpoint."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from facesegl.words import spaced

if TYPE_CHECKING:
    from rich.console import RenderableType

_FORMS = {"pytorch": ".4f", "export": ".4f", "change": "+.4f"}


@dataclass(frozen=True)
class Certificate:
    """The comparison of an export with its checkpoint, saved as JSON next to the export.

    Attributes:
        checkpoint: file name, SHA-256 and bytes.
        model: the same of the export.
        kind: logits, whole or weights.
        precision: float32 or int8.
        calibrated_on: the training photos of the int8 calibration; None in float32.
        photos: the photos compared on: `of` which data, their `count`, and how many were `there` to choose from.
        pixels: of the photos, at native size.
        same: pixels with the same class in both.
        difference: the largest difference of logits.
        largest: the largest absolute logit.
        sizes: batches of other sizes that were compared.
        iou: class to `pytorch`, `export` and `change`; None for photos without masks.
        milliseconds: the median per photo in `pytorch` and `export`, the number of `threads`, and what it is `of`.
        versions: of the packages.
        machine: that the milliseconds were measured on.
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


def certificate_table(certificate: Certificate) -> "RenderableType":
    """A certificate for the terminal: a summary, then IoU, milliseconds and size of both."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    exported = "PyTorch, reloaded" if certificate.kind == "weights" else "ONNX Runtime"
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column(overflow="fold")  # a long name is wrapped, numbers are not
    for title in ("PyTorch", exported, "change"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, *numbers in _iou_rows(certificate):
        table.add_row(Text(name), *numbers)
    table.add_section()
    for row in _cost_rows(certificate):
        table.add_row(*row)
    return Group(*(Text(line) for line in _head(certificate)), "", table)  # a folder's name is never markup


def _head(certificate: Certificate) -> Iterator[str]:
    photos, times = certificate.photos, certificate.milliseconds
    chosen = f"{photos['count']} of {photos['there']}" if photos["count"] < photos["there"] else f"{photos['count']}"
    yield f"Parity on {chosen} {photos['of']}"
    differing = f"{spaced(certificate.pixels - certificate.same)} of {spaced(certificate.pixels)}"
    yield f"pixels:       {differing} differ ({certificate.equal:.4%} equal)"
    yield f"logits:       differ by {certificate.difference:.2g} at most; the largest is {certificate.largest:.3g}"
    yield f"milliseconds: {times['of']}, median, {times['threads']} thread{'s' * (times['threads'] > 1)}"
    if certificate.calibrated_on:
        yield f"int8:         calibrated on {certificate.calibrated_on}"


def _iou_rows(certificate: Certificate) -> Iterator[tuple[str, ...]]:
    classes = certificate.iou or {}
    for name, found in classes.items():
        yield f"IoU {name}", *(_shown(found[key], form) for key, form in _FORMS.items())
    known = [found for found in classes.values() if None not in found.values()]
    if known:
        means = {key: sum(found[key] or 0 for found in known) / len(known) for key in _FORMS}
        yield "mIoU", *(_shown(means[key], form) for key, form in _FORMS.items())


def _cost_rows(certificate: Certificate) -> Iterator[tuple[str, ...]]:
    times = certificate.milliseconds["pytorch"], certificate.milliseconds["export"]
    sizes = certificate.checkpoint["bytes"], certificate.model["bytes"]
    yield "ms a photo", *(f"{time:.1f}" for time in times), f"x{times[1] / times[0]:.2f}"
    yield "MB a file", *(f"{size / 1e6:.2f}" for size in sizes), f"x{sizes[1] / sizes[0]:.2f}"


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else format(round(value, 4) + 0.0, form)  # never -0.0000
