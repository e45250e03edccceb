"""The benchmarks run; what they measure is for people to read, never for a test to judge."""

import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SMALL = ["data=fasseg_v2", "data.image_size=16", "data.batch_size=2", "callbacks.panels=null"]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        pytest.param("training.py", ["--rounds", "1", "--epochs", "1", *SMALL], marks=pytest.mark.slow),
        ("cache.py", ["--rounds", "1", "--faces", "1", "--size", "16"]),
    ],
)
def test_a_benchmark_runs(fasseg, monkeypatch, capsys, name, arguments):
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(BENCHMARKS / name), run_name="__main__")
    assert "ratio" in capsys.readouterr().out


def test_the_sheet_of_synthetic_faces_is_drawn(monkeypatch, tmp_path):
    small = ["--rows", "1", "--columns", "2", "--height", "20", "-o", str(tmp_path / "sheet.jpg")]
    monkeypatch.setattr(sys, "argv", ["contact_sheet.py", *small])
    runpy.run_path(str(BENCHMARKS / "contact_sheet.py"), run_name="__main__")
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.size == (32, 20)
