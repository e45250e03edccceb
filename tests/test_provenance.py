import os
import subprocess
from pathlib import Path

import pytest

from facesegl.provenance import git_state

ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
    **{f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    "GIT_CONFIG_GLOBAL": os.devnull,
}


def git(*words, cwd="."):
    return subprocess.run(
        ["git", *words], cwd=cwd, env=ENVIRONMENT, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(monkeypatch, tmp_path):
    """A repository with one commit; returns the commit."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    git("init", "-q", "-b", "main")
    Path("file.txt").write_text("x")
    git("add", ".")
    git("commit", "-qm", "first")
    return git("rev-parse", "HEAD")


def detach():
    git("checkout", "-q", "--detach")


def pack():
    git("pack-refs", "--all")


def pack_another():
    git("branch", "other")
    pack()


def below():
    Path("a/b").mkdir(parents=True)
    os.chdir("a/b")


def worktree():
    git("worktree", "add", "-q", "-b", "topic", "../linked")
    os.chdir("../linked")


def packed_worktree():
    worktree()
    pack()


@pytest.mark.parametrize("state", [lambda: None, detach, pack, pack_another, below, worktree, packed_worktree])
def test_the_commit_is_read_from_the_files_of_git(repository, state):
    state()
    assert git_state() == {"commit": repository, "changes": None}


def unborn():
    git("checkout", "-q", "--orphan", "new")


def link_out():
    Path("../token").write_text("0" * 40)
    Path(".git/refs/heads/main").unlink()
    Path(".git/refs/heads/main").symlink_to(Path("../token").absolute())


def point_out():
    Path("../token").write_text("0" * 40)
    Path(".git/HEAD").write_text("ref: ../../token")


def pipe():
    Path(".git/HEAD").unlink()
    os.mkfifo(".git/HEAD")


def loop():
    Path(".git/refs/heads/main").unlink()
    Path(".git/refs/heads/main").symlink_to("main")


@pytest.mark.parametrize(
    "state",
    [
        *(unborn, link_out, point_out, pipe, loop),
        *(
            lambda text=text: Path(".git/HEAD").write_text(text)
            for text in ("", "x" * 40, "ref: \0", "ref: ", "\x1b[2J")
        ),
    ],
)
def test_a_repository_that_does_not_say_its_commit_has_none(repository, state):
    state()
    assert git_state() is None


def test_outside_a_repository_there_is_no_commit(tmp_path):
    assert git_state() is None


def test_nothing_that_a_repository_configures_is_run(repository, tmp_path):
    Path("evil.sh").write_text(f"#!/bin/sh\ntouch {tmp_path / 'RAN'}\n")
    Path("evil.sh").chmod(0o755)
    evil = str(Path("evil.sh").absolute())
    for key in ("core.fsmonitor", "filter.x.clean", "core.pager", "core.sshCommand", "diff.external", "core.editor"):
        git("config", key, evil)
    Path(".gitattributes").write_text("* filter=x\n")
    Path("file.txt").write_text("y")
    assert git_state() == {"commit": repository, "changes": None}
    assert not (tmp_path / "RAN").exists()
