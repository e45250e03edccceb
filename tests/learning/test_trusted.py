import os
import sys
from pathlib import Path

import pytest
import torch

from facesegl.errors import CheckpointError
from facesegl.learning.trusted import build_trusted
from helpers.modules import NET

SIZES = {name: value for name, value in NET.items() if name != "_target_"}


def build(target, trust=(), **parameters):
    return build_trusted({"_target_": target, **parameters}, base=torch.nn.Module, trust=trust)


def test_a_class_of_a_trusted_package_is_built_and_interpolations_stay_text(stranger):
    assert build("stranger.nets.Net", trust=["stranger"], text="${oc.env:HOME}", **SIZES).text == "${oc.env:HOME}"


@pytest.mark.parametrize(
    "target",
    [
        *(
            "facesegl.config.os.makedirs",
            "facesegl.files.os.system",
            "facesegl.files.os.makedirs",
            "facesegl.files.Path",
        ),
        *("facesegl.learning.trusted.importlib.import_module", "facesegl.config.build_trusted", "facesegl..nets"),
        *("facesegl.errors.ConfigError", "facesegl.__main__.main", "facesegl.config.stranger.nets.Net"),
        *("facesegl.", "facesegl", None, 3, ["facesegl"]),
    ],
)
def test_nothing_but_a_class_of_facesegl_is_built_and_the_right_prefix_is_not_enough(stranger, target, monkeypatch):
    for name in ("system", "makedirs"):
        monkeypatch.setattr(os, name, lambda *_: pytest.fail("ran"))
    before = set(sys.modules)
    with pytest.raises(CheckpointError):
        build(target)
    assert {name for name in set(sys.modules) - before if not name.startswith("facesegl")} == set()
    assert not stranger.exists()


@pytest.mark.parametrize("target", ["stranger.os.system", "stranger.nets.torch.nn.Linear", "stranger.nets.Plain"])
def test_what_a_trusted_package_imports_is_not_trusted(stranger, target):
    with pytest.raises(CheckpointError, match="not a Module that facesegl or stranger defines"):
        build(target, trust=["stranger"])


@pytest.mark.parametrize("trust", [[], ["strange", ""]])
def test_an_untrusted_package_is_refused_and_not_imported(stranger, trust):
    with pytest.raises(CheckpointError, match=r"allow it with trust=\[stranger\]"):
        build("stranger.nets.Net", trust=trust, **SIZES)
    assert not stranger.exists()
    assert "stranger" not in sys.modules


@pytest.mark.parametrize(
    "parameters",
    [
        *({"width": value} for value in ({"_target_": "os.system", "command": "x"}, [{"_target_": "os.system"}])),
        *({"width": value} for value in (torch.zeros(1), Path("x"), (1, 2))),
        {"_partial_": True},
        {"_args_": [1]},
    ],
)
def test_a_card_with_more_than_builtin_values_is_refused(stranger, parameters):
    with pytest.raises(CheckpointError, match="one _target_ and builtin values"):
        build("stranger.nets.Net", trust=["stranger"], **parameters)
    assert not stranger.exists()


@pytest.mark.parametrize("parameters", [{}, {**SIZES, "width": 2}, {**SIZES, "channels": 0}])
def test_wrong_parameters_are_reported(stranger, parameters):
    with pytest.raises(CheckpointError, match="cannot be built from the checkpoint's parameters"):
        build("stranger.nets.Net", trust=["stranger"], **parameters)


def test_a_trusted_package_that_is_not_installed_is_reported():
    with pytest.raises(CheckpointError, match=r"not_here\.nets does not import"):
        build("not_here.nets.Net", trust=["not_here"])
