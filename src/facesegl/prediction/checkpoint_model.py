"""A checkpoint that predicts, in PyTorch and in float32."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from facesegl.card import Card
from facesegl.config.machine import resolve_accelerator
from facesegl.errors import CheckpointError, ConfigError, FaceseglError, MachineError
from facesegl.learning.module import SegmentationModule


class CheckpointModel:
    """A model from a checkpoint, or from a file of weights with a card.

    Args:
        path: the file.
        device: auto, cpu, cuda or mps.
        trust: packages beside facesegl whose classes the card may name.

    Raises:
        CheckpointError: the file is no checkpoint, or names what is not trusted.
        ConfigError: no such device.
        MachineError: the device is not there.
    """

    def __init__(self, path: "str | Path", device: str = "auto", trust: Sequence[str] = ()) -> None:
        self.name = str(path)
        self.module = SegmentationModule.load_from_checkpoint(path, _device(device), trust=trust)
        self.card: Card = dict(self.module.hparams)
        self.taxonomy, self.image_size = self.module.taxonomy, self.module.image_size

    @torch.inference_mode()
    def logits(self, photos: np.ndarray) -> np.ndarray:
        """Logits (B, C, S, S) float32 of photos (B, 3, S, S) uint8.

        Raises:
            CheckpointError: the net does not take photos of this size.
            MachineError: there is not enough memory for them.
        """
        try:
            seen: np.ndarray = self.module(torch.from_numpy(photos).to(self.module.device)).float().cpu().numpy()
        except Exception as error:  # what a net raises on a size that it does not take is its own affair
            raise self._refusal(error, len(photos)) from error
        return seen

    def _refusal(self, error: Exception, number: int) -> FaceseglError:
        reason, size = " ".join(str(error).split())[:200], f"{self.image_size}x{self.image_size}"
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in reason:
            return MachineError(
                f"{self.name}: not enough memory for {number} photos of {size} at a time; take fewer at a time, or a "
                f"machine with more."
            )
        return CheckpointError(f"{self.name}: its net does not take photos of {size} ({reason}); is its card damaged?")


def _device(name: str) -> str:
    """The device to predict on.

    Raises:
        ConfigError: torch knows no such device.
        MachineError: it is not there.
    """
    device = resolve_accelerator(name, "device")
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError):
        raise ConfigError(f"device={name}: no device of this machine; expected auto, cpu, cuda or mps.") from None
    return device
