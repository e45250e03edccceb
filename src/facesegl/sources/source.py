"""What a source of labelled photos offers: samples, and the mask of one."""

import abc
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from facesegl.errors import DataError
from facesegl.labels import Decoded, Taxonomy, decode_mask
from facesegl.sources.image import read_rgb


@dataclass(frozen=True)
class Sample:
    """One photo and its mask, not opened yet.

    Attributes:
        id: stable and readable, such as `train/7`.
        photo: the photo's file.
        mask: the mask's file.
        split: `train`, `val` or `test`, as the source has it.
        group: the person where it is known, otherwise the photo; never on both sides of a fold.
        tags: what else is known, such as `pose=+30`.
    """

    id: str
    photo: Path
    mask: Path
    split: str
    group: str
    tags: tuple[str, ...] = ()


class Source(abc.ABC):
    """Where photos and masks lie. An own source is a subclass with these two, named in a config by `_target_`."""

    name: str
    """What the data are called: in the cache's folder name and in results."""

    @abc.abstractmethod
    def samples(self) -> list[Sample]:
        """List every labelled photo, in a stable order, without opening pixels.

        Raises:
            DataError: what is wrong with the files, all told at once.
        """

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
