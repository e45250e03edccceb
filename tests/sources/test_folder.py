"""Folders of photos and masks as users have them."""

import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facesegl.data import FaceCache
from facesegl.errors import ConfigError, DataError
from facesegl.labels import Taxonomy
from facesegl.sources import FolderFaces, open_photo
from helpers.heic import hide_heif
from helpers.trees import CVAT_LABELS, draw_photo, five_classes, save, write_folders

FIVE = Taxonomy.from_mapping({"classes": {name: [*colour] for name, colour in CVAT_LABELS.items()}})


def folder(images="photos", masks="masks", **changes):
    reading = {"kind": "auto", "overlap": "order", "rest": "background", "mask_scale": 1}
    pairing = {"mask_name": None, "name": "folder", "unlabelled": "error"}
    splits = {"lists": {}, "shares": {}, "split_seed": 0, "group": None}
    return FolderFaces(images=images, masks=masks, **{**reading, **pairing, **splits, **changes})


def problems(source):
    with pytest.raises(DataError) as caught:
        source.samples()
    return [*caught.value.problems]


def ids(source):
    return [sample.id for sample in source.samples()]


@pytest.mark.parametrize("mask_ending", [".png", ".npy", ".tif"])
@pytest.mark.parametrize("colours", [None, [*CVAT_LABELS.values()]])
def test_photos_and_masks_of_any_format_are_paired_and_read(tmp_path, mask_ending, colours, caplog):
    write_folders(".", [f"p{number}" for number in range(10)], mask_ending=mask_ending, colours=colours)
    source = folder()
    with caplog.at_level(logging.INFO):
        samples = source.samples()
    assert [sample.id for sample in samples] == [f"train/p{number}" for number in range(10)]
    assert [sample.group for sample in samples] == [sample.id for sample in samples]
    for seed, sample in enumerate(samples):
        assert (source.read_mask(sample, FIVE).mask == five_classes(seed)).all()
    pairing = f"paired by name (such as p0.jpg with p0{mask_ending})"
    assert f"{tmp_path.name}: 10 photos with a mask (10 train), {pairing}" in caplog.text


@pytest.mark.parametrize("place", ["My Photos, ä=[1]", "~photos", "a/b c/{d}"])
def test_folders_and_files_may_have_any_names(place):
    write_folders(".", ["Zoë, die 1.", "(x) [y] {z}", "100%", "naïve=ja"], images=place, masks=f"{place} masks")
    source = folder(Path.cwd() / place, f"./{place} masks")
    assert len(source.samples()) == 4


def test_suffixes_and_names_match_case_insensitively_in_natural_order():
    write_folders(".", ["p10", "p2", "P1", "q"], ending=".JPG", mask_ending=".PNG")
    Path("masks/q.PNG").rename("masks/Q.Png")
    assert ids(folder()) == ["train/P1", "train/p2", "train/p10", "train/q"]


@pytest.mark.parametrize(("images", "masks"), [("faces", "faces"), ("faces", "faces/masks"), ("faces/photos", "faces")])
def test_photos_and_masks_may_share_a_folder_or_be_nested(images, masks):
    write_folders(".", ["anna", "bob", "c/eve"], images=images, masks=masks, suffix="_mask")
    samples = folder("faces" if images == "faces" else images, masks).samples()
    assert [sample.id for sample in samples] == ["train/anna", "train/bob", "train/c/eve"]
    assert all(sample.mask.name.endswith("_mask.png") for sample in samples)


def test_hidden_files_and_other_formats_are_skipped():
    write_folders(".", ["anna", "bob"])
    for name in (".DS_Store", "._anna.jpg", "Thumbs.db", "notes.txt", ".trash/x.jpg"):
        for place in ("photos", "masks"):
            Path(place, name).parent.mkdir(exist_ok=True)
            Path(place, name).write_bytes(b"x")
    assert len(folder().samples()) == 2


def test_folders_may_be_links_even_circular_ones_but_photos_may_not():
    write_folders("real", ["a/anna", "b/bob"])
    Path("photos").symlink_to("real/photos")
    Path("real/photos/a/up").symlink_to("..")
    assert ids(folder("photos", "real/masks")) == ["train/a/anna", "train/b/bob"]
    Path("photos/loop.jpg").symlink_to("loop.jpg")
    (problem,) = problems(folder("photos", "real/masks"))
    assert "loop.jpg" in problem


# splits


@pytest.mark.parametrize("template", [False, True])
def test_subfolders_are_splits(template):
    for split, names in (("Train", ["1", "2"]), ("Valid", ["1"]), ("test", ["1", "3"])):
        if template:
            write_folders(split, names)
        else:
            write_folders(".", names, images=f"photos/{split}", masks=f"masks/{split}")
    source = folder("{split}/photos", "{split}/masks") if template else folder()
    assert ids(source) == ["train/1", "train/2", "val/1", "test/1", "test/3"]


@pytest.mark.parametrize(("images", "masks"), [("photos/{}", "masks"), ("photos", "masks/{}")])
def test_either_photos_or_masks_alone_may_have_split_folders(images, masks):
    for split, names in (("train", ["1", "2"]), ("test", ["3"])):
        write_folders(".", names, images=images.format(split), masks=masks.format(split))
    assert ids(folder()) == ["train/1", "train/2", "test/3"]


def test_photos_outside_the_split_folders_are_reported():
    write_folders(".", ["1", "2"], images="photos/train", masks="masks/train")
    save(draw_photo(0), "photos/3.jpg")
    save(draw_photo(0), "photos/more/4.jpg")
    assert problems(folder()) == [
        "photos: 3.jpg, more/4.jpg are next to train; move them into one of these, or elsewhere."
    ]


def test_lists_define_the_splits_and_unlisted_photos_are_left_out(caplog):
    write_folders(".", ["anna", "bob", "eve", "dan"])
    Path("learn.txt").write_text("anna.jpg\neve.jpg\n")
    Path("exam.txt").write_text("bob\n")
    source = folder(lists={"train": "learn.txt", "val": None, "test": "exam.txt"})
    with caplog.at_level(logging.INFO):
        assert ids(source) == ["train/anna", "test/bob", "train/eve"]
    assert "3 photos with a mask (2 train, 1 test)" in caplog.text
    assert "1 more are on no list and left out" in caplog.text


def test_shares_split_by_person():
    write_folders(".", [f"person{person}_{shot}" for person in range(6) for shot in range(2)])
    source = folder(shares={"val": 0.0, "test": 0.3}, group=r"person\d+")
    samples = source.samples()
    tested = {sample.group for sample in samples if sample.split == "test"}
    assert len(tested) == 2
    assert not tested & {sample.group for sample in samples if sample.split == "train"}
    assert ids(source) == [sample.id for sample in samples]


def test_a_new_photo_leaves_most_random_splits_unchanged():
    write_folders(".", [f"b{number:02}" for number in range(20)])
    before = {name for name in ids(folder(shares={"test": 0.3})) if name.startswith("test/")}
    write_folders(".", ["a"])  # which comes first in the folders
    after = {name for name in ids(folder(shares={"test": 0.3})) if name.startswith("test/")}
    assert len(before) == 6
    assert len(before & after) >= 5


def test_split_folders_exclude_lists_and_shares_of_the_same_split():
    write_folders(".", ["1", "2"], images="photos/train", masks="masks/train")
    write_folders(".", ["3"], images="photos/test", masks="masks/test")
    Path("a.txt").write_text("1\n")
    assert problems(folder(lists={"test": "a.txt"})) == [
        "data.source.lists: the folders train, val and test define the splits; use lists or folders."
    ]
    assert problems(folder(shares={"test": 0.5})) == [
        "data.source.shares.test: the data already have photos for test; set it to 0."
    ]
    assert sorted(name[:3] for name in ids(folder(shares={"val": 0.5}))) == ["tes", "tra", "val"]


@pytest.mark.parametrize(("group", "person"), [(r"person\d+", "person0"), (r"^(\w+?)_", "person0"), ("^.", "p")])
def test_persons_are_read_from_names(group, person):
    write_folders(".", ["person0_1", "person0_2"])
    assert {sample.group for sample in folder(group=group).samples()} == {person}


def test_a_name_without_a_person_is_reported():
    write_folders(".", ["person0_1", "guest_2"])
    (problem,) = problems(folder(group=r"person\d+"))
    assert "guest_2.jpg: data.source.group=person\\d+ finds no person in guest_2" in problem
    with pytest.raises(ConfigError, match=r"data.source.group=\(: not a regular expression"):
        folder(group="(")


# what is wrong with the files


def test_everything_unpaired_is_reported_at_once():
    write_folders(".", ["anna", "bob", "eve", "dan"])
    Path("masks/anna.png").unlink()
    Path("photos/bob.jpg").unlink()
    save(draw_photo(0), "photos/eve.png")
    shutil.copy("masks/dan.png", "masks/dan_mask.png")
    lines = problems(folder())
    assert len(lines) == 4
    assert "photos/eve.jpg and photos/eve.png: photos with the same name" in lines[0]
    assert "photos/dan.jpg: has the masks masks/dan.png, masks/dan_mask.png; keep one" in lines[1]
    assert "masks/bob.png: a mask without a photo; expected bob in photos" in lines[2]
    assert "photos/anna.jpg: a photo without a mask in masks. Add it, or" in lines[3]


def test_equal_problems_are_one_line_with_the_first_names_and_different_ones_are_truncated():
    write_folders(".", [f"p{number}" for number in range(20)])
    for number in range(1, 20):
        Path(f"masks/p{number}.png").unlink()
    (line,) = problems(folder())
    assert line.startswith("photos/p1.jpg, photos/p2.jpg, photos/p3.jpg and 16 more: a photo without a mask in masks")
    for number in range(1, 20):
        Path(f"photos/p{number}.jpg").rename(f"photos/q{number}.jpg")
        save(np.zeros((4, 4), np.uint8), f"masks/p{number}.png")
    *lines, last, _ = problems(folder())
    assert len(lines) == 5
    assert last == "... and 14 more masks without a photo."


def test_photos_without_a_mask_may_be_skipped_and_are_counted(caplog):
    write_folders(".", ["anna", "bob", "eve"])
    Path("masks/bob.png").unlink()
    refused, skipping = folder().survey(), folder(unlabelled="skip")
    assert [sample.id for sample in refused.samples] == ["train/anna", "train/eve"]
    assert len(refused.problems) == 1
    with caplog.at_level(logging.INFO):
        assert ids(skipping) == ["train/anna", "train/eve"]
    assert "1 photos have no mask and are left out: bob.jpg" in caplog.text
    survey = skipping.survey()
    assert (len(survey.samples), survey.problems, [path.name for path in survey.unlabelled]) == (2, (), ["bob.jpg"])


def test_names_with_nothing_in_common_are_one_problem_with_a_remedy():
    write_folders(".", ["anna", "bob"])
    for number, path in enumerate(sorted(Path("masks").iterdir())):
        path.rename(path.with_name(f"x-{number}-y.png"))
    (line,) = problems(folder())
    assert "no mask matches a photo by name; photos are anna.jpg, bob.jpg; masks are x-0-y.png, x-1-y.png" in line
    assert """data.source.mask_name='"{stem}_seg"'""" in line


def rename(place, *names):
    for path, name in zip(sorted(Path(place).iterdir()), names, strict=True):
        path.rename(path.with_name(name + path.suffix))


@pytest.mark.parametrize(
    ("photos", "masks", "keys"),
    [
        (["p_01_0000", "p_02_0000"], ["p_01", "p_02"], ["image_name='\"{stem}_0000\"'"]),
        (["a_leftImg8bit", "b_leftImg8bit"], ["a_gtFine_labelIds", "b_gtFine_labelIds"], ["{stem}leftImg8bit"]),
        (["image_001", "image_002"], ["label_001", "label_002"], ['"image{stem}"', '"label{stem}"']),
        (["anna", "bob"], ["x-anna-y", "x-bob-y"], ["mask_name='\"x-{stem}-y\"'"]),
    ],
)
def test_affixes_of_all_photos_or_masks_are_recognized_if_they_pair_every_photo(photos, masks, keys, caplog):
    write_folders(".", ["1", "2"])
    rename("photos", *photos)
    rename("masks", *masks)
    with caplog.at_level(logging.INFO):
        assert [sample.mask.stem for sample in folder().samples()] == masks
    assert all(key in caplog.text for key in keys)
    for one, two in zip(photos, masks, strict=True):
        assert f"paired: photos/{one}.jpg: masks/{two}.png" in caplog.text
    Path(f"masks/{masks[1]}.png").unlink()
    assert f"photos/{photos[1]}.jpg" in "\n".join(problems(folder())) or "no mask matches" in problems(folder())[0]


def test_affixes_that_pair_most_photos_are_proposed_and_not_used():
    write_folders(".", ["a", "b", "c", "d"])
    rename("photos", *(f"{name}_0000" for name in "abcd"))
    Path("masks/d.png").unlink()
    (line,) = problems(folder())
    assert """Most match with data.source.image_name='"{stem}_0000"'""" in line
    (line,) = problems(folder(image_name="{stem}_0000"))
    assert "d_0000.jpg: a photo without a mask" in line


@pytest.mark.parametrize("photos", [["img10", "img20"], ["img11", "img12"]])
def test_a_number_is_never_split_to_pair_names(photos):
    write_folders(".", ["1", "2"])
    rename("photos", *photos)
    rename("masks", "mask1", "mask2")
    assert "no mask matches a photo by name" in problems(folder())[0]


def test_image_name_leaves_out_files_of_other_names_and_counts_them(caplog):
    write_folders(".", ["a_0000", "a_0001", "b_0000"])
    rename("masks", "a_ids", "a_color", "b_ids")
    with caplog.at_level(logging.INFO):
        assert ids(folder(image_name="{stem}_0000", mask_name="{stem}_ids")) == ["train/a_0000", "train/b_0000"]
    assert "2 files have other names than" in caplog.text
    assert "a_0001.jpg, a_color.png" in caplog.text
    for wrong in ("x", "{stem}{stem}", "{stem}_{part}", "{stem:04}"):
        with pytest.raises(ConfigError, match=r"data\.source\.image_name=.*expected one \{stem\}"):
            folder(image_name=wrong)


def test_photos_of_one_name_are_paired_by_their_names_with_the_suffix():
    write_folders(".", ["f0.jpg", "f1.jpeg"])
    rename("photos", "f0", "f1")
    shutil.copy("photos/f0.jpg", "photos/f0.jpeg")
    shutil.copy("masks/f0.jpg.png", "masks/f0.jpeg.png")
    shutil.move("masks/f1.jpeg.png", "masks/f1.jpg.png")
    assert [(sample.id, sample.mask.name) for sample in folder().samples()] == [
        ("train/f0.jpeg", "f0.jpeg.png"),
        ("train/f0.jpg", "f0.jpg.png"),
        ("train/f1", "f1.jpg.png"),
    ]
    shutil.move("masks/f0.jpg.png", "masks/f0.png")
    assert "photos/f0.jpeg and photos/f0.jpg: photos with the same name" in problems(folder())[0]


def test_similar_names_are_suggested_and_never_paired():
    write_folders(".", ["anna", "bob 4", "carla", "dan1", "dan2", "eve", "zoe"])
    rename("masks", "anna", "bob_4", "karla", "dan3", "dan4", "lea", "zoe_final2")
    lines = problems(folder())
    assert lines[:3] == [
        "photos/bob 4.jpg: a photo without a mask; did you mean masks/bob_4.png? Rename one of them.",
        "photos/carla.jpg: a photo without a mask; did you mean masks/karla.png? Rename one of them.",
        "photos/zoe.jpg: a photo without a mask; did you mean masks/zoe_final2.png? Rename one of them.",
    ]
    assert "photos/eve.jpg: a photo without a mask" in lines[-1], "they are unlike each other"
    assert len(lines) == 7, "and the masks dan3, dan4 and lea"


def test_twenty_pairs_of_unequal_names_are_shown_and_all_are_kept_for_the_log(caplog):
    write_folders(".", [f"p{number}" for number in range(22)], suffix="_mask")
    source = folder()
    with caplog.at_level(logging.INFO):
        source.samples()
    assert caplog.text.count("paired: photos/") == 20
    assert "... and 2 more pairs; log.txt of a run lists all." in caplog.text
    assert (len(source.pairing), source.pairing[-1]) == (22, "photos/p21.jpg: masks/p21_mask.png")


def test_missing_or_empty_folders_are_reported_together(monkeypatch):
    hide_heif(monkeypatch)
    lines = problems(folder())
    assert [line.partition(":")[0] for line in lines] == ["photos", "masks"]
    assert "data.source.images=FOLDER" in lines[0]
    for name in ("photos", "masks"):
        Path(name).mkdir()
    Path("photos/a.heic").write_bytes(b"x")
    assert problems(folder()) == [
        "photos: no photos in it (there are a.heic); expected files such as .jpg or .png.",
        "masks: no masks in it; expected files such as .jpg or .png.",
    ]


@pytest.mark.parametrize(
    ("suffix", "remedy"), [("HEIC", "pip install 'facesegl[heic]', or save as JPEG"), ("CR2", "save as JPEG or PNG")]
)
def test_an_unsupported_photo_format_is_reported_with_the_mask(monkeypatch, suffix, remedy):
    hide_heif(monkeypatch)
    write_folders(".", ["anna", "IMG_2"])
    Path("photos/IMG_2.jpg").rename(f"photos/IMG_2.{suffix}")
    assert problems(folder()) == [f"masks/IMG_2.png: its photo IMG_2.{suffix} has an unsupported format; {remedy}."]


def test_data_without_training_photos_are_an_error():
    write_folders(".", ["1", "2"])
    Path("all.txt").write_text("1\n2\n")
    assert "no photo to train on" in problems(folder(lists={"test": "all.txt"}))[0]


# masks and photos


def test_a_mask_drawn_on_an_upright_phone_photo_fits():
    photo, mask = draw_photo(0, 48, 40), five_classes(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    Path("photos").mkdir()
    Image.fromarray(np.rot90(photo)).save("photos/anna.png", exif=exif)
    save(mask, "masks/anna.png")
    source = folder()
    (sample,) = source.samples()
    assert (open_photo(sample.photo) == photo).all()
    assert (source.read_mask(sample, FIVE).mask == mask).all()


def test_mask_scale_enlarges_masks():
    write_folders(".", ["anna"])
    source = folder(mask_scale=2)
    assert (source.read_mask(source.samples()[0], FIVE).mask == five_classes(0).repeat(2, 0).repeat(2, 1)).all()
    with pytest.raises(ConfigError, match=r"data.source.mask_scale=0"):
        folder(mask_scale=0)


def test_masks_with_one_file_per_part():
    for seed, name in enumerate(("anna", "anna_2")):
        save(draw_photo(seed, 48, 40), f"photos/{name}.jpg")
        for index, part in enumerate([*CVAT_LABELS][1:], start=1):
            save(np.uint8(255) * (five_classes(seed) == index), f"masks/{name}_{part}.png")
    source = folder(kind="parts")
    samples = source.samples()
    assert [sample.id for sample in samples] == ["train/anna", "train/anna_2"]
    assert {name for name, _path in samples[0].parts} == {*CVAT_LABELS} - {"background"}
    for seed, sample in enumerate(samples):
        assert (source.read_mask(sample, FIVE).mask == five_classes(seed)).all()
        assert len(sample.mask_files) == 4


def test_every_option_of_reading_masks_changes_the_cache_key():
    ways = [folder(), folder(kind="index"), folder(rest="void"), folder(mask_scale=2), folder(overlap="smallest")]
    assert len({way.reading for way in ways}) == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "parts", "mask_name": "{stem}"}, ".part. is required with kind=parts"),
        ({"mask_name": "{stem}_{part}"}, "kind=auto, mask_name=.* is required with kind=parts"),
        ({"name": "a/b"}, "expected a plain name"),
    ],
)
def test_contradictory_arguments_are_an_error(changes, message):
    with pytest.raises(ConfigError, match=message):
        folder(**changes)


def test_data_without_classes_require_a_taxonomy():
    with pytest.raises(ConfigError, match=r"the files of folder do not define classes.*data.taxonomy=FILE.yaml"):
        folder().own_taxonomy()


@pytest.mark.timeout(60)
def test_pipes_and_devices_are_reported_and_never_read():
    write_folders(".", ["anna", "bob", "carl"])
    for path in ("photos/anna.jpg", "masks/bob.png", "masks/carl.png"):
        Path(path).unlink()
    os.mkfifo("photos/anna.jpg")
    Path("masks/bob.png").symlink_to("/dev/zero")
    os.mkfifo("masks/carl.npy")
    with pytest.raises(DataError) as caught:
        FaceCache(folder(), FIVE, 8, Path("cache"))
    assert [problem.partition(";")[0] for problem in caught.value.problems] == [
        "photos/anna.jpg: a named pipe, not a regular file",
        "masks/bob.png: a device, not a regular file",
        "masks/carl.npy: a named pipe, not a regular file",
    ]
    anna, bob, carl = folder().samples()
    with pytest.raises(DataError, match="not a regular file"):
        open_photo(anna.photo)
    for sample in (bob, carl):
        with pytest.raises(DataError, match="not a regular file"):
            folder().read_mask(sample, FIVE)
    os.mkfifo("test.txt")
    (problem,) = problems(folder(lists={"test": "test.txt"}))
    assert problem.startswith("test.txt: a named pipe, not a regular file")


def test_undecodable_names_are_distinct_and_escaped_in_ids():
    write_folders(".", ["anna"])
    for place, ending in (("photos", b".jpg"), ("masks", b".png")):
        for name in (b"J\xf6rg", b"J\xfcrg"):
            shutil.copy(f"{place}/anna{ending.decode()}", os.fsencode(f"{place}/") + name + ending)
    assert ids(folder()) == ["train/anna", "train/J\\xf6rg", "train/J\\xfcrg"]
    assert open_photo(folder().samples()[1].photo).shape == (48, 40, 3)


@pytest.mark.parametrize(("template", "name"), [("{stem}/{part}", "{}/{}"), ("{part}/{stem}", "{1}/{0}")])
@pytest.mark.parametrize("below", ["", "day 1/"])
def test_parts_may_have_a_folder_per_photo_or_per_part(template, name, below):
    names = ("anna", "anna_left", "bob")
    for seed, photo in enumerate(names):
        save(draw_photo(seed, 48, 40), f"photos/{below}{photo}.jpg")
        for index, part in enumerate([*CVAT_LABELS][1:], start=1):
            picture = np.uint8(255) * (five_classes(seed) == index)
            save(picture, f"masks/{below}{name.format(photo, part)}.png")
    source = folder(mask_name=template, kind="parts")
    found = source.samples()
    assert [sample.id for sample in found] == [f"train/{below}{photo}" for photo in names]
    for seed, sample in enumerate(found):
        assert (source.read_mask(sample, FIVE).mask == five_classes(seed)).all()
    Path(f"photos/{below}bob.jpg").unlink()
    assert "a mask without a photo; expected bob in photos" in problems(source)[0]
