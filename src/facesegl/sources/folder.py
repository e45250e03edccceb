"""Your own faces: a folder of photos and a folder of masks, paired by name, with splits by folders, lists or shares."""

import abc
import logging
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from facesegl.errors import ConfigError, DataError
from facesegl.files import readable
from facesegl.labels.decode import RULE, Decoded
from facesegl.labels.taxonomy import Taxonomy
from facesegl.sources.listing import MASK_SUFFIXES, PHOTO_SUFFIXES, Found, expanded, list_files, name_key, truncate
from facesegl.sources.mask_files import Kind, Overlap, read_mask_file, read_mask_parts
from facesegl.sources.pairing import (
    Mask,
    MaskName,
    Where,
    are_masks,
    near_misses,
    pair,
    pairing_problems,
    shared_naming,
)
from facesegl.sources.source import Sample, Source, Survey
from facesegl.sources.splits import SPLITS, Lists, require_shares, split_by_shares, split_folders
from facesegl.text import a_few

log = logging.getLogger(__name__)

_RECOGNITION = 3  # increment when `kind: auto` detects another kind for the same file
_PAIRS_SHOWN = 20
_ONE_FILE_PER_PART = ("parts", "probabilities")
_LAYOUTS = ("folder", "cvat", "label_studio")  # the default names of your own data
_OF_PHOTOS = re.compile(r"(?:jpeg|jpg|rgb)?_?(?:images?|imgs?|photos?|pictures?)", re.IGNORECASE)
_PAGES = {
    "celebamask_hq": "https://github.com/switchablenorms/CelebAMask-HQ",
    "lapa": "https://github.com/JDAI-CV/lapa-dataset",
    "helen": "https://pages.cs.wisc.edu/~lizhang/projects/face-parsing",
}

Folders = dict[str | None, Path]
"""The folder of each split; under None a folder without splits."""


class PhotoFiles(NamedTuple):
    """A photo and its masks.

    Attributes:
        photo: the photo's file.
        masks: empty if unlabelled; several only if each part has a separate file.
        split: the split of its folder, or of its mask's folder.
    """

    photo: Found
    masks: Sequence[Mask] = ()
    split: str | None = None


@dataclass
class Finding:
    """What was found in the folders.

    Attributes:
        photos: every photo, labelled or not.
        problems: one line each.
        how: how photos and masks were paired, for the log.
        unlike: pairs whose names are not equal, one line each.
    """

    photos: list[PhotoFiles] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    how: str = ""
    unlike: list[str] = field(default_factory=list)


class PairedFaces(Source):
    """Base class of the sources with separate files for photos and masks.

    Args:
        name: the name of the data.
        kind: the format of the masks; `auto` detects it for each. `parts` and `probabilities` have one file per part.
        overlap: which of several overlapping parts wins: `order`, the later one in the taxonomy's `remap`, else in its
            classes; `smallest`, the one that covers less of this photo.
        rest: the class of pixels that belong to no part, or that a mask leaves transparent; or `void`.
        mask_scale: how many times larger photos are than their masks, along each side. Masks are never resized
            otherwise.
        lists: text files that name the photos of each split; None for a split without a list.
        shares: the shares of the photos for `val` and `test`, unless folders or lists define these splits.
        split_seed: seed of the random split by shares.
        group: a regular expression whose first group, or else whole match, in a photo's name identifies the person.
        unlabelled: whether a photo without a mask is an error, or is skipped and counted.

    Raises:
        ConfigError: invalid arguments.
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

    images: Any  # the folder of the photos

    @property
    def title(self) -> str:
        """The name of the data, or their folder's: `mine` for photos in `mine`, `mine/photos` or `mine/images`."""
        folder = expanded(self.images).resolve()
        own = folder.parent if _OF_PHOTOS.fullmatch(folder.name) else folder
        return readable(own.name) if self.name in _LAYOUTS and own.name else self.name

    @abc.abstractmethod
    def find(self) -> Finding:
        """Find photos and their masks.

        Raises:
            DataError: a folder is missing.
        """

    def samples(self) -> list[Sample]:
        """List the labelled photos; logs how many there are and how they were paired.

        Raises:
            DataError: every problem with the files.
        """
        survey = self.survey()
        if survey.problems:
            raise DataError(*survey.problems)
        if survey.unlabelled:
            names = a_few([path.name for path in survey.unlabelled])
            log.info("%s: %d photos have no mask and are left out: %s", self.title, len(survey.unlabelled), names)
        return survey.samples

    def survey(self) -> Survey:
        """List the valid samples, the problems with all others, and the unlabelled photos."""
        try:
            found = self.find()
            split_of, wrong = self._splits(found.photos)
            chosen = {index: found.photos[index] for index in sorted(split_of) if found.photos[index].masks}
            persons, unnamed = self._persons(chosen)
            split_of |= self._random_splits(chosen, split_of, persons)
        except DataError as error:
            return Survey([], error.problems)
        samples = [_sample(files, split_of[index], persons.get(index)) for index, files in chosen.items()]
        problems = [*found.problems, *wrong, *unnamed]
        if not problems and not any(sample.split == "train" for sample in samples):
            problems = [f"{self.title}: no photo to train on; all of them are for validation or test."]
        unlabelled = tuple(files.photo.path for files in found.photos if not files.masks)
        if not problems:
            self._log(samples, found.how, unlisted=len(found.photos) - len(unlabelled) - len(chosen))
            self.pairing = tuple(found.unlike)
            for line in truncate(self.pairing, "pairs; log.txt of a run lists all", most=_PAIRS_SHOWN):
                log.info("paired: %s", line)
        return Survey(samples, tuple(problems), unlabelled)

    def read_mask(self, sample: Sample, taxonomy: Taxonomy) -> Decoded:
        """Read the mask of a sample at the size of its photo.

        Raises:
            DataError: it cannot be read, or contains values that the taxonomy does not define.
        """
        if sample.parts:
            decoded = read_mask_parts(sample.parts, self.kind, self.overlap, self.rest, taxonomy)
        else:
            decoded = read_mask_file(sample.mask, self.kind, taxonomy, self.rest)
        if self.mask_scale == 1:
            return decoded
        return Decoded(*(np.repeat(np.repeat(part, self.mask_scale, 0), self.mask_scale, 1) for part in decoded))

    def _splits(self, photos: Sequence[PhotoFiles]) -> tuple[dict[int, str], list[str]]:
        """The split of each photo by its index (photos on no list have none), and problems, one line each."""
        by_folder = any(files.split for files in photos)
        if not self.lists.files:
            return {index: files.split or "train" for index, files in enumerate(photos)}, []
        if by_folder:
            raise DataError(
                "data.source.lists: the folders train, val and test define the splits; use lists or folders."
            )
        return self.lists.assign([files.photo for files in photos])

    def _persons(self, chosen: Mapping[int, PhotoFiles]) -> tuple[dict[int, str], list[str]]:
        """The person in each photo by its index, as `group` finds it, and problems, one line each."""
        persons: dict[int, str] = {}
        if self._group is None:
            return persons, []
        wrong = []
        for index, (photo, *_) in chosen.items():
            match = self._group.search(photo.name)
            if match and match[min(1, self._group.groups)]:
                persons[index] = match[min(1, self._group.groups)]
            else:
                wrong.append(f"{photo.path}: data.source.group={self._group.pattern} finds no person in {photo.name}.")
        return persons, truncate(wrong, "photos without a person in their name")

    def _random_splits(
        self, chosen: Mapping[int, PhotoFiles], split_of: Mapping[int, str], persons: Mapping[int, str]
    ) -> dict[int, str]:
        """Split the training photos by hashes of their names, so that added photos move few others to another split.

        Raises:
            DataError: a share of a split that the data already have, or fewer persons than splits.
        """
        shares = {split: share for split, share in self.shares.items() if share}
        existing = {split_of[index] for index in chosen}
        if clashes := [split for split in shares if split in existing]:
            raise DataError(
                *(f"data.source.shares.{one}: the data already have photos for {one}; set it to 0." for one in clashes)
            )
        groups = {
            index: persons.get(index, files.photo.name) for index, files in chosen.items() if split_of[index] == "train"
        }
        return split_by_shares(groups, shares, self.split_seed) if shares else {}

    def _log(self, samples: Sequence[Sample], how: str, unlisted: int) -> None:
        numbers = [(sum(sample.split == split for sample in samples), split) for split in SPLITS]
        log.info(
            "%s: %d photos with a mask (%s), %s%s",
            self.title,
            len(samples),
            ", ".join(f"{number} {split}" for number, split in numbers if number),
            how,
            f"; {unlisted} more are on no list and left out" if unlisted else "",
        )


def _sample(files: PhotoFiles, split: str, person: str | None) -> Sample:
    photo, masks, _ = files
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
        raise ConfigError(f"data.source.group={group}: not a regular expression ({error}).") from None


class FolderFaces(PairedFaces):
    """Photos and masks below two folders, or below one.

    Args:
        images: the folder of the photos. Subfolders named train, val and test are the splits; so are the folders that
            match a `{split}` in the path.
        masks: the folder of the masks, as `images`.
        mask_name: how a mask is named after its photo, for example `{stem}_seg`; None for the same name, optionally
            with a word like `_mask` after it.
        image_name: how photos are named, for example `{stem}_0000`; files with other names are left out. Without both,
            what all photos' names begin or end with is recognized if it then pairs every photo.
        how: arguments of `PairedFaces`.

    Raises:
        ConfigError: invalid or contradictory arguments.
    """

    def __init__(
        self,
        images: str | Path,
        masks: str | Path,
        mask_name: str | None,
        image_name: str | None = None,
        **how: Any,
    ) -> None:
        super().__init__(**how)
        self.images, self.masks = images, masks
        has_parts = self.kind in _ONE_FILE_PER_PART
        self.mask_name = MaskName("{stem}_{part}" if mask_name is None and has_parts else mask_name, image_name)
        if self.mask_name.has_parts != has_parts:
            raise ConfigError(
                f"data.source.kind={self.kind}, mask_name={self.mask_name.template}: {{part}} is required with "
                f"kind=parts and kind=probabilities, and not allowed with other kinds."
            )

    def find(self) -> Finding:
        """Find photos and their masks.

        Raises:
            DataError: a folder is missing or has no such files.
        """
        photos, masks = self._listed()
        found = Finding(problems=[*photos.misplaced, *masks.misplaced])
        self._require_files(photos, masks, found.problems)
        rounds = [*_rounds(photos.of_split, masks.of_split)]
        rule, hint = self._naming(rounds)
        paired = [self._add(found, rule, *both, photos.others) for both in rounds]
        if not any(files.masks for files in found.photos) and not any(similar for _by_path, similar in paired):
            found.problems = [self._no_pairs(photos, masks, hint)]
        elif found.problems and hint:
            found.problems.append(f"{self.masks}: most names match with {hint}")
        found.how = _describe_pairing(found, any(by_path for by_path, _similar in paired))
        if rule is not self.mask_name:
            found.how += f", recognized as {rule.keys}"
        if self.mask_name.template is None:
            found.unlike = [*_unlike_names(found.photos)]
        return found

    def _naming(self, rounds: Sequence[tuple["_OfSplit", "_OfSplit"]]) -> tuple[MaskName, str]:
        """How files are named: as given, or else by affixes that pair every photo; and keys that may be missing."""
        rule, files = self.mask_name, [(_flat(photos), _flat(masks)) for photos, masks in rounds]
        if rule.template is not None or rule.image is not None:
            return rule, ""
        if all(pair(*both, rule).is_one_to_one for both in files) or (shared := shared_naming(files)) is None:
            return rule, ""
        paired = [pair(*both, shared) for both in files]
        if all(pairs.is_one_to_one for pairs in paired):
            return shared, ""
        most = sum(len(pairs.masks) for pairs in paired) > sum(len(photos) for photos, _masks in files) / 2
        return rule, shared.keys if most else ""

    def _listed(self) -> tuple["_Listed", "_Listed"]:
        photo_folders, mask_folders = self._folders()
        photos = _list(self.images, photo_folders, mask_folders, PHOTO_SUFFIXES)
        masks = _list(self.masks, mask_folders, photo_folders, MASK_SUFFIXES)
        for split, _folder in photo_folders.items() & mask_folders.items():
            files = masks.of_split[split]
            labels = are_masks(files, self.mask_name)
            photos.of_split[split] = [found for found in files if found.path not in labels]
            masks.of_split[split] = [found for found in files if found.path in labels]
        return photos, masks

    def _folders(self) -> tuple[Folders, Folders]:
        found: list[Folders] = []
        problems: list[str] = []
        for name, path in (("images", self.images), ("masks", self.masks)):
            try:
                found.append(split_folders(path, f"data.source.{name}"))
            except DataError as error:
                problems += error.problems
        if len(problems) == 2 and (page := _PAGES.get(self.name)):
            problems.append(f"{self.name}: download it from {page}, and unpack it below paths.data (or FACESEGL_DATA).")
        if problems:
            raise DataError(*problems)
        return found[0], found[1]

    def _require_files(self, photos: "_Listed", masks: "_Listed", more: list[str]) -> None:
        problems = []
        for path, what, listed in ((self.images, "photos", photos), (self.masks, "masks", masks)):
            if not any(listed.of_split.values()):
                there = f" (there are {a_few([other.path.name for other in listed.others])})" if listed.others else ""
                problems.append(f"{path}: no {what} in it{there}; expected files such as .jpg or .png.")
        if problems:
            raise DataError(*more, *problems)

    def _add(
        self, found: Finding, rule: MaskName, photos: "_OfSplit", masks: "_OfSplit", others: list[Found]
    ) -> tuple[bool, bool]:
        """Pair photos and masks of the same splits; returns whether by path, and whether others have similar names."""
        files = _flat(photos)
        photo_splits = [split for split, of_split in photos.items() for _ in of_split]
        mask_splits = {mask.path: split for split, of_split in masks.items() for mask in of_split}
        pairs = pair(files, _flat(masks), rule)
        times = Counter(name_key(photo.name) for photo in files)
        for index, (photo, split) in enumerate(zip(files, photo_splits, strict=True)):
            if index in pairs.other:
                continue
            if times[name_key(photo.name)] > 1:  # f0.jpg and f0.jpeg
                photo = photo._replace(name=photo.name + photo.path.suffix)
            own = pairs.masks.get(index, [])
            found.photos.append(PhotoFiles(photo, own, split or (mask_splits[own[0].file.path] if own else None)))
        left_out = [*(files[index].path.name for index in pairs.other), *(mask.path.name for mask in pairs.other_masks)]
        if left_out:
            log.info("%s: %d files have other names than %s: %s", self.name, len(left_out), rule.keys, a_few(left_out))
        where = Where(self.images, self.masks, rule, require_masks=self.unlabelled == "error")
        found.problems += pairing_problems(pairs, files, others, where)
        return pairs.by_path, bool(near_misses(pairs, files, rule))

    def _no_pairs(self, photos: "_Listed", masks: "_Listed", hint: str) -> str:
        names = [
            a_few([found.path.name for files in listed.of_split.values() for found in files])
            for listed in (photos, masks)
        ]
        example = "{stem}/{part}" if self.mask_name.has_parts else "{stem}_seg"
        keys = f"data.source.image_name='\"{{stem}}_rgb\"' data.source.mask_name='\"{example}\"'"
        naming = f"Set how they are named, for example {keys}."
        return f"{self.masks}: no mask matches a photo by name; photos are {names[0]}; masks are {names[1]}. " + (
            f"Most match with {hint}" if hint else naming
        )


_OfSplit = Mapping[str | None, list[Found]]


def _flat(of_split: _OfSplit) -> list[Found]:
    return [file for files in of_split.values() for file in files]


def _unlike_names(photos: Sequence[PhotoFiles]) -> Iterator[str]:
    """Photos and masks whose names differ, one pair a line."""
    for photo, masks, _split in photos:
        for mask in masks:
            if name_key(photo.path.stem) != name_key(mask.file.path.stem):
                yield f"{photo.path}: {mask.file.path}"


class _Listed(NamedTuple):
    """The photos or masks of each split, other files, and problems with images outside the folders of the splits."""

    of_split: dict[str | None, list[Found]]
    others: list[Found]
    misplaced: list[str]


def _rounds(photos: _OfSplit, masks: _OfSplit) -> Iterator[tuple[_OfSplit, _OfSplit]]:
    """One split at a time if both sides have splits, else all at once."""
    if None in photos or None in masks:
        yield photos, masks
        return
    for split in dict.fromkeys((*photos, *masks)):
        yield {split: photos.get(split, [])}, {split: masks.get(split, [])}


def _list(path: str | Path, folders: Folders, others: Folders, suffixes: Collection[str]) -> _Listed:
    listed = _Listed({}, [], _misplaced(path, folders, others))
    for split, folder in folders.items():
        below = [other for other in others.values() if folder.resolve() in other.resolve().parents]
        both = PHOTO_SUFFIXES | MASK_SUFFIXES
        listing = list_files(folder, both if others.get(split) == folder else suffixes, without=below)
        listed.of_split[split] = listing.files
        listed.others.extend(listing.others)
    return listed


def _misplaced(path: str | Path, folders: Folders, others: Folders) -> list[str]:
    top = expanded(path)
    if None in folders or not top.is_dir():
        return []
    loose = list_files(top, MASK_SUFFIXES, without=[*folders.values(), *others.values()]).files
    names = a_few([found.path.relative_to(top).as_posix() for found in loose])
    split_names = " and ".join(folder.name for folder in folders.values())
    return [f"{path}: {names} are next to {split_names}; move them into one of these, or elsewhere."] if loose else []


def _describe_pairing(found: Finding, by_path: bool) -> str:
    example = next((files for files in found.photos if files.masks), None)
    if example is None:
        return "nothing paired"
    first, *rest = example.masks
    masks = first.file.path.name + (f" and {len(rest)} more" if rest else "")
    way = "path" if by_path and any("/" in files.photo.name for files in found.photos) else "name"
    return f"paired by {way} (such as {example.photo.path.name} with {masks})"
