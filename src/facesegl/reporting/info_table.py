"""The contents of a model file as a table on the terminal."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from facesegl.console import printable
from facesegl.reporting.score_tables import label_table
from facesegl.text import spaced

if TYPE_CHECKING:
    from rich.table import Table


def info_table(about: Mapping[str, Any]) -> "Table":
    """The values of `read_info`, one line each, without the scores."""
    return label_table((label, printable(words)) for label, words in _lines(about))


def _lines(about: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    net, data = about["net"], about["data"]
    parameters = about.get("parameters")
    settings = ", ".join(f"{name}={value}" for name, value in net.items() if name != "_target_")
    yield "file", f"{about['file']}, {about['bytes'] / 1e6:.1f} MB"
    if "kind" in about:
        on = f", calibrated on {about['calibrated_on']}" if "calibrated_on" in about else ""
        inside = "from the photo to its mask" if about["kind"] == "whole" else "the net alone"
        yield "ONNX", f"{inside}, {about.get('precision')}{on}"
    if members := about.get("members"):
        folds = ", ".join(str(member.get("fold")) for member in members)
        yield "ensemble", f"the mean probability of {len(members)} models, data.fold={folds}; below, the first of them"
    yield "net", f"{net.get('_target_')} ({settings})"
    yield "parameters", spaced(parameters) if parameters else "unknown"
    yield "input size", f"{about['image_size']}x{about['image_size']}"
    yield "classes", ", ".join(map(str, about["taxonomy"]["classes"]))
    yield "trained on", f"{data.get('name')}, fingerprint {data.get('fingerprint')}"
    if "unlike_below" in about:
        yield "warns", f"where familiarity is below {about['unlike_below']}"
    yield "versions", ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    yield "command", about.get("command", "unknown")
    if about.get("scores") and "kind" in about:
        yield "scores", "as of the checkpoint it was exported from"
    if not about.get("scores"):
        why = "" if about.get("members") else "the run ended before scoring; "
        yield "scores", f"none: {why}facesegl evaluate computes them"
