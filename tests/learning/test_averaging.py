import copy

import pytest
import pytorch_lightning as pl
import torch

from facesegl.learning import AveragedWeights, LastCheckpoint, SegmentationModule
from helpers.faces import face_module
from helpers.modules import bare_trainer, make_module, make_trainer

pytestmark = bare_trainer


class Noting(pl.Callback):
    """Records the raw weights after every step."""

    def __init__(self):
        self.after = []

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.after.append(copy.deepcopy(pl_module.state_dict()))


def averages(states, decay):
    """The expected average of the raw weights after each step, in float64."""
    average = {name: value.double() for name, value in states[0].items()}
    for update, state in enumerate(states[1:], start=1):
        keep = min(decay, (1 + update) / (10 + update))
        average = {name: keep * average[name] + (1 - keep) * value.double() for name, value in state.items()}
    return average


@pytest.fixture
def trained(fasseg, tmp_path):
    """Raw weights after each step, and the checkpoint and module of a training with averaged weights."""

    def train(decay, epochs=4, **trainer):
        noting = Noting()
        module = make_module()
        callbacks = [noting, AveragedWeights(decay), LastCheckpoint(str(tmp_path / "ck"), every_s=0)]
        make_trainer(epochs, callbacks, enable_checkpointing=True, **trainer).fit(module, datamodule=face_module())
        return noting.after, torch.load(tmp_path / "ck" / "last.ckpt", weights_only=True), module

    return train


@pytest.mark.parametrize("decay", [0.99, 0.3])
def test_averages_match_an_independent_computation_with_a_fast_start(trained, decay):
    raw, checkpoint, _ = trained(decay)
    assert len(raw) == 8
    expected = averages(raw, decay)
    for name, value in checkpoint["state_dict"].items():
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), expected[name], rtol=1e-5, atol=1e-6, msg=name)


def test_a_count_of_batches_is_copied_and_not_averaged(trained):
    _, checkpoint, _ = trained(0.99)
    counts = {name: value for name, value in checkpoint["state_dict"].items() if name.endswith("num_batches_tracked")}
    assert counts
    assert {int(value) for value in counts.values()} == {8}
    assert all(value.dtype == torch.int64 for value in counts.values())


def test_the_checkpoint_has_averaged_weights_and_raw_ones_to_resume_with(trained):
    raw, checkpoint, _ = trained(0.99)
    for name, value in raw[-1].items():
        assert torch.equal(checkpoint["current_model_state"][name], value)
    assert checkpoint["state_dict"].keys() == raw[-1].keys()
    assert any(not torch.equal(value, raw[-1][name]) for name, value in checkpoint["state_dict"].items())


def test_the_averaged_weights_are_loaded_and_stay_in_memory(trained, tmp_path, photos):
    _, checkpoint, module = trained(0.9)
    loaded = SegmentationModule.load_from_checkpoint(tmp_path / "ck" / "last.ckpt")
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, checkpoint["state_dict"][name])
        assert torch.equal(value, module.state_dict()[name])


def test_the_averaged_weights_are_validated(fasseg, tmp_path):
    faces, module = face_module(), make_module()
    callbacks = [AveragedWeights(0.9), LastCheckpoint(str(tmp_path / "ck"), every_s=0)]
    trainer = make_trainer(3, callbacks, enable_checkpointing=True)
    trainer.fit(module, datamodule=faces)
    logged = float(trainer.callback_metrics["val/loss"])
    loaded = SegmentationModule.load_from_checkpoint(tmp_path / "ck" / "last.ckpt")
    _, batch, _ = faces.preview(len(faces.val))
    assert logged == pytest.approx(float(module.loss(loaded(batch.image).detach(), batch.target)), rel=1e-5)


def test_with_accumulation_steps_are_averaged_not_batches(trained):
    raw, checkpoint, _ = trained(0.99, accumulate_grad_batches=2)
    expected = averages(raw[1::2], 0.99)  # two batches a step
    for name, value in checkpoint["state_dict"].items():
        if name.endswith("weight"):
            torch.testing.assert_close(value.double(), expected[name], rtol=1e-5, atol=1e-6, msg=name)
