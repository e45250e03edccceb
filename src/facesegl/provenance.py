"""The provenance of a result: versions, machine, git commit, command line."""

import contextlib
import os
import platform
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

JOB_COMMAND = "FACESEGL_JOB_COMMAND"
"""Set in the separate process of a sweep's job: the command line that repeats the job."""

_PACKAGES = ("facesegl", "torch", "pytorch-lightning", "torchmetrics", "hydra-core", "numpy", "pillow")
_LONGEST = 1 << 26  # bytes read of a file of git; packed-refs has a line for each branch and tag


def versions() -> dict[str, str]:
    """The versions of Python, facesegl and its main dependencies."""
    return {"python": platform.python_version(), **{package: version(package) for package in _PACKAGES}}


def machine() -> dict[str, Any]:
    """The hardware and threads that timings depend on."""
    import torch

    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def git_state() -> dict[str, Any] | None:
    """The commit of the current folder; None outside a repository, or if its files do not say it.

    git is not started, since it would run the programs in the config of a repository, which may be a stranger's. So
    `changes`, whether there are uncommitted changes, is None: unknown.
    """
    try:
        here = Path.cwd()
        commit = next((_head(folder / ".git") for folder in (here, *here.parents) if (folder / ".git").exists()), "")
    except (OSError, ValueError, RuntimeError):  # no permission; not a path; a loop of links
        return None
    return {"commit": commit, "changes": None} if commit else None


def _head(git: Path) -> str:
    """The commit of HEAD; empty if there is none. A linked worktree has its own HEAD, and shares the refs."""
    if git.is_file():
        git = git.parent / _start_of(git).removeprefix("gitdir:").strip()
    shared, head = git / _start_of(git / "commondir").strip(), _start_of(git / "HEAD").strip()
    if head.startswith("ref:"):
        ref = head.removeprefix("ref:").strip()
        files = [file for folder in (git, shared) if (file := folder / ref).resolve().is_relative_to(folder.resolve())]
        head = next(filter(None, map(_start_of, files)), "").strip() or _packed(shared).get(ref, "")
    return head if re.fullmatch(r"[0-9a-f]{40}([0-9a-f]{24})?", head) else ""


def _packed(git: Path) -> dict[str, str]:
    """The commits of packed refs, by ref."""
    lines = (line.partition(" ") for line in _start_of(git / "packed-refs").splitlines())
    return {ref: commit for commit, _, ref in lines}


def _start_of(file: Path) -> str:
    if not file.is_file():
        return ""
    with file.open("rb") as stream:
        return stream.read(_LONGEST).decode("utf-8", "replace")


def command_line() -> str:
    """This process's command line, as typed, or that of a sweep's job; `python -m facesegl` is the same command."""
    if job := os.environ.get(JOB_COMMAND):
        return job
    name = Path(sys.argv[0]).name
    return shlex.join(["facesegl" if name == "__main__.py" else name, *sys.argv[1:]])


def command_of(verb: str, words: Sequence[str], config_dirs: Sequence["str | Path"]) -> str:
    """The command line that repeats a call from Python."""
    dirs = [word for path in config_dirs for word in ("--config-dir", str(path))]
    return shlex.join(["facesegl", verb, *words, *dirs])


@contextlib.contextmanager
def replaced_argv(words: Sequence[str]) -> Iterator[None]:
    """Replace sys.argv: Hydra reads its arguments from it, Lightning the command for other ranks."""
    typed, sys.argv = sys.argv, [*words]
    try:
        yield
    finally:
        sys.argv = typed
