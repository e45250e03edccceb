"""What a model's file carries: read from its card, with nothing of it run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facesegl.files import readable
from facesegl.prediction.model import model_file, read_card


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
