import os
import sys
from pathlib import Path

import pytest
import torch

from facesegl.errors import CheckpointError
from facesegl.learning.trusted import build_trusted

STRANGER = """
from pathlib import Path
import torch
Path(__file__).with_suffix(".ran").touch()

class Net(torch.nn.Module):
    def __init__(self, width, text=""):
        super().__init__()
        if width < 0:
            raise ValueError("width is negative")
        self.width, self.text = width, text

class Plain:
    pass
"""


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A package of someone else, which leaves a file behind when it is imported."""
    package = tmp_path / "stranger"
    package.mkdir()
    (package / "__init__.py").write_text("import os\n")
    (package / "nets.py").write_text(STRANGER)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield package / "nets.ran"
    for name in [name for name in sys.modules if name.partition(".")[0] == "stranger"]:
        del sys.modules[name]


def build(target: object, trust=(), **parameters):
    return build_trusted({"_target_": target, **parameters}, base=torch.nn.Module, trust=trust)


def test_untrusted_package_is_refused_and_not_imported(stranger: Path):
    with pytest.raises(CheckpointError, match=r"allow it with trust=\[stranger\]"):
        build("stranger.nets.Net", width=3)
    assert not stranger.exists()
    assert "stranger" not in sys.modules


def test_trusted_package_is_built(stranger: Path):
    net = build("stranger.nets.Net", trust=["stranger"], width=3, text="${oc.env:HOME}")
    assert (net.width, net.text) == (3, "${oc.env:HOME}")


@pytest.mark.parametrize(
    "target",
    [
        "facesegl.config.os.makedirs",
        "facesegl.files.os.system",
        "facesegl.files.os.makedirs",
        "facesegl.files.Path",
        "facesegl.learning.trusted.importlib.import_module",
        "facesegl.config.build_trusted",
        "facesegl.errors.ConfigError",
        "facesegl.__main__.main",
        "facesegl..nets",
        "facesegl.",
        "facesegl",
        "facesegl.config.stranger.nets.Net",
    ],
)
def test_right_prefix_alone_opens_nothing(stranger: Path, target: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "system", lambda *_: pytest.fail("ran"))
    monkeypatch.setattr(os, "makedirs", lambda *_: pytest.fail("ran"))
    before = set(sys.modules)
    with pytest.raises(CheckpointError):
        build(target)
    assert {name for name in set(sys.modules) - before if not name.startswith("facesegl")} == set()
    assert not stranger.exists()


@pytest.mark.parametrize("target", ["stranger.os.system", "stranger.nets.torch.nn.Linear", "stranger.nets.Plain"])
def test_trusted_packages_imports_are_not_trusted_with_it(stranger: Path, target: str):
    with pytest.raises(CheckpointError, match="not a Module that facesegl or stranger defines"):
        build(target, trust=["stranger"])


def test_prefix_of_a_trusted_name_is_another_package(stranger: Path):
    with pytest.raises(CheckpointError, match=r"trust=\[stranger\]"):
        build("stranger.nets.Net", trust=["strange", ""])
    assert not stranger.exists()


@pytest.mark.parametrize(
    "parameters",
    [
        {"width": {"_target_": "os.system", "command": "x"}},
        {"width": [{"_target_": "os.system"}]},
        {"width": torch.zeros(1)},
        {"width": Path("x")},
        {"width": (1, 2)},
        {"_partial_": True},
        {"_args_": [1]},
    ],
)
def test_card_with_more_than_builtin_values_is_refused(stranger: Path, parameters: dict):
    with pytest.raises(CheckpointError, match="one _target_ and builtin values"):
        build("stranger.nets.Net", trust=["stranger"], **parameters)
    assert not stranger.exists()


@pytest.mark.parametrize("target", [None, 3, ["facesegl"]])
def test_card_without_a_name_is_refused(target: object):
    with pytest.raises(CheckpointError):
        build(target)


@pytest.mark.parametrize("parameters", [{}, {"width": 1, "depth": 2}, {"width": -1}])
def test_parameters_that_do_not_fit_are_the_checkpoints_fault(stranger: Path, parameters: dict):
    with pytest.raises(CheckpointError, match="cannot be built from the checkpoint's parameters"):
        build("stranger.nets.Net", trust=["stranger"], **parameters)


def test_trusted_package_that_is_not_installed_says_so():
    with pytest.raises(CheckpointError, match=r"not_here\.nets does not import"):
        build("not_here.nets.Net", trust=["not_here"])
