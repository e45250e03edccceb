"""The shipped list, and what of it lies in a folder."""

import hashlib
import os
import subprocess
from collections import Counter

import pytest

from download.packing import FILES, LISTING, PATHS, changed
from facesegl.download.listing import blob_hash, fasseg_listing, survey
from facesegl.sources import FASSEG


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "fasseg", FILES)


def write(folder, files):
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def test_shipped_list_has_the_948_images_of_three_versions():
    listing = fasseg_listing()
    folders = Counter("/".join(path.split("/")[:2]) for path in listing)
    four = ("Train_RGB", "Train_Labels", "Test_RGB", "Test_Labels")
    assert folders == {
        **{f"{version}/{name}": 20 if "Train" in name else 50 for version in ("V1", "V2") for name in four},
        **{"V3/Train_RGB": 182, "V3/Train_labels": 182, "V3/Test_RGB": 208, "V3/Test_labels": 96},
    }
    assert len(listing) == 948
    assert all(len(blob) == 40 and set(blob) <= set("0123456789abcdef") for blob, _ in listing.values())
    assert sum(size for _, size in listing.values()) == 652_123_352
    assert not any(part in ("", ".", "..") for path in listing for part in path.split("/"))


def test_shipped_list_says_what_is_known_of_fasseg():
    listing = fasseg_listing()
    assert all(listing[f"V1/{kind}_RGB/7.bmp"] == listing[f"V2/{kind}_RGB/7.bmp"] for kind in ("Train", "Test"))
    assert listing["V2/Train_RGB/15.bmp"] == listing["V2/Test_RGB/26.bmp"], "one of the six doubled photos"


def test_real_photos_are_those_that_the_list_names(real_fasseg):
    found = survey(real_fasseg, fasseg_listing())
    assert not found.altered
    assert not found.blocked
    assert {path for path in found.right if path.startswith("V2/")} == {
        path for path in fasseg_listing() if path.startswith("V2/")
    }
    assert len(FASSEG(str(real_fasseg), "V2").samples()) == 70


@pytest.mark.parametrize("data", [b"", b"hello", bytes(70_000)])
def test_blob_hash_is_gits(data, tmp_path):
    (tmp_path / "file").write_bytes(data)
    by_hand = hashlib.sha1(b"blob " + str(len(data)).encode() + b"\0" + data).hexdigest()
    assert blob_hash([data[:3], data[3:]], len(data)) == by_hand
    git = subprocess.run(["git", "hash-object", "file"], capture_output=True, text=True, check=False)
    if git.returncode == 0:
        assert git.stdout.strip() == by_hand


def test_whole_folder_is_right(folder):
    found = survey(folder, LISTING)
    assert (found.right, found.missing, found.altered, found.blocked) == (list(PATHS), [], {}, {})


def test_folder_that_is_not_there_lacks_everything(tmp_path):
    assert survey(tmp_path / "fasseg", LISTING).missing == list(PATHS)


def test_one_flipped_byte_is_named(folder):
    write(folder, changed(PATHS[2]))
    found = survey(folder, LISTING)
    assert found.altered == {PATHS[2]: "other content than is listed"}
    assert len(found.right) == 3


def test_file_that_was_cut_off_is_named_with_its_size(folder):
    (folder / PATHS[0]).write_bytes(FILES[PATHS[0]][:99])
    assert survey(folder, LISTING).altered == {PATHS[0]: "99 bytes where 30000 are listed"}


def test_what_is_no_file_is_told_and_not_opened(folder):
    (folder / PATHS[0]).unlink()
    os.mkfifo(folder / PATHS[0])  # to open it would wait for ever
    (folder / PATHS[1]).unlink()
    (folder / PATHS[1]).mkdir()
    assert set(survey(folder, LISTING).blocked) == {PATHS[0], PATHS[1]}


def test_file_in_the_place_of_a_folder_is_told_once(folder, tmp_path):
    (folder / "V3").rename(tmp_path / "moved")
    (folder / "V3").write_text("")
    found = survey(folder, LISTING)
    assert found.blocked == {"V3": "a file where a folder is expected"}
    assert found.right == list(PATHS[:2])


def test_links_to_the_right_files_are_right_and_a_link_to_nothing_is_told(folder, tmp_path):
    (folder / "V1").rename(tmp_path / "elsewhere")
    (folder / "V1").symlink_to(tmp_path / "elsewhere")
    (folder / PATHS[3]).unlink()
    (folder / PATHS[3]).symlink_to(tmp_path / "nowhere")
    found = survey(folder, LISTING)
    assert found.altered == {PATHS[3]: "a link to nothing"}
    assert len(found.right) == 3
