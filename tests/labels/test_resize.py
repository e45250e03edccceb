import numpy as np
import pytest

from facesegl.labels import VOID, resize, restore_mask, shrink_mask


def reference(mask, height, width, num_classes):
    """The class with the largest area in each cell, counted in whole numbers; the first one on a tie."""
    values = np.uint8([*range(num_classes), VOID])
    rows, columns = overlap(mask.shape[0], height), overlap(mask.shape[1], width)
    return values[np.argmax([rows @ (mask == value) @ columns.T for value in values], axis=0)]


def overlap(source, target):
    """(target, source): the length that two cells share, in units of 1 / target of a source cell."""
    starts, ends = (np.arange(target) + step for step in (0, 1))
    cells = np.arange(source) * target
    length = np.minimum(ends[:, None] * source, cells + target) - np.maximum(starts[:, None] * source, cells)
    return np.maximum(length, 0)


def blocks(rng, height, width, classes, void):
    """Areas of one class, their borders at odd places, with some void."""
    size = int(rng.integers(1, 7))
    coarse = rng.integers(0, classes, (height // size + 1, width // size + 1), dtype=np.uint8)
    mask = coarse.repeat(size, 0).repeat(size, 1)[:height, :width]
    return np.where(rng.random(mask.shape) < void, np.uint8(VOID), mask)


@pytest.mark.parametrize("votes", [resize._MAX_VOTES, 20], ids=["at once", "in pieces"])
@pytest.mark.parametrize("classes", [6, 19, 254])
@pytest.mark.parametrize(
    ("size", "target"),
    [
        ((24, 36), (8, 12)),
        ((37, 53), (16, 16)),  # odd ratios
        ((60, 41), (59, 7)),
        ((9, 14), (31, 14)),  # larger
        ((16, 16), (16, 16)),
        ((1, 1), (5, 3)),
        ((1, 47), (1, 10)),
        ((50, 40), (1, 1)),
    ],
)
def test_each_pixel_takes_the_class_with_the_largest_area_and_the_lower_one_on_a_tie(
    monkeypatch, size, target, classes, votes
):
    monkeypatch.setattr(resize, "_MAX_VOTES", votes)
    for seed in range(3):
        mask = blocks(np.random.default_rng(seed), *size, classes, void=seed / 5)
        shrunk = shrink_mask(mask, *target, classes)
        assert shrunk.dtype == np.uint8
        assert (shrunk == reference(mask, *target, classes)).all()


def test_areas_that_differ_only_by_rounding_are_a_tie():
    mask = np.arange(3001 * 7, dtype=np.uint32).reshape(3001, 7) % 2 ^ 1  # class 1 has one pixel of 21 007 more
    assert shrink_mask(mask.astype(np.uint8), 1, 1, 2) == 1
    assert shrink_mask(mask[:3000].astype(np.uint8), 1, 1, 2) == 0


@pytest.mark.parametrize("size", [(24, 36), (48, 72)])
def test_the_same_size_and_whole_multiples_lose_nothing(size):
    mask = np.random.default_rng(1).integers(0, 6, (24, 36)).astype(np.uint8)
    resized = shrink_mask(mask, *size, 6)
    assert resized.shape == size
    assert (restore_mask(resized, 24, 36) == mask).all()


def test_a_smooth_mask_there_and_back_keeps_nearly_every_pixel():
    y, x = np.mgrid[:512, :370]
    mask = ((x - 180) ** 2 + (y - 250) ** 2 < 150**2).astype(np.uint8)
    back = restore_mask(shrink_mask(mask, 256, 256, 2), 512, 370)
    assert (back == mask).mean() > 0.995


def test_no_class_appears_that_was_not_there():
    mask = np.random.default_rng(2).choice(np.uint8([1, 4]), (50, 41))
    assert set(np.unique(shrink_mask(mask, 17, 23, 6))) <= {1, 4}
