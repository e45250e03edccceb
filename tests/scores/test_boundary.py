import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facesegl.errors import DataError
from facesegl.labels import VOID
from facesegl.scores import boundary_counts, boundary_f


def outline(mask, voids, index):
    """The boundary pixels of a class, one by one, those next to void in some masks left out."""
    height, width = mask.shape

    def neighbours(row, column):
        for near in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if 0 <= near[0] < height and 0 <= near[1] < width:
                yield near

    return [
        pixel
        for pixel in np.ndindex(mask.shape)
        if mask[pixel] == index
        and not any(other[near] == VOID for near in (pixel, *neighbours(*pixel)) for other in voids)
        and any(mask[near] != index for near in neighbours(*pixel))
    ]


def reference(preds, target, classes, tolerance):
    rows = []
    for index in range(classes):
        counts = []
        for mask, other in ((preds, target), (target, preds)):
            pixels, others = outline(mask, (mask, other), index), outline(other, [other], index)
            matched = [
                any((row - up) ** 2 + (column - left) ** 2 <= tolerance**2 for up, left in others)
                for row, column in pixels
            ]
            counts += [sum(matched), len(pixels)]
        rows.append(counts)
    return rows


def blobs(rng, classes, void):
    mask = np.kron(rng.integers(0, classes, (3, 4)), np.ones((4, 4), int))[:11, :13].astype(np.uint8)
    noise = rng.random(mask.shape)
    mask[noise < 0.05] = classes - 1
    mask[noise > 1 - void] = VOID
    return mask


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    classes=st.sampled_from([2, 6, 11]),
    tolerance=st.sampled_from([0, 1, 1.5, 2, 3]),
    void=st.sampled_from([0, 0.03]),
)
def test_counts_equal_a_search_over_all_pairs_of_pixels(seed, classes, tolerance, void):
    rng = np.random.default_rng(seed)
    preds, target = blobs(rng, classes, 0), blobs(rng, classes, void)
    assert boundary_counts(preds, target, classes, tolerance).tolist() == reference(preds, target, classes, tolerance)


def halves(column, size=(6, 12)):
    return (np.arange(size[1]) >= column)[None].repeat(size[0], 0).astype(np.uint8)


@pytest.mark.parametrize(("shift", "expected"), [(0, 1.0), (1, 1.0), (2, 1.0), (3, 0.0)])
def test_an_outline_may_be_two_pixels_off_and_not_three(shift, expected):
    scores = boundary_f(boundary_counts(halves(5 + shift), halves(5), 2))
    assert scores.tolist() == [expected, expected]


def test_the_border_of_the_photo_is_not_a_boundary():
    whole = np.zeros((5, 5), np.uint8)
    counts = boundary_counts(whole, whole, 2)
    assert counts.sum() == 0
    assert boundary_f(counts).isnan().all()


def test_a_class_that_only_one_mask_has_is_zero():
    for one, other in ((np.zeros_like(halves(5)), halves(5)), (halves(5), np.zeros_like(halves(5)))):
        assert boundary_f(boundary_counts(one, other, 2)).tolist() == [0, 0]


def test_void_and_its_neighbours_are_on_no_boundary_of_either_mask():
    target, preds = halves(5), halves(5)
    target[2, 4] = VOID
    counts = boundary_counts(preds, target, 2)
    assert counts.tolist() == [[3, 3, 3, 3], [5, 5, 5, 5]]  # of six rows: column 4 loses three, column 5 one


def test_a_fitting_outline_matches_next_to_void_too():
    target, preds = halves(4), halves(6)
    target[:, 6:] = VOID
    assert boundary_counts(preds, target, 2).tolist() == [[0, 0, 6, 6], [0, 0, 6, 6]]


def test_photos_are_pooled_before_precision_and_recall_meet_in_their_harmonic_mean():
    good, bad = boundary_counts(halves(5), halves(5), 2), boundary_counts(halves(9), halves(5), 2)
    assert boundary_f(good + bad).tolist() == [0.5, 0.5]
    assert boundary_f(torch.tensor([[3, 4, 1, 2]])).item() == pytest.approx(2 * 0.75 * 0.5 / 1.25)


def test_integers_of_any_type_are_taken():
    preds, target = halves(6), halves(5)
    assert torch.equal(boundary_counts(preds.astype(np.int64), target, 2), boundary_counts(preds, target, 2))


def test_another_size_is_refused():
    with pytest.raises(DataError, match="the prediction is 6x12 and its mask 6x9"):
        boundary_counts(halves(5), halves(5, size=(6, 9)), 2)
