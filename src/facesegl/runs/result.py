"""result.json: what was run, on which data, with which outcome."""

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from facesegl.files import write_json
from facesegl.provenance import git_state, machine, versions

SCHEMA = 2
"""Raised whenever a key of result.json changes its meaning."""

TOUCHES_TEST = frozenset({"test", "test_clean", "test_strict"})
"""The sets that are made of test photos."""


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
    versions: dict[str, str] = field(default_factory=versions)
    git: dict[str, Any] | None = field(default_factory=git_state)
    machine: dict[str, Any] = field(default_factory=machine)

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
