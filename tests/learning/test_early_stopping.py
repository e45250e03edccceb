"""Early stopping and the best checkpoint go by scores; a validation without one changes neither."""

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from facesegl.learning import module as _module
from facesegl.learning.callbacks import EarlyStopping, WholeCheckpointIO
from helpers.faces import face_module
from helpers.modules import bare_trainer, make_module, make_trainer

pytestmark = bare_trainer
NAN = float("nan")


@pytest.fixture
def fit(fasseg, tmp_path, monkeypatch):
    """Train with the given `val/miou` after each epoch; returns the epochs trained and the epoch of best.ckpt."""

    def train(scores, monitor="val/miou", mode="max", **arguments):
        following = iter(torch.tensor(scores).repeat_interleave(2))  # for its two names in the log
        monkeypatch.setattr(_module, "miou", lambda _: next(following))
        stopping = EarlyStopping(monitor=monitor, mode=mode, **arguments)
        best = ModelCheckpoint(tmp_path / "kept", "best", "val/miou", mode="max", enable_version_counter=False)
        trainer = make_trainer(len(scores), [stopping, best], enable_checkpointing=True, plugins=[WholeCheckpointIO()])
        trainer.fit(make_module(), datamodule=face_module())
        saved = torch.load(tmp_path / "kept" / "best.ckpt", weights_only=True)
        return trainer.current_epoch, saved["epoch"] + 1

    return train


@pytest.mark.parametrize(
    ("scores", "epochs", "best"),
    [
        ([NAN, NAN, NAN, NAN], 4, 1),  # nothing to score at all
        ([NAN, 0.5, NAN, NAN, NAN], 5, 2),
        ([0.5, NAN, 0.4, NAN, 0.6, NAN], 6, 5),
        ([0.5, NAN, 0.4, NAN, 0.3, 0.6], 5, 1),
    ],
)
def test_a_score_that_is_nan_neither_stops_a_training_nor_replaces_the_best(fit, scores, epochs, best):
    assert fit(scores, patience=2) == (epochs, best)


def test_a_loss_that_is_not_finite_still_stops_it(fit, monkeypatch):
    monkeypatch.setattr(_module.SegmentationModule, "_loss_of", _loss_of_nan)
    assert fit([0.5, 0.6, 0.7], monitor="val/loss", mode="min", patience=9) == (1, 1)


def _loss_of_nan(self, logits, target):
    loss = self.loss(logits, target)
    return loss if self.training else loss * NAN


def test_a_training_metric_is_checked_after_each_epoch_as_by_lightning(fit):
    epochs, _ = fit([0.5, 0.6, 0.7], monitor="train/loss", mode="min", stopping_threshold=1e9, patience=9)
    assert epochs == 1


def test_a_training_is_stopped_early_only_after_its_minimum_of_epochs(fasseg, monkeypatch):
    monkeypatch.setattr(_module, "miou", lambda _: torch.tensor(0.5))
    trainer = make_trainer(9, [EarlyStopping(monitor="val/miou", mode="max", patience=1)], min_epochs=4)
    trainer.fit(make_module(), datamodule=face_module())
    assert trainer.current_epoch == 4
