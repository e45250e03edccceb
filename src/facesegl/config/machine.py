"""What this machine can: which device and precision `auto` becomes, and where files can be written."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facesegl.errors import MachineError


def settle(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """A trainer's arguments with the device and precision that this machine gives for `auto` and `gpu`.

    Raises:
        MachineError: the device is not there.
    """
    settled = dict(trainer)
    if isinstance(settled.get("accelerator"), str):
        settled["accelerator"] = resolve_accelerator(settled["accelerator"])
    if settled.get("precision") == "auto":
        settled["precision"] = resolve_precision("auto", settled.get("accelerator", "cpu"))
    return settled


def require_writable(key: str, path: str) -> None:
    """Make sure that a folder can be written, or made.

    Args:
        key: where the path stands in the config.
        path: a folder that need not be there yet.

    Raises:
        MachineError: what is there of it is no folder, or not ours to write.
    """
    folder = Path(path).expanduser().absolute()
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not there.is_dir():
        raise MachineError(f"{key}={path}: {there} is no folder; give another place with {key}=FOLDER")
    if not os.access(there, os.W_OK | os.X_OK):
        raise MachineError(f"{key}={path}: {there} cannot be written; give another place with {key}=FOLDER")


def resolve_precision(precision: str, accelerator: str) -> str:
    """Lightning's name of the precision to train in: `auto` is bf16 where the device computes in it.

    Args:
        precision: `auto`, or one of Lightning's own, which passes.
        accelerator: a resolved one: `cpu`, `cuda`, `mps`, ...
    """
    if precision != "auto":
        return precision
    import torch

    if accelerator == "cpu":
        can = torch.cpu.get_capabilities()
        fast = bool(can.get("amx_bf16") or can.get("avx512_bf16"))
    else:
        fast = accelerator == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16-mixed" if fast else "32-true"


def resolve_accelerator(accelerator: str, key: str = "trainer.accelerator") -> str:
    """Lightning's name of the device to train on.

    Args:
        accelerator: `auto`, `gpu`, or one of Lightning's own, which passes.
        key: where it stands in the config.

    Raises:
        MachineError: it is a GPU, and there is none that torch can use.
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
