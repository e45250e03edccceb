import numpy as np
import pytest

from facesegl.labels import VOID, restore_mask, shrink_mask


def reference(mask, factor):
    blocks = mask.reshape(mask.shape[0] // factor, factor, mask.shape[1] // factor, factor).swapaxes(1, 2)
    counts = np.stack([(blocks == value).sum((2, 3)) for value in [*range(6), VOID]])
    return np.uint8([*range(6), VOID])[counts.argmax(0)]


def test_whole_blocks_take_their_commonest_class_and_ties_the_lower_one():
    mask = np.random.default_rng(0).choice(np.uint8([0, 1, 2, 5, VOID]), (24, 36))
    assert (shrink_mask(mask, 8, 12, 6) == reference(mask, 3)).all()


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
