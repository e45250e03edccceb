"""What a name that is no key may mean."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

from facesegl.text import nearest

MEANT = {
    "arch": "model",
    "batch": "data.batch_size",
    "classes": "data.taxonomy",
    "dataset": "data",
    "device": "trainer.accelerator",
    "epoch": "trainer.max_epochs",
    "gpu": "trainer=gpu",
    "gpus": "trainer=gpu trainer.devices",
    "images": "data=folder data.source.images",
    "imgsz": "data.image_size",
    "labels": "data=folder data.source.masks",
    "learning_rate": "optimizer.lr",
    "masks": "data=folder data.source.masks",
    "net": "model",
    "num_workers": "data.workers",
    "output": "paths.run",
    "photos": "data=folder data.source.images",
    "pretrained": "init",
    "size": "data.image_size",
    "steps": "trainer.max_steps",
    "weights": "init",
}
"""What other tools call our keys; a name that is similar to a key needs no line here."""


def keys_meant(name: str, config: Mapping[str, Any]) -> list[str]:
    """The keys of a config that a name may mean.

    Args:
        name: not a key at the root.
        config: a composed config in builtin containers.

    Example:
        >>> keys_meant("lr", {"optimizer": {"lr": 0.1}, "data": {"fold": 0}})
        ['optimizer.lr']
        >>> keys_meant("masks", {"choices": {"data": "fasseg_v2"}})
        ['data=folder data.source.masks']
    """
    if meant := MEANT.get(name.casefold()):
        is_folder = (config.get("choices") or {}).get("data") == "folder"
        return [meant.removeprefix("data=folder ") if is_folder else meant]
    groups = {group: node for group, node in config.items() if isinstance(node, dict)}
    right = name if any(name in node for node in groups.values()) else nearest(name, {*chain(*groups.values())})
    return [f"{group}.{right}" for group, node in groups.items() if right in node]
