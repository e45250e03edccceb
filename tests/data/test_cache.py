import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facesegl.data import FaceCache
from facesegl.data import hashes as contents
from facesegl.errors import DataError, MachineError
from facesegl.labels import VOID, Taxonomy, pack_onehot, shrink_mask, unpack_onehot
from facesegl.sources import FASSEG, read_rgb, resize_photo
from helpers.faces import FASSEG6


def cache(tmp_path, size=16):
    return FaceCache(FASSEG(str(tmp_path / "data" / "fasseg"), "V2"), FASSEG6, size, tmp_path / "cache")


def files(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_images_and_one_hot_masks_are_in_npy_files_and_samples_and_key_in_the_manifest(fasseg, tmp_path):
    built = cache(tmp_path)
    photos, masks = (np.load(built.folder / name) for name in ("photos.npy", "masks.npy"))
    assert photos.shape == (9, 16, 16, 3)
    assert masks.shape == (9, 16, 16, 1)
    photo = read_rgb(fasseg / "Train_RGB" / "1.bmp")
    colours = read_rgb(fasseg / "Train_Labels" / "1.bmp")
    mask = (colours[:, :, None] == np.uint8(FASSEG6.colours)).all(-1).argmax(-1).astype(np.uint8)
    assert (photos[0] == resize_photo(photo, 16, 16)).all()
    assert (masks[0] == pack_onehot(shrink_mask(mask, 16, 16, 6), 6)).all()
    assert built.rows[0].id == "train/1"
    assert built.rows[0].class_pixels == tuple(np.bincount(mask.ravel(), minlength=6))
    manifest = json.loads((built.folder / "manifest.json").read_text())
    assert [row["id"] for row in manifest["rows"]] == [sample.id for sample in built.samples]
    assert manifest["key"] == built.key
    assert str(built.folder).endswith(f"fasseg_v2-16-{built.key}")


def test_a_second_start_builds_nothing_and_opens_no_image(fasseg, tmp_path, monkeypatch):
    later = time.time_ns() + 3600 * 10**9
    monkeypatch.setattr(contents.time, "time_ns", lambda: later)
    before = cache(tmp_path)
    stamps = files(before.folder)
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("an image was opened"))
    monkeypatch.setattr(contents.hashlib, "file_digest", lambda *_: pytest.fail("a file was read"))
    after = cache(tmp_path)
    assert (after.folder, files(after.folder)) == (before.folder, stamps)


def test_a_changed_mask_makes_another_cache(fasseg, tmp_path):
    before = cache(tmp_path)
    path = fasseg / "Train_Labels" / "2.bmp"
    colours = np.array(Image.open(path))
    colours[:20] = FASSEG6.colours[2]
    stat = path.stat()
    Image.fromarray(colours).save(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # even where size and time stay the same within a moment
    after = cache(tmp_path)
    assert after.folder != before.folder
    assert after.fingerprint != before.fingerprint
    assert (after.read(np.array([1]))[1] != before.read(np.array([1]))[1]).any()


@pytest.mark.parametrize("damage", ["cut", "altered", "gone", "other shape"])
def test_a_damaged_file_is_detected_reported_and_rebuilt(fasseg, tmp_path, caplog, damage):
    first = cache(tmp_path)
    whole = first.read(np.arange(9))
    path = first.folder / "masks.npy"
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[:-100])
    elif damage == "altered":
        content[-3] ^= 1
        path.write_bytes(content)
    elif damage == "gone":
        path.unlink()
    else:
        np.save(path, np.zeros((9, 16, 16, 2), np.uint8))
    with caplog.at_level(logging.WARNING):
        again = cache(tmp_path).read(np.arange(9))
    assert all((one == other).all() for one, other in zip(whole, again, strict=True))
    assert "rebuilding the cache" in caplog.text
    if damage == "altered":
        assert "test/3 has changed since it was cached" in caplog.text
    assert np.load(path).shape == (9, 16, 16, 1)


def first_row(**changes):
    return lambda manifest: manifest["rows"][0].update(changes)


@pytest.mark.parametrize(
    "damage",
    [
        lambda manifest: manifest.clear(),
        lambda manifest: manifest.update(key="0123456789ab"),
        lambda manifest: manifest.update(rows=[[1, 2], 3]),
        lambda manifest: manifest["rows"].pop(),
        lambda manifest: manifest.update(left_out=["train/1"]),
        lambda manifest: manifest.update(left_out={"nobody": "gone"}),
        first_row(id="train/99"),
        first_row(split=["train"]),
        first_row(group=None),
        first_row(height="40"),
        first_row(class_pixels="many"),
        first_row(class_pixels=[1, 2]),
        first_row(inexact=[0.5] * 6),
        first_row(more=1),
    ],
)
def test_a_modified_manifest_is_rebuilt(fasseg, tmp_path, caplog, damage):
    first = cache(tmp_path)
    file = first.folder / "manifest.json"
    whole = json.loads(file.read_text())
    damaged = json.loads(file.read_text())
    damage(damaged)
    file.write_text(json.dumps(damaged))
    assert cache(tmp_path).rows == first.rows
    assert f"{first.folder}: damaged or incomplete" in caplog.text
    assert json.loads(file.read_text()) == whole


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"[]", b'"rows"'])
@pytest.mark.parametrize("name", ["manifest.json", "photos.npy", "checksums.npy"])
def test_a_corrupt_cache_is_rebuilt(fasseg, tmp_path, name, content):
    first = cache(tmp_path)
    whole = (first.folder / name).read_bytes()
    (first.folder / name).write_bytes(content)
    assert cache(tmp_path).rows == first.rows
    assert (first.folder / name).read_bytes() == whole


@pytest.mark.timeout(60)
def test_a_pipe_instead_of_a_cache_file_does_not_block(fasseg, tmp_path):
    first = cache(tmp_path)
    for file in (first.folder / "photos.npy", first.folder / "manifest.json", tmp_path / "cache" / "contents.json"):
        file.unlink(missing_ok=True)
        os.mkfifo(file)
        assert cache(tmp_path).rows == first.rows


@pytest.mark.parametrize(
    "content",
    [
        *("[" * 100_000, "[1]", '{"a": '),
        *({"{}": entry} for entry in (3, None, "text", [], [1], {}, [1] * 4, [1] * 5, ["1", 1, 1, 1, "1"])),
        {"{}": [1, 1, 1, 1, "x"]},
    ],
)
def test_corrupt_remembered_hashes_are_recomputed(fasseg, tmp_path, content):
    first = cache(tmp_path)
    paths = [*fasseg.rglob("*.bmp")]
    if isinstance(content, dict):  # what would be believed: the file's own size, times and inode, where there are four
        entry = content["{}"]
        stats = {str(path): path.stat() for path in paths}
        stats = {path: [s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino] for path, s in stats.items()}
        has_stats = isinstance(entry, list) and len(entry) > 3
        content = json.dumps({path: stat + entry[4:] if has_stats else entry for path, stat in stats.items()})
    (tmp_path / "cache" / "contents.json").write_text(content)
    assert cache(tmp_path).fingerprint == first.fingerprint


@pytest.mark.parametrize("kind", ["Train_RGB", "Test_Labels"])
def test_a_file_that_changes_during_the_build_is_an_error_and_nothing_is_kept(fasseg, tmp_path, kind):
    file = fasseg / kind / "1.bmp"
    other = shutil.copy(fasseg / kind / "2.bmp", tmp_path / "other.bmp")

    class Disturbed(FASSEG):
        def read_mask(self, sample, taxonomy):
            if sample.id == "test/3" and Path(other).exists():
                Path(other).replace(file)
            return super().read_mask(sample, taxonomy)

    def disturbed():
        return FaceCache(Disturbed(str(tmp_path / "data" / "fasseg"), "V2"), FASSEG6, 16, tmp_path / "cache")

    with pytest.raises(DataError) as caught:
        disturbed()
    assert caught.value.problems == (f"{file}: changed while it was cached; run it again.",)
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]
    assert len(disturbed().rows) == 9


def test_a_damaged_cache_is_not_rebuilt_from_changed_files(fasseg, tmp_path):
    opened = cache(tmp_path)
    masks = opened.folder / "masks.npy"
    content = bytearray(masks.read_bytes())
    content[-1] ^= 1
    masks.write_bytes(content)
    opened = cache(tmp_path)
    (fasseg / "Train_Labels" / "1.bmp").write_bytes((fasseg / "Train_Labels" / "2.bmp").read_bytes())
    with pytest.raises(DataError, match="damaged, and photos or masks have changed"):
        opened.read(np.arange(9))


def test_a_killed_build_leaves_no_incomplete_cache(fasseg, tmp_path):
    script = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import facesegl.data.cache as module
from helpers.faces import FASSEG6
from facesegl.sources import FASSEG
real, seen = module.FaceCache._prepare, []
def prepare(self, sample):
    seen.append(sample)
    if len(seen) == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, sample)
module.FaceCache._prepare = prepare
module.FaceCache(FASSEG("data/fasseg", "V2"), FASSEG6, 16, module.Path("cache"))
"""
    ended = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=False)
    assert ended.returncode == -9
    assert not list((tmp_path / "cache").glob("*/manifest.json"))
    assert list((tmp_path / "cache").glob(".*.part"))
    built = cache(tmp_path)
    assert len(built.rows) == 9
    assert not list((tmp_path / "cache").glob(".*.part"))


def test_concurrent_starts_build_one_cache(fasseg, tmp_path, monkeypatch, caplog):
    builds, real = [], FaceCache._write

    def write(self):
        builds.append(threading.get_ident())
        time.sleep(0.3)
        real(self)

    monkeypatch.setattr(FaceCache, "_write", write)
    found = []
    with caplog.at_level(logging.INFO):
        threads = [threading.Thread(target=lambda: found.append(cache(tmp_path))) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(builds) == 1
    assert len({one.folder for one in found}) == 1
    assert all(len(one.rows) == 9 for one in found)
    assert "another process is building" in caplog.text


def test_identical_photos_share_a_group(fasseg, tmp_path):
    for kind in ("RGB", "Labels"):
        (fasseg / f"Test_{kind}" / "2.bmp").write_bytes((fasseg / f"Train_{kind}" / "4.bmp").read_bytes())
    group = {row.id: row.group for row in cache(tmp_path).rows}
    assert group["test/2"] == group["train/4"] == "train/4"


def test_a_mask_of_another_size_is_left_out_with_the_reason(fasseg, tmp_path):
    Image.new("RGB", (31, 40), FASSEG6.colours[1]).save(fasseg / "Train_Labels" / "3.bmp")
    built = cache(tmp_path)
    assert "train/3" not in {row.id for row in built.rows}
    assert np.load(built.folder / "photos.npy").shape[0] == 8
    assert list(built.left_out) == ["train/3"]
    assert built.left_out["train/3"].endswith("3.bmp: the mask is 31x40, its photo 32x40")
    assert cache(tmp_path).left_out == built.left_out  # also reported by a start that builds nothing


def test_all_broken_files_are_reported_at_once_and_nothing_is_kept(fasseg, tmp_path):
    (fasseg / "Train_RGB" / "1.bmp").write_text("no picture")
    (fasseg / "Train_Labels" / "2.bmp").write_bytes((fasseg / "Train_Labels" / "2.bmp").read_bytes()[:500])
    Image.new("RGB", (32, 40), (1, 90, 90)).save(fasseg / "Test_Labels" / "1.bmp")
    with pytest.raises(DataError) as caught:
        cache(tmp_path)
    assert len(caught.value.problems) == 3
    assert not list((tmp_path / "cache").glob("*/manifest.json"))


def test_void_has_no_bit_in_the_cache(fasseg, tmp_path):
    mapping = FASSEG6.to_mapping()
    del mapping["classes"]["background"]
    taxonomy = Taxonomy.from_mapping({**mapping, "void": [255, 0, 0]})
    built = FaceCache(FASSEG(str(tmp_path / "data" / "fasseg"), "V2"), taxonomy, 16, tmp_path / "cache")
    mask = unpack_onehot(built.read(np.array([0]))[1][0])
    assert mask[0, 0] == VOID
    assert set(np.unique(mask)) <= {0, 1, 2, 3, 4, VOID}


def test_another_size_or_decoding_makes_another_cache(fasseg, tmp_path, monkeypatch):
    one, other = cache(tmp_path, 16), cache(tmp_path, 24)
    monkeypatch.setattr(FASSEG, "reading", "another rule")
    assert len({one.folder, other.folder, cache(tmp_path, 16).folder}) == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_cache_folder_is_a_machine_error(fasseg, tmp_path):
    (tmp_path / "cache").mkdir(mode=0o500)
    with pytest.raises(MachineError, match="no permission"):
        cache(tmp_path)


def test_a_file_instead_of_the_cache_folder_is_a_machine_error(fasseg, tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.raises(MachineError, match=r"a file is in the way|not a folder"):
        cache(tmp_path)
