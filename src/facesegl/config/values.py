"""Fit values to types with pydantic, and report problems in plain words."""

from __future__ import annotations

import functools
import math
import typing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError
    from pydantic_core import ErrorDetails

_WORDS = {"integer": "a whole number", "boolean": "true or false", "string": "text", "tuple": "a list"}
_LENGTHS = {"missing": "long enough", "too_short": "long enough", "too_long": "short enough"}


def fit(value: Any, hint: Any) -> tuple[Any, list[str]]:
    """Fit a value from a config to a type.

    Args:
        value: builtin, as read from YAML or the command line.
        hint: any type hint. One that pydantic cannot check (a custom class) is left to the constructor.

    Returns:
        The value converted to the type (`1` for a float is `1.0`), still builtin, and its problems, which continue the
        value's key: `: 'abc' is not a number`, or `.1: ...` for an element of a list.

    Example:
        >>> fit(1, float)
        (1.0, [])
        >>> fit([0.9, "abc"], tuple[float, float])
        ([0.9, 'abc'], [".1: 'abc' is not a number"])
    """
    from pydantic import ValidationError

    try:
        adapter = _adapter(hint)
        taken = adapter.validate_python(value)
        if isinstance(taken, float) and not math.isfinite(taken):
            return value, [f": {_shown(value)} is not a finite number"]
        if isinstance(value, bool) and not isinstance(taken, bool):
            adapter.validate_python(_Truth(value))  # Python and pydantic take true for 1
    except ValidationError as error:
        return value, _in_words(error, value)
    except Exception:  # a hint that pydantic cannot check, or foreign code behind it
        return value, []
    return _builtin(taken, value), []


@functools.cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    from pydantic import ConfigDict, TypeAdapter

    # `name=2024` is text, but 2024 stays a number where the type allows one.
    as_text = not {int, float} & {*typing.get_args(hint)}
    return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True, coerce_numbers_to_str=as_text))


class _Truth:
    """A bool that no number type accepts, shown as YAML writes it."""

    def __init__(self, value: bool) -> None:
        self.value = value

    def __repr__(self) -> str:
        return _shown(self.value)


def _builtin(taken: Any, given: Any) -> Any:
    """The fitted value with lists for tuples, or the given one if the fitted one cannot be written as YAML."""
    if isinstance(taken, list | tuple) and isinstance(given, list) and len(taken) == len(given):
        return [_builtin(*pair) for pair in zip(taken, given, strict=True)]
    if isinstance(taken, dict) and isinstance(given, dict) and taken.keys() == given.keys():
        return {key: _builtin(taken[key], given[key]) for key in given}
    return taken if isinstance(taken, bool | int | float | str | None) else given


def _in_words(error: ValidationError, value: Any) -> list[str]:
    """One problem for each wrong part of a value, with every type that it may have."""
    wrong: dict[str, list[str]] = {}
    for detail in error.errors(include_url=False):
        if detail["type"] == "is_instance_of" and value is not None:  # an object, which no config can hold
            continue
        indices = [f".{part}" for part in detail["loc"] if isinstance(part, int)]
        short = detail["type"] == "missing"  # reported for the list, not for the element that is missing
        where = "".join(indices[:-1] if short else indices)
        wrong.setdefault(f"{where}: {_shown(value if short else detail['input'])}", []).extend(_expected(detail))
    return [f"{start} is not {_join_or([*dict.fromkeys(words)])}" for start, words in wrong.items()]


def _expected(detail: ErrorDetails) -> list[str]:
    if detail["type"] in _LENGTHS:
        return [_LENGTHS[detail["type"]]]
    if detail["type"] == "literal_error":
        return str(detail["ctx"]["expected"]).replace(" or ", ", ").split(", ")
    expected = detail["msg"].removeprefix("Input should be ").split(", unable")[0].split(", got")[0]
    if noun := expected.partition("a valid ")[2]:
        return _WORDS.get(noun, f"a {noun}").replace("a dictionary", "a mapping").split(" or ")
    return [expected if expected != detail["msg"] else f"right: {expected}"]


def _join_or(words: list[str]) -> str:
    *others, last = [word for word in words if word != "a whole number" or "a number" not in words]
    return f"{', '.join(others)} or {last}" if others else last


def _shown(value: Any) -> str:
    """A value as YAML writes it, text in quotes."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return repr(value)
