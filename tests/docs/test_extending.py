"""docs/extending.md is followed to the letter: its files are written, its commands typed, smaller."""

import csv
import re
import shlex
import sys
from pathlib import Path

import pytest

from facesegl import cli
from helpers.faces import write_faces

PAGE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", PAGE, flags=re.DOTALL | re.MULTILINE))
SMALLER = ["data.image_size=16", "data.batch_size=2", "trainer=cpu", "trainer.max_epochs=1", "callbacks.panels=null"]
SMALL_FACES = ["data.source.train=5", "data.source.test=2", "data.source.height=32"]
CODED = ["A net", "A loss", "An augmentation", "A data set"]


def blocks(section, language):
    return re.findall(rf"```{language}\n(.*?)```", SECTIONS[section], flags=re.DOTALL)


def files(section):
    """The name that stands in a block's first line, and the block."""
    return {
        block.splitlines()[0].removeprefix("# "): block
        for kind in ("python", "yaml")
        for block in blocks(section, kind)
    }


def commands(section):
    return [line for block in blocks(section, "bash") for line in block.splitlines()]


def smaller(line):
    words = shlex.split(line)
    tiny = words[1] == "train"
    drawn = "data=synthetic" in words
    return [*words[1:], *(SMALLER if tiny else []), *(SMALL_FACES if drawn else [])]


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["facesegl", *arguments])
    return cli.main()


@pytest.fixture
def here(monkeypatch):
    """The folder of a person who has written the files of the page."""
    for section in CODED:
        for name, text in files(section).items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for section in CODED:
        for name in files(section):
            sys.modules.pop(Path(name).stem, None)


def write_listed():
    write_faces(Path("photos"), train=5, test=2)
    with Path("faces.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["photo", "mask", "split", "person"])
        for split in ("Train", "Test"):
            for photo in sorted(Path("photos", f"{split}_RGB").iterdir()):
                rows.writerow([photo, Path("photos", f"{split}_Labels", photo.name), split.lower(), photo.stem])


@pytest.mark.parametrize("section", CODED)
def test_less_than_thirty_lines_are_enough(section):
    written = [line for text in files(section).values() for line in text.splitlines()[1:] if line.strip()]
    assert len(written) < 30


@pytest.mark.parametrize("section", [*CODED, "What needs no code at all"])
def test_what_the_page_says_works_as_it_stands(section, here, monkeypatch, capsys):
    write_listed()
    assert commands(section)
    for line in commands(section):
        assert run(monkeypatch, *smaller(line)) == 0, (line, capsys.readouterr().err)


def test_own_net_is_not_built_without_trust(here, monkeypatch, capsys):
    train, evaluate, export = commands("A net")
    assert run(monkeypatch, *smaller(train)) == 0
    for line, trusting in ((evaluate, "trust=[my_nets]"), (export, "--trust my_nets")):
        sys.modules.pop("my_nets", None)
        capsys.readouterr()
        assert run(monkeypatch, *[word for word in smaller(line) if word not in shlex.split(trusting)]) == 4
        assert "my_nets" in capsys.readouterr().err
        assert "my_nets" not in sys.modules


def test_own_loss_and_own_augmentation_are_what_the_run_used(here, monkeypatch):
    assert (
        run(
            monkeypatch,
            *smaller("facesegl train --config-dir mine data=synthetic loss=focal augment=covered paths.run=runs/a"),
        )
        == 0
    )
    written = Path("runs/a/config.yaml").read_text(encoding="utf-8")
    assert "my_losses.Focal" in written
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
def test_what_is_wrong_in_an_own_node_is_told_in_one_line(key, message, here, monkeypatch, capsys):
    assert run(monkeypatch, *smaller(f"facesegl train --config-dir mine data=synthetic model=tiny {key}")) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
