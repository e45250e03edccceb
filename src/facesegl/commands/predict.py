"""Predict the masks of photos. Imports torch only for a checkpoint, and never Lightning.

out/<name>.png                  the index mask: a pixel is its class's index (8-bit greyscale, or palette if asked for)
out/colours/<name>.png          the mask in the classes' colours, R-G-B
out/overlays/<name>.jpg         the mask over the photo (.png if a side is too long for JPEG)
out/probabilities/<name>.npy    (classes, rows, columns) float32, if asked for
out/predictions.csv             a row per photo

The name is the photo's path below the given folder, without its suffix.
"""

import errno
import functools
import logging
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from facesegl.console import duration, track
from facesegl.drawing.overlay import overlay
from facesegl.errors import ConfigError, DataError, MachineError
from facesegl.files import replacing, require_writable, write_csv
from facesegl.labels.decode import mask_to_colours
from facesegl.prediction.model import Model
from facesegl.prediction.photo_files import (
    COLOURS,
    OVERLAYS,
    PROBABILITIES,
    TABLE,
    Photo,
    files_of,
    list_photos,
    name_outputs,
)
from facesegl.prediction.predictor import Prediction, Predictor
from facesegl.runs.result import warn_of_unfinished
from facesegl.sources.images import open_photo
from facesegl.text import a_few, number, spaced

log = logging.getLogger(__name__)

_MOST_NAMED = 12  # classes in the summary; the table has all
_FATAL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}  # would fail for all other photos too
_PIXELS = 1 << 24  # a batch with this many pixels is full, so that memory is bounded
_MARK = "facesegl predict"
_JPEG_SIDE = 65500  # the longest side that JPEG can have


class Segmented(NamedTuple):
    """A photo's row in the table.

    Attributes:
        file: the photo, as given.
        output: its index mask, relative to the table.
        shares: the share of pixels of each class, 0 to 1.
        confidence: the mean over pixels of the largest probability.
        familiarity: how sure the net is of every class, 0 to 1; low for images unlike its training images; None if the
            model has no threshold for it.
        seconds: the time to open, segment and write it.
    """

    file: Path
    output: str
    width: int
    height: int
    shares: tuple[float, ...]
    confidence: float
    familiarity: float | None
    seconds: float


@dataclass
class Predicted:
    """The outcome of `predict`.

    Attributes:
        target: the output folder.
        names: the classes.
        unlike_below: as in `Predictor`; the table has the familiarity of each photo unless it is None.
        photos: the segmented ones, in order.
        failed: an error message for each of the others.
        seconds: the total time.
    """

    target: Path
    names: tuple[str, ...]
    unlike_below: float | None
    photos: list[Segmented] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        """A summary of a few lines."""
        failed = f", {len(self.failed)} failed" if self.failed else ""
        lines = [f"photos:   {len(self.photos)} segmented{failed}, in {duration(self.seconds)}"]
        if self.photos:
            means = np.mean([photo.shares for photo in self.photos], axis=0)
            lines += [
                f"shares:   {_shares_text(self.names, means)} (mean over photos)",
                f"masks:    {self.target} (a pixel is its class's index)",
                f"pictures: {self.target / OVERLAYS}, {self.target / COLOURS}",
            ]
        return "\n".join([*lines, f"table:    {self.target / TABLE}"])


def predict(
    models: "Sequence[str | Path | Model]",
    photos: Sequence[Path],
    target: Path,
    *,
    device: str,
    tta: bool,
    probabilities: bool,
    palette: bool,
    batch_size: int,
    trust: Sequence[str],
) -> Predicted:
    """Segment photos. Photos that cannot be opened or written are reported in `failed`; the others continue.

    Args:
        models: as for `Predictor`; the probabilities of several are averaged.
        photos: files, and folders, which are searched recursively.
        target: the output folder; other files in it are kept.
        device: auto, cpu, cuda or mps.
        tta: test-time augmentation: also predict each mirrored photo, and average.
        probabilities: whether to save the probabilities too.
        palette: whether the index masks have the classes' colours as their palette.
        batch_size: photos per forward pass.
        trust: packages other than facesegl whose classes a checkpoint may name.

    Raises:
        ConfigError: two photos have the same output path, or a photo would be overwritten.
        DataError: there are no photos, or paths are wrong.
        MachineError: the output folder cannot be written, the disk is full, or the device is not available.
        CheckpointError: a model file is wrong.
    """
    started = time.perf_counter()
    if batch_size < 1:
        raise ConfigError(f"batch size {batch_size}: expected 1 or more.")
    jobs = name_outputs(list_photos(photos, target))
    _refuse_overwriting(jobs, target)
    require_writable(target, str(target))
    predictor = Predictor(*models, device=device, tta=tta, trust=trust)
    for model in predictor.models:
        warn_of_unfinished(Path(model.name))
    write = functools.partial(_write, target=target, predictor=predictor, probabilities=probabilities, palette=palette)
    predicted = Predicted(target, predictor.names, predictor.unlike_below)
    _collect(predicted, track(_outcomes(jobs, predictor, write, batch_size), total=len(jobs), what="segmenting"))
    if earlier := _count_earlier(target, jobs):
        log.warning("%s: %s of earlier predictions, not in the table", target, number(earlier, "mask"))
    _warn_of_unlike(predicted, " + ".join(model.name for model in predictor.models))
    predicted.seconds = time.perf_counter() - started
    return predicted


def _count_earlier(target: Path, jobs: Mapping[str, Photo]) -> int:
    return sum(path.stem not in jobs and _is_ours(path) for path in target.glob("*.png"))


def _warn_of_unlike(predicted: Predicted, models: str) -> None:
    threshold = predicted.unlike_below or 0
    unlike = [str(row.file) for row in predicted.photos if row.familiarity is not None and row.familiarity < threshold]
    if unlike:
        are, masks = ("is", "its mask") if len(unlike) == 1 else ("are", "their masks")
        some = f"{spaced(len(unlike))} of {number(len(predicted.photos), 'photo')}"
        why = f"unlike the faces that {models} was trained on ({a_few(unlike)})"
        log.warning("%s %s %s: %s may be meaningless.", some, are, why, masks)


def _shares_text(names: Sequence[str], shares: np.ndarray) -> str:
    """The shares (C,) as text; for many classes, only the largest and the sum of the others."""
    named = list(range(len(names)))
    if len(names) > _MOST_NAMED:
        largest = np.argsort(-shares, kind="stable")[:_MOST_NAMED]
        named = sorted(index for index in largest.tolist() if shares[index] >= 5e-4)
    words = [f"{names[index]} {shares[index]:.1%}" for index in named]
    if others := len(names) - len(named):
        words.append(f"{others} others {max(1 - shares[named].sum(), 0):.1%}")
    return ", ".join(words)


def _collect(predicted: Predicted, outcomes: "Iterable[Segmented | str]") -> None:
    """Collect outcomes; after an interruption, too, the table lists the photos whose files are complete."""
    _write_table(predicted)  # replaces the table of an earlier run
    try:
        for outcome in outcomes:
            if isinstance(outcome, Segmented):
                predicted.photos.append(outcome)
            else:
                predicted.failed.append(outcome)
    except BaseException:
        for problem in predicted.failed:
            log.warning("%s", problem)
        raise
    finally:
        _write_table(predicted)


def _refuse_overwriting(jobs: Mapping[str, Photo], target: Path) -> None:
    """Raise a ConfigError if masks would be written among the photos, or over images that predict did not write."""
    folder = target.resolve()
    written = {(folder / file).parent for name in jobs for file in files_of(name)}
    shared = {str(photo.path.parent) for photo in jobs.values() if photo.location.parent in written}
    if shared:
        raise ConfigError(
            f"{target}: masks would be written among the photos in {', '.join(sorted(shared))}; choose another output "
            f"folder, so that no photo is overwritten."
        )
    pictures = (target / file for name in jobs for file in files_of(name) if not file.startswith(f"{PROBABILITIES}/"))
    if others := [str(path) for path in pictures if path.is_file() and not _is_ours(path)]:
        raise ConfigError(
            f"{target}: masks would be written over {a_few(others)}, which facesegl did not write; choose another "
            f"output folder."
        )


def _is_ours(path: Path) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the header alone is read
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                return _MARK in (image.info.get("Software"), image.info.get("comment", b"").decode("ascii", "replace"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


class _Opened(NamedTuple):
    """A photo in memory: (H, W, 3) uint8."""

    name: str
    photo: Photo
    pixels: np.ndarray
    seconds: float


def _outcomes(
    jobs: Mapping[str, Photo], predictor: Predictor, write: Callable[..., Segmented], batch_size: int
) -> Iterator[Segmented | str]:
    """Each photo's outcome, or its error message; photos are opened one batch at a time."""
    batch: list[_Opened] = []
    for name, photo in jobs.items():
        started = time.perf_counter()
        try:
            pixels = open_photo(photo.path)
        except DataError as error:
            yield str(error)
            continue
        batch.append(_Opened(name, photo, pixels, time.perf_counter() - started))
        if len(batch) == batch_size or sum(opened.pixels.size for opened in batch) >= 3 * _PIXELS:
            yield from _segment(batch, predictor, write)
            del pixels, batch[:]
    if batch:
        yield from _segment(batch, predictor, write)


def _segment(
    batch: Sequence[_Opened], predictor: Predictor, write: Callable[..., Segmented]
) -> Iterator[Segmented | str]:
    started = time.perf_counter()
    predictions = predictor.many([opened.pixels for opened in batch])
    net_seconds = (time.perf_counter() - started) / len(batch)
    for opened, prediction in zip(batch, predictions, strict=True):
        try:
            yield write(opened._replace(seconds=opened.seconds + net_seconds), prediction)
        except (MachineError, OSError) as error:
            reason = error.__cause__ if isinstance(error, MachineError) else error
            if not isinstance(reason, OSError) or reason.errno in _FATAL:
                raise
            yield f"{opened.photo.path}: its files were not all written; {error}"


def _write(
    opened: _Opened, prediction: Prediction, *, target: Path, predictor: Predictor, probabilities: bool, palette: bool
) -> Segmented:
    """Write all files of a photo, the index mask last: if it exists, the others do."""
    started = time.perf_counter()
    index, name, taxonomy = prediction.index, opened.name, predictor.taxonomy
    height, width = index.shape
    if probabilities:
        _write_probabilities(target / PROBABILITIES / f"{name}.npy", prediction)
    suffix = "jpg" if max(height, width) <= _JPEG_SIDE else "png"
    _save(target / OVERLAYS / f"{name}.{suffix}", overlay(opened.pixels, index, taxonomy))
    _save(target / COLOURS / f"{name}.png", Image.fromarray(mask_to_colours(index, taxonomy)))
    mask = Image.fromarray(index)
    if palette:
        mask.putpalette(taxonomy.palette().tobytes())  # 256 entries: with fewer Pillow would write fewer bits
    _save(target / f"{name}.png", mask)
    shares = np.bincount(index.ravel(), minlength=taxonomy.num_classes) / index.size
    row = opened.photo.path, f"{name}.png", width, height, tuple(shares.tolist())
    sure = prediction.confidence, None if predictor.unlike_below is None else prediction.familiarity
    return Segmented(*row, *sure, seconds=opened.seconds + time.perf_counter() - started)


def _save(path: Path, picture: Image.Image) -> None:
    """Save a picture with a mark, so that a later prediction may overwrite it."""
    with replacing(path) as part:
        if path.suffix == ".jpg":
            picture.save(part, "JPEG", quality=92, subsampling=0, comment=_MARK.encode())
        else:
            info = PngInfo()
            info.add_text("Software", _MARK)
            picture.save(part, "PNG", pnginfo=info)


def _write_probabilities(path: Path, prediction: Prediction) -> None:
    """Write (C, H, W) float32 band by band to save memory.

    Not through a memory map, which on a full disk kills the process instead of raising.
    """
    (height, width), classes = prediction.shape, len(prediction.names)
    header = {"descr": "<f4", "fortran_order": False, "shape": (classes, height, width)}
    with replacing(path) as part, part.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        begin = file.tell()
        for rows, band in prediction.bands():
            for index, of_class in enumerate(band):
                file.seek(begin + 4 * width * (index * height + rows.start))
                file.write(np.ascontiguousarray(of_class, dtype="<f4").data)


def _write_table(predicted: Predicted) -> None:
    shares = [f"share_{name}" for name in predicted.names]
    sure = ["confidence", *(["familiarity"] if predicted.unlike_below is not None else [])]
    write_csv(
        predicted.target / TABLE,
        ["file", "output", "width", "height", *shares, *sure, "seconds"],
        [
            [str(row.file), *row[1:4], *row.shares, *(getattr(row, name) for name in sure), f"{row.seconds:.3f}"]
            for row in predicted.photos
        ],
    )
