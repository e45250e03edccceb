"""How many pixels of the masks were guessed, since their colour is not exactly that of a class."""

from collections.abc import Iterator, Sequence

from facesegl.checks.facts import Facts, PhotoFacts
from facesegl.checks.finding import Case, Finding, percent

_MUCH = 0.05  # of all pixels: FASSEG's anti-aliased rims take 2.4 %
_MUCH_OF_ONE = 0.1  # of one mask's; FASSEG V2's worst has 3.5 %
_SHOWN = 3  # masks that are named where none has too many


def check_colours(facts: Facts) -> Iterator[Finding]:
    """How much of the masks was guessed, and in which most; nothing where they are exact."""
    ranked = sorted(facts.photos, key=lambda photo: -photo.guessed)
    if not (ranked and ranked[0].guessed):
        return
    shares = {split: facts.counts(split).guessed for split in facts.splits}
    worst = [photo for photo in ranked if photo.guessed > _MUCH_OF_ONE]
    bad = bool(worst) or max(shares.values()) > _MUCH
    yield Finding(
        "warning" if bad else "note",
        "inexact",
        f"{_said(shares)} have no class's exact colour{_many(worst)}",
        "See where they were guessed: facesegl data preview --inexact. Masks saved as JPEG or resized have many."
        if bad
        else "Nothing: so few are rims between classes, or specks. facesegl data preview --inexact shows where.",
        [_case(photo) for photo in worst or ranked[:_SHOWN]],
    )


def _said(shares: dict[str, float]) -> str:
    return " and ".join(f"{percent(share)} of the pixels of {split}" for split, share in shares.items())


def _many(worst: Sequence[PhotoFacts]) -> str:
    return f"; in {len(worst)} of the masks more than {percent(_MUCH_OF_ONE)}" if worst else ""


def _case(photo: PhotoFacts) -> Case:
    return Case(f"{photo.sample.id} {percent(photo.guessed)}", (photo.sample.id,))
