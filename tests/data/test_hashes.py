"""A file that has changed in any way is read again; an unchanged one is not."""

import os
import shutil
import time
from pathlib import Path

import pytest

from facesegl.data import hashes
from facesegl.data.hashes import FileHashes
from facesegl.errors import DataError

FILE = Path("photos/anna.png")


@pytest.fixture(autouse=True)
def _file():
    FILE.parent.mkdir()
    FILE.write_bytes(b"old")
    os.utime(FILE, (1e9, 1e9))


@pytest.fixture
def hour_later(monkeypatch):
    """The files that exist now are old enough to be remembered."""
    now = time.time_ns
    monkeypatch.setattr(hashes.time, "time_ns", lambda: now() + 3600 * 10**9)


def read(monkeypatch):
    """The hash of the file, and whether it was read."""
    digests, real = [], hashes.hashlib.file_digest
    with monkeypatch.context() as patched:
        patched.setattr(hashes.hashlib, "file_digest", lambda *how: digests.append(real(*how)) or digests[-1])
        (value,) = FileHashes(Path("cache/contents.json")).hashes([FILE])
    return value, len(digests)


def rewrite():
    FILE.write_bytes(b"new")


def rename_over():
    Path("new.png").write_bytes(b"new")
    os.utime("new.png", (1e9, 1e9))
    Path("new.png").replace(FILE)


def other_folder():
    shutil.copytree("photos", "corrected")  # as another data set at the same path, by a link or a mount
    Path("corrected/anna.png").write_bytes(b"new")
    FILE.parent.rename("moved")
    FILE.parent.symlink_to("corrected")


@pytest.mark.parametrize("change", [rewrite, rename_over, other_folder])
def test_new_content_of_the_same_size_and_time_is_seen(hour_later, monkeypatch, change):
    old, _ = read(monkeypatch)
    assert read(monkeypatch) == (old, 0)
    change()
    os.utime(FILE, (1e9, 1e9))
    assert (FILE.stat().st_size, FILE.stat().st_mtime) == (3, 1e9)
    new, reads = read(monkeypatch)
    assert (new != old, reads) == (True, 1)
    assert read(monkeypatch) == (new, 0)


def test_a_file_changed_a_moment_ago_is_read_again_since_it_may_change_within_one_tick_of_the_clock(monkeypatch):
    old, _ = read(monkeypatch)
    assert read(monkeypatch) == (old, 1)
    assert not Path("cache").exists()


def test_a_file_without_a_change_time_of_its_own_is_read_again(hour_later, monkeypatch):
    real = Path.stat

    def as_on_squashfs(path, **how):
        found = list(real(path, **how))
        return os.stat_result(found, {"st_mtime_ns": 10**18, "st_ctime_ns": 10**18})

    monkeypatch.setattr(Path, "stat", as_on_squashfs)
    old, _ = read(monkeypatch)
    FILE.write_bytes(b"new")
    new, reads = read(monkeypatch)
    assert (new != old, reads) == (True, 1)


def test_equal_content_with_another_change_time_costs_one_reading(hour_later, monkeypatch):
    old, _ = read(monkeypatch)
    FILE.touch()
    assert read(monkeypatch) == (old, 1)
    assert read(monkeypatch) == (old, 0)


def test_hashes_that_an_older_version_remembered_are_not_believed(hour_later, monkeypatch):
    Path("cache").mkdir()
    status = FILE.stat()
    remembered = f'{{"{FILE.absolute()}": [{status.st_size}, {status.st_mtime_ns}, "{"0" * 32}"]}}'
    Path("cache/contents.json").write_text(remembered)
    assert read(monkeypatch)[1] == 1


def test_a_missing_file_is_reported_and_none_is_remembered(hour_later):
    with pytest.raises(DataError, match=r"gone.png: cannot be read \(No such file or directory\)"):
        FileHashes(Path("cache/contents.json")).hashes([FILE, Path("gone.png")])
