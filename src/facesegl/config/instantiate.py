"""Instantiate the nodes of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from facesegl.config.hydra_versions import execution_whitelist
from facesegl.errors import ConfigError, FaceseglError

if TYPE_CHECKING:
    from omegaconf import DictConfig


def build(node: DictConfig | Mapping[str, Any] | None, **given: Any) -> Any:
    """Instantiate a node, with builtin containers in place of OmegaConf's.

    Args:
        node: a mapping with a `_target_`, or a mapping of such nodes by name, whose nulls are left out.
        given: further arguments, passed to the constructor unchanged.

    Returns:
        The object; with `_partial_: true` a function of the missing arguments; a dictionary for nodes by name; None for
        no node.

    Raises:
        ConfigError: the constructor raised a TypeError, ValueError or ImportError.
        FaceseglError: the constructor raised it.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    if not node:
        return None
    if "_target_" not in node:
        return {str(name): build(inner, **given) for name, inner in node.items() if inner is not None}
    try:
        deferred = instantiate(node, _convert_="all", _partial_=True, **execution_whitelist(node))
        # Hydra would copy what is given into a config, and 1.4 would refuse what a function that builds nets returns
        construct = partial(deferred.func, *deferred.args, **deferred.keywords | given)
        return construct if node.get("_partial_") else construct()
    except Exception as error:
        cause: BaseException = error
        # Hydra wraps the constructor's exception
        while isinstance(cause, InstantiationException) and cause.__cause__ is not None:
            cause = cause.__cause__
        if isinstance(cause, FaceseglError):
            raise cause from cause.__cause__
        refused = isinstance(cause, TypeError | ValueError | ImportError | InstantiationException)
        if (
            not refused and type(cause).__name__ != "MisconfigurationException"
        ):  # Lightning's, which may not be installed
            raise  # a bug, which keeps its traceback
        reason = " ".join(str(cause).split()) or type(cause).__name__
        raise ConfigError(f"{_key(node)}: {node['_target_']} cannot be built: {reason}") from cause


def _key(node: DictConfig | Mapping[str, Any]) -> str:
    """A node's key in its config; OmegaConf's errors are the only public API that has it."""
    try:
        node["\0"]
    except KeyError as error:
        return str(getattr(error, "full_key", None) or "").rpartition(".")[0] or "config"
    return "config"
