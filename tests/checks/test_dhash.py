import numpy as np
import pytest
from PIL import Image

from facesegl.checks import dhash
from facesegl.checks.dhash import ALIKE, look_of, nearest, nearest_before
from helpers.faces import draw_mask, draw_photo


def bits_apart(one, other):
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()


def hashes(count, seed=0):
    return [np.random.default_rng([seed, n]).bytes(32) for n in range(count)]


@pytest.fixture
def photo():
    return draw_photo(draw_mask(3, 200, 160), 3)


def test_a_bit_says_that_the_pixel_to_the_right_is_lighter():
    columns = np.repeat(np.array([0, 200, 100] * 6, np.uint8)[:17], 10)
    photo = np.broadcast_to(columns[None, :, None], (160, 170, 3)).copy()
    row = [1, 0, 0] * 6
    assert look_of(photo) == np.packbits(np.tile(row[:16], (16, 1))).tobytes()


@pytest.mark.parametrize("size", [(80, 100), (160, 160), (320, 400)])
def test_a_resized_copy_looks_alike(photo, size):
    copy = np.asarray(Image.fromarray(photo).resize(size))
    assert bits_apart(look_of(photo), look_of(copy)) <= ALIKE


def test_another_photo_does_not(photo):
    other = np.random.default_rng(1).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    assert bits_apart(look_of(photo), look_of(other)) > 2 * ALIKE


def test_one_colour_looks_like_nothing():
    assert look_of(np.full((50, 40, 3), 200, np.uint8)) is None
    assert look_of(np.random.default_rng(0).integers(100, 104, (50, 40, 3), dtype=np.uint8)) is None


@pytest.mark.parametrize("step", [3, 7, 2048])
def test_the_nearest_is_found_whatever_the_blocks(monkeypatch, step):
    monkeypatch.setattr(dhash, "_STEP", step)
    looks, among = hashes(11), [*hashes(17, seed=1), hashes(11)[4]]
    places, bits = nearest(looks, among)
    for look, place, apart in zip(looks, places, bits, strict=True):
        every = [bits_apart(look, other) for other in among]
        assert (place, apart) == (every.index(min(every)), min(every))
    assert (places[4], bits[4]) == (17, 0)


@pytest.mark.parametrize("step", [3, 7, 2048])
def test_the_nearest_of_those_before_is_never_one_behind(monkeypatch, step):
    monkeypatch.setattr(dhash, "_STEP", step)
    looks = [*hashes(9), hashes(9)[2], *hashes(4, seed=2)]
    places, bits = nearest_before(looks)
    for number, (place, apart) in enumerate(zip(places, bits, strict=True), start=1):
        every = [bits_apart(looks[number], other) for other in looks[:number]]
        assert (place, apart) == (every.index(min(every)), min(every))


def test_many_photos_that_are_all_the_same_take_no_more_than_others():
    places, bits = nearest_before([b"\0" * 32] * 3000)
    assert not places.any()
    assert not bits.any()
