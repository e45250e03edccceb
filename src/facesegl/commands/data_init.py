"""`facesegl data init`: find out what masks hold, and write the classes in a file that training reads."""

import contextlib
import logging
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from facesegl.config.compose import assignment, compose
from facesegl.config.instantiate import build
from facesegl.console import printable
from facesegl.errors import ConfigError, DataError
from facesegl.files import require_writable, write_text
from facesegl.labels.from_parts import can_be_drawn
from facesegl.labels.proposal import Tally, classes_of_face_parts
from facesegl.labels.taxonomy import Taxonomy, likely_pairs
from facesegl.sources.class_proposal import Proposal, propose_classes
from facesegl.sources.images import open_photo
from facesegl.sources.listing import MASK_SUFFIXES, expanded, list_files
from facesegl.sources.source import Sample, Source, Survey
from facesegl.text import a_few, number, percent, suggestion

log = logging.getLogger(__name__)

_MOST_READ = 500  # masks
_SEPARATORS = ("_", "-", " ", ".")
_IMAGES = re.compile(r"images?(tr)?|imgs?|photos?|rgb|jpegimages|leftimg8bit", re.IGNORECASE)
_MASKS = re.compile(r"masks?|labels?(tr)?|seg\w*|annotations?|gt(fine)?", re.IGNORECASE)
_STROKE = re.compile(r"task-\d+-annotation-\d+-by-")  # of Label Studio


class Layout(NamedTuple):
    """How photos and masks are stored.

    Attributes:
        keys: those of a command line that reads them.
        source: reads them.
        survey: what it finds.
    """

    keys: tuple[str, ...]
    source: Any
    survey: Survey


class Initialized(NamedTuple):
    """What was found, and the commands that use it.

    Attributes:
        file: the file of the classes.
        classes: how many there are.
        masks: how many masks were read.
        unknown: what could not be known, one line each.
        keys: the keys of the data.
        problems: how many problems with the files were logged.
    """

    file: Path
    classes: int
    masks: int
    unknown: Sequence[str]
    keys: Sequence[str]
    problems: int

    def __str__(self) -> str:
        """What the command prints."""
        keys = shlex.join(self.keys)
        lines = [f"classes: {self.file} ({number(self.classes, 'class', 'classes')} in {number(self.masks, 'mask')})"]
        lines += ["", "Not known from the files:", *(f"- {line}" for line in self.unknown)]
        lines += [
            *("", f"Next: {'mend the problems above, then ' if self.problems else ''}check, preview, train:"),
            f"  facesegl data check {keys}",
            f"  facesegl data preview {keys} -o {shlex.quote(str(self.file.with_suffix('.png')))}",
            f"  facesegl train {keys}",
        ]
        return "\n".join(lines)


def init_data(
    images: Path, masks: Path | None, output: Path, keys: Sequence[str] = (), *, force: bool = False
) -> Initialized:
    """Write a taxonomy for photos and masks.

    Args:
        images: the folder of the photos, or a folder with both, or an export.
        masks: the folder of the masks, or an export; None if it is the same.
        output: the YAML file to write.
        keys: keys of `data.source` that say how files are named or read.
        force: whether to overwrite it.

    Raises:
        ConfigError: the file exists or is no YAML file, wrong keys, or a name that a config would resolve.
        DataError: a folder is missing, no photo has a mask, or no mask can be read.
        MachineError: the file cannot be written.
    """
    folder = images if masks is None else masks
    _require_known(keys)
    _require_usable(images, folder, output)
    layout = _layout(images, folder, keys)
    samples = layout.survey.samples
    if not samples:
        raise DataError(*layout.survey.problems)
    if output.exists() and not force:
        raise ConfigError(f"-o {output}: exists; choose another name with -o FILE, or overwrite it with --force.")
    require_writable(output.parent, f"-o {output}")
    for problem in layout.survey.problems:
        log.warning("%s", problem)
    chosen = [
        samples[index]
        for index in np.unique(np.linspace(0, len(samples) - 1, min(len(samples), _MOST_READ)).astype(int))
    ]
    with _naming(folder):
        proposal = propose_classes(layout.source, chosen)
    read = {mask for own in proposal.seen.values() for mask in own.masks}
    if len(proposal.classes) == 1:
        (color,) = proposal.classes.values()
        only = {*proposal.numbers.values()} or {*color}  # one value of a grey
        value, count = only.pop() if len(only) == 1 else color, number(len(read), "mask")
        raise DataError(
            f"{folder}: all masks hold only {value} ({count}); expected two classes or more. Export masks with every "
            f"class painted."
        )
    pairs = [pair for pair in likely_pairs([*proposal.classes]) if {*pair} <= proposal.classes.keys()]
    mapping = {"classes": {name: [*color] for name, color in proposal.classes.items()}, **proposal.more}
    mapping |= {"pairs": [[*pair] for pair in pairs]} if pairs else {}
    with _naming(folder):
        taxonomy = Taxonomy.from_mapping(mapping)
    scale, sizes = _scale(layout.source, chosen, taxonomy)
    for problem in sizes:
        log.warning("%s", problem)
    mapping |= _synthetic_as(taxonomy, proposal)
    found = [
        *(key for key in layout.keys if not proposal.keys or "kind=" not in key),
        *proposal.keys,
        *scale,
        assignment("data.taxonomy", str(output)),
    ]
    found += _folds(samples)
    unknown = [*proposal.unknown, *_unknown(taxonomy, mapping, proposal, samples, len(chosen))]
    write_text(output, _yaml(mapping, proposal, len(read), images, masks))
    problems = len(layout.survey.problems) + len(sizes) + len(chosen) - len(read)
    return Initialized(output, len(proposal.classes), len(read), unknown, found, problems)


def _require_known(keys: Sequence[str]) -> None:
    if foreign := [key for key in keys if not key.startswith("data.source.")]:
        raise ConfigError(*(f"{key}: data init takes only keys of data.source." for key in foreign))
    known = [*compose(["data=folder", "data.source.images=x", "data.source.masks=x"]).data.source] if keys else []
    names = {key: re.split(r"[.=]", key)[2] for key in keys}
    if wrong := [f"{key}: no such key; {suggestion(name, known)}" for key, name in names.items() if name not in known]:
        raise ConfigError(*wrong)


def _require_usable(images: Path, masks: Path, output: Path) -> None:
    problems = [
        f"{path}: its name has a special meaning in a config (${{...}}); rename that file or folder."
        for path in dict.fromkeys((images, masks, output))
        if "${" in str(path)
    ]
    if output.is_dir() or output.suffix.casefold() not in (".yaml", ".yml"):
        problems.append(f"-o {output}: {'a folder' if output.is_dir() else 'not YAML'}; expected FILE.yaml to write.")
    if problems:
        raise ConfigError(*problems)


@contextlib.contextmanager
def _naming(folder: Path) -> Iterator[None]:
    """Name the folder of the masks, from which names of classes come."""
    try:
        yield
    except ConfigError as error:
        problems = [problem.removeprefix("data.taxonomy: ") for problem in error.problems]
        remedy = " Rename that part's files, or the class in the list of names next to the masks."
        raise DataError(*(f"{folder}: {one}{remedy * one.startswith('the name')}" for one in problems)) from None


# how files are stored


def _layout(images: Path, masks: Path, given: Sequence[str]) -> Layout:
    export = next((folder for folder in (masks, masks.parent) if _is_cvat(expanded(folder))), None)
    if export is not None and (export == masks or masks.name == "SegmentationClass"):
        own = export in (images, masks) and (expanded(export) / "JPEGImages").is_dir() and images in (export, masks)
        keys = ["data=cvat", _key("root", export), *([] if own else [_key("images", images)])]
        return _open([*keys, *given])
    if images == masks:
        folders = sorted(path for path in expanded(images).glob("*") if path.is_dir())
        photos, labels = ([path for path in folders if name.fullmatch(path.name)] for name in (_IMAGES, _MASKS))
        if len(photos) == len(labels) == 1:
            return _layout(photos[0], labels[0], given)
    if any(_STROKE.match(file.name) for file in _listed(masks)):
        return _open(["data=label_studio", _key("root", masks), _key("images", images), *given])
    keys = ["data=folder", _key("images", images), _key("masks", masks), *given]
    whole = _open(keys)
    if any(key.startswith(("data.source.kind", "data.source.mask_name")) for key in given):
        return whole
    if whole.survey.samples and not whole.survey.problems:
        return whole
    best = max((whole, *(_open([*keys, *more]) for more in _namings(masks))), key=_files_used)
    if images == masks and not best.survey.samples and expanded(images).is_dir():
        raise DataError(
            f"{images}: no photo with a mask in it; give photos and masks: facesegl data init PHOTOS MASKS."
        )
    return best


def _key(name: str, path: Path) -> str:
    return assignment(f"data.source.{name}", str(path))


def _is_cvat(folder: Path) -> bool:
    return (folder / "labelmap.txt").is_file() and (folder / "SegmentationClass").is_dir()


def _listed(folder: Path) -> list[Path]:
    return (
        [file.path for file in list_files(expanded(folder), MASK_SUFFIXES).files] if expanded(folder).is_dir() else []
    )


def _namings(masks: Path) -> Iterator[list[str]]:
    """Keys of other ways to name masks: numbers padded with zeros, and one file per part."""
    numbers = {match[0] for path in _listed(masks) if (match := re.match(r"0\d+(?=\D|$)", path.stem))}
    stems = ["{stem}", *(f"{{stem:0{len(digits)}}}" for digits in sorted(numbers, key=len)[:1])]
    for stem in stems:
        if stem != "{stem}":
            yield [f'data.source.mask_name="{stem}"']
        for separator in _SEPARATORS:
            yield ["data.source.kind=parts", f'data.source.mask_name="{stem}{separator}{{part}}"']


def _open(keys: Sequence[str]) -> Layout:
    source = build(compose([*keys, "data.taxonomy=null"]).data.source)
    quiet = logging.getLogger("facesegl.sources")
    level = quiet.level
    quiet.setLevel(logging.WARNING)
    try:
        return Layout(tuple(keys), source, source.survey())
    finally:
        quiet.setLevel(level)


def _files_used(layout: Layout) -> tuple[int, int]:
    return sum(len(sample.mask_files) for sample in layout.survey.samples), -len(layout.survey.problems)


def _scale(source: Source, samples: Sequence[Sample], taxonomy: Taxonomy) -> tuple[list[str], list[str]]:
    """The key for masks that are all smaller than their photos by one whole number, or problems with other sizes."""
    found: dict[tuple[float, ...], str] = {}
    for sample in samples[:3]:
        try:
            photo, mask = open_photo(sample.photo).shape[:2], source.read_mask(sample, taxonomy).mask.shape
        except DataError:
            continue
        sizes = " and its photo ".join(f"{width}x{height}" for height, width in (mask, photo))
        ratio = tuple(large / small for large, small in zip(photo, mask, strict=True))
        found.setdefault(ratio, f"{sample.mask}: the mask is {sizes}; training leaves such masks out.")
    if len(found) == 1 and (ratio := next(iter(found)))[0] == ratio[1] > 1 and ratio[0].is_integer():
        return [f"data.source.mask_scale={ratio[0]:.0f}"], []
    return [], [problem for ratio, problem in found.items() if ratio != (1, 1)]


def _folds(samples: Sequence[Sample]) -> list[str]:
    """The keys for fewer persons than folds."""
    persons = len({sample.group for sample in samples if sample.split == "train"})
    if any(sample.split == "val" for sample in samples) or persons >= 5:
        return []
    return ["data.fold=null"] if persons == 1 else [f"data.folds={persons}"]


def _synthetic_as(taxonomy: Taxonomy, proposal: Proposal) -> dict[str, Any]:
    if can_be_drawn(taxonomy):
        return {}
    across = {name: own.across / own.pixels for name, own in proposal.seen.items() if own.pixels}
    parts = classes_of_face_parts(taxonomy.names, across)
    try:
        Taxonomy.from_mapping(taxonomy.to_mapping() | {"synthetic_as": parts})
    except ConfigError:  # a flip would mix them up
        return {}
    return {"synthetic_as": parts} if parts else {}


def _unknown(
    taxonomy: Taxonomy, mapping: Mapping[str, Any], proposal: Proposal, samples: Sequence[Sample], read: int
) -> Iterator[str]:
    """What no file says."""
    if unnamed := [name for name in taxonomy.names if re.fullmatch(r"class \d+", name)]:
        again = ", or list all in classes.txt next to the masks and run this with --force" if proposal.numbers else ""
        yield f"names: rename {a_few(unnamed)} everywhere in the file{again}; the preview shows where they are"
    if not taxonomy.pairs and unnamed:
        yield "left and right: add them, so that a flip swaps them, as `pairs: [[left eye, right eye]]`"
    if "synthetic_as" in mapping:
        yield "which class ears, neck, brows and lips have: check synthetic_as, by which synthetic faces are mixed in"
    elif not can_be_drawn(taxonomy):
        yield "parts of faces: with `synthetic_as: {skin: CLASS, ...}`, synthetic faces can be mixed in (docs/data.md)"
    if not any(sample.split == "test" for sample in samples):
        yield "test photos: data.source.shares.test=0.2 splits off a fifth; without it there is only validation"
    if all(sample.group == sample.id for sample in samples):
        yield "persons: if some have several photos, data.source.group finds the person in a photo's name"
    if read < len(samples):
        yield f"values that only others have: {read} of {len(samples)} masks were read"


def _yaml(mapping: Mapping[str, Any], proposal: Proposal, masks: int, images: Path, folder: Path | None) -> str:
    """The taxonomy as YAML, with a comment on each class."""
    everything = sum(own.pixels for own in proposal.seen.values()) or 1
    width = max(len(_plain(name)) for name in mapping["classes"]) + 18
    folders = shlex.join(map(str, (images, folder) if folder else (images,)))
    lines = [f"# Written by: facesegl data init {printable(folders)}"]
    lines += ["# Classes may be renamed, everywhere in this file. A class's colour is red, green, blue.", "classes:"]
    for name, color in mapping["classes"].items():
        own, value = proposal.seen.get(name, Tally()), proposal.numbers.get(name)
        where = f"{percent(own.pixels / everything)}, in {len(own.masks)} of {masks} masks"
        entry = f"  {_plain(name)}: {[*color]}"
        lines.append(f"{entry:<{width}}  # {'' if value is None else f'{value}: '}{where}")
    if pairs := mapping.get("pairs"):
        lines.append(f"pairs: {_plain(pairs)}")
    for key in ("remap", "void", "synthetic_as"):
        if key in mapping:
            lines += yaml.safe_dump({key: mapping[key]}, sort_keys=False, allow_unicode=True).splitlines()
    return "\n".join(lines) + "\n"


def _plain(value: Any) -> str:
    """A value as YAML in one line."""
    return yaml.safe_dump(value, allow_unicode=True, width=float("inf"), default_flow_style=True).splitlines()[0]
