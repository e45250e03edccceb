"""Text for messages: numbers, counts with nouns, shortened lists, and suggestions for a misspelt name."""

import difflib
import itertools
import math
import re
import textwrap
from collections.abc import Collection, Iterable, Sequence

_SHARE = re.compile(r"(\d+(?:\.\d+)?)%")
_ALIKE = 0.6  # the default of difflib.get_close_matches


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
    """The first few names, and how many more there are.

    Example:
        >>> a_few("abcdefg"), a_few("abcd", most=3)
        ('a, b, c, d, e and 2 more', 'a, b, c and 1 more')
    """
    every = list(names)
    rest = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + rest


def grouped(problems: Iterable[str]) -> dict[str, list[int]]:
    """Merge problems, `PLACE: text`, that differ only in their place and in shares of pixels.

    Returns:
        Each line, with the indices of its problems, in the order of the first.

    Example:
        >>> [*grouped(["a.png: holds 5 (2% of the pixels).", "b.png: empty.", "c.png: holds 5 (3% of the pixels)."])]
        ['2 masks hold 5 (2% to 3% of the pixels): a.png, c.png.', 'b.png: empty.']
        >>> grouped(["a.png: empty.", "b.png: empty."])
        {'a.png, b.png: empty.': [0, 1]}
    """
    alike: dict[tuple[str, ...], list[tuple[int, str, list[str]]]] = {}
    for index, problem in enumerate(problems):
        place, _, text = problem.rpartition(": ") if ": " not in problem else problem.partition(": ")
        pieces = _SHARE.split(text)
        alike.setdefault(tuple(pieces[::2]), []).append((index, place, pieces[1::2]))
    return {_merged(words, same): [index for index, *_ in same] for words, same in alike.items()}


def _merged(words: Sequence[str], same: Sequence[tuple[int, str, list[str]]]) -> str:
    """The words between the shares, and an index, a place and the shares for each problem."""
    _, places, shares = zip(*same, strict=True)
    ends = [sorted({*column}, key=float) for column in zip(*shares, strict=True)]
    ranges = [f"{low}%" if low == high else f"{low}% to {high}%" for low, *_, high in (end * 2 for end in ends)]
    text = "".join(itertools.chain(*itertools.zip_longest(words, ranges, fillvalue="")))
    names = [*dict.fromkeys(filter(None, places))]
    if len(names) > 1 and text.startswith("holds "):
        return f"{len(names)} masks hold {text.removeprefix('holds ').removesuffix('.')}: {a_few(names, most=3)}."
    return f"{a_few(names, most=3)}: {text}" if names else text


def percent(share: float) -> str:
    """A share in per cent, to three figures.

    Example:
        >>> percent(0.02258), percent(0.346), percent(0.00031), percent(0.0), percent(0.99999)
        ('2.26 %', '34.6 %', '0.031 %', '0 %', '100 %')
    """
    return f"{100 * share:.3g} %"


def finite(value: object) -> float | None:
    """Convert a value to a finite float; None if that is impossible.

    Example:
        >>> finite("1e-3"), finite("nan"), finite("unet"), finite(None)
        (0.001, None, None, None)
    """
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def nearest(name: str, options: Collection[str]) -> str | None:
    """The option most similar to `name`, ignoring case, if any is similar.

    Example:
        >>> nearest("max_epoch", ["max_steps", "max_epochs"])
        'max_epochs'
        >>> nearest("UNET", ["FPN", "Unet"])
        'Unet'
    """
    alike = {option: difflib.SequenceMatcher(None, option.casefold(), name.casefold()).ratio() for option in options}
    found = max(alike, key=alike.__getitem__, default=None)  # the first of equals
    return found if found is not None and alike[found] >= _ALIKE else None


def suggestion(name: str, options: Collection[str]) -> str:
    """The remedy in a message about an unknown name.

    Example:
        >>> suggestion("chanels", ["channels", "depth"])
        'did you mean channels?'
        >>> suggestion("zoom", ["channels", "depth"])
        'there are: channels, depth'
    """
    if found := nearest(name, options):
        return f"did you mean {found}?"
    return textwrap.shorten(f"there are: {', '.join(sorted(options)) or 'none'}", width=200, placeholder=" ...")
