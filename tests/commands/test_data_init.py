"""`facesegl data init`: the classes of any masks that training reads, and commands that work as printed."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image, ImageFilter

from facesegl.commands.datasets import choose_data
from facesegl.labels import Taxonomy
from facesegl.labels.from_parts import can_be_drawn
from helpers.calling import assert_reported, call, succeed
from helpers.faces import CLASSES, draw_mask
from helpers.trainings import SMALL_UNET
from helpers.trees import (
    CELEBAMASK,
    CVAT_LABELS,
    LAPA,
    draw_photo,
    five_classes,
    save,
    write_celebamask,
    write_cvat,
    write_folders,
    write_helen,
    write_label_studio,
    write_lapa,
)

NAMES = ["anna", "bob", "eve", "dan", "kim", "lea"]
COLORS = [*CVAT_LABELS.values()]
NUMBERED = ["background", "class 1", "class 2", "class 3", "class 4"]


def init(*words):
    """What `data init` prints, the words of its three commands, and the taxonomy that it writes."""
    ended = succeed("data", "init", *words)
    commands = [shlex.split(line)[1:] for line in re.findall(r"^  (facesegl .*)$", ended.out, flags=re.MULTILINE)]
    return ended, commands, yaml.safe_load(Path("my.yaml").read_text(encoding="utf-8"))


def palette_masks():
    write_folders(".", NAMES)
    for path in Path("masks").iterdir():
        image = Image.open(path)
        image.putpalette(np.ravel(COLORS).tolist())
        image.save(path)


def layers():
    write_folders(".", NAMES, mask_ending=".npy")
    for seed, name in enumerate(NAMES):
        np.save(f"masks/{name}.npy", five_classes(seed) == np.arange(5)[:, None, None])


def parts(separator="-"):
    write_folders(".", NAMES)
    for seed, name in enumerate(NAMES):
        Path(f"masks/{name}.png").unlink()
        for index, part in enumerate(CVAT_LABELS):
            if index:
                save(np.uint8(255) * (five_classes(seed) == index), f"masks/{name}{separator}{part}.png")


def black_and_white():
    write_folders(".", NAMES, colours=[(0, 0, 0), *[(255, 255, 255)] * 4])
    for path in Path("masks").iterdir():
        Image.open(path).convert("L").save(path)


def one_folder():
    write_folders(".", NAMES, masks="photos", suffix="_mask")


def split_folders():
    for split, names in (("train", NAMES), ("test", ["zoe"])):
        write_folders(".", names, images=f"photos/{split}", masks=f"masks/{split}")


def suffixes():
    write_folders(".", [f"{name}_0000" for name in NAMES])
    for path in [*Path("masks").iterdir()]:
        path.rename(path.with_stem(path.stem.removesuffix("_0000")))


def below_one_folder():
    write_folders("faces", NAMES)


def half_size():
    write_folders(".", NAMES)
    for path in Path("photos").iterdir():
        image = Image.open(path)
        image.resize((80, 96)).save(path)


FOLDERS = ["photos", "masks"]


@pytest.mark.parametrize(
    ("write", "words", "names"),
    [
        (lambda: write_folders(".", NAMES), FOLDERS, NUMBERED),
        (lambda: write_folders(".", NAMES, mask_ending=".npy"), FOLDERS, NUMBERED),
        (lambda: write_folders(".", NAMES, colours=COLORS), FOLDERS, NUMBERED),
        (palette_masks, FOLDERS, NUMBERED),
        (layers, FOLDERS, NUMBERED),
        (black_and_white, FOLDERS, NUMBERED[:2]),
        (one_folder, ["photos"], NUMBERED),
        (below_one_folder, ["faces"], NUMBERED),
        (split_folders, FOLDERS, NUMBERED),
        (suffixes, FOLDERS, NUMBERED),
        (half_size, FOLDERS, NUMBERED),
        (parts, FOLDERS, ["background", "hair", "left eye", "right eye", "skin"]),
        (lambda: write_cvat("export"), ["export"], [*CVAT_LABELS]),
        (lambda: write_cvat("export"), ["export/JPEGImages", "export/SegmentationClass"], [*CVAT_LABELS]),
        (
            lambda: write_label_studio("."),
            ["photos", "export"],
            ["background", "hair", "left eye", "right eye", "skin"],
        ),
        (lambda: write_celebamask("."), ["CelebA-HQ-img", "CelebAMask-HQ-mask-anno"], [*CELEBAMASK]),
        (lambda: write_lapa("."), ["{split}/images", "{split}/labels"], None),
        (lambda: write_helen("."), ["images", "labels"], [*LAPA]),
    ],
    ids=[
        *("numbers", "arrays", "colours", "palette", "layers", "black_and_white", "one_folder", "below"),
        *(
            "splits",
            "suffixes",
            "half_size",
            "parts",
            "cvat",
            "cvat_folders",
            "label_studio",
            "celebamask",
            "lapa",
            "helen",
        ),
    ],
)
def test_each_layout_gets_classes_that_pass_the_check_and_fill_the_cache(write, words, names):
    write()
    _ended, (check, preview, train), mapping = init(*words)
    assert names is None or sorted(mapping["classes"]) == sorted(names)
    assert Taxonomy.from_mapping(mapping).num_classes > 1
    assert "OK to train" in succeed(*check).out
    assert preview[-2:] == ["-o", "my.png"]
    faces = choose_data([*train[1:], "data.image_size=16", "data.synthetic_share=0"], verb="train")
    faces.setup("fit")
    assert not faces.cache.left_out
    seen = sum(np.array(row.class_pixels) > 0 for row in faces.cache.rows)
    assert (seen > 0).sum() >= min(5, faces.taxonomy.num_classes)


def test_its_command_trains_and_mixes_in_synthetic_faces_of_named_classes():
    parts("_")
    ended, (_check, preview, train), mapping = init(*FOLDERS)
    assert mapping["pairs"] == [["left eye", "right eye"]]
    assert mapping["synthetic_as"]["left eye"] == "right eye", "the eye on the left of a photo is the person's right"
    assert mapping["synthetic_as"]["nose"] == "skin"
    assert "check synthetic_as" in ended.out
    succeed(*preview)
    words = [word for word in SMALL_UNET if "synthetic_share" not in word]
    assert "synthetic faces" in succeed(*train, *words, "trainer.max_epochs=1", "data.synthetic_faces=4").err


def blended(quality=None):
    """Six colours with blended edges, or as JPEG."""
    write_folders(".", NAMES)
    for seed, name in enumerate(NAMES):
        mask = Image.fromarray(np.uint8([*CLASSES.values()])[draw_mask(seed, 240, 200)])
        mask = mask.filter(ImageFilter.GaussianBlur(0.8))
        save(draw_photo(seed, 240, 200), f"photos/{name}.jpg")
        Path(f"masks/{name}.png").unlink()
        mask.save(f"masks/{name}{'.jpg' if quality else '.png'}", **({"quality": quality} if quality else {}))


@pytest.mark.parametrize("quality", [None, 90, 60])
def test_blended_and_compressed_colours_are_those_of_their_classes_and_named_after_known_ones(quality):
    blended(quality)
    _ended, (check, *_), mapping = init(*FOLDERS)
    assert mapping["classes"] == CLASSES
    assert can_be_drawn(Taxonomy.from_mapping(mapping))
    assert "OK to train" in succeed(*check).out


@pytest.mark.parametrize(
    ("file", "text", "names"),
    [
        ("masks/classes.txt", "nothing\nface\nleft eye\nright eye\nhair\n", "nothing face left-eye right-eye hair"),
        ("masks/labels.txt", "face\nleft eye\nright eye\nhair\n", "background face left-eye right-eye hair"),
        ("dataset.json", json.dumps({"labels": {"a": 0, "b": 1, "c": 2, "d": 3, "e": 4}}), "a b c d e"),
        ("label_map.json", json.dumps({str(n): name for n, name in enumerate("abcde")}), "a b c d e"),
        ("masks/_classes.csv", "Pixel Value, Class\n0, a\n1, b\n2, c\n3, d\n4, e\n", "a b c d e"),
        ("masks/classes.txt", "a\nb\n", "a b class-2 class-3 class-4"),
    ],
)
def test_names_are_read_from_a_file_next_to_the_masks(file, text, names):
    write_folders(".", NAMES)
    Path(file).write_text(text)
    _ended, _commands, mapping = init(*FOLDERS)
    assert [name.replace(" ", "-") for name in mapping["classes"]] == names.split()


def test_colours_are_named_by_a_file_of_colours():
    write_folders(".", NAMES, colours=COLORS)
    lines = [f"{name},{','.join(map(str, color))}" for name, color in CVAT_LABELS.items()]
    Path("masks/class_dict.csv").write_text("\n".join(["name,r,g,b", *lines]))
    _ended, _commands, mapping = init(*FOLDERS)
    assert mapping["classes"] == {name: [*color] for name, color in CVAT_LABELS.items()}


def test_void_and_a_number_that_one_mask_has_by_mistake_are_not_classes():
    write_folders(".", NAMES)
    for path in Path("masks").iterdir():
        mask = np.array(Image.open(path))
        mask[mask == 4], mask[-1] = 17, 255
        mask[0, :2] = 7 if path.stem == "bob" else 0
        save(mask, path)
    ended, (check, *_), mapping = init(*FOLDERS)
    assert [*mapping["classes"]] == ["background", "class 1", "class 2", "class 3", "class 17"]
    assert (mapping["void"], mapping["remap"][17], mapping["remap"][7]) == (255, "class 17", "void")
    assert "what 7 is: only masks/bob.png has it, in 2 pixels; it is written as void" in ended.out
    assert "OK to train" in succeed(*check).out


def test_what_does_not_fit_is_reported_and_the_rest_is_described():
    write_folders(".", NAMES)
    Path("masks/anna.png").rename("masks/annna.png")
    Path("masks/bob.png").write_text("no picture")
    ended, _commands, mapping = init(*FOLDERS)
    assert [*mapping["classes"]] == NUMBERED
    first, second = ended.lines("warning")
    assert "photos/anna.jpg: a photo without a mask; did you mean masks/annna.png?" in first
    assert "masks/bob.png: not an image" in second


def test_keys_that_are_given_are_used_and_printed():
    write_folders(".", [f"{name}_shot" for name in NAMES], suffix="_ids")
    write_folders(".", [f"{name}_shot" for name in NAMES], suffix="_color", colours=COLORS)
    for path in [*Path("masks").iterdir()]:
        path.rename(path.with_stem(path.stem.replace("_shot", "")))
    assert "Set how they are named" in call("data", "init", *FOLDERS).err
    keys = ["data.source.image_name='{stem}_shot'", "data.source.mask_name='{stem}_color'"]
    _ended, (check, *_), mapping = init(*FOLDERS, *keys)
    assert {*keys} <= {*check}
    assert [255, 204, 51] in mapping["classes"].values()
    assert "OK to train" in succeed(*check).out


def test_few_photos_get_fewer_folds():
    write_folders(".", ["anna", "bob"])
    _ended, (check, _preview, train), _mapping = init(*FOLDERS)
    assert "data.folds=2" in train
    assert "OK to train" in succeed(*check).out


@pytest.mark.parametrize("name", ["yes", "off", "1e3", "null", "a: b", "ü #1", "'x'"])
def test_names_are_written_so_that_they_are_read_as_they_are(name):
    write_folders(".", NAMES)
    Path("label_map.json").write_text(json.dumps({name: 1, "void2": 0, "c": 2, "d": 3, "e": 4}))
    _ended, (check, *_), mapping = init(*FOLDERS)
    assert [*mapping["classes"]] == ["void2", name, "c", "d", "e"]
    succeed(*check)


def test_an_existing_file_is_overwritten_only_on_request():
    write_folders(".", NAMES)
    Path("my.yaml").write_text("mine")
    assert_reported(call("data", "init", *FOLDERS), 2, "-o my.yaml: exists; choose another name with -o FILE, or")
    assert Path("my.yaml").read_text() == "mine"
    assert "classes: other.yaml" in succeed("data", "init", *FOLDERS, "-o", "other.yaml").out
    init(*FOLDERS, "--force")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "IMAGES"),
        (["photos", "masks", "seed=3"], 2, "seed=3: data init takes only keys of data.source"),
        (["photos", "masks", "data.source.kin=parts"], 2, "did you mean kind?"),
        (["nowhere", "masks"], 3, "nowhere: no such folder"),
        (["/dev/null", "masks"], 3, "/dev/null: a device; expected a folder"),
        (["photos"], 3, "photos: no photo with a mask in it; give photos and masks: facesegl data init PHOTOS MASKS"),
        (["photos", "empty"], 3, "empty: no masks in it"),
        (["photos", "masks", "more"], 2, "more"),
    ],
)
def test_mistakes_are_reported_and_nothing_is_written(words, code, message):
    write_folders(".", NAMES)
    Path("empty").mkdir()
    assert_reported(call("data", "init", *words), code, message)
    assert not Path("my.yaml").exists()


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: save(np.zeros((48, 40), np.uint8), path), "masks: all masks hold only 0 (6 masks); expected two"),
        (
            lambda path: save(np.full((48, 40, 3), 90, np.uint8), path),
            "masks: all masks hold only 90 (6 masks); expected",
        ),
        (
            lambda path: path.write_text("x"),
            "masks/anna.png, masks/bob.png, masks/dan.png and 3 more: not an image (it",
        ),
    ],
)
def test_masks_without_classes_are_reported_in_one_line(write, message):
    write_folders(".", NAMES)
    for path in Path("masks").iterdir():
        write(path)
    ended = call("data", "init", *FOLDERS)
    assert_reported(ended, 3, message)
    assert len(ended.lines("error")) == 1


@pytest.mark.parametrize("part", ["a\nb", "\x1b[31mred", "${oc.env:HOME}"])
def test_a_part_that_cannot_be_a_class_is_reported_with_its_folder_and_a_remedy(part):
    parts("_")
    Path("masks/anna_hair.png").rename(f"masks/anna_{part}.png")
    ended = call("data", "init", *FOLDERS)
    assert_reported(ended, 3, [f"masks: the name {part!r} ", "Rename that part's files"])


@pytest.mark.parametrize("folder", [" photos ", "null", "a, b", "[a]", "it's"])
def test_a_folder_of_any_name_is_read_and_its_commands_work(folder):
    write_folders(".", NAMES)
    Path("photos").rename(folder)
    _ended, (check, *_), mapping = init(folder, "masks")
    assert [*mapping["classes"]] == NUMBERED
    assert "OK to train" in succeed(*check).out


def test_a_folder_with_a_newline_is_one_comment():
    write_folders(".", NAMES)
    Path("photos").rename("pho\n: tos")
    succeed("data", "init", "pho\n: tos", "masks")
    assert [*yaml.safe_load(Path("my.yaml").read_text(encoding="utf-8"))["classes"]] == NUMBERED


@pytest.mark.parametrize("words", [["${oc.env:SECRET}", "masks"], ["photos", "${oc.env:SECRET}"]])
def test_a_folder_named_as_an_interpolation_is_refused_and_not_resolved(words, monkeypatch):
    monkeypatch.setenv("SECRET", "hidden")
    write_folders(".", NAMES)
    ended = call("data", "init", *words)
    assert_reported(ended, 2, "${oc.env:SECRET}: its name has a special meaning in a config (${...}); rename that")
    assert "hidden" not in ended.err


@pytest.mark.parametrize("output", [".", "photos/anna.jpg", "my.json", "folder.yaml"])
def test_only_a_yaml_file_is_written(output):
    write_folders(".", NAMES)
    Path("folder.yaml").mkdir()
    photo = Path("photos/anna.jpg").read_bytes()
    assert_reported(call("data", "init", *FOLDERS, "-o", output, "--force"), 2, f"-o {output}: ")
    assert Path("photos/anna.jpg").read_bytes() == photo


def test_masks_of_another_size_are_reported():
    write_folders(".", NAMES)
    save(np.zeros((20, 31), np.uint8), "masks/anna.png")
    ended, _commands, _mapping = init(*FOLDERS)
    assert ended.lines("warning") == [
        "warning: masks/anna.png: the mask is 31x20 and its photo 40x48; training leaves such masks out."
    ]


def test_photos_in_place_of_masks_are_recognized():
    write_folders(".", NAMES)
    ended = call("data", "init", "masks", "photos")
    assert_reported(ended, 3, ["photos/anna.jpg", "photos, and not masks?", "the photos first, then that of the masks"])


def test_numbers_saved_as_jpeg_are_refused():
    write_folders(".", NAMES, mask_ending=".jpg")
    ended = call("data", "init", *FOLDERS)
    message = "masks/anna.jpg, masks/bob.jpg, masks/dan.jpg and 3 more: class numbers saved as JPEG, which changes them"
    assert_reported(ended, 3, f"{message}; export as PNG")
    assert len(ended.lines("error")) == 1
