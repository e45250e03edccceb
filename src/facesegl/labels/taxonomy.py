"""What the classes of a mask are: names, colours, left/right pairs, void, and the remapping of raw values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from facesegl.errors import ConfigError

VOID = 255
"""The value of a mask's pixel that belongs to no class: never learnt, never scored."""

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Taxonomy:
    """The classes of a data set, in the order of their indices.

    Args:
        names: one name a class; the place in it is the index in a mask.
        colours: the R-G-B colour of each class in a colour mask, and in pictures.
        pairs: names of left/right classes, which trade places when a photo is flipped.
        void: the colour, or the raw value, of pixels that are never learnt and never scored.
        remap: raw mask values to class names, for masks that hold other numbers than the indices.

    Raises:
        ConfigError: two equal colours or names, a pair of unknown names, a void that is a class, ...; all told at once.

    Example:
        >>> Taxonomy(names=("wall", "face"), colours=((0, 0, 0), (255, 255, 255))).num_classes
        2
    """

    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    pairs: tuple[tuple[str, str], ...] = ()
    void: Colour | int | None = None
    remap: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problems = list(_problems(self))
        if problems:
            raise ConfigError(*(f"data.taxonomy: {problem}" for problem in problems))

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "Taxonomy":
        """Read a taxonomy as YAML and cards hold it: `classes: {name: [r, g, b]}`, and `pairs`, `void`, `remap` if any.

        Raises:
            ConfigError: a key that does not belong, or values of another form.
        """
        unknown = set(mapping) - {"classes", "pairs", "void", "remap"}
        if unknown:
            raise ConfigError(
                f"data.taxonomy: {', '.join(map(str, sorted(unknown, key=str)))} is no part of a taxonomy; expected "
                f"classes, and pairs, void, remap if there are any."
            )
        try:
            void = mapping.get("void")
            return cls(
                names=tuple(str(name) for name in mapping["classes"]),
                colours=tuple(_colour(colour) for colour in mapping["classes"].values()),
                pairs=tuple((str(left), str(right)) for left, right in mapping.get("pairs") or ()),
                void=void if void is None or isinstance(void, int) else _colour(void),
                remap={int(raw): str(name) for raw, name in (mapping.get("remap") or {}).items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(
                f"data.taxonomy: {error!r} while reading it; expected classes as `name: [red, green, blue]`, pairs as "
                f"`[left name, right name]`, void as a colour or a number, remap as `raw number: name`."
            ) from None

    def to_mapping(self) -> dict[str, Any]:
        """The same as builtin values, for a card, a manifest or YAML; `from_mapping` reads it back."""
        return {
            "classes": {name: list(colour) for name, colour in zip(self.names, self.colours, strict=True)},
            "pairs": [list(pair) for pair in self.pairs],
            "void": list(self.void) if isinstance(self.void, tuple) else self.void,
            "remap": dict(self.remap),
        }

    @property
    def num_classes(self) -> int:
        """How many classes there are, background included, void not."""
        return len(self.names)

    def mirrored(self) -> np.ndarray:
        """Where each class goes when a photo is flipped: a (256,) uint8 table, index to index, VOID to VOID."""
        table = np.arange(256, dtype=np.uint8)
        for left, right in self.pairs:
            one, other = self.names.index(left), self.names.index(right)
            table[one], table[other] = other, one
        return table

    def palette(self) -> np.ndarray:
        """The (256, 3) uint8 colour of each index; what is no class, VOID included, has the void colour or grey."""
        table = np.full((256, 3), self.void if isinstance(self.void, tuple) else (128, 128, 128), dtype=np.uint8)
        table[: self.num_classes] = self.colours
        return table


def _colour(value: Any) -> Colour:
    red, green, blue = (int(channel) for channel in value)
    return red, green, blue


def _problems(taxonomy: Taxonomy) -> "list[str]":
    names, colours, void = taxonomy.names, taxonomy.colours, taxonomy.void
    problems = []
    if not 2 <= len(names) < VOID:
        problems.append(f"{len(names)} classes; expected 2 to {VOID - 1}, background included.")
    if len(names) != len(colours):
        problems.append(f"{len(names)} names and {len(colours)} colours; expected one colour a class.")
    problems += [f"the name {name!r} holds signs that cannot be shown." for name in names if not name.isprintable()]
    problems += [f"the name {name} stands twice; expected different names." for name in _repeated(names)]
    for colour in _repeated(colours):
        owners = " and ".join(name for name, own in zip(names, colours, strict=False) if own == colour)
        problems.append(f"{owners} have the same colour {colour}; expected a colour of its own for each class.")
    every = [*colours, void] if isinstance(void, tuple) else list(colours)
    problems += [
        f"{colour} is no colour; expected three numbers from 0 to 255." for colour in every if not _is_colour(colour)
    ]
    for name in (name for pair in taxonomy.pairs for name in pair if name not in names):
        problems.append(f"pairs name {name}, which is no class; expected two of {', '.join(names)}.")
    problems += [
        f"{name} is in two pairs; expected one left/right partner." for name in _repeated(sum(taxonomy.pairs, ()))
    ]
    for name in (name for name in taxonomy.remap.values() if name not in names):
        problems.append(f"remap leads to {name}, which is no class; expected one of {', '.join(names)}.")
    if void in colours:
        problems.append(f"void {void} is the colour of {names[colours.index(void)]}; expected a colour of its own.")
    raw = taxonomy.remap or range(len(names))
    if isinstance(void, int) and void in raw:
        problems.append(f"void {void} is the value of a class; expected a value that is none.")
    return problems


def _repeated(values: "tuple[Any, ...]") -> "list[Any]":
    return sorted({value for value in values if values.count(value) > 1})


def _is_colour(colour: Any) -> bool:
    return len(colour) == 3 and all(0 <= channel <= 255 for channel in colour)
