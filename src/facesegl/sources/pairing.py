"""Pair photos and masks by their names, and report what cannot be paired."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from facesegl.errors import ConfigError
from facesegl.sources.listing import HEIC_REMEDY, Found, is_heic, name_key, truncate
from facesegl.text import a_few

_WORD = r"(masks?|labels?|seg|segm|segmentations?|gt|annotations?|anno|parsing|matte)"
_MASK_ENDS = re.compile(rf"(?P<stem>.+)[ _.-]{_WORD}", re.IGNORECASE)
_MASK_BEGINS = re.compile(rf"{_WORD}[ _.-](?P<stem>.+)", re.IGNORECASE)
_PHOTO_ENDS = re.compile(r"(?P<stem>.+)[ _.-](images?|img|photos?|rgb|orig|original)", re.IGNORECASE)


class Mask(NamedTuple):
    """A mask's file, and its part if each part has a separate file."""

    file: Found
    part: str | None


@dataclass(frozen=True)
class Pairs:
    """Photos with their masks, and what could not be paired.

    Attributes:
        masks: the masks of each photo, by the photo's index; several only if each part has a separate file.
        by_path: whether folders were compared too, not only names.
        without_mask: indices of photos without a mask.
        without_photo: masks without a photo.
        same_name: indices of photos that share a name, so that a mask could belong to each of them.
        ambiguous: indices of photos with several masks where only one is expected.
    """

    masks: dict[int, list[Mask]] = field(default_factory=dict)
    by_path: bool = False
    without_mask: list[int] = field(default_factory=list)
    without_photo: list[Found] = field(default_factory=list)
    same_name: list[list[int]] = field(default_factory=list)
    ambiguous: list[int] = field(default_factory=list)


class MaskName:
    """How masks are named after their photos.

    Args:
        template: for example `{stem}_seg`, `{stem:05}` for a number padded with zeros, or for one file per part
            `{stem}_{part}` or `{stem}/{part}`. None for the photo's own name, optionally with a word like `_mask` after
            it or `label-` before it.

    Raises:
        ConfigError: `{stem}` is missing, or there is an unknown placeholder.
    """

    def __init__(self, template: str | None) -> None:
        self.template = template
        self._depth = (template or "").count("/")
        self.has_parts = template is not None and "{part}" in template
        if template is None:
            return
        pieces = re.split(r"(\{stem(?::0?\d+)?\}|\{part\})", template)
        names = sorted(piece.partition(":")[0].strip("{}") for piece in pieces[1::2])
        if any("{" in text or "}" in text for text in pieces[::2]) or names not in (["stem"], ["part", "stem"]):
            raise ConfigError(
                f"data.source.mask_name={template}: expected one {{stem}} (or {{stem:05}} for a number padded with "
                f"zeros) and at most one {{part}}, for example {{stem}}_seg, without a suffix."
            )
        self._pieces = pieces
        number = re.search(r"\{stem:0?(\d+)\}", template)
        self._zeros = int(number[1]) if number else 0
        self._longest = self._pattern(rf"\d{{{self._zeros},}}" if self._zeros else "[^/]+")

    def split(self, name: str) -> tuple[str, str]:
        """A mask's folder, with the slash, and the rest, which has as many folders as the template."""
        pieces = name.split("/")
        start = max(len(pieces) - 1 - self._depth, 0)
        return "".join(f"{folder}/" for folder in pieces[:start]), "/".join(pieces[start:])

    def candidates(self, name: str) -> Iterator[tuple[str, str | None]]:
        """The photo names that a mask's name (no folder, no suffix) may refer to, likeliest first, and the part."""
        if self.template is None:
            yield name, None
            for pattern in (_MASK_ENDS, _MASK_BEGINS):
                if match := pattern.fullmatch(name):
                    yield match["stem"], None
        elif match := self._longest.fullmatch(name):
            yield self._read(match)
            lengths = range(len(match["stem"]) - 1, 0, -1) if self.has_parts and not self._zeros else ()
            for length in lengths:  # the photo of `anna_left_eye` may be `anna_left` or `anna`
                if match := self._pattern(f"[^/]{{{length}}}").fullmatch(name):
                    yield self._read(match)

    def _pattern(self, stem: str) -> re.Pattern[str]:
        named = {"{part}": "(?P<part>[^/]+)"}
        return re.compile(
            "".join(
                named.get(piece, f"(?P<stem>{stem})" if piece.startswith("{stem") else re.escape(piece))
                for piece in self._pieces
            )
        )

    def _read(self, match: re.Match[str]) -> tuple[str, str | None]:
        stem = str(int(match["stem"])) if self._zeros else match["stem"]
        return stem, match["part"] if self.has_parts else None


def pair(photos: Sequence[Found], masks: Sequence[Found], rule: MaskName) -> Pairs:
    """Pair photos and masks by their paths below their folders; if that yields no pair, by their names alone."""
    by_path = _pair(photos, masks, rule, by_path=True)
    return by_path if by_path.masks else _pair(photos, masks, rule, by_path=False)


def are_masks(files: Sequence[Found], rule: MaskName) -> set[Path]:
    """The masks in a folder that holds both photos and masks: the files whose name is made from another file's.

    If every name occurs twice, as JPEG and as PNG, the PNGs are the masks.
    """
    keys = {name_key(found.name) for found in files}
    found = _png_twins(files)
    for file in files:
        folder, name = rule.split(file.name)
        stems = (name_key(folder + stem) for stem, _part in rule.candidates(name))
        if file.path.suffix.casefold() == ".npy" or any(stem in keys and stem != name_key(file.name) for stem in stems):
            found.add(file.path)
    return found


def _png_twins(files: Sequence[Found]) -> set[Path]:
    jpeg, png = (
        {name_key(file.name): file.path for file in files if file.path.suffix.casefold() in suffixes}
        for suffixes in ((".jpg", ".jpeg"), (".png",))
    )
    twins = bool(png) and jpeg.keys() == png.keys() and len(files) == len(jpeg) + len(png)
    return set(png.values()) if twins else set()


def _pair(photos: Sequence[Found], masks: Sequence[Found], rule: MaskName, by_path: bool) -> Pairs:
    index_of, same_name = _index_by_name(photos, by_path)
    pairs = Pairs(by_path=by_path, same_name=same_name)
    for mask in masks:
        folder, name = rule.split(mask.name)
        prefix = folder if by_path else ""
        for stem, part in rule.candidates(name):
            index = index_of.get(name_key(prefix + stem))
            if index is not None:
                pairs.masks.setdefault(index, []).append(Mask(mask, part))
                break
        else:
            pairs.without_photo.append(mask)
    known = {index for alike in same_name for index in alike[1:]} | pairs.masks.keys()
    pairs.without_mask.extend(index for index in range(len(photos)) if index not in known)
    if not rule.has_parts:
        pairs.ambiguous.extend(index for index, found in pairs.masks.items() if len(found) > 1)
    return pairs


def _index_by_name(photos: Sequence[Found], by_path: bool) -> tuple[dict[str, int], list[list[int]]]:
    """The index of each photo by the names that a mask may use, and the indices of photos that share a name."""
    alike: dict[str, list[int]] = {}
    for index, photo in enumerate(photos):
        alike.setdefault(name_key(photo.name if by_path else _split(photo.name)[1]), []).append(index)
    index_of = {key: found[0] for key, found in alike.items()}
    return _without_word(index_of) | index_of, [found for found in alike.values() if len(found) > 1]


def _without_word(index_of: Mapping[str, int]) -> dict[str, int]:
    """Photos by their names without a word like `_image` at the end, as long as these remain unique."""
    stripped: dict[str, list[int]] = {}
    for key, index in index_of.items():
        if match := _PHOTO_ENDS.fullmatch(key):
            stripped.setdefault(match["stem"], []).append(index)
    return {key: found[0] for key, found in stripped.items() if len(found) == 1}


def _split(name: str) -> tuple[str, str]:
    """A name's folder, with the slash, and the rest."""
    folder, slash, rest = name.rpartition("/")
    return folder + slash, rest


class Where(NamedTuple):
    """The folders of photos and masks as given, how masks are named, and whether every photo must have a mask."""

    images: str | Path
    masks: str | Path
    rule: MaskName
    require_masks: bool


def pairing_problems(pairs: Pairs, photos: Sequence[Found], others: Sequence[Found], where: Where) -> Iterator[str]:
    """The problems with the pairs of these photos, one line each; similar problems are truncated.

    `others` are the files among the photos that are not images.
    """
    yield from truncate([_same_name(photos, alike) for alike in pairs.same_name], "names that several photos have")
    yield from truncate([_ambiguous(photos, pairs, index) for index in pairs.ambiguous], "photos with several masks")
    yield from truncate([_without_photo(mask, others, where) for mask in pairs.without_photo], "masks without a photo")
    if where.require_masks:
        alone = [
            f"{photos[index].path}: a photo without a mask in {where.masks}. Add it, or leave such photos out with "
            f"data.source.unlabelled=skip."
            for index in pairs.without_mask
        ]
        yield from truncate(alone, "photos without a mask")


def _same_name(photos: Sequence[Found], alike: Sequence[int]) -> str:
    first, *rest = (photos[index].path for index in alike)
    return (
        f"{first} and {', '.join(map(str, rest))}: photos with the same name, so that their masks are ambiguous; "
        f"rename all but one, and their masks."
    )


def _ambiguous(photos: Sequence[Found], pairs: Pairs, index: int) -> str:
    names = a_few([str(mask.file.path) for mask in pairs.masks[index]])
    return f"{photos[index].path}: has the masks {names}; keep one, or set data.source.mask_name to how they are named."


def _without_photo(mask: Found, others: Sequence[Found], where: Where) -> str:
    name = where.rule.split(mask.name)[1]
    stems = [stem for stem, _part in where.rule.candidates(name)] or [name]
    stem = stems[0] if where.rule.has_parts else stems[-1]
    unread = next((other.path for other in others if name_key(other.path.stem) == name_key(stem)), None)
    if unread:
        remedy = HEIC_REMEDY if is_heic(unread) else "save as JPEG or PNG"
        return f"{mask.path}: its photo {unread.name} has an unsupported format; {remedy}."
    return f"{mask.path}: a mask without a photo; expected {stem} in {where.images}. Add it, or remove the mask."
