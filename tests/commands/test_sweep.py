import json
import signal
import statistics
import sys
from pathlib import Path

import pytest

from facesegl import cli
from helpers.calling import call
from helpers.trainings import SMALL_UNET, disturbed


def sweep(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["facesegl", "train", "-m", *SMALL_UNET, "trainer.max_epochs=1", *arguments])
    return cli.main()


def test_each_job_has_its_own_folder_and_the_best_comes_first(fasseg, monkeypatch, capsys, tmp_path):
    assert sweep(monkeypatch, "seed=0,1") == 0
    (folder,) = (tmp_path / "runs" / "fasseg_v2-unet").iterdir()
    jobs = [json.loads((folder / job / "result.json").read_text()) for job in ("0", "1")]
    assert [job["config"]["seed"] for job in jobs] == [0, 1]
    assert all(job["state"] == "done" for job in jobs)
    assert jobs[0]["command"].startswith("facesegl train ")
    assert "-m" not in jobs[0]["command"].split()
    best, *_ = sorted(jobs, key=lambda job: -job["scores"]["val"]["scores"]["miou"])
    out = capsys.readouterr().out
    rows = [line for line in out.splitlines() if "done" in line]
    assert f"seed={best['config']['seed']}" in rows[0]
    assert f"best:        {Path(best['folder']).relative_to(tmp_path)}/checkpoints/last.ckpt" in out


def test_seeds_of_one_configuration_are_folded_into_mean_and_spread(fasseg, monkeypatch, capsys, tmp_path):
    assert sweep(monkeypatch, "seed=0,1", "optimizer.lr=0.01,0.002") == 0
    rows = capsys.readouterr().out.partition("Over the seeds")[2].splitlines()
    (folder,) = (tmp_path / "runs" / "fasseg_v2-unet").iterdir()
    jobs = [json.loads((folder / job / "result.json").read_text()) for job in "0123"]
    for rate in (0.01, 0.002):
        of_rate = [job for job in jobs if job["config"]["optimizer"]["lr"] == rate]
        scores = [job["scores"]["val"]["scores"]["miou"] for job in of_rate]
        expected = f"{statistics.mean(scores):.3f} ± {statistics.stdev(scores):.3f} (2)"
        assert any(str(rate) in row.split() and expected in row for row in rows), rows


def test_one_seed_alone_has_no_spread(fasseg, monkeypatch, capsys):
    assert sweep(monkeypatch, "optimizer.lr=0.01,0.002") == 0
    assert "Over the seeds" not in capsys.readouterr().out


def test_a_failed_job_is_named_while_the_others_run(fasseg, monkeypatch, capsys, tmp_path):
    code = sweep(monkeypatch, "seed=0,1", "optimizer.lr=1e-2,1e30")
    said = capsys.readouterr()
    assert code == 1
    (folder,) = (tmp_path / "runs" / "fasseg_v2-unet").iterdir()
    states = [json.loads((folder / job / "result.json").read_text())["state"] for job in "0123"]
    assert states == ["done", "failed", "done", "failed"]
    assert "2 of 4 jobs failed" in said.err
    assert "optimizer.lr=1e+30) failed: step 1: the loss is not finite" in said.err
    assert "Traceback" not in said.err
    for job in "02":
        assert set(json.loads((folder / job / "result.json").read_text())["scores"]) == {"val"}


def test_one_wrong_value_among_many_and_nothing_runs(fasseg, monkeypatch, capsys, tmp_path):
    assert sweep(monkeypatch, "optimizer.lr=1e-2,abc", "model.depth=2,x") == 2
    err = capsys.readouterr().err
    assert "optimizer.lr: 'abc' is not a number" in err
    assert "model.depth: 'x' is not a whole number" in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", ["seeds", "lr"])
def test_shipped_sweeps_sweep(fasseg, monkeypatch, tmp_path, name):
    assert sweep(monkeypatch, f"sweep={name}", "logger=none", "trainer.limit_train_batches=1") == 0
    (folder,) = (tmp_path / "runs" / "fasseg_v2-unet").iterdir()
    assert len(list(folder.glob("*/result.json"))) == {"seeds": 3, "lr": 5}[name]


def test_a_stopped_sweep_resumes_in_its_folder_and_repeats_no_finished_job(fasseg, tmp_path):
    command = ["train", "-m", *SMALL_UNET, "trainer.max_epochs=1,3,2", *disturbed(5, signal.SIGTERM)]
    stopped = call(*command)  # in its second job: the first has no fifth step
    assert stopped.code == 143, stopped.err
    (folder,) = (tmp_path / "runs" / "fasseg_v2-unet").iterdir()
    first = (folder / "0" / "checkpoints" / "last.ckpt").stat()
    states = [json.loads((folder / job / "job.json").read_text())["state"] for job in "01"]
    assert (states, (folder / "2").exists()) == (["done", "stopped"], False)

    again = call(*command, "resume=auto")
    assert again.code == 0, again.err
    assert f"{folder.name}: 1 of 3 jobs are done" in again.err
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert (folder / "0" / "checkpoints" / "last.ckpt").stat() == first
    assert [json.loads((folder / job / "result.json").read_text())["state"] for job in "012"] == ["done"] * 3
    assert again.out.count("done") == 3

    new = call(*command, "resume=auto")
    assert new.code == 0, new.err
    assert "no unfinished sweep of these jobs" in new.err
    assert len(list(folder.parent.iterdir())) == 2
