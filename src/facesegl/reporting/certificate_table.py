"""The certificate of an export as a table on the terminal."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from facesegl.reporting.score_tables import plain_table
from facesegl.text import spaced

if TYPE_CHECKING:
    from rich.console import RenderableType

    from facesegl.exporting.certificate import Certificate

_FORMS = {"pytorch": ".4f", "export": ".4f", "change": "+.4f"}


def certificate_table(certificate: "Certificate") -> "RenderableType":
    """The photos compared and the differences, then IoU, milliseconds and size."""
    from rich.console import Group
    from rich.text import Text

    table = plain_table()
    table.add_column(overflow="fold")  # long names wrap, numbers do not
    for title in ("PyTorch", "PyTorch, reloaded" if certificate.kind == "weights" else "ONNX Runtime", "change"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, *numbers in _iou_rows(certificate):
        table.add_row(Text(name), *numbers)
    table.add_section()
    for row in _cost_rows(certificate):
        table.add_row(*row)
    return Group(*(Text(line) for line in _head(certificate)), "", table)  # folder names are text, never markup


def _head(certificate: "Certificate") -> Iterator[str]:
    photos, times = certificate.photos, certificate.milliseconds
    chosen = f"{photos['count']} of {photos['there']}" if photos["count"] < photos["there"] else f"{photos['count']}"
    yield f"Parity on {chosen} {photos['of']}"
    differing = f"{spaced(certificate.pixels - certificate.same)} of {spaced(certificate.pixels)}"
    yield f"pixels:       {differing} differ ({certificate.equal:.4%} equal)"
    yield f"logits:       differ by {certificate.difference:.2g} at most; the largest is {certificate.largest:.3g}"
    yield f"milliseconds: {times['of']}, median, {times['threads']} thread{'s' * (times['threads'] > 1)}"
    if certificate.calibrated_on:
        yield f"int8:         calibrated on {certificate.calibrated_on}"


def _iou_rows(certificate: "Certificate") -> Iterator[tuple[str, ...]]:
    """A row for each class and one for their mean; none if the photos have no masks."""
    classes = certificate.iou or {}
    for name, found in classes.items():
        yield f"IoU {name}", *(_shown(found[key], form) for key, form in _FORMS.items())
    known = [found for found in classes.values() if None not in found.values()]
    if known:
        means = {key: sum(found[key] or 0 for found in known) / len(known) for key in _FORMS}
        yield "mIoU", *(_shown(means[key], form) for key, form in _FORMS.items())


def _cost_rows(certificate: "Certificate") -> Iterator[tuple[str, ...]]:
    times = certificate.milliseconds["pytorch"], certificate.milliseconds["export"]
    sizes = certificate.checkpoint["bytes"], certificate.model["bytes"]
    yield "ms per photo", *(f"{time:.1f}" for time in times), f"x{times[1] / times[0]:.2f}"
    yield "MB on disk", *(f"{size / 1e6:.2f}" for size in sizes), f"x{sizes[1] / sizes[0]:.2f}"


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else format(round(value, 4) + 0.0, form)  # never -0.0000
