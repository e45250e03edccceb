"""The device and precision that this machine gives for `auto`."""

from facesegl.errors import MachineError


def auto_precision(accelerator: str) -> str:
    """Lightning's name of the precision for `auto`: bf16 if the device (`cpu`, `cuda`, `mps`, ...) is faster in it."""
    import torch

    if accelerator == "cpu":
        fast = bool(torch.cpu.get_capabilities().get("amx_bf16"))  # AVX512-BF16 alone is slower than float32
    else:
        fast = accelerator == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16-mixed" if fast else "32-true"


def resolve_accelerator(accelerator: str, key: str = "trainer.accelerator") -> str:
    """Lightning's name of the device to train on.

    Args:
        accelerator: `auto`, `gpu`, or one of Lightning's names, which is returned.
        key: its key in the config, for the message.

    Raises:
        MachineError: it is a GPU that torch cannot use.
    """
    import torch

    found = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if accelerator == "auto":
        return found
    if accelerator not in ("gpu", "cuda", "mps"):
        return accelerator
    if found == "cpu" or accelerator not in ("gpu", found):
        raise MachineError(
            f"{key}={accelerator}: this machine has no such GPU that torch can use; use {key}=cpu or {key}=auto"
        )
    return found
