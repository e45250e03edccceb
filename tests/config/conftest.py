"""A small conf/ tree with classes of torch, Lightning and a test module."""

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from facesegl.config import compose as composing

FILES = {
    "train.yaml": """
        defaults: [data: faces, model: unet, optimizer: adamw, trainer: cpu, experiment: null, _self_]
        name: small
        seed: 0
        resume: null
        init: null
        trust: []
        paths: {data: data, runs: runs, cache: cache}
        loss: {_target_: torch.nn.CrossEntropyLoss}
        callbacks:
          early_stopping: {_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val/miou, patience: 3}
          progress: {_target_: pytorch_lightning.callbacks.RichProgressBar}
        logger: {}
    """,
    "evaluate.yaml": """
        {name: scored, set: test, seed: 0, panels: 0, tta: false, device: cpu, trust: [], data: null,
         paths: {data: data, runs: runs, cache: cache}}
    """,
    "data/faces.yaml": """
        defaults: [taxonomy: six]
        _target_: small_parts.Faces
        root: ${paths.data}/faces
        image_size: 32
    """,
    "data/taxonomy/six.yaml": "names: [background, skin]",
    "data/taxonomy/two.yaml": "names: [background, face]",
    "model/unet.yaml": "{_target_: small_parts.Net, channels: [8, 16], act: relu}",
    "model/fcn.yaml": "{_target_: small_parts.OpenNet, channels: [4]}",
    "optimizer/adamw.yaml": "{_target_: torch.optim.AdamW, _partial_: true, lr: 1e-2, betas: [0.9, 0.999]}",
    "optimizer/sgd.yaml": "{_target_: torch.optim.SGD, _partial_: true, lr: 0.1}",
    "trainer/cpu.yaml": "{_target_: pytorch_lightning.Trainer, accelerator: cpu, max_epochs: 2, precision: 32-true}",
    "experiment/fast.yaml": "# @package _global_\ntrainer: {max_epochs: 1}",
    "sweep/seeds.yaml": "# @package _global_\nhydra: {sweeper: {params: {seed: '1,2,3'}}}",
}

PARTS = """
    from __future__ import annotations
    from typing import TYPE_CHECKING, Annotated, Any, Literal
    import torch
    from pydantic import Field
    from facesegl.errors import DataError
    if TYPE_CHECKING:
        from nowhere import Unknown

    class Net(torch.nn.Module):
        def __init__(self, channels: list[int], act: Literal["relu", "gelu"], num_classes: int,
                     dropout: Annotated[float, Field(ge=0, lt=1)] | None = None, side: Unknown = None) -> None:
            super().__init__()
            self.channels, self.act, self.num_classes, self.dropout = channels, act, num_classes, dropout

    class OpenNet(torch.nn.Module):
        def __init__(self, channels: list[int], num_classes: int, **kwargs: Any) -> None:
            super().__init__()
            self.kwargs = kwargs

    class Handing(Net):
        def __init__(self, extra: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)

    class Faces:
        def __init__(self, root: str, image_size: int, taxonomy: dict[str, Any], augment: Any = None,
                     fold: int | None = None) -> None:
            if image_size % 2:
                raise ValueError("image_size is odd")
            if image_size == 0:
                raise DataError("no pixels")
            self.root, self.taxonomy, self.augment = root, taxonomy, augment

    class Holder:
        def __init__(self, net: torch.nn.Module, spare: Net | None = None) -> None:
            self.net, self.spare = net, spare

    def holder(net: torch.nn.Module) -> torch.nn.Module:
        return torch.nn.Sequential(net)

    def broken() -> None:
        raise RuntimeError("a bug")
"""


def write_tree(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).strip() + "\n")
    return folder


@pytest.fixture(scope="session")
def small_conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("small") / "conf", FILES)


@pytest.fixture(scope="session", autouse=True)
def _importable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = write_tree(tmp_path_factory.mktemp("parts"), {"small_parts.py": PARTS})
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))
    sys.modules.pop("small_parts", None)


@pytest.fixture(autouse=True)
def _composed_from_it(monkeypatch: pytest.MonkeyPatch, small_conf: Path) -> None:
    monkeypatch.setattr(composing, "conf_dir", lambda: small_conf)


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that pretends that the machine has these devices."""

    def have(cuda: bool = False, mps: bool = False, **cpu: bool) -> None:
        monkeypatch.setattr("torch.cuda.is_available", lambda: cuda)
        monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda **_: cuda)
        monkeypatch.setattr("torch.backends.mps.is_available", lambda: mps)
        monkeypatch.setattr("torch.cpu.get_capabilities", lambda: cpu)

    return have
