"""A mirrored photo's left and right classes trade places."""

from types import SimpleNamespace

import pytest
import torch

from facesegl.config.compose import compose
from facesegl.config.instantiate import build
from facesegl.data import unpack_masks
from helpers.trees import CELEBAMASK, write_celebamask

PAIRS = (("l_eye", "r_eye"), ("l_brow", "r_brow"), ("l_ear", "r_ear"))


@pytest.fixture
def celebamask(tmp_path):
    return write_celebamask(tmp_path / "data" / "CelebAMask-HQ", photos=6, val=1, test=1)


def first_batch(*overrides):
    """The first batch of a training in which every photo is mirrored and nothing else is done: before and after."""
    config = compose(
        [
            "data=celebamask_hq",
            "data.image_size=32",
            "data.batch_size=4",
            "data.synthetic_share=0",
            "augment=flip",
            *overrides,
        ]
    )
    config.augment.flip = 1.0
    faces = build(config.data, augment=build(config.augment))
    faces.setup("fit")
    faces.trainer = SimpleNamespace(training=True, global_rank=0, world_size=1)
    before = next(iter(faces.train_dataloader()))
    return before, faces.on_after_batch_transfer(before, 0)


def middle(target, name):
    """The mean column of a class on each photo of (B, H, W), as a share of the width; NaN if it is absent."""
    found = (target == CELEBAMASK.index(name)).float()
    columns = torch.linspace(0, 1, target.shape[2])
    return (found.sum(1) * columns).sum(1) / found.sum((1, 2))


def test_a_flipped_left_eye_is_a_right_one_on_the_right_side(celebamask):
    before, after = first_batch()
    unmirrored = unpack_masks(before.packed).long()
    assert torch.equal(after.image, before.image.flip(-1).float())
    expected = unmirrored.flip(-1)
    for left, right in PAIRS:
        one, other = CELEBAMASK.index(left), CELEBAMASK.index(right)
        sides = expected.clone()
        expected[sides == one], expected[sides == other] = other, one
        for target in (unmirrored, after.target):  # hair hides some ears
            assert (middle(target, left) < middle(target, right)).any()
            assert not (middle(target, left) >= middle(target, right)).any()
    assert torch.equal(after.target, expected)
    assert not torch.equal(after.target, unmirrored.flip(-1))


def test_without_pairs_a_flipped_left_eye_is_on_the_right(celebamask):
    _, after = first_batch("data.taxonomy.pairs=[]")
    assert (middle(after.target, "l_eye") > middle(after.target, "r_eye")).all()
