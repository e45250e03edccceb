"""result.json: what was run, on which data, with which outcome."""

import contextlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from facesegl.files import write_json

SCHEMA = 2
"""Raised whenever a key of result.json changes its meaning."""

_PACKAGES = ("facesegl", "torch", "pytorch-lightning", "torchmetrics", "hydra-core", "numpy", "pillow")


@dataclass
class Result:
    """The record of a run; written when it starts and when it ends.

    Attributes:
        folder: the run's folder.
        state: running, done, failed or stopped.
        command: what was typed.
        config: the resolved config.
        identity: 12 hex digits that name config and data, whatever the machine.
        data: name, choice and fingerprint of the data, numbers of photos.
        scores: a set's name to its scores and yardsticks.
        scored: the model files that the scores are of; several are an ensemble.
        seconds: a phase's name to its CPU- and wall-seconds; starts of a resumed run add up.
        parameters: how many numbers the net learns.
        failure: the exit code and messages, if there was one.
        started_in: the folder that relative paths of the config start from.
    """

    folder: Path
    command: str
    config: dict[str, Any]
    identity: str
    data: dict[str, Any]
    state: str = "running"
    scores: dict[str, Any] = field(default_factory=dict)
    scored: list[str] = field(default_factory=list)
    seconds: dict[str, dict[str, float]] = field(default_factory=dict)
    parameters: int | None = None
    failure: dict[str, Any] | None = None
    started_in: str = field(default_factory=lambda: str(Path.cwd()))
    versions: dict[str, str] = field(default_factory=lambda: versions())
    git: dict[str, Any] | None = field(default_factory=lambda: git_state())
    machine: dict[str, Any] = field(default_factory=lambda: machine())

    def write(self) -> None:
        """Write result.json whole or not at all."""
        write_json(self.folder / "result.json", {"schema": SCHEMA, **asdict(self), "folder": str(self.folder)})

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the CPU- and wall-seconds of a block to those of a phase."""
        cpu, wall = time.process_time(), time.monotonic()
        try:
            yield
        finally:
            spent = self.seconds.setdefault(name, {"cpu": 0.0, "wall": 0.0})
            spent["cpu"] = round(spent["cpu"] + time.process_time() - cpu, 3)
            spent["wall"] = round(spent["wall"] + time.monotonic() - wall, 3)


def read_result(folder: Path) -> dict[str, Any] | None:
    """The content of a run folder's result.json as plain data, or None where there is none that can be read."""
    try:
        content = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def load_result(folder: Path) -> Result:
    """The record of a run that this facesegl wrote, read again."""
    content = read_result(folder) or {}
    return Result(**{each.name: content[each.name] for each in fields(Result)} | {"folder": folder})


def versions() -> dict[str, str]:
    """The versions of facesegl, of Python, and of what they stand on."""
    return {"python": platform.python_version(), **{package: version(package) for package in _PACKAGES}}


def machine() -> dict[str, Any]:
    """What a time depends on."""
    import torch

    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }


def _processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def git_state() -> dict[str, Any] | None:
    """Commit of the folder that the run starts in, and whether it has changes; None outside a repository."""
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
    """What was typed, as it can be typed again; `python -m facesegl` is the same command."""
    name = Path(sys.argv[0]).name
    return shlex.join(["facesegl" if name == "__main__.py" else name, *sys.argv[1:]])
