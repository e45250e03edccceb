"""Which checkpoints the folder of a sweep stands for."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from facesegl.errors import CheckpointError, ConfigError
from facesegl.prediction import Predictor
from facesegl.prediction.members import member_files
from facesegl.prediction.model import open_model
from facesegl.prediction.photo_files import models_and_photos
from helpers.exported import NET, net_of
from helpers.faces import draw_mask, draw_photo
from helpers.modules import make_net
from helpers.trees import save


def write_job(folder, number, *overrides, state="done", checkpoint=True):
    """A job as a sweep leaves it; its checkpoint is an untrained net of the seed `number`."""
    run = Path(folder, str(number))
    (run / "checkpoints").mkdir(parents=True)
    note = {"job": number, "overrides": overrides, "run": "elsewhere", "set": None, "miou": None, "state": state}
    (run / "job.json").write_text(json.dumps(note))
    (run / "result.json").write_text(json.dumps({"state": state}))
    if checkpoint:
        net = net_of(make_net(NET["channels"], NET["depth"], seed=number))
        torch.save({"state_dict": net.state_dict(), "hyper_parameters": net.card}, run / "checkpoints" / "last.ckpt")


def numbers(files):
    return [file.parents[1].name for file in files]


def test_a_sweep_over_seeds_and_folds_is_an_ensemble_in_the_order_of_its_jobs():
    for number in range(12):
        write_job("runs/x/1", number, f"seed={number // 4}", f"data.fold={number % 4}", f"data.photos_seed={number}")
    assert numbers(member_files("runs/x/1")) == [*map(str, range(12))]
    predictor, alone = Predictor("runs/x/1", device="cpu"), Predictor(*member_files("runs/x/1"), device="cpu")
    assert [model.name for model in predictor.models] == [model.name for model in alone.models]
    photo = draw_photo(draw_mask(0), 0)
    assert np.array_equal(predictor(photo).probabilities, alone(photo).probabilities)


def test_unfinished_jobs_are_left_out_and_named_in_one_line(caplog):
    write_job("s", 0, "seed=0")
    write_job("s", 1, "seed=1", state="failed", checkpoint=False)
    write_job("s", 2, "seed=2", state="stopped")
    write_job("s", 3, "seed=3", checkpoint=False)
    write_job("s", 4, "seed=4")
    Path("s/5").mkdir()  # running, or killed
    Path("s/sweep.json").write_text(json.dumps({"jobs": 8}))
    with caplog.at_level(logging.INFO, "facesegl"):
        assert numbers(member_files("s")) == ["0", "4"]
    left_out = "job 1 (failed), job 2 (stopped), job 3 (no last.ckpt), job 5 (unfinished), 2 not started"
    assert caplog.messages == [f"s: an ensemble of 2 of 8 jobs; left out: {left_out}"]


@pytest.mark.parametrize("state", ["failed", "pruned"])
def test_a_sweep_without_a_finished_job_is_no_model(state):
    write_job("s", 0, "seed=0", state=state)
    with pytest.raises(CheckpointError, match=rf"s: a sweep without a finished job \(job 0 \({state}\)\); finish it"):
        member_files("s")


def test_several_configurations_are_no_ensemble_and_the_jobs_of_each_are_listed():
    for number, (seed, rate) in enumerate((seed, rate) for seed in (0, 1) for rate in (0.1, 0.2)):
        write_job("s", number, f"seed={seed}", f"optimizer.lr={rate}", "trainer.max_epochs=3")
    listed = r"optimizer\.lr=0\.1: s/0 s/2, optimizer\.lr=0\.2: s/1 s/3\."
    with pytest.raises(ConfigError, match=rf"s: a sweep of 2 configurations; expected one, .* {listed}"):
        Predictor("s")
    assert len(Predictor("s/0", "s/2", device="cpu").models) == 2


def test_a_sweep_of_one_job_is_that_model_and_any_other_model_is_itself():
    write_job("s", 0, "seed=0")
    checkpoint = Path("s/0/checkpoints/last.ckpt")
    for model in ("s", "s/0", checkpoint):
        assert member_files(model) == [checkpoint]
    with pytest.raises(CheckpointError, match=r"s: the folder of a sweep, .* expected one model, such as s/0\."):
        open_model("s")


def write_study():
    """A study over two folds: a finished trial, and one that ended in its first fold."""
    for trial, state in enumerate(("done", "failed")):
        write_job("s", trial, f"optimizer.lr=0.{trial + 1}", state=state, checkpoint=False)
        write_job(f"s/{trial}", 0, "data.fold=0", state=state)
    write_job("s/0", 1, "data.fold=1")
    Path("s/study.json").write_text("{}")


def test_a_study_of_one_cross_validated_trial_is_the_ensemble_of_its_folds():
    write_study()
    shutil.rmtree("s/1")
    assert member_files("s") == member_files("s/0") == [Path(f"s/0/{fold}/checkpoints/last.ckpt") for fold in (0, 1)]


def test_a_study_of_several_configurations_names_its_best_trial():
    write_study()
    with pytest.raises(ConfigError, match=r"s: a study of 2 configurations; .* but none has a score yet\.$"):
        member_files("s")
    note = Path("s/0/job.json")
    note.write_text(json.dumps(json.loads(note.read_text()) | {"miou": 0.5}))
    with pytest.raises(ConfigError, match=r"name one of its trials, e\.g\. the best, s/0\.$"):
        member_files("s")


def test_the_folder_of_a_sweep_is_a_model_among_photos():
    write_job("s", 0, "seed=0")
    save(draw_photo(draw_mask(0), 0), Path("photos/x.png"))
    assert models_and_photos([Path("s"), Path("photos")]) == ([Path("s")], [Path("photos")])
