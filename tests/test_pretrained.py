"""The weights that ship with facesegl are a model by name, wherever a model is taken."""

import csv
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

import facesegl
from facesegl import Predictor, SegmentationModule, pretrained
from facesegl.errors import CheckpointError
from facesegl.learning.checkpoint import load_net
from facesegl.prediction.model import read_card
from facesegl.pretrained import FACES, NAMES, on_disk
from facesegl.sources.drawn import DrawnFaces
from helpers.calling import SMALL, SMALL_UNET, assert_reported, call, succeed
from helpers.faces import FASSEG6, draw_mask, draw_photo
from helpers.trainings import net_of_faces
from helpers.trees import save, write_celebamask

DATA = ["data=synthetic", "data.source.train=4", "data.source.test=2", "data.source.height=48", "data.folds=2"]


@pytest.fixture(scope="module")
def photo():
    return draw_photo(draw_mask(0, 48, 40), 0)


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_half_precision_on_disk_and_float32_in_memory(name):
    with safe_open(on_disk(Path(name)), framework="pt") as file:
        kinds = {file.get_tensor(key).dtype for key in file.keys()}  # noqa: SIM118 - not a dictionary
    assert kinds == {torch.float16, torch.int64}  # the latter counts the batches of batch norm
    assert {weight.dtype for weight in load_net(name).state_dict().values()} == {torch.float32, torch.int64}
    assert next(SegmentationModule.load_from_checkpoint(name).parameters()).dtype == torch.float32


def test_all_weights_together_take_less_than_six_megabytes_and_have_no_path_of_a_machine():
    assert sum(on_disk(Path(name)).stat().st_size for name in NAMES) <= 6e6
    assert (*read_card(FACES)["taxonomy"]["classes"],) == FASSEG6.names
    for name in NAMES:
        assert str(Path(pretrained.__file__).parents[2]).encode() not in on_disk(Path(name)).read_bytes()


def test_they_are_the_default_of_the_predictor(photo):
    default, named = Predictor(), Predictor(FACES)
    assert default.models[0].name == FACES
    assert (default(photo).probabilities == named(photo).probabilities).all()


def test_photos_alone_are_predicted_with_them(photo):
    save(photo, Path("photos/anna.png"))
    shown = succeed("predict", "photos", "-o", "plain")
    assert FACES in shown.err.splitlines()[0]
    assert "no model given" not in succeed("predict", FACES, "photos", "-o", "named").err
    plain, named = (Path(folder, "anna.png").read_bytes() for folder in ("plain", "named"))
    assert plain == named


def _icon(seed):
    """Flat shapes of random colours."""
    rng = np.random.default_rng(seed)
    icon = np.full((96, 80, 3), rng.integers(0, 256, 3), np.uint8)
    for top, left in rng.integers(0, 60, (5, 2)):
        icon[top : top + 25, left : left + 18] = rng.integers(0, 256, 3)
    return icon


@pytest.mark.skipif("unlike_below" not in read_card(FACES), reason="these weights have no threshold")
def test_they_warn_of_most_images_without_a_face_and_of_few_faces(caplog):
    faces = DrawnFaces(20, 256)
    for number, sample in enumerate(faces.samples()):
        save(faces.read(sample, FASSEG6)[0], Path(f"faces/{number}.png"))
        save(_icon(number), Path(f"icons/{number}.png"))
    warned = {}
    for folder in ("faces", "icons"):
        succeed("predict", FACES, folder, "-o", f"{folder}-masks")
        rows = csv.DictReader(Path(f"{folder}-masks/predictions.csv").read_text(encoding="utf-8").splitlines())
        warned[folder] = sum(float(row["familiarity"]) < Predictor().unlike_below for row in rows)
    assert warned["faces"] <= 2
    assert warned["icons"] >= 14
    assert f"{warned['icons']} of 20 photos are unlike the faces that {FACES} was trained on" in caplog.text


def test_info_names_them_and_not_their_file():
    about = json.loads(succeed("info", FACES, "--json").out)
    assert (about["file"], about["bytes"]) == (FACES, on_disk(Path(FACES)).stat().st_size)


@pytest.mark.slow
def test_they_are_scored_compared_and_reported_on_data_that_the_command_names():
    scored = facesegl.evaluate(FACES, *DATA)
    assert scored.scored == [FACES]
    assert scored.folder.parent == Path("runs/evaluate")
    assert "test_clean" in scored.scores
    shutil.copy(on_disk(Path(FACES)), "copy.safetensors")
    compared = json.loads(succeed("compare", FACES, "copy.safetensors", *DATA, "--json").out)
    assert [model["path"] for model in compared["models"]] == [FACES, "copy.safetensors"]
    succeed("report", scored.folder, *DATA)
    assert "No photos are shown" not in Path(scored.folder, "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_they_are_exported_with_faces_drawn_for_the_comparison(photo):
    succeed("export", FACES, "-o", "faces.onnx", "data.source.train=4", "data.source.height=48")
    assert json.loads(Path("faces.parity.json").read_text())["checkpoint"]["file"] == FACES
    assert (Predictor("faces.onnx")(photo).index == Predictor()(photo).index).mean() > 0.999


def test_half_precision_is_for_weights_and_certified(photo):
    save(photo, Path("photos/anna.png"))
    assert_reported(call("export", FACES, "-o", "a.onnx", "--half"), 2, ["--half: a.onnx", "is for .safetensors"])
    succeed("export", FACES, "-o", "a.safetensors", "--half", "--photos", "photos")
    assert json.loads(Path("a.safetensors.parity.json").read_text())["precision"] == "float16"
    assert read_card("a.safetensors") == read_card(FACES)


@pytest.mark.parametrize("start", [FACES, "auto"])
def test_a_training_starts_from_them_and_keeps_their_normalisation(start, caplog):
    with caplog.at_level(logging.INFO, "facesegl"):
        run = facesegl.train(*DATA, *SMALL, *net_of_faces(), "optimizer.lr=0", "logger=none", f"init={start}")
    assert f"tensors and the normalisation from {FACES}; not loaded: none" in caplog.text
    assert read_card(run.folder)["normalisation"] == read_card(FACES)["normalisation"]
    ours, theirs = (dict(load_net(path).named_parameters()) for path in (run.folder / "checkpoints/last.ckpt", FACES))
    for name, weight in theirs.items():
        torch.testing.assert_close(ours[name], weight)


def test_a_training_keeps_the_normalisation_of_any_weights_it_starts_from_and_otherwise_has_that_of_its_photos():
    first, second = (facesegl.train(*DATA, *SMALL_UNET, f"data.fold={fold}").folder for fold in ("null", 0))
    third = facesegl.train(*DATA, *SMALL_UNET, "data.fold=0", f"init={first}").folder
    normalisations = [read_card(folder)["normalisation"] for folder in (first, second, third)]
    assert normalisations[0] == normalisations[2] != normalisations[1]
    one, other = (load_net(folder / "checkpoints/last.ckpt") for folder in (first, third))
    assert torch.equal(one.mean, other.mean)


def test_init_auto_starts_from_random_weights_where_they_do_not_fit_and_says_so(caplog):
    with caplog.at_level(logging.INFO, "facesegl"):
        facesegl.train(*DATA, *SMALL, "model.channels=3", "init=auto")
    assert [message for message in caplog.messages if message.startswith("init")] == [
        f"init=auto: random weights, since this net differs from that of {FACES}"
    ]
    write_celebamask("data/CelebAMask-HQ")
    caplog.clear()
    with caplog.at_level(logging.INFO, "facesegl"):
        facesegl.train("data=celebamask_hq", *SMALL, "data.image_size=32", *net_of_faces(), "init=auto")
    (line,) = [message for message in caplog.messages if message.startswith("init")]
    assert f"these data have other classes than {FACES}" in line


def test_the_head_is_left_out_for_other_classes(caplog):
    write_celebamask("data/CelebAMask-HQ")
    with caplog.at_level(logging.INFO, "facesegl"):
        facesegl.train("data=celebamask_hq", *SMALL, "data.image_size=32", *net_of_faces(), f"init={FACES}")
    assert f"normalisation from {FACES}; not loaded: head.weight, head.bias" in caplog.text


# what goes wrong


def test_an_unknown_name_is_one_error_with_the_names_that_exist(photo):
    save(photo, Path("anna.png"))
    message = ["facesegl:face: no such weights", f"expected {FACES}"]
    for words in (["predict", "anna.png", "-o", "out"], ["info"], ["evaluate"], ["export", "-o", "a.onnx"]):
        assert_reported(call(words[0], "facesegl:face", *words[1:]), 4, message)
    assert_reported(call("compare", "facesegl:face", FACES, "data=synthetic"), 4, message)
    assert_reported(call("train", *DATA, *SMALL, "init=facesegl:face"), 4, message)
    assert not Path("runs").exists()


def test_a_file_of_the_name_is_named_by_its_path():
    shutil.copy(on_disk(Path(FACES)), FACES)
    Path(FACES).rename("copy")
    Path(FACES).write_text("no model")
    assert succeed("info", FACES).code == 0
    assert_reported(call("info", f"./{FACES}"), 4, [f"/{FACES}: ", "not a checkpoint"])
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        Predictor(f"./{FACES}")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda file: file.unlink(), f"{FACES}: this installation of facesegl lacks their file, faces.safetensors"),
        (lambda file: file.write_bytes(file.read_bytes()[:-100]), f"{FACES}: cannot be read as safetensors"),
        (lambda file: file.write_bytes(b""), f"{FACES}: cannot be read as safetensors"),
    ],
)
def test_missing_or_damaged_weights_are_one_error(tmp_path, monkeypatch, spoil, message, photo):
    shutil.copytree(on_disk(Path(FACES)).parent, tmp_path / "weights")
    spoil(tmp_path / "weights" / "faces.safetensors")
    monkeypatch.setattr(pretrained, "_FOLDER", tmp_path / "weights")
    save(photo, Path("anna.png"))
    for words in (["info", FACES], ["predict", "anna.png", "-o", "out"], ["train", *DATA, *SMALL, "init=auto"]):
        assert_reported(call(*words), 4, [message, "nstall facesegl again"])


def test_they_are_not_scored_without_data_or_on_data_of_other_classes():
    assert_reported(call("evaluate", FACES), 2, [f"{FACES}: it comes without photos", "data=fasseg_v2"])
    write_celebamask("data/CelebAMask-HQ")
    other = ["l_eye", "trained on background, skin, hair, nose, eyes, mouth", "celebamask_hq_as_fasseg"]
    assert_reported(call("evaluate", FACES, "data=celebamask_hq"), 2, other)
    assert np.isfinite(
        facesegl.evaluate(FACES, "data=celebamask_hq", "data/taxonomy=celebamask_hq_as_fasseg", "set=train").scores[
            "train"
        ]["scores"]["miou"]
    )
