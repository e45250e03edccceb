"""Trainings that fail, and several at once."""

import json
import signal
from pathlib import Path

import pytest
import torch

from helpers.calling import SMALL_UNET, assert_reported, call, half_files, runs, start, train
from helpers.records import record_of
from helpers.trainings import disturbed


def is_finite(checkpoint):
    weights = torch.load(checkpoint, weights_only=True)["state_dict"].values()
    return all(bool(value.isfinite().all()) for value in weights)


DIVERGING = ["optimizer.lr=1e30", "trainer.precision=32-true", "callbacks.checkpoint.every_s=0", "trainer.max_epochs=5"]


def test_loss_that_is_not_finite_ends_it_and_names_photos_and_remedy(fasseg):
    ended = train(*DIVERGING, "data.batch_size=4", "model=unet")
    assert_reported(ended, 6, ["the loss is not finite", "train/", "optimizer.lr", "checkpoints/"])
    (folder,) = runs()
    assert is_finite(folder / "checkpoints" / "last.ckpt")
    result = record_of(folder)
    assert (result["state"], result["failure"]["exit_code"]) == ("failed", 6)
    assert not half_files(".")


def test_weights_that_are_not_finite_do_not_reach_the_last_checkpoint(fasseg):
    poison = ["+callbacks.poison._target_=helpers.faulty.Poison", "+callbacks.poison.after_step=4"]
    ended = train(*poison, "trainer.max_epochs=4", "callbacks.checkpoint.every_s=0", "callbacks.averaging=null")
    assert_reported(ended, 6, "is not finite")
    assert is_finite(runs()[0] / "checkpoints" / "last.ckpt")


def test_a_message_names_no_missing_checkpoint(fasseg):
    ended = train(*DIVERGING)  # in the first epoch, before one was written
    assert_reported(ended, 6, "the loss is not finite")
    (folder,) = runs()
    assert (folder / "checkpoints" / "last.ckpt").exists() or "last.ckpt" not in ended.err


def test_step_too_large_for_a_float_is_not_reported_as_a_bug(fasseg):
    ended = train(*DIVERGING, "optimizer.lr=1e39")
    assert ended.code in (2, 6), ended.err
    assert "Traceback" not in ended.err


def test_training_without_checkpoints_says_why_there_is_no_score(fasseg):
    ended = train("callbacks.checkpoint=null")
    assert ended.code == 0, ended.err
    assert "no scores: without callbacks.checkpoint there is no last.ckpt to score" in ended.err


SWEEP = ["seed=0,1", "optimizer.lr=1e-2,3e-3"]


def sweep(*more):
    return call("train", "-m", *SMALL_UNET, *more)


def jobs():
    (folder,) = Path("runs").glob("*/*")
    return {path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/job.json")}


def test_sweep_continues_after_a_failed_job_and_names_it_at_the_end(fasseg):
    failing = ["+callbacks.fail._target_=helpers.faulty.FailIf", "+callbacks.fail.words=['seed=1','optimizer.lr=0.01']"]
    ended = sweep(*SWEEP, *failing)
    assert ended.code == 1, ended.err
    assert "Traceback" not in ended.err
    states = {name: note["state"] for name, note in jobs().items()}
    assert states == {"0": "done", "1": "done", "2": "failed", "3": "done"}
    *_, named, counted = ended.err.splitlines()
    assert all(part in named for part in ("job 2", "seed=1", "optimizer.lr=0.01) failed: ", "this one was to fail"))
    assert "1 of 4 jobs failed" in counted
    records = [record_of(folder) for folder in runs()]
    assert [record["state"] for record in records] == ["done", "done", "failed", "done"]
    assert [set(record["scores"]) for record in records] == [{"val"}, {"val"}, set(), {"val"}], "no test photo"
    assert "Sweep" in ended.out


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_ends_the_whole_sweep(fasseg, signum, code):
    ended = sweep("seed=0,1,2", "trainer.max_epochs=2", *disturbed(1, signum))
    assert_reported(ended, code, signum.name)
    assert {name: note["state"] for name, note in jobs().items()} == {"0": "stopped"}


def test_missing_data_fail_every_job(tmp_path):
    ended = sweep("seed=0,1")
    assert ended.code in (1, 3)
    assert "Traceback" not in ended.err
    assert "the others are done" not in ended.err


@pytest.mark.slow
def test_three_starts_in_one_second_get_three_folders_and_all_end(fasseg):
    processes = [start("train", *SMALL_UNET, f"seed={seed}") for seed in range(3)]
    ends = [(process.communicate(timeout=200)[1], process.returncode) for process in processes]
    assert [code for _, code in ends] == [0, 0, 0], ends
    assert len(runs()) == 3
    assert {record_of(folder)["state"] for folder in runs()} == {"done"}
    assert not half_files(".")
