"""The `Model` interface, and opening a model file: a checkpoint, weights with a card, or an ONNX model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from facesegl.card import Card
from facesegl.errors import CheckpointError
from facesegl.labels.taxonomy import Taxonomy
from facesegl.pretrained import is_pretrained, model_path, on_disk
from facesegl.text import nearest

SUFFIXES = (".ckpt", ".safetensors", ".onnx")
"""The suffixes of model files."""


_EXPECTED = f"a model file ({', '.join(SUFFIXES)}), or a run folder with a checkpoint; photos come after the model"


class Model(Protocol):
    """A net, and the card that describes its input and output."""

    name: str
    """The path of its file, for messages."""
    card: Card
    taxonomy: Taxonomy
    image_size: int
    """Height and width of its input, pixels."""

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits (B, C, S, S) float32 of images (B, 3, S, S) uint8, R-G-B, at the model's input size S.

        Those of an ensemble in one graph are (B, members, C, S, S).
        """
        ...


def open_model(path: "str | Path", device: str = "auto", trust: Sequence[str] = ()) -> Model:
    """Open a model file of any format.

    Args:
        path: a checkpoint, `.safetensors`, `.onnx`, a run folder, for its `checkpoints/last.ckpt`, or
            `facesegl:faces`.
        device: auto, cpu, cuda or mps.
        trust: packages other than facesegl whose classes a checkpoint may name.

    Raises:
        CheckpointError: the file is none of these, is damaged, or names an untrusted class.
        MachineError: the device is not available.
        ConfigError: no such device.
    """
    path = model_file(path)
    if path.suffix == ".onnx":
        from facesegl.prediction.onnx_model import OnnxModel

        return OnnxModel(path, device)
    from facesegl.prediction.checkpoint_model import CheckpointModel

    return CheckpointModel(path, device, trust)


def read_card(path: "str | Path") -> Card:
    """Read the card of a model file, without building the net; raises as `open_model` does."""
    path = model_file(path)
    if path.suffix == ".onnx":
        from facesegl.prediction.onnx_model import OnnxModel

        return OnnxModel(path, "cpu").card
    from facesegl.learning.checkpoint import read_checkpoint

    card: Card = read_checkpoint(path)["hyper_parameters"]
    return card


def is_sweep(folder: Path) -> bool:
    """Whether this is the folder of a sweep."""
    return (folder / "sweep.json").is_file() or any(folder.glob("*/job.json"))


def names_model(path: "str | Path") -> bool:
    """Whether this is a model by its name: pretrained weights, or one of `SUFFIXES`."""
    return is_pretrained(path) or str(path).endswith(SUFFIXES)


def model_file(path: "str | Path") -> Path:
    """The path of a model file, the last checkpoint of a run folder, or the name of pretrained weights.

    Raises:
        CheckpointError: no such path or weights, or a folder without a checkpoint.
    """
    path = model_path(path)
    if is_pretrained(path):
        on_disk(path)
        return path
    if not path.exists():
        siblings = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        near = nearest(path.name, siblings)
        hint = f"did you mean {path.with_name(near)}?" if near else "expected a model file, or a run folder."
        raise CheckpointError(f"{path}: no such file or folder; {hint}")
    if not path.is_dir():
        return path
    last = path / "checkpoints" / "last.ckpt"
    if not last.is_file():
        if is_sweep(path):
            raise CheckpointError(
                f"{path}: the folder of a sweep, which has a model for each job; expected one model, such as "
                f"{path / '0'}. facesegl report {path} shows them all."
            )
        runs = [*path.glob("*/checkpoints/last.ckpt"), *path.glob("*/*/checkpoints/last.ckpt")]
        newest = max(runs, key=lambda file: file.stat().st_mtime, default=None)
        hint = f"did you mean its newest run, {newest.parents[1]}?" if newest else f"expected {_EXPECTED}."
        raise CheckpointError(f"{path}: a folder without checkpoints/last.ckpt; {hint}")
    return last
