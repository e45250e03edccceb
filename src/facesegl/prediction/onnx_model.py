"""An exported model that predicts in ONNX Runtime, without PyTorch."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facesegl.card import Card, card_in
from facesegl.errors import CheckpointError, ConfigError, MachineError
from facesegl.labels.taxonomy import Taxonomy

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, NodeArg


class OnnxModel:
    """A model that `facesegl export` wrote.

    Args:
        path: the file.
        device: auto, cpu or cuda.

    Raises:
        CheckpointError: it is no ONNX model, or none of facesegl's.
        ConfigError: no such device, or no ONNX Runtime installed.
        MachineError: the device is not there.

    Attributes:
        card: what its weights are.
        form: its kind (logits or whole), its precision, and what 8-bit integers were calibrated on.
        taxonomy: the classes.
        image_size: the side of what the net sees, in pixels.
    """

    def __init__(self, path: "str | Path", device: str = "auto") -> None:
        self.name = str(path)
        self._session = _open(Path(path), device)
        self.card: Card = _card_of(self._session, self.name)
        self.taxonomy = Taxonomy.from_mapping(self.card["taxonomy"])
        self.image_size: int = self.card["image_size"]
        about = self._session.get_modelmeta().custom_metadata_map
        self.form = {name: about[name] for name in ("kind", "precision", "calibrated_on") if name in about}
        taken = _input_of(self._session, self.name)
        self._input, self._type = taken.name, np.uint8 if taken.type == "tensor(uint8)" else np.float32

    def logits(self, photos: np.ndarray) -> np.ndarray:
        """Logits (B, C, S, S) float32 of photos (B, 3, S, S) uint8."""
        given = {self._input: np.ascontiguousarray(photos, dtype=self._type)}
        try:
            found: np.ndarray = self._session.run(["logits"], given)[0]
        except Exception as error:  # ONNX Runtime has a class for each of its own faults
            reason = " ".join(str(error).split())[:120]
            raise CheckpointError(f"{self.name}: its graph does not take photos ({reason}); export it again.") from None
        return found


def _open(path: Path, device: str) -> "InferenceSession":
    """A session over a file that stands by itself: what it might name outside of itself is looked for nowhere."""
    try:
        import onnxruntime
    except ImportError:
        raise ConfigError(
            f"{path}: an ONNX model needs onnxruntime; install it with pip install 'facesegl[export]'."
        ) from None
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; expected a model that facesegl export wrote.")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is wrong is raised as well
    # weights that a stranger's graph says to lie in another file are not read from there; /dev/null holds no files
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    providers = _providers(device, onnxruntime.get_available_providers())
    try:
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=providers)
    except Exception as error:  # ONNX Runtime has a class for each of its own faults
        reason = " ".join(str(error).split())[:120]
        raise CheckpointError(
            f"{path}: cannot be read as an ONNX model ({reason}); is it cut off? Export it again."
        ) from None


def _providers(device: str, available: list[str]) -> list[str]:
    cpu, cuda = "CPUExecutionProvider", "CUDAExecutionProvider"
    if device not in ("auto", "cpu", "cuda", "gpu"):
        raise ConfigError(f"device={device}: ONNX Runtime is used on cpu or cuda; expected auto, cpu or cuda.")
    if device in ("cuda", "gpu") and cuda not in available:
        raise MachineError(f"device={device}: this ONNX Runtime has no CUDA; use device=cpu, or install its GPU build.")
    return [cuda, cpu] if device != "cpu" and cuda in available else [cpu]


def _input_of(session: "InferenceSession", place: str) -> "NodeArg":
    """The one input of a graph, which takes photos."""
    inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type not in ("tensor(uint8)", "tensor(float)"):
        raise CheckpointError(
            f"{place}: its graph does not take photos; expected one input (B, 3, H, W). Export it again."
        )
    return inputs[0]


def _card_of(session: "InferenceSession", place: str) -> Card:
    card = card_in(session.get_modelmeta().custom_metadata_map, place)
    if "logits" not in {output.name for output in session.get_outputs()}:
        raise CheckpointError(f"{place}: it has no output named logits; export it again.")
    return card
