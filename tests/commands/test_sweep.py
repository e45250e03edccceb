import json
import shlex
import shutil
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
    assert f"best:        {Path(best['folder']).relative_to(tmp_path)}/checkpoints/last.ckpt  (job " in ended.out


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


def test_the_command_of_a_job_of_a_shipped_sweep_repeats_it_without_m(fasseg):
    _, jobs = sweep("sweep=label_efficiency", "data.photos=1", "seed=1", "logger=none")
    again = succeed(*shlex.split(jobs[0]["command"])[1:], "paths.run=again")
    assert not again.lines("warning")
    assert record_of(Path("again"))["identity"] == jobs[0]["identity"]


def test_a_sweep_without_m_is_refused(fasseg):
    ended = call("train", *SMALL_UNET, "sweep=label_efficiency", "seed=1")
    assert_reported(ended, 2, "sweep=label_efficiency: a sweep over data.photos needs -m")


def test_ctrl_c_before_the_training_starts_stops_a_job(fasseg, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("facesegl.commands.job.train", interrupted)
    ended = call("train", "-m", *SMALL_UNET, "seed=0,1")
    (note,) = Path("runs").glob("*/*/*/job.json")
    assert {"state": "stopped", "exit_code": 130}.items() <= json.loads(note.read_text()).items()
    assert ended.code == 130


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

    finished = succeed(*command, "resume=auto")
    assert f"{folder.name}: 3 of 3 jobs are done" in finished.err
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


QUICK = ["train", "-m", *SMALL_UNET, "trainer.max_epochs=1", "logger=none"]
TWO = ["seed=0,1", "optimizer.lr=1e-2,3e-3"]


def sweeps():
    return sorted(path.parent for path in Path("runs").glob("*/*/sweep.json"))


def modified(folder):
    return {path: path.stat().st_mtime_ns for path in folder.glob("*/checkpoints/last.ckpt")}


def test_a_finished_sweep_is_shown_and_not_trained_again(fasseg):
    first = succeed(*QUICK, *TWO)
    (folder,) = sweeps()
    before = modified(folder)
    again = succeed(*QUICK, *TWO, "resume=auto")
    assert again.out == first.out
    assert f"{folder}: 4 of 4 jobs are done" in again.err
    assert "starts" not in again.err
    assert "training on" not in again.err
    assert (sweeps(), modified(folder)) == ([folder], before)


def test_a_sweep_resumes_the_job_whose_folder_was_deleted_and_one_that_died(fasseg):
    succeed(*QUICK, *TWO)
    (folder,) = sweeps()
    before = modified(folder)
    shutil.rmtree(folder / "1")
    (folder / "3" / "job.json").unlink()
    again = succeed(*QUICK, *TWO, "resume=auto")
    assert f"resuming {folder}: 2 of 4 jobs are done" in again.err
    assert "a new one starts" not in again.err
    assert again.err.count("training on") == 1
    assert again.out.count("done") == 4
    now = modified(folder)
    assert [path.parts[-3] for path in before if now[path] != before[path]] == ["1"]


def test_a_moved_sweep_resumes_by_its_folder(fasseg):
    succeed(*QUICK, "seed=choice(3)")
    Path("elsewhere").mkdir()
    folder = sweeps()[0].rename("elsewhere/mine")
    again = succeed(*QUICK, "seed=choice(3)", f"resume={folder}")
    assert f"resuming {folder}: 1 of 1 jobs are done" in again.err
    assert "best:        elsewhere/mine/0/checkpoints/last.ckpt  (job 0" in again.out
    assert not sweeps()
    assert_reported(call(*QUICK, "seed=4,5", f"resume={folder}"), 2, ["other overrides", "'seed=choice(3)'"])
    assert_reported(call(*QUICK, "seed=4,5", "resume=elsewhere"), 2, "resume=elsewhere: not the folder of a sweep")
    assert_reported(
        call(*QUICK[:1], *QUICK[2:], f"resume={folder}"), 4, "It is a sweep: resume it with facesegl train -m"
    )


def test_a_sweep_of_failed_jobs_is_tried_again_in_its_folder(fasseg):
    command = [*QUICK, "data.photos=7,8"]
    for done in (None, "0 of 2"):
        ended = call(*command, "resume=auto")
        assert ended.code == 1
        assert done is None or f"{done} jobs are done" in ended.err
    assert len(sweeps()) == 1


def test_resume_says_which_sweep_it_looked_for(fasseg):
    succeed(*QUICK, "seed=0,1")
    ended = succeed(*QUICK, "seed=0,2", "resume=auto")
    assert "seed=0,2 in runs/fasseg_v2-unet (the newest there, " in ended.err
    assert ", has seed=0,1); a new one starts" in ended.err
    assert len(sweeps()) == 2


def test_a_key_that_is_given_twice_is_swept_over_its_last_values(fasseg):
    ended, jobs = sweep("logger=none", "seed=1", "seed=0,1")
    assert [job["config"]["seed"] for job in jobs] == [0, 1]
    assert [line.split()[1] for line in ended.out.splitlines() if "done" in line].count("seed=1") == 1


def test_a_new_key_can_be_swept_and_forced(fasseg):
    _, jobs = sweep("logger=none", "++trainer.max_steps=1,2", "callbacks.early_stopping=null", "callbacks.best=null")
    assert [job["config"]["trainer"]["max_steps"] for job in jobs] == [1, 2]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["optimizer.lr=1e-2,", "3e-3,", "1e-4"], "write it without spaces: optimizer.lr=1e-2,3e-3,1e-4"),
        (["optimizer.lr=1e-2", ",3e-3"], "write it without spaces: optimizer.lr=1e-2,3e-3"),
        (["optimizer.lr=1e-2,"], "no value after its comma"),
        (["optimizer.lr=interval(1e-3,1e-2)"], ["optimizing sweeper", "as in optimizer.lr=0.001,0.01"]),
        (["seed=[0,1]"], "seed: [0, 1] is not a whole number; a sweep has its values without brackets: seed=0,1"),
        (["hydra/launcher=ray"], ["hydra/launcher=ray: none of that name is installed", "basic, joblib", "plugins"]),
        (["hydra/sweeper=optuna"], "hydra/sweeper=optuna: none of that name is installed; there are: basic"),
        (["hydra.sweep.dir=mine"], "facesegl chooses the folder"),
        (["hydra.sweeper.max_batch_size=0"], "Hydra refuses this sweep"),
        (["++hydra.sweeper.params.seed=0"], "hydra.sweeper.params"),
        (["--cfg", "hydra"], "--multirun and --cfg: expected one of them"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_hydra_cannot_sweep_is_one_line(fasseg, words, expected):
    assert_reported(call(*QUICK, *words), 2, expected)
