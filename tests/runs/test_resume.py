"""A training that is killed at any moment and resumed ends with the same weights as an undisturbed one."""

import importlib
import json
import signal
import time
from pathlib import Path

import pytest
import torch

from facesegl.errors import Stopped
from facesegl.learning.checkpoint import TRAINED
from facesegl.reporting.history import read_history
from helpers.calling import assert_reported, call, run, runs, start
from helpers.records import record_of
from helpers.trainings import COPIES, SMALL, SMALL_UNET, disturbed

train_module = importlib.import_module("facesegl.commands.train")

RECIPES = {"default": SMALL_UNET, "reference": [*SMALL, "experiment=reference"]}


def weights(folder, name="last.ckpt"):
    return torch.load(folder / "checkpoints" / name, weights_only=True)


def assert_same_end(one, other):
    first, second = weights(one), weights(other)
    for key in ("state_dict", "current_model_state"):
        for name, value in first.get(key, {}).items():
            assert torch.equal(value, second[key][name]), f"{key}: {name}"
    for mine, theirs in zip(first["optimizer_states"], second["optimizer_states"], strict=True):
        for place, state in mine["state"].items():
            assert all(torch.equal(state[name], theirs["state"][place][name]) for name in state)
    assert first["global_step"] == second["global_step"]
    assert first.get(TRAINED) == second.get(TRAINED) is True
    assert read_history(one) == read_history(other)
    assert record_of(one)["scores"] == record_of(other)["scores"]
    assert (one / "checkpoints" / "best.ckpt").exists() == (other / "checkpoints" / "best.ckpt").exists()
    if (one / "checkpoints" / "best.ckpt").exists():
        best, same = (weights(folder, "best.ckpt") for folder in (one, other))
        assert (best["epoch"], best["global_step"]) == (same["epoch"], same["global_step"])
        assert all(torch.equal(value, same["state_dict"][name]) for name, value in best["state_dict"].items())


STOPS_EARLY = ["trainer.max_epochs=12", "callbacks.early_stopping.patience=2", "optimizer.lr=1e-3"]
ONE_BY_ONE = ["data.batch_size=1"]  # four batches in an epoch instead of two
ENDS = {
    "early stopping": STOPS_EARLY,
    "steps within an epoch": ["trainer.max_epochs=9", "+trainer.max_steps=5"],
    "steps at an end of an epoch": ["trainer.max_epochs=-1", "+trainer.max_steps=6"],
    "steps with accumulation": [*ONE_BY_ONE, "+trainer.max_steps=5", "trainer.accumulate_grad_batches=3"],
    "validates twice an epoch": [*ONE_BY_ONE, "trainer.val_check_interval=0.5", "+trainer.max_steps=11"],
    "validates every third batch": [
        *(*ONE_BY_ONE, "trainer.val_check_interval=3", "trainer.check_val_every_n_epoch=null", "+trainer.max_steps=11"),
    ],
    "validates every other epoch": ["trainer.check_val_every_n_epoch=2", *STOPS_EARLY],
    "validates nothing": ["+trainer.limit_val_batches=0", "+trainer.max_steps=5"],
}


@pytest.mark.parametrize("end", ENDS)
def test_a_run_killed_and_copied_after_any_epoch_ends_as_the_undisturbed_run(fasseg, end):
    command = ["train", *SMALL_UNET, *ENDS[end], *COPIES]
    assert call(*command).code == 0
    (whole,) = runs()
    copies = sorted(Path("copies").iterdir())
    assert len(copies) > 1
    for copy in (copies[0], copies[-1]):
        resumed = call(*command, f"resume={copy}")
        assert resumed.code == 0, resumed.err
        assert not resumed.lines("warning"), resumed.err
        assert_same_end(copy, whole)


@pytest.mark.parametrize("step", [2, 3])
def test_sigterm_before_a_validation_within_an_epoch_keeps_it(fasseg, step):
    twice_an_epoch = [*ONE_BY_ONE, "trainer.val_check_interval=0.5", *STOPS_EARLY]
    command = ["train", *SMALL_UNET, *twice_an_epoch, *disturbed(step, signal.SIGTERM)]
    assert_reported(call(*command), 143, "with a checkpoint of it")
    assert call(*command, "resume=auto").code == 0
    assert call(*command).code == 0  # undisturbed
    assert_same_end(*runs())


@pytest.mark.parametrize("steps", [1, 2])
def test_training_may_end_before_the_first_validation_or_right_after_it(fasseg, steps):
    ended = call("train", *SMALL_UNET, f"+trainer.max_steps={steps}")
    assert ended.code == 0, ended.err
    assert weights(*runs())["global_step"] == steps


@pytest.mark.parametrize("end", ["early stopping", "steps within an epoch"])
def test_a_trained_run_that_was_stopped_while_it_was_scored_is_only_scored(fasseg, monkeypatch, end):
    def stop(*_):
        raise Stopped("by SIGTERM", signal.SIGTERM)

    command = ["train", *SMALL_UNET, *ENDS[end]]
    with monkeypatch.context() as patched:
        patched.setattr(train_module, "score", stop)
        assert call(*command).code == 143
    (folder,) = runs()
    resumed = call(*command, "resume=auto")
    assert resumed.code == 0, resumed.err
    assert f"resuming {folder}: it is trained, and is only scored" in resumed.err
    assert runs() == [folder]
    assert call(*command).code == 0
    assert_same_end(*runs())


def test_early_stopping_logs_when_and_why_it_ended_the_training(fasseg):
    ended = call("train", *SMALL_UNET, *STOPS_EARLY)
    (line,) = [line for line in ended.err.splitlines() if line.startswith("early stopping after epoch ")]
    assert "val/miou has not improved on 0." in line
    assert line.endswith("in 2 validations (patience=2)")
    assert line in "".join((runs()[0] / "log.txt").read_text())


def test_a_time_limit_stops_each_start_which_resumes_to_the_same_end(fasseg):
    command, limit = ["train", *SMALL_UNET], "+trainer.max_time={milliseconds:1}"
    stopped = call(*command, limit)
    assert stopped.code == 0, stopped.err
    (folder,) = runs()
    record = record_of(folder)
    assert (record["state"], record["scores"], record["failure"]["exit_code"]) == ("stopped", {}, 0)
    (reason,) = record["failure"]["messages"]
    assert "by trainer.max_time after step 1, in epoch 1 of 3, with a checkpoint of it" in reason
    assert f"stopped: {reason}" in stopped.err
    assert "Traceback" not in stopped.err
    assert call(*command, "+trainer.max_time=00:00:00:00", "resume=auto").code == 0  # another limit, the same run
    assert weights(folder)["global_step"] == 2
    assert call(*command, "resume=auto").code == 0
    assert runs() == [folder]
    assert call(*command).code == 0  # undisturbed
    assert_same_end(*runs())


def test_a_time_limit_stops_each_job_of_a_sweep_and_the_sweep_resumes(fasseg):
    command = ["train", "-m", *SMALL_UNET, "seed=0,1"]
    stopped = call(*command, "+trainer.max_time={milliseconds:1}")
    assert stopped.code == 0, stopped.err
    assert [record_of(folder)["state"] for folder in runs()] == ["stopped", "stopped"]
    (line,) = stopped.lines("stopped")[-1:]
    assert "by trainer.max_time in 2 of 2 jobs. The same command with resume=auto resumes them." in line
    folders = runs()
    resumed = call(*command, "resume=auto")  # another limit, the same sweep
    assert resumed.code == 0, resumed.err
    assert runs() == folders


@pytest.fixture
def damaged(fasseg):
    """A command, its run that was killed after an epoch, with a truncated last.ckpt, and the undisturbed run."""
    command = ["train", *SMALL_UNET, *COPIES]
    assert call(*command).code == 0
    (whole,), folder = runs(), Path("runs/damaged")
    Path("copies/2").replace(folder)
    last = folder / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:3000])
    return command, folder, whole


@pytest.mark.parametrize("resume", ["auto", "runs/damaged", "runs/damaged/checkpoints/last.ckpt"])
def test_a_damaged_checkpoint_is_reported_with_the_one_that_is_whole(damaged, resume):
    command, folder, whole = damaged
    best = folder / "checkpoints" / "best.ckpt"
    before = record_of(folder)
    refused = call(*command, f"resume={resume}", f"paths.run={folder}")
    words = ["last.ckpt: not a checkpoint, or cut off", f"is whole: {best}", f"resume={best} repeats the training"]
    assert_reported(refused, 4, words)
    assert record_of(folder) == before
    resumed = call(*command, f"resume={best}")
    assert resumed.code == 0, resumed.err
    assert_same_end(folder, whole)


def test_a_damaged_checkpoint_is_reported_to_whoever_uses_the_run(damaged):
    _, folder, _ = damaged
    for verb in (["evaluate", folder, "set=val"], ["predict", folder, "data", "-o", "out"], ["info", folder]):
        assert_reported(call(*verb), 4, [f"{folder}", "cut off", f"is whole: {folder / 'checkpoints' / 'best.ckpt'}"])
    (folder / "checkpoints" / "best.ckpt").write_bytes(b"")
    ended = call("info", folder)
    assert_reported(ended, 4, "cut off")
    assert "is whole" not in ended.err


def test_a_checkpoint_of_weights_alone_is_not_resumed(damaged):
    command, folder, _ = damaged
    content = {key: value for key, value in weights(folder, "best.ckpt").items() if key != "optimizer_states"}
    torch.save(content, folder / "checkpoints" / "best.ckpt")
    refused = call(*command, f"resume={folder / 'checkpoints' / 'best.ckpt'}")
    assert_reported(refused, 4, ["best.ckpt: without optimizer_states", "use init="])


@pytest.mark.parametrize("word", ["atuo", "true", "Automatic"])
def test_a_misspelt_auto_is_suggested(fasseg, word):
    assert_reported(
        call("train", *SMALL_UNET, f"resume={word}"), 4 if word != "true" else 2, "did you mean resume=auto?"
    )


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(
    ("after_step", "signum", "code"),
    [
        (4, signal.SIGKILL, -9),
        (6, signal.SIGKILL, -9),
        (5, signal.SIGTERM, 143),
        (5, signal.SIGINT, 130),
        (1, signal.SIGKILL, -9),
    ],
    ids=["in an epoch", "at its end", "sigterm", "ctrl-c", "before a checkpoint"],
)
def test_a_run_resumes_bit_for_bit_in_its_own_folder(fasseg, recipe, after_step, signum, code):
    command = ["train", "data.fold=null", *RECIPES[recipe], *disturbed(after_step, signum)]
    stopped = run(*command)
    assert stopped.code == code, stopped.err
    assert Path("disturbed").exists()
    (folder,) = runs()
    state = json.loads((folder / "result.json").read_text())["state"]
    assert state == ("running" if signum == signal.SIGKILL else "stopped")

    resumed = run(*command, "resume=auto")
    assert resumed.code == 0, resumed.err
    assert f"resuming {folder}" in resumed.err
    assert runs() == [folder]
    assert json.loads((folder / "result.json").read_text())["state"] == "done"

    undisturbed = run(*command)  # the marker exists: nothing disturbs it
    assert undisturbed.code == 0, undisturbed.err
    (other,) = set(runs()) - {folder}
    assert_same_end(folder, other)


@pytest.mark.slow
def test_accumulated_gradients_are_kept(fasseg):
    accumulating = ["data.fold=null", "data.batch_size=1", "trainer.accumulate_grad_batches=2"]
    command = ["train", *SMALL_UNET, *accumulating, *disturbed(0, signal.SIGTERM)]  # after a batch, before any step
    assert run(*command).code == 143
    assert run(*command, "resume=auto").code == 0
    assert run(*command).code == 0  # undisturbed
    assert_same_end(*runs())


@pytest.mark.slow
@pytest.mark.parametrize("after_step", [3, 4, 5, 6])
def test_a_resumed_run_stops_early_where_it_would_have_and_keeps_the_same_best(fasseg, after_step):
    stopping = ["trainer.max_epochs=12", "callbacks.early_stopping.patience=2", "optimizer.lr=1e-3"]
    command = ["train", *SMALL_UNET, *stopping, *disturbed(after_step)]
    assert run(*command).code == -9
    assert run(*command, "resume=auto").code == 0
    assert run(*command).code == 0  # undisturbed
    assert_same_end(*runs())


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["cosine", "multi_step", "plateau"])
def test_a_resumed_run_continues_its_schedule(fasseg, schedule):
    keys = {"multi_step": ["schedule.milestones=[1,2]"], "plateau": ["schedule.patience=0", "schedule.threshold=0.9"]}
    command = [
        "train",
        *SMALL_UNET,
        "trainer.max_epochs=4",
        f"schedule={schedule}",
        *keys.get(schedule, []),
        *disturbed(5),
    ]
    assert run(*command).code == -9
    assert run(*command, "resume=auto").code == 0
    assert run(*command).code == 0  # undisturbed
    assert_same_end(*runs())
    first, second = (weights(folder) for folder in runs())
    assert first["lr_schedulers"] == second["lr_schedulers"]
    assert first["optimizer_states"][0]["param_groups"][0]["lr"] < 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("logger", ["csv", "tensorboard"])
def test_a_resumed_run_keeps_its_curves_and_adds_up_its_seconds(fasseg, logger):
    command = ["train", *SMALL_UNET, f"logger={logger}", *disturbed(5, signal.SIGTERM)]
    run(*command)
    (folder,) = runs()
    before = json.loads((folder / "result.json").read_text())["seconds"]["training"]
    again = run(*command, "resume=auto")
    assert again.code == 0
    assert "deleted" not in again.err
    history = read_history(folder)
    assert history["val/loss"].epochs == history["train/loss"].epochs == [1, 2, 3]
    after = json.loads((folder / "result.json").read_text())["seconds"]["training"]
    assert after["wall"] > before["wall"]
    assert after["cpu"] > before["cpu"]


@pytest.mark.slow
def test_a_second_start_does_not_touch_a_live_run(fasseg):
    command = ["train", "data.fold=null", *SMALL_UNET, "trainer.max_epochs=2000"]
    live = start(*command)
    try:
        deadline = time.monotonic() + 60
        while not list(Path().glob("runs/*/*/checkpoints/last.ckpt")) and time.monotonic() < deadline:
            time.sleep(0.1)
        (folder,) = runs()
        assert_reported(run(*command, f"resume={folder}"), 2, "still running")
        automatic = run(*command[:-1], "trainer.max_epochs=1", "resume=auto")
        assert automatic.code == 0, automatic.err
        assert "a new one starts" in automatic.err
        same = start(*command, "resume=auto")
        while len(runs()) < 3 and same.poll() is None:
            time.sleep(0.1)
        same.send_signal(signal.SIGTERM)
        try:
            same.communicate(timeout=60)
        finally:
            same.kill()
        assert same.returncode == 143
        assert len(runs()) == 3  # it took a new folder
        assert live.poll() is None
    finally:
        live.send_signal(signal.SIGTERM)
        live.communicate(timeout=60)
    assert json.loads((folder / "result.json").read_text())["state"] == "stopped"


@pytest.mark.slow
def test_other_configs_and_finished_runs_are_not_resumed(fasseg):
    assert run("train", *SMALL_UNET).code == 0
    (folder,) = runs()
    for words, overrides in (
        ("that run is done", [f"resume={folder}"]),
        ("had another config or other data", ["seed=1", f"paths.run={folder}", "resume=auto"]),
    ):
        assert_reported(run("train", *SMALL_UNET, *overrides), 2, words)
    assert runs() == [folder]
