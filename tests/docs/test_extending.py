"""docs/extending.md: its files are written and its commands run, with smaller data."""

import csv
import shlex
import sys
from pathlib import Path

import pytest

from docs.pages import blocks, section
from helpers.calling import SMALL, assert_reported, call, succeed
from helpers.faces import write_faces

SECTION = {title: section("docs/extending.md", title) for title in ("A net", "A loss", "An augmentation", "A data set")}
CODED = list(SECTION)
NO_CODE = "What needs no code at all"
SECTION[NO_CODE] = section("docs/extending.md", NO_CODE)
SMALL_FACES = ["data.source.train=5", "data.source.test=2", "data.source.height=32"]


def files(title):
    """The blocks of a section by the file name in their first line."""
    return {
        block.splitlines()[0].removeprefix("# "): block
        for language in ("python", "yaml")
        for block in blocks(SECTION[title], language)
    }


def commands(title):
    return [line for block in blocks(SECTION[title], "bash") for line in block.splitlines()]


def smaller(line):
    words = shlex.split(line)
    tiny, synthetic = words[1] == "train", "data=synthetic" in words
    return [*words[1:], *(SMALL if tiny else []), *(SMALL_FACES if synthetic else [])]


@pytest.fixture
def here(monkeypatch):
    """Write the files of the page into the current folder."""
    for title in CODED:
        for name, content in files(title).items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(content, encoding="utf-8")
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for title in CODED:
        for name in files(title):
            sys.modules.pop(Path(name).stem, None)


def write_listed():
    write_faces(Path("photos"), train=5, test=2)
    with Path("faces.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["photo", "mask", "split", "person"])
        for split in ("Train", "Test"):
            for photo in sorted(Path("photos", f"{split}_RGB").iterdir()):
                rows.writerow([photo, Path("photos", f"{split}_Labels", photo.name), split.lower(), photo.stem])


@pytest.mark.parametrize("title", CODED)
def test_less_than_thirty_lines_are_enough(title):
    written = [line for content in files(title).values() for line in content.splitlines()[1:] if line.strip()]
    assert len(written) < 30


@pytest.mark.parametrize("title", [*CODED, NO_CODE])
def test_the_commands_of_the_page_run(title, here):
    write_listed()
    assert commands(title)
    for line in commands(title):
        assert not succeed(*smaller(line)).lines("warning")


def test_a_custom_net_is_not_built_without_trust(here):
    train, evaluate, export = commands("A net")
    succeed(*smaller(train))
    for line, trusting in ((evaluate, "trust=[my_nets]"), (export, "--trust my_nets")):
        sys.modules.pop("my_nets", None)
        refused = call(*[word for word in smaller(line) if word not in shlex.split(trusting)])
        assert_reported(refused, 4, ["my_nets.Tiny", "not trusted", "trust=[my_nets]", "--trust my_nets"])
        assert "my_nets" not in sys.modules
    assert not Path("runs/evaluate").exists()


def test_a_run_uses_the_custom_loss_and_augmentation(here):
    line = "facesegl train --config-dir mine data=synthetic loss=tversky augment=covered paths.run=runs/a"
    assert not succeed(*smaller(line)).lines("warning")
    written = Path("runs/a/config.yaml").read_text(encoding="utf-8")
    assert "my_losses.Tversky" in written
    assert "my_augment.Covered" in written


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("model._target_=my_nets.Tinny", "did you mean Tiny"),
        ("model._target_=my_net.Tiny", "my_net"),
        ("model.widht=3", "did you mean width"),
        ("model.width=wide", "'wide' is not a whole number"),
    ],
)
def test_a_mistake_in_a_custom_node_is_reported_in_one_line(key, message, here):
    ended = call(*smaller(f"facesegl train --config-dir mine data=synthetic model=tiny {key}"))
    assert_reported(ended, 2, message)
    assert len(ended.err.splitlines()) == 1
