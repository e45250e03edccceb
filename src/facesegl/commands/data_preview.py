"""`facesegl data preview`: photos and masks on contact sheets, as they are or as the net will see them."""

import logging
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from facesegl.checks.finding import percent
from facesegl.commands.datasets import choose_data
from facesegl.console import track
from facesegl.data.datamodule import FaceDataModule
from facesegl.drawing.canvas import hatch_void
from facesegl.drawing.overlay import overlay
from facesegl.drawing.sheet import Entry, draw_sheet, fit_mask, fit_photo, fit_share, mark
from facesegl.errors import ConfigError, DataError, MachineError
from facesegl.files import replacing
from facesegl.labels.decode import mask_to_colours
from facesegl.labels.taxonomy import Taxonomy
from facesegl.sources.photo import open_photo
from facesegl.sources.source import Sample
from facesegl.text import number

log = logging.getLogger(__name__)

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_TOLD = 8  # problems that are named beside a sheet
_PAGE = 24  # samples on a sheet
_MOST_AUGMENTED = 48  # photos: they are augmented in one batch
_BOX, _LARGE_BOX = 220, 400  # pixels of a tile's longer side: of many samples, and of one or two
_GUESSED = (255, 0, 170)  # no class of FASSEG, CelebAMask-HQ or LaPa comes near it


class _View(NamedTuple):
    """What a sheet shows of each sample."""

    columns: tuple[str, ...]
    note: str


_PLAIN = _View(("photo", "mask", "overlay"), "void is neither learnt nor scored")
_INEXACT = _View(
    ("photo", "mask", "guessed"), "magenta: the mask's colour there is not exactly a class's, so the class was guessed"
)
_AUGMENTED = _View(
    ("photo", "its mask", "as the net sees it", "what it learns"),
    "one draw of many; what comes in from outside is void: neither learnt nor scored",
)
_SIDES = "; in a flipped photo left and right classes have traded places"


def preview_data(
    output: Path,
    overrides: Sequence[str] = (),
    config_dirs: Sequence["str | Path"] = (),
    *,
    count: int,
    split: str,
    augmented: bool = False,
    inexact: bool = False,
) -> list[Path]:
    """Draw some samples of the data that a config chooses.

    Args:
        output: the picture; further pages go beside it, as `sheet_2.png`.
        overrides: keys and groups of conf/train.yaml that are about data, such as `data=synthetic`.
        config_dirs: folders with a person's own groups.
        count: how many samples; they are taken evenly from all of the split.
        split: `train`, `val` or `test`, as the source has it.
        augmented: show training photos before and after augmentation, at the net's size.
        inexact: show where the mask's classes were guessed.

    Returns:
        The pictures.

    Raises:
        ConfigError: options or keys that are wrong.
        DataError: the data are not there, or none of the samples can be shown.
        MachineError: the picture cannot be written there.
    """
    _require_sensible(output, count, split, augmented, inexact)
    faces = choose_data(overrides, config_dirs, verb="data preview")
    if augmented:
        title, total, entries = _augmented(faces, count)
        view = _AUGMENTED._replace(note=_AUGMENTED.note + _SIDES) if faces.taxonomy.pairs else _AUGMENTED
        return _write(output, title, total, entries, view, faces.taxonomy)
    chosen, title = _chosen(faces, split, count)
    view = _INEXACT if inexact else _PLAIN
    entries = _entries(faces, chosen, inexact, _LARGE_BOX if len(chosen) < 3 else _BOX)
    return _write(output, title, len(chosen), entries, view, faces.taxonomy)


def _require_sensible(output: Path, count: int, split: str, augmented: bool, inexact: bool) -> None:
    problems = []
    if output.suffix.casefold() not in _FORMATS:
        problems.append(f"-o {output}: no picture's ending; expected one of {', '.join(_FORMATS)}.")
    if count < 1:
        problems.append(f"--count {count}: expected 1 or more.")
    if augmented and inexact:
        problems.append("--augmented --inexact: each is a sheet of its own; call it once for each.")
    if augmented and split != "train":
        problems.append(f"--augmented --split {split}: only training photos are augmented; leave --split out.")
    if problems:
        raise ConfigError(*problems)
    if output.is_dir():
        raise MachineError(f"-o {output}: a folder of that name is in the way; choose another name.")
    there = next(parent for parent in output.absolute().parents if parent.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise MachineError(f"-o {output}: {there} cannot be written; choose another place.")


def _chosen(faces: FaceDataModule, split: str, count: int) -> tuple[list[Sample], str]:
    """Samples that lie evenly in a split, and what the sheet of them is called."""
    listed: dict[str, list[Sample]] = {}
    for sample in _listed(faces):
        listed.setdefault(sample.split, []).append(sample)
    if split not in listed:
        there = ", ".join(f"{name} ({len(samples)})" for name, samples in listed.items())
        raise ConfigError(f"--split {split}: no such photos in {faces.source.name}; there are {there}.")
    samples = listed[split]
    places = np.unique(np.linspace(0, len(samples) - 1, min(count, len(samples))).round().astype(int))
    even = ", taken evenly" if len(places) < len(samples) else ""
    title = f"{faces.source.name}: {len(places)} of {number(len(samples), f'{split} photo')}{even}"
    return [samples[place] for place in places], title


def _listed(faces: FaceDataModule) -> list[Sample]:
    """What can be listed; what is wrong with the rest goes to the log, which is no reason not to look at it."""
    found = faces.source.survey()
    if not found.samples:
        raise DataError(*found.problems)
    for problem in found.problems[:_TOLD]:
        log.warning("%s", problem)
    if len(found.problems) > _TOLD:
        log.warning("... and %d more; facesegl data check tells all.", len(found.problems) - _TOLD)
    return found.samples


def _entries(faces: FaceDataModule, samples: Sequence[Sample], inexact: bool, box: int) -> Iterator[Entry]:
    """Photo, mask and overlay of each sample that can be shown; the others are named in the log."""
    problems: list[str] = []
    shown = 0
    for sample in track(samples, total=len(samples), what="drawing samples"):
        try:
            entry = _entry(faces, sample, inexact, box)
        except DataError as error:
            problems += error.problems
            log.warning("%s It is left out.", error)
            continue
        shown += 1
        yield entry
    if not shown:
        raise DataError(*problems)


def _entry(faces: FaceDataModule, sample: Sample, inexact: bool, box: int) -> Entry:
    taxonomy = faces.taxonomy
    photo = open_photo(sample.photo)
    decoded = faces.source.read_mask(sample, taxonomy)
    own, masks = (f"{width} x {height}" for height, width in (photo.shape[:2], decoded.mask.shape))
    if own != masks:
        raise DataError(f"{sample.mask}: the mask is {masks}, its photo {own}.")
    small, mask = fit_photo(photo, box), fit_mask(decoded.mask, box, taxonomy.num_classes)
    if inexact:
        last = mark(small, fit_share(decoded.inexact, box), _GUESSED)
        remark = f"{percent(float(decoded.inexact.mean()))} guessed"
    else:
        last, remark = np.asarray(overlay(small, mask, taxonomy)), own
    return Entry(sample.id, remark, [small, _painted(mask, taxonomy), last])


def _augmented(faces: FaceDataModule, count: int) -> tuple[str, int, Iterator[Entry]]:
    """The sheet's title, the number of its samples, and the samples before and after augmentation."""
    faces.setup("fit")
    asked = min(count, len(faces.train))
    shown = min(asked, _MOST_AUGMENTED)
    if shown < asked:
        log.info("--count %d: %d are shown, since they are augmented in one batch.", count, shown)
    plain, seen, ids = faces.preview_augmented(shown)
    box = max(faces.image_size, _BOX) if shown < 3 else _BOX
    pairs = [(batch.photo.permute(0, 2, 3, 1).to(torch.uint8), batch.target.to(torch.uint8)) for batch in (plain, seen)]
    size = f"{faces.image_size} x {faces.image_size}"
    title = f"{faces.source.name}: {shown} of {number(len(faces.train), 'photo')} to learn from, augmented, at {size}"

    def entries() -> Iterator[Entry]:
        for place, name in enumerate(ids):
            tiles: list[np.ndarray] = []
            for photos, masks in pairs:
                mask = fit_mask(masks[place].numpy(), box, faces.taxonomy.num_classes)
                tiles += [fit_photo(photos[place].numpy(), box), _painted(mask, faces.taxonomy)]
            yield Entry(name, "", tiles)

    return title, shown, entries()


def _painted(mask: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
    """(H, W, 3) uint8: a mask (H, W) in its classes' colours, void hatched."""
    return hatch_void(mask_to_colours(mask, taxonomy), mask)


def _write(
    output: Path, title: str, total: int, entries: Iterator[Entry], view: _View, taxonomy: Taxonomy
) -> list[Path]:
    """Draw page by page, so that no more than one page of samples is held."""
    pages = -(-total // _PAGE)
    written: list[Path] = []
    while page := list(islice(entries, _PAGE)):
        place = len(written) + 1
        path = output if place == 1 else output.with_stem(f"{output.stem}_{place}")
        whole = f"{title} (page {place} of {pages})" if pages > 1 else title
        sheet = draw_sheet(page, view.columns, taxonomy, title=whole, note=view.note)
        with replacing(path) as part:
            _save(sheet, part, _FORMATS[output.suffix.casefold()])
        written.append(path)
    return written


def _save(sheet: Image.Image, path: Path, kind: str) -> None:
    sheet.save(path, format=kind, **({"quality": 92} if kind == "JPEG" else {}))
