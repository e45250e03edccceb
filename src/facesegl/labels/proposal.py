"""Propose the classes of masks from where each value occurs, and from names of parts of faces."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from facesegl.labels.decode import TOLERANCE
from facesegl.labels.taxonomy import Colour
from facesegl.synthetic.parts import PARTS

T = TypeVar("T")

FEW = 32
"""Masks with so few different values have no blended edges."""

_MANY = 5  # masks
_RARE = 5e-3  # share of the pixels of a mask
_AREA = 1e-4  # share of the pixels of its masks that a color of blended masks fills at least
_SATURATED = 4  # lossy formats change 0 and 255 by so much

_WORDS = {
    **dict.fromkeys(("skin", "face", "facial skin", "head", "face skin"), ("skin",)),
    **dict.fromkeys(("brow", "eyebrow"), ("left brow", "right brow")),
    **dict.fromkeys(("eye",), ("left eye", "right eye")),
    **dict.fromkeys(("ear",), ("left ear", "right ear")),
    **dict.fromkeys(("nose",), ("nose",)),
    **dict.fromkeys(("mouth",), ("inner mouth", "upper lip", "lower lip")),
    **dict.fromkeys(("lip",), ("upper lip", "lower lip")),
    **dict.fromkeys(("upper lip", "u lip", "top lip"), ("upper lip",)),
    **dict.fromkeys(("lower lip", "l lip", "bottom lip"), ("lower lip",)),
    **dict.fromkeys(("inner mouth", "teeth", "tooth", "mouth interior"), ("inner mouth",)),
    **dict.fromkeys(("hair",), ("hair",)),
    **dict.fromkeys(("beard", "facial hair", "moustache", "mustache"), ("beard",)),
    **dict.fromkeys(("hat", "headwear", "cap"), ("hat",)),
    **dict.fromkeys(("glasse", "eyeglasse", "sunglasse", "eye g"), ("glasses",)),
    **dict.fromkeys(("earring", "ear r"), ("earring",)),
    **dict.fromkeys(("neck",), ("neck",)),
    **dict.fromkeys(("cloth", "clothe", "clothing", "shirt", "torso"), ("cloth",)),
    **dict.fromkeys(("background", "bg"), ("background",)),
}
"""The parts of a face that a class may have, by its name in the singular and without a side, fewest last."""

_ON_SKIN = ("left brow", "right brow", "left eye", "right eye", "left ear", "right ear", "nose", "neck")
_MOUTH = ("upper lip", "lower lip", "inner mouth")
_SIDES = {"left": "left", "right": "right", "l": "left", "r": "right", "lt": "left", "rt": "right"}


@dataclass
class Tally:
    """Where one value of the masks occurs.

    Attributes:
        pixels: how many pixels have it.
        masks: the names of the masks that have it.
        across: the sum of these pixels' horizontal positions, 0 (left) to 1 (right).
        edge: how many of these pixels are at the edges of their masks.
        largest: its largest share of the pixels of a mask.
    """

    pixels: int = 0
    masks: set[str] = field(default_factory=set)
    across: float = 0.0
    edge: int = 0
    largest: float = 0.0

    def is_rare(self, masks: int) -> bool:
        """Whether only one of many masks has the value, in few pixels: it may be a mistake."""
        return masks >= _MANY and len(self.masks) == 1 and self.largest < _RARE

    def add(self, other: "Tally") -> None:
        """Add the pixels of another value, or of other masks."""
        self.pixels += other.pixels
        self.masks |= other.masks
        self.across += other.across
        self.edge += other.edge
        self.largest = max(self.largest, other.largest)


def tally(values: np.ndarray, mask: str, among: np.ndarray) -> dict[int, Tally]:
    """Where each value of a mask occurs.

    Args:
        values: (H, W) of any integer type.
        mask: its name.
        among: (H, W) bool, the pixels to count.
    """
    found, indices = np.unique(values[among], return_inverse=True)
    edge = np.ones(values.shape, dtype=bool)
    edge[1:-1, 1:-1] = False
    rows = np.linspace(0, 1, values.shape[1])[np.nonzero(among)[1]]
    counts, across = np.bincount(indices, minlength=len(found)), np.bincount(indices, rows, minlength=len(found))
    edges = np.bincount(indices, edge[among], minlength=len(found))
    return {
        int(value): Tally(int(count), {mask}, float(sum_), int(at_edge), float(count / values.size))
        for value, count, sum_, at_edge in zip(found, counts, across, edges, strict=True)
    }


def add_tallies(into: dict[T, Tally], found: Mapping[T, Tally]) -> None:
    """Add the tallies of a mask to those of all masks."""
    for value, own in found.items():
        into.setdefault(value, Tally()).add(own)


def merge_colors(found: Mapping[Colour, Tally], pixels: float, masks: int) -> dict[Colour, Tally]:
    """The colors of classes, commonest first: similar ones are one color, and those of few pixels are dropped.

    Args:
        found: the colors that fill areas of masks.
        pixels: how many pixels a mask has on average.
        masks: how many masks there are.
    """
    merged: dict[Colour, Tally] = {}
    for color, own in sorted(found.items(), key=lambda item: -item[1].pixels):
        merged.setdefault(nearest_color(color, merged) or color, Tally()).add(own)
    return {
        _saturated(color): own
        for color, own in merged.items()
        if own.pixels >= _AREA * pixels * len(own.masks) and not own.is_rare(masks)
    }


def nearest_color(color: Colour, known: Collection[Colour]) -> Colour | None:
    """The color among the known ones that masks of this color are decoded as; None if there is none."""
    near = min(known, key=lambda other: _distance(color, other), default=None)
    return near if near is not None and _distance(color, near) <= TOLERANCE**2 else None


def _distance(one: Colour, other: Colour) -> int:
    return sum((first - second) ** 2 for first, second in zip(one, other, strict=True))


def _saturated(color: Colour) -> Colour:
    red, green, blue = (0 if value <= _SATURATED else 255 if value >= 255 - _SATURATED else value for value in color)
    return red, green, blue


def classes_of_face_parts(names: Sequence[str], across: Mapping[str, float]) -> dict[str, str]:
    """The class of each part of a synthetic face, as a taxonomy's `synthetic_as`.

    Args:
        names: the classes.
        across: the mean horizontal position of each, 0 to 1: it shows whether left is the person's or the viewer's.

    Returns:
        Empty unless there are a background and a class for skin. Features without a class are skin.

    Example:
        >>> classes_of_face_parts(["background", "face", "Left Eye", "right_eye"], {"Left Eye": 0.7, "right_eye": 0.3})[
        ...     "left eye"
        ... ]
        'Left Eye'
    """
    given: dict[str, str] = {}
    for name, parts in sorted(((name, _parts_of(name)) for name in names), key=lambda item: -len(item[1])):
        given |= dict.fromkeys(parts, name)  # narrower names last: they win
    if given.get("background") != "background" or "skin" not in given:
        return {}
    for part in ("brow", "eye", "ear"):
        left, right = given.get(f"left {part}"), given.get(f"right {part}")
        if left and right and across.get(left, 1) < across.get(right, 0):  # the viewer's sides
            given[f"left {part}"], given[f"right {part}"] = right, left
    mouth = next((given[part] for part in _MOUTH if part in given), given["skin"])
    rest = dict.fromkeys(_ON_SKIN, given["skin"]) | dict.fromkeys(_MOUTH, mouth)
    if not {"upper lip", "lower lip"} & given.keys():
        rest |= dict.fromkeys(_MOUTH[:2], given["skin"])
    found = {**rest, **given}
    return {part: found[part] for part in PARTS if part in found and part != "background"}


def _parts_of(name: str) -> tuple[str, ...]:
    words = [
        word.casefold() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_A-Za-z]+", name) if word.strip()
    ]
    plain = " ".join(words).removesuffix("s")
    if plain in _WORDS:
        return _WORDS[plain]
    sides = [_SIDES[word] for word in words if word in _SIDES]
    plain = " ".join(word for word in words if word not in _SIDES).removesuffix("s")
    return tuple(part for part in _WORDS.get(plain, ()) if len(sides) == 1 and part.startswith(sides[0]))
