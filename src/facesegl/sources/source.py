"""The interface of a source of labelled photos: its samples, and their masks."""

import abc
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from facesegl.errors import ConfigError, DataError
from facesegl.labels.decode import RULE, Decoded, decode_mask
from facesegl.labels.taxonomy import Colour, Taxonomy, likely_pairs
from facesegl.sources.images import open_photo, read_rgb
from facesegl.sources.listing import name_key

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """One photo and its mask, not opened yet.

    Attributes:
        id: stable and readable, such as `train/7`.
        photo: the photo's file.
        mask: the mask's file; the first one if each part has a separate file.
        split: `train`, `val` or `test`, as the source defines it.
        group: the person if known, otherwise the photo; never on both sides of a fold.
        tags: further facts, such as `pose=+30`.
        parts: name and file of each part, if each has a separate file.
    """

    id: str
    photo: Path
    mask: Path
    split: str
    group: str
    tags: tuple[str, ...] = ()
    parts: tuple[tuple[str, Path], ...] = ()

    @property
    def mask_files(self) -> tuple[Path, ...]:
        """Every file that the mask is read from."""
        return tuple(path for _name, path in self.parts) or (self.mask,)


class Survey(NamedTuple):
    """What a source finds, valid or not.

    Attributes:
        samples: the labelled photos.
        problems: the problems with the files, one line each; training does not start if there is one.
        unlabelled: photos without a mask, which are left out.
    """

    samples: list[Sample]
    problems: tuple[str, ...] = ()
    unlabelled: tuple[Path, ...] = ()


class Source(abc.ABC):
    """Base class of sources: subclass it with a `name` and `samples`, and name that class as `_target_` in a config."""

    name: str
    """The name of the data in the cache's folder name and in results."""

    reading: str = RULE
    """How masks are read; part of the cache's key."""

    progress: str = "caching photos and masks"
    """What the progress of filling the cache shows."""

    pairing: Sequence[str] = ()
    """After `samples`: the pairs whose names are not equal, one line each, for the run's log."""

    @property
    def title(self) -> str:
        """The name of the data in titles and tables."""
        return self.name

    @abc.abstractmethod
    def samples(self) -> list[Sample]:
        """List every labelled photo, in a stable order, without opening pixels.

        Raises:
            DataError: every problem with the files.
        """

    def survey(self) -> Survey:
        """List the valid samples and the problems with the rest; by default all samples, or only the problems."""
        try:
            return Survey(self.samples())
        except DataError as error:
            return Survey([], error.problems)

    def on_disk(self) -> bool:
        """Whether there are files to list; False for synthetic faces that `samples` would render first."""
        return True

    def own_taxonomy(self) -> Taxonomy:
        """The classes that the files themselves define; used if the config defines none.

        Raises:
            ConfigError: the files define none.
        """
        raise ConfigError(
            f"data.taxonomy: the files of {self.name} do not define classes; define them in a YAML file: "
            f"data.taxonomy=FILE.yaml."
        )

    def files(self, sample: Sample) -> tuple[Path, ...]:
        """The files that a sample is read from, whose contents identify it."""
        return (sample.photo, *sample.mask_files)

    def read(self, sample: Sample, taxonomy: Taxonomy) -> tuple[np.ndarray, Decoded]:
        """Read the photo, (H, W, 3) uint8, and decode its mask, both at native size.

        Raises:
            DataError: as `read_mask`, or the photo cannot be read.
        """
        return open_photo(sample.photo), self.read_mask(sample, taxonomy)

    def read_mask(self, sample: Sample, taxonomy: Taxonomy) -> Decoded:
        """Decode the mask of a sample at native size; by default from a color mask.

        Raises:
            DataError: the file is not an image, or its colors are not in the taxonomy.
        """
        try:
            return decode_mask(read_rgb(sample.mask), taxonomy)
        except DataError as error:
            if str(sample.mask) in str(error):
                raise
            raise DataError(f"{sample.mask}: {error}") from None


def swapped(source: Source, samples: Sequence[Sample], taxonomy: Taxonomy) -> str:
    """Why photos and masks seem to be swapped, where no mask could be read: the first photos can be read as masks."""
    try:
        for sample in samples[:3]:
            if sample.parts:
                return ""
            source.read_mask(replace(sample, mask=sample.photo), taxonomy)
    except DataError:
        return ""
    return (
        f"{samples[0].mask}: not a mask, but {samples[0].photo} is one, and so are the others: photos and masks are "
        f"swapped. Swap the two folders (data.source.images and data.source.masks)."
    )


def labels_to_taxonomy(path: Path, names: Sequence[str], colors: Sequence[Colour]) -> Taxonomy:
    """The taxonomy of an export's labels; labels that differ only in left and right are pairs.

    Raises:
        DataError: the labels are not a valid taxonomy; the message names `path`.
    """
    pairs = tuple(likely_pairs(names))
    sides = "; left and right are " + ", ".join(" and ".join(pair) for pair in pairs) if pairs else ""
    log.info("%s: the classes are %s%s", path, ", ".join(names), sides)
    by_key: dict[str, str] = {}
    for name in names:
        if (other := by_key.setdefault(name_key(name.strip()), name)) != name:
            log.warning(
                "%s: %s and %s are two classes. If they are one, merge them with `remap` in data.taxonomy=FILE.yaml, "
                "or delete the label where it was drawn%s.",
                path,
                other,
                name,
                "; CVAT's background is everything without a label" if name == "background" else "",
            )
    try:
        return Taxonomy(names=tuple(names), colours=tuple(colors), pairs=pairs)
    except ConfigError as error:
        raise DataError(
            *(f"{path}: in its labels, {problem.partition(': ')[2]}" for problem in error.problems)
        ) from None


def join_groups(groups: dict[str, str], same: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Merge the groups of samples that belong to one person.

    Args:
        groups: sample id to group.
        same: pairs of sample ids; a pair with an unknown id is ignored.

    Returns:
        Sample id to group; merged groups take the name that comes first in `groups`.

    Example:
        >>> join_groups({"a": "a", "b": "b", "c": "c"}, [("b", "c"), ("c", "x")])
        {'a': 'a', 'b': 'b', 'c': 'b'}
    """
    members: dict[str, list[str]] = {}
    for sample, group in groups.items():
        members.setdefault(group, []).append(sample)
    order, joined = {group: index for index, group in enumerate(members)}, dict(groups)
    for one, other in same:
        if one in joined and other in joined and joined[one] != joined[other]:
            first, second = sorted((joined[one], joined[other]), key=order.__getitem__)
            joined |= dict.fromkeys(members[second], first)
            members[first] += members.pop(second)
    return joined
