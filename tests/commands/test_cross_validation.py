"""`facesegl train data.fold=all`: one run per fold, and one score over all training photos."""

import json
import signal
import statistics
import time
from pathlib import Path

import numpy as np
import pytest

from facesegl.evaluation.counts_file import read_counts
from helpers.calling import SMALL_UNET, assert_reported, call, start, succeed
from helpers.records import record_of

QUICK = ["train", *SMALL_UNET, "logger=none"]


def sweep_folder():
    (folder,) = Path("runs/fasseg_v2-unet").iterdir()
    return folder


def miou_of_all(runs):
    """The mIoU over all photos of runs, from their confusion counts."""
    total = sum(read_counts(run).counts.sum(axis=0) for run in runs)
    union = total.sum(axis=0) + total.sum(axis=1) - total.diagonal()
    return np.mean([total[i, i] / union[i] for i in range(len(total)) if union[i]])


def cells(text, first):
    """The words of the lines of a table from its title on, that end at the first blank line."""
    lines = text.partition(first)[2].splitlines()[1:]
    return [line.split() for line in lines[: lines.index("")]]


def test_all_folds_are_trained_and_scored_as_one_over_all_training_photos(fasseg):
    ended = succeed(*QUICK, "data.fold=all", "data.folds=2")
    folder = sweep_folder()
    jobs = [record_of(folder / job) for job in "01"]
    assert [job["config"]["data"]["fold"] for job in jobs] == [0, 1]
    assert [job["data"]["photos"]["val"] for job in jobs] == [3, 3]
    assert json.loads((folder / "sweep.json").read_text())["overrides"][-2:] == ["data.fold=all", "data.folds=2"]
    expected = f"{miou_of_all([folder / job for job in '01']):.3f}"
    assert ["mIoU", expected] in [row[:2] for row in cells(ended.out, "Scores on held-out training photos of")]
    assert f"mIoU {expected}, 95 % interval 0." in ended.out
    assert "cross-validated over 6 photos; folds: 2 of 2" in " ".join(ended.out.split())
    assert "No test photo was scored." in ended.out
    (final,) = (line for line in ended.out.splitlines() if line.startswith("facesegl train "))
    assert (final.split()[-2:], "data.fold=0" in final) == (["data.folds=2", "data.fold=null"], False)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["data.fold=al"], "data.fold: 'al' is not a whole number; did you mean data.fold=all?"),
        (["data.fold=all", "data.folds=2,3"], "the jobs differ in data.folds (2, 3); expected one number of folds"),
        (["data.fold=all", "data.folds=x"], "data.folds: 'x' is not a whole number"),
        (["data.fold=all", "data.folds=1"], "data.folds=1: expected 2 or more"),
        (["-m", "data.fold=0,all"], "data.fold=all is for facesegl train alone, one run per fold, without other val"),
        (["data.fold=all", "paths.run=mine"], "paths.run=mine: a sweep has many runs"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_has_no_folds_is_refused_before_a_run(fasseg, words, expected):
    assert_reported(call(*QUICK, *words), 2, expected)
    assert not Path("runs").exists()


@pytest.mark.parametrize("command", [["evaluate", "facesegl:faces"], ["data", "check"]])
def test_only_train_takes_all_folds(fasseg, command):
    assert_reported(call(*command, "data=fasseg_v2", "data.fold=all"), 2, "data.fold=all is for facesegl train alone")


def test_more_folds_than_persons_are_refused_once(fasseg):
    ended = call(*QUICK, "data.fold=all", "data.folds=7")
    assert_reported(ended, 3, "data.folds=7: the training photos are of 6 persons or groups")
    assert not Path("runs").exists()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_killed_sweep_of_rates_seeds_and_folds_continues_and_its_table_has_a_row_for_each_rate(fasseg):
    command = [*QUICK, "data.fold=all", "optimizer.lr=1e-2,3e-3", "seed=0,1,2"]
    killed = start(*command)
    while not list(Path().glob("runs/*/*/7/result.json")):
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    folder = sweep_folder()
    before = {run: (run / "checkpoints" / "last.ckpt").stat().st_mtime_ns for run in map(folder.joinpath, "0123456")}

    ended = succeed(*command, "resume=auto")
    assert f"resuming {folder}: 7 of 30 jobs are done" in ended.err
    assert {run: (run / "checkpoints" / "last.ckpt").stat().st_mtime_ns for run in before} == before
    jobs = {run: record_of(run) for run in folder.iterdir() if run.name.isdecimal()}
    assert (len(jobs), {job["state"] for job in jobs.values()}) == (30, {"done"})
    of_config = {}
    for run, job in jobs.items():
        config = job["config"]
        of_config.setdefault((config["optimizer"]["lr"], config["seed"]), []).append(run)
    pooled = {key: miou_of_all(runs) for key, runs in of_config.items()}
    rows = cells(ended.out, "Cross-validated over 6 photos, over the seeds")
    expected = {
        rate: [pooled[rate, seed] for seed in (0, 1, 2)] for rate in sorted({rate for rate, _ in pooled}, reverse=True)
    }
    texts = {
        rate: f"{statistics.mean(of):.3f} ± {statistics.stdev(of):.3f} (3 x 5 folds)" for rate, of in expected.items()
    }
    found = {float(row[0]): " ".join(row[1:]) for row in rows[2:]}
    assert found == texts
    compact = cells(ended.out, f"Sweep {folder.name}, cross-validated over 6 photos")[2:]
    assert len(compact) == 6
    assert [row[0] for row in sorted(compact)] == ["0-4", "10-14", "15-19", "20-24", "25-29", "5-9"]
    assert all(" ".join(row[3:6]) == "5 of 5" for row in compact)
