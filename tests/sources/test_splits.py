from pathlib import Path

import pytest

from facesegl.errors import ConfigError, DataError
from facesegl.sources.listing import Found
from facesegl.sources.splits import Lists, require_shares, split_by_shares, split_folders

PHOTOS = [Found(Path(f"{name}.jpg"), name) for name in ("anna 1", "a/bob", "b/bob", "c/eve", "100032540_1", "ä,b")]


def assigned(tmp_path, **lists):
    files = {}
    for split, text in lists.items():
        files[split] = tmp_path / f"{split}.txt"
        files[split].write_text(text, encoding="utf-8")
    split_of, problems = Lists(files).assign(PHOTOS)
    return {PHOTOS[place].name: split for place, split in sorted(split_of.items())}, problems


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("anna 1", "anna 1"),
        ("anna 1.jpg", "anna 1"),
        ('"anna 1"', "anna 1"),
        ("ANNA 1.JPG", "anna 1"),
        ("a/bob", "a/bob"),
        ("a\\bob.png", "a/bob"),
        ("images/a/bob.jpg", "a/bob"),
        ("/data/faces/images/a/bob.jpg", "a/bob"),
        ("eve", "c/eve"),
        ("1 , 100032540_1", "100032540_1"),
        ("eve.jpg labels/eve.png", "c/eve"),
        ("ä,b", "ä,b"),
    ],
)
def test_a_line_names_a_photo_in_any_usual_way(tmp_path, line, name):
    found, problems = assigned(tmp_path, train=f"# a comment\n\n{line}\n")
    assert found == {name: "train"}
    assert problems == []


@pytest.mark.parametrize("line", ["bob", "x/eve", "anna", "anna 1 2", "2 , x", "100032540_1 , 1"])
def test_a_line_that_matches_no_single_photo_is_reported_with_its_number(tmp_path, line):
    found, problems = assigned(tmp_path, test=f"c/eve\n{line}\n")
    assert found["c/eve"] == "test"
    assert problems == [f"{tmp_path / 'test.txt'}:2: {line} matches no photo; correct it or remove the line."]


def test_only_without_a_training_list_are_all_other_photos_for_training(tmp_path):
    found, _ = assigned(tmp_path, test="c/eve\n")
    assert found == {photo.name: "test" if photo.name == "c/eve" else "train" for photo in PHOTOS}
    assert assigned(tmp_path, train="anna 1", test="c/eve")[0] == {"anna 1": "train", "c/eve": "test"}


def test_all_problems_with_lists_are_reported_at_once(tmp_path):
    (tmp_path / "empty.txt").write_text("# nothing\n")
    lists = {"train": tmp_path / "train.txt", "val": tmp_path / "empty.txt", "test": tmp_path / "nowhere.txt"}
    (tmp_path / "train.txt").write_text("nobody\n")
    _, problems = Lists(lists).assign(PHOTOS)
    assert len(problems) == 3
    assert "train.txt:1: nobody matches no photo" in problems[0]
    assert "empty.txt: empty" in problems[1]
    assert "nowhere.txt: no such file" in problems[2]


def test_a_photo_on_two_lists_is_reported(tmp_path):
    _, problems = assigned(tmp_path, train="anna 1\nc/eve", test="eve.jpg")
    assert problems == [f"{tmp_path / 'test.txt'}:1: eve.jpg is also on the list of train; remove it there."]


def test_many_wrong_lines_are_truncated_with_their_number(tmp_path):
    _, problems = assigned(tmp_path, test="\n".join(f"nobody {number}" for number in range(100)))
    assert len(problems) == 6
    assert problems[5] == f"... and 95 more entries of {tmp_path / 'test.txt'} that match no photo."


def test_a_list_for_an_unknown_split_is_an_error():
    with pytest.raises(ConfigError, match="tset is not a split; expected train, val, test"):
        Lists({"tset": "a.txt"})


# folders


def folders(tmp_path, *names):
    for name in names:
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def test_subfolders_named_after_splits_are_the_splits(tmp_path):
    found = split_folders(folders(tmp_path, "Training", "validation", "TEST", "other"), "key")
    assert [(split, path.name) for split, path in found.items()] == [
        *(("train", "Training"), ("val", "validation"), ("test", "TEST"))
    ]
    assert split_folders(tmp_path / "other", "key") == {None: tmp_path / "other"}


def test_a_placeholder_in_the_path_matches_the_splits(tmp_path):
    folders(tmp_path, "train/images", "val/images", "test/labels", "Train_RGB", "Test_RGB")
    found = split_folders(f"{tmp_path}/{{split}}/images", "key")
    assert found == {"train": tmp_path / "train" / "images", "val": tmp_path / "val" / "images"}
    assert [*split_folders(f"{tmp_path}/{{split}}_RGB", "key")] == ["train", "test"]


@pytest.mark.parametrize(
    ("made", "place", "message"),
    [
        (["test", "val"], "", "has test and val, but no folder train"),
        (["train", "training"], "", "both are named for the split train"),
        ([], "{split}/images", "no such folder for any split; .* data.source.images=FOLDER"),
        ([], "nowhere", "nowhere: no such folder, though .* exists; .* with data.source.images=FOLDER"),
        ([], "export.zip", r"export.zip: a file; expected a folder. Unpack it first"),
    ],
)
def test_folders_without_valid_splits_are_reported(tmp_path, made, place, message):
    folders(tmp_path, *made)
    (tmp_path / "export.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=message):
        split_folders(f"{tmp_path}/{place}", "data.source.images")


# shares


def test_shares_are_split_by_person_reproducibly_and_about_as_large_as_requested():
    groups = {f"{person}/{number}": f"person {person}" for person in range(40) for number in range(person % 4 + 1)}
    split_of = split_by_shares(groups, {"val": 0.1, "test": 0.2}, seed=0)
    of_person = {}
    for sample, split in split_of.items():
        assert of_person.setdefault(groups[sample], split) == split
    sizes = {split: [*split_of.values()].count(split) / len(groups) for split in ("train", "val", "test")}
    assert sizes["test"] == pytest.approx(0.2, abs=0.03)
    assert sizes["val"] == pytest.approx(0.1, abs=0.03)
    assert split_by_shares(dict(reversed(groups.items())), {"val": 0.1, "test": 0.2}, seed=0) == split_of
    assert split_by_shares(groups, {"val": 0.1, "test": 0.2}, seed=1) != split_of


def test_the_smallest_share_has_a_photo_and_the_largest_leaves_one():
    three = {name: name for name in "abc"}
    assert sorted(split_by_shares(three, {"val": 0.01, "test": 0.9}, seed=0).values()) == ["test", "train", "val"]
    with pytest.raises(DataError, match="the photos are of 2 persons or groups; expected at least one per split"):
        split_by_shares({"a": "a", "b": "b"}, {"val": 0.1, "test": 0.1}, seed=0)


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"train": 0.5}, "shares.train: no such share"),
        ({"val": 1}, "shares.val=1: expected 0"),
        ({"test": -0.1}, "shares.test=-0.1: expected 0"),
        ({"val": 0.5, "test": 0.5}, "1 of all photos; leave some for training"),
    ],
)
def test_invalid_shares_are_an_error(shares, message):
    with pytest.raises(ConfigError, match=message):
        require_shares(shares)
