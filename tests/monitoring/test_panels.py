from typing import NamedTuple

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.callbacks import WeightAveraging
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from facesegl.drawing import canvas
from facesegl.labels import Taxonomy
from facesegl.monitoring import PanelCallback, panels
from helpers.modules import bare_trainer, make_trainer

pytestmark = bare_trainer
FACE = Taxonomy(names=("wall", "skin", "mouth"), colours=((255, 0, 0), (255, 255, 0), (0, 255, 0)))


class Batch(NamedTuple):
    image: Tensor
    target: Tensor


class Faces(pl.LightningDataModule):
    taxonomy = FACE

    def __init__(self, validates=True):
        super().__init__()
        self.validates = validates

    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.zeros(2, 1)))

    def val_dataloader(self):
        return self.train_dataloader()

    def preview(self, count):
        photo = torch.full((count, 3, 16, 16), 90, dtype=torch.uint8)
        which = "val" if self.validates else "train"
        return which, Batch(photo, torch.zeros(count, 16, 16, dtype=torch.int64)), [f"train/{n}" for n in range(count)]

    def preview_augmented(self, count):
        _, plain, ids = self.preview(count)
        return plain, Batch(plain.image + 50.4, plain.target + 2), ids


class Net(pl.LightningModule):
    """Its weight grows by one per step; it records the weight and the input of each `predict_masks`."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.asked = []

    def training_step(self, batch, batch_idx):
        return -self.weight

    def validation_step(self, batch, batch_idx):
        self.log("val/miou", 0.5)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)

    def predict_masks(self, image):
        self.asked.append((float(self.weight.detach()), image.dtype, len(image)))
        return torch.ones(len(image), 16, 16, dtype=torch.uint8)


def fit(callback, *others, faces=None, **flags):
    module = Net()
    make_trainer(5, [*others, callback], num_sanity_val_steps=1, **flags).fit(module, datamodule=faces or Faces())
    return module


def names(folder):
    """The panels of epochs; `augmented.png` has a separate test."""
    return sorted(path.name for path in folder.iterdir() if path.name != "augmented.png")


def test_panels_come_every_few_epochs_and_at_the_end(tmp_path):
    module = fit(PanelCallback(tmp_path / "panels", photos=3, every=2))
    assert names(tmp_path / "panels") == ["epoch_0002.png", "epoch_0004.png", "epoch_0005.png"]
    assert module.asked == [(4, torch.uint8, 3), (8, torch.uint8, 3), (10, torch.uint8, 3)]
    with Image.open(tmp_path / "panels/epoch_0005.png") as panel:
        assert panel.width == 4 * 160 + 3 * canvas.GAP + 2 * canvas.MARGIN


@pytest.mark.parametrize(
    ("photos", "every", "flags", "epochs"),
    [
        (1, 5, {}, [5]),  # the last epoch's panel is drawn once
        (1, 2, {"max_epochs": 6, "check_val_every_n_epoch": 3}, [3, 6]),  # panels wait for a validation
        (0, 1, {}, []),
    ],
)
def test_panels_are_drawn_once_and_wait_for_a_validation(tmp_path, photos, every, flags, epochs):
    module = fit(PanelCallback(tmp_path, photos=photos, every=every), **flags)
    assert names(tmp_path) == [f"epoch_{epoch:04}.png" for epoch in epochs]
    assert len(module.asked) == len(epochs)


def test_augmented_photos_are_shown_next_to_the_photos(tmp_path):
    fit(PanelCallback(tmp_path, photos=1, every=5), max_epochs=1)
    with Image.open(tmp_path / "augmented.png") as sheet:
        pixels = np.asarray(sheet)
    lefts = [canvas.MARGIN + column * (160 + canvas.GAP) for column in range(3)]
    assert [pixels[150, left + 80].tolist() for left in lefts] == [[90] * 3, [140] * 3, [0, 255, 0]]


@pytest.mark.parametrize("validates", [True, False])
def test_the_title_says_which_split_is_shown(tmp_path, monkeypatch, validates):
    titles, draw = [], panels.draw_panel
    monkeypatch.setattr(panels, "draw_panel", lambda *a, title: titles.append(title) or draw(*a, title=title))
    fit(PanelCallback(tmp_path, photos=1, every=3), faces=Faces(validates), limit_val_batches=float(validates))
    assert names(tmp_path) == ["epoch_0003.png", "epoch_0005.png"]
    kind = "validation photos" if validates else "TRAINING photos: the net was trained on these masks"
    assert titles == [f"After epoch 3: {kind}", f"After epoch 5: {kind}"]


@pytest.mark.parametrize("averaging_first", [True, False])
def test_validation_panels_show_the_averaged_weights(tmp_path, averaging_first):
    panel, mean = PanelCallback(tmp_path, photos=1, every=2), WeightAveraging()
    module = fit(mean, panel, max_epochs=2) if not averaging_first else fit(panel, mean, max_epochs=2)
    assert module.asked[0][0] == pytest.approx(np.mean([1, 2, 3, 4])), "the mean of four steps, not the fourth"


def test_tensorboard_gets_the_panel_and_other_loggers_do_not(tmp_path):
    board = TensorBoardLogger(tmp_path, name="board", version="")
    fit(PanelCallback(tmp_path / "panels", photos=1, every=5), logger=[board, CSVLogger(tmp_path, name="csv")])
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "board"))
    events.Reload()
    [image] = events.Images("panels/val")
    with Image.open(tmp_path / "panels/epoch_0005.png") as panel:
        assert (image.width, image.height, image.step) == (*panel.size, 10)


def test_it_changes_nothing_in_the_training(tmp_path):
    ends = []
    for photos in (2, 0):
        torch.manual_seed(0)
        module = fit(PanelCallback(tmp_path, photos=photos, every=1))
        ends.append((module.training, float(module.weight.detach()), torch.get_rng_state().tolist()))
    assert ends[0] == ends[1]


def test_validating_without_training_draws_nothing(tmp_path):
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, callbacks=[PanelCallback(tmp_path, 1, 1)]
    )
    trainer.validate(Net(), datamodule=Faces(), verbose=False)
    assert names(tmp_path) == []
