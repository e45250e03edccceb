"""Killed at any moment and continued, a training ends with the weights that it would have had."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from facesegl.reporting.history import read_history
from helpers.trainings import SMALL, SMALL_UNET, disturbed

RECIPES = {"default": SMALL_UNET, "reference": [*SMALL, "experiment=reference"]}


def run_folders(tmp_path):
    return sorted(path.parent for path in (tmp_path / "runs").glob("*/*/result.json"))


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
def test_a_run_goes_on_bit_for_bit_in_its_own_folder(facesegl, fasseg, tmp_path, recipe, after_step, signum, code):
    command = ["train", "data.fold=null", *RECIPES[recipe], *disturbed(after_step, signum)]
    stopped = facesegl(*command)
    assert stopped.returncode == code, stopped.stderr
    assert (tmp_path / "disturbed").exists()
    (folder,) = run_folders(tmp_path)
    state = json.loads((folder / "result.json").read_text())["state"]
    assert state == ("running" if signum == signal.SIGKILL else "stopped")

    resumed = facesegl(*command, "resume=auto")
    assert resumed.returncode == 0, resumed.stderr
    assert f"going on with {folder.relative_to(tmp_path)}" in resumed.stderr
    assert run_folders(tmp_path) == [folder]
    assert json.loads((folder / "result.json").read_text())["state"] == "done"

    undisturbed = facesegl(*command)  # the marker is there: nothing disturbs it
    assert undisturbed.returncode == 0, undisturbed.stderr
    (other,) = set(run_folders(tmp_path)) - {folder}
    assert_same_end(folder, other)


@pytest.mark.slow
def test_gradients_that_wait_for_other_batches_are_kept(facesegl, fasseg, tmp_path):
    accumulating = ["data.fold=null", "data.batch_size=1", "trainer.accumulate_grad_batches=2"]
    command = ["train", *SMALL_UNET, *accumulating, *disturbed(0, signal.SIGTERM)]  # after a batch, before any step
    assert facesegl(*command).returncode == 143
    assert facesegl(*command, "resume=auto").returncode == 0
    assert facesegl(*command).returncode == 0  # undisturbed
    assert_same_end(*run_folders(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("after_step", [3, 4, 5, 6])
def test_a_resumed_run_stops_early_where_it_would_have_and_keeps_the_same_best(facesegl, fasseg, tmp_path, after_step):
    stopping = ["trainer.max_epochs=12", "callbacks.early_stopping.patience=2", "optimizer.lr=1e-3"]
    command = ["train", *SMALL_UNET, *stopping, *disturbed(after_step)]
    assert facesegl(*command).returncode == -9
    assert facesegl(*command, "resume=auto").returncode == 0
    assert facesegl(*command).returncode == 0  # undisturbed
    folders = run_folders(tmp_path)
    assert_same_end(*folders)
    best, other = (torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True) for folder in folders)
    assert (best["epoch"], best["global_step"]) == (other["epoch"], other["global_step"])
    assert all(torch.equal(value, other["state_dict"][name]) for name, value in best["state_dict"].items())


@pytest.mark.slow
@pytest.mark.parametrize("logger", ["csv", "tensorboard"])
def test_a_resumed_run_keeps_its_curves_and_adds_up_its_seconds(facesegl, fasseg, tmp_path, logger):
    command = ["train", *SMALL_UNET, f"logger={logger}", *disturbed(5, signal.SIGTERM)]
    facesegl(*command)
    (folder,) = run_folders(tmp_path)
    before = json.loads((folder / "result.json").read_text())["seconds"]["training"]
    again = facesegl(*command, "resume=auto")
    assert again.returncode == 0
    assert "deleted" not in again.stderr
    history = read_history(folder)
    assert history["val/loss"].epochs == history["train/loss"].epochs == [1, 2, 3]
    after = json.loads((folder / "result.json").read_text())["seconds"]["training"]
    assert after["wall"] > before["wall"]
    assert after["cpu"] > before["cpu"]


@pytest.mark.slow
def test_a_second_start_leaves_a_live_run_alone(fasseg, facesegl, tmp_path):
    command = ["train", "data.fold=null", *SMALL_UNET, "trainer.max_epochs=2000"]
    live = subprocess.Popen([sys.executable, "-m", "facesegl", *command], cwd=tmp_path, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 60
        while not list(Path(tmp_path).glob("runs/*/*/checkpoints/last.ckpt")) and time.monotonic() < deadline:
            time.sleep(0.1)
        (folder,) = run_folders(tmp_path)
        explicit = facesegl(*command, f"resume={folder}")
        assert explicit.returncode == 2
        assert "still going on" in explicit.stderr
        automatic = facesegl(*command[:-1], "trainer.max_epochs=1", "resume=auto")
        assert automatic.returncode == 0, automatic.stderr
        assert "a new one starts" in automatic.stderr
        same = subprocess.Popen(
            [sys.executable, "-m", "facesegl", *command, "resume=auto"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
        )
        while len(run_folders(tmp_path)) < 3 and same.poll() is None:
            time.sleep(0.1)
        same.send_signal(signal.SIGTERM)
        try:
            same.communicate(timeout=60)
        finally:
            same.kill()
        assert same.returncode == 143
        assert len(run_folders(tmp_path)) == 3  # it took a folder of its own
        assert live.poll() is None
    finally:
        live.send_signal(signal.SIGTERM)
        live.communicate(timeout=60)
    assert json.loads((folder / "result.json").read_text())["state"] == "stopped"


@pytest.mark.slow
def test_other_configs_and_finished_runs_do_not_go_on(facesegl, fasseg, tmp_path):
    assert facesegl("train", *SMALL_UNET).returncode == 0
    (folder,) = run_folders(tmp_path)
    done = facesegl("train", *SMALL_UNET, f"resume={folder}")
    assert (done.returncode, "that run is done" in done.stderr) == (2, True)
    other = facesegl("train", *SMALL_UNET, "seed=1", f"resume={folder}")
    assert (other.returncode, "had another config or other data" in other.stderr) == (2, True)
    named = facesegl("train", *SMALL_UNET, "seed=1", f"paths.run={folder}", "resume=auto")
    assert (named.returncode, "had another config or other data" in named.stderr) == (2, True)
    nothing = facesegl("train", *SMALL_UNET, "resume=nowhere")
    assert (nothing.returncode, "no such run folder or checkpoint" in nothing.stderr) == (4, True)
    assert run_folders(tmp_path) == [folder]
