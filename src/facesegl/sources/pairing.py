"""Pair photos and masks by their names, and report what cannot be paired."""

import difflib
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

_LEAST_ALIKE = 0.6  # of two names without their numbers, as difflib measures it
_BEGINS_ALIKE = 0.7  # as alike as a name and the same with more letters are at least
_MOST_COMPARED = 900  # pairs of unpaired photos and masks


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
        other: indices of photos whose names do not follow `image_name`.
        other_masks: with an `image_name`, masks whose names do not follow `mask_name`.
    """

    masks: dict[int, list[Mask]] = field(default_factory=dict)
    by_path: bool = False
    without_mask: list[int] = field(default_factory=list)
    without_photo: list[Found] = field(default_factory=list)
    same_name: list[list[int]] = field(default_factory=list)
    ambiguous: list[int] = field(default_factory=list)
    other: list[int] = field(default_factory=list)
    other_masks: list[Found] = field(default_factory=list)

    @property
    def is_one_to_one(self) -> bool:
        """Whether every photo has a mask, and every mask a photo."""
        rest = (self.without_mask, self.without_photo, self.same_name, self.ambiguous, self.other, self.other_masks)
        return not any(rest)


class MaskName:
    """How masks are named after their photos.

    Args:
        template: for example `{stem}_seg`, `{stem:05}` for a number padded with zeros, or for one file per part
            `{stem}_{part}` or `{stem}/{part}`. None for the photo's own name, optionally with a word like `_mask` after
            it or `label-` before it.
        image: how photos are named, for example `{stem}_0000`; None for `{stem}`.

    Raises:
        ConfigError: `{stem}` is missing, or there is an unknown placeholder.
    """

    def __init__(self, template: str | None, image: str | None = None) -> None:
        self.template, self.image = template, image
        self._depth = (template or "").count("/")
        self.has_parts = template is not None and "{part}" in template
        self._image = None if image is None else _image_pattern(image)
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

    @property
    def keys(self) -> str:
        """The keys of a command line that set these templates."""
        given = {"image_name": self.image, "mask_name": self.template}
        return " ".join(
            f"data.source.{key}='\"{value}\"'" for key, value in given.items() if value not in (None, "{stem}")
        )

    def stem_of(self, photo: str) -> str | None:
        """The stem in a photo's name (no folder, no suffix); None if the name does not follow the template."""
        if self._image is None:
            return photo
        match = self._image.fullmatch(photo)
        return match["stem"] if match else None

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


def _image_pattern(template: str) -> re.Pattern[str]:
    before, stem, after = template.partition("{stem}")
    if not stem or any(brace in before + after for brace in "{}"):
        raise ConfigError(
            f"data.source.image_name={template}: expected one {{stem}}, for example {{stem}}_0000, without a suffix."
        )
    return re.compile(f"{re.escape(before)}(?P<stem>.+){re.escape(after)}")


Round = tuple[Sequence[Found], Sequence[Found]]
"""Photos and masks that are paired with each other: those of one split, or all."""


def shared_naming(rounds: Sequence[Round]) -> MaskName | None:
    r"""The templates by which the names of all photos, and of all masks, differ only in their stems.

    Returns:
        None if there are none, or a stem would begin or end within a number. Whether they pair every photo is for the
        caller to see.

    Example:
        >>> photos, masks = ([Found(Path(name), name) for name in names] for names in (("a_00", "b_00"), ("a", "b")))
        >>> shared_naming([(photos, masks)]).keys
        'data.source.image_name=\'"{stem}_00"\''
    """
    names = [[_split(file.name)[1] for both in rounds for file in both[side]] for side in (0, 1)]
    begins, ends = zip(*(_affixes(side) for side in names), strict=True)
    alike = len(_common_end(begins)), len(_common_begin(ends))
    affixes = [
        (begin[: len(begin) - alike[0]], end[alike[1] :]) for begin, end in zip(begins, ends, strict=True)
    ]  # what both have belongs to the stem
    for (begin, end), side in zip(affixes, names, strict=True):
        pattern = re.compile(rf"{re.escape(begin)}(?!(?<=\d)\d).+(?!(?<=\d)\d){re.escape(end)}")
        if "{" in begin + end or "}" in begin + end or not all(map(pattern.fullmatch, side)):
            return None
    image, mask = (f"{begin}{{stem}}{end}" for begin, end in affixes)
    return None if image == mask else MaskName(mask, image)


def _affixes(names: Sequence[str]) -> tuple[str, str]:
    """What all names begin with, and what their rests end with."""
    begin = _common_begin(names)
    return begin, _common_end([name[len(begin) :] for name in names])


def _common_begin(texts: Sequence[str]) -> str:
    first, last = min(texts), max(texts)
    return first[: next((at for at, letter in enumerate(first) if last[at : at + 1] != letter), None)]


def _common_end(texts: Sequence[str]) -> str:
    return _common_begin([text[::-1] for text in texts])[::-1]


def pair(photos: Sequence[Found], masks: Sequence[Found], rule: MaskName) -> Pairs:
    """Pair photos and masks by their paths below their folders; if that yields no pair, by their names alone."""
    by_path = _pair(photos, masks, rule, by_path=True)
    return by_path if by_path.masks else _pair(photos, masks, rule, by_path=False)


def are_masks(files: Sequence[Found], rule: MaskName) -> set[Path]:
    """The masks in a folder that holds both photos and masks: the files whose name is made from another file's.

    If every name occurs twice, as JPEG and as PNG, the PNGs are the masks.
    """
    keys = {name_key(file.name) for file in files}  # also with the suffix: f0.jpg.png is the mask of f0.jpg
    keys |= {name_key(file.name + file.path.suffix) for file in files}
    if rule.image is not None:
        stems_of = ((folder, rule.stem_of(name)) for folder, name in (_split(file.name) for file in files))
        keys = {name_key(folder + stem) for folder, stem in stems_of if stem}
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
    alike, by_file = _index_by_name(photos, rule, by_path)
    index_of = by_file | _without_word(alike) | {key: found[0] for key, found in alike.items()}
    pairs, used = Pairs(by_path=by_path), set()
    for mask in masks:
        folder, name = rule.split(mask.name)
        prefix = folder if by_path else ""
        stems = [*rule.candidates(name)]
        for stem, part in stems:
            key = name_key(prefix + stem)
            if (index := index_of.get(key)) is not None:
                used.add(key)
                pairs.masks.setdefault(index, []).append(Mask(mask, part))
                break
        else:
            (pairs.without_photo if stems or rule.image is None else pairs.other_masks).append(mask)
    pairs.same_name.extend(
        found
        for key, found in alike.items()
        if len(found) > 1
        and (key in used or not pairs.masks.keys() >= {*found})  # not each by its name with the suffix
    )
    known = {index for found in pairs.same_name for index in found[1:]} | pairs.masks.keys()
    named = {index for found in alike.values() for index in found}
    pairs.other.extend(index for index in range(len(photos)) if index not in named)
    pairs.without_mask.extend(sorted(named - known))
    if not rule.has_parts:
        pairs.ambiguous.extend(index for index, found in pairs.masks.items() if len(found) > 1)
    return pairs


def _index_by_name(
    photos: Sequence[Found], rule: MaskName, by_path: bool
) -> tuple[dict[str, list[int]], dict[str, int]]:
    """The indices of photos by their stems, and the index of each photo by its name with the suffix (`f0.jpg`)."""
    alike: dict[str, list[int]] = {}
    by_file: dict[str, int] = {}
    for index, photo in enumerate(photos):
        folder, name = _split(photo.name)
        prefix = folder if by_path else ""
        if (stem := rule.stem_of(name)) is not None:
            alike.setdefault(name_key(prefix + stem), []).append(index)
            by_file[name_key(prefix + name + photo.path.suffix)] = index
    return alike, by_file


def _without_word(alike: Mapping[str, list[int]]) -> dict[str, int]:
    """Photos by their names without a word like `_image` at the end, as long as these remain unique."""
    stripped: dict[str, list[int]] = {}
    for key, found in alike.items():
        if match := _PHOTO_ENDS.fullmatch(key):
            stripped.setdefault(match["stem"], []).append(found[0])
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
    near = near_misses(pairs, photos, where.rule)
    meant = {mask.path for mask in near.values()}
    alone = [mask for mask in pairs.without_photo if mask.path not in meant]
    yield from truncate([_same_name(photos, alike) for alike in pairs.same_name], "names that several photos have")
    yield from truncate([_ambiguous(photos, pairs, index) for index in pairs.ambiguous], "photos with several masks")
    yield from truncate(
        [
            f"{photos[index].path}: a photo without a mask; did you mean {mask.path}? Rename one of them."
            for index, mask in near.items()
        ],
        "photos whose masks have similar names",
    )
    yield from truncate([_without_photo(mask, others, where) for mask in alone], "masks without a photo")
    if where.require_masks:
        lonely = [
            f"{photos[index].path}: a photo without a mask in {where.masks}. Add it, or leave such photos out with "
            f"data.source.unlabelled=skip."
            for index in pairs.without_mask
            if index not in near
        ]
        yield from truncate(lonely, "photos without a mask")


def near_misses(pairs: Pairs, photos: Sequence[Found], rule: MaskName) -> dict[int, Found]:
    """The unpaired mask with the most similar name for each unpaired photo, by the photo's index.

    Both names have the same numbers, but for more at the end of the mask's, and neither is as similar to another one.
    """
    if rule.has_parts or len(pairs.without_mask) * len(pairs.without_photo) > _MOST_COMPARED:
        return {}
    names = {index: _loose(_split(photos[index].name)[1]) for index in pairs.without_mask}
    alike: dict[tuple[int, int], float] = {}
    for number, mask in enumerate(pairs.without_photo):
        name = _split(mask.name)[1]
        digits, letters = _loose(([stem for stem, _part in rule.candidates(name)] or [name])[-1])
        for index, (own_digits, own_letters) in names.items():
            begins = min(len(letters), len(own_letters)) > 2 and letters[: len(own_letters)] == own_letters
            more = begins and digits[: len(own_digits)] == own_digits  # anna1 and anna1_final2
            if own_digits == digits or more:
                ratio = difflib.SequenceMatcher(None, own_letters, letters).ratio()
                alike[index, number] = max(ratio, _BEGINS_ALIKE) if begins else ratio
    near = {}
    for (index, number), score in alike.items():
        rivals = (other for (one, two), other in alike.items() if (one == index) != (two == number))
        if score > max(_LEAST_ALIKE, *rivals, 0):
            near[index] = pairs.without_photo[number]
    return near


def _loose(name: str) -> tuple[list[int], str]:
    """The numbers in a name, and its letters without case."""
    return [int(digits) for digits in re.findall(r"\d+", name)], re.sub(r"[\W\d_]+", "", name_key(name))


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
