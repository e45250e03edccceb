"""What a model's file carries: read from its card, with nothing of it run."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facesegl.console import printable
from facesegl.files import readable
from facesegl.prediction.model import model_file, read_card
from facesegl.text import spaced

if TYPE_CHECKING:
    from rich.table import Table


def read_info(model: Path) -> dict[str, Any]:
    """The card of a model's file, with the file's name and size in bytes, and an ONNX model's kind and precision.

    Raises:
        CheckpointError: it is no model's file, is damaged, or holds code.
    """
    file = model_file(model)
    card, form = _exported(file) if file.suffix == ".onnx" else (read_card(file), {})
    texts = {name: readable(value) for name, value in card.items() if isinstance(value, str)}
    return {"file": readable(str(file)), "bytes": file.stat().st_size, **form, **card, **texts}


def _exported(file: Path) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """The card of an ONNX model, and its form."""
    from facesegl.prediction.onnx_model import OnnxModel

    model = OnnxModel(file, "cpu")
    return model.card, model.form


def info_table(about: Mapping[str, Any]) -> "Table":
    """What `read_info` gives, a line each, without the scores."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for label, words in _lines(about):
        table.add_row(label, Text(printable(words)))  # a name from a file is text, never markup
    return table


def _lines(about: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    net, data = about["net"], about["data"]
    parameters = about.get("parameters")
    settings = ", ".join(f"{name}={value}" for name, value in net.items() if name != "_target_")
    yield "file", f"{about['file']}, {about['bytes'] / 1e6:.1f} MB"
    if "kind" in about:
        on = f", calibrated on {about['calibrated_on']}" if "calibrated_on" in about else ""
        inside = "from the photo to its mask" if about["kind"] == "whole" else "the net alone"
        yield "ONNX", f"{inside}, {about.get('precision')}{on}"
    yield "net", f"{net.get('_target_')} ({settings})"
    yield "parameters", spaced(parameters) if parameters else "not told"
    yield "sees", f"photos resized to {about['image_size']}x{about['image_size']}"
    yield "classes", ", ".join(map(str, about["taxonomy"]["classes"]))
    yield "learnt from", f"{data.get('name')}, fingerprint {data.get('fingerprint')}"
    yield "made with", ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    yield "command", about.get("command", "not told")
    if about.get("scores") and "kind" in about:
        yield "scores", "those of the checkpoint that it was exported from"
    if not about.get("scores"):
        yield "scores", "none: its run did not end with scoring it; facesegl evaluate does"
