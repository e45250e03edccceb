import csv
import errno
import logging
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facesegl.commands import predict as room
from facesegl.commands.predict import predict
from facesegl.errors import CheckpointError, ConfigError, DataError, MachineError
from facesegl.labels import mask_to_colours
from facesegl.prediction import Predictor
from facesegl.prediction.photo_files import Photo, list_photos, models_and_photos, name_outputs
from facesegl.sources.mask_files import read_mask_file
from helpers.calling import assert_reported, call, half_files, succeed
from helpers.faces import draw_mask, draw_photo
from helpers.models import LEFT_RIGHT, Painter, channels, onnx_model
from helpers.modules import make_card, make_module
from helpers.trees import save

COLOURS = {"background": (0, 0, 0), "left eye": (250, 0, 0), "right eye": (0, 0, 250)}


def write(*paths, size=(9, 6), colour=(250, 0, 0)):
    """A photo of one colour each; returns the first one's path."""
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, colour).save(path)
    return Path(paths[0])


def write_broken(path, content=b"no photo at all"):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(content)
    return Path(path)


def segment(*photos, target="out", model=None, **changes):
    asked = {"device": "cpu", "tta": False, "probabilities": False, **changes}
    asked = {"palette": False, "batch_size": 4, "trust": (), **asked}
    models = model if isinstance(model, tuple) else [model or Painter(channels)]
    return predict(models, [Path(photo) for photo in photos], Path(target), **asked)


def files(folder="out"):
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def masks(folder="out"):
    """The index masks: all PNGs outside the folders of pictures."""
    return [name for name in files(folder) if not name.startswith(("colours/", "overlays/")) and name.endswith(".png")]


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def size(path):
    return pixels(path).shape[1::-1]


def table(folder="out"):
    with (Path(folder) / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# the output folder


def test_each_photo_has_a_mask_a_colour_mask_and_an_overlay_of_its_own_size():
    write("photos/anna.jpg", size=(9, 6))
    write("photos/2020/bert.png", size=(4, 11), colour=(0, 0, 250))
    done = segment("photos")
    of_anna = ["anna.png", "colours/anna.png", "overlays/anna.jpg"]
    of_bert = ["2020/bert.png", "colours/2020/bert.png", "overlays/2020/bert.jpg"]
    assert files() == sorted([*of_anna, *of_bert, "predictions.csv"])
    assert {size(Path("out", name)) for name in of_anna} == {(9, 6)}
    assert {size(Path("out", name)) for name in of_bert} == {(4, 11)}
    assert (pixels("out/anna.png") == 1).all()
    assert (pixels("out/2020/bert.png") == 2).all()
    assert done.failed == []


@pytest.mark.parametrize("band", [1 << 22, 3 * 40 * 7])
def test_masks_and_probabilities_are_those_of_the_predictor(monkeypatch, band):
    drawn = draw_photo(draw_mask(3, 50, 40), 3)
    Image.fromarray(drawn).save("face.png")
    expected = Predictor(Painter(channels))(drawn)
    assert (expected.index.dtype, expected.probabilities.dtype) == (np.uint8, np.float32)
    monkeypatch.setattr("facesegl.prediction.upsample._BAND", band)
    segment("face.png", probabilities=True)
    assert pixels("out/face.png").dtype == np.uint8
    assert (pixels("out/face.png") == expected.index).all()
    assert (pixels("out/colours/face.png") == mask_to_colours(expected.index, LEFT_RIGHT)).all()
    probabilities = np.load("out/probabilities/face.npy")
    assert probabilities.dtype == np.float32
    assert (probabilities == expected.probabilities).all()


def test_a_palette_mask_is_numbers_to_numpy_colours_to_a_viewer_and_the_same_mask_to_training():
    Image.fromarray(draw_photo(draw_mask(3, 50, 40), 3)).save("face.png")
    segment("face.png")
    segment("face.png", target="painted", palette=True)
    with Image.open("painted/face.png") as painted:
        assert painted.mode == "P"
        assert (np.asarray(painted) == pixels("out/face.png")).all()
        assert (np.asarray(painted.convert("RGB")) == pixels("out/colours/face.png")).all()
    assert Path("painted/face.png").read_bytes()[24] == 8  # bits: fewer are packed by some readers
    for kind in ("auto", "index", "colour"):
        assert (read_mask_file(Path("painted/face.png"), kind, LEFT_RIGHT).mask == pixels("out/face.png")).all()
    segment("face.png", target="painted", palette=True)  # its own mask may be overwritten


def test_familiarity_is_computed_only_for_a_model_with_a_threshold(monkeypatch):
    write("photo.png")
    monkeypatch.setattr(room.Prediction, "familiarity", property(lambda _: pytest.fail("it costs time")))
    assert segment("photo.png").photos[0].familiarity is None


def test_a_mask_is_upright_as_a_viewer_shows_the_photo():
    stored = np.zeros((20, 30, 3), np.uint8)
    stored[:, :10, 0] = 250  # red on its left; turned a quarter to the right that is the top
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(stored).save("phone.png", exif=exif)
    segment("phone.png", model=Painter(channels, image_size=30))
    index = pixels("out/phone.png")
    assert index.shape == (30, 20)
    assert (index[:9] == 1).all()
    assert (index[11:] == 0).all()
    assert size("out/overlays/phone.jpg") == (20, 30)
    assert (table()[0]["width"], table()[0]["height"]) == ("20", "30")


def test_a_photo_too_long_for_jpeg_has_an_overlay_too():
    write("long.png", size=(65501, 1))
    segment("long.png")
    assert size("out/overlays/long.png") == (65501, 1)


def test_the_table_has_a_row_per_photo():
    half = np.zeros((8, 8, 3), np.uint8)
    half[:, 4:, 2] = 250
    save(half, "photos/half.png")
    write("photos/red.png")
    segment("photos")
    half_row, red_row = table()
    shares = [f"share_{name}" for name in COLOURS]
    assert list(red_row) == ["file", "output", "width", "height", *shares, "confidence", "seconds"]
    assert list(half_row.values())[:4] == ["photos/half.png", "half.png", "8", "8"]
    assert [float(half_row[name]) for name in shares] == pytest.approx([0.5, 0, 0.5], abs=0.07)
    assert [float(red_row[name]) for name in shares] == [0, 1, 0]
    assert float(red_row["confidence"]) == pytest.approx(Predictor(Painter(channels))("photos/red.png").confidence)
    assert 0 < float(red_row["seconds"]) < 60


@pytest.mark.parametrize(
    ("black", "words"),
    [(1, "1 of 3 photos is unlike the faces"), (2, "2 of 3 photos are unlike the faces"), (0, "")],
)
def test_images_unlike_the_training_images_are_reported_in_one_line(caplog, black, words):
    model = Painter(channels)
    model.card = {"unlike_below": 0.5}
    thirds = np.zeros((8, 9, 3), np.uint8)
    thirds[:, 3:6, 0] = thirds[:, 6:, 2] = 250  # all three classes
    for number in range(3):
        save(np.zeros((8, 8, 3), np.uint8) if number < black else thirds, f"photos/{number}.png")
    segment("photos", model=model)
    unlike = [row["file"] for row in table() if float(row["familiarity"]) < 0.5]
    assert unlike == [f"photos/{number}.png" for number in range(black)]
    assert len(caplog.messages) == bool(black)
    assert all(words in line and f"painter was trained on ({', '.join(unlike)})" in line for line in caplog.messages)


def test_unusual_names_are_read_back_from_the_table():
    names = ['a, "b".png', "=1+2.png", "two\nlines.png", "ärger.png"]
    write(*names)
    segment(*names)
    assert [row["file"] for row in table()] == names
    assert all(Path("out", row["output"]).is_file() for row in table())


def test_bytes_of_a_name_that_are_no_text_are_escaped():
    name = os.fsdecode(b"caf\xe9.png")
    try:
        write(name)
    except OSError:
        pytest.skip("this disk takes no such name")
    segment(name)
    assert table()[0]["file"] == "caf\\xe9.png"
    assert masks() == [name]


def test_the_summary_has_counts_shares_and_paths():
    write("photos/a.png")
    write("photos/b.png", colour=(0, 0, 250))
    write_broken("photos/c.png")
    summary = str(segment("photos"))
    assert "2 segmented, 1 failed" in summary
    assert "background 0.0%, left eye 50.0%, right eye 50.0%" in summary
    assert "out/predictions.csv" in summary


def test_several_models_are_an_ensemble_with_tta_too():
    seen = Painter(channels), Painter(channels, image_size=16)
    write("photo.png")
    segment("photo.png", model=seen, tta=True, batch_size=1)
    assert [[photos.shape for photos in model.seen] for model in seen] == [[(1, 3, 8, 8)] * 2, [(1, 3, 16, 16)] * 2]


# names


@pytest.mark.parametrize(
    ("tree", "asked", "expected"),
    [
        (["a/x.jpg", "b/y.jpg"], ["a/x.jpg", "b/y.jpg"], ["x", "y"]),
        (["a/x.v2.jpg", "a/x.jpg"], ["a/x.v2.jpg", "a/x.jpg"], ["x.v2", "x"]),
        (["a/1.png", "a/b/1.png"], ["a"], ["1", "b/1"]),
        (["a/1.png", "b/2.png"], ["a", "b"], ["1", "2"]),
        (["a/Overlays/1.png"], ["a"], ["Overlays/1"]),
    ],
)
def test_outputs_mirror_the_path_below_each_given_folder(tree, asked, expected):
    write(*tree)
    listed = list_photos([Path(path) for path in asked], Path("out"))
    assert list(name_outputs(listed)) == expected


@pytest.mark.parametrize(
    ("asked", "files"),
    [
        (["a", "b"], ["a/x.jpg", "b/x.jpg"]),
        (["a"], ["a/x.jpg", "a/x.png"]),
        (["a"], ["a/X.jpg", "a/x.png"]),
        (["a"], ["a/1.png", "a/colours/1.png"]),
        (["a"], ["a/x.jpg", "a/x.png/1.png"]),
        (["a"], ["predictions.csv", "a/predictions.csv/1.png"]),
    ],
)
def test_two_outputs_with_one_path_are_an_error_that_names_both(asked, files):
    write(*(file for file in files if "/" in file))
    with pytest.raises(ConfigError, match=r"would be written to .*; rename one") as refused:
        segment(*asked)
    assert all(file in str(refused.value) for file in files)
    assert not Path("out").exists()


@pytest.mark.parametrize(("photos", "others"), [(2, "1 more pair clashes"), (3, "2 more pairs clash")])
def test_of_many_clashes_the_first_is_named_and_the_others_are_counted(photos, others):
    write(*(f"{folder}/{number}.png" for folder in "ab" for number in range(photos)))
    with pytest.raises(ConfigError, match=rf"a/0\.png and b/0\.png: both .* to 0\.png \({others} as well\)"):
        segment("a", "b")


PARTS = st.sampled_from(["a", "A", "b", "a.png", "colours", "overlays", "predictions.csv", "\u00e4", "a\u0308"])
BELOW = st.builds(
    lambda below, suffix: PurePosixPath(*below[:-1], below[-1] + suffix),
    st.lists(PARTS, min_size=1, max_size=3),
    st.sampled_from([".jpg", ".png", ".JPG", ".npy"]),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(BELOW, max_size=5, unique=True))
def test_outputs_clash_on_no_disk(paths):
    try:
        names = name_outputs([Photo(Path(below), Path("/t"), below) for below in paths])
    except ConfigError:
        return
    written = [
        f"{folder}{name}{suffix}".casefold().replace("a\u0308", "\u00e4")
        for name in names
        for folder, suffix in [("", ".png"), ("colours/", ".png"), ("overlays/", ".jpg"), ("probabilities/", ".npy")]
    ]
    written.append("predictions.csv")
    above = {str(parent) for name in written for parent in PurePosixPath(name).parents}
    assert len(set(written)) == len(written)
    assert above & set(written) == set()


# which photos


def test_a_folder_is_searched_in_natural_order_and_hidden_or_other_files_are_left_out():
    write(
        "photos/10.png", "photos/2.png", "photos/B.PNG", "photos/sub/1.bmp", "photos/.hidden.png", "photos/.trash/1.png"
    )
    for other in ("notes.txt", "Thumbs.db", "film.mpg", "table.csv", "letter.pdf"):
        write_broken(f"photos/{other}")
    listed = list_photos([Path("photos")], Path("out"))
    assert [str(photo.below) for photo in listed] == ["2.png", "10.png", "B.PNG", "sub/1.bmp"]


def test_a_file_given_by_name_is_taken_whatever_it_is_called():
    write("photo.png").rename("photo")
    write(".hidden.png")
    segment("photo", ".hidden.png")
    assert masks() == [".hidden.png", "photo.png"]


def test_a_photo_given_twice_is_segmented_once():
    write("photos/x.png")
    Path("again").symlink_to("photos")
    done = segment("photos/x.png", "photos", "./photos/../photos/x.png", "again", "photos")
    assert [str(photo.file) for photo in done.photos] == ["photos/x.png"]


def test_two_links_to_one_file_are_two_photos():
    write("store/7f3a.png")
    Path("photos").mkdir()
    for name in ("anna.png", "bert.png"):
        Path("photos", name).symlink_to("../store/7f3a.png")
    segment("photos")
    assert masks() == ["anna.png", "bert.png"]


def test_masks_in_a_subfolder_are_not_taken_for_photos():
    write("photos/x.jpg")
    for _ in range(2):
        segment("photos", target="photos/masks")
        assert [row["file"] for row in table("photos/masks")] == ["photos/x.jpg"]


def test_all_missing_photos_are_reported_at_once_and_nothing_is_written():
    write("good.png")
    Path("nothing").mkdir()
    write_broken("texts/a.txt")
    os.mkfifo("pipe.png")
    with pytest.raises(DataError) as caught:
        segment("good.png", "missing.png", "nothing", "texts", "photos/*.jpg", "pipe.png")
    parts = ["missing.png: no such file", "nothing: a folder without photos", "texts: a folder without photos"]
    parts += ["photos/*.jpg: no file matches this pattern", "pipe.png: neither a regular file nor a folder"]
    for problem, part in zip(caught.value.problems, parts, strict=True):
        assert part in problem
        assert "\n" not in problem
    assert not Path("out").exists()


@pytest.mark.parametrize(("photos", "target"), [(["photos/x.jpg"], "photos"), (["photos"], "photos"), (["."], ".")])
def test_nothing_is_written_among_the_photos(photos, target):
    write("photos/x.jpg")
    before = Path("photos/x.jpg").read_bytes()
    with pytest.raises(ConfigError, match=f"{target}: masks would be written among the photos"):
        segment(*photos, target=target)
    assert Path("photos/x.jpg").read_bytes() == before
    assert not Path(target, "predictions.csv").exists()


def test_an_image_too_large_to_be_opened_is_not_overwritten(monkeypatch):
    write("photos/x.jpg")
    before = write("out/x.png").read_bytes()
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ConfigError, match=r"masks would be written over out/x\.png, which facesegl did not write"):
        segment("photos")
    assert Path("out", "x.png").read_bytes() == before


@pytest.mark.parametrize("there", ["x.png", "colours/x.png", "overlays/x.jpg"])
def test_only_images_of_an_earlier_prediction_are_overwritten(there):
    write("photos/x.jpg")
    before = write(f"out/{there}").read_bytes()
    with pytest.raises(ConfigError, match=f"masks would be written over out/{there}, which facesegl did not write"):
        segment("photos")
    assert Path("out", there).read_bytes() == before
    assert files() == [there]


def test_outputs_of_an_earlier_prediction_are_no_photos(caplog):
    write("photos/x.jpg", "photos/below/y.jpg")
    segment("photos", target="photos/first")
    segment("photos/below", target="photos/below/second/deep")
    with caplog.at_level(logging.INFO):
        segment("photos", target="photos/third")
    assert [row["file"] for row in table("photos/third")] == ["photos/x.jpg", "photos/below/y.jpg"]
    assert "photos/first: skipped, since it has the masks of an earlier prediction" in caplog.text


def test_models_and_photos_are_separated():
    write("photos/x.jpg")
    write_broken("run/result.json", b"{}")
    asked = [Path(name) for name in ("a.ckpt", "run", "photos/x.jpg", "b.onnx", "photos", "c.safetensors")]
    models, photos = models_and_photos(asked)
    assert [str(path) for path in models] == ["a.ckpt", "run", "b.onnx", "c.safetensors"]
    assert [str(path) for path in photos] == ["photos/x.jpg", "photos"]


def test_images_and_folders_without_runs_are_predicted_with_the_pretrained_weights(caplog):
    images = [write("photos/below/x.jpg"), write("X.PNG"), Path("photos")]
    with caplog.at_level(logging.INFO, "facesegl"):
        assert models_and_photos(images) == ([Path("facesegl:faces")], images)
    (line,) = caplog.messages
    assert "facesegl:faces" in line
    assert models_and_photos([Path("facesegl:other"), *images]) == ([Path("facesegl:other")], images)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("sweep", "sweep/0/result.json"),
        ("runs", "runs/first/2026/result.json"),
        ("checkpoints", "checkpoints/last.ckpt"),
        ("model.pt", "model.pt"),
        ("missing", None),
    ],
)
def test_what_may_be_a_mistyped_model_is_not_predicted_with_the_pretrained_weights(name, file):
    if file:
        write_broken(file)
    photo = write("photos/x.jpg")
    for paths in ([Path(name)], [photo, Path(name)]):
        what = r"(no model among these|no such file or folder|a folder without checkpoints/last.ckpt); expected .*ckpt"
        with pytest.raises((ConfigError, CheckpointError), match=what):
            models_and_photos(paths)


def test_missing_photos_without_a_model_are_just_missing():
    with pytest.raises(ConfigError) as raised:
        models_and_photos([Path("anna.jpg"), Path("bert.png")])
    assert raised.value.problems == ("anna.jpg: no such file or folder.", "bert.png: no such file or folder.")


def test_a_batch_size_of_zero_is_refused():
    with pytest.raises(ConfigError, match="batch size 0"):
        segment(write("photo.png"), batch_size=0)


# what goes wrong


def bomb():
    """A PNG of a few bytes that says it is 20000 x 20000."""
    head = struct.pack(">IIBBBBB", 20000, 20000, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def test_photos_that_cannot_be_opened_are_reported_and_the_others_segmented():
    whole = write("photos/1 good.png", size=(60, 60)).read_bytes()
    write_broken("photos/2 cut.png", whole[: len(whole) * 2 // 3])
    write_broken("photos/3 empty.jpg", b"")
    write_broken("photos/4 text.jpg")
    write("photos/5 good.bmp")
    write_broken("photos/6 bomb.png", bomb())
    Path("photos/7 gone.jpg").symlink_to("nowhere.jpg")
    write("photos/8 folder.jpg/good.png")
    os.mkfifo("photos/9 pipe.jpg")
    Path("photos/10 zeros.png").symlink_to("/dev/zero")
    done = segment("photos", batch_size=2)
    assert masks() == ["1 good.png", "5 good.png", "8 folder.jpg/good.png"]
    assert [row["output"] for row in table()] == masks()
    expected = ["2 cut.png: cannot be read", "3 empty.jpg: empty", "4 text.jpg: not an image", "6 bomb.png: too large"]
    expected += ["7 gone.jpg: no such file", "9 pipe.jpg: a named pipe", "10 zeros.png: a device"]
    for line, part in zip(done.failed, expected, strict=True):
        assert f"photos/{part}" in line
        assert "\n" not in line


def test_a_photo_whose_files_cannot_be_written_is_reported_and_the_others_segmented():
    long = "x" * 245
    write("photos/a.png", f"photos/{long}.png", "photos/z.png")
    Path("out/colours/a.png").mkdir(parents=True)
    done = segment("photos")
    assert masks() == ["z.png"]
    assert [row["output"] for row in table()] == ["z.png"]
    assert ["photos/a.png: " in done.failed[0], f"photos/{long}.png: " in done.failed[1]] == [True, True]
    assert len(done.failed) == 2
    assert half_files("out") == []


def test_on_a_full_disk_the_table_lists_the_complete_photos(monkeypatch):
    write("photos/1.png", "photos/2.png", "photos/3.png")

    def save(image, *given, write=Image.Image.save, **options):
        if Path("out/1.png").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        write(image, *given, **options)

    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises(MachineError, match="the disk is full"):
        segment("photos", batch_size=1)
    assert [row["output"] for row in table()] == masks() == ["1.png"]
    assert half_files("out") == []


def test_an_output_folder_that_cannot_be_written_is_reported_before_the_model_is_opened():
    write("photo.png")
    write_broken("file")
    for target in ("file", "file/out"):
        with pytest.raises(MachineError, match=f"{target}: cannot write there"):
            segment("photo.png", target=target, model="nowhere.ckpt")
    assert files(".") == ["file", "photo.png"]


def test_after_ctrl_c_the_table_lists_the_complete_photos_and_failures_are_logged(caplog):
    write("photos/1.png", "photos/3.png")
    write_broken("photos/2.png")

    def once(photos):
        if Path("out/1.png").exists():
            raise KeyboardInterrupt
        return channels(photos)

    with caplog.at_level(logging.WARNING), pytest.raises(KeyboardInterrupt):
        segment("photos", model=Painter(once), batch_size=1)
    assert [row["output"] for row in table()] == masks() == ["1.png"]
    assert "photos/2.png" in caplog.text
    assert half_files("out") == []


def test_a_second_run_replaces_its_own_files_and_leaves_others(caplog):
    write("photos/x.png", "photos/y.png")
    segment("photos")
    segment("photos")
    assert "earlier predictions" not in caplog.text
    write_broken("out/mine.txt")
    write("photos/x.png", size=(3, 3), colour=(0, 0, 250))
    segment("photos/x.png")
    assert "out: 1 mask of earlier predictions, not in the table" in caplog.text
    assert size("out/x.png") == (3, 3)
    assert {"y.png", "mine.txt"} <= set(files())
    assert [row["output"] for row in table()] == ["x.png"]


def test_a_table_never_lists_photos_of_an_earlier_run():
    write("photos/x.png")
    segment("photos")

    def fail(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        segment("photos", model=Painter(fail))
    assert table() == []


# memory


def test_photos_are_opened_one_batch_at_a_time(monkeypatch):
    write(*(f"photos/{number}.png" for number in range(1, 7)))
    write_broken("photos/2.png")
    events = []

    def opened(path, open_photo=room.open_photo):
        events.append(path.stem)
        return open_photo(path)

    def seen(photos):
        events.append(len(photos))
        return channels(photos)

    monkeypatch.setattr(room, "open_photo", opened)
    segment("photos", model=Painter(seen), batch_size=3)
    assert events == ["1", "2", "3", "4", 3, "5", "6", 2]


def test_large_photos_make_small_batches(monkeypatch):
    write("1.png", "2.png", "4.png", "5.png", size=(10, 10))
    write("3.png", size=(30, 30))
    monkeypatch.setattr(room, "_PIXELS", 500)
    model = Painter(channels)
    segment(*(f"{number}.png" for number in range(1, 6)), model=model, batch_size=4)
    assert [len(photos) for photos in model.seen] == [3, 2]


# the command


def test_the_command_segments_photos_with_a_checkpoint():
    torch.save({"state_dict": make_module().state_dict(), "hyper_parameters": make_card()}, "last.ckpt")
    for seed in range(3):
        save(draw_photo(draw_mask(seed), seed), f"photos/{seed}.png")
    assert "3 segmented" in succeed("predict", "last.ckpt", "photos", "-o", "out", "--device", "cpu").out
    assert masks() == ["0.png", "1.png", "2.png"]
    assert (pixels("out/1.png") == Predictor("last.ckpt", device="cpu")("photos/1.png").index).all()


def test_the_command_names_what_failed_and_ends_with_one():
    onnx_model("model.onnx")
    save(draw_photo(draw_mask(0), 0), "photos/good.png")
    write_broken("photos/bad.jpg")
    ended = call("predict", "model.onnx", "photos", "-o", "out")
    assert_reported(ended, 1, "photos/bad.jpg: not an image")
    assert "1 segmented, 1 failed" in ended.out
    assert masks() == ["good.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "predict: expected facesegl predict CKPT|photo|folder/ -o FOLDER. See facesegl predict --help."),
        (["model.onnx", "x.jpg"], "predict: expected facesegl predict CKPT|photo|folder/ -o FOLDER"),
        (["no_run", "x.jpg", "y.jpg", "-o", "out"], "no_run: no such file or folder; expected a .ckpt"),
        (["model.onnx", "x.jpg", "-o", "out", "--batch-size", "0"], "--batch-size: 0 is not a positive integer"),
        (["model.onnx", "x.jpg", "-o", "out", "--tt"], "--tt"),
        (["model.onnx", "-o", "out"], "a model, but no photos"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_arguments_are_reported_in_one_line(arguments, message):
    onnx_model("model.onnx")
    for name in ("x.jpg", "y.jpg"):
        write(name)
    assert_reported(call("predict", *arguments), 2, message)
    assert not Path("out").exists()


LIGHTNING = ["pytorch_lightning", "torchmetrics"]
WITHOUT = """
import sys
sys.modules |= dict.fromkeys({missing})
from facesegl.cli import main
for line in {lines}:
    sys.argv = ["facesegl", *line.split()]
    assert main() == 0
"""


def call_without(missing, *lines):
    """Run command lines in a process that cannot import some packages."""
    script = WITHOUT.format(missing=missing, lines=lines)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_an_exported_model_predicts_where_there_is_no_torch():
    onnx_model("model.onnx")
    write("photos/red.png")
    write("photos/blue.png", colour=(0, 0, 250))
    words = "predict model.onnx photos -o out --tta --probabilities"
    shown = call_without(["torch", *LIGHTNING], words, "info model.onnx")
    assert "2 segmented" in shown
    assert "trained on" in shown
    assert (pixels("out/red.png") == 0).all()
    assert (pixels("out/blue.png") == 2).all()
    assert np.load("out/probabilities/red.npy").shape == (6, 6, 9)


def test_a_checkpoint_predicts_and_shows_its_card_where_there_is_no_lightning():
    score = {"iou": {"skin": 0.5}, "miou": 0.5, "accuracy": 0.5, "miou_per_photo": 0.5, "boundary_f": 0.5, "photos": 1}
    card = make_card(scores={"test": {"scores": score, "floor": score, "agreement": None}})
    torch.save({"state_dict": make_module().state_dict(), "hyper_parameters": card}, "last.ckpt")
    write("red.png")
    shown = call_without(LIGHTNING, "predict last.ckpt red.png -o out --device cpu", "info last.ckpt")
    assert "1 segmented" in shown
    assert "mIoU" in shown
