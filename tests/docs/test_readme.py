"""What README.md tells people to type is typed here, smaller: tiny photos, one epoch."""

import re
import shlex
import sys
from pathlib import Path

import pytest

import facesegl
from facesegl import cli
from facesegl.download.fetch import Outcome
from helpers.faces import write_faces
from helpers.trainings import SMALL_UNET
from helpers.trees import write_folders

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SMALLER = [*SMALL_UNET, "trainer.max_epochs=1"]


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands():
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    return [line for line in lines if line.startswith("facesegl ")]


def run(monkeypatch, line, *more):
    arguments = shlex.split(line, comments=True)[1:]
    monkeypatch.setattr(sys, "argv", ["facesegl", *arguments, *more])
    return cli.main()


@pytest.fixture
def faces(tmp_path, monkeypatch):
    """Tiny photos where the download would put the real ones, and two folders of somebody's own."""
    for version in ("V1", "V2"):
        write_faces(tmp_path / "data" / "fasseg" / version)
    monkeypatch.setattr("facesegl.commands.data_download.download", lambda folder, **how: Outcome(folder, 948, 948))
    write_folders(".", [f"person{number}" for number in range(10)])
    Path("my.yaml").write_text(blocks("yaml")[0], encoding="utf-8")


def test_every_command_runs_in_the_order_of_the_page(faces, monkeypatch, capsys):
    assert len(commands()) >= 5
    for line in commands():
        smaller = SMALLER if line.startswith("facesegl train") else []
        assert run(monkeypatch, line, *smaller) == 0, (line, capsys.readouterr().err)
    assert "test_clean" in capsys.readouterr().out


def test_the_python_blocks_run(faces, monkeypatch, capsys):
    real = facesegl.train
    monkeypatch.setattr(facesegl, "train", lambda *overrides: real(*overrides, *SMALLER), raising=False)
    facesegl.train("data.fold=null", "paths.run=runs/final")
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})  # our own page, not a stranger's file
    printed = capsys.readouterr().out
    assert "runs/fasseg_v2-unet/" in printed
    assert "'mouth') (40, 32) (6, 40, 32)" in printed


def test_the_mistake_on_the_page_is_told_as_the_page_says(monkeypatch, capsys):
    (shown,) = blocks("console")
    command, *messages = shown.strip().splitlines()
    assert run(monkeypatch, command.removeprefix("$ ")) == 2
    assert sorted(capsys.readouterr().err.strip().splitlines()) == sorted(messages)


def test_what_the_page_names_is_there():
    root = Path(__file__).parents[2]
    for link in re.findall(r"\]\(([^)h][^)]*)\)", README):
        assert (root / link).exists(), link
    for name in re.findall(r"`make ([a-z-]+)`", README):
        assert f"\n{name}:" in (root / "Makefile").read_text()
