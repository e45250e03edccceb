"""What the classes of a mask are: names, colours, left/right pairs, void, and the remapping of raw values."""

import collections
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from facesegl.errors import ConfigError

VOID = 255
"""The value of a mask's pixel that belongs to no class: never learnt, never scored."""

Colour = tuple[int, int, int]

Raw = int | str | Colour
"""What stands in a mask for a class: a number, the name of a part's file, or a colour."""

RESERVED = frozenset({"_target_", "_partial_", "_convert_", "_recursive_", "_args_"})
"""What Hydra treats as special wherever it is a key: no class can be called so, and nothing that travels holds it."""

_TO_VOID = "void"  # what a remap leads to where a raw value is never learnt and never scored


@dataclass(frozen=True)
class Taxonomy:
    """The classes of a data set, in the order of their indices.

    Args:
        names: one name a class; the place in it is the index in a mask.
        colours: the R-G-B colour of each class in a colour mask, and in pictures.
        pairs: names of left/right classes, which trade places when a photo is flipped.
        void: the colour, or the raw value, of pixels that are never learnt and never scored.
        remap: what stands in the masks (numbers, names of parts or colours, all of one kind) to class names, or to
            `void`. It says all that may stand there: without it, indices, names and colours stand for themselves.

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
    remap: Mapping[Raw, str] = field(default_factory=dict)

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
        if problems := _misshapen(mapping):
            raise ConfigError(*(f"data.taxonomy: {problem}" for problem in problems))
        try:
            void = mapping.get("void")
            return cls(
                names=tuple(str(name) for name in mapping["classes"]),
                colours=tuple(_colour(colour) for colour in mapping["classes"].values()),
                pairs=tuple((str(left), str(right)) for left, right in mapping.get("pairs") or ()),
                void=void if void is None or isinstance(void, int) else _colour(void),
                remap={_raw(raw): str(name) for raw, name in (mapping.get("remap") or {}).items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(
                f"data.taxonomy: {error!r} while reading it; expected classes as `name: [red, green, blue]`, pairs as "
                f"`[left name, right name]`, void as a colour or a number, remap as `number, part or colour: name`."
            ) from None

    def to_mapping(self) -> dict[str, Any]:
        """The same as builtin values, for a card, a manifest or YAML; `from_mapping` reads it back."""
        return {
            "classes": {name: list(colour) for name, colour in zip(self.names, self.colours, strict=True)},
            "pairs": [list(pair) for pair in self.pairs],
            "void": list(self.void) if isinstance(self.void, tuple) else self.void,
            "remap": {_written(raw): name for raw, name in self.remap.items()},
        }

    @property
    def num_classes(self) -> int:
        """How many classes there are, background included, void not."""
        return len(self.names)

    def raw_numbers(self) -> dict[int, int]:
        """What each number of an index mask means: a class index or VOID."""
        return self._raw(int, range(self.num_classes))

    def raw_names(self) -> dict[str, int]:
        """What each part means whose mask is a file of its own: a class index or VOID. Later parts lie over earlier."""
        numbered = {str(raw): self.value_of(name) for raw, name in self.remap.items() if isinstance(raw, int)}
        return numbered or self._raw(str, self.names)

    def raw_colours(self) -> dict[Colour, int]:
        """What each colour of a colour mask means: a class index or VOID."""
        return self._raw(tuple, self.colours)

    def _raw(self, kind: type, own: Iterable[Any]) -> dict[Any, int]:
        """The values of a kind as `remap` has them, or else the taxonomy's own, and void's own where it is such."""
        remapped = {raw: self.value_of(name) for raw, name in self.remap.items() if isinstance(raw, kind)}
        known = remapped or {raw: index for index, raw in enumerate(own)}
        return {**known, self.void: VOID} if isinstance(self.void, kind) else known

    def value_of(self, name: str) -> int:
        """The index of a class, or VOID for `void` where that is no class.

        Raises:
            ConfigError: there is no such class.
        """
        if name in self.names:
            return self.names.index(name)
        if name == _TO_VOID:
            return VOID
        raise ConfigError(f"data.taxonomy: {name} is no class; expected one of {', '.join(self.names)}, or void.")

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


def _misshapen(mapping: Mapping[str, Any]) -> list[str]:
    """What in a taxonomy's YAML has not the form that it should have, a line each."""
    classes, pairs, remap = (mapping.get(key) for key in ("classes", "pairs", "remap"))
    problems = []
    if not isinstance(classes, Mapping):
        problems.append(f"classes are {classes!r}; expected a line for each, such as `skin: [255, 204, 51]`.")
    else:
        problems += [
            f"the colour of {name} is {colour!r}; expected red, green and blue, such as [255, 204, 51]."
            for name, colour in classes.items()
            if not _is_triple(colour)
        ]
        problems += [
            f"{name!r} is no name of a class; expected text." for name in classes if not isinstance(name, str | int)
        ]
    for pair in pairs if isinstance(pairs, list | tuple) else [pairs] if pairs else []:
        if not (isinstance(pair, list | tuple) and len(pair) == 2):
            problems.append(f"pairs hold {pair!r}; expected pairs of names, such as [[left eye, right eye]].")
    if remap is not None and not isinstance(remap, Mapping):
        problems.append(f"remap is {remap!r}; expected a mapping, such as {{0: background, 255: void}}.")
    return problems


def _is_triple(colour: Any) -> bool:
    return (
        isinstance(colour, list | tuple)
        and len(colour) == 3
        and all(isinstance(channel, int) and not isinstance(channel, bool) for channel in colour)
    )


def _colour(value: Any) -> Colour:
    red, green, blue = (int(channel) for channel in value)
    return red, green, blue


def _raw(key: Any) -> Raw:
    """A key of `remap` as YAML or JSON hold it: `3`, `"3"`, `left_eye`, `"255, 0, 0"`."""
    if not isinstance(key, str):
        return int(key)
    if re.fullmatch(r"\d+", key):
        return int(key)
    return _colour(key.split(",")) if re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*){2}", key) else key


def _written(raw: Raw) -> int | str:
    return ", ".join(map(str, raw)) if isinstance(raw, tuple) else raw


def _problems(taxonomy: Taxonomy) -> "list[str]":
    names, colours, void = taxonomy.names, taxonomy.colours, taxonomy.void
    problems = []
    if not 2 <= len(names) < VOID:
        problems.append(f"{len(names)} classes; expected 2 to {VOID - 1}, background included.")
    if len(names) != len(colours):
        problems.append(f"{len(names)} names and {len(colours)} colours; expected one colour a class.")
    problems += [f"the name {name!r} {wrong}." for name in names if (wrong := _wrong_with(name))]
    problems += [f"the name {name} stands twice; expected different names." for name in _repeated(names)]
    for colour in _repeated(colours):
        owners = " and ".join(name for name, own in zip(names, colours, strict=False) if own == colour)
        problems.append(f"{owners} have the same colour {colour}; expected a colour of its own for each class.")
    every = [colour for colour in (*colours, void, *taxonomy.remap) if isinstance(colour, tuple)]
    problems += [
        f"{colour} is no colour; expected three numbers from 0 to 255." for colour in every if not _is_colour(colour)
    ]
    for name in (name for pair in taxonomy.pairs for name in pair if name not in names):
        problems.append(f"pairs name {name}, which is no class; expected two of {', '.join(names)}.")
    problems += [
        f"{name} is in two pairs; expected one left/right partner." for name in _repeated(sum(taxonomy.pairs, ()))
    ]
    for name in dict.fromkeys(name for name in taxonomy.remap.values() if name not in (*names, _TO_VOID)):
        problems.append(f"remap leads to {name}, which is no class; expected one of {', '.join(names)}, or void.")
    if len({type(raw) for raw in taxonomy.remap}) > 1:
        problems.append("remap has raw values of several kinds; expected numbers, or names of parts, or colours.")
    if void in colours:
        problems.append(f"void {void} is the colour of {names[colours.index(void)]}; expected a colour of its own.")
    raw = [value for value in taxonomy.remap if isinstance(value, type(void))]
    if void in raw or (isinstance(void, int) and not raw and void in range(len(names))):
        problems.append(f"void {void} is the value of a class; expected a value that is none.")
    return problems


def _wrong_with(name: str) -> str:
    """What keeps a name from being a class's; nothing if it can be one."""
    if not name.isprintable():
        return "holds signs that cannot be shown"
    if not name.strip():
        return "cannot be seen; expected letters"
    if is_config_syntax(name):  # a card that holds one is not to be trusted
        return "means something else in a config; expected another"
    return ""


def is_config_syntax(text: str) -> bool:
    """Whether OmegaConf or Hydra would act on a text from elsewhere: `${...}`, or one of their reserved keys."""
    return text in RESERVED or "${" in text


def _repeated(values: "tuple[Any, ...]") -> "list[Any]":
    return sorted(value for value, count in collections.Counter(values).items() if count > 1)


def _is_colour(colour: Any) -> bool:
    return len(colour) == 3 and all(0 <= channel <= 255 for channel in colour)
