"""What a source of labelled photos offers: samples, and the mask of one."""

import abc
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from facesegl.errors import ConfigError, DataError
from facesegl.labels.decode import RULE, Decoded, decode_mask
from facesegl.labels.taxonomy import Taxonomy
from facesegl.sources.images import read_rgb


@dataclass(frozen=True)
class Sample:
    """One photo and its mask, not opened yet.

    Attributes:
        id: stable and readable, such as `train/7`.
        photo: the photo's file.
        mask: the mask's file; of a mask of several files, one a part, the first.
        split: `train`, `val` or `test`, as the source has it.
        group: the person where it is known, otherwise the photo; never on both sides of a fold.
        tags: what else is known, such as `pose=+30`.
        parts: name and file of each part, where the mask is one file a part.
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
    """What a source finds, sound or not.

    Attributes:
        samples: the labelled photos that can be told.
        problems: what is wrong with the files, a line each; any of them ends a training before it begins.
        unlabelled: photos without a mask, which are left out.
    """

    samples: list[Sample]
    problems: tuple[str, ...] = ()
    unlabelled: tuple[Path, ...] = ()


class Source(abc.ABC):
    """Where photos and masks lie. An own source is a subclass with these two, named in a config by `_target_`."""

    name: str
    """What the data are called: in the cache's folder name and in results."""

    reading: str = RULE
    """How masks are read: caches of data that are read in another way are not reused."""

    @abc.abstractmethod
    def samples(self) -> list[Sample]:
        """List every labelled photo, in a stable order, without opening pixels.

        Raises:
            DataError: what is wrong with the files, all told at once.
        """

    def survey(self) -> Survey:
        """List what can be listed beside what is wrong with the rest; here all samples, or only why there are none."""
        try:
            return Survey(self.samples())
        except DataError as error:
            return Survey([], error.problems)

    def own_taxonomy(self) -> Taxonomy:
        """The classes, where the files themselves say them; asked for where no config does.

        Raises:
            ConfigError: they do not say them.
        """
        raise ConfigError(
            f"data.taxonomy: {self.name} does not bring its classes along; say them in a YAML file: "
            f"data.taxonomy=FILE.yaml."
        )

    def read_mask(self, sample: Sample, taxonomy: Taxonomy) -> Decoded:
        """Decode the mask of a sample at native size; here from a colour mask.

        Raises:
            DataError: the file is no image, or its colours are not those of the taxonomy.
        """
        try:
            return decode_mask(read_rgb(sample.mask), taxonomy)
        except DataError as error:
            if str(sample.mask) in str(error):
                raise
            raise DataError(f"{sample.mask}: {error}") from None


def join_groups(groups: dict[str, str], same: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Merge the groups of samples that belong to one person.

    Args:
        groups: sample id to group.
        same: pairs of sample ids; a pair with an id that is not there counts for nothing.

    Returns:
        Sample id to group; merged groups take the name that stands first in `groups`.

    Example:
        >>> join_groups({"a": "a", "b": "b", "c": "c"}, [("b", "c"), ("c", "x")])
        {'a': 'a', 'b': 'b', 'c': 'b'}
    """
    order = {group: place for place, group in enumerate(dict.fromkeys(groups.values()))}
    joined = dict(groups)
    for one, other in same:
        if one in joined and other in joined:
            first, second = sorted((joined[one], joined[other]), key=order.__getitem__)
            joined = {sample: first if group == second else group for sample, group in joined.items()}
    return joined
