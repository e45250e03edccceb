"""Trainings on custom folders: their photos are found again, and any number of classes works."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import facesegl
from facesegl.errors import ConfigError, DataError
from facesegl.prediction import Predictor
from helpers.calling import assert_reported, call, succeed
from helpers.trainings import SMALL_UNET
from helpers.trees import CVAT_LABELS, save, write_folders, write_many_classes

TAXONOMY = {
    "classes": {name: [*colour] for name, colour in CVAT_LABELS.items()},
    "pairs": [["left eye", "right eye"]],
}
QUICK = [*SMALL_UNET, "trainer.max_epochs=1", "logger=none"]
PANELS = [word for word in SMALL_UNET if word != "callbacks.panels=null"]
OWN = ["data=folder", "data.source.images=photos", "data.source.masks=masks", "data.taxonomy=my.yaml"]


@pytest.fixture
def own():
    write_folders(".", ["anna", "bob", "eve", "dan", "kim", "lea"])
    Path("my.yaml").write_text(json.dumps(TAXONOMY))


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A function that changes to another folder."""
    (tmp_path / "else where").mkdir()
    return lambda: monkeypatch.chdir(tmp_path / "else where")


def train(*overrides):
    result = facesegl.train(*OWN, *QUICK, *overrides)
    return result, (result.folder / "checkpoints" / "last.ckpt").absolute()


def test_the_record_around_a_checkpoint_has_the_paths_of_photos_and_lists(own, elsewhere):
    Path("lists").mkdir()
    Path("lists/exam.txt").write_text("anna\nbob\n")
    result, last = train("data.source.lists.test=lists/exam.txt", "data.fold=null")
    elsewhere()
    again = facesegl.evaluate(last, "panels=0", "device=cpu")
    assert again.scores == result.scores
    assert again.scores["test"]["scores"]["photos"] == 2


def test_the_log_of_a_run_lists_every_pair_of_unequal_names(own):
    for path in sorted(Path("masks").iterdir())[1:]:
        path.rename(path.with_stem(f"{path.stem}_mask"))
    ended = succeed("train", *OWN, *QUICK, "paths.run=runs/one")
    logged = Path("runs/one/log.txt").read_text()
    for text, times in ((ended.err, 5), (logged, 5)):
        assert text.count("paired: photos/") == times
    assert "paired: photos/bob.jpg: masks/bob_mask.png" in logged


def test_a_checkpoint_alone_asks_for_every_path_in_one_line(own, elsewhere, tmp_path):
    Path("exam.txt").write_text("anna\nbob\n")
    result, last = train("data.source.lists.test=exam.txt", "data.fold=null")
    shutil.copy(last, tmp_path / "alone.ckpt")
    elsewhere()
    asked = "data.source.lists.test=PATH data.source.images=PATH data.source.masks=PATH"
    with pytest.raises(ConfigError) as caught:
        facesegl.evaluate("../alone.ckpt")
    assert caught.value.problems == (
        "../alone.ckpt: model files do not contain the paths of their photos, and this one is not in its run folder; "
        f"give {asked}",
    )
    given = [
        word.replace("=PATH", f"={tmp_path}/{name}")
        for word, name in zip(asked.split(), ("exam.txt", "photos", "masks"), strict=True)
    ]
    again = facesegl.evaluate("../alone.ckpt", *given, "panels=0", "device=cpu")
    assert again.scores == result.scores


def test_the_new_path_of_moved_photos_is_asked_for(own, elsewhere, tmp_path):
    _, last = train()
    shutil.move("photos", "moved")
    shutil.move("masks", "moved too")
    elsewhere()
    with pytest.raises(DataError, match=r"photos: no such folder, though .*data.source.images=FOLDER"):
        facesegl.evaluate(last, "set=val")
    places = [f"data.source.images={tmp_path}/moved", f"data.source.masks={tmp_path}/moved too"]
    assert facesegl.evaluate(last, "set=val", "panels=0", *places, "device=cpu").scores["val"]


def test_other_folders_of_the_same_classes_need_no_file_of_them(own, elsewhere):
    _, last = train()
    elsewhere()
    write_folders(".", ["zoe", "yan"], images="new photos", masks="new masks")
    places = ["data.source.images=new photos", "data.source.masks=new masks"]
    scored = facesegl.evaluate(last, "data=folder", *places, "set=train", "data.fold=null", "panels=0", "device=cpu")
    assert scored.scores["train"]["scores"]["photos"] == 2
    assert [*scored.scores["train"]["scores"]["iou"]] == [*CVAT_LABELS]


def test_fasseg_in_a_folder_of_another_name_is_found_again_too(fasseg, elsewhere):
    shutil.move("data/fasseg", "my fasseg")
    result = facesegl.train("data=fasseg_v2", "data.source.root=my fasseg", "data.folds=3", *QUICK)
    last = (result.folder / "checkpoints" / "last.ckpt").absolute()
    elsewhere()
    assert facesegl.evaluate(last, "set=val", "panels=0", "device=cpu").scores == result.scores


def test_a_checkpoint_holds_the_classes_but_no_path(own):
    _, last = train("data.source.masks=./masks")
    card = torch.load(last, weights_only=True)["hyper_parameters"]
    source = card["data"]["values"]["source"]
    assert source["images"] == source["masks"] == "(a path)"
    assert source["lists"] == {"train": None, "val": None, "test": None}
    assert card["data"]["values"]["taxonomy"] == TAXONOMY
    assert facesegl.Taxonomy.from_mapping(card["taxonomy"]).pairs == (("left eye", "right eye"),)


@pytest.mark.parametrize("place", [{"images": "/etc"}, {"masks": "../.."}, {"lists": {"test": "/etc/passwd"}}])
def test_a_card_with_a_path_is_not_trusted(own, place):
    _, last = train()
    checkpoint = torch.load(last, weights_only=True)
    source = checkpoint["hyper_parameters"]["data"]["values"]["source"]
    source.update({key: {**source[key], **value} if isinstance(value, dict) else value for key, value in place.items()})
    torch.save(checkpoint, "crafted.ckpt")
    ended = call("evaluate", "crafted.ckpt", "set=val", "device=cpu")
    assert_reported(ended, 4, ["crafted.ckpt", "which facesegl never writes", "do not use this file"])
    assert "root:" not in ended.err


@pytest.mark.parametrize("folder", ["My Photos, 2024", "fötös", "a=b", "(x) [y] {z}", "100%", "1e3", "it's"])
def test_a_folder_name_with_special_characters_is_given_unchanged(own, folder):
    shutil.move("photos", folder)
    words = [word.replace("photos", folder) for word in OWN]
    assert "6 photos with a mask" in succeed("train", *words, *QUICK).err


@pytest.mark.parametrize("keys", [["data.source.masks=masks", "seed=0,1"], ["data.source.masks=masks,masks 2"]])
def test_a_sweep_takes_a_folder_with_a_comma_as_one_and_two_folders_as_two(own, keys):
    shutil.move("photos", "a, b")
    shutil.copytree("masks", "masks 2")
    succeed("train", "-m", "data=folder", "data.taxonomy=my.yaml", "data.source.images=a, b", *keys, *QUICK)
    assert len([*Path("runs").glob("*/*/[01]/result.json")]) == 2


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"my.yaml": '{"classes": {"a": [1, 2, 3], "b": [1, 2, 3]}}'}, 2, "a and b have the same colour"),
        (
            {"my.yaml": '{"classes": {"a": [1, 2, 3], "b": [4, 2, 3]}, "pairs": [["a", "c"]]}'},
            2,
            "data.taxonomy=my.yaml: pairs name c, whi",
        ),
        (
            {"my.yaml": "{classes: {a: [1, 2, 3], b: [4, 2, 3]}, remap: {0: c}}"},
            2,
            "data.taxonomy=my.yaml: remap maps to c, which",
        ),
        ({"my.yaml": "a: ["}, 2, "data.taxonomy=my.yaml: not YAML"),
        ({"my.yaml": None}, 2, "data.taxonomy=my.yaml: cannot be read"),
        ({"masks/anna.png": None}, 3, "photos/anna.jpg: a photo without a mask in masks"),
        ({"photos/anna.jpg": None}, 3, "masks/anna.png: a mask without a photo"),
        ({"masks/anna.png": "no picture"}, 3, "masks/anna.png: not an image"),
    ],
)
def test_each_mistake_is_reported_in_one_line(own, change, code, message):
    for name, content in change.items():
        Path(name).unlink() if content is None else Path(name).write_text(content)
    assert_reported(call("train", *OWN, *QUICK), code, message)


def test_a_mask_with_an_unknown_number_is_reported_with_its_file_and_the_remedy(own):
    mask = np.array(Image.open("masks/bob.png"))
    mask[:2] = 17
    save(mask, "masks/bob.png")
    message = "masks/bob.png: holds 17, which is no class: add it to `classes`, or to `remap`"
    assert_reported(call("train", *OWN, *QUICK), 3, message)
    Path("my.yaml").write_text(json.dumps({**TAXONOMY, "void": 17}))
    assert call("train", *OWN, *QUICK).code == 0


def test_masks_with_an_unknown_colour_are_reported(own):
    shutil.rmtree("masks")
    write_folders(".", ["anna", "bob"], colours=[(255, 0, 0), *[*CVAT_LABELS.values()][1:]])
    for name in ("eve", "dan", "kim", "lea"):
        Path(f"photos/{name}.jpg").unlink()
    message = "2 masks hold (255, 0, 0), which is not the colour of a class: add it to `classes`"
    ended = call("train", *OWN, *QUICK, "data.fold=null")
    assert_reported(ended, 3, [message, "masks/anna.png, masks/bob.png."])


def test_a_photo_and_its_mask_of_two_sizes_are_left_out_with_what_it_may_be(own):
    photo = Image.open("photos/bob.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save("photos/bob.jpg", exif=exif)  # the mask was drawn on the pixels as they are stored
    reported = "masks/bob.png: the mask is 40x48, its photo 48x40 (labelled on the photo without its EXIF rotation?"
    assert reported in succeed("train", *OWN, *QUICK).err


def test_sides_without_pairs_are_warned_of_once(own):
    Path("my.yaml").write_text(json.dumps({"classes": TAXONOMY["classes"]}))
    ended = call("train", *OWN, *QUICK)
    assert ended.err.count("left eye and right eye look like left and right of the same part") == 1
    assert "`pairs: [[left eye, right eye]]`" in ended.err
    Path("my.yaml").write_text(json.dumps({"classes": TAXONOMY["classes"], "pairs": []}))
    assert "look like left and right" not in call("train", *OWN, *QUICK).err


def test_a_missing_list_and_two_photos_of_one_name_are_reported(own):
    save(np.zeros((48, 40, 3), np.uint8), "photos/anna.png")
    ended = call("train", *OWN, *QUICK, "data.source.lists.test=nowhere.txt")
    assert_reported(
        ended, 3, "photos/anna.jpg and photos/anna.png: photos with the same name", "nowhere.txt: no such file"
    )


def test_unknown_keys_are_reported_with_the_nearest(own):
    wrong = ["data.source.grop=x", "data.source.lists.tset=a.txt", "data.source.kind=colours"]
    assert_reported(
        call("train", *OWN, *QUICK, *wrong),
        2,
        "data.source.kind: 'colours' is not 'auto', 'colour', 'index', 'parts' or 'probabilities'",
        ["data.source.lists.tset: ", "did you mean test?"],
        ["data.source.grop: ", "did you mean group?"],
    )


@pytest.mark.parametrize("classes", [2, 8, 9, 17, 40])
def test_any_number_of_classes_works(classes):
    write_many_classes(".", classes)
    words = [*OWN[:3], "data.taxonomy=many.yaml", "data.source.shares.test=0.3"]
    result = facesegl.train(*words, *PANELS, "trainer.max_epochs=2", "callbacks.panels.every=1")
    assert len(result.scores["val"]["scores"]["confusion"]) == classes
    assert list((result.folder / "panels").glob("*.png"))
    scored = facesegl.evaluate(result.folder, "panels=2", "device=cpu")
    assert len(scored.scores["test"]["scores"]["iou"]) == classes
    predicted = Predictor(result.folder / "checkpoints" / "last.ckpt", device="cpu")(np.zeros((50, 30, 3), np.uint8))
    assert predicted.index.shape == (50, 30)
    assert predicted.index.max() < classes
