"""A taxonomy in a YAML file: `data.taxonomy=FILE.yaml`. The file may come from a stranger, with the data."""

from pathlib import Path
from typing import Any

import yaml

from facesegl.errors import ConfigError
from facesegl.labels.taxonomy import is_config_syntax

_DEEPEST = 5


def read_taxonomy_file(file: str) -> dict[str, Any]:
    """Read the mapping that a file holds, as plain data.

    Raises:
        ConfigError: the file cannot be read, or is not a plain YAML mapping.
    """
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
    """Refuse what a list of classes never has: a class to be built, a reference, a key twice, deep nesting."""
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
    if is_config_syntax(value):
        raise ConfigError(f"data.taxonomy={file}: {value} means something in a config and nothing among classes")
    if keys is not None:
        if value in keys:
            raise ConfigError(f"data.taxonomy={file}: {value} stands there twice; expected each once")
        keys.add(value)
