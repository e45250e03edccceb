"""The shapes in the masks: specks, and parts of a face that there are too many or too few of."""

from collections.abc import Iterator

from facesegl.checks.facts import Facts, PhotoFacts
from facesegl.checks.finding import Case, Finding
from facesegl.text import number

_MANY = 20  # specks in a mask: FASSEG's masks have 8 at most; decoded by the nearest colour, they would have 40

_FRONTAL: dict[str, tuple[int, ...]] = {"eyes": (2,), "nose": (1,), "mouth": (1,)}
_EXPECTED: dict[str, dict[str, tuple[int, ...]]] = {
    "fasseg_v1": _FRONTAL,
    "fasseg_v2": _FRONTAL,
    "fasseg_v3": {**_FRONTAL, "eyes": (1, 2)},  # a profile has one
    "synthetic": _FRONTAL,
}
"""How many parts of a class a face has, by the name of the data; measured on every mask of FASSEG, where it holds."""


def check_shapes(facts: Facts) -> Iterator[Finding]:
    """What the masks would not hold if they were painted with care."""
    yield from _specks(facts)
    yield from _anatomy(facts)


def _specks(facts: Facts) -> Iterator[Finding]:
    many = sorted((photo for photo in facts.photos if photo.specks > _MANY), key=lambda photo: -photo.specks)
    if many:
        yield Finding(
            "warning",
            "specks",
            f"{number(len(many), 'mask')} with more than {_MANY} specks (islands of a few pixels)",
            "Look at them: facesegl data preview. Masks that were resized or saved as JPEG are like that.",
            [Case(f"{photo.sample.id} ({photo.specks})", (photo.sample.id,)) for photo in many],
        )


def _anatomy(facts: Facts) -> Iterator[Finding]:
    expected = {
        facts.taxonomy.names.index(name): numbers
        for name, numbers in _EXPECTED.get(facts.name, {}).items()
        if name in facts.taxonomy.names
    }
    odd = [
        Case(f"{photo.sample.id}: {words}", (photo.sample.id,))
        for photo in facts.photos
        if (words := _odd(photo, expected, facts.taxonomy.names))
    ]
    if odd:
        yield Finding(
            "warning",
            "anatomy",
            f"{number(len(odd), 'mask')} whose eyes, nose or mouth are not as many as those of every face in FASSEG",
            "Look at them: facesegl data preview. A part may be forgotten, cut in two or painted in another colour.",
            odd,
        )


def _odd(photo: PhotoFacts, expected: dict[int, tuple[int, ...]], names: tuple[str, ...]) -> str:
    found = {index: int(photo.parts[index]) for index in expected}
    return ", ".join(
        f"{count} connected {'part' if count == 1 else 'parts'} of {names[index]}"
        for index, count in found.items()
        if count not in expected[index]
    )
