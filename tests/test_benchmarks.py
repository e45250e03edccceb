"""The benchmarks run; what they measure is for people to read, except that memory must be level."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SMALL = ["data=fasseg_v2", "data.image_size=16", "data.batch_size=2", "callbacks.panels=null"]


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a benchmark in this process, and return what it prints."""

    def run_benchmark(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(BENCHMARKS / name), run_name="__main__")
        return capsys.readouterr().out

    return run_benchmark


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        pytest.param("training.py", ["--rounds", "1", "--epochs", "1", *SMALL], marks=pytest.mark.slow),
        ("cache.py", ["--rounds", "1", "--faces", "1", "--size", "16"]),
    ],
)
def test_a_benchmark_runs(fasseg, run, name, arguments):
    assert "ratio" in run(name, *arguments)


@pytest.mark.slow
def test_planted_errors_are_ranked_by_each_score(run, tmp_path):
    printed = run("suspects.py", "--photos=10", "--errors=4", "--seeds=1", "--json=found.json", "trainer.max_steps=2")
    found = json.loads((tmp_path / "found.json").read_text())
    assert all(1 <= rank <= 10 for (ranks,) in found.values() for of_kind in ranks.values() for rank in of_kind)
    assert printed.startswith("| score | precision at 4 |")
    assert len(printed.splitlines()) == len(found) + 1 == 6


def test_the_tables_of_the_model_card_have_real_and_synthetic_faces(fasseg, run, tmp_path):
    printed = run("pretrained.py", "--faces", "1", "--rows", "32", "--test", "--json", "found.json")
    found = json.loads((tmp_path / "found.json").read_text())
    tables = found["tables"]
    assert [*tables["FASSEG V2"]][:2] == ["train", "test_clean"]
    assert [*tables["By number of faces"]] == ["1", "2", "4"]
    assert all(row["photos"] == 1 for row in tables["By yaw"].values())
    assert f"<!-- test_clean: {tables['FASSEG V2']['test_clean']['miou']:.3f} -->" in printed
    assert f"{found['smallest_face']} of the input's {found['image_size']} rows" in printed
    assert all(f"| {title} | photos | mIoU | background |" in printed for title in tables)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "arguments",
    [
        ["--trials=6", "--seed=1", *(f"--recipe={name}" for name in ("early stopping", "max_steps", "max_time"))],
        ["--each-checkpoint", "--recipe=validates twice an epoch"],
    ],
    ids=["at random", "after each checkpoint"],
)
def test_killed_trainings_end_as_undisturbed_ones(arguments):
    loop = subprocess.run(
        [sys.executable, BENCHMARKS / "kill_loop.py", *arguments], capture_output=True, text=True, check=False
    )
    assert loop.returncode == 0, loop.stdout + loop.stderr
    assert re.search(r"[1-9]\d* kills, 0 failed", loop.stdout)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_memory_is_level_while_synthetic_faces_are_rendered(run, tmp_path):
    size, small = 64, ["--steps=3", "--seeds=1", "model.channels=4"]
    run("synthetic.py", "--faces=400", f"--size={size}", "--json=found.json", *small)
    memory = json.loads((tmp_path / "found.json").read_text())["memory_mib"]
    assert [*memory] == ["start", "40 faces", "100 faces", "200 faces", "400 faces", "3 training steps"]
    leak = 300 * 4 * size**2 / 2**20  # if the cached image and mask of each face stayed in memory
    assert memory["400 faces"]["allocated"] - memory["100 faces"]["allocated"] < leak / 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_memory_and_time_are_measured_over_photos_side_and_width_and_kept(run, tmp_path):
    small = [
        "--photos",
        "10",
        "30",
        "--sides",
        "16",
        "--widths",
        "4",
        "--folder",
        str(tmp_path),
        "--json",
        "found.json",
    ]
    printed = run("scaling.py", *small)
    found = json.loads((tmp_path / "found.json").read_text())
    assert [*found["photos"]] == ["10", "30"]
    assert all(seconds > 0 and memory > 0 for row in found["photos"].values() for seconds, memory in row.values())
    assert re.search(r"exponent +data check +cache +epoch +predict", printed)
    assert run("scaling.py", *small) == printed


def test_the_sheet_of_synthetic_faces_is_drawn(monkeypatch, tmp_path):
    small = ["--rows", "1", "--columns", "2", "--height", "20", "-o", str(tmp_path / "sheet.jpg")]
    monkeypatch.setattr(sys, "argv", ["contact_sheet.py", *small])
    runpy.run_path(str(BENCHMARKS / "contact_sheet.py"), run_name="__main__")
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.size == (32, 20)
