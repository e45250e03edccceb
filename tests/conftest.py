import os
from pathlib import Path

import pytest
import torch

from helpers.faces import write_faces

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    """Every test has its own folder and cache, and nothing of the user's environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FACESEGL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FACESEGL_DATA", raising=False)


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """The machine's cores belong to the test processes, and sums come out the same."""
    torch.set_num_threads(1)


@pytest.fixture
def all_threads():
    """For the trainings that take minutes: as many threads as there are cores."""
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(1)


@pytest.fixture
def fasseg(tmp_path):
    """`data/fasseg/V2` with six training and three test photos; returns V2's folder."""
    return write_faces(tmp_path / "data" / "fasseg" / "V2")


@pytest.fixture(scope="session")
def real_fasseg():
    """The real photos, where `data/fasseg` has them."""
    root = Path(os.environ.get("FACESEGL_DATA", REPOSITORY / "data")) / "fasseg"
    if not (root / "V2").is_dir():
        pytest.skip(f"the real photos are not in {root}; README.md says how to get them")
    return root
