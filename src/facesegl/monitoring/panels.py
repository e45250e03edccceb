"""Pictures of what the net does: photo, truth, prediction and error side by side, from epoch to epoch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image, ImageDraw
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor

from facesegl.drawing.canvas import (
    FAINT,
    GAP,
    HEADING,
    INK,
    LINE,
    MARGIN,
    PAPER,
    hatch_void,
    legend,
    shorten,
    write,
    write_legend,
)
from facesegl.files import replacing
from facesegl.labels.taxonomy import VOID, Taxonomy

_PANEL = ("photo", "truth", "prediction", "error")
_SHEET = ("photo", "as the net sees it", "what it learns")
_ERRORS = "error: each wrong pixel in the colour that was predicted; void is neither learnt nor scored"
_LEARNT = "what comes in from outside is void: neither learnt nor scored"
_LEAST_TILE, _MOST_TILE = 160, 480  # a tile's width in pixels, where whole zoom factors allow


def draw_panel(
    photos: Sequence[np.ndarray],
    truths: Sequence[np.ndarray],
    predictions: Sequence[np.ndarray],
    taxonomy: Taxonomy,
    captions: Sequence[str],
    *,
    title: str,
) -> Image.Image:
    """Draw one row a photo: photo, truth, prediction, error; above them the title, below them what the colours mean.

    Args:
        photos: (H, W, 3) uint8 each; their sizes may differ.
        truths: (H, W) uint8 each, class indices or VOID.
        predictions: (H, W) uint8 each, class indices.
        taxonomy: the classes, their names and colours.
        captions: a photo's name each.
        title: what the panel shows as a whole.

    Returns:
        An RGB picture.
    """
    rows = [
        _tiles(photo, truth, prediction, taxonomy)
        for photo, truth, prediction in zip(photos, truths, predictions, strict=True)
    ]
    remarks = [_rightness(truth, prediction) for truth, prediction in zip(truths, predictions, strict=True)]
    return _draw_rows(_PANEL, rows, list(zip(captions, remarks, strict=True)), taxonomy, title, _ERRORS)


def draw_samples(
    photos: Sequence[np.ndarray],
    augmented: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    taxonomy: Taxonomy,
    captions: Sequence[str],
) -> Image.Image:
    """Draw one row a photo: as it is, as augmentation turns it, and the mask that is learnt with that.

    Args:
        photos: (S, S, 3) uint8 each.
        augmented: (S, S, 3) uint8 each.
        masks: (S, S) uint8 each, class indices or VOID, moved as the augmented photos are.
        taxonomy: the classes, their names and colours.
        captions: a photo's name each.

    Returns:
        An RGB picture.
    """
    rows = [
        [photo, seen, hatch_void(taxonomy.palette()[mask], mask)]
        for photo, seen, mask in zip(photos, augmented, masks, strict=True)
    ]
    return _draw_rows(_SHEET, rows, [(name, "") for name in captions], taxonomy, "Training photos, augmented", _LEARNT)


def paint_errors(photo: np.ndarray, truth: np.ndarray, prediction: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
    """A dark grey photo on which each wrong pixel has the colour of the class that was predicted; void is hatched.

    Args:
        photo: (H, W, 3) uint8.
        truth: (H, W) uint8, class indices or VOID.
        prediction: (H, W) uint8, class indices.
        taxonomy: the classes' colours.

    Returns:
        (H, W, 3) uint8.
    """
    grey = photo.mean(axis=-1, keepdims=True) * 0.55
    wrong = (truth != prediction)[..., None]
    return hatch_void(np.where(wrong, taxonomy.palette()[prediction], grey.astype(np.uint8)), truth)


class PanelCallback(pl.Callback):
    """Leaves a panel of the same few photos every few epochs, as a PNG and in TensorBoard, and one when training ends.

    When training begins, `augmented.png` shows some of what it will learn from.

    A panel of validation photos is drawn before the first batch is validated: that is where averaged weights stand
    swapped in, whatever the order of the callbacks (Lightning swaps them out again before `on_validation_end`). The
    panel at the end shows averaged weights if the averaging stands before this callback.

    The data module offers `preview(count)` and `preview_augmented(count)`, the module `predict_masks(photo)`. Nothing
    is drawn from a global generator, and the net is left in the mode it was in.

    Args:
        folder: where `epoch_0094.png` (after 94 epochs) goes.
        photos: how many photos a panel shows.
        every: how many epochs lie between two panels.
    """

    def __init__(self, folder: str | Path, photos: int, every: int) -> None:
        self.folder = Path(folder)
        self.photos = photos
        self.every = every
        self._epochs = 0  # how many epochs had passed at the latest panel
        self._step = -1  # and how many steps

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """What will be learnt from; a resumed training counts its epochs on."""
        self._epochs, self._step = trainer.current_epoch, trainer.global_step
        if trainer.is_global_zero and self.photos and not trainer.global_step:
            self._leave("augmented", _samples(trainer, self.photos), "augmented", trainer)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """A panel of validation photos, where one is due."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking and batch_idx == dataloader_idx == 0:
            self._draw_if_due(trainer, trainer.current_epoch + 1)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A panel of training photos, where one is due and nothing is validated."""
        if not any(trainer.num_val_batches):
            self._draw_if_due(trainer, trainer.current_epoch + 1)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A panel of what training has come to, unless there is one of just these weights."""
        if trainer.global_step != self._step:
            self._draw(trainer, trainer.current_epoch)

    def _draw_if_due(self, trainer: pl.Trainer, epochs: int) -> None:
        if epochs // self.every > self._epochs // self.every:
            self._draw(trainer, epochs)

    def _draw(self, trainer: pl.Trainer, epochs: int) -> None:
        self._epochs, self._step = epochs, trainer.global_step
        if not trainer.is_global_zero or not self.photos:
            return
        which, panel = _panel(trainer, self.photos, epochs)
        self._leave(f"epoch_{epochs:04d}", panel, which, trainer)

    def _leave(self, name: str, picture: Image.Image, tag: str, trainer: pl.Trainer) -> None:
        with replacing(self.folder / f"{name}.png") as part:
            picture.save(part, format="PNG")
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                pixels = np.asarray(picture)
                logger.experiment.add_image(f"panels/{tag}", pixels, trainer.global_step, dataformats="HWC")


class _Batch(Protocol):
    """What of a `data.Batch` is drawn: image (B, 3, H, W) in 0..255, target (B, H, W) int64 with VOID."""

    @property
    def image(self) -> Tensor: ...

    @property
    def target(self) -> Tensor: ...


class _Faces(Protocol):
    """What a data module offers to be looked at."""

    @property
    def taxonomy(self) -> Taxonomy: ...

    def preview(self, count: int) -> tuple[str, _Batch, list[str]]: ...

    def preview_augmented(self, count: int) -> tuple[_Batch, _Batch, list[str]]: ...


class _Net(Protocol):
    """What a module does for a picture: (B, 3, H, W) photos in 0..255 to (B, H, W) uint8 masks."""

    device: torch.device

    def predict_masks(self, photo: Tensor) -> Tensor: ...


def _panel(trainer: pl.Trainer, count: int, epochs: int) -> tuple[str, Image.Image]:
    """Which photos these are, "val" or "train", and the panel of them."""
    faces, net = cast(_Faces, trainer.datamodule), cast(_Net, trainer.lightning_module)  # type: ignore[attr-defined]
    which, batch, ids = faces.preview(count)
    masks = net.predict_masks(batch.image.to(net.device)).cpu().numpy()
    photos = batch.image.permute(0, 2, 3, 1).to("cpu", torch.uint8).numpy()
    truths = batch.target.to("cpu", torch.uint8).numpy()
    shown = "validation photos" if which == "val" else "TRAINING photos: the net has learnt from these very masks"
    title = f"After epoch {epochs}: {shown}"
    return which, draw_panel(list(photos), list(truths), list(masks), faces.taxonomy, ids, title=title)


def _samples(trainer: pl.Trainer, count: int) -> Image.Image:
    """Some of the photos that are learnt from, and what augmentation makes of them."""
    faces = cast(_Faces, trainer.datamodule)  # type: ignore[attr-defined]
    plain, augmented, ids = faces.preview_augmented(count)
    photos, seen = ([*batch.image.permute(0, 2, 3, 1).to("cpu", torch.uint8).numpy()] for batch in (plain, augmented))
    return draw_samples(photos, seen, [*augmented.target.to("cpu", torch.uint8).numpy()], faces.taxonomy, ids)


def _draw_rows(
    columns: Sequence[str],
    rows: Sequence[Sequence[np.ndarray]],
    captions: Sequence[tuple[str, str]],
    taxonomy: Taxonomy,
    title: str,
    note: str,
) -> Image.Image:
    """Lay pictures (H, W, 3) uint8 out in rows, with words left and right above each, and a legend below."""
    zoomed = [[_zoom(tile) for tile in tiles] for tiles in rows]
    height, width = (max(tiles[0].shape[side] for tiles in zoomed) for side in (0, 1))
    full = 2 * MARGIN + len(columns) * width + (len(columns) - 1) * GAP
    words = legend(taxonomy, full - 2 * MARGIN)
    head, step = MARGIN + 2 * LINE + GAP, LINE + height + GAP
    foot = head + step * len(rows) + GAP
    panel = Image.new("RGB", (full, foot + words[-1][1] + 2 * LINE + MARGIN), PAPER)
    pen = ImageDraw.Draw(panel)
    _write_head(pen, title, columns, width)
    for row, (tiles, (caption, remark)) in enumerate(zip(zoomed, captions, strict=True)):
        _paste_row(panel, pen, tiles, width, shorten(caption, 3 * width), remark, head + step * row)
    write_legend(panel, pen, words, foot, note)
    return panel


def _tiles(photo: np.ndarray, truth: np.ndarray, prediction: np.ndarray, taxonomy: Taxonomy) -> list[np.ndarray]:
    """The four pictures of a row, (H, W, 3) uint8 each, from a photo of that shape and two (H, W) uint8 masks."""
    palette = taxonomy.palette()
    painted = hatch_void(palette[truth], truth)
    return [photo, painted, palette[prediction], paint_errors(photo, truth, prediction, taxonomy)]


def _zoom(tile: np.ndarray) -> np.ndarray:
    """Bring a (H, W, 3) picture to a width that can be looked at, by whole factors: no colour is made up."""
    width = tile.shape[1]
    larger, smaller = -(-_LEAST_TILE // width), -(-width // _MOST_TILE)
    return tile[::smaller, ::smaller].repeat(larger, axis=0).repeat(larger, axis=1)


def _rightness(truth: np.ndarray, prediction: np.ndarray) -> str:
    """How much of a photo is right, in words; both (H, W) uint8, VOID in the truth left out."""
    labelled = truth != VOID
    if not labelled.any():
        return "all void"
    return f"{100 * (truth == prediction)[labelled].mean():.1f} % right"


def _write_head(pen: ImageDraw.ImageDraw, title: str, columns: Sequence[str], width: int) -> None:
    write(pen, (MARGIN, MARGIN), title, INK, HEADING, anchor="lt")
    for column, name in enumerate(columns):
        left = MARGIN + column * (width + GAP)
        write(pen, (left, MARGIN + 2 * LINE - 4), name)


def _paste_row(
    panel: Image.Image,
    pen: ImageDraw.ImageDraw,
    tiles: list[np.ndarray],
    width: int,
    caption: str,
    remark: str,
    top: int,
) -> None:
    write(pen, (MARGIN, top + LINE - 6), caption, FAINT)
    write(pen, (panel.width - MARGIN, top + LINE - 6), remark, FAINT, anchor="rs")
    for column, tile in enumerate(tiles):
        panel.paste(Image.fromarray(tile), (MARGIN + column * (width + GAP), top + LINE))
