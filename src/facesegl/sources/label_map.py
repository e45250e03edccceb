"""Read the names of classes from a file next to masks: labelmap.txt, classes.txt, class_dict.csv, dataset.json, ..."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from facesegl.labels.taxonomy import Raw
from facesegl.sources.listing import read_text

_NAMES = re.compile(
    r"_?((class|label|categor|segment)\w*|names|dataset|codes)([ _-]?(map|dict|names|list|info|colou?rs))?",
    re.IGNORECASE,
)
_SUFFIXES = (".txt", ".csv", ".tsv", ".json", ".names")
_MOST = 254  # classes of a taxonomy


def find_label_map(folders: Iterable[Path]) -> tuple[Path, dict[Raw, str]] | None:
    """The first file in the folders that names numbers or colors, and what it says."""
    for folder in dict.fromkeys(folders):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.suffix.casefold() in _SUFFIXES and _NAMES.fullmatch(path.stem) and path.is_file():
                try:
                    names = dict(_entries(path))
                except (OSError, ValueError, RecursionError):
                    continue
                if 1 < len(names) <= _MOST and len(set(names.values())) == len(names):
                    return path, names
    return None


def _entries(path: Path) -> Iterator[tuple[Raw, str]]:
    text = read_text(path, "utf-8-sig")
    if path.suffix.casefold() == ".json":
        yield from _from_json(json.loads(text))
        return
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for index, line in enumerate(lines):
        fields = [field.strip(" \"'") for field in re.split(r"[:,;\t]", line) if field.strip()]
        numbers = [int(field) for field in fields if re.fullmatch(r"\d{1,5}", field)]
        words = [field for field in fields if not re.fullmatch(r"\d{1,5}", field)]
        if len(words) == 1 and len(numbers) >= 3:
            red, green, blue = numbers[-3:]
            yield (red, green, blue), words[0]
        elif len(words) == 1 and len(numbers) == 1:
            yield numbers[0], words[0]
        elif len(fields) == 1 and (match := re.fullmatch(r"(\d{1,5})\s+(\S.*)", line)):
            yield int(match[1]), match[2]
        elif len(words) == 1 and not numbers:
            yield index, words[0]


def _from_json(content: Any) -> Iterator[tuple[Raw, str]]:
    if isinstance(content, dict) and isinstance(content.get("labels"), dict | list):
        content = content["labels"]
    if isinstance(content, list) and all(isinstance(name, str) for name in content):
        yield from enumerate(content)
    elif isinstance(content, dict):
        for key, value in content.items():
            if isinstance(value, str) and key.isdecimal():
                yield int(key), value
            elif type(value) is int:
                yield value, key
