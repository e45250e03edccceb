"""Folds: which part of the training photos is held out for validation."""

import hashlib
from collections.abc import Mapping

from facesegl.errors import DataError


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
