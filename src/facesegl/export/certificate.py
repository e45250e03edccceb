"""The parity certificate: that an export predicts what its checkpoint predicts, as a record and as a table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from facesegl.text import spaced

if TYPE_CHECKING:
    from rich.console import RenderableType

_FORMS = {"pytorch": ".4f", "export": ".4f", "change": "+.4f"}


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


def certificate_table(certificate: Certificate) -> "RenderableType":
    """A certificate for the terminal: what both have in common, then IoU, milliseconds and size of each."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    exported = "PyTorch, reloaded" if certificate.kind == "weights" else "ONNX Runtime"
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column(overflow="fold")  # a long name gives way to the numbers
    for title in ("PyTorch", exported, "change"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, *numbers in _iou_rows(certificate):
        table.add_row(Text(name), *numbers)
    table.add_section()
    for row in _cost_rows(certificate):
        table.add_row(*row)
    return Group(*(Text(line) for line in _head(certificate)), "", table)  # a folder's name is text, never markup


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
    """A row a class, and their mean; nothing where the photos have no masks."""
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
