"""FASSEG in the layout of its public repository.

Mauro, M.; Khan, K.; Leonardi, R.: FASSEG repository, https://github.com/massimomauro/FASSEG-repository, commit 7817f33.
V1 and V2 are the same 70 frontal photos with coarser and finer masks; V3 has other photos in several poses.
"""

import logging
import re
import shlex
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from facesegl.errors import DataError
from facesegl.files import readable
from facesegl.sources.source import Sample, Source, Survey, join_groups

log = logging.getLogger(__name__)

# Photos of V1 and V2 that look like two shots of one person (aligned correlation 0.90 to 0.98, then by eye). Identical
# photos need no list: the cache finds them by their pixels.
_LIKELY_SAME_PERSON = (
    *(("train/1", "test/3"), ("train/10", "test/8"), ("train/6", "test/5"), ("train/3", "test/1")),
    *(("train/7", "test/7"), ("train/5", "test/6"), ("test/11", "test/30")),
)
_V3_NAME = re.compile(r"(?P<photo>personne(?P<person>\d\d)\d\d\d)\+0[+-]\d+")


class FASSEG(Source):
    """One version of FASSEG.

    Args:
        root: the folder that holds V1, V2 and V3.
        version: the one to use.
    """

    def __init__(self, root: str | Path, version: Literal["V1", "V2", "V3"]) -> None:
        self.root, self.version = Path(root), version
        self.name = f"fasseg_{version.lower()}"

    def samples(self) -> list[Sample]:
        """List the labelled photos; test photos without a mask are counted and named in the log.

        Raises:
            DataError: no such folder, no photos, a training photo without a mask, a mask without a photo.
        """
        found = self.survey()
        if found.problems:
            raise DataError(*found.problems)
        if names := [path.stem for path in found.unlabelled]:
            folder = self.root / self.version
            log.info("%s: %d test photos have no mask and are left out: %s", folder, len(names), ", ".join(names))
        return found.samples

    def survey(self) -> Survey:
        """List the valid samples, the problems with all others, and the unlabelled test photos."""
        folder = self.root / self.version
        if not folder.is_dir():
            return Survey([], (self._missing(folder),))
        found = survey_fasseg_folder(folder)
        if self.version == "V3":
            return found._replace(samples=[_with_person_and_pose(sample) for sample in found.samples])
        return found._replace(samples=_with_groups(found.samples, _LIKELY_SAME_PERSON))

    def _missing(self, folder: Path) -> str:
        there = f"{self.root} has other files" if self.root.is_dir() else f"{self.root} does not exist"
        return (
            f"{folder}: no such folder ({there}); expected FASSEG's {self.version}. Get it with "
            f"`{download_command(self.root)}`, or set paths.data=FOLDER or FACESEGL_DATA to the folder above it."
        )


def download_command(root: Path) -> str:
    """The command that downloads FASSEG into a folder."""
    return f"facesegl data download {shlex.quote(str(root))}"


def survey_fasseg_folder(folder: Path) -> Survey:
    """List `Train_RGB`, `Train_Labels`, `Test_RGB`, `Test_Labels` (case-insensitive) below one folder.

    Samples are in natural order, training photos first; each photo is its own group.
    """
    samples: list[Sample] = []
    problems: list[str] = []
    unlabelled: list[Path] = []
    for split in ("train", "test"):
        photos, masks = (_images(folder, f"{split}_{kind}") for kind in ("rgb", "labels"))
        samples += [
            Sample(id=f"{split}/{name}", photo=photos[name], mask=masks[name], split=split, group=f"{split}/{name}")
            for name in sorted(photos.keys() & masks.keys(), key=_signed_key)
        ]
        problems += [
            f"{masks[name]}: a mask without a photo; expected {name}.bmp in {split.title()}_RGB. Add the photo or "
            f"remove the mask."
            for name in sorted(masks.keys() - photos.keys(), key=_signed_key)
        ]
        alone = sorted(photos.keys() - masks.keys(), key=_signed_key)
        if split == "train":
            problems += [
                f"{photos[name]}: a training photo without a mask; expected {name}.bmp in Train_Labels. Add the mask "
                f"or remove the photo."
                for name in alone
            ]
        else:
            unlabelled += [photos[name] for name in alone]
    if not problems and not any(sample.split == "train" for sample in samples):
        problems = [f"{folder}: no training photos; expected .bmp files in Train_RGB and Train_Labels below it."]
    return Survey(samples, tuple(problems), tuple(unlabelled))


def _with_groups(samples: list[Sample], same: Iterable[tuple[str, str]]) -> list[Sample]:
    groups = join_groups({sample.id: sample.group for sample in samples}, same)
    return [replace(sample, group=groups[sample.id]) for sample in samples]


def _images(folder: Path, name: str) -> dict[str, Path]:
    """The .bmp files below a subfolder, by their relative path without the suffix."""
    found = {}
    for top in folder.iterdir():
        if top.name.casefold() == name and top.is_dir():
            for path in top.rglob("*"):
                if path.suffix.casefold() == ".bmp":
                    found[readable(path.relative_to(top).with_suffix("").as_posix())] = path
    return found


def _with_person_and_pose(sample: Sample) -> Sample:
    """Read person and pose from a V3 name, such as `+30/personne15248+0+30`."""
    _split, pose, name = sample.id.split("/") if sample.id.count("/") == 2 else (None, None, "")
    match = _V3_NAME.fullmatch(name)
    if not match:
        return sample
    name = f"{sample.split}/{pose}/{match['photo']}"
    return replace(sample, id=name, group=f"person {match['person']}", tags=(f"pose={pose}",))


def _signed_key(name: str) -> list[tuple[int, str]]:
    """Sort key of the natural order with signs: `2` before `10`, pose `-45` before `+30`. Fingerprints depend on it."""
    parts = re.findall(r"[+-]?\d+|[^\d+-]+", name)
    return [(int(part), "") if part.lstrip("+-").isdecimal() else (0, part) for part in parts]
