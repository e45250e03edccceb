import numpy as np
import pytest
import torch

from helpers.modules import make_card, make_module


@pytest.fixture
def photos():
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 3, 16, 20), dtype=np.uint8))


@pytest.fixture
def saved(tmp_path):
    """A checkpoint of an untrained net, as Lightning writes it; returns how to write one with another card."""

    def save(name="last.ckpt", state=None, **card):
        state = make_module().state_dict() if state is None else state
        torch.save({"state_dict": state, "hyper_parameters": make_card(**card)}, tmp_path / name)
        return tmp_path / name

    return save
