"""Open every photo and mask of a source once, in threads, and keep facts about them, not their pixels."""

from functools import partial

import numpy as np

from facesegl.checks.components import connected_parts
from facesegl.checks.duplicates import dhash
from facesegl.checks.facts import Facts, PhotoFacts, Refused
from facesegl.console import track
from facesegl.errors import DataError
from facesegl.labels.decode import TOLERANCE, Decoded, class_pixels
from facesegl.labels.taxonomy import VOID, Taxonomy
from facesegl.sources.images import open_image, orientation, photo_of, pixel_hash
from facesegl.sources.source import Sample, Source, swapped
from facesegl.threads import in_threads

SPECK = 20
"""A part with fewer pixels is a speck if the mask's sides have at least 256; smaller masks have a lower limit."""

_SAME = 0.9  # a photo is a picture of its mask if it equals the painted mask in this share of the pixels,
_SAME_OF_CLASS = 0.7  # and in this share of the pixels of a class, on average: a dark photo equals a black background
_SAMPLED = 256  # rows or columns, about, that are compared


def read_facts(source: Source, taxonomy: Taxonomy, *, strict: bool) -> Facts:
    """Read all photos and masks of a source, with a progress bar; unreadable files become facts too.

    Args:
        source: the photos and masks.
        taxonomy: their classes.
        strict: whether training refuses a mask of another size than its photo.
    """
    found = source.survey()
    photos: list[PhotoFacts] = []
    refused: list[Refused] = []
    read = in_threads(partial(_read, source, taxonomy), found.samples)
    for outcome in track(read, total=len(found.samples), what="checking photos and masks"):
        (photos if isinstance(outcome, PhotoFacts) else refused).append(outcome)  # type: ignore[arg-type]
    problems = found.problems
    if refused and not photos and (why := swapped(source, found.samples, taxonomy)):
        problems, refused = (*problems, why), []
    return Facts(source.title, taxonomy, photos, refused, problems, found.unlabelled, strict)


def _read(source: Source, taxonomy: Taxonomy, sample: Sample) -> PhotoFacts | Refused:
    try:
        image = open_image(sample.photo)
        exif_orientation, photo = orientation(image), photo_of(image)
    except DataError as error:
        return Refused(sample, False, error.problems)
    try:
        decoded = source.read_mask(sample, taxonomy)
    except DataError as error:
        return Refused(sample, _opens_as_image(sample), error.problems)
    return facts_of(sample, photo, exif_orientation, decoded, taxonomy)


def facts_of(
    sample: Sample, photo: np.ndarray, exif_orientation: int, decoded: Decoded, taxonomy: Taxonomy
) -> PhotoFacts:
    """The facts about a photo and its mask.

    Args:
        sample: the sample.
        photo: (H, W, 3) uint8, upright.
        exif_orientation: its EXIF orientation.
        decoded: the mask, (h, w), and where its class was guessed.
        taxonomy: the classes.
    """
    mask, num_classes = decoded.mask, taxonomy.num_classes
    value, size = connected_parts(mask)
    whole = size >= _min_part_size(mask)
    return PhotoFacts(
        sample=sample,
        size=photo.shape[:2],
        mask_size=mask.shape,
        exif_orientation=exif_orientation,
        pixels=pixel_hash(photo),
        dhash=dhash(photo),
        shows_mask=shows_mask(photo, mask, taxonomy),
        class_pixels=class_pixels(mask, num_classes),
        inexact=class_pixels(mask[decoded.inexact], num_classes),
        void=int((mask == VOID).sum()),
        specks=int((~whole & (value != VOID)).sum()),
        parts=class_pixels(value[whole], num_classes),
    )


def _opens_as_image(sample: Sample) -> bool:
    """Whether the files of a refused mask open as images, so that only their content is wrong."""
    try:
        for path in sample.mask_files:
            if path.suffix.casefold() != ".npy":
                open_image(path)
    except DataError:
        return False
    return True


def _min_part_size(mask: np.ndarray) -> int:
    """The smallest size in pixels of a part of a mask (H, W) that is not a speck."""
    side: int = min(256, *mask.shape)
    return max(SPECK * side * side // 256**2, 2)


def shows_mask(photo: np.ndarray, mask: np.ndarray, taxonomy: Taxonomy) -> bool:
    """Whether a photo (H, W, 3) shows its own mask (H, W), painted in the classes' colours or as indices in grey."""
    if photo.shape[:2] != mask.shape:
        return False
    step = max(min(mask.shape) // _SAMPLED, 1)
    photo, mask = photo[::step, ::step], mask[::step, ::step]
    painted = (np.abs(photo - taxonomy.palette()[mask].astype(np.int16)) <= TOLERANCE).all(axis=-1)
    return _agrees(painted, mask) or _agrees((photo == mask[..., None]).all(axis=-1), mask)


def _agrees(same: np.ndarray, mask: np.ndarray) -> bool:
    """Whether a mask (H, W) of several classes is the same, (H, W) bool, almost everywhere and in each class."""
    pixels, equal = (np.bincount(mask[chosen], minlength=256) for chosen in (np.ones_like(same), same))
    present = pixels > 0
    of_class = (equal[present] / pixels[present]).mean()
    return bool(present.sum() > 1 and same.mean() > _SAME and of_class > _SAME_OF_CLASS)
