"""A training that is killed at any moment and resumed ends with the same weights as an undisturbed one."""

import json
import signal
import time
from pathlib import Path

import pytest
import torch

from facesegl.reporting.history import read_history
from helpers.calling import assert_reported, run, runs, start
from helpers.trainings import SMALL, SMALL_UNET, disturbed

RECIPES = {"default": SMALL_UNET, "reference": [*SMALL, "experiment=reference"]}


def weights(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def assert_same_end(one, other):
    first, second = weights(one), weights(other)
    for key in ("state_dict", "current_model_state"):
        for name, value in first.get(key, {}).items():
            assert torch.equal(value, second[key][name]), f"{key}: {name}"
    for mine, theirs in zip(first["optimizer_states"], second["optimizer_states"], strict=True):
        for place, state in mine["state"].items():
            assert all(torch.equal(state[name], theirs["state"][place][name]) for name in state)
    assert first["global_step"] == second["global_step"]


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
    folders = runs()
    assert_same_end(*folders)
    best, other = (torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True) for folder in folders)
    assert (best["epoch"], best["global_step"]) == (other["epoch"], other["global_step"])
    assert all(torch.equal(value, other["state_dict"][name]) for name, value in best["state_dict"].items())


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
