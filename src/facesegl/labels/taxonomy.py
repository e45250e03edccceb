"""The classes of a data set: names, colours, left/right pairs, void, and the remapping of raw mask values."""

import collections
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from facesegl.errors import ConfigError
from facesegl.synthetic.parts import PARTS
from facesegl.text import nearest, suggestion

VOID = 255
"""The mask value of a pixel that belongs to no class: ignored in training and in scores."""

Colour = tuple[int, int, int]

Raw = int | str | Colour
"""A class in a raw mask: a number, the name of a part's file, or a colour."""

NODE_KEYS = frozenset({"_target_", "_partial_", "_convert_", "_recursive_", "_args_"})
"""Keys that Hydra reads in a node."""

RESERVED = NODE_KEYS | {"_isolate_", "_execution_whitelist_"}
"""Keys that Hydra treats specially, in 1.3 or 1.4: no class may have such a name, and no card may hold one."""

_TO_VOID = "void"  # in a remap: raw values to ignore
_BACKGROUND = "background"
_ON_SKIN = ("beard", "glasses")

_LEVELS = range(0, 256, 51)
_TAKEN = ((0, 0, 0), (128, 128, 128))  # background and void in rendered masks
_RENAMED = " If that class was renamed, rename it there too."
_OTHER = {"left": "right", "right": "left", "l": "r", "r": "l", "lt": "rt", "rt": "lt"}


@dataclass(frozen=True)
class Taxonomy:
    """The classes of a data set, in the order of their indices.

    Args:
        names: one name for each class, in the order of the mask's indices.
        colours: the R-G-B colour of each class, in colour masks and in rendered ones.
        pairs: names of left/right classes, which are swapped when an image is flipped.
        void: the colour, or the raw value, of pixels to ignore in training and in scores.
        remap: from raw mask values (numbers, names of parts, or colours, all of one kind) to class names or `void`. It
            must list every value that occurs. Without it, masks hold the classes' own indices, names or colours.
        synthetic_as: from the parts of synthetic faces to class names. A part that it does not name is the class with
            the part's name, else `background`; beard and glasses are the class of skin instead.

    Raises:
        ConfigError: two equal colours or names, a pair of unknown names, a void that is a class, a part without a
            class; all problems at once.

    Example:
        >>> Taxonomy(names=("wall", "face"), colours=((0, 0, 0), (255, 255, 255))).num_classes
        2
    """

    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    pairs: tuple[tuple[str, str], ...] = ()
    void: Colour | int | None = None
    remap: Mapping[Raw, str] = field(default_factory=dict)
    synthetic_as: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if problems := _problems(self):
            raise ConfigError(*(f"data.taxonomy: {problem}" for problem in problems))

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "Taxonomy":
        """Read the form in YAML and cards: `classes: {name: [r, g, b]}`, and optionally the other fields.

        Raises:
            ConfigError: unknown keys, or malformed values.
        """
        unknown = set(mapping) - {"classes", "pairs", "void", "remap", "synthetic_as"}
        if unknown:
            raise ConfigError(
                f"data.taxonomy: {', '.join(map(str, sorted(unknown, key=str)))} is not a key of a taxonomy; expected "
                f"classes, and optionally pairs, void, remap, synthetic_as."
            )
        if problems := _malformed(mapping):
            raise ConfigError(*(f"data.taxonomy: {problem}" for problem in problems))
        try:
            void = mapping.get("void")
            return cls(
                names=tuple(str(name) for name in mapping["classes"]),
                colours=tuple(_colour(colour) for colour in mapping["classes"].values()),
                pairs=tuple((str(left), str(right)) for left, right in mapping.get("pairs") or ()),
                void=void if void is None or isinstance(void, int) else _colour(void),
                remap={_raw(raw): str(name) for raw, name in (mapping.get("remap") or {}).items()},
                synthetic_as={str(part): str(name) for part, name in (mapping.get("synthetic_as") or {}).items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(
                f"data.taxonomy: {error!r} while reading it; expected classes as `name: [red, green, blue]`, pairs as "
                f"`[left name, right name]`, void as a colour or a number, remap as `number, part or colour: name`, "
                f"synthetic_as as `part of a synthetic face: name`."
            ) from None

    def to_mapping(self) -> dict[str, Any]:
        """The taxonomy as builtin values, for cards and YAML; `from_mapping` reads it back."""
        mapping = {
            "classes": {name: list(colour) for name, colour in zip(self.names, self.colours, strict=True)},
            "pairs": [list(pair) for pair in self.pairs],
            "void": list(self.void) if isinstance(self.void, tuple) else self.void,
            "remap": {
                ", ".join(map(str, raw)) if isinstance(raw, tuple) else raw: self.remap[raw] for raw in self.remap
            },
        }
        # left out while empty, so that it changes no earlier card, identity or cache
        return mapping | ({"synthetic_as": dict(self.synthetic_as)} if self.synthetic_as else {})

    @property
    def num_classes(self) -> int:
        """Number of classes: background included, void not."""
        return len(self.names)

    def raw_numbers(self) -> dict[int, int]:
        """The class index, or VOID, of each number in an index mask."""
        return self._raw(int, range(self.num_classes))

    def raw_names(self) -> dict[str, int]:
        """The class index, or VOID, of each part with a separate mask file. Later parts cover earlier ones."""
        numbered = {str(raw): self.value_of(name) for raw, name in self.remap.items() if isinstance(raw, int)}
        return numbered or self._raw(str, self.names)

    def raw_colours(self) -> dict[Colour, int]:
        """The class index, or VOID, of each colour in a colour mask."""
        return self._raw(tuple, self.colours)

    def _raw(self, kind: type, own: Iterable[Any]) -> dict[Any, int]:
        """The raw values of a type: those in `remap`, else the classes' own; and void, if it is of that type."""
        remapped = {raw: self.value_of(name) for raw, name in self.remap.items() if isinstance(raw, kind)}
        known = remapped or {raw: index for index, raw in enumerate(own)}
        return {**known, self.void: VOID} if isinstance(self.void, kind) else known

    def value_of(self, name: str) -> int:
        """The index of a class, or VOID for `void` if no class has that name.

        Raises:
            ConfigError: no class has that name.
        """
        if name in self.names:
            return self.names.index(name)
        if name == _TO_VOID:
            return VOID
        raise ConfigError(f"data.taxonomy: {name} is not a class; expected one of {', '.join(self.names)}, or void.")

    def class_of_part(self, part: str) -> str:
        """The class of a part of synthetic faces by `synthetic_as`."""
        skin = self.synthetic_as.get("skin", "skin") if part in _ON_SKIN else ""
        names = (self.synthetic_as.get(part), part, skin, _BACKGROUND)
        return next((name for name in names if name in self.names), "")

    def mirrored(self) -> np.ndarray:
        """A (256,) uint8 table from index to index that swaps left and right classes; VOID stays VOID."""
        table = np.arange(256, dtype=np.uint8)
        for left, right in self.pairs:
            one, other = self.names.index(left), self.names.index(right)
            table[one], table[other] = other, one
        return table

    def palette(self) -> np.ndarray:
        """A (256, 3) uint8 table of colours by index; VOID and unused indices have the void colour, or grey."""
        table = np.full((256, 3), self.void if isinstance(self.void, tuple) else (128, 128, 128), dtype=np.uint8)
        table[: self.num_classes] = self.colours
        return table


def likely_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of names that differ only in left and right, in their given order.

    Example:
        >>> likely_pairs(["skin", "l_eye", "r_eye", "Left Ear", "Right Ear", "u_lip", "l_lip", "browLeft", "browRight"])
        [('l_eye', 'r_eye'), ('Left Ear', 'Right Ear'), ('browLeft', 'browRight')]
    """
    by_words = {_words(name): name for name in names}
    pairs: list[tuple[str, str]] = []
    for words, name in by_words.items():
        other = by_words.get(tuple(_OTHER.get(word, word) for word in words))
        if other not in (None, name) and not any(name in pair for pair in pairs):
            pairs.append((name, str(other)))
    return pairs


def _words(name: str) -> tuple[str, ...]:
    # `leftEye`, `left_eye` and `Left eye` are the same two words
    return tuple(word.casefold() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^\W\d_A-Za-z]+", name))


def distinct_colours(number: int) -> list[Colour]:
    """Up to 215 colours, each as far as possible from black, grey and the earlier ones.

    Example:
        >>> distinct_colours(3)
        [(0, 0, 255), (0, 255, 0), (255, 0, 0)]
    """
    grid = np.array(list(itertools.product(_LEVELS, repeat=3)))
    chosen = [np.array(colour) for colour in _TAKEN]
    for _ in range(number):
        nearest = np.min([np.square(grid - colour).sum(axis=1) for colour in chosen], axis=0)
        chosen.append(grid[nearest.argmax()])
    return [(int(red), int(green), int(blue)) for red, green, blue in chosen[len(_TAKEN) :]]


def _malformed(mapping: Mapping[str, Any]) -> list[str]:
    classes, pairs, remap, parts = (mapping.get(key) for key in ("classes", "pairs", "remap", "synthetic_as"))
    problems = []
    if not isinstance(classes, Mapping):
        problems.append(f"classes are {classes!r}; expected a mapping, e.g. `skin: [255, 204, 51]`.")
    else:
        problems += [
            f"the colour of {name} is {colour!r}; expected red, green and blue, e.g. [255, 204, 51]."
            for name, colour in classes.items()
            if not _is_triple(colour)
        ]
    for pair in pairs if isinstance(pairs, list | tuple) else [pairs] if pairs else []:
        if not (isinstance(pair, list | tuple) and len(pair) == 2):
            problems.append(f"pairs hold {pair!r}; expected pairs of names, e.g. [[left eye, right eye]].")
    if remap is not None and not isinstance(remap, Mapping):
        problems.append(f"remap is {remap!r}; expected a mapping, e.g. {{0: background, 255: void}}.")
    if parts is not None and not isinstance(parts, Mapping):
        problems.append(f"synthetic_as is {parts!r}; expected a mapping, e.g. {{hair: hair, left brow: brows}}.")
    return problems or [
        f"{key}: the name {name!r} is not text; put it in quotes, or use data.taxonomy=FILE.yaml, which is read as it "
        f"is written."
        for key in ("classes", "pairs", "remap", "synthetic_as")
        for name in _names_in(mapping.get(key) or (), with_values=key != "classes")
        if isinstance(name, bool) or not isinstance(name, str | int)
    ]


def _names_in(value: Mapping[Any, Any] | Sequence[Any], with_values: bool) -> list[Any]:
    if isinstance(value, Mapping):
        return [*value, *(value.values() if with_values else ())]
    return [name for pair in value for name in pair]


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
    """Parse a key of `remap`: `3`, `"3"`, `left_eye`, `"255, 0, 0"`."""
    if not isinstance(key, str) or re.fullmatch(r"\d+", key):
        return int(key)
    return _colour(key.split(",")) if re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*){2}", key) else key


def _problems(taxonomy: Taxonomy) -> list[str]:
    names, colours, void = taxonomy.names, taxonomy.colours, taxonomy.void
    problems = []
    if not 2 <= len(names) < VOID:
        problems.append(f"{len(names)} classes; expected 2 to {VOID - 1}, background included.")
    if len(names) != len(colours):
        problems.append(f"{len(names)} names and {len(colours)} colours; expected one colour for each class.")
    problems += [f"the name {name!r} {wrong}." for name in names if (wrong := _name_problem(name))]
    problems += [f"the name {name} is used twice; expected different names." for name in _repeated(names)]
    for colour in _repeated(colours):
        owners = " and ".join(name for name, own in zip(names, colours, strict=False) if own == colour)
        problems.append(f"{owners} have the same colour {colour}; expected a different colour for each class.")
    for colour in (*colours, void, *taxonomy.remap):
        if isinstance(colour, tuple) and not (len(colour) == 3 and all(0 <= channel <= 255 for channel in colour)):
            problems.append(f"{colour} is not a colour; expected three numbers from 0 to 255.")
    for name in (name for pair in taxonomy.pairs for name in pair if name not in names):
        problems.append(f"pairs name {name}, which is not a class; expected two of {', '.join(names)}.{_RENAMED}")
    problems += [
        f"{name} is in two pairs; expected one left/right partner." for name in _repeated(sum(taxonomy.pairs, ()))
    ]
    for name in dict.fromkeys(name for name in taxonomy.remap.values() if name not in (*names, _TO_VOID)):
        expected = f"expected one of {', '.join(names)}, or void.{_RENAMED}"
        problems.append(f"remap maps to {name}, which is not a class; {expected}")
    if len({type(raw) for raw in taxonomy.remap}) > 1:
        problems.append("remap mixes kinds of raw values; expected only numbers, only names of parts, or only colours.")
    if void in colours:
        problems.append(f"void {void} is the colour of {names[colours.index(void)]}; expected a colour of no class.")
    raw = [value for value in taxonomy.remap if isinstance(value, type(void))]
    if void in raw or (isinstance(void, int) and not raw and void in range(len(names))):
        problems.append(f"void {void} is the value of a class; expected a value of no class.")
    return problems + (_part_problems(taxonomy) if taxonomy.synthetic_as else [])


def _part_problems(taxonomy: Taxonomy) -> list[str]:
    names, given = taxonomy.names, taxonomy.synthetic_as
    problems = []
    if unknown := [part for part in given if part not in PARTS]:
        hints = ", ".join(f"{part} ({suggestion(part, PARTS)})" if nearest(part, PARTS) else part for part in unknown)
        problems.append(f"synthetic_as names {hints}, which synthetic faces do not have; they have {', '.join(PARTS)}.")
    for name in dict.fromkeys(name for name in given.values() if name not in names):
        expected = f"expected one of {', '.join(names)}.{_RENAMED}"
        problems.append(f"synthetic_as maps to {name}, which is not a class; {expected}")
    if lost := [part for part in PARTS if part not in given and not taxonomy.class_of_part(part)]:
        problems.append(
            f"synthetic_as has no class for {', '.join(lost)}; name one for each, or add the class "
            f"{_BACKGROUND}, which they then are."
        )
    if problems:
        return problems
    other = {name: partner for pair in taxonomy.pairs for name, partner in (pair, pair[::-1])}
    for left in (part for part in PARTS if not part.startswith("right ")):
        right = left.replace("left ", "right ")
        one, two = taxonomy.class_of_part(left), taxonomy.class_of_part(right)
        if other.get(one, one) != two and {one, two} & other.keys():
            facts = dict.fromkeys([f"{left} is {one}", f"{right} is {two}"])
            problems.append(
                f"synthetic_as: {' and '.join(facts)}, which a flip mixes up; expected the two classes of a pair for "
                f"left and right, or one class that is in no pair."
            )
    return problems


def _name_problem(name: str) -> str:
    if not name.isprintable():
        return "contains characters that cannot be printed"
    if not name.strip():
        return "is blank; expected letters"
    if is_config_syntax(name):  # it would be evaluated where a config is built from a card
        return "has a special meaning in a config; expected another name"
    return ""


def is_config_syntax(text: str) -> bool:
    """Whether OmegaConf or Hydra would interpret a text: `${...}`, or one of their reserved keys."""
    return text in RESERVED or "${" in text


def _repeated(values: tuple[Any, ...]) -> list[Any]:
    return sorted(value for value, count in collections.Counter(values).items() if count > 1)
