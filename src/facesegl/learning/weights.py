"""Weights as safetensors: tensors, and the card as JSON. Nothing in the file can run code."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facesegl.card import KEY, Card, card_as_text, card_in
from facesegl.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from torch import Tensor


def write_weights(path: Path, state: Mapping[str, "Tensor"], card: Card) -> None:
    """Write the `state_dict` of a `NormalizedNet` and its card; making that atomic is up to the caller."""
    save = require_safetensors(path).torch.save
    tensors = {name: weight.detach().cpu().clone().contiguous() for name, weight in state.items()}
    # as bytes: safetensors' own writer creates a file that only its owner can read
    path.write_bytes(save(tensors, metadata={"format": "pt", KEY: card_as_text(card)}))


def read_weights(path: "str | Path", map_location: Any = "cpu") -> dict[str, Any]:
    """Read weights and their card, in the form of a checkpoint: `state_dict` and `hyper_parameters`.

    Raises:
        CheckpointError: no such file, not written by facesegl, cut off, or with a card that is not understood.
        ConfigError: safetensors is not installed.
    """
    path, package = Path(path), require_safetensors(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; expected weights that facesegl export wrote.")
    try:
        with package.safe_open(path, framework="pt", device=str(map_location)) as file:
            card = card_in(file.metadata() or {}, str(path))
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dictionary
    except package.SafetensorError as error:
        reason = " ".join(str(error).split())[:120]
        raise CheckpointError(
            f"{path}: cannot be read as safetensors ({reason}); is it cut off? Export it again."
        ) from None
    return {"state_dict": state, "hyper_parameters": card}


def require_safetensors(path: Path) -> Any:
    """The package, imported; a ConfigError if it is not installed."""
    try:
        import safetensors.torch
    except ImportError:
        raise ConfigError(
            f"{path}: safetensors files need safetensors; install it with pip install 'facesegl[export]'."
        ) from None
    return safetensors
