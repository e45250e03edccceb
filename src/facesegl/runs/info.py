"""What a model's file carries: read from its card, with nothing of it run."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facesegl.console import printable
from facesegl.files import readable
from facesegl.prediction import read_card
from facesegl.prediction.model import model_file

if TYPE_CHECKING:
    from rich.table import Table


def read_info(model: Path) -> dict[str, Any]:
    """The card of a model's file, with the file's name and its size in bytes.

    Raises:
        CheckpointError: it is no model's file, is damaged, or holds code.
    """
    file = model_file(model)
    card = read_card(file)
    texts = {name: readable(value) for name, value in card.items() if isinstance(value, str)}
    return {"file": readable(str(file)), "bytes": file.stat().st_size, **card, **texts}


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
    yield "net", f"{net.get('_target_')} ({settings})"
    yield "parameters", f"{parameters:,}".replace(",", " ") if parameters else "not told"
    yield "sees", f"photos resized to {about['image_size']}x{about['image_size']}"
    yield "classes", ", ".join(map(str, about["taxonomy"]["classes"]))
    yield "learnt from", f"{data.get('name')}, fingerprint {data.get('fingerprint')}"
    yield "made with", ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    yield "command", about.get("command", "not told")
    if not about.get("scores"):
        yield "scores", "none: its run did not end with scoring it; facesegl evaluate does"
