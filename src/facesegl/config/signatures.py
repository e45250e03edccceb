"""What a class or function takes: its parameters by name, each with its type."""

from __future__ import annotations

import importlib
import inspect
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from facesegl.text import nearest


def locate(target: str) -> Callable[..., Any]:
    """Import what a dotted name means.

    Raises:
        ImportError: there is no such thing, or no such callable; the message says why.
    """
    parts = target.split(".")
    found = importlib.import_module(parts[0])
    for place, name in enumerate(parts[1:], start=2):
        if not hasattr(found, name):
            _import_below(found, ".".join(parts[:place]))
        found = getattr(found, name)
    if not callable(found):
        raise ImportError(f"it is no class or function, but a {type(found).__name__}")
    return found


def _import_below(parent: Any, dotted: str) -> None:
    """Import a module that its package has not imported; a class that is not there gets its nearest namesake told."""
    try:
        importlib.import_module(dotted)
    except ModuleNotFoundError as error:
        if error.name != dotted:  # the module is there, but misses one itself
            raise
        outer, _, name = dotted.rpartition(".")
        guess = nearest(name, dir(parent))
        raise ImportError(f"{outer} has no {name}" + (f"; did you mean {guess}?" if guess else "")) from error


@dataclass(frozen=True)
class Signature:
    """What can be known of a callable's parameters without calling it.

    Attributes:
        hints: the type of each parameter that can be given by name; Any where none can be told.
        required: those without a default, in order.
        positional: those that can be given without their name, in order.
        open: takes further names, by `**kwargs`.
    """

    hints: dict[str, Any]
    required: list[str]
    positional: list[str]
    open: bool

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Signature | None:
        """The signature of a class or function; None where it has none that Python can tell."""
        try:
            own = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):
            return None
        named = [p for p in own if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        is_open = any(p.kind is p.VAR_KEYWORD for p in own)
        inherited = dict(_inherited(function)) if is_open else {}
        return cls(
            hints=inherited | {p.name: _hint(p, function) for p in named},
            required=[p.name for p in named if p.default is p.empty],
            positional=[p.name for p in own if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)],
            open=is_open,
        )


def places_in(node: Mapping[str, Any]) -> list[str]:
    """The keys of a node whose parameters take a path, alone or in a mapping: where files lie on one machine."""
    try:
        signature = Signature.of(locate(str(node["_target_"])))
    except Exception:  # no node, or one whose class does not import: the check tells of that
        return []
    hints = signature.hints if signature else {}
    return [str(name) for name in node if _takes_path(hints.get(str(name)))]


def _takes_path(hint: Any) -> bool:
    return hint is Path or any(map(_takes_path, typing.get_args(hint)))


def _inherited(function: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """The parameters that a class's `**kwargs` most likely hand on: those of the next `__init__` above it."""
    above = iter(inspect.getmro(function)[1:-1]) if inspect.isclass(function) else iter(())
    for parent in above:
        signature = Signature.of(parent) if "__init__" in vars(parent) else None
        if signature:
            yield from signature.hints.items()
            return


def _hint(parameter: inspect.Parameter, function: Callable[..., Any]) -> Any:
    """A parameter's type; Any where it has none, or names what only a type checker imports."""
    if parameter.annotation is parameter.empty:
        return Any
    holder = SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    try:
        return typing.get_type_hints(holder, _namespace(function), include_extras=True)[parameter.name]
    except Exception:  # whatever an annotation of foreign code may raise when it is evaluated
        return Any


def _namespace(function: Callable[..., Any]) -> dict[str, Any]:
    """The names that a function's annotations can mean: its module's."""
    maker: Any = function
    if inspect.isclass(function):
        maker = next((cls for cls in function.__mro__ if "__init__" in vars(cls)), function)
    module = sys.modules.get(getattr(maker, "__module__", ""))
    return dict(vars(module)) if module else {}
