"""A checkpoint as a `Model`, in PyTorch and float32. Imports no Lightning."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from facesegl.config.machine import resolve_accelerator
from facesegl.errors import CheckpointError, ConfigError, FaceseglError, MachineError, is_out_of_memory
from facesegl.learning.checkpoint import load_net


class CheckpointModel:
    """A `Model` from a checkpoint, or from weights with a card.

    Args:
        path: the file.
        device: auto, cpu, cuda or mps.
        trust: packages other than facesegl whose classes the card may name.

    Raises:
        CheckpointError: the file is not a checkpoint, or names an untrusted class.
        ConfigError: no such device.
        MachineError: the device is not available.

    Attributes:
        net: the net with its normalisation, in eval mode.
    """

    def __init__(self, path: "str | Path", device: str = "auto", trust: Sequence[str] = ()) -> None:
        self.name = str(path)
        self.net = load_net(path, _device(device), trust)
        self.card, self.taxonomy, self.image_size = dict(self.net.card), self.net.taxonomy, self.net.image_size

    @torch.inference_mode()
    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits (B, C, H, W) float32 of images (B, 3, H, W) uint8.

        Raises:
            CheckpointError: the net does not take images of this size.
            MachineError: there is not enough memory for them.
        """
        try:
            logits: np.ndarray = self.net(torch.from_numpy(images).to(self.net.mean.device)).float().cpu().numpy()
        except Exception as error:  # a net may raise anything for a size that it does not take
            raise self._refusal(error, images) from error
        return logits

    def _refusal(self, error: Exception, images: np.ndarray) -> FaceseglError:
        reason, size = " ".join(str(error).split())[:200], f"{images.shape[2]}x{images.shape[3]}"
        if is_out_of_memory(error):
            return MachineError(
                f"{self.name}: not enough memory for {len(images)} photos of {size} at a time; lower the batch size, "
                f"or use a machine with more memory."
            )
        return CheckpointError(
            f"{self.name}: its net does not take photos of {size} ({reason}); is its card damaged, or the `stride` of "
            f"a custom net wrong?"
        )


def _device(name: str) -> str:
    device = resolve_accelerator(name, "device")
    try:
        torch.zeros(1, device=device).cpu()  # the device `meta` holds no values
    except (RuntimeError, AssertionError):
        raise ConfigError(f"device={name}: not a device of this machine; expected auto, cpu, cuda or mps.") from None
    return device
