"""The parameters of a class or function: their names and types."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from facesegl.text import nearest
from facesegl.user_modules import import_named


def locate(target: str) -> Callable[..., Any]:
    """Import the class or function with a dotted name.

    Raises:
        ImportError: it cannot be imported, or is not callable.
    """
    parts = target.split(".")
    found = import_named(parts[0])
    for i, name in enumerate(parts[1:], start=1):
        parent = ".".join(parts[:i])
        try:
            if not hasattr(found, name):
                importlib.import_module(f"{parent}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{parent}.{name}":  # the module exists, and an import in it fails
                raise
            hint = f"; did you mean {guess}?" if (guess := nearest(name, dir(found))) else ""
            raise ImportError(f"{parent} has no {name}{hint}") from error
        found = getattr(found, name)
    if not callable(found):
        raise ImportError(f"expected a class or function, found a {type(found).__name__}")
    return found


@dataclass(frozen=True)
class Signature:
    """The parameters of a callable.

    Attributes:
        hints: the type of each parameter that can be given by name; Any where it is unknown.
        required: parameters without a default, in order.
        positional: parameters that can be given by position, in order.
        open: whether a `**kwargs` takes further names.
    """

    hints: dict[str, Any]
    required: list[str]
    positional: list[str]
    open: bool

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Signature | None:
        """The signature of a class or function; None if Python cannot inspect it."""
        try:
            own = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):
            return None
        named = [p for p in own if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        is_open = any(p.kind is p.VAR_KEYWORD for p in own)
        return cls(
            hints=(_inherited(function) if is_open else {}) | {p.name: _hint(p, function) for p in named},
            required=[p.name for p in named if p.default is p.empty],
            positional=[p.name for p in own if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)],
            open=is_open,
        )


def path_keys(node: Mapping[str, Any]) -> list[str]:
    """The keys of a node whose parameters take a path, alone or in a mapping."""
    try:
        signature = Signature.of(locate(str(node["_target_"])))
    except Exception:  # not a node, or its class does not import, which the check reports
        return []
    hints = signature.hints if signature else {}
    return [str(name) for name in node if _takes_path(hints.get(str(name)))]


def _takes_path(hint: Any) -> bool:
    return hint is Path or any(map(_takes_path, typing.get_args(hint)))


def _inherited(function: Callable[..., Any]) -> dict[str, Any]:
    """The parameters to which a class most likely passes its `**kwargs`: those of the next `__init__` above it."""
    parents = inspect.getmro(function)[1:-1] if inspect.isclass(function) else ()
    signatures = map(Signature.of, (parent for parent in parents if "__init__" in vars(parent)))
    return next((signature.hints for signature in signatures if signature), {})


def _hint(parameter: inspect.Parameter, function: Callable[..., Any]) -> Any:
    """A parameter's type; Any if it has none, or one that only a type checker imports."""
    if parameter.annotation is parameter.empty:
        return Any
    holder = SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    defining: Any = inspect.unwrap(function.__init__ if inspect.isclass(function) else function)
    names = getattr(defining, "__globals__", {})
    try:
        return typing.get_type_hints(holder, names, include_extras=True)[parameter.name]
    except Exception:  # evaluating an annotation of foreign code may raise anything
        return Any
