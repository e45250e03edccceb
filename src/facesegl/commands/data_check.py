"""`facesegl data check`: check every photo and mask before training on them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from facesegl.checks.diagnosis import SCHEMA, Checkup, diagnose
from facesegl.checks.facts import Facts
from facesegl.checks.findings import Finding
from facesegl.checks.reading import read_facts
from facesegl.config.compose import compose
from facesegl.config.identity import to_plain
from facesegl.errors import ConfigError, DataError, MachineError
from facesegl.labels.taxonomy import Taxonomy
from facesegl.sources.fasseg import FASSEG, download_command
from facesegl.sources.source import join_groups
from facesegl.sources.splits import assign_folds, remedy_for
from facesegl.text import number

if TYPE_CHECKING:
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
    """Check FASSEG in a folder, or any data that a config chooses.

    Args:
        root: a folder with V1, V2, V3, or one of these; None for the data of the overrides.
        overrides: keys and groups of conf/train.yaml that concern data, for example `data=synthetic`.
        config_dirs: folders with custom config groups.
        version: the one to check in `root`; None for all in `root`.

    Returns:
        The checkup of each data set.

    Raises:
        ConfigError: a root together with keys, a version without a root, wrong keys.
        DataError: no FASSEG in that folder.
        MachineError: no permission to read the folder.
    """
    if root is not None:
        if overrides:
            raise ConfigError(f"{root}: a folder and {overrides[0]}; give FASSEG's folder, or the keys of other data.")
        taxonomy = Taxonomy.from_mapping(to_plain(compose(["data=fasseg_v2"]).data.taxonomy))
        return [diagnose(read_facts(source, taxonomy, strict=False)) for source in _versions_in(root, version)]
    if version is not None:
        raise ConfigError(f"--version {version}: no folder given; expected FASSEG's folder before it.")
    from facesegl.commands.datasets import choose_data  # imports torch, which FASSEG alone does not need

    faces = choose_data(overrides, config_dirs, verb="data check")
    facts = read_facts(faces.source, faces.taxonomy, strict=faces.strict)
    return [diagnose(facts, *_fold(facts, faces))]


def _fold(facts: Facts, faces: "FaceDataModule") -> tuple[list[Finding], set[str]]:
    """Too few persons for the folds, if training would hold one fold out; and the ids of the photos in that fold."""
    from facesegl.data.cache import identical_photos

    if faces.fold is None or facts.fitting("val"):
        return [], set()
    photos = facts.fitting("train")
    ids = [photo.sample.id for photo in photos]
    same = ((ids[one], ids[other]) for one, other in identical_photos(photo.pixels for photo in photos))
    groups = join_groups({photo.sample.id: photo.sample.group for photo in photos}, same)
    persons = len({*groups.values()})
    if persons < faces.folds:
        what = f"{number(persons, 'person or group', 'persons or groups')} to train on, but data.folds={faces.folds}"
        return [Finding("error", "folds", what, remedy_for(persons))] if persons else [], set()
    fold_of = assign_folds(groups, faces.folds, faces.fold_seed)
    return [], {name for name, fold in fold_of.items() if fold == faces.fold}


def report_of(checkups: Sequence[Checkup]) -> dict[str, Any]:
    """The checkups as builtin values, for JSON.

    Returns:
        `schema` (a number), `wrong` (whether any is unfit for training), and `data`, one `Checkup.to_dict` each.
    """
    return {
        "schema": SCHEMA,
        "wrong": any(checkup.wrong for checkup in checkups),
        "data": [checkup.to_dict() for checkup in checkups],
    }


def verdicts(checkups: Sequence[Checkup]) -> list[str]:
    """One line per data set that is unfit for training; the command exits with 1 if there is any."""
    return [checkup.verdict for checkup in checkups if checkup.wrong]


def _versions_in(root: Path, version: str | None) -> list[FASSEG]:
    """The versions of FASSEG below a folder, or the one in it."""
    if version not in (None, *_VERSIONS):
        raise ConfigError(f"--version {version}: no such version of FASSEG; expected one of {', '.join(_VERSIONS)}.")
    if not root.is_dir():
        what = "a file" if root.exists() else "no such folder"
        raise DataError(f"{root}: {what}; expected the folder of FASSEG. Get it with `{download_command(root)}`.")
    if not os.access(root, os.R_OK | os.X_OK):
        raise MachineError(f"{root}: no permission to read it. Change its permissions.")
    whole = root.resolve()
    there = [name for name in _VERSIONS if (root / name).is_dir()]
    if not there and whole.name in _VERSIONS:
        root, there = root.parent if root.name == whole.name else whole.parent, [whole.name]
    if not there:
        what = (
            f"neither {', '.join(_VERSIONS[:-1])} nor {_VERSIONS[-1]} in it"
            if any(root.iterdir())
            else "an empty folder"
        )
        raise DataError(
            f"{root}: {what}; expected FASSEG's folder (`{download_command(root)}`), or that of one version. For other "
            f"data use keys: facesegl data check data=folder data.source.images=FOLDER ..."
        )
    if version and version not in there:
        raise DataError(f"{root}: no {version} in it, only {' and '.join(there)}.")
    return [FASSEG(str(root), name) for name in there if version in (None, name)]
