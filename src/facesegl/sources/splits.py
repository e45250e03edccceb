"""Which photos are learnt from, which are held out, and which are for the test: by folders, lists or shares."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from facesegl.errors import ConfigError, DataError
from facesegl.sources.listing import ByName, Found, expanded, read_text, require_folder, some

T = TypeVar("T")

SPLITS = ("train", "val", "test")

_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_PLACE = "{split}"


def split_named(name: str) -> str | None:
    """The split that a folder's or list's name means, in any case of letters; None for any other name."""
    return _NAMES.get(name.casefold())


def split_folders(place: str | Path, key: str) -> dict[str | None, Path]:
    """The folder of each split.

    Args:
        place: a path with `{split}` in one of its parts, or a folder. A folder whose subfolders are called train, val
            or test (or training, valid, validation, testing) has those; any other stands for itself, under None.
        key: what says the place.

    Raises:
        DataError: no such folder, none of training photos where there are others, or two for one split.
    """
    parts = expanded(place).parts
    where = next((number for number, part in enumerate(parts) if _PLACE in part), None)
    if where is None:
        folder = expanded(place)
        require_folder(folder, key)
        found = _matching(folder, "(?P<split>.+)")
        return dict(found.items()) or {None: folder}
    above, below = Path(*parts[:where]), Path(*parts[where + 1 :])
    pattern = re.escape(parts[where]).replace(re.escape(_PLACE), "(?P<split>.+)")
    found = {split: folder / below for split, folder in _matching(above, pattern).items() if (folder / below).is_dir()}
    if not found:
        raise DataError(
            f"{place}: no such folder for any split; {_PLACE} stands for train, val and test. Say where they lie with "
            f"{key}=FOLDER."
        )
    return dict(found.items())


def _matching(folder: Path, pattern: str) -> dict[str, Path]:
    """The subfolders whose name means a split."""
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
        raise DataError(f"{folder}: has {' and '.join(path.name for path in found.values())}, and no folder train.")
    return {split: found[split] for split in SPLITS if split in found}


class Lists:
    """Text files that name the photos of each split.

    Args:
        files: the list of each split, or None where it has none; without one for `train`, that is all other photos.

    Raises:
        ConfigError: lists for splits that there are none of.
    """

    def __init__(self, files: Mapping[str, str | Path | None]) -> None:
        if strange := sorted(set(files) - set(SPLITS)):
            raise ConfigError(f"data.source.lists: {', '.join(strange)} is no split; expected {', '.join(SPLITS)}.")
        self.files = {split: expanded(file) for split, file in files.items() if file is not None}

    def assign(self, photos: Sequence[Found]) -> tuple[dict[int, str], list[str]]:
        """The split of each photo that has one, by its place, and what is wrong with the lists, a line each.

        Args:
            photos: below one folder, or below the folders of several splits.
        """
        places = ByName(photos)
        split_of: dict[int, str] = {}
        problems: list[str] = []
        for split, file in self.files.items():
            lost, twice = [], []
            entries, wrong = _read(file)
            problems += wrong
            for number, entry in entries:
                place = places.find(entry)
                if place is None:
                    lost.append(f"{file}:{number}: {entry} is no photo that is here; correct it or take the line away.")
                elif split_of.setdefault(place, split) != split:
                    twice.append(f"{file}:{number}: {entry} is on the list of {split_of[place]} too; take it off one.")
            problems += [*some(lost, f"entries of {file} that are not here"), *some(twice, f"entries of {file}")]
        if "train" not in self.files:
            split_of |= {place: "train" for place in range(len(photos)) if place not in split_of}
        return split_of, problems


def _read(file: Path) -> tuple[list[tuple[int, str]], list[str]]:
    """The lines of a list with their numbers, without empty ones and comments; and why it cannot be read."""
    try:
        lines = read_text(file, "utf-8-sig").splitlines()
    except DataError as error:
        return [], [*error.problems]
    except FileNotFoundError:
        return [], [f"{file}: no such file; expected a text file with a photo's name a line."]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        return [], [f"{file}: cannot be read ({reason}); expected a text file with a photo's name a line."]
    entries = [(number, line.strip()) for number, line in enumerate(lines, start=1)]
    entries = [(number, line) for number, line in entries if line and not line.startswith("#")]
    return entries, [] if entries else [f"{file}: empty; expected a photo's name a line."]


def require_shares(shares: Mapping[str, float]) -> None:
    """Raise a ConfigError unless shares are of val and test, and leave something to learn from."""
    problems = [
        f"data.source.shares.{split}: no such share; expected val or test."
        for split in shares
        if split not in ("val", "test")
    ]
    problems += [
        f"data.source.shares.{split}={share}: expected 0 (none) to less than 1."
        for split, share in shares.items()
        if not 0 <= share < 1
    ]
    if not problems and sum(shares.values()) >= 1:
        problems = [f"data.source.shares: {sum(shares.values()):g} of the photos in all; leave some to learn from."]
    if problems:
        raise ConfigError(*problems)


def deal(groups: Mapping[T, str], shares: Mapping[str, float], seed: int) -> dict[T, str]:
    """Deal photos to splits by shares, all of a group to the same one, by hashes: the same on every machine.

    Args:
        groups: what stands for a photo (its id, its place) to its group.
        shares: of `val` and `test`; the rest is `train`.
        seed: another seed, another deal.

    Returns:
        Photo to split. A share above 0 takes one group at least.

    Raises:
        DataError: there are fewer groups than splits.

    Example:
        >>> deal({"a": "ann", "b": "bob", "c": "ann", "d": "dan"}, {"test": 0.25}, seed=0)
        {'a': 'train', 'b': 'test', 'c': 'train', 'd': 'train'}
    """
    sizes: dict[str, int] = {}
    for group in groups.values():
        sizes[group] = sizes.get(group, 0) + 1
    wanted = [split for split in ("test", "val") if shares.get(split)]
    if len(sizes) <= len(wanted):
        raise DataError(
            f"data.source.shares: the photos are of {len(sizes)} persons or groups; expected one a split at least."
        )
    order = sorted(sizes, key=lambda group: hashlib.blake2b(f"{seed}/{group}".encode()).digest())
    split_of: dict[str, str] = {}
    for split in wanted:
        taken = 0
        while not taken or (taken < shares[split] * len(groups) - 0.5 and len(order) > len(wanted)):
            group = order.pop()
            split_of[group] = split
            taken += sizes[group]
    return {photo: split_of.get(group, "train") for photo, group in groups.items()}


def assign_folds(groups: Mapping[str, str], folds: int, seed: int) -> dict[str, int]:
    """Deal samples into folds of nearly equal size, all of a group into the same one.

    The order is that of hashes and not of a random generator: the same on every machine and with every version.

    Args:
        groups: sample id to group.
        folds: how many.
        seed: another seed, another deal.

    Returns:
        Sample id to fold, in the order of `groups`.

    Raises:
        DataError: there are fewer groups than folds.

    Example:
        >>> assign_folds({"a": "ann", "b": "bob", "c": "ann", "d": "dan"}, folds=2, seed=0)
        {'a': 0, 'b': 1, 'c': 0, 'd': 1}
    """
    sizes: dict[str, int] = {}
    for group in groups.values():
        sizes[group] = sizes.get(group, 0) + 1
    if len(sizes) < folds:
        raise DataError(
            f"data.folds={folds}: the training photos are of {len(sizes)} persons or groups; expected one a fold at "
            f"least. {remedy_for(len(sizes))}"
        )
    filled = [0] * folds
    fold_of = {}
    for group in sorted(sizes, key=lambda group: (-sizes[group], _shuffled(seed, group))):
        fold_of[group] = filled.index(min(filled))
        filled[fold_of[group]] += sizes[group]
    return {sample: fold_of[group] for sample, group in groups.items()}


def remedy_for(groups: int) -> str:
    """What to do where there are fewer groups than folds; one group alone cannot be parted at all."""
    return f"Use data.folds={groups} or fewer, or data.fold=null." if groups > 1 else "Use data.fold=null."


def _shuffled(seed: int, group: str) -> bytes:
    return hashlib.blake2b(f"{seed}/{group}".encode()).digest()
