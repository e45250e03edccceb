"""Build the objects that a plan's nodes name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from facesegl.errors import ConfigError, FaceseglError

if TYPE_CHECKING:
    from omegaconf import DictConfig


def build(node: DictConfig | Mapping[str, Any] | None, **given: Any) -> Any:
    """Build what a node names, with builtin values in place of OmegaConf's.

    Args:
        node: a mapping with a `_target_`, or a mapping of such nodes by name, whose nulls are left out.
        given: further arguments; they reach the constructor as they are.

    Returns:
        The object; with `_partial_: true` a function of what is still missing; a dictionary for nodes by name;
        None for no node.

    Raises:
        ConfigError: the constructor refused, with a TypeError, ValueError or ImportError of its own.
        FaceseglError: what the constructor itself raised of these.
    """
    if not node:
        return None
    if "_target_" not in node:
        return {str(name): build(inner, **given) for name, inner in node.items() if inner is not None}
    try:
        deferred = _deferred(node)
        return partial(deferred, **given) if node.get("_partial_") else deferred(**given)
    except FaceseglError:
        raise
    except Exception as error:
        cause = _cause(error)
        if isinstance(cause, FaceseglError):
            raise cause from cause.__cause__
        if not _is_refusal(cause):
            raise
        reason = " ".join(str(cause).split()) or type(cause).__name__
        raise ConfigError(f"{_key(node)}: {node['_target_']} cannot be built: {reason}") from cause


def _deferred(node: DictConfig | Mapping[str, Any]) -> Any:
    """A node's constructor with its arguments built, not yet called: Hydra would copy what is given into a config."""
    from hydra.utils import instantiate

    return instantiate(node, _convert_="all", _partial_=True)


def _cause(error: BaseException) -> BaseException:
    """What a constructor raised, out of Hydra's wrapping; Hydra's own refusal where that is all there is."""
    from hydra.errors import InstantiationException

    while isinstance(error, InstantiationException) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _is_refusal(error: BaseException) -> bool:
    """Whether a constructor said no to its arguments; anything else is a bug and keeps its traceback."""
    from hydra.errors import InstantiationException

    lightnings = type(error).__name__ == "MisconfigurationException"  # by name: Lightning may not be there to import
    return lightnings or isinstance(error, TypeError | ValueError | ImportError | InstantiationException)


def _key(node: DictConfig | Mapping[str, Any]) -> str:
    """Where a node stands in its config, as far as it knows."""
    from omegaconf import DictConfig

    return (node._get_full_key(None) if isinstance(node, DictConfig) else "") or "config"
