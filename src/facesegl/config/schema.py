"""The signatures of the keys at the root of a config: the fields of these classes.

`None` means absent. Default values are in `conf/`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType

from annotated_types import Ge, Lt, MinLen

Seed = Annotated[int, Ge(0), Lt(2**32)]
PathText = Annotated[str, MinLen(1)]

SETS = {
    "train": "the training photos",
    "val": "the photos held out for validation",
    "test": "the test photos",
    "test_clean": "the test photos that are not identical to a training photo",
    "test_strict": "the test photos of persons who are not in the training photos, as far as is known",
}
"""The sets that can be scored, with a description."""

if TYPE_CHECKING:
    SetName = str
else:
    SetName = Literal[tuple(SETS)]

Node = NewType("Node", dict[str, Any])
"""A mapping with a `_target_`."""

Nodes = NewType("Nodes", dict[str, Any])
"""Nodes by name; null switches one off."""


@dataclass(frozen=True)
class Paths:
    """Folders; relative paths start from the working directory.

    Attributes:
        data: the data sets; None for those of a checkpoint's run.
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
    """The root of `conf/evaluate.yaml`; without `data`, the data of the checkpoint are used."""

    name: str
    seed: Seed
    panels: Annotated[int, Ge(0)]
    tta: bool
    set: SetName
    device: str
    trust: list[str]
    paths: Paths
    data: Node | None = None
    choices: dict[str, Any] | None = None
