"""docs/data.md followed to the letter: ten photos and ten masks, and every key that the page offers for them."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from docs.pages import blocks, section, text
from facesegl.labels import Taxonomy
from facesegl.labels.from_parts import classes_of_parts
from facesegl.synthetic.parts import PARTS
from helpers.calling import assert_reported, call, succeed
from helpers.trainings import SMALL_UNET
from helpers.trees import CVAT_LABELS, write_cvat, write_folders, write_label_studio

PAGE = text("docs/data.md")
(INIT,), (CHECK, PREVIEW, TRAIN, EVALUATE) = (
    [shlex.split(line)[1:] for line in block.splitlines()]
    for block in blocks(section("docs/data.md", "Your own photos"), "bash")[:2]
)
SMALLER = [*SMALL_UNET, "trainer.max_epochs=1"]


def offered(start):
    """The one `key=value ...` on the page that begins so."""
    (found,) = re.findall(rf"`('?{re.escape(start)}[^`]*)`", PAGE)
    return shlex.split(found)


def run(*arguments):
    ended = succeed(*arguments, *(SMALLER if arguments[0] == "train" else []))
    assert not ended.lines("warning")
    return ended


@pytest.fixture
def ten_faces():
    write_folders(".", ["anna", *(f"person{number}_1" for number in range(9))])
    Path("photos/anna.jpg").rename("photos/anna.JPG")
    Path("masks/person3_1.png").rename("masks/person3_1_mask.png")
    Path("my.yaml").write_text(blocks(PAGE, "yaml")[0], encoding="utf-8")


def test_from_two_folders_to_a_score(ten_faces):
    named = Path("my.yaml").read_text(encoding="utf-8")
    Path("my.yaml").unlink()
    assert shlex.join(CHECK) in run(*INIT).out
    assert len(yaml.safe_load(Path("my.yaml").read_text(encoding="utf-8"))["classes"]) == 5
    Path("my.yaml").write_text(named, encoding="utf-8")
    _, _, trained, scored = (run(*arguments) for arguments in (CHECK, PREVIEW, TRAIN, EVALUATE))
    assert re.search(r"\b8 photos\b.*\b2\b", trained.err)
    assert "mIoU per photo" in trained.out
    assert "mIoU per photo" in scored.out


@pytest.mark.parametrize(
    ("keys", "split"),
    [
        (["data.fold=null"], "10 train"),
        (offered("data.source.lists.test="), "8 train, 2 test"),
        (offered("data.source.shares.test="), "8 train, 2 test"),
        (["init=runs/mine"], "10 train"),
        (["loss.class_weights=true"], "10 train"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_the_page_adds_to_that_works(keys, split, ten_faces):
    assert shlex.join(keys) in PAGE or keys == ["init=runs/mine"]
    if keys == ["init=runs/mine"]:
        run(*TRAIN)
    Path("test.txt").write_text("anna\nperson2_1.jpg\n")
    shown = run(*TRAIN[:-1], *keys, "paths.run=runs/more").err
    assert split in shown
    assert ("init: " in shown) == (keys == ["init=runs/mine"])


def test_people_are_found_as_the_page_says(ten_faces):
    refused = call(*TRAIN, *SMALLER, *offered("data.source.group="))
    assert_reported(refused, 3, ["anna.JPG: ", "data.source.group=person\\d+"])
    Path("photos/anna.JPG").rename("photos/person0_2.JPG")
    Path("masks/anna.png").rename("masks/person0_2.png")
    run(*TRAIN, *offered("data.source.group="))


def test_the_remap_on_the_page_is_one():
    (line,) = re.findall(r"^    remap: .*$", PAGE, flags=re.MULTILINE)
    taxonomy = Taxonomy.from_mapping({**yaml.safe_load(blocks(PAGE, "yaml")[0]), **yaml.safe_load(line)})
    assert {name: [*colour] for name, colour in CVAT_LABELS.items()} == taxonomy.to_mapping()["classes"]
    assert len(taxonomy.raw_numbers()) == 7


def test_the_classes_of_the_page_can_be_those_of_synthetic_faces_as_it_says():
    (line,) = re.findall(r"^    synthetic_as: .*$", PAGE, flags=re.MULTILINE)
    Path("my.yaml").write_text(blocks(PAGE, "yaml")[0] + line.strip())
    taxonomy = Taxonomy.from_mapping(yaml.safe_load(Path("my.yaml").read_text()))
    names = [taxonomy.names[index] for index in classes_of_parts(taxonomy)[0]]
    assert [part for part, name in zip(PARTS, names, strict=True) if name == "skin"] == [
        *("skin", "nose", "upper lip", "lower lip", "inner mouth", "beard", "glasses")
    ]
    assert f"The parts are {', '.join(PARTS[:-1])} and {PARTS[-1]}." in " ".join(PAGE.split())
    (line,) = re.findall(r"^    facesegl (train data=synthetic .*)$", PAGE, flags=re.MULTILINE)
    run(*line.split(), "data.source.train=5", "data.source.test=2", "data.source.height=48")


@pytest.mark.parametrize("tool", ["cvat", "label_studio"])
def test_exports_of_labelling_tools_are_read_as_the_page_says(tool):
    if tool == "cvat":
        write_cvat("EXPORT")
    else:
        write_label_studio(".")
        Path("export").rename("EXPORT")
        Path("photos").rename("PHOTOS")
    run("train", *offered(f"data={tool}"))
