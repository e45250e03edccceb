"""Several checkpoints as one model, to be exported as one graph."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facesegl.card import Card
from facesegl.errors import ConfigError
from facesegl.learning.checkpoint import load_net
from facesegl.learning.normalized_net import EnsembleNet, NormalizedNet
from facesegl.prediction.checkpoint_model import CheckpointModel
from facesegl.pretrained import on_disk
from facesegl.runs.result import read_record

_FOLDS = ("fold", "folds", "fold_seed")


class EnsembleModel(CheckpointModel):
    """A `Model` of several checkpoints, on the CPU; its logits are (B, members, C, H, W).

    Args:
        name: the name of the ensemble.
        files: checkpoints, or weights with a card.
        trust: packages other than facesegl whose classes a card may name.

    Raises:
        CheckpointError: a file is not a checkpoint, or names an untrusted class.
        ConfigError: members of different classes, image sizes or training data.
    """

    net: EnsembleNet

    def __init__(self, name: str, files: Sequence[Path], trust: Sequence[str] = ()) -> None:
        nets = [load_net(file, "cpu", trust) for file in files]
        _require_alike(files, nets)
        self.name = name
        self.net = EnsembleNet(nets, _make_card(files, [net.card for net in nets]))
        self.card, self.taxonomy, self.image_size = dict(self.net.card), self.net.taxonomy, self.net.image_size


def require_one_net(model: EnsembleModel) -> None:
    """Refuse an ensemble of different nets.

    Raises:
        ConfigError: its members have different nets.
    """
    members: list[Any] = [*model.net.net]
    nets = [member.card["net"] for member in members]
    if any(net != nets[0] for net in nets):
        raise ConfigError(f"--int8: {model.name} has different nets; expected several models of one net.")


def _require_alike(files: Sequence[Path], nets: Sequence[NormalizedNet]) -> None:
    problems = []
    for what, facts in {
        "classes": [", ".join(net.taxonomy.names) for net in nets],
        "image size": [str(net.image_size) for net in nets],
        "training data": [f"{net.card['data']['name']} {net.card['data'].get('fingerprint')}" for net in nets],
    }.items():
        problems += [
            f"{file}: {what} {fact}, and {files[0]} {facts[0]}; one graph of several models needs the same classes, "
            f"image size and training data."
            for file, fact in zip(files, facts, strict=True)
            if fact != facts[0]
        ]
    if problems:
        raise ConfigError(*problems)


def _make_card(files: Sequence[Path], cards: Sequence[Card]) -> Card:
    """The card of the first member, with a list of all `members`, and without the scores of one."""
    card = {name: value for name, value in cards[0].items() if name not in ("scores", "unlike_below")}
    values = dict(card["data"]["values"])
    if any(each["data"]["values"].get(name) != values.get(name) for each in cards for name in _FOLDS):
        values["fold"] = None  # a photo that one member holds out, another was trained on
    card |= {
        "data": {**card["data"], "values": values},
        "members": [_member(file, each) for file, each in zip(files, cards, strict=True)],
        "parameters": sum(each.get("parameters", 0) for each in cards),
    }
    thresholds = [each["unlike_below"] for each in cards if "unlike_below" in each]
    if len(thresholds) == len(cards):
        card["unlike_below"] = sum(thresholds) / len(thresholds)  # as in Predictor
    return card


def _member(file: Path, card: Card) -> Mapping[str, Any]:
    run = file.parent.parent
    with on_disk(file).open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return {
        "file": f"{run.name}/{file.parent.name}/{file.name}",
        "sha256": digest,
        "overrides": [str(text)[:200] for text in (read_record(run / "job.json") or {}).get("overrides", [])],
        "fold": card["data"]["values"].get("fold"),
        "normalisation": card["normalisation"],
    }
