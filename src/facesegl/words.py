"""Counts and lists in words."""

import math
from collections.abc import Iterable


def spaced(count: int) -> str:
    """A count with a space after every three digits.

    Example:
        >>> spaced(30000)
        '30 000'
    """
    return f"{count:,}".replace(",", " ")


def number(count: int, one: str, many: str = "") -> str:
    """A count with its noun.

    Example:
        >>> number(1, "photo"), number(30000, "photo"), number(2, "class", "classes")
        ('1 photo', '30 000 photos', '2 classes')
    """
    return f"{spaced(count)} {one if count == 1 else many or one + 's'}"


def a_few(names: Iterable[str], most: int = 5) -> str:
    """The first few names in one line, and how many there are more.

    Example:
        >>> a_few("abcdefg"), a_few("abcd", most=3)
        ('a, b, c, d, e and 2 more', 'a, b, c and 1 more')
    """
    every = list(names)
    rest = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + rest


def percent(share: float) -> str:
    """A share in per cent, to three figures.

    Example:
        >>> percent(0.02258), percent(0.346), percent(0.00031), percent(0.0), percent(0.99999)
        ('2.26 %', '34.6 %', '0.031 %', '0 %', '100 %')
    """
    return f"{100 * share:.3g} %"


def finite(value: object) -> float | None:
    """The finite number that a value is or spells; None for anything else.

    Example:
        >>> finite("1e-3"), finite("nan"), finite("unet"), finite(None)
        (0.001, None, None, None)
    """
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) else None
