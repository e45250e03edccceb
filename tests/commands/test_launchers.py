"""Jobs in processes of their own or of a launcher, and on a cluster: SLURM is a stub (helpers/slurm.py)."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from facesegl.commands.job import run_job, starts_processes
from facesegl.errors import Stopped
from facesegl.provenance import command_line
from facesegl.runs import slurm
from helpers import slurm as stub
from helpers.calling import TESTS, assert_reported, call, run, script, start, succeed, train
from helpers.records import record_of
from helpers.trainings import SMALL_UNET, disturbed

SWEEP = ["train", "-m", *SMALL_UNET, "logger=none"]
TWO_RANKS = ["data.batch_size=1", "trainer=ddp", "trainer.accelerator=cpu"]


def note_of(folder):
    return json.loads((folder / "job.json").read_text())


def sweep_folder():
    (about,) = Path("runs").glob("*/*/sweep.json")
    return about.parent


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """The stub of SLURM, and modules that configs of the tests name."""
    folder = tmp_path / "slurm"
    for name, value in {**stub.install(folder), "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)
    return folder


@pytest.fixture
def slurm_job(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_NTASKS", "1")
    monkeypatch.setenv("SLURM_JOB_NAME", "faces")


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher", [["joblib", "hydra.launcher.n_jobs=2"], ["submitit_local"]], ids=lambda each: each[0]
)
def test_a_launcher_gives_the_table_of_the_basic_one_and_resumes_what_is_missing(fasseg, launcher):
    command = [*SWEEP, "trainer.max_epochs=1", "data.fold=null", "data.photos=7,2"]
    launched = [*command, f"hydra/launcher={launcher[0]}", *launcher[1:]]
    ended = run(*launched)
    assert ended.code == 1, ended.err
    *_, failed, count = ended.lines("error")
    assert failed.startswith("error: job 0 (data.photos=7) failed: data.photos=7: there are 6 photos")
    assert count.startswith("error: 1 of 2 jobs failed; the others are done")
    last = sweep_folder() / "1" / "checkpoints" / "last.ckpt"
    before = last.stat()
    again = run(*launched, "resume=auto")
    assert (again.code, again.out, last.stat()) == (1, ended.out, before)
    basic = call(*command, "name=basic")
    assert table(basic.out) == table(again.out)


def table(out):
    return [line for line in out.splitlines() if "data.photos=" in line]


@pytest.mark.slow
def test_ctrl_c_ends_parallel_jobs_and_they_resume(fasseg):
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    command = [*SWEEP, "trainer.max_epochs=40", "seed=0,1", *launcher]
    sweep = start(*command, start_new_session=True)
    err = interrupted(sweep, os.killpg, signal.SIGINT, saved=2)
    assert sweep.returncode == 130, err
    assert "Traceback" not in err
    assert "job 1: epoch " in err
    wait_for(lambda: not alive(sweep.pid))
    again = run(*command, "resume=auto")
    assert again.code == 0, again.err
    assert again.err.count("from /") == again.out.count("done") == 2


def interrupted(sweep, kill, signum, saved):
    """Send a sweep a signal once so many of its jobs have a checkpoint; returns what it says."""
    try:
        wait_for(lambda: len([*Path("runs").glob("*/*/*/checkpoints/last.ckpt")]) == saved)
        kill(sweep.pid, signum)
        return sweep.communicate(timeout=100)[1]
    finally:
        sweep.kill()


def alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition):
    end = time.monotonic() + 240
    while True:
        try:
            if condition():
                return
        except (OSError, ValueError):
            pass
        assert time.monotonic() < end
        time.sleep(0.2)


@pytest.mark.slow
def test_jobs_on_several_devices_have_processes_of_their_own(fasseg):
    command = [*SWEEP, *TWO_RANKS, "trainer.max_epochs=1", "data.fold=null", "data.photos=7,2"]
    ended = call(*command)
    assert_reported(ended, 1, "job 0: data.photos=7", ["job 0 (data.photos=7) failed", "expected 6 or fewer"], "1 of 2")
    folder = sweep_folder()
    assert note_of(folder / "0")["exit_code"] == 2
    score = record_of(folder / "1")["scores"]["test_clean"]["scores"]["miou"]
    assert note_of(folder / "1")["miou"] == score
    assert ended.out.count("done") == 1


@pytest.mark.slow
def test_ctrl_c_ends_a_sweep_on_several_devices_and_it_resumes(fasseg):
    command = [*SWEEP, *TWO_RANKS, "trainer.max_epochs=40", "seed=0,1", "trainer.limit_train_batches=2"]
    sweep = start(*command)
    err = interrupted(sweep, os.kill, signal.SIGINT, saved=1)
    assert sweep.returncode == 130, err
    assert "Traceback" not in err
    assert err.count("stopped: ") == 1
    folder = sweep_folder()
    note = note_of(folder / "0")
    assert (note["state"], note["exit_code"], (folder / "1").exists()) == ("stopped", 130, False)
    again = run(*command, "resume=auto")
    assert again.code == 0, again.err
    assert "from " in next(
        line for line in again.err.splitlines() if line.startswith(f"resuming {folder.absolute()}/0")
    )
    assert [note_of(folder / job)["state"] for job in "01"] == ["done"] * 2


@pytest.mark.parametrize(
    ("trainer", "several"),
    [
        ({}, False),
        ({"devices": 1, "strategy": "auto"}, False),
        ({"devices": "1"}, False),
        ({"devices": 2}, True),
        ({"devices": "auto"}, True),
        ({"devices": [0]}, True),
        ({"strategy": "ddp"}, True),
        ({"num_nodes": 2}, True),
    ],
)
def test_jobs_that_lightning_may_start_again_are_known_by_their_trainer(trainer, several):
    assert starts_processes(OmegaConf.create({"trainer": trainer})) == several


def job_of(monkeypatch, shell, **how):
    """Run a job whose process is a shell script; returns its note."""
    Path("python").write_text(f"#!/bin/sh\n{shell}\n")
    Path("python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(Path("python").absolute()))
    folder = Path("sweep/0")
    folder.mkdir(parents=True)
    try:
        run_job(folder, [*SMALL_UNET, *TWO_RANKS], [], program="facesegl", **how)
    finally:
        note = note_of(folder)
    return note


@pytest.mark.parametrize(
    ("shell", "code", "message"),
    [
        ("echo 'error: photos are gone' >&2; exit 3", 3, "photos are gone"),
        ("echo 'ValueError: no' >&2; echo 'error: this is a bug of facesegl' >&2; exit 70", 70, "ValueError: no"),
        ("exit 9", 70, "its process ended with exit code 9"),
        ("kill -9 $$", 5, "its process was killed by SIGKILL"),
    ],
)
def test_how_the_process_of_a_job_failed_is_in_its_record(monkeypatch, shell, code, message):
    note = job_of(monkeypatch, shell)
    assert (note["state"], note["exit_code"]) == ("failed", code)
    assert note["messages"][0].startswith(message)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_the_process_of_a_job_and_ends_the_sweep(monkeypatch, signum):
    says = f"""trap 'echo "stopped: after a step" >&2; exit {128 + signum}' INT TERM; kill -{int(signum)} $PPID"""
    with pytest.raises(Stopped, match="after a step") as stopped:
        job_of(monkeypatch, f"{says}; while :; do sleep 0.05; done")
    assert stopped.value.exit_code == 128 + signum
    assert note_of(Path("sweep/0"))["state"] == "stopped"


def test_a_process_that_its_job_left_behind_is_killed(monkeypatch):
    job_of(monkeypatch, "sleep 60 & echo $! > left; exit 9")
    wait_for(lambda: not Path(f"/proc/{Path('left').read_text().strip()}/cmdline").exists())


def test_the_process_of_a_job_records_the_command_of_the_job(monkeypatch):
    job_of(monkeypatch, 'printf %s "$FACESEGL_JOB_COMMAND" > command; exit 9')
    words = Path("command").read_text().split()
    assert words == ["facesegl", "train", *SMALL_UNET, *TWO_RANKS]
    monkeypatch.setenv("FACESEGL_JOB_COMMAND", " ".join(words))
    assert command_line() == " ".join(words)


@pytest.mark.parametrize("signum", [0, signal.SIGTERM])
def test_what_stopped_a_job_reaches_the_process_that_launched_it(signum):
    again = pickle.loads(pickle.dumps(Stopped("after a step", signum)))
    assert (again.problems, again.exit_code) == (("after a step",), 128 + signum if signum else 0)


def test_callbacks_in_code_do_not_reach_other_processes(monkeypatch):
    note = job_of(monkeypatch, "exit 0", callbacks=[object()])
    assert (note["exit_code"], "use one device, or do not prune" in note["messages"][0]) == (2, True)


@pytest.mark.slow
def test_a_sweep_on_slurm_is_requeued_and_continues_in_its_folders(fasseg, cluster):
    command = [*SWEEP, "trainer.max_epochs=1,3", *disturbed(5, signal.SIGUSR2)]  # the second job has a fifth step
    ended = succeed(*command, "hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=120")
    folder = sweep_folder()
    wait_for(lambda: stub.states(cluster) == {"1000_0": ("COMPLETED", 1), "1000_1": ("COMPLETED", 2)})
    assert ended.out.count("done") == 2
    (log,) = folder.glob(".submitit/*_1/*_log.err")
    assert f"job 1: resuming {folder.absolute()}/1 from" in log.read_text()
    straight = call("train", *SMALL_UNET, "logger=none", "paths.run=straight")
    assert straight.code == 0
    assert record_of(folder / "1")["scores"] == record_of(Path("straight"))["scores"]


@pytest.mark.slow
def test_a_job_of_a_sweep_on_slurm_that_is_out_of_time_is_reported(fasseg, cluster):
    command = [*SWEEP, "trainer.max_epochs=3,1", *disturbed(5, signal.SIGUSR2)]
    launcher = ["hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=0"]
    ended = call(*command, *launcher)
    assert_reported(
        ended, 1, ["job 0", "stopped: by SIGUSR2 after a step, with a checkpoint of it"], "1 of 2 jobs failed"
    )
    assert succeed(*command, *launcher, "resume=auto").out.count("done") == 2
    assert [starts for _, starts in stub.states(cluster).values()] == [1] * 4


@pytest.mark.slow
def test_a_batch_script_is_requeued_before_its_time_limit_and_resumes(fasseg, cluster):
    words = ["train", *SMALL_UNET, "paths.run=mine", *disturbed(5, signal.SIGUSR1)]
    Path("job.sh").write_text(f"#!/bin/bash\n#SBATCH --signal=USR1@120\nsrun {script()} {' '.join(words)}\n")
    subprocess.run(["sbatch", "job.sh"], check=True)
    wait_for(lambda: stub.states(cluster)["1000"] == ("COMPLETED", 2))
    log = Path("slurm-1000.out").read_text()
    assert "SLURM job 1000 is requeued" in log
    assert "resuming mine from mine/checkpoints/last.ckpt" in log
    assert record_of(Path("mine"))["state"] == "done"
    assert not [*Path().glob("hpc_ckpt*")]


def test_a_requeued_training_resumes_without_being_asked(fasseg, monkeypatch):
    assert train("paths.run=mine").code == 0
    assert train("paths.run=mine").code == 2
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    again = train("paths.run=mine")
    assert "mine is already done" in again.err


def test_a_slurm_job_of_one_task_is_a_single_run(fasseg, slurm_job):
    assert train().code == 0
    (environment,) = slurm.cluster_environments()
    assert type(environment).__name__ == "LightningEnvironment"


def test_several_tasks_are_ranks_and_lightning_requeues_none(slurm_job, monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "2")
    (environment,) = slurm.cluster_environments()
    assert (type(environment).__name__, environment.auto_requeue) == ("SLURMEnvironment", False)


@pytest.mark.parametrize(("variables", "job"), [({}, "7"), ({"ARRAY_JOB_ID": "5", "ARRAY_TASK_ID": "2"}, "5_2")])
def test_only_the_first_process_requeues_its_job_or_task(cluster, slurm_job, monkeypatch, variables, job):
    for name, value in variables.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert slurm.requeue() == job
    for name, value in {
        "SLURM_PROCID": "1",
        "LOCAL_RANK": "1",
        "SUBMITIT_EXECUTOR": "slurm",
        slurm.JOB_COMMAND: "1",
    }.items():
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert slurm.requeue() == ""


def test_a_job_that_slurm_does_not_requeue_is_an_error_of_the_machine(fasseg, slurm_job, tmp_path, monkeypatch):
    (tmp_path / "scontrol").write_text("#!/bin/sh\necho 'Requested operation is presently disabled' >&2; exit 1\n")
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    ended = train(*disturbed(2, signal.SIGUSR1))
    assert ended.code == 128 + signal.SIGUSR1
    assert "stopped: by SIGUSR1 after a step, with a checkpoint of it" in ended.err
    assert "error: scontrol requeue 7: Requested operation is presently disabled" in ended.err


def test_without_slurm_its_launcher_is_one_line(fasseg, monkeypatch):
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    ended = call(*SWEEP, "seed=0,1", "hydra/launcher=submitit_slurm")
    assert_reported(ended, 5, ["Hydra's launcher cannot run the jobs on this machine", '"srun"'])
