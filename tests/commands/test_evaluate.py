import csv
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import facesegl
from facesegl.commands.compare import compare
from facesegl.errors import ConfigError
from facesegl.evaluation.counts_file import read_counts
from facesegl.prediction import read_card
from helpers.calling import assert_reported, call, runs, succeed, train_in
from helpers.faces import FASSEG6, write_faces, write_pair
from helpers.records import record_of
from helpers.trainings import SMALL_UNET


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with data, and the result of a training on all of its training photos."""
    folder = tmp_path_factory.mktemp("trained")
    v2 = write_faces(folder / "data" / "fasseg" / "V2")
    for kind in ("RGB", "Labels"):  # test/2 is train/4 again, with another mask
        shutil.copy(v2 / f"Train_{kind}" / "4.bmp", v2 / f"Test_{kind}" / "2.bmp")
    mask = np.array(Image.open(v2 / "Test_Labels" / "2.bmp"))
    mask[20:24, :] = FASSEG6.colours[0]
    Image.fromarray(mask).save(v2 / "Test_Labels" / "2.bmp")
    return folder, train_in(folder, *SMALL_UNET, "data.fold=null")


@pytest.fixture
def checkpoint(trained, monkeypatch):
    """The checkpoint of that training, whose data are found."""
    folder, result = trained
    monkeypatch.setenv("FACESEGL_DATA", str(folder / "data"))
    return result.folder / "checkpoints" / "last.ckpt"


def test_a_moved_checkpoint_alone_gives_the_same_scores(trained, checkpoint, tmp_path):
    again = facesegl.evaluate(shutil.copy(checkpoint, tmp_path / "alone=[1] ä.ckpt"))
    assert again.scores == trained[1].scores
    assert again.folder.parent == Path("runs/evaluate")
    assert {path.name for path in again.folder.iterdir()} >= {"result.json", "scores.csv", "per_image.csv", "panels"}


def test_the_record_around_a_checkpoint_has_the_path_of_the_photos(trained):
    _, result = trained  # in another folder than this one, with `paths.data: data` in its config
    assert facesegl.evaluate(result.folder / "checkpoints" / "last.ckpt").scores == result.scores


@pytest.mark.parametrize("state", ["done", "stopped", "running"])
def test_a_checkpoint_of_a_training_that_has_not_ended_is_named(trained, tmp_path, caplog, state):
    shutil.copytree(trained[1].folder, tmp_path / "copy")
    record = tmp_path / "copy" / "result.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "state": state}))
    facesegl.evaluate(tmp_path / "copy", f"paths.data={trained[0] / 'data'}")
    assert ("its training has not ended" in caplog.text) == (state != "done")


def test_a_test_photo_that_is_in_training_is_not_clean(trained):
    _, result = trained
    sizes = {name: found["scores"]["photos"] for name, found in result.scores.items()}
    assert sizes == {"test_clean": 2, "test": 3}  # 1 and 3 look like persons of training: none is strictly clean
    assert result.scores["test"]["agreement"]["photos"] == 1
    assert 0.5 < result.scores["test"]["agreement"]["miou"] < 1


def reference_miou(checkpoint, pairs):
    """Score masks with nothing of facesegl but the net: resize, logits, bilinear, argmax, pooled counts."""
    module = facesegl.SegmentationModule.load_from_checkpoint(checkpoint)
    inter, union = np.zeros(6), np.zeros(6)
    for photo, mask in pairs:
        image, truth = Image.open(photo), np.array(Image.open(mask))
        truth = (truth[:, :, None] == np.array(FASSEG6.colours)).all(-1).argmax(-1)
        small = torch.tensor(np.array(image.resize((16, 16), Image.Resampling.BILINEAR))).permute(2, 0, 1)[None]
        with torch.no_grad():
            logits = torch.nn.functional.interpolate(module(small), size=truth.shape, mode="bilinear")
        preds = logits.argmax(1)[0].numpy()
        for label in range(6):
            inter[label] += ((preds == label) & (truth == label)).sum()
            union[label] += ((preds == label) | (truth == label)).sum()
    return np.mean(inter[union > 0] / union[union > 0])


def test_scores_are_those_of_a_script_that_shares_no_code(trained):
    folder, result = trained
    v2 = folder / "data" / "fasseg" / "V2"
    pairs = [(v2 / "Test_RGB" / f"{name}.bmp", v2 / "Test_Labels" / f"{name}.bmp") for name in (1, 2, 3)]
    expected = reference_miou(result.folder / "checkpoints" / "last.ckpt", pairs)
    assert result.scores["test"]["scores"]["miou"] == pytest.approx(expected, abs=1e-12)


def test_the_worst_photo_comes_first(checkpoint):
    again = facesegl.evaluate(checkpoint, "panels=2")
    with (again.folder / "per_image.csv").open() as file:
        mious = [float(row["miou"]) for row in csv.DictReader(file)]
    assert mious == sorted(mious)
    with Image.open(again.folder / "panels" / "worst.png") as panel:
        assert panel.width > 300


def test_other_data_are_scored_and_reported_as_other(checkpoint, tmp_path, caplog):
    write_faces(tmp_path / "data" / "fasseg" / "V1", train=5, test=2)
    with caplog.at_level(logging.WARNING):
        other = facesegl.evaluate(checkpoint, "data=fasseg_v1", "paths.data=data")
    assert "these data differ from the training data: fasseg_v1" in caplog.text
    record = json.loads((other.folder / "result.json").read_text())
    assert record["data"]["other_data"] is True
    assert record["data"]["trained_on"]["name"] == "fasseg_v2"


def test_data_of_other_classes_are_refused(checkpoint, tmp_path):
    (tmp_path / "two.yaml").write_text("classes: {background: [255, 0, 0], face: [255, 255, 0]}")
    words = "the classes are background, face; the model was trained on background, sk"
    with pytest.raises(ConfigError, match=words):
        facesegl.evaluate(checkpoint, "data=fasseg_v2", "data.taxonomy=two.yaml")
    assert not Path("runs").exists()


def test_scores_go_to_the_given_folder_and_never_overwrite_a_run(checkpoint):
    assert facesegl.evaluate(checkpoint, "paths.run=mine/scores").folder == Path("mine/scores")
    with pytest.raises(ConfigError, match=r"paths\.run=mine/scores: it contains a run already"):
        facesegl.evaluate(checkpoint, "paths.run=mine/scores")
    with pytest.raises(ConfigError, match=r"choose their parent with paths\.runs=FOLDER"):
        compare([checkpoint, checkpoint], overrides=["paths.run=mine/both"])


def test_photos_that_a_model_was_trained_on_are_never_scored_as_held_out(checkpoint):
    for keys in ([], ["data.fold=0"], ["data=fasseg_v2"], ["data=fasseg_v2", "data.fold=0"]):
        with pytest.raises(ConfigError, match=r"set=val: it was trained on all training photos .data.fold=null."):
            facesegl.evaluate(checkpoint, "set=val", *keys)
    small = [*SMALL_UNET, "trainer.max_epochs=1", "data.folds=3"]
    of_folds = [facesegl.train(*small, f"data.fold={fold}").folder for fold in (0, 1)]
    assert facesegl.evaluate(of_folds[1], "set=val", "data=fasseg_v2").scores.keys() == {"val"}
    with pytest.raises(ConfigError, match=r"photos that data.fold=1 .* holds out; expected data.fold=0"):
        facesegl.evaluate(of_folds[0], "set=val", "data.fold=1")
    with pytest.raises(ConfigError, match=rf"no photo is held out by all .*{of_folds[1]}\S* data.fold=1 .*set=test\.$"):
        facesegl.evaluate(of_folds, "set=val")


def test_the_training_photos_of_other_data_can_be_scored(trained, tmp_path):
    _, result = trained
    write_faces(tmp_path / "own" / "V1", train=3, test=1)  # fewer persons than there are folds
    scored = succeed("evaluate", result.folder, "data=fasseg_v1", "data.source.root=own", "set=train", "panels=0")
    assert "Scores on the training photos of fasseg_v1" in scored.out
    assert "3 photos" in scored.out


def test_training_photos_can_be_scored_too(checkpoint):
    scored = facesegl.evaluate(checkpoint, "set=train", "panels=0")
    assert scored.scores["train"]["scores"]["photos"] == 6
    assert not (scored.folder / "panels").exists()


def test_a_model_of_a_few_photos_is_scored_with_the_photos_that_it_was_trained_on(fasseg):
    ended = succeed("train", *SMALL_UNET, "trainer.max_epochs=1", "data.photos=2", "data.photos_seed=1")
    assert "training on 2 of 4 photos (data.photos_seed=1), validating on 2" in ended.err
    (folder,) = runs()
    folds = json.loads((folder / "folds.json").read_text())
    assert len(folds["train"]) == len(folds["val"]) == 2
    for keys in ([], ["data=fasseg_v2"]):
        of_train = facesegl.evaluate(folder, "set=train", "panels=0", *keys)
        assert set(read_counts(of_train.folder).photos) == set(folds["train"])
    of_val = facesegl.evaluate(folder, "set=val", "panels=0")
    assert of_val.scores == record_of(folder)["scores"]  # the floor too


def test_more_photos_than_there_are_end_a_training_before_it_starts(fasseg):
    ended = call("train", *SMALL_UNET, "data.photos=5")
    assert_reported(ended, 2, "data.photos=5: there are 4 photos to train on; expected 4 or fewer, or null")
    assert not runs()


def test_a_checkpoint_holds_no_path_of_this_machine(trained):
    folder, result = trained
    card = torch.load(result.folder / "checkpoints" / "last.ckpt", weights_only=True)["hyper_parameters"]
    assert str(folder) not in json.dumps(card)
    assert json.dumps(card).count("_target_") - card["config"].count("_target_") == 1


def test_the_confusion_matrix_counts_every_pixel_and_gives_the_iou(trained):
    _, result = trained
    found = result.scores["test"]["scores"]
    confusion = np.array(found["confusion"])
    assert confusion.sum() == 3 * 40 * 32
    assert (confusion.diagonal() / (confusion.sum(0) + confusion.sum(1) - confusion.diagonal())).tolist() == (
        pytest.approx(list(found["iou"].values()))
    )
    with (result.folder / "confusion.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["set"] == "test"]
    assert [[int(row[name]) for name in found["iou"]] for row in rows] == found["confusion"]
    assert [row["truth"] for row in rows] == list(found["iou"])


def test_several_checkpoints_are_scored_as_one_ensemble(trained, checkpoint):
    _, result = trained
    twice = facesegl.evaluate([checkpoint, result.folder])
    assert twice.scored == [str(checkpoint)] * 2
    assert twice.scores == result.scores, "the mean of a model and itself is that model"
    other = facesegl.train(*SMALL_UNET, "data.fold=null", "seed=1")
    both = facesegl.evaluate([checkpoint, other.folder])
    ours, *theirs = (found.scores["test"]["scores"]["confusion"] for found in (both, result, other))
    assert ours not in theirs


def test_the_folder_of_a_sweep_is_scored_and_compared_as_one_ensemble(trained, checkpoint):
    _, result = trained
    for number in (0, 1):
        shutil.copytree(result.folder, Path("s", str(number)))
        note = {"job": number, "overrides": [f"seed={number}"], "set": None, "miou": None, "state": "done"}
        Path("s", str(number), "job.json").write_text(json.dumps(note))
    both = facesegl.evaluate("s")
    assert both.scored == ["s/0/checkpoints/last.ckpt", "s/1/checkpoints/last.ckpt"]
    assert both.scores == result.scores, "the mean of a model and itself is that model"
    comparison = compare(["s", result.folder])
    assert comparison.models[0].scores == comparison.models[1].scores
    refused = "s: the folder of a sweep, which has a model for each job; expected one model, such as s/0."
    assert_reported(call("train", *SMALL_UNET, "init=s"), 4, refused)


def test_tta_changes_the_scores(trained, checkpoint):
    augmented = facesegl.evaluate(checkpoint, "tta=true")
    assert augmented.config["tta"] is True
    assert augmented.scores["test"]["scores"]["confusion"] != trained[1].scores["test"]["scores"]["confusion"]


def test_photos_with_a_pose_are_scored_by_pose_too(tmp_path):
    for place, pose in enumerate(("+0", "+30", "-30")):
        for split, person, first in (("Train", "0124", 0), ("Test", "0814", 100)):
            for number in range(2):
                name = f"{pose.replace('+0', '0')}/personne{person}{number}+0{pose}"
                write_pair(tmp_path / "data" / "fasseg" / "V3", split, name, first + 10 * place + number)
    result = facesegl.train(*SMALL_UNET, "data=fasseg_v3", "data.fold=null")
    tags = result.scores["test_clean"]["tags"]
    assert {tag: found["photos"] for tag, found in tags.items()} == {"pose=-30": 2, "pose=0": 2, "pose=+30": 2}
    total = sum(np.array(found["confusion"]) for found in tags.values())
    assert total.tolist() == result.scores["test_clean"]["scores"]["confusion"]
    with (result.folder / "by_tag.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["set"] == "test_clean"]
    assert {row["tag"]: float(row["miou"]) for row in rows} == {
        tag: pytest.approx(found["miou"], abs=1e-6) for tag, found in tags.items()
    }


def test_the_counts_of_all_photos_add_up_to_the_scores(trained):
    _, result = trained
    counts = read_counts(result.folder)
    assert counts.classes == FASSEG6.names
    for name, ids in counts.sets.items():
        places = [counts.photos.index(photo) for photo in ids]
        assert counts.counts[places].sum(0).tolist() == result.scores[name]["scores"]["confusion"]


def test_a_checkpoint_has_the_scores_and_the_command_of_its_run_and_info_shows_them(trained):
    _, result = trained
    card = read_card(result.folder / "checkpoints" / "last.ckpt")
    assert card["scores"] == result.scores
    assert card["command"].startswith("facesegl train data.image_size=16")
    assert card["parameters"] == result.parameters
    ended = call("info", result.folder)
    assert (ended.code, ended.err) == (0, "")
    shown = " ".join(ended.out.split())
    for words in ("facesegl.nets.UNet", "background, skin, hair", "fasseg_v2, fingerprint", "facesegl train", "mIoU"):
        assert words in shown
    about = json.loads(call("info", result.folder, "--json").out)
    assert about["scores"] == result.scores


def test_what_is_no_model_and_no_run_is_reported_in_one_line():
    Path("text.ckpt").write_text("hello")
    assert_reported(call("info", "text.ckpt"), 4, "text.ckpt: not a checkpoint")
    assert_reported(call("info", "nope.onnx"), 4, "nope.onnx: no such file")
    assert_reported(call("info"), 2, "info: ")
    Path("runs/final").mkdir(parents=True)
    for verb in ("evaluate", "info"):
        assert_reported(call(verb, "runs/fnal"), 4, "runs/fnal: no such file or folder; did you mean runs/final?")
        assert_reported(call(verb, "else/where"), 4, "else/where: no such file or folder; expected a model file")
    Path("runs/many/1/checkpoints").mkdir(parents=True)
    Path("runs/many/1/checkpoints/last.ckpt").touch()
    assert_reported(
        call("info", "runs/many"),
        4,
        "runs/many: a folder without checkpoints/last.ckpt; did you mean its newest run, runs/many/1?",
    )
    Path("sweep/0").mkdir(parents=True)
    Path("sweep/0/job.json").write_text("{}")
    unfinished = (
        "sweep: a sweep without a finished job (job 0 (unfinished)); finish it with its command and resume=auto"
    )
    assert_reported(call("evaluate", "sweep"), 4, unfinished)
    of_sweep = (
        "sweep: the folder of a sweep, which has a model for each job; expected one model, such as sweep/0. facesegl"
    )
    assert_reported(call("info", "sweep"), 4, of_sweep)
