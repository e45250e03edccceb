"""counts.npz: the confusion and boundary counts of each photo of a scored run, from which models are compared.

The file contains plain arrays and text; nothing in it is ever run, and inconsistent files are refused.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facesegl.console import printable
from facesegl.errors import CheckpointError, MachineError
from facesegl.files import replacing

FORMAT = 1
"""Incremented when the meaning of the arrays changes."""

NAME = "counts.npz"
"""The file's name in a run folder."""


@dataclass(frozen=True, eq=False)
class SavedCounts:
    """The counts of every scored photo.

    Attributes:
        classes: the class names, by index.
        photos: the photos' ids.
        groups: the person in each photo if known; else the photo.
        sets: the ids of each set, the headline first.
        counts: (N, C, C) int64, [photo, truth, prediction].
        boundary: (N, C, 4) int64 boundary counts, pooled for boundary F.
        scored: the model that was scored.
        data: the name of the data.
        fingerprint: a hash of the data.
    """

    classes: tuple[str, ...]
    photos: tuple[str, ...]
    groups: tuple[str, ...]
    sets: Mapping[str, Sequence[str]]
    counts: np.ndarray
    boundary: np.ndarray
    scored: str
    data: str
    fingerprint: str

    def write(self, folder: Path) -> None:
        """Write counts.npz atomically.

        Raises:
            MachineError: it cannot be written.
        """
        about = {
            "format": FORMAT,
            "classes": list(self.classes),
            "photos": list(self.photos),
            "groups": list(self.groups),
            "sets": {name: list(ids) for name, ids in self.sets.items()},
            "scored": self.scored,
            "data": self.data,
            "fingerprint": self.fingerprint,
        }
        with replacing(folder / NAME) as part, part.open("wb") as file:
            np.savez_compressed(file, about=json.dumps(about), counts=self.counts, boundary=self.boundary)


def read_counts(path: Path) -> SavedCounts:
    """Read the counts of a run, as plain data.

    Args:
        path: the file, or the run folder.

    Raises:
        CheckpointError: the file is missing, truncated, damaged, or of another kind or format.
        MachineError: it cannot be read.
    """
    path = path / NAME if path.is_dir() else path
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no such file; expected the counts of a scored run. Score it with facesegl evaluate."
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MachineError(
            f"{path}: cannot be read: {error.strerror}. Change its permissions, or copy it again."
        ) from error
    about, counts, boundary = _unpack(content, path)
    _require_format(about, path)
    if not (_is_sound(about) and _fit(about, counts, boundary)):
        raise CheckpointError(f"{path}: its parts are inconsistent; is it damaged? Score the model again.")
    return SavedCounts(
        classes=tuple(about["classes"]),
        photos=tuple(about["photos"]),
        groups=tuple(about["groups"]),
        sets=about["sets"],
        counts=counts,
        boundary=boundary,
        scored=printable(about["scored"]),
        data=printable(about["data"]),
        fingerprint=about["fingerprint"],
    )


def _unpack(content: bytes, path: Path) -> tuple[Any, np.ndarray, np.ndarray]:
    """The description, the counts (N, C, C) and the boundary counts (N, C, 4) of a file, not yet checked."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return json.loads(str(arrays["about"])), arrays["counts"], arrays["boundary"]
    except Exception:  # zipfile, zlib, NumPy and JSON raise different errors for damaged data
        raise CheckpointError(f"{path}: not counts of facesegl, or truncated; score the model again.") from None


def _require_format(about: Any, path: Path) -> None:
    found = about.get("format") if isinstance(about, dict) else None
    if found != FORMAT:
        raise CheckpointError(f"{path}: its format is {found!r}, this facesegl reads {FORMAT}; score the model again.")


def _is_sound(about: Mapping[str, Any]) -> bool:
    lists = [about.get(name) for name in ("classes", "photos", "groups")]
    sets, texts = about.get("sets"), [about.get(name) for name in ("scored", "data", "fingerprint")]
    if not (isinstance(sets, dict) and all(map(_are_texts, [*lists, *sets.values()]))):
        return False
    photos = about["photos"]
    return (
        all(isinstance(text, str) for text in texts)
        and len(about["groups"]) == len(photos)
        and all(len(each) == len(set(each)) for each in (about["classes"], photos, *sets.values()))
        and set().union(*sets.values()) <= set(photos)
    )


def _fit(about: Mapping[str, Any], counts: np.ndarray, boundary: np.ndarray) -> bool:
    photos, classes = len(about["photos"]), len(about["classes"])
    return (
        counts.shape == (photos, classes, classes)
        and boundary.shape == (photos, classes, 4)
        and counts.dtype == boundary.dtype == np.int64
        and bool((counts >= 0).all() and (boundary >= 0).all())
    )


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)
