"""The shipped manifest, and what a folder lacks of it."""

import os
import subprocess
from collections import Counter

import pytest

from download.archives import FILES, MANIFEST, PATHS, write
from facesegl.download.manifest import blob_hash, fasseg_manifest, survey
from facesegl.sources import FASSEG


def test_shipped_manifest_has_the_948_images_of_three_versions():
    manifest = fasseg_manifest()
    folders = Counter("/".join(path.split("/")[:2]) for path in manifest)
    four = ("Train_RGB", "Train_Labels", "Test_RGB", "Test_Labels")
    assert folders == {
        **{f"{version}/{name}": 20 if "Train" in name else 50 for version in ("V1", "V2") for name in four},
        **{"V3/Train_RGB": 182, "V3/Train_labels": 182, "V3/Test_RGB": 208, "V3/Test_labels": 96},
    }
    assert all(len(blob) == 40 and set(blob) <= set("0123456789abcdef") for blob, _ in manifest.values())
    assert sum(size for _, size in manifest.values()) == 652_123_352
    assert not any(part in ("", ".", "..") for path in manifest for part in path.split("/"))
    assert all(manifest[f"V1/{kind}_RGB/7.bmp"] == manifest[f"V2/{kind}_RGB/7.bmp"] for kind in ("Train", "Test"))
    assert manifest["V2/Train_RGB/15.bmp"] == manifest["V2/Test_RGB/26.bmp"], "one of the six duplicates"


def test_real_photos_are_those_of_the_manifest(real_fasseg):
    missing, altered, blocked = survey(real_fasseg, fasseg_manifest())
    assert (altered, blocked, [path for path in missing if path.startswith("V2/")]) == ({}, {}, [])
    assert len(FASSEG(str(real_fasseg), "V2").samples()) == 70


@pytest.mark.parametrize("content", [b"", b"hello", bytes(70_000)])
def test_blob_hash_is_gits(content, tmp_path):
    (tmp_path / "file").write_bytes(content)
    git = subprocess.run(["git", "hash-object", "file"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert blob_hash(content) == git.stdout.strip()


def test_links_to_right_files_are_right_and_broken_links_and_pipes_are_not_opened(tmp_path):
    write(tmp_path / "fasseg", FILES)
    (tmp_path / "fasseg" / "V1").rename(tmp_path / "elsewhere")
    (tmp_path / "fasseg" / "V1").symlink_to(tmp_path / "elsewhere")
    for path in PATHS[2:]:
        (tmp_path / "fasseg" / path).unlink()
    (tmp_path / "fasseg" / PATHS[2]).symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "fasseg" / PATHS[3])  # opening it would block
    missing, altered, blocked = survey(tmp_path / "fasseg", MANIFEST)
    assert (missing, set(altered), set(blocked)) == ([], {PATHS[2]}, {PATHS[3]})
    assert survey(tmp_path / "nowhere", MANIFEST) == (list(PATHS), {}, {})
