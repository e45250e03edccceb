"""Photos and masks in files of their own: from what was found to samples with splits and groups."""

import abc
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from facesegl.errors import ConfigError, DataError
from facesegl.labels.decode import RULE, Decoded
from facesegl.labels.taxonomy import Taxonomy
from facesegl.sources.listing import Found, some
from facesegl.sources.mask_files import Kind, Overlap, read_mask_file, read_mask_parts
from facesegl.sources.pairing import Mask
from facesegl.sources.source import Sample, Source, Survey
from facesegl.sources.splits import Lists, deal, require_shares
from facesegl.text import a_few

log = logging.getLogger(__name__)

_RECOGNITION = 2  # raised whenever a file is read as another kind than before


@dataclass
class Finding:
    """What lies in the folders.

    Attributes:
        photos: every photo that was found.
        splits: the split of each, where folders tell it; else None.
        masks: the masks of each photo that has any, by its place among `photos`.
        problems: what is wrong, a line each.
        how: how photos and masks were paired, in words.
    """

    photos: list[Found] = field(default_factory=list)
    splits: list[str | None] = field(default_factory=list)
    masks: dict[int, list[Mask]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    how: str = ""


class PairedFaces(Source):
    """What sources share whose photos and masks lie in files of their own.

    Args:
        name: what the data are called.
        kind: what masks hold; `auto` looks at each. `parts` and `probabilities` are one file a part.
        overlap: with parts, which counts where several overlap: the later one in the taxonomy's `remap`, or else among
            its classes (`order`), or the one that covers less of this photo (`smallest`).
        rest: with parts, the class of pixels that no part claims, or `void`.
        mask_scale: how many times larger than their masks photos are, along each side; nothing else is ever stretched.
        lists: text files that name the photos of each split; None where there is none.
        shares: which shares of the photos become `val` and `test`, if folders and lists do not say it.
        split_seed: deals the shares.
        group: a regular expression whose first group, or whole match, in a photo's name is its person.
        unlabelled: whether a photo without a mask is an error, or skipped and counted.

    Raises:
        ConfigError: arguments that are wrong, all told at once.
    """

    def __init__(
        self,
        *,
        name: str,
        kind: Kind,
        overlap: Overlap,
        rest: str,
        mask_scale: int,
        lists: Mapping[str, str | Path | None],
        shares: Mapping[str, float],
        split_seed: int,
        group: str | None,
        unlabelled: Literal["error", "skip"],
    ) -> None:
        self.name, self.kind, self.overlap, self.rest, self.mask_scale = name, kind, overlap, rest, mask_scale
        self.shares, self.split_seed, self.unlabelled = dict(shares), split_seed, unlabelled
        self.lists = Lists(lists)
        require_shares(shares)
        self._group = _compiled(group)
        if mask_scale < 1:
            raise ConfigError(f"data.source.mask_scale={mask_scale}: expected 1, or how many times larger photos are.")
        if not re.fullmatch(r"[^/\\.][^/\\]*", name):
            raise ConfigError(f"data.source.name={name!r}: expected a plain name, such as data.source.name=my-faces.")
        self.reading = f"{RULE}; {kind}, {_RECOGNITION}; overlap {overlap}; rest {rest}; scale {mask_scale}"

    @abc.abstractmethod
    def find(self) -> Finding:
        """Find photos and their masks.

        Raises:
            DataError: folders that are not there.
        """

    def samples(self) -> list[Sample]:
        """List the photos that have a mask; says how many there are and how they were paired.

        Raises:
            DataError: what is wrong with the files, all told at once.
        """
        survey = self.survey()
        if survey.problems:
            raise DataError(*survey.problems)
        if survey.unlabelled:
            names = a_few([path.name for path in survey.unlabelled])
            log.info("%s: %d photos have no mask and are left out: %s", self.name, len(survey.unlabelled), names)
        return survey.samples

    def survey(self) -> Survey:
        """As `samples`, beside what is wrong with the rest."""
        try:
            found = self.find()
            split_of, wrong = self._splits(found)
            chosen = [place for place in sorted(found.masks) if place in split_of]
            persons, unnamed = self._persons(found, chosen)
            split_of |= self._dealt(found, {place: split_of[place] for place in chosen}, persons)
        except DataError as error:
            return Survey([], error.problems)
        samples = [_sample(found, place, split_of[place], persons.get(place)) for place in chosen]
        problems = [*found.problems, *wrong, *unnamed]
        if not problems and not any(sample.split == "train" for sample in samples):
            problems = [f"{self.name}: no photo to learn from; every one is kept for validation or test."]
        if not problems:
            self._tell(found, samples, len(found.masks) - len(chosen))
        bare = [photo.path for place, photo in enumerate(found.photos) if place not in found.masks]
        return Survey(samples, tuple(problems), tuple(bare))

    def read_mask(self, sample: Sample, taxonomy: Taxonomy) -> Decoded:
        """Read the mask of a sample at its photo's size.

        Raises:
            DataError: it cannot be read, or holds what the taxonomy does not know.
        """
        if sample.parts:
            decoded = read_mask_parts(sample.parts, self.kind, self.overlap, self.rest, taxonomy)
        else:
            decoded = read_mask_file(sample.mask, self.kind, taxonomy)
        if self.mask_scale == 1:
            return decoded
        return Decoded(*(np.repeat(np.repeat(part, self.mask_scale, 0), self.mask_scale, 1) for part in decoded))

    def _splits(self, found: Finding) -> tuple[dict[int, str], list[str]]:
        """The split of each photo by its place, as folders or lists have it; photos on no list have none."""
        by_folder = {place: split for place, split in enumerate(found.splits) if split is not None}
        if not self.lists.files:
            return {place: by_folder.get(place, "train") for place in range(len(found.photos))}, []
        if by_folder:
            raise DataError("data.source.lists: the folders train, val and test say it already; use one of both.")
        return self.lists.assign(found.photos)

    def _persons(self, found: Finding, places: Sequence[int]) -> tuple[dict[int, str], list[str]]:
        """The person on each photo, where there is a rule for names, and the photos that it does not fit."""
        persons: dict[int, str] = {}
        if self._group is None:
            return persons, []
        wrong = []
        for place in places:
            photo = found.photos[place]
            match = self._group.search(photo.name)
            if match and match[min(1, self._group.groups)]:
                persons[place] = match[min(1, self._group.groups)]
            else:
                wrong.append(f"{photo.path}: data.source.group={self._group.pattern} finds no person in {photo.name}.")
        return persons, some(wrong, "photos in whose names it finds none")

    def _dealt(self, found: Finding, split_of: Mapping[int, str], persons: Mapping[int, str]) -> dict[int, str]:
        """The splits of training photos, a share of which are in another one: by names, so that new photos move few.

        Raises:
            DataError: a share of what the data have a split for, or fewer persons than splits.
        """
        shares = {split: share for split, share in self.shares.items() if share}
        if doubled := [split for split in shares if split in split_of.values()]:
            raise DataError(
                *(f"data.source.shares.{one}: the data have photos for {one} already; leave it 0." for one in doubled)
            )
        training = [place for place, split in split_of.items() if split == "train"]
        groups = {place: persons.get(place, found.photos[place].name) for place in training}
        return deal(groups, shares, self.split_seed) if shares else {}

    def _tell(self, found: Finding, samples: Sequence[Sample], unlisted: int) -> None:
        numbers = [(sum(sample.split == split for sample in samples), split) for split in ("train", "val", "test")]
        log.info(
            "%s: %d photos with a mask (%s), %s%s",
            self.name,
            len(samples),
            ", ".join(f"{number} {split}" for number, split in numbers if number),
            found.how,
            f"; {unlisted} more are on no list and left out" if unlisted else "",
        )


def _sample(found: Finding, place: int, split: str, person: str | None) -> Sample:
    photo, masks = found.photos[place], found.masks[place]
    return Sample(
        id=f"{split}/{photo.name}",
        photo=photo.path,
        mask=masks[0].file.path,
        split=split,
        group=person or f"{split}/{photo.name}",
        parts=tuple((mask.part, mask.file.path) for mask in masks if mask.part is not None),
    )


def _compiled(group: str | None) -> re.Pattern[str] | None:
    try:
        return None if group is None else re.compile(group)
    except re.error as error:
        raise ConfigError(f"data.source.group={group}: no regular expression ({error}).") from None
