"""The keys at the root of a config have a signature, as every node has: the fields of these classes.

`None` means "not there". Defaults stand in `conf/`.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, NewType

from annotated_types import Ge, Lt, MinLen

Seed = Annotated[int, Ge(0), Lt(2**32)]
Place = Annotated[str, MinLen(1)]

Node = NewType("Node", dict[str, Any])
"""A mapping with a `_target_`."""

Nodes = NewType("Nodes", dict[str, Any])
"""Nodes by name; null switches one off."""


@dataclass(frozen=True)
class Paths:
    """Where things lie; relative paths start where the command does.

    Attributes:
        data: holds the data sets; None for where the run around a checkpoint had them.
        runs: takes the run folders.
        cache: takes the packed data.
        run: the folder of this run; None for a new one below `runs`, by date and time.
    """

    data: Place | None
    runs: Place
    cache: Place
    run: Place | None = None


@dataclass(frozen=True)
class TrainKeys:
    """The root of `conf/train.yaml`."""

    name: str
    seed: Seed
    trust: list[str]
    paths: Paths
    data: Node
    model: Node
    loss: Node
    optimizer: Node
    trainer: Node
    schedule: Node | None = None
    augment: Node | None = None
    callbacks: Nodes | None = None
    logger: Nodes | None = None
    resume: str | None = None
    init: str | None = None
    choices: dict[str, Any] | None = None


@dataclass(frozen=True)
class EvaluateKeys:
    """The root of `conf/evaluate.yaml`; without `data`, the checkpoint's own are taken."""

    name: str
    seed: Seed
    panels: Annotated[int, Ge(0)]
    tta: bool
    set: Literal["train", "val", "test", "test_clean", "test_strict"]
    device: str
    trust: list[str]
    paths: Paths
    data: Node | None = None
    choices: dict[str, Any] | None = None
