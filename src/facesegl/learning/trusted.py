"""Build the net that a checkpoint's card names, safely for a file from an unknown source.

Nothing here uses Hydra or OmegaConf, which would resolve an `${oc.env:...}` in the file.
"""

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from facesegl.errors import CheckpointError, FaceseglError
from facesegl.user_modules import import_named


def build_trusted(node: Mapping[str, Any], *, base: type, trust: Sequence[str]) -> Any:
    """Build the class that a node names, if it derives from `base` and facesegl or a package in `trust` defines it.

    The node has a `_target_` and builtin values, with no `_target_` below it; `${...}` stays text.

    Raises:
        CheckpointError: any other node; nothing outside the trusted packages is imported before it is raised.
    """
    target = node.get("_target_")
    parameters = {name: value for name, value in node.items() if name != "_target_"}
    if not isinstance(target, str) or not _is_builtin(parameters):
        raise CheckpointError(
            f"net {target!r}: a checkpoint may hold one _target_ and builtin values; do not use this file"
        )
    trusted = ("facesegl", *([trust] if isinstance(trust, str) else trust))
    if not _is_in(target, trusted):
        package = target.partition(".")[0]
        raise CheckpointError(
            f"net {target}: not part of facesegl, and its package is not trusted; if you know its code, allow it with "
            f"trust=[{package}] (predict and export: --trust {package})"
        )
    found = _class(target)
    if not (isinstance(found, type) and issubclass(found, base) and _is_in(f"{found.__module__}.", trusted)):
        raise CheckpointError(
            f"net {target}: not a {base.__name__} that {' or '.join(trusted)} defines; do not use this file"
        )
    try:
        return found(**parameters)
    except (TypeError, ValueError, FaceseglError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"net {target}: cannot be built from the checkpoint's parameters: {reason}") from error


def _is_in(dotted: str, packages: Sequence[str]) -> bool:
    return dotted.startswith(tuple(f"{package}." for package in packages if package))


def _is_builtin(value: Any) -> bool:
    """Whether a value holds only builtin values, and no key that Hydra or Python treats as special."""
    if type(value) is dict:
        return all(type(key) is str and not key.startswith("_") and _is_builtin(inner) for key, inner in value.items())
    return all(map(_is_builtin, value)) if type(value) is list else type(value) in (type(None), bool, int, float, str)


def _class(target: str) -> Any:
    """The attribute at a dotted path if its parents are all modules, else None.

    What a module has imported is never followed: `facesegl.some_module.os.system` gives None.
    """
    module_name, _, name = target.rpartition(".")
    try:
        module = _module(module_name)
    except Exception as error:  # importing runs the package's code, which may raise anything
        raise CheckpointError(f"net {target}: {module_name} does not import: {error}") from error
    return None if module is None else getattr(module, name, None)


def _module(dotted: str) -> ModuleType | None:
    """Import a module package by package, so that nothing else is imported; None if it is not a module."""
    parts = dotted.split(".")
    if not all(part.isidentifier() and not part.startswith("__") for part in parts):
        return None
    module = import_named(parts[0])
    for end in range(2, len(parts) + 1):
        inner = ".".join(parts[:end])
        if not hasattr(module, "__path__") or importlib.util.find_spec(inner) is None:
            return None
        module = importlib.import_module(inner)
    return module
