"""A checkpoint that predicts, in PyTorch and in float32."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from facesegl.card import Card
from facesegl.config import resolve_accelerator
from facesegl.errors import ConfigError
from facesegl.learning import SegmentationModule


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
        """Logits (B, C, S, S) float32 of photos (B, 3, S, S) uint8."""
        seen: np.ndarray = self.module(torch.from_numpy(photos).to(self.module.device)).float().cpu().numpy()
        return seen


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
