"""FASSEG as its public repository lays it out.

Mauro, M.; Khan, K.; Leonardi, R.: FASSEG repository, https://github.com/massimomauro/FASSEG-repository, commit 7817f33.
V1 and V2 are the same 70 frontal photos with coarser and finer masks; V3 has other photos in several poses.
"""

import logging
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from facesegl.errors import DataError
from facesegl.files import readable
from facesegl.sources.source import Sample, Source, Survey, join_groups

log = logging.getLogger(__name__)

# Photos of V1 and V2 that look like one person in two shots (aligned correlation 0.90 to 0.98, then by eye). Identical
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
        version: which of them.
    """

    def __init__(self, root: str | Path, version: Literal["V1", "V2", "V3"]) -> None:
        self.root, self.version = Path(root), version
        self.name = f"fasseg_{version.lower()}"

    def samples(self) -> list[Sample]:
        """List the photos that have a mask; a test photo without one is counted and named in the log.

        Raises:
            DataError: no such folder, no photos, a training photo without a mask, a mask without a photo.
        """
        return _sound(self.root / self.version, self.survey())

    def survey(self) -> Survey:
        """As `samples`, beside what is wrong with the rest."""
        folder = self.root / self.version
        if not folder.is_dir():
            return Survey([], (self._not_there(folder),))
        found = survey_fasseg_folder(folder)
        if self.version == "V3":
            return found._replace(samples=[_with_person_and_pose(sample) for sample in found.samples])
        return found._replace(samples=with_groups(found.samples, _LIKELY_SAME_PERSON))

    def _not_there(self, folder: Path) -> str:
        there = "the folder has other things" if self.root.is_dir() else f"{self.root} is not there"
        bring = f"facesegl data download {shlex.quote(str(self.root))}"
        return (
            f"{folder}: no such folder ({there}); expected FASSEG's {self.version} there. Get it with `{bring}`, or "
            f"give the folder above an existing one as paths.data=FOLDER or as FACESEGL_DATA."
        )


def survey_fasseg_folder(folder: Path) -> Survey:
    """List `Train_RGB`, `Train_Labels`, `Test_RGB`, `Test_Labels` (in any letter case) below one folder.

    Returns:
        Samples in natural order, training photos first; each photo is its own group. Problems are no training photos, a
        training photo without a mask, a mask without a photo.
    """
    samples: list[Sample] = []
    problems: list[str] = []
    unlabelled: list[Path] = []
    for split in ("train", "test"):
        photos, masks = (_images(folder, f"{split}_{kind}") for kind in ("rgb", "labels"))
        samples += [
            Sample(id=f"{split}/{name}", photo=photos[name], mask=masks[name], split=split, group=f"{split}/{name}")
            for name in sorted(photos.keys() & masks.keys(), key=_natural)
        ]
        problems += [
            f"{masks[name]}: a mask without a photo; expected {name}.bmp in {split.title()}_RGB. Add the photo or take "
            f"the mask away."
            for name in sorted(masks.keys() - photos.keys(), key=_natural)
        ]
        alone = sorted(photos.keys() - masks.keys(), key=_natural)
        if split == "train":
            problems += [
                f"{photos[name]}: a training photo without a mask; expected {name}.bmp in Train_Labels. Add the mask "
                f"or take the photo away."
                for name in alone
            ]
        else:
            unlabelled += [photos[name] for name in alone]
    if not problems and not any(sample.split == "train" for sample in samples):
        problems = [f"{folder}: no training photos; expected .bmp files in Train_RGB and Train_Labels below it."]
    return Survey(samples, tuple(problems), tuple(unlabelled))


def _sound(folder: Path, found: Survey) -> list[Sample]:
    """The samples of a survey that found nothing wrong; what is left out is named in the log."""
    if found.problems:
        raise DataError(*found.problems)
    if names := [path.stem for path in found.unlabelled]:
        log.info("%s: %d test photos have no mask and are left out: %s", folder, len(names), ", ".join(names))
    return found.samples


def with_groups(samples: list[Sample], same: Iterable[tuple[str, str]]) -> list[Sample]:
    """The same samples, with those of one person in one group."""
    groups = join_groups({sample.id: sample.group for sample in samples}, same)
    return [Sample(**{**vars(sample), "group": groups[sample.id]}) for sample in samples]


def _images(folder: Path, name: str) -> dict[str, Path]:
    """The .bmp files of a subfolder and those below it, by their path without the ending."""
    found = {}
    for top in folder.iterdir():
        if top.name.casefold() == name and top.is_dir():
            for path in top.rglob("*"):
                if path.suffix.casefold() == ".bmp":
                    found[readable(path.relative_to(top).with_suffix("").as_posix())] = path
    return found


def _with_person_and_pose(sample: Sample) -> Sample:
    """Read person and pose off a V3 name, such as `+30/personne15248+0+30`."""
    _split, pose, name = sample.id.split("/") if sample.id.count("/") == 2 else (None, None, "")
    match = _V3_NAME.fullmatch(name)
    if not match:
        return sample
    return Sample(
        id=f"{sample.split}/{pose}/{match['photo']}",
        photo=sample.photo,
        mask=sample.mask,
        split=sample.split,
        group=f"person {match['person']}",
        tags=(f"pose={pose}",),
    )


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key: `2` before `10`, pose `-45` before `+30`."""
    parts = re.findall(r"[+-]?\d+|[^\d+-]+", name)
    return [(int(part), "") if part.lstrip("+-").isdecimal() else (0, part) for part in parts]
