import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from facesegl.errors import ConfigError, DataError, FaceseglError
from facesegl.labels import VOID
from facesegl.losses import CrossEntropy, CrossEntropyDice, Focal, weights_from_shares

NAMES = ("background", "skin", "hair", "eyes")
SHARES = torch.tensor([0.5, 0.3, 0.19, 0.01])


def batch(seed=0, classes=4, void=0.2, size=(3, 8, 7)):
    generator = torch.Generator().manual_seed(seed)
    batches, height, width = size
    logits = 3 * torch.randn(batches, classes, height, width, generator=generator)
    target = torch.randint(0, classes, size, generator=generator)
    target[torch.rand(size, generator=generator) < void] = VOID
    return logits, target


def losses():
    every = [CrossEntropy(False), CrossEntropy(True), CrossEntropyDice(False, 1.0), CrossEntropyDice(True, 0.5)]
    every += [Focal(False, 2.0), Focal(True, 0.5), Focal({"eyes": 3, "skin": 0.5}, 1.0), CrossEntropy([1, 0.5, 1, 3])]
    for loss in every:
        loss.set_class_names(NAMES)
        loss.set_class_shares(SHARES)
    return every


def reference(logits, target, weight, dice, gamma=0.0):
    """Cross-entropy, focal loss and Dice in NumPy, pixel by pixel and class by class."""
    logits, target = logits.double().numpy(), target.numpy()
    odds = np.exp(logits - logits.max(1, keepdims=True))
    probabilities = np.moveaxis(odds / odds.sum(1, keepdims=True), 1, -1)[target != VOID]  # (known pixels, C)
    truth = target[target != VOID]
    true = np.array([row[index] for row, index in zip(probabilities, truth, strict=True)])
    each = (1 - true) ** gamma * -np.log(true)
    entropy = (each * weight[truth]).sum() / weight[truth].sum()
    missing = []
    for index in np.unique(truth):
        predicted, true = probabilities[:, index], truth == index
        missing.append(1 - (2 * (predicted * true).sum() + 1) / (predicted.sum() + true.sum() + 1))
    return entropy + dice * np.mean(missing)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), void=st.sampled_from([0.0, 0.3, 0.9]))
def test_losses_equal_a_numpy_reference(seed, void):
    logits, target = batch(seed, void=void)
    if (target == VOID).all():
        return
    one, rare, own = np.ones(4), weights_from_shares(SHARES).double().numpy(), np.array([1, 0.5, 1, 3])
    expected = [(one, 0), (rare, 0), (one, 1), (rare, 0.5), (one, 0, 2), (rare, 0, 0.5), (own, 0, 1), (own, 0)]
    for loss, terms in zip(losses(), expected, strict=True):
        assert loss(logits, target).item() == pytest.approx(reference(logits, target, *terms), rel=1e-4)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), weights=st.sampled_from([False, True, [1.0, 2.0, 0.0, 5.0]]))
def test_focal_loss_with_gamma_0_is_cross_entropy_and_less_with_a_larger_gamma(seed, weights):
    logits, target = batch(seed)
    entropy, *focal = CrossEntropy(weights), *(Focal(weights, gamma) for gamma in (0.0, 0.5, 2.0))
    for loss in (entropy, *focal):
        loss.set_class_names(NAMES)
        loss.set_class_shares(SHARES)
    values = [loss(logits, target).item() for loss in focal]
    assert values[0] == entropy(logits, target).item()
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("gamma", [0.1, 1.0, 2.0])
def test_focal_loss_of_a_certain_net_has_a_finite_gradient(gamma):
    _, target = batch(void=0)
    logits = 200.0 * functional.one_hot(target, 4).movedim(-1, 1)
    for scores in (logits, -logits):  # certain and right; certain and wrong
        scores = scores.requires_grad_() if scores.is_leaf else scores.detach().requires_grad_()
        Focal(False, gamma)(scores, target).backward()
        assert scores.grad.isfinite().all()


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([1.0, 2.0], ["2 weights for 4 classes", "background, skin, hair, eyes", "{eyes: 3}"]),
        ([1.0] * 5, ["5 weights for 4 classes"]),
        ({"eye": 3.0, "skn": 1.0}, ["loss.class_weights.eye", "did you mean eyes?", "did you mean skin?"]),
    ],
)
def test_weights_that_do_not_fit_the_classes_are_refused(weights, words):
    with pytest.raises(ConfigError) as error:
        Focal(weights, 2.0).set_class_names(NAMES)
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize("weights", [[1.0, -1.0], {"eyes": float("inf")}, [0.0, 0.0, 0.0, 0.0]])
def test_weights_that_make_no_sense_are_refused(weights):
    with pytest.raises(ConfigError, match="expected weights of 0 or more, not all 0"):
        CrossEntropy(weights)


def test_shares_change_no_weights_that_were_given():
    loss = CrossEntropy({"eyes": 3.0})
    loss.set_class_names(NAMES)
    loss.set_class_shares(SHARES)
    assert loss.weight.tolist() == [1, 1, 1, 3]


@pytest.mark.parametrize("loss", losses(), ids=lambda loss: f"{type(loss).__name__}-{loss.class_weights}")
class TestEveryLoss:
    def test_void_neither_helps_nor_hurts(self, loss):
        logits, target = batch()
        other, _ = batch(seed=1)
        disturbed = logits.where((target != VOID)[:, None], 9 * other)
        torch.testing.assert_close(loss(logits, target), loss(disturbed, target))

    def test_only_void_pixels_have_no_gradient(self, loss):
        logits, target = batch()
        logits.requires_grad_()
        loss(logits, target).backward()
        steered = (logits.grad != 0).any(dim=1)
        assert torch.equal(steered, target != VOID)

    def test_a_batch_of_void_gives_zero_and_no_gradient(self, loss):
        logits, target = batch(void=1.1)
        logits.requires_grad_()
        value = loss(logits, target)
        value.backward()
        assert value.item() == 0
        assert (logits.grad == 0).all()

    def test_the_gradient_is_that_of_finite_differences(self, loss):
        logits, target = batch(size=(2, 3, 3))
        logits.requires_grad_()
        loss(logits, target).backward()
        direction = torch.sign(logits.grad)
        with torch.no_grad():
            slope = (loss(logits + 1e-3 * direction, target) - loss(logits - 1e-3 * direction, target)) / 2e-3
        assert slope.item() == pytest.approx((logits.grad * direction).sum().item(), rel=1e-2)

    def test_it_is_float32_under_autocast_and_for_half_logits(self, loss):
        logits, target = batch()
        with torch.autocast("cpu", torch.bfloat16):
            value = loss(logits, target)
            coarse = loss(logits.bfloat16(), target)
        assert value.dtype == coarse.dtype == torch.float32
        assert torch.equal(value, loss(logits, target))

    def test_it_adds_nothing_to_a_checkpoint(self, loss):
        assert not loss.state_dict()

    def test_the_layout_in_memory_does_not_matter(self, loss):
        logits, target = batch()
        torch.testing.assert_close(
            loss(logits.contiguous(memory_format=torch.channels_last), target), loss(logits, target)
        )

    def test_nothing_waits_for_the_device(self, loss):
        # tensors without values: whatever reads one raises
        logits, target = (each.to("meta") for each in batch())
        assert copy.deepcopy(loss).to("meta")(logits, target).shape == ()

    def test_a_target_that_is_not_a_class_is_not_ignored(self, loss):
        logits, target = batch()
        target[0, 0, 0] = 4
        with pytest.raises(IndexError):
            loss(logits, target)


def test_a_perfect_prediction_costs_nearly_nothing_and_the_worst_costs_the_whole_dice():
    _, target = batch()
    onehot = functional.one_hot(target.where(target != VOID, 0), 4).movedim(-1, 1).float()
    loss, entropy = CrossEntropyDice(False, 1.0), CrossEntropy(False)
    assert loss(40 * onehot, target).item() == pytest.approx(0, abs=1e-5)
    wrong = 40 * onehot.roll(1, dims=1)
    assert (loss(wrong, target) - entropy(wrong, target)).item() == pytest.approx(1, abs=0.05)


def test_dice_leaves_absent_classes_out():
    target = torch.zeros(1, 4, 4, dtype=torch.int64)
    logits = torch.zeros(1, 2, 4, 4)
    value = CrossEntropyDice(False, 1.0)(logits, target) - CrossEntropy(False)(logits, target)
    assert value.item() == pytest.approx(1 - (2 * 8 + 1) / (8 + 16 + 1))


def test_dice_is_pooled_over_the_batch_and_not_averaged_over_photos():
    logits, target = batch(size=(2, 4, 4), void=0)
    side_by_side = CrossEntropyDice(False, 1.0)(logits.permute(1, 0, 2, 3).reshape(1, 4, 8, 4), target.reshape(1, 8, 4))
    torch.testing.assert_close(CrossEntropyDice(False, 1.0)(logits, target), side_by_side)


def test_class_weights_are_inverse_square_roots_of_the_shares_with_mean_one():
    weights = weights_from_shares(torch.tensor([0.64, 0.25, 0.0, 0.01]))
    present = weights[[0, 1, 3]]
    assert present.mean().item() == pytest.approx(1)
    assert (present / present[0]).tolist() == pytest.approx([1, 0.8 / 0.5, 0.8 / 0.1])
    assert weights[2] == 0


def test_a_batch_of_a_class_without_training_pixels_costs_nothing():
    loss = CrossEntropy(True)
    loss.set_class_shares(torch.tensor([0.7, 0.3, 0.0]))
    assert loss(torch.randn(1, 3, 2, 2), torch.full((1, 2, 2), 2)).item() == 0


def test_shares_change_nothing_without_class_weights():
    logits, target = batch()
    loss = CrossEntropy(False)
    before = loss(logits, target)
    loss.set_class_shares(SHARES)
    assert torch.equal(loss(logits, target), before)
    assert loss.weight is None


def test_weights_move_with_the_module():
    loss = CrossEntropy(True)
    loss.set_class_shares(SHARES)
    assert loss.to("meta").weight.device.type == "meta"


def test_missing_shares_are_reported():
    with pytest.raises(FaceseglError, match="set_class_shares"):
        CrossEntropyDice(True, 1.0)(*batch())


def test_shares_of_nothing_are_refused():
    with pytest.raises(DataError, match="training masks have no pixel of any class"):
        CrossEntropy(True).set_class_shares(torch.zeros(3))
