"""Split photos into training, validation and test by folders, lists or shares, and the training photos into folds."""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from facesegl.errors import ConfigError, DataError
from facesegl.sources.listing import Found, PhotoIndex, expanded, read_text, require_folder, truncate

T = TypeVar("T")

SPLITS = ("train", "val", "test")

_ALIASES = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}
_PLACEHOLDER = "{split}"


def split_named(name: str) -> str | None:
    """The split that a folder's or list's name means, case-insensitive; None for any other name."""
    folded = name.casefold()
    return folded if folded in SPLITS else _ALIASES.get(folded)


def split_folders(path: str | Path, key: str) -> dict[str | None, Path]:
    """The folder of each split.

    Args:
        path: a path with `{split}` in one of its parts, or a folder. Subfolders named train, val or test (or training,
            valid, validation, testing) are its splits; a folder without these is returned under None.
        key: the config key that sets the path.

    Raises:
        DataError: no such folder, other splits but no training photos, or two folders for one split.
    """
    parts = expanded(path).parts
    where = next((number for number, part in enumerate(parts) if _PLACEHOLDER in part), None)
    if where is None:
        folder = expanded(path)
        require_folder(folder, key)
        found = _matching(folder, "(?P<split>.+)")
        return dict(found.items()) or {None: folder}
    above, below = Path(*parts[:where]), Path(*parts[where + 1 :])
    pattern = re.escape(parts[where]).replace(re.escape(_PLACEHOLDER), "(?P<split>.+)")
    found = {split: folder / below for split, folder in _matching(above, pattern).items() if (folder / below).is_dir()}
    if not found:
        raise DataError(
            f"{path}: no such folder for any split; {_PLACEHOLDER} is replaced by train, val and test. Say where they "
            f"are with {key}=FOLDER."
        )
    return dict(found.items())


def _matching(folder: Path, pattern: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = re.fullmatch(pattern, path.name)
        split = split_named(match["split"]) if match and path.is_dir() else None
        if split is None:
            continue
        if split in found:
            raise DataError(f"{found[split]} and {path.name}: both are named for the split {split}; keep one of them.")
        found[split] = path
    if found and "train" not in found:
        raise DataError(f"{folder}: has {' and '.join(path.name for path in found.values())}, but no folder train.")
    return {split: found[split] for split in SPLITS if split in found}


class Lists:
    """Text files that name the photos of each split.

    Args:
        files: the list of each split, or None. Without a list for `train`, all other photos are for training.

    Raises:
        ConfigError: a list for an unknown split.
    """

    def __init__(self, files: Mapping[str, str | Path | None]) -> None:
        if unknown := sorted(set(files) - set(SPLITS)):
            raise ConfigError(f"data.source.lists: {', '.join(unknown)} is not a split; expected {', '.join(SPLITS)}.")
        self.files = {split: expanded(file) for split, file in files.items() if file is not None}

    def assign(self, photos: Sequence[Found]) -> tuple[dict[int, str], list[str]]:
        """The split of each photo in the lists, by its index, and the problems with the lists, one line each."""
        index = PhotoIndex(photos)
        split_of: dict[int, str] = {}
        problems: list[str] = []
        for split, file in self.files.items():
            missing, twice = [], []
            entries, wrong = _read(file)
            problems += wrong
            for number, entry in entries:
                photo = index.find(entry)
                if photo is None:
                    missing.append(f"{file}:{number}: {entry} matches no photo; correct it or remove the line.")
                elif split_of.setdefault(photo, split) != split:
                    twice.append(f"{file}:{number}: {entry} is also on the list of {split_of[photo]}; remove it there.")
            problems += truncate(missing, f"entries of {file} that match no photo")
            problems += truncate(twice, f"entries of {file}")
        if "train" not in self.files:
            split_of |= {photo: "train" for photo in range(len(photos)) if photo not in split_of}
        return split_of, problems


def _read(file: Path) -> tuple[list[tuple[int, str]], list[str]]:
    """The entries of a list with their line numbers, and why it cannot be read."""
    try:
        lines = read_text(file, "utf-8-sig").splitlines()
    except DataError as error:
        return [], [*error.problems]
    except FileNotFoundError:
        return [], [f"{file}: no such file; expected a text file with one photo name per line."]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        return [], [f"{file}: cannot be read ({reason}); expected a text file with one photo name per line."]
    entries = [(number, line.strip()) for number, line in enumerate(lines, start=1)]
    entries = [(number, line) for number, line in entries if line and not line.startswith("#")]
    return entries, [] if entries else [f"{file}: empty; expected one photo name per line."]


def require_shares(shares: Mapping[str, float]) -> None:
    """Raise a ConfigError unless the shares are of val and test, and leave photos for training."""
    problems = [
        f"data.source.shares.{split}: no such share; expected val or test."
        for split in sorted({*shares} - {"val", "test"})
    ]
    problems += [
        f"data.source.shares.{split}={share}: expected 0 (none) to less than 1."
        for split, share in shares.items()
        if not 0 <= share < 1
    ]
    if not problems and sum(shares.values()) >= 1:
        problems = [f"data.source.shares: {sum(shares.values()):g} of all photos; leave some for training."]
    if problems:
        raise ConfigError(*problems)


def split_by_shares(groups: Mapping[T, str], shares: Mapping[str, float], seed: int) -> dict[T, str]:
    """Split photos at random by shares of `val` and `test`, all of a group into the same split.

    The order is by hash, not from a random generator: the same on every machine and with every version.

    Returns:
        The split of each photo, by the keys of `groups`. A share above 0 has at least one group.

    Raises:
        DataError: fewer groups than splits.

    Example:
        >>> split_by_shares({"a": "ann", "b": "bob", "c": "ann", "d": "dan"}, {"test": 0.25}, seed=0)
        {'a': 'train', 'b': 'test', 'c': 'train', 'd': 'train'}
    """
    sizes = Counter(groups.values())
    wanted = [split for split in ("test", "val") if shares.get(split)]
    if len(sizes) <= len(wanted):
        raise DataError(
            f"data.source.shares: the photos are of {len(sizes)} persons or groups; expected at least one per split."
        )
    order = sorted(sizes, key=lambda group: _shuffle_key(seed, group))
    split_of: dict[str, str] = {}
    for split in wanted:
        taken = 0
        while not taken or (taken < shares[split] * len(groups) - 0.5 and len(order) > len(wanted)):
            group = order.pop()
            split_of[group] = split
            taken += sizes[group]
    return {photo: split_of.get(group, "train") for photo, group in groups.items()}


def assign_folds(groups: Mapping[str, str], folds: int, seed: int) -> dict[str, int]:
    """Assign samples to folds of nearly equal size, all of a group to the same fold; by hash, as `split_by_shares`.

    Returns:
        The fold of each sample, by the keys of `groups`, in their order.

    Raises:
        DataError: fewer groups than folds.

    Example:
        >>> assign_folds({"a": "ann", "b": "bob", "c": "ann", "d": "dan"}, folds=2, seed=0)
        {'a': 0, 'b': 1, 'c': 0, 'd': 1}
    """
    sizes = Counter(groups.values())
    if len(sizes) < folds:
        raise DataError(
            f"data.folds={folds}: the training photos are of {len(sizes)} persons or groups; expected at least one per "
            f"fold. {remedy_for(len(sizes))}"
        )
    filled = [0] * folds
    fold_of = {}
    for group in sorted(sizes, key=lambda group: (-sizes[group], _shuffle_key(seed, group))):
        fold_of[group] = filled.index(min(filled))
        filled[fold_of[group]] += sizes[group]
    return {sample: fold_of[group] for sample, group in groups.items()}


def choose(samples: Sequence[str], count: int, seed: int) -> set[str]:
    """Choose some samples by hash, as `split_by_shares`; a larger choice with the same seed contains the smaller ones.

    Raises:
        ConfigError: fewer samples than `count`.

    Example:
        >>> sorted(choose(["a", "b", "c", "d"], 2, seed=0)), sorted(choose(["d", "c", "b", "a"], 3, seed=0))
        (['c', 'd'], ['a', 'c', 'd'])
    """
    if count > len(samples):
        raise ConfigError(
            f"data.photos={count}: there are {len(samples)} photos to train on; expected {len(samples)} or fewer, or "
            f"null for all of them."
        )
    return set(sorted(samples, key=lambda sample: _shuffle_key(seed, f"photos/{sample}"))[:count])


def remedy_for(groups: int) -> str:
    """The remedy for fewer groups than folds; a single group cannot be split at all."""
    return f"Use data.folds={groups} or fewer, or data.fold=null." if groups > 1 else "Use data.fold=null."


def _shuffle_key(seed: int, group: str) -> bytes:
    return hashlib.blake2b(f"{seed}/{group}".encode()).digest()
