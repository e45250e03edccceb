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
    """Raw weights after each batch, and the checkpoint, module and trainer of a training with averaged weights."""

    def train(decay, epochs=4, **changes):
        noting, module = Noting(), make_module()
        callbacks = [noting, AveragedWeights(decay), LastCheckpoint(str(tmp_path / "ck"), every_s=0)]
        trainer = make_trainer(epochs, callbacks, enable_checkpointing=True, **changes)
        trainer.fit(module, datamodule=face_module())
        return noting.after, torch.load(tmp_path / "ck" / "last.ckpt", weights_only=True), module, trainer

    return train


@pytest.mark.parametrize(("decay", "batches"), [(0.99, 1), (0.3, 1), (0.99, 2)])
def test_averages_over_steps_match_an_independent_computation_with_a_fast_start(trained, decay, batches):
    raw, checkpoint, *_ = trained(decay, accumulate_grad_batches=batches)
    assert len(raw) == 8
    expected = averages(raw[batches - 1 :: batches], decay)
    for name, value in checkpoint["state_dict"].items():
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), expected[name], rtol=1e-5, atol=1e-6, msg=name)


def test_the_checkpoint_has_averaged_weights_and_raw_ones_to_resume_with(trained):
    raw, checkpoint, *_ = trained(0.99)
    averaged = checkpoint["state_dict"]
    counts = [value for name, value in averaged.items() if name.endswith("num_batches_tracked")]
    assert {(int(value), value.dtype) for value in counts} == {(8, torch.int64)}
    for name, value in raw[-1].items():
        assert torch.equal(checkpoint["current_model_state"][name], value)
    assert averaged.keys() == raw[-1].keys()
    assert any(not torch.equal(value, raw[-1][name]) for name, value in averaged.items())


def test_the_averaged_weights_are_validated_loaded_and_stay_in_memory(trained, tmp_path):
    _, checkpoint, module, trainer = trained(0.9, epochs=3)
    loaded = SegmentationModule.load_from_checkpoint(tmp_path / "ck" / "last.ckpt")
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, checkpoint["state_dict"][name])
        assert torch.equal(value, module.state_dict()[name])
    _, batch, _ = trainer.datamodule.preview(len(trainer.datamodule.val))
    expected = float(module.loss(loaded(batch.image).detach(), batch.target))
    assert float(trainer.callback_metrics["val/loss"]) == pytest.approx(expected, rel=1e-5)
