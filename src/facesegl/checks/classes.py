"""The classes: missing, rare, alone, or with other shares in one split than in another."""

from collections.abc import Iterator

import numpy as np

from facesegl.checks.facts import Facts
from facesegl.checks.finding import Case, Finding, percent
from facesegl.text import number

_RARE = 1e-3  # of the pixels that are learnt from; FASSEG's rarest, the eyes of V3, have 7e-3
_FEW = 3  # photos: a class in fewer is a class of one person's
_APART = 2.0  # how many times the share of one split a class has in another


def check_classes(facts: Facts) -> Iterator[Finding]:
    """What the masks say of each class, split by split."""
    train = facts.counts("train")
    if not facts.fitting("train"):
        return
    if (train.pixels > 0).sum() <= 1:
        yield _one_class(facts, train.pixels)
        return
    yield from _missing(facts, train.photos)
    yield from _rare(facts)
    yield from _apart(facts)
    yield from _void(facts)


def _one_class(facts: Facts, pixels: np.ndarray) -> Finding:
    """Masks of a single class, from the pixels (C,) int64 of each in training."""
    name = facts.taxonomy.names[int(pixels.argmax())] if pixels.any() else "void"
    return Finding(
        "error",
        "one_class",
        f"every pixel of every training mask is {name}: there is nothing to tell apart",
        "Hold the masks' colours or values against the taxonomy, and its remap.",
    )


def _missing(facts: Facts, learnt: np.ndarray) -> Iterator[Finding]:
    """Classes that no training mask has; `learnt` (C,) int64 says how many have each."""
    scored = sum((facts.counts(split).photos for split in facts.splits if split != "train"), np.zeros_like(learnt))
    names = facts.taxonomy.names
    missing = [index for index in range(len(names)) if not learnt[index]]
    if missing:
        cases = [
            Case(f"{names[index]} ({_elsewhere(int(scored[index]))})")
            for index in sorted(missing, key=lambda index: -scored[index])
        ]
        yield Finding(
            "warning",
            "missing",
            f"{number(len(missing), 'class', 'classes')} in no training mask: never learnt, and wrong wherever scored",
            "Is the class's colour or value right? If the photos have none of it, take it out of the taxonomy.",
            cases,
        )


def _elsewhere(photos: int) -> str:
    return f"in {number(photos, 'other mask')}" if photos else "nor in any other"


def _rare(facts: Facts) -> Iterator[Finding]:
    train = facts.counts("train")
    rare = [
        index
        for index in np.argsort(train.shares, kind="stable")
        if train.photos[index] and (train.shares[index] < _RARE or train.photos[index] < _FEW)
    ]
    if rare:
        yield Finding(
            "warning",
            "rare",
            f"{number(len(rare), 'class', 'classes')} rare in training: below {percent(_RARE)} of the pixels or in "
            f"fewer than {_FEW} masks",
            "Expect a low or erratic IoU; more photos that show it help, or a loss that weighs classes.",
            [
                Case(
                    f"{facts.taxonomy.names[index]} ({percent(train.shares[index])}, in "
                    f"{number(int(train.photos[index]), 'mask')})"
                )
                for index in rare
            ],
        )


def _apart(facts: Facts) -> Iterator[Finding]:
    """Classes of which another split has twice the share of train, or half; what is rare in both says nothing."""
    train = facts.counts("train").shares
    for split in (split for split in facts.splits if split != "train" and facts.counts(split).pixels.any()):
        shares = facts.counts(split).shares
        common = (np.maximum(train, shares) >= _RARE) & (train > 0)
        times = np.where(common, np.maximum(train, shares) / np.maximum(np.minimum(train, shares), 1e-9), 1)
        apart = [index for index in np.argsort(-times, kind="stable") if times[index] > _APART]
        if apart:
            yield Finding(
                "warning",
                "shares",
                f"{number(len(apart), 'class', 'classes')} with more than {_APART:g} times the share in one of train "
                f"and {split}",
                "Were both masked by the same rules? A score on other proportions is a score of another task.",
                [
                    Case(f"{facts.taxonomy.names[index]} ({percent(train[index])} and {percent(shares[index])})")
                    for index in apart
                ],
            )


def _void(facts: Facts) -> Iterator[Finding]:
    empty = [photo.sample.id for photo in facts.photos if photo.void and not photo.class_pixels.any()]
    if empty:
        yield Finding(
            "warning",
            "void",
            f"{number(len(empty), 'mask')} of nothing but void: neither learnt from nor scored",
            "Take the photos away, or label them.",
            [Case(name, (name,)) for name in empty],
        )
