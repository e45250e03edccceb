"""An exported model as a `Model`, in ONNX Runtime, without PyTorch."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facesegl.card import Card, card_in
from facesegl.errors import CheckpointError, ConfigError, MachineError, is_out_of_memory
from facesegl.labels.taxonomy import Taxonomy

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, NodeArg


class OnnxModel:
    """A model that `facesegl export` wrote.

    Args:
        path: the file.
        device: auto, cpu or cuda.
        threads: CPU threads; 0 for the default of ONNX Runtime.

    Raises:
        CheckpointError: not an ONNX model, or not exported by facesegl.
        ConfigError: no such device, or no ONNX Runtime installed.
        MachineError: the device is not available.

    Attributes:
        form: its kind (logits or whole), precision and, in int8, calibration data.
    """

    def __init__(self, path: "str | Path", device: str = "auto", threads: int = 0) -> None:
        self.name = str(path)
        self._session = _open(Path(path), device, threads)
        try:
            about: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
            self.card: Card = card_in(about, self.name)
            taken = _input_of(self._session, self.name)
            self._logits = "members" if "members" in self.card else "logits"
            _require_output(self._session, "logits", self.name)
            _require_output(self._session, self._logits, self.name)
            self._input, self._type = taken.name, np.uint8 if taken.type == "tensor(uint8)" else np.float32
        except UnicodeDecodeError:
            raise CheckpointError(f"{path}: text in it is not UTF-8; expected what facesegl export wrote.") from None
        self.taxonomy = Taxonomy.from_mapping(self.card["taxonomy"])
        self.image_size: int = self.card["image_size"]
        self.form = {name: about[name] for name in ("kind", "precision", "calibrated_on") if name in about}

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits (B, C, S, S) float32 of images (B, 3, S, S) uint8; of an ensemble (B, members, C, S, S)."""
        return self._run(self._logits, images)

    def averaged(self, images: np.ndarray) -> np.ndarray:
        """The logarithm of an ensemble's mean probabilities: (B, C, S, S) float32 of images (B, 3, S, S) uint8."""
        return self._run("logits", images)

    def masks(self, images: np.ndarray) -> np.ndarray:
        """Masks (B, H, W) uint8 of images (B, 3, H, W) uint8 of any size; for a graph of kind `whole` only."""
        return self._run("mask", images)

    def _run(self, output: str, images: np.ndarray) -> np.ndarray:
        """One output of the graph for images (B, 3, H, W)."""
        try:
            inputs = {self._input: np.ascontiguousarray(images, dtype=self._type)}
            found: np.ndarray = _run(self._session, [output], inputs)[0]
        except Exception as error:  # ONNX Runtime has an exception class for each kind of failure
            reason, size = " ".join(str(error).split())[:160], f"{images.shape[2]}x{images.shape[3]}"
            if is_out_of_memory(error):
                raise MachineError(
                    f"{self.name}: not enough memory for {len(images)} photos of {size} at a time; lower the batch "
                    f"size, or use a machine with more memory."
                ) from error
            raise CheckpointError(
                f"{self.name}: its graph does not take photos of {size} ({reason}); export it again."
            ) from error
        return found


def _run(session: "InferenceSession", outputs: Sequence[str], inputs: Mapping[str, np.ndarray]) -> list[Any]:
    """Run a graph so that a signal ends it, even in a loop without end: Python handles signals only in its own code."""
    import onnxruntime

    options = onnxruntime.RunOptions()
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(session.run, outputs, inputs, options)
        try:
            return list(running.result())
        except BaseException:
            options.terminate = True
            raise


def _open(path: Path, device: str, threads: int) -> "InferenceSession":
    try:
        import onnxruntime
    except ImportError:
        raise ConfigError(
            f"{path}: an ONNX model needs onnxruntime; install it with pip install 'facesegl[export]'."
        ) from None
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; expected a model that facesegl export wrote.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 4  # errors are raised as well
    # a graph from an unknown source may name any file as its weights: look for them where there are no files
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    providers = _providers(device, onnxruntime.get_available_providers())
    try:
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=providers)
    except Exception as error:  # ONNX Runtime has an exception class for each kind of failure
        if is_out_of_memory(error):
            raise
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


def _input_of(session: "InferenceSession", name: str) -> "NodeArg":
    inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type not in ("tensor(uint8)", "tensor(float)"):
        raise CheckpointError(
            f"{name}: its graph does not take photos; expected one input (B, 3, H, W). Export it again."
        )
    return inputs[0]


def _require_output(session: "InferenceSession", output: str, name: str) -> None:
    if output not in {each.name for each in session.get_outputs()}:
        raise CheckpointError(f"{name}: it has no output named {output}; export it again.")
