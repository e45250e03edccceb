import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score, MulticlassJaccardIndex

from facesegl.errors import DataError
from facesegl.labels import VOID
from facesegl.scores import PooledCounts, accuracy, confusion_counts, dice, iou, miou, miou_per_photo


def batch(seed, classes=5, absent=(), size=(2, 9, 7), void=0.2):
    rng = np.random.default_rng(seed)
    present = [index for index in range(classes) if index not in absent]
    preds, target = rng.choice(present, size), rng.choice(present, size)
    target[rng.random(size) < void] = VOID
    return torch.from_numpy(preds), torch.from_numpy(target)


def reference(batches, classes):
    """The scores of some batches in NumPy, from boolean masks and without a confusion matrix."""
    preds, target = (np.concatenate([each[part].numpy().ravel() for each in batches]) for part in (0, 1))
    preds, target = preds[target != VOID], target[target != VOID]
    overlap, f1 = np.full(classes, np.nan), np.full(classes, np.nan)
    for index in range(classes):
        predicted, true = preds == index, target == index
        if predicted.any() or true.any():
            overlap[index] = (predicted & true).sum() / (predicted | true).sum()
            f1[index] = 2 * (predicted & true).sum() / (predicted.sum() + true.sum())
    return overlap, f1, np.nanmean(overlap), (preds == target).mean()


UNEVEN = [(2, 9, 7), (1, 4, 4), (3, 5, 11)]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), absent=st.sets(st.integers(0, 4), max_size=3))
def test_scores_equal_a_numpy_reference_on_uneven_batches(seed, absent):
    batches = [batch(seed + index, absent=absent, size=size) for index, size in enumerate(UNEVEN)]
    counts = sum(confusion_counts(*each, 5) for each in batches)
    overlap, f1, mean, correct = reference(batches, 5)
    np.testing.assert_allclose(iou(counts), overlap)
    np.testing.assert_allclose(dice(counts), f1)
    assert miou(counts).item() == pytest.approx(mean)
    assert accuracy(counts).item() == pytest.approx(correct)


@pytest.mark.parametrize("absent", [(), (2,), (0, 4)])
def test_scores_equal_those_of_torchmetrics(absent):
    batches = [batch(index, absent=absent, size=size) for index, size in enumerate(UNEVEN)]
    ours = PooledCounts(5)
    kinds = [(MulticlassJaccardIndex, "none"), (MulticlassJaccardIndex, "macro"), (MulticlassF1Score, "none")]
    theirs = [kind(5, average=average, ignore_index=VOID) for kind, average in kinds]
    theirs.append(MulticlassAccuracy(5, average="micro", ignore_index=VOID))
    for each in batches:
        for metric in (ours, *theirs):
            metric.update(*each)
    counts = ours.compute()
    mine = [iou(counts).nan_to_num(0), miou(counts), dice(counts).nan_to_num(0), accuracy(counts)]
    for one, other in zip(mine, theirs, strict=True):  # an absent class is 0 in theirs, and left out of their mean
        torch.testing.assert_close(one, other.compute().double(), rtol=1e-5, atol=1e-6)


def test_a_small_case_counted_by_hand():
    target = torch.tensor([[0, 0, 1, VOID]])
    preds = torch.tensor([[0, 1, 1, 0]])
    counts = confusion_counts(preds, target, 2)
    assert counts.tolist() == [[1, 1], [0, 1]]
    assert iou(counts).tolist() == [0.5, 0.5]
    assert dice(counts).tolist() == pytest.approx([2 / 3, 2 / 3])
    assert accuracy(counts).item() == pytest.approx(2 / 3)


def test_absent_classes_are_left_out_and_only_predicted_ones_are_zero():
    target = torch.tensor([[0, 0], [1, 1]])
    counts = confusion_counts(target, target, 3)
    assert iou(counts)[2].isnan()
    assert dice(counts)[2].isnan()
    assert miou(counts) == 1
    counts = confusion_counts(torch.tensor([[0, 1]]), torch.tensor([[0, 0]]), 2)
    assert iou(counts).tolist() == [0.5, 0]
    assert miou(counts) == 0.25
    counts = confusion_counts(torch.tensor([[0, 1]]), torch.tensor([[VOID, VOID]]), 2)
    assert counts.sum() == 0
    assert miou(counts).isnan()
    assert accuracy(counts).isnan()


def test_miou_per_photo_is_the_mean_of_the_photos_and_not_that_of_the_pool():
    photos = torch.tensor([[[90, 0], [0, 10]], [[0, 1], [0, 1]], [[0, 0], [0, 0]]])  # perfect, poor, all void
    assert miou_per_photo(photos).item() == pytest.approx((1 + (0 + 1 / 2) / 2) / 2)
    assert miou(photos.sum(0)).item() == pytest.approx((90 / 91 + 11 / 12) / 2)


def test_two_merged_metrics_equal_one_over_all_batches():
    batches = [batch(index, size=size) for index, size in enumerate(UNEVEN)]
    first, second, whole = PooledCounts(5), PooledCounts(5), PooledCounts(5)
    for each, metric in zip(batches, (first, second, second), strict=True):
        metric.update(*each)
        whole.update(*each)
    first.merge_state(second)
    assert torch.equal(first.compute(), whole.compute())
    assert whole.compute().dtype == torch.int64


def test_reset_clears_the_counts_and_leaves_earlier_results_alone():
    metric = PooledCounts(5)
    metric.update(*batch(0))
    read = metric.compute()
    kept = read.clone()
    metric.reset()
    metric.update(*batch(1))
    assert torch.equal(read, kept)
    assert torch.equal(metric.compute(), confusion_counts(*batch(1), 5))
    assert not metric.state_dict(), "it adds nothing to a checkpoint"


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_every_integer_type_counts_the_same(dtype):
    preds, target = batch(0)
    expected = confusion_counts(preds, target, 5)
    assert torch.equal(confusion_counts(preds.to(dtype), target.to(dtype), 5), expected)


@pytest.mark.parametrize("classes", [2, 254])
def test_any_number_of_classes_that_a_mask_can_hold(classes):
    target = torch.arange(classes)[None]
    assert torch.equal(confusion_counts(target, target, classes), torch.eye(classes, dtype=torch.int64))


@pytest.mark.parametrize("value", [-300, -257, -1, 5, 6, 254, VOID, 256, 257, 258, 511, 70_000])
@pytest.mark.parametrize("at_void", [False, True])
def test_a_prediction_that_is_not_a_class_is_not_ignored(value, at_void):
    preds, target = batch(0)
    target[0, 0, 0] = VOID if at_void else 0
    preds[0, 0, 0] = value
    with pytest.raises(DataError, match=rf"the prediction \[{min(max(value, -1), 256)}\] besides the classes 0 to 4"):
        confusion_counts(preds, target, 5)


@pytest.mark.parametrize("value", [-300, -1, 5, 254, 256, 70_000])
def test_a_target_that_is_neither_class_nor_void_is_not_ignored(value):
    preds, target = batch(0)
    target[0, 0, 0] = value
    with pytest.raises(DataError, match=rf"the target holds \[{min(max(value, -1), 256)}\]"):
        PooledCounts(5).update(preds, target)


def test_another_shape_is_not_broadcast():
    with pytest.raises(DataError, match=r"shape \(2, 3, 3\) and their target \(3, 3\)"):
        confusion_counts(torch.zeros(2, 3, 3).long(), torch.zeros(3, 3).long(), 5)
