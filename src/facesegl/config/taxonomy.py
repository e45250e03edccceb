"""A taxonomy may stand in a file of its own: `data.taxonomy=FILE.yaml`."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facesegl.config.signatures import HYDRAS
from facesegl.errors import ConfigError

if TYPE_CHECKING:
    from omegaconf import DictConfig


def read_taxonomy(config: DictConfig) -> DictConfig:
    """Put the mapping of a taxonomy's file in the place of its path.

    Args:
        config: a composed config. It is left as it is.

    Returns:
        A copy whose `data.taxonomy` is the file's content; `config` itself where `data.taxonomy` names no file.

    Raises:
        ConfigError: the file is not there, or holds no YAML mapping.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        file = OmegaConf.select(config, "data.taxonomy")
    except OmegaConfBaseException:  # an interpolation that does not resolve: the check tells of all of them
        return config
    if not isinstance(file, str):
        return config
    taken = copy.deepcopy(config)
    OmegaConf.update(taken, "data.taxonomy", _mapping(file), merge=False)
    return taken


_DEEPEST = 5


def _mapping(file: str) -> dict[str, Any]:
    import yaml

    try:
        text = Path(file).expanduser().read_text(encoding="utf-8")
        _require_plain(file, text)
        content = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"data.taxonomy={file}: cannot be read ({reason}); give the path of a YAML file") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"data.taxonomy={file}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ConfigError(
            f"data.taxonomy={file}: holds no mapping; expected `classes: {{background: [0, 0, 0], ...}}`, and pairs, "
            f"void, remap if there are any"
        )
    return content


def _require_plain(file: str, text: str) -> None:
    """Refuse what a list of classes never has: a class to be built, a reference, a key twice, mappings without end.

    A taxonomy's file may come from a stranger, with the data; what stands in it becomes part of a config.
    """
    import yaml

    open_keys: list[set[str] | None] = []  # of each mapping that is open, its keys so far; None for a list
    expects_key: list[bool] = []
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ConfigError(f"data.taxonomy={file}: it has a reference (*{event.anchor}); write it out")
        key = bool(open_keys) and open_keys[-1] is not None and expects_key[-1]
        if isinstance(event, yaml.ScalarEvent):
            _require_harmless(file, event.value, open_keys[-1] if key else None)
        if isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            open_keys.pop()
            expects_key.pop()
        elif isinstance(event, yaml.NodeEvent) and expects_key:
            expects_key[-1] = not expects_key[-1]
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            open_keys.append(set() if isinstance(event, yaml.MappingStartEvent) else None)
            expects_key.append(True)
        if len(open_keys) > _DEEPEST:
            raise ConfigError(f"data.taxonomy={file}: more than {_DEEPEST} levels; expected classes and their colours")


def _require_harmless(file: str, value: str, keys: set[str] | None) -> None:
    """Look at one word of a YAML file; `keys` are those before it in its mapping, where it is a key."""
    if "${" in value or value in HYDRAS:
        raise ConfigError(f"data.taxonomy={file}: {value} means something in a config and nothing among classes")
    if keys is not None:
        if value in keys:
            raise ConfigError(f"data.taxonomy={file}: {value} stands there twice; expected each once")
        keys.add(value)
