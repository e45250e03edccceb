"""The metadata of an exported graph: the card, and plain keys for other programs."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from facesegl.card import KEY, Card, card_as_text
from facesegl.labels.taxonomy import Taxonomy

if TYPE_CHECKING:
    from onnx import ModelProto

_INPUTS = {
    "logits": "photo: float32 (batch, 3, height, width), R-G-B, 0 to 255, resized to image_size",
    "whole": "photo: uint8 (batch, 3, height, width), R-G-B, at its own size",
}
_OUTPUTS = {
    "logits": "logits: float32 (batch, classes, height, width)",
    "whole": "mask: uint8 (batch, height, width), class indices; logits: float32 (batch, classes, size, size)",
}
_OF_MEMBERS = (
    ", the logarithm of the mean probability; members: float32 (batch, members, classes, height, width), logits"
)


def describe(
    model: "ModelProto", card: Card, *, kind: str, calibrated_on: str | None, versions: Mapping[str, str]
) -> None:
    """Replace the metadata of a graph.

    Args:
        model: the graph.
        card: the card of its weights, saved as JSON under `facesegl`.
        kind: logits or whole.
        calibrated_on: the photos of the int8 calibration; None in float32.
        versions: of the packages that exported it, including facesegl.
    """
    taxonomy = Taxonomy.from_mapping(card["taxonomy"])
    metadata = {
        KEY: card_as_text(card),
        "kind": kind,
        "precision": "int8" if calibrated_on else "float32",
        "input": _INPUTS[kind],
        "output": f"{_OUTPUTS[kind]}{_OF_MEMBERS if 'members' in card else ''}",
        "classes": json.dumps(taxonomy.names, ensure_ascii=False),
        "colours": json.dumps(taxonomy.colours),
        "image_size": str(card["image_size"]),
        "versions": json.dumps(dict(versions)),
        **({"calibrated_on": calibrated_on} if calibrated_on else {}),
    }
    model.producer_name, model.producer_version = "facesegl", versions["facesegl"]
    del model.metadata_props[:]
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
