"""Wrong photos and masks: each is named, the exit code is 3, and nothing half done is left."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.calling import SMALL_UNET, assert_reported, call, half_files, run, runs, succeed, train
from helpers.faces import write_faces
from helpers.trees import write_lapa


def assert_refused(ended, *messages):
    assert_reported(ended, 3, *messages)
    assert not Path("runs").exists()
    assert not half_files(".")


def crop_mask(fasseg, number):
    mask = fasseg / "Train_Labels" / f"{number}.bmp"
    Image.open(mask).crop((0, 0, 32, 30)).save(mask)


def test_missing_data_are_reported_with_their_path_and_how_to_get_them():
    remedies = ["facesegl data download data/fasseg", "paths.data=FOLDER", "FACESEGL_DATA"]
    assert_refused(train(), ["data/fasseg/V2: no such folder", *remedies])
    assert list(Path().iterdir()) == []


def test_environment_variable_with_a_missing_path_is_reported(fasseg, monkeypatch):
    monkeypatch.setenv("FACESEGL_DATA", "/nowhere/at all")
    assert_refused(train(), "/nowhere/at all/fasseg/V2: no such folder")


def test_command_to_get_the_data_can_be_pasted_though_the_folder_has_blanks(monkeypatch):
    monkeypatch.setenv("FACESEGL_DATA", "my photos")
    assert_refused(train(), "facesegl data download 'my photos/fasseg'")


def test_empty_folder():
    Path("data/fasseg/V2").mkdir(parents=True)
    assert_refused(train(), ["data/fasseg/V2: no training photos", "Train_RGB and Train_Labels"])


def test_photo_without_mask_and_mask_without_photo_are_reported_together(fasseg):
    (fasseg / "Train_Labels" / "2.bmp").unlink()
    (fasseg / "Train_RGB" / "3.bmp").unlink()
    assert_refused(
        train(),
        ["Train_Labels/3.bmp: a mask without a photo", "expected 3.bmp in Train_RGB"],
        ["Train_RGB/2.bmp: a training photo without a mask", "expected 2.bmp in Train_Labels"],
    )


def test_a_name_can_fake_no_line_on_the_terminal_in_the_log_or_in_the_record(fasseg):
    for folder in ("Train_RGB", "Train_Labels"):
        (fasseg / folder / "2.bmp").rename(fasseg / folder / "2\x1b[2J\nerror: forged\u202e\x9b.bmp")
    (fasseg / "Train_Labels" / "3.bmp").write_bytes(b"")
    Path("run").mkdir()
    ended = train("paths.run=run")
    assert_refused(ended, "3.bmp")
    crop_mask(fasseg, "2\x1b[2J\nerror: forged\u202e\x9b")
    shutil.copy(fasseg / "Train_Labels" / "4.bmp", fasseg / "Train_Labels" / "3.bmp")
    ended = train("data.fold=null", "paths.run=run")
    assert ended.code == 0, ended.err
    logged = Path("run/log.txt").read_text(encoding="utf-8")
    assert r"2\x1b[2J\nerror: forged\u202e\x9b" in ended.err
    for text in (ended.out, ended.err, logged):
        assert all(char.isprintable() or char == "\n" for char in text)
        assert not [line for line in text.splitlines() if line.startswith("error")]


def test_masks_of_another_size_are_left_out_and_named_in_a_line_each(fasseg):
    crop_mask(fasseg, 2)
    crop_mask(fasseg, 3)
    ended = train("data.fold=null")
    assert ended.code == 0, ended.err
    for name, warning in zip("23", ended.lines("warning"), strict=True):
        assert f"Train_Labels/{name}.bmp: the mask is 32x30, its photo 32x40; train/{name} is left out" in warning
        assert f"train/{name}" not in (runs()[0] / "folds.json").read_text()


def test_mask_of_another_size_is_an_error_where_data_are_strict(fasseg):
    crop_mask(fasseg, 2)
    ended = train("data.strict=true")
    assert_refused(ended, ["Train_Labels/2.bmp: the mask is 32x30, its photo 32x40"])
    assert "left out" not in ended.err


def test_broken_files_are_reported_together(fasseg):
    photo = fasseg / "Train_RGB" / "2.bmp"
    photo.write_bytes(photo.read_bytes()[:500])
    (fasseg / "Train_Labels" / "1.bmp").write_bytes(b"")
    (fasseg / "Train_Labels" / "4.bmp").write_text("hello, I am a text\n")
    Image.fromarray(np.full((40, 32, 3), 200, np.uint8)).save(fasseg / "Test_Labels" / "1.bmp")
    assert_refused(
        train(),
        ["Train_Labels/1.bmp: empty"],
        ["Train_RGB/2.bmp: cannot be read as an image", "cut off"],
        ["Train_Labels/4.bmp: not an image"],
        ["Test_Labels/1.bmp: 100% of the pixels are far from every class colour", "data.taxonomy=FILE.yaml"],
    )


@pytest.mark.timeout(120)
def test_a_pipe_and_a_device_among_the_files_are_reported_without_blocking(fasseg):
    photo, mask = fasseg / "Train_RGB" / "2.bmp", fasseg / "Test_Labels" / "1.bmp"
    photo.unlink()
    mask.unlink()
    os.mkfifo(photo)
    mask.symlink_to("/dev/zero")
    lines = ["Train_RGB/2.bmp: a named pipe, not a regular file", "Test_Labels/1.bmp: a device, not a regular file"]
    assert_refused(train(), *lines)
    checked, previewed = call("data", "check", "--json"), call("data", "preview")
    assert all(line in checked.out for line in lines)
    assert lines[0] in previewed.err
    assert (checked.code, previewed.code) == (1, 0)


def test_names_that_are_no_text_are_trained_on_scored_and_predicted(fasseg):
    for kind in ("Train_RGB", "Train_Labels", "Test_RGB", "Test_Labels"):
        (fasseg / kind / "2.bmp").rename(os.fsdecode(os.fsencode(fasseg / kind) + b"/J\xf6rg.bmp"))
    ended = train("data.fold=null", "callbacks.panels={}")
    assert ended.code == 0, ended.err
    assert "Logging error" not in ended.err
    (folder,) = runs()
    assert "test/J\\xf6rg" in (folder / "per_image.csv").read_text(encoding="utf-8")
    for words in (
        ["evaluate", folder / "checkpoints" / "last.ckpt"],
        ["predict", folder / "checkpoints" / "last.ckpt", fasseg / "Test_RGB", "-o", os.fsdecode(b"out\xff")],
        ["report", folder],
        ["data", "check", "data/fasseg"],
        ["data", "preview"],
    ):
        assert "Logging error" not in succeed(*words).err
    assert Path(os.fsdecode(b"out\xff/J\xf6rg.png")).is_file()


def test_a_mask_that_changes_during_the_training_is_not_scored_as_if_it_had_been_trained_on(fasseg):
    names = [fasseg / "Train_Labels" / f"{number}.bmp" for number in (1, 2)]
    copy = [f"+callbacks.copy.{key}={name}" for key, name in zip(("source", "target"), names, strict=True)]
    ended = train("+callbacks.copy._target_=helpers.faulty.CopyAtEnd", *copy)
    assert_reported(ended, 3, ["Train_Labels/2.bmp: changed since this command started", "facesegl evaluate"])
    (folder,) = runs()
    assert not (folder / "scores.csv").exists()
    succeed("evaluate", folder, "set=val")


def fill_masks(colour, numbers=range(1, 7)):
    for number in numbers:
        Image.new("RGB", (32, 40), colour).save(f"data/fasseg/V2/Train_Labels/{number}.bmp")


def show_a_mask():
    shutil.copy("data/fasseg/V2/Train_Labels/2.bmp", "data/fasseg/V2/Train_RGB/2.bmp")


def cut_masks():
    for number in range(1, 5):
        crop_mask(Path("data/fasseg/V2"), number)


VOID = "+data.taxonomy.void=[9,9,9]"


@pytest.mark.parametrize(
    ("spoil", "keys", "messages"),
    [
        (lambda: fill_masks((255, 0, 0)), [], [["every pixel of every training mask is background", "remap"]]),
        (
            lambda: fill_masks((9, 9, 9)),
            [VOID],
            [["every pixel of every training mask is void"], ["every mask to validate on is void", "another fold"]],
        ),
        (lambda: fill_masks((9, 9, 9), [2]), [VOID, "data.folds=6"], [["every mask to validate on is void"]]),
        (show_a_mask, [], [["1 photo showing the mask itself", "(train/2", "the real photos"]]),
        (
            cut_masks,
            ["data.fold=null"],
            [["4 masks of another size", "more than are left", "1.bmp: the mask is 32x30"]],
        ),
    ],
    ids=["all background", "all void", "void fold", "mask as photo", "other sizes"],
)
def test_training_refuses_what_data_check_calls_an_error_unless_it_is_forced(fasseg, spoil, keys, messages):
    spoil()
    keys = ["data.folds=3", *keys]
    ended = train(*keys)
    warnings = [line for line in ended.lines("warning") if "left out" not in line]
    assert (ended.code, warnings) == (3, [])
    errors = ended.lines("error")
    assert len(errors) == len(messages), ended.err
    for line, parts in zip(errors, messages, strict=True):
        assert all(part in line for part in [*parts, "fasseg_v2: ", "data.force=true"])
    assert not Path("runs").exists()
    for cached in (True, False):  # what training found while caching is in the cache, too
        assert train(*keys, *([] if cached else ["data.image_size=24"])).code == 3
    checked = json.loads(call("data", "check", "--json", *keys).out)["data"][0]
    assert [finding["what"] for finding in checked["findings"] if finding["severity"] == "error"] == [
        line.split(": ", 2)[2].split(" (")[0].split(". ")[0] for line in errors
    ]


def test_data_that_training_refuses_can_be_trained_on_knowingly(fasseg):
    show_a_mask()
    ended = train("data.force=true")
    assert ended.code == 0, ended.err
    (warning,) = ended.lines("warning")
    assert "1 photo showing the mask itself" in warning
    succeed("evaluate", runs()[0], "set=val")


def test_a_repeated_photo_in_train_and_val_is_refused():
    write_lapa("data/LaPa")
    first, other = (next(Path(f"data/LaPa/{split}/images").iterdir()) for split in ("train", "val"))
    shutil.copy(first, other)
    ended = train("data=lapa")
    assert_refused(ended, ["lapa: 1 val photo also in train, pixel for pixel", "memorization", "data.force=true"])


def test_a_dark_photo_is_no_picture_of_a_mask_with_a_black_background(fasseg):
    for number in range(1, 7):
        dark = np.zeros((40, 32, 3), np.uint8)
        dark[20:23, 10:20] = 90
        mask = np.zeros((40, 32, 3), np.uint8)
        mask[20:23, 10:20] = (255, 255, 0)
        dark[0, 0] = number
        Image.fromarray(dark).save(fasseg / "Train_RGB" / f"{number}.bmp")
        Image.fromarray(mask).save(fasseg / "Train_Labels" / f"{number}.bmp")
    ended = train("data.taxonomy.classes.background=[0,0,0]")
    assert ended.code == 0, ended.err


def test_repaired_data_train(fasseg):
    photo = fasseg / "Train_RGB" / "2.bmp"
    whole = photo.read_bytes()
    photo.write_bytes(whole[:500])
    assert train().code == 3
    photo.write_bytes(whole)
    assert train().code == 0
    assert not half_files(".")


def test_fewer_persons_than_folds():
    write_faces(Path("data/fasseg/V2"), train=3)
    assert_refused(train(), ["data.folds=5", "3 persons", "data.folds=3 or fewer", "data.fold=null"])


def test_no_test_photos_and_none_held_out_trains_and_says_why_there_is_no_score(fasseg):
    for kind in ("RGB", "Labels"):
        shutil.rmtree(fasseg / f"Test_{kind}")
    ended = train("data.fold=null")
    assert ended.code == 0, ended.err
    assert "no scores: the data have no test photos, and data.fold=null holds none out" in ended.err


@pytest.mark.parametrize("name", ["my data=[ü] (1), x", "a=b", "it's"])
def test_paths_may_hold_anything_when_quoted(fasseg, name):
    Path("data").rename(name)
    quoted = '"' + name + '"'
    ended = train(f"paths.data={quoted}", f'paths.runs={quoted[:-1]} runs"', f'paths.cache={quoted[:-1]} cache"')
    assert ended.code == 0, ended.err
    (checkpoint,) = Path(f"{name} runs").glob("*/*/checkpoints/last.ckpt")
    assert next(Path(f"{name} cache").glob("*/manifest.json"))
    succeed("evaluate", checkpoint, f'paths.runs={quoted[:-1]} runs"')


@pytest.mark.parametrize("name", ["my data=1", "dätä", "[x", "it's"])
def test_path_that_needs_quotes_is_shown_in_them(name):
    assert_reported(train(f"paths.data={name}"), 2, f"""'paths.data="{name}"'""")


@pytest.mark.slow
def test_a_new_process_reports_the_same():
    assert_refused(run("train", *SMALL_UNET), "data/fasseg/V2: no such folder")
