import json
import signal
import statistics
from pathlib import Path

import pytest

from helpers.calling import assert_reported, call, succeed
from helpers.records import record_of
from helpers.trainings import SMALL_UNET, disturbed


def sweep(*arguments):
    """How a sweep ended, and the records of its jobs."""
    ended = succeed("train", "-m", *SMALL_UNET, "trainer.max_epochs=1", *arguments)
    assert not ended.lines("warning")
    (folder,) = Path("runs/fasseg_v2-unet").iterdir()
    return ended, [record_of(result.parent) for result in sorted(folder.glob("*/result.json"))]


def test_each_job_has_its_own_folder_and_the_best_comes_first(fasseg, tmp_path):
    ended, jobs = sweep("seed=0,1")
    assert [job["config"]["seed"] for job in jobs] == [0, 1]
    assert all(job["state"] == "done" for job in jobs)
    assert jobs[0]["command"].startswith("facesegl train ")
    assert "-m" not in jobs[0]["command"].split()
    best, *_ = sorted(jobs, key=lambda job: -job["scores"]["val"]["scores"]["miou"])
    rows = [line for line in ended.out.splitlines() if "done" in line]
    assert f"seed={best['config']['seed']}" in rows[0]
    assert f"best:        {Path(best['folder']).relative_to(tmp_path)}/checkpoints/last.ckpt" in ended.out


def test_seeds_of_one_configuration_are_folded_into_mean_and_spread(fasseg):
    ended, jobs = sweep("seed=0,1", "optimizer.lr=0.01,0.002")
    rows = ended.out.partition("Over the seeds")[2].splitlines()
    for rate in (0.01, 0.002):
        of_rate = [job for job in jobs if job["config"]["optimizer"]["lr"] == rate]
        scores = [job["scores"]["val"]["scores"]["miou"] for job in of_rate]
        expected = f"{statistics.mean(scores):.3f} ± {statistics.stdev(scores):.3f} (2)"
        assert any(str(rate) in row.split() and expected in row for row in rows), rows


def test_one_seed_alone_has_no_spread(fasseg):
    ended, _ = sweep("optimizer.lr=0.01,0.002")
    assert "Over the seeds" not in ended.out


@pytest.mark.parametrize(("name", "count"), [("seeds", 3), pytest.param("lr", 5, marks=pytest.mark.slow)])
def test_shipped_sweeps_sweep(fasseg, name, count):
    _, jobs = sweep(f"sweep={name}", "logger=none", "trainer.limit_train_batches=1")
    assert len(jobs) == count


def test_label_efficiency_trains_on_a_few_photos_chosen_by_each_seed(fasseg):
    ended, jobs = sweep("sweep=label_efficiency", "data.photos=1,2", "seed=0,1", "logger=none")
    assert [(job["config"]["data"]["photos"], job["config"]["data"]["photos_seed"]) for job in jobs] == [
        *((1, 0), (1, 1), (2, 0), (2, 1))
    ]
    assert [job["data"]["photos"]["train"] for job in jobs] == [1, 1, 2, 2]
    assert all("test_clean" in job["scores"] for job in jobs)
    table = ended.out.partition("Over the seeds")[2]
    assert [line.split()[0] for line in table.splitlines() if "(2)" in line] == ["1", "2"]
    succeed("report", Path(jobs[0]["folder"]).parent)


def test_a_number_of_photos_that_there_are_not_fails_alone(fasseg):
    ended = call("train", "-m", *SMALL_UNET, "sweep=label_efficiency", "data.photos=7,1", "seed=0", "logger=none")
    assert_reported(ended, 1, "job 0", "data.photos=7: there are 6 photos to train on; expected 6 or fewer", "1 of 2")
    (folder,) = Path("runs/fasseg_v2-unet").iterdir()
    assert (folder / "1" / "result.json").is_file()


@pytest.mark.slow
def test_a_stopped_sweep_resumes_in_its_folder_and_repeats_no_finished_job(fasseg, tmp_path):
    command = ["train", "-m", *SMALL_UNET, "trainer.max_epochs=1,3,2", *disturbed(5, signal.SIGTERM)]
    stopped = call(*command)  # in its second job: the first has no fifth step
    assert stopped.code == 143, stopped.err
    (folder,) = (tmp_path / "runs" / "fasseg_v2-unet").iterdir()
    first = (folder / "0" / "checkpoints" / "last.ckpt").stat()
    states = [json.loads((folder / job / "job.json").read_text())["state"] for job in "01"]
    assert (states, (folder / "2").exists()) == (["done", "stopped"], False)

    again = succeed(*command, "resume=auto")
    assert f"{folder.name}: 1 of 3 jobs are done" in again.err
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert (folder / "0" / "checkpoints" / "last.ckpt").stat() == first
    assert [record_of(folder / job)["state"] for job in "012"] == ["done"] * 3
    assert again.out.count("done") == 3

    assert "no unfinished sweep of these jobs" in succeed(*command, "resume=auto").err
    assert len(list(folder.parent.iterdir())) == 2
