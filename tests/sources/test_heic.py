"""Photos of phones: HEIC is read where pillow-heif is installed, and otherwise counted with the remedy."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facesegl.errors import DataError
from facesegl.prediction.photo_files import list_photos
from facesegl.sources import open_photo
from facesegl.sources.listing import PHOTO_SUFFIXES, list_files
from helpers.calling import SMALL_UNET, call, succeed
from helpers.heic import hide_heif, require_heif, save_heic
from helpers.trees import CVAT_LABELS, draw_photo, save, write_folders

CONTAINER = b"\0\0\0\x24ftypheic\0\0\0\0mif1heic" + bytes(20)
REMEDY = "pip install 'facesegl[heic]', or save as JPEG"


def write(*paths):
    """Files of photos, HEIC among them with no more than the beginning of one."""
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() in (".jpg", ".png"):
            save(np.full((6, 9, 3), 90, np.uint8), path)
        else:
            path.write_bytes(CONTAINER)


def listed(folder="in"):
    return [photo.path.name for photo in list_photos([Path(folder)], Path("out"))]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_upright_as_phones_store_it(orientation):
    require_heif()
    stored = np.zeros((24, 36, 3), np.uint8)
    stored[:8, :12] = 250  # bright at the top left
    save_heic(stored, "a.HEIC", orientation)
    save(stored, "plain.png")
    with Image.open("plain.png") as image:
        exif = Image.Exif()
        exif[0x0112] = orientation
        image.save("same.png", exif=exif)
    found, expected = (open_photo(Path(name)).astype(int) for name in ("a.HEIC", "same.png"))
    assert found.shape == expected.shape
    assert np.abs(found - expected).mean() < 12  # HEIC is lossy


def test_without_the_package_a_photo_says_what_to_install_whatever_its_suffix(monkeypatch):
    hide_heif(monkeypatch)
    for name in ("IMG_1.HEIC", "IMG_2.jpg"):
        Path(name).write_bytes(CONTAINER)
        with pytest.raises(DataError) as error:
            open_photo(Path(name))
        assert str(error.value) == f"{name}: a HEIC photo, which needs pillow-heif: {REMEDY}."


def test_predict_counts_the_photos_that_it_skips_in_one_line(monkeypatch, caplog):
    hide_heif(monkeypatch)
    write("in/1.HEIC", "in/2.heif", "in/3.CR2", "in/4.jpg", "in/4.HEIC", "in/5.jpg", "in/5.dng", "in/b/6.heic")
    assert listed() == ["4.jpg", "5.jpg"]
    assert caplog.messages == [
        f"in: skipped 3 HEIC ({REMEDY}), 1 RAW (save as JPEG or TIFF first), 1 HEIC next to another photo of the same "
        "name."
    ]
    write("only/1.HEIC")
    with pytest.raises(DataError, match="only: a folder without photos; there are 1 HEIC "):
        listed("only")


def test_predict_takes_a_heic_photo_only_where_no_other_photo_has_its_name(caplog):
    require_heif()
    write("in/IMG_1.HEIC", "in/img_1.jpg", "in/IMG_2.HEIC")
    assert listed() == ["img_1.jpg", "IMG_2.HEIC"]
    assert caplog.messages == ["in: skipped 1 HEIC next to another photo of the same name."]


def test_sources_list_a_heic_photo_only_where_no_other_photo_has_its_name(monkeypatch):
    write("in/IMG_1.HEIC", "in/img_1.jpg", "in/IMG_2.HEIC")
    hide_heif(monkeypatch)
    listing = list_files(Path("in"), PHOTO_SUFFIXES)
    assert [found.name for found in listing.files] == ["img_1"]
    assert len(listing.others) == 2
    monkeypatch.setattr("facesegl.sources.listing.reads_heic", lambda: True)
    assert [found.name for found in list_files(Path("in"), PHOTO_SUFFIXES).files] == ["img_1", "IMG_2"]


def test_heic_photos_are_trained_on_and_predicted(tmp_path):
    require_heif()
    write_folders(".", ["1", "2", "3", "4"])
    for name in ("3", "4"):
        save_heic(draw_photo(int(name), 48, 40), f"photos/{name}.HEIC")
    Path("photos/3.jpg").unlink()
    Path("own.yaml").write_text(json.dumps({"classes": CVAT_LABELS}))
    data = ["data=folder", "data.source.images=photos", "data.source.masks=masks", "data.taxonomy=own.yaml"]
    succeed("train", *SMALL_UNET, *data, "data.folds=2", "paths.run=r")
    assert "3.HEIC" not in call("predict", "r", "photos/3.HEIC", "-o", "out").err
    assert Path("out/3.png").is_file()
