import numpy as np
import pytest

from facesegl.exporting.parity import Sample, compare, problems_of, sizes_to_try
from facesegl.labels import VOID

NAMES = ("dark", "bright")
SIZE = 8


class Thresholds:
    """Bright pixels are class 1; where `off` says so, logits are off by `shift`."""

    image_size = SIZE

    def __init__(self, shift=0.0, off=lambda photos: True):
        self.shift, self.off = shift, off

    def logits(self, photos):
        bright = photos.mean(axis=1) / 128 - 1.001  # no pixel of the photos is as close to it
        return np.stack([-bright, bright + (self.shift if self.off(photos) else 0)], axis=1).astype(np.float32)

    def masks(self, photos):
        return (self.logits(photos).argmax(1)).astype(np.uint8)


def photos_of(count=3, mask=True):
    def load(seed):
        photo = np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        truth = (photo.mean(axis=2) / 128 > 1.001).astype(np.uint8)
        truth[0] = VOID
        return Sample(photo, truth if mask else None)

    return [lambda seed=seed: load(seed) for seed in range(count)]


def parity_of(export, photos=None, sizes=(), masker=None):
    return compare(Thresholds(), export, photos or photos_of(), sizes, masker)


def test_equal_models_have_no_problem_and_everything_is_counted():
    parity = parity_of(Thresholds(), sizes=sizes_to_try("logits", SIZE, 1))
    assert problems_of(parity, NAMES, "exact") == []
    assert (parity.photos, parity.pixels, parity.equal, parity.difference) == (3, 3 * SIZE * SIZE, 1.0, 0.0)
    assert parity.ious(NAMES)["bright"] == {"pytorch": 1.0, "export": 1.0, "change": 0.0}
    assert int(parity.counts[0].sum()) == 3 * (SIZE - 1) * SIZE  # void is left out
    assert [size[:3] for size in parity.sizes] == [(3, 8, 8), (1, 7, 11), (2, 11, 7)]


def test_different_logits_fail_although_no_pixel_changes():
    (problem,) = problems_of(parity_of(Thresholds(shift=0.002)), NAMES, "float32")
    assert problem == "logits of the photos differ by up to 0.002, expected 0.001 at most"


def test_a_difference_of_nan_fails():
    problems = problems_of(parity_of(Thresholds(shift=float("nan"))), NAMES, "float32")
    assert any("differ by up to nan" in problem for problem in problems)


def test_all_problems_are_reported_at_once():
    problems = problems_of(parity_of(Thresholds(shift=1.0), sizes=[(2, 8, 8)]), NAMES, "float32")
    for words in ("of the pixels of the photos", "of 2 photos of 8x8 differ", "the IoU of dark goes from 1.0000 to"):
        assert any(words in problem for problem in problems)


def test_a_size_that_differs_fails_although_the_photos_do_not():
    export = Thresholds(shift=1.0, off=lambda photos: photos.shape[2] != photos.shape[3])
    problems = problems_of(parity_of(export, sizes=sizes_to_try("logits", SIZE, 1)), NAMES, "float32")
    assert problems
    assert all("7x11" in problem or "11x7" in problem for problem in problems)


def test_int8_may_differ_in_logits_but_not_lose_a_class():
    assert problems_of(parity_of(Thresholds(shift=0.002)), NAMES, "int8") == []
    assert any("the IoU of dark" in problem for problem in problems_of(parity_of(Thresholds(shift=1.0)), NAMES, "int8"))


def test_photos_without_masks_have_no_iou():
    parity = parity_of(Thresholds(), photos=photos_of(mask=False))
    assert parity.ious(NAMES) is None
    assert problems_of(parity, NAMES, "float32") == []


def test_an_absent_class_is_no_change():
    black = [lambda: Sample(np.zeros((SIZE, SIZE, 3), np.uint8), np.zeros((SIZE, SIZE), np.uint8))]
    parity = parity_of(Thresholds(), photos=black)
    assert parity.ious(NAMES)["bright"] == {"pytorch": None, "export": None, "change": None}
    assert problems_of(parity, NAMES, "float32") == []


def test_the_masks_of_a_whole_graph_are_compared():
    parity = parity_of(Thresholds(), sizes=[(2, SIZE, SIZE)], masker=lambda photos: 1 - Thresholds().masks(photos))
    problems = problems_of(parity, NAMES, "float32")
    assert any(problem.startswith("0.0000% of the pixels of the photos") for problem in problems)
    assert any("of 2 photos of 8x8 have" in problem for problem in problems)


@pytest.mark.parametrize("stride", [1, 16])
def test_sizes_are_multiples_of_the_stride_and_not_all_square(stride):
    sizes = sizes_to_try("logits", 32, stride)
    assert all(height % stride == 0 and width % stride == 0 for _, height, width in sizes)
    assert any(height != width for _, height, width in sizes)
    assert any(batch > 1 for batch, _, _ in sizes)
