"""The signatures of the keys at the root of a config: the fields of these classes.

`None` means "not there". Default values are in `conf/`.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, NewType

from annotated_types import Ge, Lt, MinLen

Seed = Annotated[int, Ge(0), Lt(2**32)]
PathText = Annotated[str, MinLen(1)]

Node = NewType("Node", dict[str, Any])  # a mapping with a `_target_`
Nodes = NewType("Nodes", dict[str, Any])  # nodes by name; null turns one off


@dataclass(frozen=True)
class Paths:
    """Folders; relative paths start from the working directory.

    Attributes:
        data: the data sets; None for those of the run around a checkpoint.
        runs: the run folders.
        cache: the packed data.
        run: the folder of this run; None for a new one in `runs`, named by date and time.
    """

    data: PathText | None
    runs: PathText
    cache: PathText
    run: PathText | None = None


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
    """The root of `conf/evaluate.yaml`; without `data`, those of the checkpoint are used."""

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
