import numpy as np
import pytest

from facesegl.labels import VOID, pack_onehot, packed_depth, unpack_onehot


@pytest.mark.parametrize("num_classes", [2, 6, 8, 9, 19, 40, 254])
def test_a_mask_survives_packing(num_classes):
    rng = np.random.default_rng(num_classes)
    mask = rng.integers(0, num_classes, (17, 13)).astype(np.uint8)
    mask[rng.random(mask.shape) < 0.2] = VOID
    packed = pack_onehot(mask, num_classes)
    assert packed.shape == (17, 13, packed_depth(num_classes))
    assert (unpack_onehot(packed) == mask).all()


def test_the_packed_mask_is_one_hot_and_void_has_no_bit():
    mask = np.arange(19, dtype=np.uint8)[None]
    onehot = np.unpackbits(pack_onehot(mask, 19), axis=-1, count=19, bitorder="little")
    assert (onehot[0] == np.eye(19)).all()
    assert pack_onehot(np.uint8([[VOID]]), 6).sum() == 0
    assert packed_depth(6) == 1
