"""Curves as loggers write them, also those of runs that were killed and resumed."""

import math

import pytest
from torch.utils.tensorboard import SummaryWriter

from facesegl.reporting.history import read_history


def log(folder, *epochs, steps=5, suffix=""):
    """Event files as Lightning writes them: each value with the epoch at the same step."""
    with SummaryWriter(str(folder / "tensorboard"), filename_suffix=suffix) as writer:
        for epoch, loss in epochs:
            writer.add_scalar("train/loss", loss, steps * (epoch + 1) - 1)
            writer.add_scalar("epoch", epoch, steps * (epoch + 1) - 1)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([[(0, 3.0), (1, 2.0)]], ([1, 2], [3.0, 2.0])),
        ([[(0, 3.0), (1, 2.0), (2, 9.0)], [(2, 1.5), (3, 1.0)]], ([1, 2, 3, 4], [3.0, 2.0, 1.5, 1.0])),
        ([[(0, 3.0), (1, math.nan), (2, math.inf)]], ([1], [3.0])),
    ],
    ids=["epochs from one", "the later value of a repeated epoch", "finite values alone"],
)
def test_events_become_a_curve(tmp_path, files, expected):
    for number, epochs in enumerate(files):
        log(tmp_path, *epochs, suffix=f".{number}")
    assert read_history(tmp_path)["train/loss"] == expected


@pytest.mark.parametrize("kept", [0.6, 0.0])
def test_the_whole_part_of_a_truncated_file_is_read(tmp_path, kept):
    log(tmp_path, *((epoch, 3.0 - epoch / 10) for epoch in range(20)))
    (file,) = (tmp_path / "tensorboard").iterdir()
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * kept)])
    found = read_history(tmp_path).get("train/loss")
    assert (found is None) == (kept == 0)
    if found:
        assert found.epochs == list(range(1, len(found.epochs) + 1))
        assert 5 < len(found.epochs) < 20


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "epoch,step,train/loss,val/loss\n0,4,,2.5\n0,4,3.0,\n1,9,,2.0\n1,9,2.0,\n",
            {"train/loss": ([1, 2], [3.0, 2.0]), "val/loss": ([1, 2], [2.5, 2.0])},
        ),
        ("epoch,step,train/loss\n0,4,3.0\nx,9,2.0\n2,14,nan\n3,19,1.0,7,8\n4", {"train/loss": ([1, 4], [3.0, 1.0])}),
    ],
    ids=["whole", "damaged"],
)
def test_the_valid_rows_of_the_csv_logger_are_read(tmp_path, text, expected):
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "metrics.csv").write_text(text)
    assert read_history(tmp_path) == expected


def test_without_a_logger_there_are_no_curves(tmp_path):
    assert read_history(tmp_path) == {}
