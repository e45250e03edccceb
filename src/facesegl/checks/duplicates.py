"""Duplicate photos, by a hash of their pixels, and similar photos, by their difference hash (dHash).

The dHash is taken from the photo in grey at 17x16 pixels: a bit for each pixel that is darker than its right neighbour.
Photos whose hashes differ in at most `ALIKE` bits look alike.

docs/fasseg.md has the measurements behind the threshold. Two shots of one person are different pictures: only a list of
persons identifies persons.
"""

from collections.abc import Hashable, Sequence
from typing import TypeVar

import numpy as np
from PIL import Image

from facesegl.checks.facts import Labelled, PhotoFacts
from facesegl.console import track

Photo = TypeVar("Photo", bound=Labelled)

Similar = tuple[list[tuple[PhotoFacts, PhotoFacts, int]], int]
"""(photo, its nearest photo, differing bits), the most similar first; and the number of photos compared."""

BITS = 256
"""The length of a hash."""

ALIKE = 36
"""Photos look alike if at most this many bits of their hashes differ."""

_FLAT = 8  # grey levels: a photo that varies less over 17x16 pixels cannot be recognized
_STEP = 2048  # photos compared with as many others at a time: 16 MB of distances


def dhash(image: np.ndarray) -> bytes | None:
    """The difference hash of an image.

    Args:
        image: (H, W, 3) uint8.

    Returns:
        256 bits, row by row from the top left; None if the image is almost one colour.
    """
    small = Image.fromarray(image).convert("L").resize((17, 16), Image.Resampling.LANCZOS)
    grey = np.asarray(small).astype(np.int16)
    if np.ptp(grey) < _FLAT:
        return None
    return np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes()


def identical(photos: Sequence[Photo], among: Sequence[Photo]) -> list[tuple[Photo, Photo]]:
    """Pairs of a photo and the first other photo in `among` with identical pixels."""
    first = _first_by_pixels(among)
    return [(photo, first[photo.pixels]) for photo in photos if first.get(photo.pixels, photo) is not photo]


def similar_across(photos: Sequence[PhotoFacts], among: Sequence[PhotoFacts]) -> Similar:
    """Photos that look like a photo of another split, except identical ones."""
    others = [photo for photo in among if photo.dhash]
    known = {photo.pixels for photo in others}
    hashed = [photo for photo in photos if photo.dhash and photo.pixels not in known]
    if not (hashed and others):
        return [], 0
    indices, bits = nearest(_hashes(hashed), _hashes(others))
    return _alike(hashed, [others[index] for index in indices], bits, len(hashed))


def similar_within(photos: Sequence[PhotoFacts]) -> Similar:
    """Photos that look like an earlier one of the same split, unless they share a group."""
    hashed = [photo for photo in _first_by_pixels(photos).values() if photo.dhash]
    if len(hashed) < 2:
        return [], 0
    indices, bits = nearest(_hashes(hashed))
    others = [hashed[index] for index in indices]
    grouped = np.array([one.sample.group == other.sample.group for one, other in zip(hashed[1:], others, strict=True)])
    return _alike(hashed[1:], others, np.where(grouped, BITS, bits), len(hashed))


def nearest(hashes: Sequence[bytes], among: Sequence[bytes] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest hash (fewest differing bits) to each hash; the first of several.

    Args:
        hashes: N hashes of the same length.
        among: at least one hash of that length; None to compare each hash but the first with the earlier ones.

    Returns:
        Indices into `among`, (N,) int64, and the number of differing bits, (N,) int64. Without `among`: indices into
        `hashes`, both (N - 1,), beginning with the second hash.

    Example:
        >>> nearest([bytes([0b1100])], [bytes([0b0011]), bytes([0b1000])])
        (array([1]), array([1]))
        >>> nearest([bytes([0b1100]), bytes([0b0011]), bytes([0b1000])])
        (array([0, 0]), array([4, 1]))
    """
    earlier = among is None
    hashes, among = (hashes[1:], hashes) if among is None else (hashes, among)
    indices, agreeing = (np.empty(len(hashes), dtype=np.int64) for _ in range(2))
    starts = range(0, len(hashes), _STEP)
    # brute force, one matrix product per block: an index is no faster when all photos are alike
    for start in track(starts, total=len(starts), what="comparing photos") if len(starts) > 1 else starts:
        block = _signs(hashes[start : start + _STEP])
        index, highest = np.zeros(len(block), dtype=np.int64), np.full(len(block), -np.inf, dtype=np.float32)
        for first in range(0, start + len(block) if earlier else len(among), _STEP):
            against = block @ _signs(among[first : first + _STEP]).T
            if earlier:
                rows, columns = np.indices(against.shape, sparse=True)
                against[columns + first > rows + start] = -np.inf
            best = against.argmax(axis=1)
            value = against[np.arange(len(block)), best]
            index[value > highest] = (best + first)[value > highest]
            highest = np.maximum(highest, value)
        indices[start : start + _STEP], agreeing[start : start + _STEP] = index, highest
    return indices, (8 * len(among[0]) - agreeing) // 2


def _signs(hashes: Sequence[bytes]) -> np.ndarray:
    """Hashes as (N, bits) float32 of 1 and -1: the dot product of two is the equal minus the differing bits."""
    bits = np.unpackbits(np.frombuffer(b"".join(hashes), dtype=np.uint8)).reshape(len(hashes), -1)
    return bits.astype(np.float32) * 2 - 1


def _first_by_pixels(photos: Sequence[Photo]) -> dict[Hashable, Photo]:
    first: dict[Hashable, Photo] = {}
    for photo in photos:
        first.setdefault(photo.pixels, photo)
    return first


def _hashes(photos: Sequence[PhotoFacts]) -> list[bytes]:
    return [photo.dhash or b"" for photo in photos]


def _alike(photos: list[PhotoFacts], others: list[PhotoFacts], bits: np.ndarray, compared: int) -> Similar:
    """The pairs whose hashes differ in few bits, most similar first; `bits` is (N,) int64."""
    order = np.argsort(bits, kind="stable")[: int((bits <= ALIKE).sum())]
    return [(photos[index], others[index], int(bits[index])) for index in order], compared
