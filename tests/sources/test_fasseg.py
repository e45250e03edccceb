import logging
import shutil

import pytest

from facesegl.errors import DataError
from facesegl.sources import FASSEG
from helpers.faces import write_faces, write_pair


def test_photos_come_in_natural_order_with_readable_ids(tmp_path):
    write_faces(tmp_path / "V2", train=11, test=2)
    samples = FASSEG(str(tmp_path), "V2").samples()
    assert [sample.id for sample in samples][:3] == ["train/1", "train/2", "train/3"]
    assert [sample.id for sample in samples][9:] == ["train/10", "train/11", "test/1", "test/2"]
    assert all(sample.photo.stem == sample.mask.stem for sample in samples)


def test_likely_shots_of_one_person_share_a_group(tmp_path):
    write_faces(tmp_path / "V2", train=10, test=8)
    group = {sample.id: sample.group for sample in FASSEG(str(tmp_path), "V2").samples()}
    assert group["test/3"] == group["train/1"] == "train/1"
    assert group["test/8"] == "train/10"
    assert len({group[f"train/{number}"] for number in range(1, 11)}) == 10


def test_v3_is_read_in_its_own_layout(tmp_path, caplog):
    pair = tmp_path / "pair"
    write_pair(pair, "Train", "x", 0)
    for split, pose, person in (("Train", "-45", "01"), ("Train", "0", "01"), ("Test", "+30", "08")):
        for kind in ("RGB", "labels"):  # a small l here
            name = f"personne{person}146+0{pose if pose != '0' else '+0'}.bmp"
            target = tmp_path / "V3" / f"{split}_{kind}" / pose / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(pair / f"Train_{'RGB' if kind == 'RGB' else 'Labels'}" / "x.bmp", target)
    shutil.copy(target, tmp_path / "V3" / "Test_RGB" / "+30" / "personne09146+0+30.bmp")
    (tmp_path / "V3" / "Test_RGB" / "README.md").write_text("stray")
    with caplog.at_level(logging.INFO):
        samples = FASSEG(str(tmp_path), "V3").samples()
    assert [(sample.id, sample.group) for sample in samples] == [
        *((f"train/{pose}/personne01146", "person 01") for pose in ("-45", "0")),
        ("test/+30/personne08146", "person 08"),
    ]
    assert samples[2].tags == ("pose=+30",)
    assert "1 test photos have no mask" in caplog.text
    assert "personne09146" in caplog.text


def test_unicode_digits_in_names_are_accepted(tmp_path):
    for name in ("²", "1²", "٣"):
        write_pair(tmp_path / "V2", "Train", name, 0)
    assert len(FASSEG(str(tmp_path), "V2").samples()) == 3


def test_a_test_split_may_be_absent(tmp_path):
    write_faces(tmp_path / "V2", train=2, test=0)
    assert {sample.split for sample in FASSEG(str(tmp_path), "V2").samples()} == {"train"}


def test_everything_unpaired_is_reported_at_once(tmp_path):
    write_faces(tmp_path / "V2", train=4)
    (tmp_path / "V2" / "Train_Labels" / "1.bmp").unlink()
    (tmp_path / "V2" / "Train_RGB" / "2.bmp").unlink()
    (tmp_path / "V2" / "Test_RGB" / "3.bmp").unlink()
    with pytest.raises(DataError) as caught:
        FASSEG(str(tmp_path), "V2").samples()
    assert len(caught.value.problems) == 3
    assert "Train_RGB/1.bmp: a training photo without a mask" in str(caught.value)
    assert "Train_Labels/2.bmp: a mask without a photo" in str(caught.value)
    assert "Test_Labels/3.bmp: a mask without a photo" in str(caught.value)


@pytest.mark.parametrize(("there", "message"), [(False, "does not exist"), (True, "has other files")])
def test_a_missing_folder_suggests_the_download(tmp_path, there, message):
    if there:
        (tmp_path / "fasseg").mkdir()
    with pytest.raises(DataError, match=message) as caught:
        FASSEG(str(tmp_path / "fasseg"), "V2").samples()
    assert "facesegl data download" in str(caught.value)
    assert "paths.data" in str(caught.value)


def test_an_empty_folder_is_named(tmp_path):
    (tmp_path / "V2").mkdir()
    with pytest.raises(DataError, match=r"V2: no training photos; expected \.bmp files in Train_RGB"):
        FASSEG(str(tmp_path), "V2").samples()
