import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from facesegl.command_line import paths_and_keys
from facesegl.commands.data_check import check_data, report_of, verdicts
from facesegl.errors import ConfigError, DataError, MachineError
from facesegl.reporting.checkup_table import check_table
from helpers.calling import assert_reported, call, printed, train
from helpers.faces import write_faces
from helpers.trees import CVAT_LABELS, write_folders


def shown(checkups):
    return printed(check_table(checkups), width=100)


@pytest.fixture
def root(fasseg):
    write_faces(fasseg.parent / "V1", train=4, test=2)
    return fasseg.parent


def test_every_version_in_a_folder_is_checked(root):
    checkups = check_data(root)
    assert [checkup.facts.name for checkup in checkups] == ["fasseg_v1", "fasseg_v2"]
    assert [len(checkup.facts.photos) for checkup in checkups] == [6, 9]
    assert all(name in shown(checkups) for name in ("fasseg_v1", "fasseg_v2"))


def test_one_version_can_be_chosen_or_its_folder_given(root, monkeypatch):
    assert [checkup.facts.name for checkup in check_data(root, version="V1")] == ["fasseg_v1"]
    assert [checkup.facts.name for checkup in check_data(root / "V2")] == ["fasseg_v2"]
    monkeypatch.chdir(root / "V2")
    assert [checkup.facts.name for checkup in check_data(Path())] == ["fasseg_v2"]


def test_data_chosen_by_keys_are_checked_as_training_would_use_them(fasseg):
    (Path("data") / "fasseg" / "V2" / "Train_RGB" / "1.bmp").write_bytes(b"")
    (checkup,) = check_data(None, ["data=fasseg_v2", "data.strict=true"])
    assert checkup.facts.strict
    assert checkup.wrong
    (verdict,) = verdicts([checkup])
    assert verdict.startswith("fasseg_v2: FAIL: do not train on this yet (1 error")


def test_synthetic_faces_have_no_problems_but_parts_that_a_pose_or_strands_of_hair_hide():
    keys = ["data=synthetic", "data.source.train=5", "data.source.test=2", "data.source.height=256"]
    (checkup,) = check_data(None, keys)
    assert {finding.check for finding in checkup.findings} <= {"anatomy", "inexact", "shares", "specks"}
    assert verdicts([checkup]) == []
    assert not Path("cache").exists()


def test_missing_data_chosen_by_keys_are_a_finding():
    (checkup,) = check_data(None, ["data=fasseg_v2"])
    assert checkup.wrong
    assert "data/fasseg/V2: no such folder" in shown([checkup])


def test_the_json_report_says_whether_to_train(root):
    shutil.copy(root / "V2" / "Train_RGB" / "1.bmp", root / "V2" / "Test_RGB" / "3.bmp")
    report = json.loads(json.dumps(report_of(check_data(root)), allow_nan=False))
    assert (report["schema"], report["wrong"]) == (1, False)
    leaked = [finding for finding in report["data"][1]["findings"] if finding["check"] == "identical_across"]
    assert [case["photos"] for case in leaked[0]["cases"]] == [["test/3", "train/1"]]


def test_masks_saved_as_jpeg_are_detected(root):
    for path in (root / "V2" / "Train_Labels").iterdir():
        Image.open(path).save(path, format="JPEG", quality=60)
    (checkup,) = check_data(root, version="V2")
    assert "Masks saved as JPEG" in shown([checkup])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda path: None,
            "no such folder; expected the folder of FASSEG. Get it with .facesegl data download faces.",
        ),
        (lambda path: path.write_text("x"), "a file; expected the folder of FASSEG"),
        (lambda path: path.mkdir(), "an empty folder; .*data=folder data.source.images=FOLDER"),
        (lambda path: (path / "images").mkdir(parents=True), "neither V1, V2 nor V3 in it"),
    ],
)
def test_a_folder_without_fasseg_is_reported(make, message):
    make(Path("faces"))
    with pytest.raises(DataError, match=f"^faces: .*{message}"):
        check_data(Path("faces"))


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"version": "V3"}, DataError, "no V3 in it, only V1 and V2"),
        ({"root": Path("data/fasseg/V2"), "version": "V1"}, DataError, "no V1 in it, only V2"),
        ({"version": "v4"}, ConfigError, "--version v4: no such version"),
        ({"overrides": ["data=synthetic"]}, ConfigError, "a folder and data=synthetic"),
        ({"root": None, "version": "V2"}, ConfigError, "--version V2: no folder given"),
    ],
)
def test_versions_folders_and_keys_that_do_not_fit_together_are_reported(root, how, error, message):
    with pytest.raises(error, match=message):
        check_data(**{"root": root, **how})


def test_a_folder_without_read_permission_is_a_machine_error(root, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, how: False)  # root may read everything
    with pytest.raises(MachineError, match="no permission to read it"):
        check_data(root)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["data=syntetic"], "did you mean synthetic"),
        (["data.source.vershion=V1"], "did you mean version"),
        (["model=unet"], "data check works on data alone"),
        (["trainer.max_epochs=3"], "data check works on data alone"),
        (["sed=3"], "there is no such key; did you mean seed"),
        (["data.taxonomy=nowhere.yaml"], "nowhere.yaml: cannot be read"),
    ],
)
def test_wrong_keys_are_reported_before_anything_is_read(keys, message):
    with pytest.raises(ConfigError, match=message):
        check_data(None, keys)


def test_two_folders_are_your_own_photos_and_masks():
    keys = "data=folder data.source.images='my photos' data.source.masks=masks data.taxonomy=FILE.yaml"
    assert_reported(call("data", "check", "my photos", "masks"), 2, ["expected one folder, of FASSEG", keys])


def test_swapped_folders_are_one_problem():
    write_folders(".", ["anna", "bob", "eve"])
    classes = {name: [*colour] for name, colour in CVAT_LABELS.items()}
    Path("my.yaml").write_text(json.dumps({"classes": classes, "pairs": [["left eye", "right eye"]]}))
    keys = ["data=folder", "data.source.images=masks", "data.source.masks=photos", "data.taxonomy=my.yaml"]
    message = ["photos/anna", "not a mask, but masks/anna", "photos and masks are swapped"]
    assert_reported(train(*keys), 3, message)
    (checkup,) = check_data(None, keys)
    ((case,),) = [finding.cases for finding in checkup.findings]
    assert all(part in case.words for part in message)


@pytest.mark.parametrize(
    ("data", "page"), [("lapa", "lapa-dataset"), ("celebamask_hq", "CelebAMask-HQ"), ("helen", "face-parsing")]
)
def test_a_large_data_set_that_is_not_there_names_its_page(data, page):
    images, masks, where = train(f"data={data}").lines("error")
    assert "data.source.images=FOLDER" in images
    assert "data.source.masks=FOLDER" in masks
    assert where.startswith(f"error: {data}: download it from https://")
    assert f"/{page}, and unpack it below paths.data" in where


@pytest.mark.slow
def test_v2_names_the_six_leaked_pairs_and_how_much_was_guessed(real_fasseg):
    (checkup,) = check_data(real_fasseg, version="V2")
    found = {finding.check: finding for finding in checkup.findings}
    pairs = {case.photos for case in found["identical_across"].cases}
    known = ((15, 26), (16, 17), (17, 13), (18, 20), (19, 23), (20, 44))
    assert pairs == {(f"test/{test}", f"train/{train}") for train, test in known}
    assert found["inexact"].what.startswith("2.26 % of the pixels of train and 2.37 % of the pixels of test")
    alike = {case.photos for case in found["alike_across"].cases}
    assert alike == {("test/1", "train/3"), ("test/3", "train/1"), ("test/5", "train/6")}
    assert len(found["persons"].cases) == 6
    assert not checkup.wrong


def test_too_few_persons_for_the_folds_are_an_error():
    keys = ["data=synthetic", "data.source.train=3", "data.source.test=2", "data.source.height=256"]
    (checkup,) = check_data(None, keys)
    (found,) = [finding for finding in checkup.findings if finding.check == "folds"]
    assert found.what == "3 persons or groups to train on, but data.folds=5"
    assert "data.folds=3" in found.remedy
    assert checkup.wrong
    for enough in ("data.folds=3", "data.fold=null"):
        (checkup,) = check_data(None, [*keys, enough])
        assert not checkup.wrong


def test_two_copies_of_a_photo_are_one_person_for_the_folds_too(tmp_path):
    v2 = write_faces(tmp_path / "data" / "fasseg" / "V2", train=5, test=1)
    shutil.copy(v2 / "Train_RGB" / "1.bmp", v2 / "Train_RGB" / "2.bmp")
    (checkup,) = check_data(None, ["data=fasseg_v2"])
    assert "4 persons or groups to train on, but data.folds=5" in [finding.what for finding in checkup.findings]
    assert_reported(train(), 3, "the training photos are of 4 persons or groups")


def test_a_run_whose_folder_looks_like_a_key_is_a_path_and_a_nested_group_is_a_key():
    Path("seed=1").mkdir()
    assert paths_and_keys(["seed=1"]) == ([], ["seed=1"])  # a folder alone is no run
    Path("seed=1/result.json").write_text("{}")
    assert paths_and_keys(["seed=1", "seed=2"]) == (["seed=1"], ["seed=2"])
    assert paths_and_keys(["data/fasseg", "data/taxonomy=lapa", "+data/taxonomy@data.x=lapa", "a/b=c"]) == (
        ["data/fasseg", "a/b=c"],
        ["data/taxonomy=lapa", "+data/taxonomy@data.x=lapa"],
    )
