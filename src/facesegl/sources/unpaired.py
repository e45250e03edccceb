"""What is wrong with photos and masks that do not go together, in words."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from facesegl.sources.listing import Found, key_of, some
from facesegl.sources.pairing import MaskName, Pairs
from facesegl.text import a_few


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
