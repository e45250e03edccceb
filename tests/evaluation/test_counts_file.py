import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from facesegl.errors import CheckpointError
from facesegl.evaluation.counts_file import FORMAT, SavedCounts, read_counts

SAVED = SavedCounts(
    classes=("background", "häir"),
    photos=("test/1", "test/2", "test/3"),
    groups=("test/1", "test/1", "test/3"),
    sets={"test_clean": ["test/1", "test/3"], "test": ["test/1", "test/2", "test/3"]},
    counts=np.arange(12).reshape(3, 2, 2),
    boundary=np.arange(24).reshape(3, 2, 4),
    scored="runs/ä=[1]/last.ckpt",
    data="fasseg_v2",
    fingerprint="40baa3dbb3ec",
)

ABOUT = {"format": FORMAT, "classes": ["a", "b"], "photos": ["1", "2"], "groups": ["1", "2"], "sets": {"test": ["1"]}}
ABOUT |= {"scored": "last.ckpt", "data": "mine", "fingerprint": "0"}


def write_file(path, about=None, counts=None, boundary=None):
    text = json.dumps({**ABOUT, **(about or {})})
    counts = np.zeros((2, 2, 2), np.int64) if counts is None else counts
    boundary = np.zeros((2, 2, 4), np.int64) if boundary is None else boundary
    np.savez(path, about=text, counts=counts, boundary=boundary)


def refused(path):
    with pytest.raises(CheckpointError) as caught:
        read_counts(path)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{path}: ")
    assert "\n" not in problem
    return problem


@pytest.mark.parametrize("named", ["folder", "file"])
def test_what_is_written_is_read_again(tmp_path, named):
    SAVED.write(tmp_path / "run")
    again = read_counts(tmp_path / "run" if named == "folder" else tmp_path / "run" / "counts.npz")
    for field in dataclasses.fields(SavedCounts):
        here, there = getattr(SAVED, field.name), getattr(again, field.name)
        assert np.array_equal(here, there) if isinstance(here, np.ndarray) else here == there
    assert again.counts.dtype == again.boundary.dtype == np.int64
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["counts.npz"]


def test_a_write_that_fails_leaves_the_old_counts(tmp_path, monkeypatch):
    SAVED.write(tmp_path)
    monkeypatch.setattr(np, "savez_compressed", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        dataclasses.replace(SAVED, scored="other").write(tmp_path)
    assert read_counts(tmp_path).scored == SAVED.scored
    assert len([*tmp_path.iterdir()]) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"photo,miou\n", b"\x93NUMPY\x01\x00", b"PK\x03\x04 and nothing more", b"\x80\x04N."],
    ids=["empty", "csv", "npy", "zip", "pickle"],
)
def test_what_is_not_counts_is_refused(tmp_path, content):
    path = tmp_path / "counts.npz"
    path.write_bytes(content)
    assert "not counts of facesegl, or truncated" in refused(path)


def test_a_missing_file_is_reported(tmp_path):
    assert "no such file" in refused(tmp_path / "counts.npz")
    with pytest.raises(CheckpointError, match=r"counts\.npz: no such file"):
        read_counts(tmp_path)


def test_an_array_of_one_kind_alone_is_refused(tmp_path):
    with (path := tmp_path / "counts.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    refused(path)
    np.savez(path, counts=SAVED.counts, boundary=SAVED.boundary)
    refused(path)


def test_nothing_in_it_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    path = tmp_path / "counts.npz"
    for name in ("about", "counts"):
        parts = {"about": json.dumps(ABOUT), "counts": np.zeros((2, 2, 2), int), "boundary": np.zeros((2, 2, 4), int)}
        np.savez(path, **{**parts, name: np.array([Trap()], dtype=object)})
        refused(path)
    assert not (tmp_path / "sprung").exists()


def test_a_file_cut_off_or_damaged_anywhere_is_refused_or_read_unharmed(tmp_path):
    SAVED.write(tmp_path)
    path = tmp_path / "counts.npz"
    whole = path.read_bytes()
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        refused(path)
    for place in range(0, len(whole), 11):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            again = read_counts(path)
        except CheckpointError:
            continue
        assert np.array_equal(again.counts, SAVED.counts)


@pytest.mark.parametrize("found", [0, FORMAT + 1, "1", None])
def test_another_format_is_named(tmp_path, found):
    write_file(path := tmp_path / "counts.npz", {"format": found})
    assert f"its format is {found!r}, this facesegl reads {FORMAT}" in refused(path)


MISFITS = [
    *({"classes": ["a", "a"]}, {"classes": ["a", "b", "c"]}, {"classes": "ab"}),
    *({"photos": ["1", "1"]}, {"photos": ["1", 2]}, {"groups": ["1"]}),
    *({"sets": {"test": ["3"]}}, {"sets": {"test": ["1", "1"]}}, {"sets": ["test"]}),
    *({"scored": None}, {"data": ["mine"]}),
]


@pytest.mark.parametrize(
    "parts",
    [
        *({"about": about} for about in MISFITS),
        {"counts": np.full((2, 2, 2), -1)},
        {"counts": np.zeros((2, 2, 2))},
        {"counts": np.zeros((2, 2, 2), np.uint8)},
        {"counts": np.zeros((2, 2), np.int64)},
        {"counts": np.zeros((3, 2, 2), np.int64)},
        {"boundary": np.zeros((2, 2, 3), np.int64)},
        {"boundary": np.full((2, 2, 4), -1)},
    ],
)
def test_texts_and_arrays_that_do_not_fit_together_are_refused(tmp_path, parts):
    write_file(path := tmp_path / "counts.npz")
    read_counts(path)
    write_file(path, **parts)
    assert "its parts are inconsistent" in refused(path)


def test_text_that_is_not_a_mapping_is_refused(tmp_path):
    np.savez(path := tmp_path / "counts.npz", about="[1]", counts=SAVED.counts, boundary=SAVED.boundary)
    assert "its format is None" in refused(path)
