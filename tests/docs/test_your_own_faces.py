"""A person with ten photos and ten masks types what the section "Your own faces" says, and nothing else."""

import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml

from facesegl import cli
from facesegl.labels import Taxonomy
from helpers.trainings import SMALL_UNET
from helpers.trees import CVAT_LABELS, write_cvat, write_folders, write_label_studio

ROOT = Path(__file__).parents[2]
TITLE = "## Your own faces\n"
PAGE = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = PAGE[PAGE.index(TITLE) + len(TITLE) :].partition("\n## ")[0]
SMALLER = [*SMALL_UNET, "trainer.max_epochs=1"]


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", SECTION, flags=re.DOTALL)


def commands():
    return [line for block in blocks("bash") for line in block.splitlines() if line.startswith("facesegl ")]


def said(start):
    """The one `key=value ...` on the page that begins so."""
    (found,) = re.findall(rf"`('?{re.escape(start)}[^`]*)`", SECTION)
    return shlex.split(found)


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["facesegl", *arguments])
    return cli.main()


@pytest.fixture
def ten_faces():
    write_folders(".", ["anna", *(f"person{number}_1" for number in range(9))])
    Path("photos/anna.jpg").rename("photos/anna.JPG")
    Path("masks/person3_1.png").rename("masks/person3_1_mask.png")
    Path("my.yaml").write_text(blocks("yaml")[0], encoding="utf-8")


def test_from_two_folders_to_a_score(ten_faces, monkeypatch, capsys):
    assert len(commands()) == 2
    for line in commands():
        smaller = SMALLER if line.startswith("facesegl train") else []
        assert run(monkeypatch, *shlex.split(line)[1:], *smaller) == 0, capsys.readouterr().err
    shown = capsys.readouterr()
    assert "training on 8 photos, validating on 2" in shown.err
    assert shown.out.count("mIoU per photo") == 2


def test_what_the_page_adds_to_that_works(ten_faces, monkeypatch, capsys):
    train = shlex.split(commands()[0])[1:]
    assert run(monkeypatch, *train, *SMALLER) == 0
    Path("test.txt").write_text("anna\nperson2_1.jpg\n")
    shown = []
    for number, keys in enumerate(
        (["data.fold=null"], said("data.source.lists.test="), said("data.source.shares.test="))
    ):
        init = [f"paths.run=runs/{number}", "init=runs/mine"]
        assert run(monkeypatch, *train[:-1], *keys, *init, *SMALLER) == 0
        shown.append(capsys.readouterr().err)
    assert all("init: took" in told for told in shown)
    assert all("(8 train, 2 test)" in told for told in shown[1:])


def test_persons_are_found_as_the_page_says(ten_faces, monkeypatch, capsys):
    train = shlex.split(commands()[0])[1:]
    assert run(monkeypatch, *train, *said("data.source.group="), *SMALLER) == 3
    assert "anna.JPG: data.source.group=person\\d+ finds no person in anna" in capsys.readouterr().err
    Path("photos/anna.JPG").rename("photos/person0_2.JPG")
    Path("masks/anna.png").rename("masks/person0_2.png")
    assert run(monkeypatch, *train, *said("data.source.group="), *SMALLER) == 0


def test_the_remap_on_the_page_is_one():
    (line,) = re.findall(r"^    remap: .*$", SECTION, flags=re.MULTILINE)
    taxonomy = Taxonomy.from_mapping({**yaml.safe_load(blocks("yaml")[0]), **yaml.safe_load(line)})
    assert {name: [*colour] for name, colour in CVAT_LABELS.items()} == taxonomy.to_mapping()["classes"]
    assert len(taxonomy.raw_numbers()) == 7


@pytest.mark.parametrize("tool", ["cvat", "label_studio"])
def test_exports_of_labelling_tools_are_read_as_the_page_says(tool, monkeypatch, capsys):
    if tool == "cvat":
        write_cvat("EXPORT")
    else:
        write_label_studio(".")
        Path("export").rename("EXPORT")
        Path("photos").rename("PHOTOS")
    assert run(monkeypatch, "train", *said(f"data={tool}"), *SMALLER) == 0, capsys.readouterr().err
