"""What a photo looks like in 256 bits, and which photos look alike.

The hash is the difference hash (dHash): the photo in grey at 17x16 pixels, a bit for each pixel that is darker than the
one to its right. Photos whose hashes differ in at most `ALIKE` bits look alike.

Measured on FASSEG V2, whose photos are all frontal portraits before a wall and so harder to tell apart than most: saved
again as JPEG (quality 30), at half or a quarter of the size, squeezed to a square, in grey, a third brighter, with less
contrast, or cut by 1 % at each edge, every photo stays within 22 bits of itself. Of the seven pairs that are likely one
person in two shots, four lie within 36 bits; of the 2402 other pairs none does, the nearest at 42. (Of 64 bits, at 9x8
pixels, no threshold does that: to find two of the seven takes 4 bits and one false pair, to find four 6 bits and 15.)
Another shot of a person is another picture, though: to know persons takes a list of persons.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from facesegl.console import track

BITS = 256
"""How long a hash is."""

ALIKE = 36
"""How many of its bits may differ where two photos look alike."""

_FLAT = 8  # grey levels: what varies less over 17x16 pixels shows nothing that could be told again
_STEP = 2048  # photos that are held against as many others at a time: 16 MB of distances


def look_of(photo: np.ndarray) -> bytes | None:
    """The difference hash of a photo.

    Args:
        photo: (H, W, 3) uint8.

    Returns:
        256 bits, row by row from the top left; None where the photo is all but one colour.
    """
    small = Image.fromarray(photo).convert("L").resize((17, 16), Image.Resampling.LANCZOS)
    grey = np.asarray(small).astype(np.int16)
    if np.ptp(grey) < _FLAT:
        return None
    return np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes()


def nearest(looks: Sequence[bytes], among: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """For each hash the one of another set that differs in the fewest bits, the first of several.

    Args:
        looks: N hashes of one length.
        among: M hashes of that length, one at least.

    Returns:
        Places in `among` (N,) int64, and how many bits differ (N,) int64.

    Example:
        >>> nearest([bytes([0b1100])], [bytes([0b0011]), bytes([0b1000])])
        (array([1]), array([1]))
    """
    return _nearest(looks, among, earlier=False)


def nearest_before(looks: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """For each hash but the first the earlier one that differs in the fewest bits, as `nearest` gives it.

    Returns:
        Places (N - 1,) int64, and how many bits differ (N - 1,) int64; the first of each belongs to the second hash.

    Example:
        >>> nearest_before([bytes([0b1100]), bytes([0b0011]), bytes([0b1000])])
        (array([0, 0]), array([4, 1]))
    """
    return _nearest(looks[1:], looks, earlier=True)


def _nearest(looks: Sequence[bytes], among: Sequence[bytes], *, earlier: bool) -> tuple[np.ndarray, np.ndarray]:
    """As `nearest`, (N,) int64 each; with `earlier`, hash n has only the first n + 1 of the others to choose from.

    Every pair is looked at, in blocks, a matrix product each: no index is worse off with photos that are all alike.
    """
    places, alike = (np.empty(len(looks), dtype=np.int64) for _ in range(2))
    starts = range(0, len(looks), _STEP)
    long = len(starts) > 1
    for start in track(starts, total=len(starts), what="holding photos against each other") if long else starts:
        block = _signs(looks[start : start + _STEP])
        place, likeness = np.zeros(len(block), dtype=np.int64), np.full(len(block), -np.inf, dtype=np.float32)
        for first in range(0, start + len(block) if earlier else len(among), _STEP):
            against = block @ _signs(among[first : first + _STEP]).T
            if earlier:
                rows, columns = np.indices(against.shape, sparse=True)
                against[columns + first > rows + start] = -np.inf
            best = against.argmax(axis=1)
            value = against[np.arange(len(block)), best]
            place[value > likeness] = (best + first)[value > likeness]
            likeness = np.maximum(likeness, value)
        places[start : start + _STEP], alike[start : start + _STEP] = place, likeness
    return places, (8 * len(among[0]) - alike) // 2


def _signs(looks: Sequence[bytes]) -> np.ndarray:
    """Hashes as (N, bits) float32 of 1 and -1: the product of two such rows is the bits that agree less the others."""
    bits = np.unpackbits(np.frombuffer(b"".join(looks), dtype=np.uint8)).reshape(len(looks), -1)
    return bits.astype(np.float32) * 2 - 1
