"""A taxonomy may stand in a file of its own: `data.taxonomy=FILE.yaml`."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def _mapping(file: str) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(Path(file).expanduser().read_text(encoding="utf-8"))
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
