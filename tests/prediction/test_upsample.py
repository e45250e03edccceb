import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facesegl.prediction.predictor import Prediction
from facesegl.prediction.upsample import native_mask, upsample

SIDES = st.integers(1, 40)


def pytorch(logits, height, width):
    size = (height, width)
    large = torch.nn.functional.interpolate(torch.from_numpy(logits)[None], size=size, mode="bilinear")
    return large[0].numpy()


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES, SIDES, SIDES, st.integers(0, 2**16))
def test_logits_are_resized_as_pytorch_does_it(h, w, height, width, seed):
    logits = np.random.default_rng(seed).normal(size=(3, h, w)).astype(np.float32)
    np.testing.assert_allclose(
        upsample(logits, height, width, slice(0, height)), pytorch(logits, height, width), atol=1e-5
    )


@pytest.mark.parametrize("rows", [slice(0, 1), slice(3, 9), slice(49, 50)])
def test_a_band_is_that_part_of_the_whole(rows):
    logits = np.random.default_rng(0).normal(size=(2, 16, 12)).astype(np.float32)
    whole = upsample(logits, 50, 30, slice(0, 50))
    assert (upsample(logits, 50, 30, rows) == whole[:, rows]).all()


def test_masks_of_logits_are_those_of_a_prediction():
    logits = np.random.default_rng(0).normal(size=(3, 5, 7)).astype(np.float32)
    assert np.array_equal(native_mask(logits, 23, 40), Prediction([logits], 23, 40, ("a", "b", "c")).index)


def test_the_logits_are_not_modified():
    logits = np.random.default_rng(0).normal(size=(2, 4, 4)).astype(np.float32)
    before = logits.copy()
    upsample(logits, 4, 4, slice(0, 4))
    assert (logits == before).all()
