"""Show the card of a model file, without building its net."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facesegl.files import readable
from facesegl.prediction.model import model_file, read_card
from facesegl.pretrained import on_disk


def read_info(model: Path) -> dict[str, Any]:
    """Read the card of a model file, its name and size in bytes, and for ONNX its kind and precision.

    Raises:
        CheckpointError: the file is not a model, is damaged, or contains code.
    """
    file = model_file(model)
    card, form = _exported(file) if file.suffix == ".onnx" else (read_card(file), {})
    texts = {name: readable(value) for name, value in card.items() if isinstance(value, str)}
    return {"file": readable(str(file)), "bytes": on_disk(file).stat().st_size, **form, **card, **texts}


def _exported(file: Path) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    from facesegl.prediction.onnx_model import OnnxModel

    model = OnnxModel(file, "cpu")
    return model.card, model.form
