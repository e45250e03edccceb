"""The photos for themselves: turned by EXIF, tiny, huge, or with nothing on them."""

from collections.abc import Iterator

from facesegl.checks.facts import Facts, PhotoFacts
from facesegl.checks.finding import Case, Finding
from facesegl.text import number

_TINY = 64  # pixels of the shorter side: below, an eye has three or four
_HUGE = 4096  # pixels of the longer side: opened at full size for every score


def check_photos(facts: Facts) -> Iterator[Finding]:
    """What is odd about photos, whatever their masks say."""
    yield from _turned(facts)
    yield from _blank(facts)
    yield from _extreme(facts)


def _turned(facts: Facts) -> Iterator[Finding]:
    """A mask of the upright photo's size, which is not that of the photo as it is stored, follows the turn for sure."""
    turned = [photo for photo in facts.photos if photo.turn != 1 and photo.fits]
    sure = [photo for photo in turned if photo.turn >= 5 and photo.size[0] != photo.size[1]]
    unsure = [photo for photo in turned if photo not in sure]
    if unsure:
        yield Finding(
            "warning",
            "turned",
            f"{number(len(unsure), 'photo')} turned by EXIF data, with masks that fit either way",
            "Photos are turned upright, masks never: see with facesegl data preview whether these follow.",
            [_case(photo, f"EXIF orientation {photo.turn}") for photo in unsure],
        )
    if sure:
        yield Finding(
            "note",
            "turned",
            f"{number(len(sure), 'photo')} turned upright by EXIF data; their masks are upright",
            "Nothing: photos are opened upright everywhere here.",
            [_case(photo, f"EXIF orientation {photo.turn}") for photo in sure],
        )


def _blank(facts: Facts) -> Iterator[Finding]:
    blank = [photo for photo in facts.photos if photo.look is None]
    if blank:
        yield Finding(
            "warning",
            "blank",
            f"{number(len(blank), 'photo')} all but one colour",
            "Look at them; was the export broken off?",
            [Case(photo.sample.id, (photo.sample.id,)) for photo in blank],
        )


def _extreme(facts: Facts) -> Iterator[Finding]:
    tiny = sorted((photo for photo in facts.photos if min(photo.size) < _TINY), key=lambda photo: min(photo.size))
    huge = sorted((photo for photo in facts.photos if max(photo.size) > _HUGE), key=lambda photo: -max(photo.size))
    if tiny:
        yield Finding(
            "warning",
            "tiny",
            f"{number(len(tiny), 'photo')} with a side below {_TINY} pixels: too few for eyes and mouth",
            "Find them at a larger size, or take them away.",
            [_case(photo, _size(photo)) for photo in tiny],
        )
    if huge:
        yield Finding(
            "note",
            "huge",
            f"{number(len(huge), 'photo')} with a side above {_HUGE} pixels: slow to score at native size",
            "Shrink photo and mask together, the mask by nearest neighbour, if the time matters.",
            [_case(photo, _size(photo)) for photo in huge],
        )


def _case(photo: PhotoFacts, words: str) -> Case:
    return Case(f"{photo.sample.id} ({words})", (photo.sample.id,))


def _size(photo: PhotoFacts) -> str:
    return f"{photo.size[1]}x{photo.size[0]}"
