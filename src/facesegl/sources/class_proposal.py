"""Propose the classes of masks: from their numbers, colors or parts, and from names that files next to them give."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from facesegl.config.compose import compose
from facesegl.config.identity import to_plain
from facesegl.console import track
from facesegl.errors import DataError
from facesegl.labels.proposal import FEW, Tally, add_tallies, merge_colors, nearest_color, tally
from facesegl.labels.taxonomy import VOID, Colour, Taxonomy, distinct_colours
from facesegl.sources.cvat import CVAT
from facesegl.sources.folder import FolderFaces
from facesegl.sources.images import open_image, upright
from facesegl.sources.label_map import find_label_map
from facesegl.sources.listing import truncate
from facesegl.sources.mask_contents import Contents, read_contents, unpacked
from facesegl.sources.mask_files import read_mask_parts
from facesegl.sources.source import Sample
from facesegl.text import a_few, grouped, number
from facesegl.threads import in_threads

T = TypeVar("T")

log = logging.getLogger(__name__)

_LEAST_FLAT = 0.3  # share of the pixels of blended or compressed masks that are inside areas of one color
_BLACK = (0, 0, 0)
_BACKGROUND, _VOID = "background", "void"


@dataclass
class Proposal:
    """The classes of masks.

    Attributes:
        classes: the color of each.
        seen: where each occurs.
        numbers: the number of each in the masks, for comments.
        more: further entries of the taxonomy: `remap`, `void`.
        keys: further keys of the data.
        unknown: what could not be known, one line each.
    """

    classes: dict[str, Colour]
    seen: dict[str, Tally] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def propose_classes(source: Any, samples: Sequence[Sample]) -> Proposal:
    """Propose the classes of a source's masks; logs what cannot be read.

    Args:
        source: the source; its own classes are taken if it has some.
        samples: the samples to read.

    Raises:
        DataError: no mask can be read.
    """
    if not isinstance(source, FolderFaces) or isinstance(source, CVAT):
        return _of_export(source, samples)
    return _of_parts(samples) if samples[0].parts else _of_files(samples)


def _read(samples: Sequence[Sample], read: Callable[[Sample], T]) -> list[T]:
    """What is read of each mask; logs the problems with others."""

    def attempt(sample: Sample) -> T | DataError:
        try:
            return read(sample)
        except DataError as error:
            return error

    found = [*track(in_threads(attempt, samples), total=len(samples), what="reading masks")]
    problems = [problem for one in found if isinstance(one, DataError) for problem in one.problems]
    if len(whole := [one for one in found if not isinstance(one, DataError)]) == 0:
        raise DataError(*truncate(problems, "masks"))
    for problem in grouped(problems):
        log.warning("%s Not read.", problem)
    return whole


def _of_export(source: Any, samples: Sequence[Sample]) -> Proposal:
    taxonomy = source.own_taxonomy()
    proposal = Proposal(dict(zip(taxonomy.names, taxonomy.colours, strict=True)))

    def read(sample: Sample) -> dict[int, Tally]:
        mask = source.read_mask(sample, taxonomy).mask
        return tally(mask, sample.id, mask != VOID)

    for found in _read(samples, read):
        add_tallies(proposal.seen, {taxonomy.names[index]: own for index, own in found.items()})
    return proposal


def _of_parts(samples: Sequence[Sample]) -> Proposal:
    parts = dict.fromkeys(name for sample in samples for name, _path in sample.parts)
    names = [_BACKGROUND, *(name for name in parts if name != _BACKGROUND)]
    single = Taxonomy(tuple(names), (_BLACK, *distinct_colours(len(names) - 1)))

    def read(sample: Sample) -> dict[str, Tally]:
        masks = {part: read_mask_parts([part], "parts", "order", _BACKGROUND, single).mask > 0 for part in sample.parts}
        return {name: own[1] for (name, _), mask in masks.items() if (own := tally(mask, sample.id, mask))}

    seen: dict[str, Tally] = {}
    for found in _read(samples, read):
        add_tallies(seen, found)
    keys = ["data.source.kind=probabilities"] if _are_probabilities(samples[0]) else []
    known = next((known for known in _known() if {*parts} <= known.raw_names().keys()), None)
    if known and 2 * len(parts) > len(known.names):
        more = {"remap": dict(known.remap)} if known.remap else {}
        seen = {known.remap.get(name, name): own for name, own in seen.items()}
        return Proposal(dict(zip(known.names, known.colours, strict=True)), seen, more=more, keys=keys)
    names[1:] = sorted(names[1:], key=lambda name: -seen[name].pixels if name in seen else 0)  # small parts on top
    classes = dict(zip(names, single.colours, strict=True))
    order = "which part covers which where they overlap: later classes cover earlier ones, smaller parts come last"
    return Proposal(classes, seen, keys=keys, unknown=[] if keys else [order])


def _are_probabilities(sample: Sample) -> bool:
    """Whether a photo's parts are grey, and add up to white nearly everywhere."""
    greys = [np.asarray(upright(open_image(path)).convert("L"), dtype=int) for _name, path in sample.parts]
    soft = any(((grey > 0) & (grey < grey.max())).any() for grey in greys)
    return soft and bool((np.abs(np.sum(greys, axis=0) - 255) <= len(greys)).mean() > 0.95)


def _of_files(samples: Sequence[Sample]) -> Proposal:
    contents = _read(samples, lambda sample: read_contents(sample.mask))
    greys = {grey for one in contents if one.kind == "greys" for grey in one.every}
    if greys <= {0, 255} and not any(one.kind == "numbers" for one in contents):  # black and white
        contents = [one.in_color() if one.kind == "greys" else one for one in contents]
    in_color = [one for one in contents if one.kind == "colors"]
    in_numbers = [one for one in contents if one.kind != "colors"]
    most, others = sorted((in_numbers, in_color), key=len, reverse=True)
    if others:
        names = a_few(sorted({min(own.masks) for one in others for own in one.every.values()}))
        what = ("colours", "numbers") if most is in_numbers else ("numbers", "colours")
        log.warning("%s: %s, while most masks hold %s; export them alike.", names, *what)
    mask, photo = samples[0].mask, samples[0].photo
    file, named = find_label_map((mask.parent, mask.parent.parent, photo.parent.parent)) or (None, {})
    if file:
        log.info("%s: names %s", file, number(len(named), "class", "classes"))
    if most is in_color:
        return _of_colors(most, {raw: name for raw, name in named.items() if isinstance(raw, tuple)})
    numbers = {raw: name for raw, name in named.items() if isinstance(raw, int)}
    held = {value for one in most for value in one.every} - {VOID}
    if {*numbers} != {*range(len(numbers))} or held != {*range(len(numbers) + 1)} or _BACKGROUND in numbers.values():
        return _of_numbers(most, numbers)
    proposal = _of_numbers(most, {value + 1: name for value, name in numbers.items()})  # background has no name
    proposal.unknown.append(f"whether the first name in {file} is that of 1: there is one fewer than numbers")
    return proposal


def _of_numbers(contents: Sequence[Contents], named: Mapping[int, str]) -> Proposal:
    seen: dict[int, Tally] = {}
    palette: dict[int, Colour] = {}
    for one in contents:
        palette |= one.palette
        add_tallies(seen, one.every)
    rare = [value for value in sorted(seen) if value not in named and seen[value].is_rare(len(contents))]
    numbers = sorted({*seen, *named, *range(max(one.layers for one in contents))} - {*rare})
    void = 255 in numbers and 255 not in named and len(numbers) > 2 and numbers[-2] < 254
    numbers = numbers[:-1] if void else numbers
    names = _named({value: named.get(value) or (_BACKGROUND if value == 0 else "") for value in numbers})
    colors = _colors(numbers, palette)
    proposal = Proposal(
        {names[value]: colors[value] for value in numbers},
        {names[value]: seen[value] for value in numbers if value in seen},
        numbers={names[value]: value for value in numbers},
    )
    if rare or numbers != [*range(len(numbers))]:
        proposal.more["remap"] = {value: names[value] for value in numbers} | dict.fromkeys(rare, _VOID)
    if void or any(one.layers and one.hidden for one in contents):
        proposal.more["void"] = 255
    proposal.unknown += ["whether 255 is void, pixels to ignore: it is written as such"] if void else []
    for value in rare:
        where = f"only {min(seen[value].masks)} has it, in {number(seen[value].pixels, 'pixel')}"
        proposal.unknown.append(f"what {value} is: {where}; it is written as void")
    proposal.unknown += ["whether 0 is background: it is named so"] if 0 in {*numbers} - named.keys() else []
    return proposal


def _colors(numbers: Sequence[int], palette: Mapping[int, Colour]) -> dict[int, Colour]:
    """The palette's color of each number if all differ, else black for the first and distinct ones."""
    own = [palette.get(value) for value in numbers]
    if None in own or len(set(own)) < len(own):
        own = [_BLACK, *distinct_colours(len(numbers) - 1)]
    return dict(zip(numbers, own, strict=True))  # type: ignore[arg-type]


def _of_colors(contents: Sequence[Contents], named: Mapping[Colour, str]) -> Proposal:
    every: dict[Colour, Tally] = {}
    filled: dict[Colour, Tally] = {}
    for one in contents:
        add_tallies(every, {unpacked(value): own for value, own in one.every.items()})
        add_tallies(filled, {unpacked(value): own for value, own in one.filled.items()})
    exact = len(every) <= FEW and not any(one.lossy for one in contents)
    found = every if exact else merge_colors(filled, sum(one.pixels for one in contents) / len(contents), len(contents))
    if not exact and sum(own.pixels for own in found.values()) < _LEAST_FLAT * sum(one.pixels for one in contents):
        files = a_few(sorted({min(own.masks) for one in contents for own in one.every.values()}))
        raise DataError(
            f"{files}: photos, and not masks? Most of their pixels are in no area of one colour. Name the folder of "
            f"the photos first, then that of the masks."
        )
    known = next((known for known in _known() if _are_of(found, known)), None)
    by_color = named or (dict(zip(known.colours, known.names, strict=True)) if known else {})
    seen = {nearest_color(color, by_color) or color: own for color, own in found.items()}
    if _BLACK not in seen and any(one.hidden for one in contents):  # what is transparent
        seen[_BLACK] = Tally()
    rest = _BLACK if _BLACK in seen else max(seen, key=lambda color: seen[color].edge)
    listed = sorted(seen, key=lambda color: (color != rest, -seen[color].pixels))
    listed = [*by_color] + [color for color in listed if color not in by_color]
    names = _named({color: by_color.get(color) or (_BACKGROUND if color == rest else "") for color in listed})
    unknown = [] if rest in by_color else [f"whether {rest} is background: it is named so"]
    seen_as = {names[color]: own for color, own in seen.items()}
    return Proposal({names[color]: color for color in listed}, seen_as, unknown=unknown)


def _are_of(seen: Mapping[Colour, Tally], known: Taxonomy) -> bool:
    near = [nearest_color(color, known.colours) for color in seen]
    return 2 * len(near) > known.num_classes and None not in near and len({*near}) == len(near)


def _named(given: Mapping[Any, str]) -> dict[Any, str]:
    """A different name for each value: the given one, else `class 1`, `class 2`, ..."""
    names: dict[Any, str] = {}
    for index, (value, name) in enumerate(given.items()):
        plain = name or f"class {value if isinstance(value, int) else index}"
        names[value] = plain if plain not in names.values() else f"{plain} {index}"
    return names


def _known() -> Iterator[Taxonomy]:
    """The classes of public data sets."""
    for name in ("fasseg", "celebamask_hq", "lapa", "helen"):
        config = compose(["data=folder", f"data/taxonomy={name}", "data.source.images=x", "data.source.masks=x"])
        yield Taxonomy.from_mapping(to_plain(config.data.taxonomy))
