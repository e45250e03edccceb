import csv
import importlib
import json
import logging
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import facesegl
from facesegl.errors import DataError, Stopped
from facesegl.runs.locks import locked
from facesegl.sources import read_rgb
from helpers.calling import half_files, run, runs, train_in
from helpers.faces import CLASSES, write_faces
from helpers.records import record_of
from helpers.trainings import SMALL_UNET, disturbed

train_module = importlib.import_module("facesegl.commands.train")


@pytest.fixture(scope="module")
def held_out(tmp_path_factory):
    """The result of one short training with a fold."""
    folder = tmp_path_factory.mktemp("held_out")
    write_faces(folder / "data" / "fasseg" / "V2")
    small = [item for item in SMALL_UNET if item != "callbacks.panels=null"]
    return train_in(folder, *small, "callbacks.panels.every=1")


def test_a_run_folder_has_config_curves_checkpoints_and_panels(held_out):
    names = {path.name for path in held_out.folder.iterdir()}
    left = {"config.yaml", "folds.json", "log.txt", "result.json", "scores.csv", "per_image.csv", "checkpoints"}
    assert names >= left | {"tensorboard", "panels"}
    assert {path.name for path in (held_out.folder / "checkpoints").iterdir()} == {"last.ckpt", "best.ckpt"}
    panels = [path.name for path in sorted((held_out.folder / "panels").iterdir())]
    assert panels == ["augmented.png", *(f"epoch_000{epoch}.png" for epoch in (1, 2, 3))]
    assert not half_files(held_out.folder)
    panel = read_rgb(held_out.folder / "panels" / "epoch_0003.png")
    assert panel.shape[1] > panel.shape[0] * 0.5  # four columns
    assert len(np.unique(panel.reshape(-1, 3), axis=0)) > 50


def test_the_record_has_config_data_and_outcome(held_out):
    record = record_of(held_out.folder)
    assert (record["state"], record["failure"]) == ("done", None)
    assert record["data"]["photos"] == {"train": 4, "val": 2, "test": 3}
    assert record["config"]["callbacks"]["checkpoint"]["dirpath"] == str(held_out.folder / "checkpoints")
    assert record["config"] == yaml.safe_load((held_out.folder / "config.yaml").read_text())
    assert set(record["seconds"]) == {"training", "scoring"}
    assert record["parameters"] > 1000
    assert record["versions"]["torch"] == torch.__version__
    assert len(record["identity"]) == len(record["data"]["fingerprint"]) == 12


def test_with_a_fold_no_test_photo_is_ever_scored(held_out):
    assert set(held_out.scores) == {"val"}
    with (held_out.folder / "per_image.csv").open() as file:
        scored = [row["photo"] for row in csv.DictReader(file)]
    folds = json.loads((held_out.folder / "folds.json").read_text())
    assert sorted(scored) == sorted(folds["val"])
    assert not set(folds["val"]) & set(folds["train"])


def test_the_floor_is_next_to_the_score(held_out):
    found = held_out.scores["val"]
    assert 0 < found["floor"]["miou"] < 1
    assert found["floor"]["photos"] == found["scores"]["photos"] == 2
    assert found["agreement"] is None  # no photo was masked twice
    with (held_out.folder / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == [*found["scores"]["iou"], "mIoU"]
    assert float(rows[-1]["iou"]) == pytest.approx(found["scores"]["miou"], abs=1e-6)


def test_the_curves_have_the_documented_names(held_out):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(held_out.folder / "tensorboard"))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    assert tags >= {"loss/train", "loss/val", "run/lr-AdamW", "miou/val at 16x16", "per class/hair", "per class/mouth"}
    assert "miou/val" not in tags
    assert events.Tags()["images"] == ["panels/augmented", "panels/val", "panels/confusion_val"]
    assert len(events.Scalars("loss/train")) == len(events.Scalars("loss/val")) == 3


def test_nothing_is_held_out_with_fold_null_and_the_test_photos_are_scored(fasseg, caplog):
    with caplog.at_level(logging.INFO, "facesegl"):
        result = facesegl.train(*SMALL_UNET, "data.fold=null", "trainer.max_epochs=1")
    assert list(result.scores) == ["test_clean", "test", "test_strict"]
    assert [path.name for path in (result.folder / "checkpoints").iterdir()] == ["last.ckpt"]
    for name in ("best", "early_stopping"):
        assert f"callbacks.{name} is left out" in caplog.text


def test_the_same_seed_gives_the_same_numbers_and_another_does_not_but_holds_out_the_same_photos(fasseg):
    first, again, other = (
        facesegl.train(*SMALL_UNET, "logger=none", "trainer.max_epochs=1", f"seed={seed}") for seed in (0, 0, 1)
    )
    assert first.scores == again.scores
    one, two, three = (
        torch.load(result.folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for result in (first, again, other)
    )
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not any(torch.equal(one[name], three[name]) for name in one if one[name].dim() > 1)
    assert first.identity == again.identity != other.identity
    assert first.folder != again.folder
    held_out, others = (json.loads((run.folder / "folds.json").read_text())["val"] for run in (first, other))
    assert held_out == others


def test_a_run_that_fails_says_so_in_its_folder(fasseg, monkeypatch):
    def refuse(*_):
        raise DataError("a mask went away")

    monkeypatch.setattr(train_module, "score", refuse)
    with pytest.raises(DataError):
        facesegl.train(*SMALL_UNET, "trainer.max_epochs=1", "name=failing")
    (folder,) = Path("runs/failing").iterdir()
    record = record_of(folder)
    assert record["state"] == "failed"
    assert record["failure"] == {"exit_code": 3, "messages": ["a mask went away"]}


def test_a_run_starts_from_the_weights_of_another_and_lists_the_rest(fasseg, caplog):
    first = facesegl.train(*SMALL_UNET, "trainer.max_epochs=1")
    checkpoint = first.folder / "checkpoints" / "last.ckpt"
    with caplog.at_level(logging.INFO, "facesegl"):
        facesegl.train(*SMALL_UNET, "trainer.max_epochs=1", f"init={checkpoint}")
        assert "not loaded: none" in caplog.text
        facesegl.train(*SMALL_UNET, "model.depth=4", "trainer.max_epochs=1", f"init={checkpoint}")
    assert "not loaded: down.3" in caplog.text


MIXED = [*SMALL_UNET, "data.synthetic_faces=4", "logger=none", "trainer.max_epochs=1"]


def test_the_automatic_share_of_synthetic_faces_is_recorded_as_a_number_and_one_of_zero_is_as_before(fasseg, caplog):
    caplog.set_level(logging.INFO)
    automatic = facesegl.train(*MIXED, "data.synthetic_share=auto")
    said = caplog.messages
    share = record_of(automatic.folder)["config"]["data"]["synthetic_share"]
    assert share == yaml.safe_load((automatic.folder / "config.yaml").read_text())["data"]["synthetic_share"] == 0.39
    assert any("data.synthetic_share=auto: 39 % of" in line for line in said)
    same, more = (facesegl.train(*MIXED, f"data.synthetic_share={share}", *key) for key in ([], ["seed=1"]))
    assert automatic.identity == same.identity != more.identity
    assert automatic.data["photos"] == {"train": 4, "val": 2, "test": 3}
    none, other = (facesegl.train(*MIXED, f"data.synthetic_faces={number}") for number in (4, 5))
    assert none.identity == other.identity != automatic.identity


def test_a_training_with_synthetic_faces_that_was_killed_ends_with_the_same_weights(fasseg):
    command = ["train", *MIXED, "trainer.max_epochs=2", "data.synthetic_share=[0.9,0.1]", *disturbed(3)]
    Path("disturbed").touch()
    whole = facesegl.train(*command[1:])
    Path("disturbed").unlink()
    assert run(*command).code == -signal.SIGKILL
    assert run(*command, "resume=auto").code == 0
    resumed = runs()[-1]
    one, other = (
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for folder in (whole.folder, resumed)
    )
    assert resumed != whole.folder
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_model_trained_with_synthetic_faces_is_scored_without_drawing_any(fasseg):
    result = facesegl.train(*MIXED, "data.synthetic_share=0.5")
    shutil.rmtree("cache")
    scored = facesegl.evaluate(result.folder, "set=val", "panels=0", "device=cpu")
    assert scored.scores["val"]["scores"]["miou"] == result.scores["val"]["scores"]["miou"]
    assert not list(Path("cache").glob("synthetic*"))


def test_initial_weights_count_by_their_content(fasseg):
    first, other = (facesegl.train(*MIXED, f"seed={seed}").folder for seed in (0, 1))
    moved = shutil.copy(first / "checkpoints" / "last.ckpt", "moved.ckpt")
    one, same, another = (facesegl.train(*MIXED, f"init={path}").identity for path in (first, moved, other))
    assert one == same != another


def test_a_named_folder_is_resumed_with_resume_auto(fasseg, monkeypatch, caplog):
    def stop(*_):
        raise Stopped("enough", 15)

    with monkeypatch.context() as patched:
        patched.setattr(train_module, "score", stop)
        with pytest.raises(Stopped):
            facesegl.train(*SMALL_UNET, "trainer.max_epochs=1", "paths.run=mine")
    with caplog.at_level(logging.INFO, "facesegl"):
        result = facesegl.train(*SMALL_UNET, "trainer.max_epochs=1", "paths.run=mine", "resume=auto")
        assert "resuming mine" in caplog.text
        again = facesegl.train(*SMALL_UNET, "trainer.max_epochs=1", "paths.run=mine", "resume=auto")
    assert "mine is already done" in caplog.text
    assert (again.folder, again.scores) == (result.folder, result.scores) == (Path("mine"), result.scores)


def test_void_is_ignored_for_the_model_and_its_yardsticks(fasseg):
    classes = {name: colour for name, colour in CLASSES.items() if name != "background"}
    Path("void.yaml").write_text(yaml.safe_dump({"classes": classes, "void": CLASSES["background"]}, sort_keys=False))
    shutil.copy(fasseg / "Train_RGB" / "4.bmp", fasseg / "Test_RGB" / "2.bmp")  # a photo that was masked twice
    result = facesegl.train(*SMALL_UNET, "data.taxonomy=void.yaml", "data.fold=null", "trainer.max_epochs=1")
    found = result.scores["test"]
    assert list(found["scores"]["iou"]) == list(classes)
    assert 0 < found["floor"]["miou"] < 1
    assert found["agreement"]["photos"] == 1


def test_a_folder_is_locked_while_its_run_lives(tmp_path):
    with locked(tmp_path) as free:
        assert free
        with locked(tmp_path) as free_too:
            assert not free_too
    with locked(tmp_path) as free_again:
        assert free_again


@pytest.mark.slow
def test_several_devices_train_and_resume_one_model(fasseg, tmp_path):
    two = [*SMALL_UNET, "data.batch_size=1", "trainer=ddp", "trainer.accelerator=cpu"]
    assert run("train", *two, *disturbed(4, signal.SIGKILL)).code != 0
    trained = run("train", *two, *disturbed(4, signal.SIGKILL), "resume=auto")
    assert trained.code == 0, trained.err
    assert "resuming" in trained.err
    (folder,) = runs()
    record = record_of(folder)
    assert (record["state"], record["scores"].keys()) == ("done", {"val"})
    assert trained.err.count("training on") == 1


def test_without_a_progress_bar_there_is_none(fasseg, capfd):
    facesegl.train(*SMALL_UNET, "callbacks.progress=null")
    assert "Epoch" not in "".join(capfd.readouterr())
