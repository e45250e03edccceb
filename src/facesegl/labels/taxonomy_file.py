"""A taxonomy in a YAML file: `data.taxonomy=FILE.yaml`. The file may be untrusted."""

from pathlib import Path
from typing import Any

import yaml

from facesegl.errors import ConfigError
from facesegl.labels.taxonomy import is_config_syntax

_MAX_DEPTH = 5


def read_taxonomy_file(file: str) -> dict[str, Any]:
    """Read a taxonomy file as plain data.

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
            f"data.taxonomy={file}: not a mapping; expected `classes: {{background: [0, 0, 0], ...}}`, optionally "
            f"pairs, void, remap, synthetic_as"
        )
    return content


def _require_plain(file: str, text: str) -> None:
    """Refuse what no taxonomy needs: config syntax, references, duplicate keys, deep nesting."""
    open_keys: list[set[str] | None] = []  # the keys so far of each open mapping; None for a list
    expects_key: list[bool] = []
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ConfigError(f"data.taxonomy={file}: has a reference (*{event.anchor}); write its value instead")
        key = bool(open_keys) and open_keys[-1] is not None and expects_key[-1]
        if isinstance(event, yaml.ScalarEvent):
            _require_plain_scalar(file, event.value, open_keys[-1] if key else None)
        if isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            open_keys.pop()
            expects_key.pop()
        elif isinstance(event, yaml.NodeEvent) and expects_key:
            expects_key[-1] = not expects_key[-1]
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            open_keys.append(set() if isinstance(event, yaml.MappingStartEvent) else None)
            expects_key.append(True)
        if len(open_keys) > _MAX_DEPTH:
            raise ConfigError(
                f"data.taxonomy={file}: nested more than {_MAX_DEPTH} levels deep; expected classes and their colours"
            )


def _require_plain_scalar(file: str, value: str, keys: set[str] | None) -> None:
    """Check one scalar of a YAML file; if it is a key, `keys` are the earlier ones of its mapping."""
    if is_config_syntax(value):
        raise ConfigError(f"data.taxonomy={file}: {value} has a special meaning in a config; expected another")
    if keys is not None:
        if value in keys:
            raise ConfigError(f"data.taxonomy={file}: {value} is a duplicate key; keep one of them")
        keys.add(value)
