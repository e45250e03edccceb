"""What gives logits, and which file holds it: a checkpoint, weights with a card, or an exported ONNX model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from facesegl.card import Card
from facesegl.errors import CheckpointError
from facesegl.labels.taxonomy import Taxonomy
from facesegl.text import nearest

SUFFIXES = (".ckpt", ".safetensors", ".onnx")
"""The endings of files that hold a model."""


class Model(Protocol):
    """A net with what it takes to feed it and to read it."""

    name: str
    """What messages call it: its file."""
    card: Card
    taxonomy: Taxonomy
    image_size: int
    """Height and width of what it sees, pixels."""

    def logits(self, photos: np.ndarray) -> np.ndarray:
        """Logits (B, C, S, S) float32 of photos (B, 3, S, S) uint8, R-G-B, at the model's own size S."""
        ...


def open_model(path: "str | Path", device: str = "auto", trust: Sequence[str] = ()) -> Model:
    """Open a model, whatever file it lies in.

    Args:
        path: a checkpoint, `.safetensors`, `.onnx`, or a run's folder, which stands for its `checkpoints/last.ckpt`.
        device: auto, cpu, cuda or mps.
        trust: packages beside facesegl whose classes a checkpoint may name.

    Raises:
        CheckpointError: the file is none of these, is damaged, or names what is not trusted.
        MachineError: the device is not there.
        ConfigError: no such device.
    """
    path = model_file(path)
    if path.suffix == ".onnx":
        from facesegl.prediction.onnx_model import OnnxModel

        return OnnxModel(path, device)
    from facesegl.prediction.checkpoint_model import CheckpointModel

    return CheckpointModel(path, device, trust)


def read_card(path: "str | Path") -> Card:
    """Read what a model's file says of itself, and nothing more.

    Raises:
        CheckpointError: as `open_model`.
    """
    path = model_file(path)
    if path.suffix == ".onnx":
        from facesegl.prediction.onnx_model import OnnxModel

        return OnnxModel(path, "cpu").card
    from facesegl.learning.checkpoint import read_checkpoint

    card: Card = read_checkpoint(path)["hyper_parameters"]
    return card


def first_job(folder: Path) -> Path | None:
    """The folder of a sweep's first job; None of what is no sweep's folder."""
    return min((note.parent for note in folder.glob("*/job.json")), default=None)


def model_file(path: "str | Path") -> Path:
    """The file that is meant: a run's folder stands for its last checkpoint.

    Raises:
        CheckpointError: a folder without one.
    """
    path = Path(path)
    if not path.exists():
        beside = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        near = nearest(path.name, beside)
        hint = f"did you mean {path.with_name(near)}?" if near else "expected a model's file, or the folder of a run."
        raise CheckpointError(f"{path}: no such file or folder; {hint}")
    if not path.is_dir():
        return path
    last = path / "checkpoints" / "last.ckpt"
    if not last.is_file():
        if job := first_job(path):
            raise CheckpointError(f"{path}: the folder of a sweep; name one of its jobs, such as {job}.")
        raise CheckpointError(
            f"{path}: a folder without checkpoints/last.ckpt; expected a model's file ({', '.join(SUFFIXES)}) or the "
            f"folder of a run that has written one."
        )
    return last
