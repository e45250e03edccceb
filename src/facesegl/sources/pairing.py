"""Which mask belongs to which photo, by their names alone."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from facesegl.errors import ConfigError
from facesegl.sources.listing import Found, key_of, some
from facesegl.words import a_few

_WORD = r"(masks?|labels?|seg|segm|segmentations?|gt|annotations?|anno|parsing|matte)"
_MASK_ENDS = re.compile(rf"(?P<stem>.+)[ _.-]{_WORD}", re.IGNORECASE)
_MASK_BEGINS = re.compile(rf"{_WORD}[ _.-](?P<stem>.+)", re.IGNORECASE)
_PHOTO_ENDS = re.compile(r"(?P<stem>.+)[ _.-](images?|img|photos?|rgb|orig|original)", re.IGNORECASE)


class Mask(NamedTuple):
    """A mask's file, and the part that it shows where there is one file a part."""

    file: Found
    part: str | None


@dataclass(frozen=True)
class Pairs:
    """What was paired with what, and what was not.

    Attributes:
        masks: the masks of each photo, by its place among the photos; several only where there is one file a part.
        by_path: whether folders count as well as names.
        bare: places of photos without a mask.
        lost: masks without a photo.
        doubled: places of photos that share a name, so that no mask can tell them apart.
        rivals: places of photos with several masks of which one would do.
    """

    masks: dict[int, list[Mask]] = field(default_factory=dict)
    by_path: bool = False
    bare: list[int] = field(default_factory=list)
    lost: list[Found] = field(default_factory=list)
    doubled: list[list[int]] = field(default_factory=list)
    rivals: list[int] = field(default_factory=list)


class MaskName:
    """How the name of a mask is made of that of its photo.

    Args:
        template: such as `{stem}_seg`, `{stem:05}` for a number that is written with zeros before it, or
            `{stem}_{part}` for one file a part. None for the photo's own name, or with a word like `_mask` behind it
            or `label-` before it.

    Raises:
        ConfigError: there is no `{stem}` in it, or something else in braces.
    """

    def __init__(self, template: str | None) -> None:
        self.template = template
        self.has_parts = template is not None and "{part}" in template
        if template is None:
            return
        pieces = re.split(r"(\{stem(?::0?\d+)?\}|\{part\})", template)
        places = sorted(piece.partition(":")[0].strip("{}") for piece in pieces[1::2])
        if any("{" in text or "}" in text for text in pieces[::2]) or places not in (["stem"], ["part", "stem"]):
            raise ConfigError(
                f"data.source.mask_name={template}: expected one {{stem}} (or {{stem:05}} for a number with zeros "
                f"before it) and at most one {{part}}, such as {{stem}}_seg, without an ending."
            )
        self._pieces = pieces
        number = re.search(r"\{stem:0?(\d+)\}", template)
        self._zeros = int(number[1]) if number else 0
        self._longest = self._pattern(rf"\d{{{self._zeros},}}" if self._zeros else ".+")

    def candidates(self, name: str) -> Iterator[tuple[str, str | None]]:
        """The photos' names that a mask's name (no folder, no ending) may stand for, likeliest first, and the part."""
        if self.template is None:
            yield name, None
            for pattern in (_MASK_ENDS, _MASK_BEGINS):
                if match := pattern.fullmatch(name):
                    yield match["stem"], None
        elif match := self._longest.fullmatch(name):
            yield self._read(match)
            lengths = range(len(match["stem"]) - 1, 0, -1) if self.has_parts and not self._zeros else ()
            for length in lengths:  # of `anna_left_eye` the photo may be `anna_left` or `anna`
                if match := self._pattern(f".{{{length}}}").fullmatch(name):
                    yield self._read(match)

    def _pattern(self, stem: str) -> re.Pattern[str]:
        named = {"{part}": "(?P<part>.+)"}
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
    """Pair photos and masks by their paths below their folders; where no pair comes of that, by their names alone.

    Args:
        photos: files below the photos' folder.
        masks: files below the masks' folder.
        rule: how masks are named.
    """
    by_path = _pair(photos, masks, rule, by_path=True)
    return by_path if by_path.masks else _pair(photos, masks, rule, by_path=False)


def are_masks(files: Sequence[Found], rule: MaskName) -> set[Path]:
    """The files of one folder for photos and masks that are masks: those whose name is made of another's.

    Where every name stands there twice, once as JPEG and once as PNG, the PNGs are.
    """
    keys = {key_of(found.name) for found in files}
    found = _twins(files)
    for file in files:
        folder, name = _split(file.name)
        stems = (key_of(folder + stem) for stem, _part in rule.candidates(name))
        if file.path.suffix.casefold() == ".npy" or any(stem in keys and stem != key_of(file.name) for stem in stems):
            found.add(file.path)
    return found


def _twins(files: Sequence[Found]) -> set[Path]:
    jpeg, png = (
        {key_of(file.name): file.path for file in files if file.path.suffix.casefold() in endings}
        for endings in ((".jpg", ".jpeg"), (".png",))
    )
    twins = bool(png) and jpeg.keys() == png.keys() and len(files) == len(jpeg) + len(png)
    return set(png.values()) if twins else set()


def _pair(photos: Sequence[Found], masks: Sequence[Found], rule: MaskName, by_path: bool) -> Pairs:
    pairs = Pairs(by_path=by_path)
    places, pairs.doubled[:] = _places(photos, by_path)
    for mask in masks:
        folder, name = _split(mask.name)
        prefix = folder if by_path else ""
        for stem, part in rule.candidates(name):
            place = places.get(key_of(prefix + stem))
            if place is not None:
                pairs.masks.setdefault(place, []).append(Mask(mask, part))
                break
        else:
            pairs.lost.append(mask)
    same = {place for alike in pairs.doubled for place in alike[1:]}
    pairs.bare.extend(place for place in range(len(photos)) if place not in pairs.masks and place not in same)
    if not rule.has_parts:
        pairs.rivals.extend(place for place, found in pairs.masks.items() if len(found) > 1)
    return pairs


def _places(photos: Sequence[Found], by_path: bool) -> tuple[dict[str, int], list[list[int]]]:
    """The place of each photo by what a mask may call it, and the places of those that have the same name."""
    alike: dict[str, list[int]] = {}
    for place, photo in enumerate(photos):
        alike.setdefault(key_of(photo.name if by_path else _split(photo.name)[1]), []).append(place)
    places = {key: found[0] for key, found in alike.items()}
    for key, place in _without_word(places):
        places.setdefault(key, place)
    return places, [found for found in alike.values() if len(found) > 1]


def _without_word(places: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    """Photos by their names without a word like `_image` behind them, where no two would be the same then."""
    stripped: dict[str, list[int]] = {}
    for key, place in places.items():
        if match := _PHOTO_ENDS.fullmatch(key):
            stripped.setdefault(match["stem"], []).append(place)
    return [(key, found[0]) for key, found in stripped.items() if len(found) == 1]


def _split(name: str) -> tuple[str, str]:
    """A name's folder, with the slash, and what stands behind it."""
    folder, slash, rest = name.rpartition("/")
    return folder + slash, rest


class Where(NamedTuple):
    """Where photos and masks were looked for, and how.

    Attributes:
        images: the photos' folder, as it was given.
        masks: the masks' folder, as it was given.
        rule: how masks are named.
        bare_is_wrong: whether every photo has to have a mask.
    """

    images: str | Path
    masks: str | Path
    rule: MaskName
    bare_is_wrong: bool


def told_of(pairs: Pairs, photos: Sequence[Found], others: Sequence[Found], where: Where) -> Iterator[str]:
    """What is wrong with pairs, a line each; of many alike the first few and how many there are.

    Args:
        pairs: of these photos.
        photos: as they were paired.
        others: files among the photos that are no image.
        where: what names the places.
    """
    yield from some([_doubled(photos, alike) for alike in pairs.doubled], "names that several photos have")
    yield from some([_rivals(photos[place], pairs, place) for place in pairs.rivals], "photos with several masks")
    yield from some([_lost(mask, others, where) for mask in pairs.lost], "masks without a photo")
    if where.bare_is_wrong:
        yield from some([_bare(photos[place], where) for place in pairs.bare], "photos without a mask")


def _doubled(photos: Sequence[Found], alike: Sequence[int]) -> str:
    first, *rest = (photos[place].path for place in alike)
    return (
        f"{first} and {', '.join(map(str, rest))}: photos of one name, which no mask can tell apart; rename all but "
        f"one, and their masks."
    )


def _rivals(photo: Found, pairs: Pairs, place: int) -> str:
    names = a_few([str(mask.file.path) for mask in pairs.masks[place]])
    return f"{photo.path}: has the masks {names}; keep one, or say with data.source.mask_name how they are named."


def _lost(mask: Found, others: Sequence[Found], where: Where) -> str:
    name = mask.name.rpartition("/")[2]
    stems = [stem for stem, _part in where.rule.candidates(name)] or [name]
    stem = stems[0] if where.rule.has_parts else stems[-1]
    unread = next((other.path for other in others if key_of(other.path.stem) == key_of(stem)), None)
    if unread:
        return f"{mask.path}: its photo {unread.name} is of a kind that is not read; save it as JPEG or PNG."
    return f"{mask.path}: a mask without a photo; expected {stem} in {where.images}. Add it, or take the mask away."


def _bare(photo: Found, where: Where) -> str:
    return (
        f"{photo.path}: a photo without a mask in {where.masks}. Add it, or leave such photos out with "
        f"data.source.unlabelled=skip."
    )
