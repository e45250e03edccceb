"""Anybody's faces: a folder of photos and a folder of masks, paired by their names."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from facesegl.errors import ConfigError, DataError
from facesegl.sources.listing import MASK_ENDINGS, PHOTO_ENDINGS, Found, expanded, list_files
from facesegl.sources.paired import Finding, PairedFaces
from facesegl.sources.pairing import MaskName, are_masks, pair
from facesegl.sources.splits import split_folders
from facesegl.sources.unpaired import Where, told_of
from facesegl.text import a_few

_SEVERAL = ("parts", "probabilities")


class FolderFaces(PairedFaces):
    """Photos and masks below two folders, which may be one.

    Args:
        images: the folder of the photos. Subfolders called train, val and test are the splits; so are the folders that
            a `{split}` in the path stands for.
        masks: the folder of the masks, as `images`.
        mask_name: how a mask is named after its photo, such as `{stem}_seg`; None for the same name, or with a word
            like `_mask` behind it.
        how: as `PairedFaces` takes it.

    Raises:
        ConfigError: arguments that are wrong or contradict each other.
    """

    def __init__(self, images: str | Path, masks: str | Path, mask_name: str | None, **how: Any) -> None:
        super().__init__(**how)
        self.images, self.masks = images, masks
        self.mask_name = MaskName("{stem}_{part}" if mask_name is None and self.kind in _SEVERAL else mask_name)
        if self.mask_name.has_parts != (self.kind in _SEVERAL):
            raise ConfigError(
                f"data.source.kind={self.kind}, mask_name={self.mask_name.template}: a name with {{part}} goes with "
                f"kind=parts or kind=probabilities, and one without it with any other kind."
            )

    def find(self) -> Finding:
        """Find photos and their masks.

        Raises:
            DataError: a folder is not there, or has none of them.
        """
        photos, masks = self._listed()
        found = Finding(problems=[*photos.beside, *masks.beside])
        self._require_some(photos, masks, found.problems)
        by_path = [
            self._add(found, *side_by_side, photos.others) for side_by_side in _rounds(photos.of_split, masks.of_split)
        ]
        if not found.masks:
            found.problems = [self._strangers(photos, masks)]
        found.how = _in_words(found, any(by_path))
        return found

    def _listed(self) -> tuple["_Listed", "_Listed"]:
        """The photos and the masks of each split."""
        photo_folders, mask_folders = self._folders()
        photos, masks = _Listed({}, [], []), _Listed({}, [], [])
        for split, folder in photo_folders.items():
            one = mask_folders.get(split) == folder
            listing = list_files(folder, MASK_ENDINGS if one else PHOTO_ENDINGS, without=_below(folder, mask_folders))
            drawn = are_masks(listing.files, self.mask_name) if one else set()
            photos.of_split[split] = [found for found in listing.files if found.path not in drawn]
            photos.others.extend(listing.others)
            if one:
                masks.of_split[split] = [found for found in listing.files if found.path in drawn]
        for split, folder in mask_folders.items():
            if split not in masks.of_split:
                listing = list_files(folder, MASK_ENDINGS, without=_below(folder, photo_folders))
                masks.of_split[split] = listing.files
                masks.others.extend(listing.others)
        photos.beside.extend(_loose(self.images, photo_folders, mask_folders))
        masks.beside.extend(_loose(self.masks, mask_folders, photo_folders))
        return photos, masks

    def _folders(self) -> tuple[dict[str | None, Path], dict[str | None, Path]]:
        """The folders of the photos and of the masks of each split."""
        found: list[dict[str | None, Path]] = []
        problems: list[str] = []
        for name, place in (("images", self.images), ("masks", self.masks)):
            try:
                found.append(split_folders(place, f"data.source.{name}"))
            except DataError as error:
                problems += error.problems
        if problems:
            raise DataError(*problems)
        return found[0], found[1]

    def _require_some(self, photos: "_Listed", masks: "_Listed", beside: list[str]) -> None:
        problems = []
        for place, what, listed in ((self.images, "photos", photos), (self.masks, "masks", masks)):
            if not any(listed.of_split.values()):
                there = f" (there are {a_few([other.path.name for other in listed.others])})" if listed.others else ""
                problems.append(f"{place}: no {what} in it{there}; expected files such as .jpg or .png.")
        if problems:
            raise DataError(*beside, *problems)

    def _add(self, found: Finding, photos: "_Files", masks: "_Files", others: list[Found]) -> bool:
        """Pair photos and masks that may go together, and say whether their folders counted."""
        pairs = pair(photos.files, masks.files, self.mask_name)
        split_of_mask = {}
        if any(masks.splits):
            split_of_mask = dict(zip((file.path for file in masks.files), masks.splits, strict=True))
        for place, photo in enumerate(photos.files):
            drawn = pairs.masks.get(place, [])
            if drawn:
                found.masks[len(found.photos)] = drawn
            found.photos.append(photo)
            found.splits.append(photos.splits[place] or (split_of_mask.get(drawn[0].file.path) if drawn else None))
        where = Where(self.images, self.masks, self.mask_name, bare_is_wrong=self.unlabelled == "error")
        found.problems += told_of(pairs, photos.files, others, where)
        return pairs.by_path

    def _strangers(self, photos: "_Listed", masks: "_Listed") -> str:
        names = [
            a_few([found.path.name for files in listed.of_split.values() for found in files])
            for listed in (photos, masks)
        ]
        return (
            f"{self.masks}: no mask goes with a photo by its name; photos are {names[0]}; masks are {names[1]}. Say "
            f"how masks are named after their photos, such as data.source.mask_name='\"{{stem}}_seg\"'."
        )


class _Listed(NamedTuple):
    """The files of each split, those that are passed over, and what lies beside the folders of the splits."""

    of_split: dict[str | None, list[Found]]
    others: list[Found]
    beside: list[str]


class _Files(NamedTuple):
    """Files that may go together with others, and the split of each where its folder tells it."""

    files: list[Found]
    splits: list[str | None]


def _rounds(
    photos: Mapping[str | None, list[Found]], masks: Mapping[str | None, list[Found]]
) -> Iterator[tuple[_Files, _Files]]:
    """Split by split where both sides have splits; all at once where one has none."""
    if None in photos or None in masks:
        yield _pooled(photos), _pooled(masks)
        return
    for split in dict.fromkeys((*photos, *masks)):
        yield _pooled({split: photos.get(split, [])}), _pooled({split: masks.get(split, [])})


def _pooled(side: Mapping[str | None, list[Found]]) -> _Files:
    files = [found for files in side.values() for found in files]
    return _Files(files, [split for split, files in side.items() for _ in files])


def _below(folder: Path, others: Mapping[str | None, Path]) -> list[Path]:
    """Other folders that lie below one."""
    return [other for other in others.values() if other != folder and folder.resolve() in other.resolve().parents]


def _loose(place: str | Path, folders: Mapping[str | None, Path], others: Mapping[str | None, Path]) -> list[str]:
    """What is wrong if photos or masks lie beside the folders of the splits."""
    top = expanded(place)
    if None in folders or not top.is_dir():
        return []
    loose = list_files(top, MASK_ENDINGS, without=[*folders.values(), *others.values()]).files
    names = a_few([found.path.relative_to(top).as_posix() for found in loose])
    split_names = " and ".join(folder.name for folder in folders.values())
    return [f"{place}: {names} lie beside {split_names}; move them into one of these, or out of it."] if loose else []


def _in_words(found: Finding, by_path: bool) -> str:
    """How photos and masks were paired, with an example."""
    place = next(iter(found.masks), None)
    if place is None:
        return "paired by nothing"
    one = found.masks[place]
    masks = one[0].file.path.name if len(one) == 1 else f"{one[0].file.path.name} and {len(one) - 1} more"
    way = "path" if by_path and any("/" in photo.name for photo in found.photos) else "name"
    return f"paired by {way} (such as {found.photos[place].path.name} with {masks})"
