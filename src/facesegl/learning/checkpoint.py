"""Read a checkpoint or a safetensors file, and build its net. Needs torch, never Lightning.

A checkpoint is Lightning's file with the card as its only hyper-parameter. It holds tensors and builtin values, and is
read with `weights_only=True`; `callbacks.py` writes it. A safetensors file holds tensors, and the card as JSON. Nothing
in either can run code.
"""

import contextlib
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from facesegl.card import KEY, Card, card_as_text, card_in, check_card
from facesegl.errors import CheckpointError, is_out_of_memory
from facesegl.learning.normalized_net import NormalizedNet
from facesegl.learning.trusted import build_trusted
from facesegl.nets.smp import weights_follow
from facesegl.pretrained import REMEDY, is_pretrained, model_path, on_disk

TRAINED = "trained"
"""The key of a checkpoint whose training has ended: resumed, it is only scored."""


def read_checkpoint(path: "str | Path", map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint, or weights with a card, without running code from it, and check the card.

    Raises:
        CheckpointError: no such file, not a checkpoint, a checkpoint with code, or an invalid card.
    """
    path = model_path(path)
    if on_disk(path).suffix == ".safetensors":
        return read_weights(path, map_location)
    try:
        return _read_archive(path, map_location)
    except CheckpointError as error:
        if best := best_instead(path):
            raise CheckpointError(f"{error} The model with the best validation score is whole: {best}") from None
        raise


def best_instead(last: Path) -> Path | None:
    """The `best.ckpt` next to an unreadable `last.ckpt`, if it is readable."""
    best = last.with_name("best.ckpt")
    if last.name == "last.ckpt" and best.is_file():
        with contextlib.suppress(CheckpointError):
            _read_archive(best, "cpu")
            return best
    return None


def _read_archive(path: Path, map_location: Any) -> dict[str, Any]:
    _require_archive(path)
    try:
        checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path}: holds more than tensors and plain values; it was not opened, since that would run code from it. "
            f"Expected a file that facesegl wrote."
        ) from None
    except Exception as error:  # torch raises various exceptions for damaged files
        if is_out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise CheckpointError(
            f"{path}: cannot be read as a checkpoint ({reason}); is it cut off? Copy it again."
        ) from None
    if not isinstance(checkpoint, dict) or not {"state_dict", "hyper_parameters"} <= checkpoint.keys():
        raise CheckpointError(
            f"{path}: not a checkpoint of facesegl; expected weights with a card that describes them."
        )
    check_card(checkpoint["hyper_parameters"], str(path))
    return checkpoint


def build_net(card: Card, trust: Sequence[str] = ()) -> nn.Module:
    """Build the net that a checked card names, untrained.

    Raises:
        CheckpointError: the class is not an `nn.Module` of facesegl or a package in `trust`, or does not take its
            parameters.
    """
    with weights_follow():  # a card is never a reason to download pretrained weights
        net: nn.Module = build_trusted(card["net"], base=nn.Module, trust=trust)
    return net


def load_net(path: "str | Path", device: "str | torch.device" = "cpu", trust: Sequence[str] = ()) -> NormalizedNet:
    """Build the net of a checkpoint, or of weights with a card, and load its weights, in eval mode.

    Raises:
        CheckpointError: not a checkpoint, weights that do not fit, or a class of a package that is not in `trust`.
    """
    checkpoint = read_checkpoint(path, device)
    card = checkpoint["hyper_parameters"]
    try:
        net = NormalizedNet(build_net(card, trust), card)
    except (MemoryError, RuntimeError) as error:
        raise CheckpointError(f"{path}: the net in its card cannot be built ({error}).") from None
    except CheckpointError as error:
        raise CheckpointError(*(f"{path}: {problem}" for problem in error.problems)) from error
    try:
        net.load_state_dict(checkpoint["state_dict"])
    except (RuntimeError, AttributeError, TypeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise CheckpointError(f"{path}: its weights do not fit the net in its card ({reason}).") from None
    weights = [weight for weight in net.state_dict().values() if weight.is_floating_point()]
    if not all(bool(weight.isfinite().all()) for weight in weights):
        raise CheckpointError(f"{path}: some of its weights are not finite, so it cannot predict anything.")
    return net.to(device).eval()


def read_weights(path: "str | Path", map_location: Any = "cpu") -> dict[str, Any]:
    """Read weights and their card, in the form of a checkpoint: `state_dict` and `hyper_parameters`.

    Weights in half precision become float32.

    Raises:
        CheckpointError: no such file, not written by facesegl, truncated, or an invalid card.
    """
    path = model_path(path)
    file_path = on_disk(path)
    if not file_path.is_file():
        raise CheckpointError(f"{path}: no such file; expected weights that facesegl export wrote.")
    try:
        with safetensors.safe_open(file_path, framework="pt", device=str(map_location)) as file:
            card = card_in(file.metadata() or {}, str(path))
            state = {name: _single(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 - not a dictionary
    except safetensors.SafetensorError as error:
        reason = " ".join(str(error).split())[:120]
        remedy = REMEDY.capitalize() if is_pretrained(path) else "Export it again."
        raise CheckpointError(f"{path}: cannot be read as safetensors ({reason}); is it cut off? {remedy}") from None
    return {"state_dict": state, "hyper_parameters": card}


def _single(weight: Tensor) -> Tensor:
    return weight.float() if weight.dtype == torch.float16 else weight


def write_weights(path: Path, state: Mapping[str, Tensor], card: Card, *, half: bool = False) -> None:
    """Write the `state_dict` of a `NormalizedNet` and its card; making that atomic is up to the caller."""
    tensors = {name: weight.detach().cpu().clone().contiguous() for name, weight in state.items()}
    if half:
        tensors = {name: weight.half() if weight.is_floating_point() else weight for name, weight in tensors.items()}
    # as bytes: safetensors' own writer creates a file that only its owner can read
    path.write_bytes(safetensors.torch.save(tensors, metadata={"format": "pt", KEY: card_as_text(card)}))


def _require_archive(path: Path) -> None:
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder; expected a file, e.g. its checkpoints/last.ckpt.")
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no such file; expected a checkpoint, e.g. runs/NAME/DATE/checkpoints/last.ckpt."
        )
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path}: empty; expected a checkpoint. Copy it again.")
    if not zipfile.is_zipfile(path):
        raise CheckpointError(
            f"{path}: not a checkpoint, or cut off; it was not opened, since a pickle could run code. "
            f"Expected a file that facesegl wrote."
        )
    _require_whole(path)


def _require_whole(path: Path) -> None:
    """Compare each part with its checksum: torch does not, and would predict with flipped bits in the weights."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception:  # damage to the archive's own index is reported when it is read
        return
    if damaged:
        raise CheckpointError(f"{path}: damaged ({damaged} does not match its checksum); copy it again.")
