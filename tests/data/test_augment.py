import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facesegl.data.augment import Augment, unpack_masks
from facesegl.errors import ConfigError
from facesegl.labels import VOID, Taxonomy, pack_onehot, unpack_onehot

OFF = Augment(flip=0, rotate=0, scale=0, shift=0, shear=0, elastic=0, brightness=0, contrast=0, saturation=0, gamma=0)
GEOMETRY = {"flip": 0.5, "rotate": 25, "scale": 0.3, "shift": 0.1, "shear": 10, "elastic": 0.02}
COLOURS = {"brightness": 0.2, "contrast": 0.4, "saturation": 0.5, "gamma": 0.4}
FACE = Taxonomy(
    names=("wall", "skin", "left eye", "right eye"),
    colours=((0, 0, 0), (255, 255, 0), (0, 0, 255), (0, 255, 255)),
    pairs=(("left eye", "right eye"),),
)
MIRROR = torch.from_numpy(FACE.mirrored())
BLANK = torch.zeros(4, 24, 20, dtype=torch.uint8)  # masks for `coloured`


def with_parts(**strengths):
    return dataclasses.replace(OFF, **strengths)


def apply(augment, photo, mask, seed=0):
    return augment(photo, mask, mirror=MIRROR, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def batch():
    """Four faces of blocks, (4, 3, 40, 48) and (4, 40, 48); the grey of the image is 60 times the class."""
    mask = torch.zeros(4, 40, 48, dtype=torch.uint8)
    mask[:, 8:34, 10:40] = 1
    mask[:, 14:20, 14:20] = 2
    mask[:, 14:20, 28:34] = 3
    mask[1, :4] = VOID
    photo = (60 * (mask % VOID))[:, None].repeat(1, 3, 1, 1)
    return photo, mask


@pytest.fixture
def coloured():
    return torch.randint(0, 256, (4, 3, 24, 20), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_all_off_returns_the_pixels_as_they_are(batch):
    photo, mask = apply(OFF, *batch)
    assert photo.dtype == torch.float32
    assert mask.dtype == torch.uint8
    assert torch.equal(photo, batch[0].float())
    assert torch.equal(mask, batch[1])


def test_augmentation_depends_only_on_the_generator_and_not_on_the_global_one(batch):
    augment = with_parts(**GEOMETRY, **COLOURS)
    torch.manual_seed(1)
    one = apply(augment, *batch, seed=5)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    other = apply(augment, *batch, seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", [name for name in {**GEOMETRY, **COLOURS} if name != "flip"])
def test_each_part_changes_images_and_differs_by_seed_and_image(name, coloured):
    same = coloured[:1].expand(4, -1, -1, -1)
    augment = with_parts(**{name: {**GEOMETRY, **COLOURS}[name]})
    photo, _ = apply(augment, same, BLANK)
    assert not torch.equal(photo, same.float())
    assert not torch.equal(photo[0], photo[1])
    assert not torch.equal(photo, apply(augment, same, BLANK, seed=1)[0])


def test_switching_one_part_off_does_not_change_the_others(batch):
    moved = apply(with_parts(**GEOMETRY), *batch)[1]
    assert torch.equal(apply(with_parts(**GEOMETRY, **COLOURS), *batch)[1], moved)


def test_the_input_is_not_modified(batch, coloured):
    photo, mask = coloured.clone(), torch.full((4, 24, 20), 2, dtype=torch.uint8)
    for augment in (with_parts(flip=1), with_parts(**GEOMETRY, **COLOURS), OFF):
        apply(augment, photo, mask)
    assert torch.equal(photo, coloured)
    assert (mask == 2).all()


def test_a_flip_is_exact_swaps_left_and_right_and_is_its_own_inverse(batch, coloured):
    photo, mask = apply(with_parts(flip=1), *batch)
    assert torch.equal(photo, batch[0].flip(-1).float())
    assert (mask[:, 14:20, 14:20] == 2).all(), "the right eye came over here and is the left one now"
    assert torch.equal(mask, MIRROR[batch[1].flip(-1).int()])
    assert (mask == VOID).sum() == (batch[1] == VOID).sum()
    photo = torch.nn.functional.pad(coloured, (28, 0, 16, 0))
    again = apply(with_parts(flip=1), *apply(with_parts(flip=1), photo, batch[1]))
    assert torch.equal(again[0], photo.float())
    assert torch.equal(again[1], batch[1])


def test_a_probability_of_half_flips_about_half_of_the_images(coloured):
    flips = []
    for seed in range(30):
        photo, _ = apply(with_parts(flip=0.5), coloured, BLANK, seed)
        for given_, made in zip(coloured.float(), photo, strict=True):
            assert torch.equal(made, given_) or torch.equal(made, given_.flip(-1))
            flips.append(torch.equal(made, given_.flip(-1)))
    assert 40 <= sum(flips) <= 80


def test_a_flip_within_the_resampling_also_swaps_left_and_right(batch):
    photo, mask = apply(with_parts(flip=1, rotate=1e-4), *batch)
    exact = apply(with_parts(flip=1), *batch)
    assert torch.equal(mask, exact[1])
    torch.testing.assert_close(photo, exact[0], atol=0.2, rtol=0)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), classes=st.sets(st.integers(0, 254), min_size=1, max_size=5))
def test_augmented_masks_contain_no_new_class_but_void(seed, classes):
    known = torch.tensor(sorted(classes), dtype=torch.uint8)
    mask = known[torch.randint(0, len(known), (2, 20, 16), generator=torch.Generator().manual_seed(seed))]
    photo = torch.zeros(2, 3, 20, 16, dtype=torch.uint8)
    _, moved = apply(with_parts(**{**GEOMETRY, "flip": 0}), photo, mask, seed)
    assert set(moved.unique().tolist()) <= classes | {VOID}


def test_image_and_mask_stay_aligned(batch):
    wrong, inside = 0, 0
    for seed in range(10):
        photo, mask = apply(with_parts(**{**GEOMETRY, "flip": 0}), *batch, seed)
        seen, labelled = (photo[:, 0] / 60).round(), mask != VOID
        wrong += int((seen != mask)[labelled].sum())
        inside += int(labelled.sum())
    assert wrong / inside < 0.04, "only rims, where the photo is read between pixels and the mask is not"


def test_void_stays_void(batch):
    _, mask = apply(with_parts(**GEOMETRY), batch[0], torch.full_like(batch[1], VOID))
    assert (mask == VOID).all()


def test_outside_the_mask_is_void_and_the_image_is_reflected():
    photo = torch.full((8, 3, 20, 30), 200, dtype=torch.uint8)
    moved, mask = apply(with_parts(shift=0.5), photo, torch.ones(8, 20, 30, dtype=torch.uint8))
    shares = (mask == VOID).float().mean(dim=(1, 2))
    assert set(mask.unique().tolist()) == {1, VOID}
    assert shares.max() < 0.76
    torch.testing.assert_close(moved, photo.float())


@pytest.mark.parametrize("size", [(60, 90), (90, 60)])
def test_rotating_a_rectangular_image_does_not_shear_it(size):
    rows, columns = torch.meshgrid(*(torch.arange(n) - (n - 1) / 2 for n in size), indexing="ij")
    disk = (rows**2 + columns**2 <= 25**2).to(torch.uint8).repeat(6, 1, 1)
    _, mask = apply(with_parts(rotate=180), torch.zeros(6, 3, *size, dtype=torch.uint8), disk)
    assert ((mask == 1) == (disk == 1)).float().mean() > 0.985  # the rim is 3 % of all pixels


@pytest.mark.parametrize("size", [(41, 41), (31, 57)])
def test_rotation_keeps_distances_and_stays_within_the_angle(size):
    mask = torch.zeros(40, *size, dtype=torch.uint8)
    centre = [(n - 1) // 2 for n in size]
    mask[:, centre[0], centre[1] + 12] = 1
    grown = torch.nn.functional.max_pool2d(mask[:, None].float(), 3, 1, 1)[:, 0].to(torch.uint8)
    _, turned = apply(with_parts(rotate=40), torch.zeros(40, 3, *size, dtype=torch.uint8), grown)
    angles = []
    for one in turned:
        places = zip(torch.where(one == 1), centre, strict=True)
        row, column = (found.float().mean() - middle for found, middle in places)
        assert math.hypot(row, column) == pytest.approx(12, abs=0.6)
        angles.append(math.degrees(math.atan2(row, column)))
    assert max(map(abs, angles)) < 43
    assert min(angles) < -15
    assert max(angles) > 15


def test_scale_enlarges_as_often_as_it_shrinks():
    mask = torch.zeros(200, 64, 64, dtype=torch.uint8)
    mask[:, 22:42, 22:42] = 1
    _, moved = apply(with_parts(scale=0.5), torch.zeros(200, 3, 64, 64, dtype=torch.uint8), mask)
    factors = (moved == 1).sum(dim=(1, 2)).float().sqrt() / 20
    assert factors.min() == pytest.approx(1 / 1.5, abs=0.06)
    assert factors.max() == pytest.approx(1.5, abs=0.06)
    assert factors.log().mean() == pytest.approx(0, abs=0.05)


def test_elastic_displacement_is_smooth_and_of_the_given_strength():
    ramp = torch.arange(64.0).mul(3).to(torch.uint8).expand(50, 3, 64, 64)
    moved, _ = apply(with_parts(elastic=0.03), ramp, torch.zeros(50, 64, 64, dtype=torch.uint8))
    shift = (moved - ramp)[:, 0, 8:-8, 8:-8] / 3
    assert 0.5 < shift.std() / (0.03 * 64) < 1.1
    assert shift.diff(dim=1).abs().max() < 1, "no folds"


def test_color_changes_leave_masks_alone_and_stay_in_range(coloured):
    mask = torch.randint(0, 4, (4, 24, 20), dtype=torch.uint8)
    for seed in range(20):
        photo, after = apply(with_parts(brightness=1, contrast=3, saturation=3, gamma=3), coloured, mask, seed)
        assert torch.equal(after, mask)
        assert photo.isfinite().all()
        assert photo.min() >= 0
        assert photo.max() <= 255


def test_brightness_changes_the_mean_by_at_most_its_share():
    photo = torch.full((100, 3, 8, 8), 128, dtype=torch.uint8)
    bright, _ = apply(with_parts(brightness=0.2), photo, torch.zeros(100, 8, 8, dtype=torch.uint8))
    means = bright.mean(dim=(1, 2, 3)) - 128
    assert -51 <= means.min() < -40
    assert 40 < means.max() <= 51


def test_contrast_keeps_the_mean_grey_and_saturation_keeps_each_grey(coloured):
    mild = (coloured // 4 + 96).to(torch.uint8)
    grey = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    before = (mild * grey).sum(1)
    contrasted, _ = apply(with_parts(contrast=0.5), mild, BLANK)
    saturated, _ = apply(with_parts(saturation=0.5), mild, BLANK)
    torch.testing.assert_close((contrasted * grey).sum(1).mean((1, 2)), before.mean((1, 2)), atol=0.1, rtol=0)
    torch.testing.assert_close((saturated * grey).sum(1), before, atol=0.1, rtol=0)


def test_gamma_keeps_black_and_white_and_the_order_between():
    steps = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(4, 3, 16, 16)
    photo, _ = apply(with_parts(gamma=0.5), steps, torch.zeros(4, 16, 16, dtype=torch.uint8))
    values = photo[:, 0].flatten(1)
    assert (values[:, 0] == 0).all()
    torch.testing.assert_close(values[:, 255], torch.full((4,), 255.0))
    assert (values.diff(dim=1) > 0).all()


@pytest.mark.parametrize("strengths", [{}, {"flip": 0.5}, GEOMETRY, COLOURS, {**GEOMETRY, **COLOURS}])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_the_memory_format_is_preserved(strengths, layout, coloured):
    photo, _ = apply(with_parts(**strengths), coloured.contiguous(memory_format=layout), BLANK)
    assert photo.is_contiguous(memory_format=layout)


def test_neither_the_memory_format_nor_autocast_makes_a_difference(batch):
    photo, mask = batch
    plain = apply(with_parts(**GEOMETRY, **COLOURS), photo, mask)
    last = apply(with_parts(**GEOMETRY, **COLOURS), photo.contiguous(memory_format=torch.channels_last), mask)
    torch.testing.assert_close(last[0], plain[0], atol=1e-2, rtol=0)
    assert torch.equal(last[1], plain[1])
    exact = apply(with_parts(**GEOMETRY), *batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = apply(with_parts(**GEOMETRY), *batch)
    assert all(torch.equal(one, other) for one, other in zip(exact, cast, strict=True))


def test_all_invalid_strengths_are_reported_with_range_and_unit():
    with pytest.raises(ConfigError) as caught:
        with_parts(flip=1.5, rotate=-3, elastic=math.nan)
    assert caught.value.problems == (
        "augment.flip: 1.5 is out of range; expected 0 (off) to 1 (the share of images that are flipped).",
        "augment.rotate: -3 is out of range; expected 0 (off) to 180 (degrees to either side).",
        "augment.elastic: nan is out of range; expected 0 (off) to 0.1 (a share of the image's shorter side).",
    )


@pytest.mark.parametrize("num_classes", [2, 6, 8, 9, 19, 254])
def test_unpacked_masks_equal_those_of_labels(num_classes):
    rng = np.random.default_rng(num_classes)
    mask = rng.integers(0, num_classes + 1, size=(2, 7, 5)).astype(np.uint8)
    mask[mask == num_classes] = VOID
    packed = pack_onehot(mask, num_classes)
    unpacked = unpack_masks(torch.from_numpy(packed))
    assert unpacked.dtype == torch.uint8
    assert np.array_equal(unpacked.numpy(), unpack_onehot(packed))
    assert np.array_equal(unpacked.numpy(), mask)
