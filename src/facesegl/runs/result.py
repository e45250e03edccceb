"""result.json: the record of a run, with config, data, outcome and scores."""

import contextlib
import json
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from facesegl.errors import ConfigError
from facesegl.files import write_json
from facesegl.provenance import git_state, machine, versions

log = logging.getLogger(__name__)

SCHEMA = 2
"""Raised whenever a key of result.json, job.json or sweep.json changes its meaning."""

TOUCHES_TEST = frozenset({"test", "test_clean", "test_strict"})
"""The sets of test photos."""


class Run(NamedTuple):
    """A new or existing run folder.

    Attributes:
        folder: its path.
        checkpoint: the checkpoint to resume from, or None.
        record: its result.json; empty for a new run.
        is_trained: whether the training has ended by the checkpoint, so that the run is only to be scored.
    """

    folder: Path
    checkpoint: Path | None = None
    record: Mapping[str, Any] = {}
    is_trained: bool = False

    @property
    def is_done(self) -> bool:
        """Whether the run has ended without an error."""
        return self.record.get("state") == "done"


@dataclass
class Result:
    """The record of a run; written when it starts and when it ends.

    Attributes:
        folder: the run's folder.
        state: running, done, failed, stopped or pruned.
        command: the command line.
        config: the resolved config.
        identity: 12 hex digits that identify config and data on any machine.
        data: name, choice and fingerprint of the data, numbers of photos.
        scores: for each set its scores, floor and agreement.
        scored: the model files that were scored; several are an ensemble.
        seconds: for each phase its CPU and wall seconds, over all starts of a resumed run.
        parameters: the net's number of trainable parameters.
        failure: exit code and messages of a run that failed or was stopped.
        started_in: the working directory, for relative paths in the config.
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
        """Write result.json atomically."""
        write_json(self.folder / "result.json", {"schema": SCHEMA, **asdict(self), "folder": str(self.folder)})

    @classmethod
    def of(cls, run: Run) -> "Result":
        """Restore the result of a finished run from its record."""
        return cls(**{each.name: run.record[each.name] for each in fields(cls)} | {"folder": run.folder})

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the CPU and wall seconds of a block to a phase."""
        cpu, wall = time.process_time(), time.monotonic()
        try:
            yield
        finally:
            spent = self.seconds.setdefault(name, {"cpu": 0.0, "wall": 0.0})
            spent["cpu"] = round(spent["cpu"] + time.process_time() - cpu, 3)
            spent["wall"] = round(spent["wall"] + time.monotonic() - wall, 3)


def read_result(folder: Path) -> dict[str, Any] | None:
    """The content of a run folder's result.json as plain data; None if it is missing or unreadable.

    Raises:
        ConfigError: it has an unknown schema.
    """
    return read_record(folder / "result.json")


def warn_of_unfinished(model: Path) -> None:
    """Log a warning if a checkpoint is in the folder of a training that has not ended."""
    state = (read_result(model.parent.parent) or {}).get("state") if model.parent.name == "checkpoints" else None
    if state in ("running", "stopped", "pruned", "failed"):
        log.warning("%s: its training has not ended (%s); with resume=auto it is resumed", model, state)


def read_record(path: Path) -> dict[str, Any] | None:
    """The content of a result.json, job.json or sweep.json as plain data; None if it is missing or unreadable.

    Raises:
        ConfigError: it has an unknown schema.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    if content.get("schema", 1) not in range(1, SCHEMA + 1):
        raise ConfigError(
            f"{path}: schema {content['schema']!r:.40}; this facesegl reads 1 to {SCHEMA}. Use the version that wrote "
            f"it."
        )
    return content
