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

from facesegl.drawing import canvas as drawing
from facesegl.labels import VOID, Taxonomy
from facesegl.monitoring import PanelCallback, draw_panel, paint_errors, panels

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings(r"ignore:.*isinstance\(treespec, LeafSpec\).*"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval.*"),
]
FACE = Taxonomy(names=("wall", "skin", "mouth"), colours=((255, 0, 0), (255, 255, 0), (0, 255, 0)))
TITLE = "After epoch 3: validation photos"


@pytest.fixture
def face():
    """A photo (12, 10, 3), its truth and the same as prediction (12, 10)."""
    photo = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    truth = np.zeros((12, 10), np.uint8)
    truth[2:10, 2:8] = 1
    truth[7:9, 3:7] = 2
    return photo, truth, truth.copy()


def test_a_perfect_prediction_leaves_a_grey_photo(face):
    errors = paint_errors(*face, FACE)
    assert errors.dtype == np.uint8
    assert (errors == errors[..., :1]).all()
    assert errors.max() < 160


def test_each_wrong_pixel_has_the_colour_that_was_predicted(face):
    photo, truth, prediction = face
    prediction[0, 0], prediction[7, 3] = 2, 1
    errors = paint_errors(photo, truth, prediction, FACE)
    assert errors[0, 0].tolist() == [0, 255, 0]
    assert errors[7, 3].tolist() == [255, 255, 0]
    assert (errors != errors[..., :1]).any(axis=-1).sum() == 2


def test_void_is_hatched_and_never_wrong(face):
    photo, truth, prediction = face
    truth[:4] = VOID
    void = paint_errors(photo, truth, prediction, FACE)[:4]
    assert (void == void[..., :1]).all()
    assert len(np.unique(void)) == 2


def tiles_of(panel, rows, side):
    """The four tiles of each row, found as the places where the drawn tiles of one colour lie."""
    pixels = np.asarray(panel)
    assert pixels.shape[1] == 4 * side + 3 * drawing.GAP + 2 * drawing.MARGIN
    lefts = [drawing.MARGIN + column * (side + drawing.GAP) for column in range(4)]
    inked = (pixels[:, lefts[1] + side // 2] == FACE.colours[1]).all(axis=-1)
    tops = np.flatnonzero(np.diff(inked.astype(int)) == 1) + 1
    return [[pixels[top : top + side, left : left + side] for left in lefts] for top in tops[:rows]]


def test_a_panel_shows_photo_truth_prediction_and_error_from_left_to_right():
    photo = np.full((200, 200, 3), 100, np.uint8)
    skin, mouth = np.ones((200, 200), np.uint8), np.full((200, 200), 2, np.uint8)
    panel = draw_panel([photo, photo], [skin, skin], [mouth, skin], FACE, ["train/1", "train/2"], title=TITLE)
    wrong, right = tiles_of(panel, rows=2, side=200)
    assert [tile[50, 50].tolist() for tile in wrong] == [[100] * 3, [255, 255, 0], [0, 255, 0], [0, 255, 0]]
    assert [tile[50, 50].tolist() for tile in right] == [[100] * 3, [255, 255, 0], [255, 255, 0], [55] * 3]
    assert all((tile == tile[0, 0]).all() for tile in [*wrong, *right])


def test_small_photos_are_enlarged_and_large_ones_reduced_without_new_colours():
    for side, shown in ((32, 160), (1000, 334)):
        truth = np.ones((side, side), np.uint8)
        truth[:, side // 4 : side // 2 - 2] = 2
        photo = np.zeros((side, side, 3), np.uint8)
        panel = draw_panel([photo], [truth], [truth], FACE, ["1"], title=TITLE)
        [[_, drawn, _, _]] = tiles_of(panel, rows=1, side=shown)
        assert {tuple(colour) for colour in drawn.reshape(-1, 3).tolist()} == {FACE.colours[1], FACE.colours[2]}


def test_the_legend_holds_every_class_however_many(face):
    many = Taxonomy(
        names=tuple(f"class number {index}" for index in range(30)),
        colours=tuple((index, 7 * index, 255 - index) for index in range(30)),
    )
    photo, truth, prediction = face
    panel = draw_panel([photo], [truth], [prediction], many, ["1"], title=TITLE)
    drawn = {tuple(colour) for colour in np.asarray(panel)[240:].reshape(-1, 3).tolist()}
    assert set(many.colours) <= drawn


def test_a_long_name_is_cut_from_the_left():
    cut = drawing.shorten("folder/" * 40 + "face.jpg", 200)
    assert cut.startswith("...")
    assert cut.endswith("face.jpg")
    assert drawing.length(cut) <= 200
    assert drawing.shorten("train/1", 200) == "train/1"


@pytest.mark.parametrize(
    ("truth", "words"), [([0, 1, 1, 2], "75.0 % right"), ([VOID, 1, VOID, 2], "50.0 % right"), ([VOID] * 4, "all void")]
)
def test_what_is_right_leaves_void_out(truth, words):
    assert panels._rightness(np.uint8([truth]), np.uint8([[0, 1, 1, 1]])) == words


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
    """Its weight grows by one a step; it keeps the weight and mode of each time it was asked for masks."""

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

    def predict_masks(self, photo):
        self.asked.append((float(self.weight.detach()), photo.dtype, len(photo)))
        return torch.ones(len(photo), 16, 16, dtype=torch.uint8)


def fit(callback, *others, faces=None, **flags):
    module = Net()
    defaults = {"max_epochs": 5, "logger": False, "num_sanity_val_steps": 1}
    trainer = pl.Trainer(
        **defaults | flags,
        accelerator="cpu",
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[*others, callback],
    )
    trainer.fit(module, datamodule=faces or Faces())
    return module


def names(folder):
    """The panels of epochs; `augmented.png` has a test of its own."""
    return sorted(path.name for path in folder.iterdir() if path.name != "augmented.png")


def test_panels_come_every_few_epochs_and_at_the_end(tmp_path):
    module = fit(PanelCallback(tmp_path / "panels", photos=3, every=2))
    assert names(tmp_path / "panels") == ["epoch_0002.png", "epoch_0004.png", "epoch_0005.png"]
    assert module.asked == [(4, torch.uint8, 3), (8, torch.uint8, 3), (10, torch.uint8, 3)]
    with Image.open(tmp_path / "panels/epoch_0005.png") as panel:
        assert panel.width == 4 * 160 + 3 * drawing.GAP + 2 * drawing.MARGIN


def test_a_panel_of_the_last_epoch_is_not_drawn_twice(tmp_path):
    assert len(fit(PanelCallback(tmp_path, photos=1, every=5)).asked) == 1
    assert names(tmp_path) == ["epoch_0005.png"]


def test_what_will_be_learnt_from_is_shown_beside_the_photos_as_they_are(tmp_path):
    fit(PanelCallback(tmp_path, photos=1, every=5), max_epochs=1)
    with Image.open(tmp_path / "augmented.png") as sheet:
        pixels = np.asarray(sheet)
    lefts = [drawing.MARGIN + column * (160 + drawing.GAP) for column in range(3)]
    assert [pixels[150, left + 80].tolist() for left in lefts] == [[90] * 3, [140] * 3, [0, 255, 0]]


def test_validation_that_is_rarer_than_panels_are_due_makes_them_later(tmp_path):
    fit(PanelCallback(tmp_path, photos=1, every=2), max_epochs=6, check_val_every_n_epoch=3)
    assert names(tmp_path) == ["epoch_0003.png", "epoch_0006.png"]


@pytest.mark.parametrize("validates", [True, False])
def test_the_title_says_which_photos_these_are(tmp_path, monkeypatch, validates):
    titles, draw = [], panels.draw_panel
    monkeypatch.setattr(panels, "draw_panel", lambda *a, title: titles.append(title) or draw(*a, title=title))
    fit(PanelCallback(tmp_path, photos=1, every=3), faces=Faces(validates), limit_val_batches=float(validates))
    assert names(tmp_path) == ["epoch_0003.png", "epoch_0005.png"]
    kind = "validation photos" if validates else "TRAINING photos: the net has learnt from these very masks"
    assert titles == [f"After epoch 3: {kind}", f"After epoch 5: {kind}"]


class Mean(WeightAveraging):
    pass


@pytest.mark.parametrize("averaging_first", [True, False])
def test_validation_panels_show_the_averaged_weights(tmp_path, averaging_first):
    panel, mean = PanelCallback(tmp_path, photos=1, every=2), Mean()
    module = fit(mean, panel, max_epochs=2) if not averaging_first else fit(panel, mean, max_epochs=2)
    assert module.asked[0][0] == pytest.approx(np.mean([1, 2, 3, 4])), "the mean of four steps, not the fourth"


def test_tensorboard_gets_the_picture_and_other_loggers_are_left_alone(tmp_path):
    board = TensorBoardLogger(tmp_path, name="board", version="")
    fit(PanelCallback(tmp_path / "panels", photos=1, every=5), logger=[board, CSVLogger(tmp_path, name="csv")])
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "board"))
    events.Reload()
    [image] = events.Images("panels/val")
    with Image.open(tmp_path / "panels/epoch_0005.png") as panel:
        assert (image.width, image.height, image.step) == (*panel.size, 10)


def test_no_photos_no_panels(tmp_path):
    assert fit(PanelCallback(tmp_path, photos=0, every=1)).asked == []
    assert names(tmp_path) == []


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


def test_photos_of_different_sizes_stand_in_rows_that_do_not_overlap():
    masks = [np.zeros(shape, np.uint8) for shape in ((200, 180), (300, 240), (160, 200))]
    photos = [np.full((*mask.shape, 3), 40 * place, np.uint8) for place, mask in enumerate(masks, start=1)]
    panel = np.asarray(draw_panel(photos, masks, masks, FACE, ["a", "b", "c"], title="sizes"))
    for photo in photos:
        assert (panel == photo[0, 0]).all(-1).sum() >= photo.shape[0] * photo.shape[1]
