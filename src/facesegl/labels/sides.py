"""Which classes look like the two sides of one thing, by their names."""

import re
from collections.abc import Sequence

_OTHER = {"left": "right", "right": "left", "l": "r", "r": "l", "lt": "rt", "rt": "lt"}


def likely_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Names that differ in nothing but left and right, in the order in which they come.

    Example:
        >>> likely_pairs(["skin", "l_eye", "r_eye", "Left Ear", "Right Ear", "u_lip", "l_lip", "browLeft", "browRight"])
        [('l_eye', 'r_eye'), ('Left Ear', 'Right Ear'), ('browLeft', 'browRight')]
    """
    by_words = {_words(name): name for name in names}
    pairs: list[tuple[str, str]] = []
    for words, name in by_words.items():
        other = by_words.get(tuple(_OTHER.get(word, word) for word in words))
        if other not in (None, name) and not any(name in pair for pair in pairs):
            pairs.append((name, str(other)))
    return pairs


def _words(name: str) -> tuple[str, ...]:
    """`leftEye`, `left_eye` and `Left eye` are the same two words."""
    return tuple(word.casefold() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^\W\d_A-Za-z]+", name))
