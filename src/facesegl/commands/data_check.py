"""`facesegl data check`: look at every photo and mask before anything learns from them."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from facesegl.checks.diagnosis import SCHEMA, Checkup, diagnose
from facesegl.checks.facts import Facts
from facesegl.checks.finding import Finding, worst_first
from facesegl.checks.reading import read_facts
from facesegl.config.compose import compose
from facesegl.config.identity import to_plain
from facesegl.errors import ConfigError, DataError, MachineError
from facesegl.labels.taxonomy import Taxonomy
from facesegl.sources.fasseg import FASSEG
from facesegl.sources.source import join_groups
from facesegl.text import number

if TYPE_CHECKING:
    from rich.console import RenderableType

    from facesegl.data.datamodule import FaceDataModule

_Version = Literal["V1", "V2", "V3"]
_VERSIONS: tuple[_Version, ...] = ("V1", "V2", "V3")


def check_data(
    root: Path | None,
    overrides: Sequence[str] = (),
    config_dirs: Sequence["str | Path"] = (),
    *,
    version: str | None = None,
) -> list[Checkup]:
    """Look at FASSEG below a folder, or at any data that a config chooses.

    Args:
        root: a folder with V1, V2, V3, or one of these; None for the data that the overrides choose.
        overrides: keys and groups of conf/train.yaml that are about data, such as `data=synthetic`.
        config_dirs: folders with a person's own groups.
        version: which one below `root`; None for all that lie there.

    Returns:
        What is to be said of each data set.

    Raises:
        ConfigError: a root beside keys, a version without a root, keys that are wrong.
        DataError: no FASSEG in that folder.
        MachineError: the folder may not be read.
    """
    if root is not None and overrides:
        raise ConfigError(f"{root}: a folder beside {overrides[0]}; give FASSEG's folder, or the keys of other data.")
    if root is not None:
        return list(_check_fasseg(root, version))
    if version is not None:
        raise ConfigError(f"--version {version}: a version of what? Give FASSEG's folder before it.")
    from facesegl.commands.datasets import choose_data  # with torch, which FASSEG alone does without

    faces = choose_data(overrides, config_dirs, verb="data check")
    checkup = diagnose(read_facts(faces.source, faces.taxonomy, strict=faces.strict))
    return [Checkup(checkup.facts, worst_first([*checkup.findings, *_folds(checkup.facts, faces)]))]


def _folds(facts: Facts, faces: "FaceDataModule") -> Iterator[Finding]:
    """Whether there are persons enough to hold a fold out, where training would."""
    from facesegl.data.cache import identical_photos
    from facesegl.data.folds import remedy_for

    if faces.fold is None or facts.fitting("val"):
        return
    photos = facts.fitting("train")
    ids = [photo.sample.id for photo in photos]
    same = ((ids[one], ids[other]) for one, other in identical_photos(photo.pixels for photo in photos))
    persons = len({*join_groups({photo.sample.id: photo.sample.group for photo in photos}, same).values()})
    if 0 < persons < faces.folds:
        yield Finding(
            "error",
            "folds",
            f"{number(persons, 'person or group', 'persons or groups')} to learn from, and data.folds={faces.folds}",
            remedy_for(persons),
        )


def report_of(checkups: Sequence[Checkup]) -> dict[str, Any]:
    """Everything that was found as builtin values, for JSON.

    Returns:
        `schema` (a number), `wrong` (whether training would be), and `data`, a `Checkup.to_dict` each.
    """
    return {
        "schema": SCHEMA,
        "wrong": any(checkup.wrong for checkup in checkups),
        "data": [checkup.to_dict() for checkup in checkups],
    }


def check_table(checkups: Sequence[Checkup]) -> "RenderableType":
    """Everything that was found, for a terminal."""
    from rich.console import Group

    from facesegl.reporting.checkup_table import checkup_table

    return Group(*(part for checkup in checkups for part in (checkup_table(checkup), "")))


def verdicts(checkups: Sequence[Checkup]) -> list[str]:
    """A line for each data set that training would be wrong on; the command ends with 1 where there is any."""
    return [checkup.verdict for checkup in checkups if checkup.wrong]


def _check_fasseg(root: Path, version: str | None) -> Iterator[Checkup]:
    taxonomy = Taxonomy.from_mapping(to_plain(compose(["data=fasseg_v2"]).data.taxonomy))
    for source in _versions_in(root, version):
        yield diagnose(read_facts(source, taxonomy, strict=False))


def _versions_in(root: Path, version: str | None) -> list[FASSEG]:
    """The versions of FASSEG that lie in a folder, or that the folder is.

    Raises:
        ConfigError: there is no such version of FASSEG.
        DataError: the folder is none, is empty, or holds something else.
        MachineError: it may not be read.
    """
    if version not in (None, *_VERSIONS):
        raise ConfigError(f"--version {version}: no such version of FASSEG; expected one of {', '.join(_VERSIONS)}.")
    if not root.is_dir():
        raise DataError(f"{root}: {'a file' if root.exists() else 'no such folder'}; expected the folder of FASSEG.")
    if not os.access(root, os.R_OK | os.X_OK):
        raise MachineError(f"{root}: no permission to read it. Change its rights.")
    whole = root.resolve()
    there = [name for name in _VERSIONS if (root / name).is_dir()]
    if not there and whole.name in _VERSIONS:
        root, there = root.parent if root.name == whole.name else whole.parent, [whole.name]
    if not there:
        raise DataError(_nothing_in(root))
    if version and version not in there:
        raise DataError(f"{root}: {version} is not there; there {'is' if len(there) == 1 else 'are'} {_list(there)}.")
    return [FASSEG(str(root), name) for name in there if version in (None, name)]


def _nothing_in(root: Path) -> str:
    state = "other things, but not" if any(root.iterdir()) else "nothing, not"
    return (
        f"{root}: holds {state} {' or '.join(_VERSIONS)}; expected FASSEG's folder, or one of these. For other data "
        f"use keys: facesegl data check data=folder data.source.images=FOLDER ..."
    )


def _list(names: Sequence[str]) -> str:
    return " and ".join(names)
