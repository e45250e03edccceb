import numpy as np
import pytest
from PIL import Image

from facesegl.checks import duplicates
from facesegl.checks.duplicates import ALIKE, dhash, nearest
from helpers.faces import draw_mask, draw_photo


def bits_apart(one, other):
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()


def hashes(count, seed=0):
    return [np.random.default_rng([seed, n]).bytes(32) for n in range(count)]


def test_a_bit_is_set_if_the_pixel_to_the_right_is_lighter():
    columns = np.repeat(np.array([0, 200, 100] * 6, np.uint8)[:17], 10)
    photo = np.broadcast_to(columns[None, :, None], (160, 170, 3)).copy()
    row = [1, 0, 0] * 6
    assert dhash(photo) == np.packbits(np.tile(row[:16], (16, 1))).tobytes()


def test_a_resized_copy_looks_alike_and_another_photo_does_not():
    photo = draw_photo(draw_mask(3, 200, 160), 3)
    for size in ((80, 100), (160, 160), (320, 400)):
        copy = np.asarray(Image.fromarray(photo).resize(size))
        assert bits_apart(dhash(photo), dhash(copy)) <= ALIKE
    other = np.random.default_rng(1).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    assert bits_apart(dhash(photo), dhash(other)) > 2 * ALIKE


def test_a_photo_of_almost_one_colour_has_no_hash():
    assert dhash(np.full((50, 40, 3), 200, np.uint8)) is None
    assert dhash(np.random.default_rng(0).integers(100, 104, (50, 40, 3), dtype=np.uint8)) is None


@pytest.mark.parametrize("step", [3, 7, 2048])
def test_the_nearest_and_the_nearest_earlier_hash_do_not_depend_on_the_blocks(monkeypatch, step):
    monkeypatch.setattr(duplicates, "_STEP", step)
    some, among = hashes(11), [*hashes(17, seed=1), hashes(11)[4]]
    indices, bits = nearest(some, among)
    for one, index, apart in zip(some, indices, bits, strict=True):
        every = [bits_apart(one, other) for other in among]
        assert (index, apart) == (every.index(min(every)), min(every))
    assert (indices[4], bits[4]) == (17, 0)
    some = [*hashes(9), hashes(9)[2], *hashes(4, seed=2)]
    for number, (index, apart) in enumerate(zip(*nearest(some), strict=True), start=1):
        every = [bits_apart(some[number], other) for other in some[:number]]
        assert (index, apart) == (every.index(min(every)), min(every))


def test_many_identical_hashes_are_compared_as_fast_as_others():
    indices, bits = nearest([b"\0" * 32] * 3000)
    assert not indices.any()
    assert not bits.any()
