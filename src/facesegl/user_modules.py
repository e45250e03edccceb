"""Import the modules that a user names: an installed one, or else one in the current folder.

The current folder is never on `sys.path`, where every optional import of a library would find the files in it.
"""

import importlib
import sys
from collections.abc import Sequence, Set
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Self

from facesegl.errors import ConfigError


def import_named(name: str) -> ModuleType:
    """Import a top-level module named by `trust`, by an override or by a config file.

    If no such module is installed, it may be in the current folder, and so may the modules that it imports.

    Raises:
        ModuleNotFoundError: it is in neither.
        Exception: importing it raised this.
    """
    if name not in sys.modules and find_spec(name) is None:
        current_folder.admit({name})
    return importlib.import_module(name)


def require_packages_exist(trust: Sequence[str]) -> None:
    """Check the names of trusted packages, or of modules in them, without importing any.

    Raises:
        ConfigError: one is not a name of a package, or no such package is installed or in the current folder.
    """
    problems = []
    for name in trust:
        package = name.partition(".")[0]
        if not all(part.isidentifier() for part in name.split(".")):
            problems.append(f"trust: {name!r} is not the name of a package; expected one like my_nets.")
        elif package not in sys.modules and not (find_spec(package) or PathFinder.find_spec(package, [""])):
            problems.append(f"trust: no package {package} is installed, and none is in the current folder.")
    if problems:
        raise ConfigError(*problems)


class _CurrentFolder(MetaPathFinder):
    """Finds in the current folder the modules that were named, and what these import there."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def admit(self, names: Set[str]) -> Self:
        self._names |= names
        if self not in sys.meta_path:
            sys.meta_path.append(self)  # last: a file in the folder never hides an installed module
        return self

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None or not ({fullname, _importer()} & self._names):  # a package finds its own submodules
            return None
        if spec := PathFinder.find_spec(fullname, [""]):
            self._names.add(fullname)
        return spec

    def __reduce__(self) -> tuple[Any, ...]:
        return _admit_in_worker, (self._names,)


def _importer() -> str:
    """The top-level package of the code that is importing a module."""
    frame = sys._getframe(2)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("importlib"):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _admit_in_worker(names: Set[str]) -> _CurrentFolder:
    return current_folder.admit(names) if names else current_folder


current_folder = _CurrentFolder()
"""Pickled in front of objects of custom classes, it lets a spawned process find their modules."""
