"""Segment photos: masks, pictures and a table of them in a folder. No torch unless a model needs it.

out/<name>.png                  the index mask: a pixel is its class's index (8 bits, grey: any reader gets it)
out/colours/<name>.png          the mask in the classes' colours, R-G-B
out/overlays/<name>.jpg         the mask over the photo (.png where a side is too long for JPEG)
out/probabilities/<name>.npy    (classes, rows, columns) float32, where asked for
out/predictions.csv             a row a photo

A name is the photo's path below the folder that was given, without its ending; `photos.output_names` has the rest.
"""

import csv
import errno
import functools
import io
import logging
import tempfile
import time
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
from facesegl.files import machine_errors, readable, replacing, write_text
from facesegl.labels.decode import mask_to_colours
from facesegl.labels.taxonomy import Taxonomy
from facesegl.prediction.model import Model
from facesegl.prediction.photo_files import (
    COLOURS,
    OVERLAYS,
    PROBABILITIES,
    TABLE,
    Photo,
    files_of,
    list_photos,
    output_names,
)
from facesegl.prediction.predictor import Prediction, Predictor
from facesegl.sources.photo import open_photo
from facesegl.text import a_few

log = logging.getLogger(__name__)

_MOST_NAMED = 12  # of more classes than these, no more are told than that; the table has all
_ENDS_ALL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}  # no other photo would fare better
_PIXELS = 1 << 24  # a batch of more pixels than this takes no further photo, so that memory is bounded
_MARK = "facesegl predict"
_JPEG_SIDE = 65500  # the longest side that JPEG can have


@dataclass(frozen=True)
class Segmented:
    """What is said of a photo in the table.

    Attributes:
        file: the photo, as it was given.
        output: its index mask, seen from the table.
        width: pixels of the upright photo.
        height: pixels of the upright photo.
        shares: of each class, 0 to 1.
        confidence: the mean over pixels of the largest probability.
        seconds: from opening it to its last file, with its part of its batch's time in the net.
    """

    file: Path
    output: str
    width: int
    height: int
    shares: tuple[float, ...]
    confidence: float
    seconds: float


@dataclass
class Predicted:
    """What a prediction has come to.

    Attributes:
        target: the folder of all outputs.
        names: the classes.
        photos: those that were segmented, in order.
        failed: a line for each of the others.
        seconds: how long all of it took.
    """

    target: Path
    names: tuple[str, ...]
    photos: list[Segmented] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        """How many photos there were, what is on them, and where to look: a few lines."""
        failed = f", {len(self.failed)} failed" if self.failed else ""
        lines = [f"photos:   {len(self.photos)} segmented{failed}, in {duration(self.seconds)}"]
        if self.photos:
            means = np.mean([photo.shares for photo in self.photos], axis=0)
            lines += [
                f"shares:   {_in_words(self.names, means)} (mean over photos)",
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
    batch_size: int,
    trust: Sequence[str],
) -> Predicted:
    """Segment photos. One that cannot be opened or written is named in `failed`, and the others are done.

    Args:
        models: what `Predictor` takes; the probabilities of several are averaged.
        photos: files, and folders that are searched through.
        target: the folder to write to; what else lies there stays.
        device: auto, cpu, cuda or mps.
        tta: look at each photo mirrored as well.
        probabilities: whether they are written too.
        batch_size: how many photos go through the net at a time.
        trust: packages beside facesegl whose classes a checkpoint may name.

    Raises:
        ConfigError: what is asked for contradicts itself, or would overwrite a photo.
        DataError: no photos; all problems are told at once.
        MachineError: the target cannot be written, the disk is full, or the device is not there.
        CheckpointError: a model's file is wrong.
    """
    started = time.perf_counter()
    jobs = _jobs(photos, target, batch_size)
    predictor = Predictor(*models, device=device, tta=tta, trust=trust)
    write = functools.partial(_write, target=target, taxonomy=predictor.taxonomy, probabilities=probabilities)
    predicted = Predicted(target, predictor.names)
    _gather(predicted, track(_outcomes(jobs, predictor, write, batch_size), total=len(jobs), what="segmenting"))
    predicted.seconds = time.perf_counter() - started
    return predicted


def _in_words(names: Sequence[str], shares: np.ndarray) -> str:
    """The share (C,) of each class; where there are many, of those that are largest, and of the others together."""
    named = list(range(len(names)))
    if len(names) > _MOST_NAMED:
        largest = np.argsort(-shares, kind="stable")[:_MOST_NAMED]
        named = sorted(place for place in largest.tolist() if shares[place] >= 5e-4)
    told = [f"{names[place]} {shares[place]:.1%}" for place in named]
    if others := len(names) - len(named):
        told.append(f"{others} others {max(1 - shares[named].sum(), 0):.1%}")
    return ", ".join(told)


def _jobs(photos: Sequence[Path], target: Path, batch_size: int) -> dict[str, Photo]:
    """The photos by the names of their outputs; raises what can be known before a model is opened."""
    if batch_size < 1:
        raise ConfigError(f"batch size {batch_size}: no photo would go through the net; expected 1 or more.")
    listed = list_photos(photos, target)
    jobs = dict(zip(output_names(listed), listed, strict=True))
    _refuse_overwriting(jobs, target)
    _require_writable(target)
    return jobs


def _gather(predicted: Predicted, outcomes: "Iterable[Segmented | str]") -> None:
    """Take in what comes; whatever ends it, the table then lists the photos whose files are all there."""
    _write_table(predicted)  # that of another run would speak of masks that are about to change
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
    """Never write into a folder that photos are read from, nor over a picture that is not an earlier prediction.

    Raises:
        ConfigError: something would be.
    """
    folder = target.resolve()
    written = {(folder / file).parent for name in jobs for file in files_of(name)}
    both = {photo.place.parent: photo.path.parent for photo in jobs.values() if photo.place.parent in written}
    if both:
        raise ConfigError(
            f"{target}: masks would be written among the photos in {', '.join(map(str, both.values()))}; give another "
            f"place for them, so that no photo is overwritten."
        )
    pictures = (target / file for name in jobs for file in files_of(name) if not file.startswith(f"{PROBABILITIES}/"))
    if others := [str(path) for path in pictures if path.is_file() and not _is_ours(path)]:
        raise ConfigError(
            f"{target}: masks would be written over {a_few(others)}, which facesegl has not made; give another "
            f"place for them."
        )


def _is_ours(path: Path) -> bool:
    """Whether a picture is marked as an output of a prediction."""
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            return _MARK in (image.info.get("Software"), image.info.get("comment", b"").decode("ascii", "replace"))
    except (OSError, ValueError, SyntaxError):
        return False


def _require_writable(target: Path) -> None:
    """Try a nameless file where the target is, or will be made.

    Raises:
        MachineError: why that is not possible.
    """
    with machine_errors(target):
        target = target.absolute()
        there = next(folder for folder in (target, *target.parents) if folder.exists())
        tempfile.TemporaryFile(dir=there).close()


class _Opened(NamedTuple):
    """A photo in memory: (H, W, 3) uint8."""

    name: str
    photo: Photo
    pixels: np.ndarray
    seconds: float


_Write = Callable[[_Opened, Prediction], Segmented]


def _outcomes(
    jobs: Mapping[str, Photo], predictor: Predictor, write: _Write, batch_size: int
) -> Iterator[Segmented | str]:
    """Of each photo, as it is done, what it came to, or what is wrong with it; photos are opened when they are due."""
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


def _segment(batch: Sequence[_Opened], predictor: Predictor, write: _Write) -> Iterator[Segmented | str]:
    started = time.perf_counter()
    predictions = predictor.many([opened.pixels for opened in batch])
    in_the_net = (time.perf_counter() - started) / len(batch)
    for opened, prediction in zip(batch, predictions, strict=True):
        try:
            yield write(opened._replace(seconds=opened.seconds + in_the_net), prediction)
        except (MachineError, OSError) as error:
            reason = error.__cause__ if isinstance(error, MachineError) else error
            if not isinstance(reason, OSError) or reason.errno in _ENDS_ALL:
                raise
            yield f"{opened.photo.path}: its files were not all written; {error}"


def _write(
    opened: _Opened, prediction: Prediction, *, target: Path, taxonomy: Taxonomy, probabilities: bool
) -> Segmented:
    """Write all files of a photo, the index mask last: where it is, the others are."""
    started = time.perf_counter()
    index, name = prediction.index, opened.name
    height, width = index.shape
    if probabilities:
        _write_probabilities(target / PROBABILITIES / f"{name}.npy", prediction)
    if max(height, width) <= _JPEG_SIDE:
        with replacing(target / OVERLAYS / f"{name}.jpg") as part:
            overlay(opened.pixels, index, taxonomy).save(
                part, "JPEG", quality=92, subsampling=0, comment=_MARK.encode()
            )
    else:
        with replacing(target / OVERLAYS / f"{name}.png") as part:
            overlay(opened.pixels, index, taxonomy).save(part, "PNG", pnginfo=_marked())
    with replacing(target / COLOURS / f"{name}.png") as part:
        Image.fromarray(mask_to_colours(index, taxonomy)).save(part, "PNG", pnginfo=_marked())
    with replacing(target / f"{name}.png") as part:
        Image.fromarray(index).save(part, "PNG", pnginfo=_marked())
    shares = np.bincount(index.ravel(), minlength=taxonomy.num_classes) / index.size
    return Segmented(
        file=opened.photo.path,
        output=f"{name}.png",
        width=width,
        height=height,
        shares=tuple(shares.tolist()),
        confidence=prediction.confidence,
        seconds=opened.seconds + time.perf_counter() - started,
    )


def _marked() -> PngInfo:
    """By which a later prediction knows that it may write over a picture."""
    info = PngInfo()
    info.add_text("Software", _MARK)
    return info


def _write_probabilities(path: Path, prediction: Prediction) -> None:
    """Write (C, H, W) float32 a band at a time, so that they are never held at once.

    Not through a memory map: on a full disk that ends the process instead of raising.
    """
    (height, width), classes = prediction.shape, len(prediction.names)
    header = {"descr": "<f4", "fortran_order": False, "shape": (classes, height, width)}
    with replacing(path) as part, part.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        begin = file.tell()
        for rows, band in prediction.bands():
            for number, of_class in enumerate(band):
                file.seek(begin + 4 * width * (number * height + rows.start))
                file.write(np.ascontiguousarray(of_class, dtype="<f4").data)


def _write_table(predicted: Predicted) -> None:
    """Write predictions.csv, whole."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    shares = [f"share_{name}" for name in predicted.names]
    writer.writerow(["file", "output", "width", "height", *shares, "confidence", "seconds"])
    for photo in predicted.photos:
        numbers = [f"{number:.6f}" for number in (*photo.shares, photo.confidence)]
        names = [readable(str(photo.file)), readable(photo.output)]
        writer.writerow([*names, photo.width, photo.height, *numbers, f"{photo.seconds:.3f}"])
    write_text(predicted.target / TABLE, text.getvalue())
