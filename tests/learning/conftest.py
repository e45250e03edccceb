import sys

import numpy as np
import pytest
import torch

from helpers.modules import make_card, make_module

STRANGER = """
from pathlib import Path
import torch
from facesegl.nets import UNet
Path(__file__).with_suffix(".ran").touch()

class Net(UNet):
    def __init__(self, text="", **parameters):
        super().__init__(**parameters)
        self.text = text

class Plain:
    pass
"""


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """Another package, `stranger.nets`; returns the file that exists once it was imported."""
    package = tmp_path / "stranger"
    package.mkdir()
    (package / "__init__.py").write_text("import os\n")
    (package / "nets.py").write_text(STRANGER)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield package / "nets.ran"
    for name in [name for name in sys.modules if name.partition(".")[0] == "stranger"]:
        del sys.modules[name]


@pytest.fixture
def photos():
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 3, 16, 20), dtype=np.uint8))


@pytest.fixture
def saved(tmp_path):
    """A function that writes a checkpoint of an untrained net, as Lightning does, with changes to its card."""

    def save(name="last.ckpt", state=None, **card):
        state = make_module().state_dict() if state is None else state
        torch.save({"state_dict": state, "hyper_parameters": make_card(**card)}, tmp_path / name)
        return tmp_path / name

    return save
