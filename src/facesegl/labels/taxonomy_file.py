"""A taxonomy in a YAML file: `data.taxonomy=FILE.yaml`. The file may be untrusted."""

import re
from pathlib import Path
from typing import Any

import yaml

from facesegl.errors import ConfigError
from facesegl.labels.taxonomy import Taxonomy, is_config_syntax

_MAX_DEPTH = 5
_NUMBER = re.compile("0|[1-9][0-9]*")  # its text as YAML writes it
_INT, _TEXT, *_OTHERS = (
    f"tag:yaml.org,2002:{kind}" for kind in ("int", "str", "bool", "float", "null", "timestamp", "merge", "value")
)
_GUESSED = {_INT, *_OTHERS}  # what YAML makes of a scalar without quotes


def read_taxonomy_file(file: str) -> dict[str, Any]:
    """Read a taxonomy file as plain data. Names are read as they are written: `no`, `007` and `2024-01-01` are text.

    Raises:
        ConfigError: the file cannot be read, or is not a plain YAML mapping of a valid taxonomy.
    """
    try:
        text = Path(file).expanduser().read_text(encoding="utf-8")
        _require_plain(file, text)
        content = _Loader(text).get_single_data()
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
    try:
        Taxonomy.from_mapping(content)
    except ConfigError as error:
        problems = (problem.removeprefix("data.taxonomy") for problem in error.problems)
        raise ConfigError(*(f"data.taxonomy={file}{problem}" for problem in problems)) from None
    return content


class _Loader(yaml.SafeLoader):
    """Reads the names in a taxonomy as text, where YAML 1.1 would read booleans, dates or other numbers."""

    def get_single_node(self) -> yaml.Node | None:
        root = super().get_single_node()
        for key, value in root.value if isinstance(root, yaml.MappingNode) else ():
            _keep_text([key])
            of_names = key.value in ("pairs", "remap", "synthetic_as")
            if isinstance(value, yaml.MappingNode):
                _keep_text([name for name, _ in value.value], together=True)
                _keep_text([name for _, name in value.value if of_names])
            elif isinstance(value, yaml.SequenceNode) and of_names:
                for pair in value.value:
                    _keep_text(pair.value if isinstance(pair, yaml.SequenceNode) else [pair])
        return root


def _keep_text(names: list[yaml.Node], *, together: bool = False) -> None:
    """Read scalars as text, except plain numbers; `together`, those only if all are, since mixed keys have no order."""
    numbers = [name.tag == _INT and _NUMBER.fullmatch(name.value) is not None for name in names]
    for name, number in zip(names, numbers, strict=True):
        if name.tag in _GUESSED and not (all(numbers) if together else number):
            name.tag = _TEXT


def _require_plain(file: str, text: str) -> None:
    """Refuse what no taxonomy needs: config syntax, references, duplicate keys, deep nesting."""
    open_keys: list[set[str] | None] = []  # the keys so far of each open mapping; None for a list
    expects_key: list[bool] = []
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ConfigError(f"data.taxonomy={file}: has a reference (*{event.anchor}); write its value instead")
        key = bool(open_keys) and open_keys[-1] is not None and expects_key[-1]
        if isinstance(event, yaml.ScalarEvent):
            where = f"{file}, line {event.start_mark.line + 1}" if event.start_mark else file
            _require_plain_scalar(where, event.value, open_keys[-1] if key else None)
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


def _require_plain_scalar(where: str, value: str, keys: set[str] | None) -> None:
    """Check one scalar of a YAML file; if it is a key, `keys` are the earlier ones of its mapping."""
    if is_config_syntax(value):
        raise ConfigError(f"data.taxonomy={where}: {value} has a special meaning in a config; expected another")
    if keys is not None:
        if value in keys:
            raise ConfigError(f"data.taxonomy={where}: {value} is a duplicate key; keep one of them")
        keys.add(value)
