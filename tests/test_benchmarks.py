"""The benchmarks run; what they measure is for people to read, never for a test to judge."""

import runpy
import sys
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.name)
def test_a_benchmark_runs(fasseg, monkeypatch, capsys, path):
    small = ["data=fasseg_v2", "data.image_size=16", "data.batch_size=2", "callbacks.panels=null"]
    monkeypatch.setattr(sys, "argv", [path.name, "--rounds", "1", "--epochs", "1", *small])
    runpy.run_path(str(path), run_name="__main__")
    assert "ratio" in capsys.readouterr().out
