"""`facesegl data preview`: photos and masks on contact sheets, as they are or augmented."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from facesegl.commands.datasets import choose_data
from facesegl.console import track
from facesegl.data.datamodule import FaceDataModule
from facesegl.drawing.canvas import hatch_void
from facesegl.drawing.overlay import overlay
from facesegl.drawing.sheet import Entry, draw_sheet, fit_mask, fit_photo, fit_share, mark
from facesegl.errors import ConfigError, DataError, MachineError
from facesegl.files import replacing, require_writable
from facesegl.labels.decode import mask_to_colours
from facesegl.labels.taxonomy import VOID, Taxonomy
from facesegl.sources.images import open_photo
from facesegl.sources.source import Sample
from facesegl.text import grouped, number, percent

log = logging.getLogger(__name__)

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_LISTED = 8  # problems logged with a sheet
_PAGE = 24  # samples on a sheet
_MOST_AUGMENTED = 48  # photos: they are augmented in one batch
_BOX, _LARGE_BOX = 220, 400  # pixels of a tile's longer side, for many samples and for one or two
_GUESSED = (255, 0, 170)  # far from every class colour of FASSEG, CelebAMask-HQ and LaPa

_AUGMENTED = "one random draw; pixels from outside the photo are void: neither trained on nor scored"
_SIDES = "; in a flipped photo left and right classes are swapped"
_PLAIN = "void is neither trained on nor scored"
_INEXACT = "magenta: the mask's colour is not exactly that of a class, so the class was guessed"


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
    """Draw samples of the data.

    Args:
        output: the picture's file; more pages are saved next to it as `sheet_2.png`.
        overrides: keys and groups of conf/train.yaml about data, e.g. `data=synthetic`.
        config_dirs: folders with custom config groups.
        count: how many samples, evenly spaced over the split.
        split: `train`, `val` or `test`, as in the source.
        augmented: show training photos before and after augmentation, at the net's size.
        inexact: show where the mask's classes were guessed.

    Returns:
        The pictures' files.

    Raises:
        ConfigError: wrong options or keys.
        DataError: the data are missing, or none of the samples can be shown.
        MachineError: the picture cannot be written.
    """
    _require_sensible(output, count, split, augmented, inexact)
    faces = choose_data(overrides, config_dirs, verb="data preview")
    if augmented:
        title, total, entries = _augmented(faces, count)
        columns: Sequence[str] = ("photo", "as the net sees it", "its target")
        note = _AUGMENTED + (_SIDES if faces.taxonomy.pairs else "")
    else:
        chosen, title = _chosen(faces, split, count)
        total, entries = len(chosen), _entries(faces, chosen, inexact)
        columns = ("photo", "mask", "guessed" if inexact else "overlay")
        note = _INEXACT if inexact else _PLAIN
    pages = -(-total // _PAGE)
    written: list[Path] = []
    while page := list(islice(entries, _PAGE)):  # one page of samples in memory at a time
        index = len(written) + 1
        path = output if index == 1 else output.with_stem(f"{output.stem}_{index}")
        full_title = f"{title} (page {index} of {pages})" if pages > 1 else title
        shown = note if note != _PLAIN or any(entry.void for entry in page) else ""
        sheet = draw_sheet(page, columns, faces.taxonomy, title=full_title, note=shown)
        with replacing(path) as part:
            sheet.save(part, format=_FORMATS[output.suffix.casefold()], quality=92)  # PNG has no quality
        written.append(path)
    return written


def _require_sensible(output: Path, count: int, split: str, augmented: bool, inexact: bool) -> None:
    problems = []
    if output.suffix.casefold() not in _FORMATS:
        problems.append(f"-o {output}: no image format; expected one of {', '.join(_FORMATS)}.")
    if count < 1:
        problems.append(f"--count {count}: expected 1 or more.")
    if augmented and inexact:
        problems.append("--augmented --inexact: two different sheets; call it once for each.")
    if augmented and split != "train":
        problems.append(f"--augmented --split {split}: only training photos are augmented; omit --split.")
    if problems:
        raise ConfigError(*problems)
    if output.is_dir():
        raise MachineError(f"-o {output}: a folder of that name is in the way; choose another name.")
    require_writable(output.parent, f"-o {output}")


def _chosen(faces: FaceDataModule, split: str, count: int) -> tuple[list[Sample], str]:
    """Evenly spaced samples of a split and the sheet's title; problems with other samples are logged."""
    found = faces.source.survey()
    if not found.samples:
        raise DataError(*found.problems)
    for problem in found.problems[:_LISTED]:
        log.warning("%s", problem)
    if len(found.problems) > _LISTED:
        log.warning("... and %d more; facesegl data check lists all.", len(found.problems) - _LISTED)
    samples = [sample for sample in found.samples if sample.split == split]
    if not samples:
        counts = Counter(sample.split for sample in found.samples)
        there = ", ".join(f"{name} ({photos})" for name, photos in counts.items())
        raise ConfigError(f"--split {split}: no such photos in {faces.source.title}; there are {there}.")
    indices = np.unique(np.linspace(0, len(samples) - 1, min(count, len(samples))).round().astype(int))
    spaced = ", evenly spaced" if len(indices) < len(samples) else ""
    title = f"{faces.source.title}: {len(indices)} of {number(len(samples), f'{split} photo')}{spaced}"
    return [samples[index] for index in indices], title


def _entries(faces: FaceDataModule, samples: Sequence[Sample], inexact: bool) -> Iterator[Entry]:
    """Photo, mask and overlay of each sample; samples that cannot be shown are logged."""
    box = _LARGE_BOX if len(samples) < 3 else _BOX
    problems: list[str] = []
    shown = 0
    for sample in track(samples, total=len(samples), what="drawing samples"):
        try:
            entry = _entry(faces, sample, inexact, box)
        except DataError as error:
            problems += error.problems
            continue
        shown += 1
        yield entry
    if not shown:
        raise DataError(*grouped(problems))
    for line in grouped(problems):
        log.warning("%s Left out.", line)


def _entry(faces: FaceDataModule, sample: Sample, inexact: bool, box: int) -> Entry:
    taxonomy = faces.taxonomy
    photo = open_photo(sample.photo)
    decoded = faces.source.read_mask(sample, taxonomy)
    size, mask_size = (f"{width} x {height}" for height, width in (photo.shape[:2], decoded.mask.shape))
    if size != mask_size:
        raise DataError(f"{sample.mask}: the mask is {mask_size}, its photo {size}.")
    small, mask = fit_photo(photo, box), fit_mask(decoded.mask, box, taxonomy.num_classes)
    if inexact:
        last = mark(small, fit_share(decoded.inexact, box), _GUESSED)
        remark = f"{percent(float(decoded.inexact.mean()))} guessed"
    else:
        last, remark = np.asarray(overlay(small, mask, taxonomy)), size
    return Entry(sample.id, remark, [small, _painted(mask, taxonomy), last], VOID in mask)


def _augmented(faces: FaceDataModule, count: int) -> tuple[str, int, Iterator[Entry]]:
    """The sheet's title, the number of its samples, and the samples before and after augmentation."""
    faces.setup("fit")
    shown = min(count, len(faces.train), _MOST_AUGMENTED)
    if shown < min(count, len(faces.train)):
        log.info("--count %d: %d are shown, since they are augmented in one batch.", count, shown)
    plain, augmented, ids = faces.preview_augmented(shown)
    box = max(faces.image_size, _BOX) if shown < 3 else _BOX
    size = f"{faces.image_size} x {faces.image_size}"
    title = f"{faces.source.title}: {shown} of {number(len(faces.train), 'training photo')}, augmented, at {size}"

    def entries() -> Iterator[Entry]:
        for index, name in enumerate(ids):
            images = [batch.image[index].permute(1, 2, 0).to(torch.uint8).numpy() for batch in (plain, augmented)]
            mask = fit_mask(augmented.target[index].to(torch.uint8).numpy(), box, faces.taxonomy.num_classes)
            photos = [fit_photo(image, box) for image in images]
            yield Entry(name, "", [*photos, _painted(mask, faces.taxonomy)], VOID in mask)

    return title, shown, entries()


def _painted(mask: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
    """(H, W, 3) uint8: a mask (H, W) in its classes' colours, void hatched."""
    return hatch_void(mask_to_colours(mask, taxonomy), mask)
