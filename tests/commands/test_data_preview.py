import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facesegl.commands.data_preview import preview_data
from facesegl.drawing import canvas
from facesegl.drawing.sheet import draw_sheet, fit_photo
from facesegl.errors import ConfigError, DataError, MachineError
from facesegl.sources import FASSEG, read_rgb
from helpers.faces import CLASSES, FASSEG6, write_faces
from helpers.trees import CVAT_LABELS, write_folders

SHEET = Path("sheet.png")


def preview(*keys, output=SHEET, count=12, split="train", **how):
    return preview_data(output, ["data=fasseg_v2", "data.image_size=16", *keys], count=count, split=split, **how)


def pixels(path=SHEET):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def where(tile, sheet):
    """The position of a tile on a sheet: x, y."""
    height, width = tile.shape[:2]
    first = (sheet == tile[0, 0]).all(axis=-1)
    for y, x in np.argwhere(first[: len(sheet) - height + 1, : sheet.shape[1] - width + 1]):
        if (sheet[y : y + height, x : x + width] == tile).all():
            return int(x), int(y)
    return None


def test_photo_mask_and_overlay_are_side_by_side(fasseg):
    assert preview(count=2, split="test") == [SHEET]
    sheet, box = pixels(), 400
    for name in ("1", "3"):
        photo, mask = (fit_photo(read_rgb(fasseg / f"Test_{kind}" / f"{name}.bmp"), box) for kind in ("RGB", "Labels"))
        (left, top), (right, level) = where(photo, sheet), where(mask, sheet)
        assert right == left + photo.shape[1] + 8
        assert level == top


def test_a_few_of_many_are_evenly_spaced_and_masks_keep_their_colours(fasseg):
    samples = FASSEG("data/fasseg", "V2").samples()
    preview(count=3)
    sheet = pixels()
    drawn = [s.id for s in samples if where(fit_photo(read_rgb(s.photo), 220), sheet) is not None]
    assert drawn == ["train/1", "train/3", "train/6"]
    assert {*FASSEG6.colours} <= {tuple(colour) for colour in sheet.reshape(-1, 3).tolist()}


def test_many_samples_fill_several_pages(tmp_path, monkeypatch):
    write_faces(tmp_path / "data" / "fasseg" / "V2", train=7, test=0)
    monkeypatch.setattr("facesegl.commands.data_preview._PAGE", 3)
    pages = preview(output=Path("pages/my.sheet.png"), count=100)
    assert pages == [Path(f"pages/{name}.png") for name in ("my.sheet", "my.sheet_2", "my.sheet_3")]
    assert sorted(Path("pages").iterdir()) == sorted(pages)
    assert pixels(pages[2]).shape[0] < pixels(pages[0]).shape[0]


def test_only_guessed_pixels_are_marked(fasseg):
    path = fasseg / "Test_Labels" / "1.bmp"
    colours = np.array(Image.open(path))
    colours[10:20, 10:20] = (255, 255, 3)
    Image.fromarray(colours).save(path)
    preview(count=1, split="test", inexact=True)
    magenta = (pixels() == (255, 0, 170)).all(axis=-1)
    assert magenta.sum() == 100 * 10 * 10  # forty rows are enlarged tenfold
    preview(count=1, split="test")
    assert not (pixels() == (255, 0, 170)).all(axis=-1).any()


def test_augmented_photos_have_the_equally_augmented_mask_in_as_many_columns_as_plain_ones(fasseg):
    def tiles(flip):
        preview("augment=flip", f"augment.flip={flip}", "data.fold=null", count=2, augmented=True)
        sheet, tile = pixels(), 13 * 16  # sixteen pixels, enlarged as far as goes into 220
        tops = np.flatnonzero(np.diff((sheet[:, 20 + tile // 2] != 255).any(axis=-1).astype(int)) == 1) + 1
        top = next(top for top in tops if (sheet[top : top + tile, 20 + tile // 2] != 255).any(axis=-1).all())
        return [sheet[top : top + tile, 20 + n * (tile + 8) :][:, :tile] for n in range(3)]

    (photo, plain, mask), (_, augmented, target) = tiles(0), tiles(1)
    assert (plain == photo).all()
    assert (augmented == photo[:, ::-1]).all()
    assert (target == mask[:, ::-1]).all()
    assert not (mask == target).all()


def test_a_left_part_stays_left_in_a_flipped_photo(fasseg):
    """Eyes by side: blue on the right of the picture, also after a flip."""
    for path in (fasseg / "Train_Labels").iterdir():
        colours = np.array(Image.open(path))
        eyes = (colours == CLASSES["eyes"]).all(axis=-1)
        eyes[:, : eyes.shape[1] // 2] = False
        colours[eyes] = (0, 0, 127)
        Image.fromarray(colours).save(path)
    classes = {**CLASSES, "left_eye": [0, 0, 127]}
    lines = [f"  {name}: {colour}" for name, colour in classes.items()]
    Path("sides.yaml").write_text("\n".join(["classes:", *lines, "pairs: [[left_eye, eyes]]"]))
    for flip in (0, 1):
        keys = ["augment=flip", f"augment.flip={flip}", "data.fold=null"]
        preview(*keys, "data.image_size=32", "data.taxonomy=sides.yaml", augmented=True, count=2)
        sheet, tile = pixels(), 192
        shown = sheet[:, 20 + 2 * (tile + 8) :][:400, :tile]
        sides = [np.argwhere((shown == colour).all(axis=-1))[:, 1].mean() for colour in ((0, 0, 127), (0, 0, 255))]
        assert sides[0] > tile / 2 > sides[1]


def test_the_legend_has_void_only_where_there_is_some(fasseg, monkeypatch):
    shown = []
    monkeypatch.setattr(
        "facesegl.drawing.sheet.legend", lambda *a, void: shown.append(void) or canvas.legend(*a, void=void)
    )
    preview()
    classes = {name: colour for name, colour in CLASSES.items() if name != "mouth"}
    Path("own.yaml").write_text(json.dumps({"classes": classes, "void": [0, 255, 0]}))
    preview("data.taxonomy=own.yaml", split="test")
    preview("augment=face", augmented=True)
    assert shown == [False, True, True]


def test_own_data_are_titled_with_the_name_of_their_folder(monkeypatch):
    titles = []
    monkeypatch.setattr(
        "facesegl.commands.data_preview.draw_sheet",
        lambda *a, title, **k: titles.append(title) or draw_sheet(*a, title=title, **k),
    )
    write_folders("mine", ["1", "2"], images="photos")
    Path("own.yaml").write_text(json.dumps({"classes": CVAT_LABELS}))
    keys = ["data=folder", "data.source.images=mine/photos", "data.source.masks=mine/masks", "data.taxonomy=own.yaml"]
    preview_data(SHEET, keys, count=2, split="train")
    preview_data(SHEET, [*keys, "data.source.name=anna"], count=2, split="train")
    Path("mine/photos").rename("faces of 2024")
    preview_data(SHEET, [*keys, "data.source.images='faces of 2024'"], count=2, split="train")
    assert [title.partition(":")[0] for title in titles] == ["mine", "anna", "faces of 2024"]


def test_a_photo_that_cannot_be_shown_is_named_and_the_others_are_shown(fasseg, caplog):
    (fasseg / "Test_RGB" / "1.bmp").write_bytes(b"")
    mask = Image.open(fasseg / "Test_Labels" / "2.bmp")
    mask.resize((20, 20), Image.Resampling.NEAREST).save(fasseg / "Test_Labels" / "2.bmp")
    with caplog.at_level(logging.WARNING):
        preview(split="test")
    assert "Test_RGB/1.bmp: empty" in caplog.text
    assert "the mask is 20 x 20, its photo 32 x 40" in caplog.text
    assert where(fit_photo(read_rgb(fasseg / "Test_RGB" / "3.bmp"), 220), pixels()) is not None


def test_unpaired_files_are_named_and_the_rest_is_shown(fasseg, caplog):
    for number in range(12):
        shutil.copy(fasseg / "Train_Labels" / "1.bmp", fasseg / "Train_Labels" / f"{number + 10}.bmp")
    with caplog.at_level(logging.WARNING):
        assert preview() == [SHEET]
    assert "Train_Labels/10.bmp: a mask without a photo" in caplog.text
    assert "... and 4 more; facesegl data check lists all" in caplog.text


def test_data_without_a_readable_photo_are_an_error_without_a_picture(fasseg):
    for path in (fasseg / "Test_RGB").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match="empty") as caught:
        preview(split="test")
    (line,) = caught.value.problems
    assert line.count("Test_RGB/") == 3
    assert not SHEET.exists()


def test_a_sheet_can_be_jpeg_and_needs_no_cache(fasseg):
    assert preview(output=Path("sheet.JPG")) == [Path("sheet.JPG")]
    with Image.open("sheet.JPG") as picture:
        assert picture.format == "JPEG"
    assert not Path("cache").exists()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"output": Path("sheet")}, r"-o sheet: no image format; expected one of \.png"),
        ({"output": Path("sheet.txt")}, r"-o sheet\.txt: no image format"),
        ({"count": 0}, "--count 0: expected 1 or more"),
        ({"output": Path("sheet"), "count": -1}, "(?s)-o sheet: no image format.*--count -1"),
        ({"split": "val"}, r"--split val: no such photos in fasseg_v2; there are train \(6\), test \(3\)"),
        ({"augmented": True, "inexact": True}, "two different sheets"),
        ({"augmented": True, "split": "test"}, "only training photos are augmented"),
    ],
)
def test_options_that_make_no_sense_are_reported_together(fasseg, how, message):
    with pytest.raises(ConfigError, match=message):
        preview(**how)
    assert not list(Path().glob("sheet*"))


def test_an_output_that_is_not_writable_is_reported_before_anything_is_read(monkeypatch):
    Path("file").write_text("x")
    with pytest.raises(MachineError, match=r"-o file/sheet\.png: cannot write there: a parent in the path is a file"):
        preview(output=Path("file/sheet.png"))
    Path("taken.png").mkdir()
    with pytest.raises(MachineError, match="a folder of that name is in the way"):
        preview(output=Path("taken.png"))
    with pytest.raises(MachineError, match=r"-o /proc/sheet\.png: cannot write there"):
        preview(output=Path("/proc/sheet.png"))


def test_missing_data_are_reported_as_training_reports_them():
    with pytest.raises(DataError, match="no such folder"):
        preview()
    shutil.rmtree("cache", ignore_errors=True)
    assert list(Path().iterdir()) == []
