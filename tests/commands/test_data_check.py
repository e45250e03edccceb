import io
import json
import os
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from facesegl.arguments import paths_and_keys
from facesegl.commands.data_check import check_data, check_table, report_of, verdicts
from facesegl.errors import ConfigError, DataError, MachineError
from helpers.calling import SMALL_UNET, assert_reported, call
from helpers.faces import write_faces


def shown(checkups):
    console = Console(file=io.StringIO(), width=100)
    console.print(check_table(checkups))
    return console.file.getvalue()


@pytest.fixture
def root(fasseg):
    write_faces(fasseg.parent / "V1", train=4, test=2)
    return fasseg.parent


def test_every_version_below_a_folder_is_looked_at(root):
    checkups = check_data(root)
    assert [checkup.facts.name for checkup in checkups] == ["fasseg_v1", "fasseg_v2"]
    assert [len(checkup.facts.photos) for checkup in checkups] == [6, 9]
    assert all(name in shown(checkups) for name in ("fasseg_v1", "fasseg_v2"))


def test_one_version_can_be_chosen(root):
    (checkup,) = check_data(root, version="V1")
    assert checkup.facts.name == "fasseg_v1"


def test_a_versions_own_folder_will_do(root, monkeypatch):
    assert [checkup.facts.name for checkup in check_data(root / "V2")] == ["fasseg_v2"]
    monkeypatch.chdir(root / "V2")
    assert [checkup.facts.name for checkup in check_data(Path())] == ["fasseg_v2"]


def test_data_that_keys_choose_are_looked_at_as_training_would_have_them(fasseg):
    (Path("data") / "fasseg" / "V2" / "Train_RGB" / "1.bmp").write_bytes(b"")
    (checkup,) = check_data(None, ["data=fasseg_v2", "data.strict=true"])
    assert checkup.facts.strict
    assert checkup.wrong
    (verdict,) = verdicts([checkup])
    assert verdict.startswith("fasseg_v2: training would be wrong (1 error")


def test_drawn_faces_are_as_they_should_be():
    keys = ["data=synthetic", "data.source.train=5", "data.source.test=2", "data.source.height=256"]
    (checkup,) = check_data(None, keys)
    assert {finding.check for finding in checkup.findings} <= {"inexact", "shares"}
    assert verdicts([checkup]) == []
    assert not Path("cache").exists()


def test_data_that_are_not_there_are_a_finding_where_keys_choose_them():
    (checkup,) = check_data(None, ["data=fasseg_v2"])
    assert checkup.wrong
    assert "data/fasseg/V2: no such folder" in shown([checkup])


def test_the_report_is_json_that_says_whether_training_would_be_wrong(root):
    shutil.copy(root / "V2" / "Train_RGB" / "1.bmp", root / "V2" / "Test_RGB" / "3.bmp")
    report = json.loads(json.dumps(report_of(check_data(root)), allow_nan=False))
    assert (report["schema"], report["wrong"]) == (1, False)
    leaked = [finding for finding in report["data"][1]["findings"] if finding["check"] == "identical_across"]
    assert [case["photos"] for case in leaked[0]["cases"]] == [["test/3", "train/1"]]


def test_masks_saved_as_jpeg_are_seen(root):
    for path in (root / "V2" / "Train_Labels").iterdir():
        Image.open(path).save(path, format="JPEG", quality=60)
    (checkup,) = check_data(root, version="V2")
    assert "Masks saved as JPEG" in shown([checkup])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such folder; expected the folder of FASSEG"),
        (lambda path: path.write_text("x"), "a file; expected the folder of FASSEG"),
        (lambda path: path.mkdir(), "holds nothing, not V1 or V2 or V3"),
        (lambda path: (path / "images").mkdir(parents=True), "other things, but not V1 or V2 or V3"),
    ],
)
def test_a_folder_that_is_none_of_fassegs_is_told(make, message):
    make(Path("faces"))
    with pytest.raises(DataError, match=f"^faces: .*{message}"):
        check_data(Path("faces"))


def test_other_data_are_told_how_to_be_looked_at():
    Path("faces").mkdir()
    with pytest.raises(DataError, match=re.escape("facesegl data check data=folder data.source.images=FOLDER")):
        check_data(Path("faces"))


def test_a_version_that_is_not_there_is_told_with_those_that_are(root):
    with pytest.raises(DataError, match="V3 is not there; there are V1 and V2"):
        check_data(root, version="V3")
    with pytest.raises(DataError, match="V1 is not there; there is V2"):
        check_data(root / "V2", version="V1")
    with pytest.raises(ConfigError, match="--version v4: no such version"):
        check_data(root, version="v4")


def test_a_folder_that_may_not_be_read_is_the_machines_fault(root, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, how: False)  # root may read everything
    with pytest.raises(MachineError, match="no permission to read it"):
        check_data(root)


def test_a_folder_and_keys_contradict_each_other(root):
    with pytest.raises(ConfigError, match=r"a folder beside data=synthetic"):
        check_data(root, ["data=synthetic"])


def test_a_version_needs_its_folder():
    with pytest.raises(ConfigError, match="--version V2: a version of what"):
        check_data(None, version="V2")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["data=syntetic"], "did you mean synthetic"),
        (["data.source.vershion=V1"], "did you mean version"),
        (["model=unet"], "data check looks at the data alone"),
        (["trainer.max_epochs=3"], "data check looks at the data alone"),
        (["sed=3"], "there is no such key; did you mean seed"),
        (["data.taxonomy=nowhere.yaml"], "nowhere.yaml: cannot be read"),
    ],
)
def test_keys_that_are_wrong_are_told_before_anything_is_read(keys, message):
    with pytest.raises(ConfigError, match=message):
        check_data(None, keys)


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


def test_too_few_persons_for_the_folds_are_told_before_training_refuses():
    keys = ["data=synthetic", "data.source.train=3", "data.source.test=2", "data.source.height=256"]
    (checkup,) = check_data(None, keys)
    (found,) = [finding for finding in checkup.findings if finding.check == "folds"]
    assert found.what == "3 persons or groups to learn from, and data.folds=5"
    assert "data.folds=3" in found.remedy
    assert checkup.wrong
    for enough in ("data.folds=3", "data.fold=null"):
        (checkup,) = check_data(None, [*keys, enough])
        assert not checkup.wrong


def test_a_photo_that_stands_twice_is_one_person_for_the_folds_too(tmp_path):
    v2 = write_faces(tmp_path / "data" / "fasseg" / "V2", train=5, test=1)
    shutil.copy(v2 / "Train_RGB" / "1.bmp", v2 / "Train_RGB" / "2.bmp")
    (checkup,) = check_data(None, ["data=fasseg_v2"])
    assert "4 persons or groups to learn from, and data.folds=5" in [finding.what for finding in checkup.findings]
    assert_reported(call("train", *SMALL_UNET), 3, "the training photos are of 4 persons or groups")


def test_run_whose_folder_looks_like_a_key_is_a_path(tmp_path):
    Path("seed=1").mkdir()
    assert paths_and_keys(["seed=1"]) == ([], ["seed=1"])  # a folder alone is no run
    Path("seed=1/result.json").write_text("{}")
    assert paths_and_keys(["seed=1", "seed=2"]) == (["seed=1"], ["seed=2"])


def test_groups_of_groups_are_keys_and_no_folders(tmp_path):
    assert paths_and_keys(["data/fasseg", "data/taxonomy=lapa", "+data/taxonomy@data.x=lapa", "a/b=c"]) == (
        ["data/fasseg", "a/b=c"],
        ["data/taxonomy=lapa", "+data/taxonomy@data.x=lapa"],
    )
