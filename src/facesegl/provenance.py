"""The provenance of a result: versions, machine, git commit, command line."""

import contextlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

_PACKAGES = ("facesegl", "torch", "pytorch-lightning", "torchmetrics", "hydra-core", "numpy", "pillow")


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
    """The commit of the current folder, and whether it has uncommitted changes; None outside a repository."""
    git = shutil.which("git")
    if git is None:
        return None
    try:
        commit, changes = (
            subprocess.run([git, *command], capture_output=True, text=True, timeout=10, check=True).stdout.strip()
            for command in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "changes": bool(changes)}


def command_line() -> str:
    """The command line of this process, as typed; `python -m facesegl` is the same command."""
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
