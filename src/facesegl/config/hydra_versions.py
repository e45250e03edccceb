"""What Hydra 1.4 and OmegaConf 2.4 deprecate and 1.3 and 2.3 need: called so that neither warns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from facesegl.config.signatures import locate

if TYPE_CHECKING:
    from omegaconf import DictConfig


def version_base() -> dict[str, str]:
    """The argument `version_base` of Hydra 1.3; none for 1.4."""
    from hydra import __version__

    return {"version_base": "1.3"} if __version__.startswith("1.3.") else {}


def execution_whitelist(node: DictConfig | Mapping[str, Any]) -> dict[str, list[str]]:
    """The argument `_execution_whitelist_` of Hydra 1.4, which also names the classes of the targets; none for 1.3.

    In a plan these are the targets that passed the check.

    Raises:
        ImportError: a target cannot be imported.
    """
    from omegaconf import DictConfig, OmegaConf

    if version_base():
        return {}
    plain = OmegaConf.to_container(node, resolve=True) if isinstance(node, DictConfig) else node
    targets = list(_targets(plain))
    classes = (found for found in map(locate, targets) if isinstance(found, type))
    return {"_execution_whitelist_": [*targets, *(f"{each.__module__}.{each.__qualname__}" for each in classes)]}


def _targets(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(target := value.get("_target_"), str):
            yield target
        value = list(value.values())
    for inner in value if isinstance(value, list) else ():
        yield from _targets(inner)


def register_resolver(name: str, resolver: Callable[..., Any]) -> None:
    """Register a resolver of `${name:...}`, in place of an earlier one."""
    from omegaconf import OmegaConf

    # OmegaConf 2.3 has a deprecated function of the new one's name
    register: Any = OmegaConf.register_new_resolver if version_base() else OmegaConf.register_resolver
    register(name, resolver, replace=True)
