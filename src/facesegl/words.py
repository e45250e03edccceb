"""Counts and lists in words."""

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
