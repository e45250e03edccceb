"""Draw one row of pictures per photo: photo, truth, prediction and error, or photo, augmented photo and mask."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

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
from facesegl.labels.taxonomy import VOID, Taxonomy

_PANEL = ("photo", "truth", "prediction", "error")
_SAMPLES = ("photo", "augmented", "augmented mask")
_ERRORS = "error: each wrong pixel in its predicted colour"
_IGNORED = "; void is ignored in training and scoring"
_VOID = "pixels from outside the photo are void: ignored in training and scoring"
_MIN_TILE, _MAX_TILE = 160, 480  # a tile's width in pixels, as far as whole factors allow


def draw_panel(
    photos: Sequence[np.ndarray],
    truths: Sequence[np.ndarray],
    predictions: Sequence[np.ndarray],
    taxonomy: Taxonomy,
    captions: Sequence[str],
    *,
    title: str,
) -> Image.Image:
    """Draw a row per photo: photo, truth, prediction, error; above them the title, below them the legend.

    Args:
        photos: (H, W, 3) uint8 each; their sizes may differ.
        truths: (H, W) uint8 each, class indices or VOID.
        predictions: (H, W) uint8 each, class indices.
        taxonomy: the classes, their names and colours.
        captions: the photos' names.
        title: the panel's title.

    Returns:
        An RGB picture.
    """
    rows = [
        _tiles(photo, truth, prediction, taxonomy)
        for photo, truth, prediction in zip(photos, truths, predictions, strict=True)
    ]
    remarks = [_accuracy(truth, prediction) for truth, prediction in zip(truths, predictions, strict=True)]
    void = any(VOID in truth for truth in truths)
    note = _ERRORS + _IGNORED * void
    return _draw_rows(_PANEL, rows, list(zip(captions, remarks, strict=True)), taxonomy, title, note, void)


def draw_samples(
    photos: Sequence[np.ndarray],
    augmented: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    taxonomy: Taxonomy,
    captions: Sequence[str],
) -> Image.Image:
    """Draw a row per photo: the photo, the augmented photo, and the augmented mask.

    Args:
        photos: (S, S, 3) uint8 each.
        augmented: (S, S, 3) uint8 each.
        masks: (S, S) uint8 each, class indices or VOID, augmented with the photos.
        taxonomy: the classes, their names and colours.
        captions: the photos' names.

    Returns:
        An RGB picture.
    """
    rows = [
        [photo, changed, hatch_void(taxonomy.palette()[mask], mask)]
        for photo, changed, mask in zip(photos, augmented, masks, strict=True)
    ]
    named, void = [(name, "") for name in captions], any(VOID in mask for mask in masks)
    return _draw_rows(_SAMPLES, rows, named, taxonomy, "Training photos, augmented", _VOID if void else "", void)


def paint_errors(photo: np.ndarray, truth: np.ndarray, prediction: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
    """A dark grey photo with each wrong pixel in the colour of its predicted class; void is hatched.

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


def _draw_rows(
    columns: Sequence[str],
    rows: Sequence[Sequence[np.ndarray]],
    captions: Sequence[tuple[str, str]],
    taxonomy: Taxonomy,
    title: str,
    note: str,
    void: bool,
) -> Image.Image:
    """Lay out pictures (H, W, 3) uint8 in rows, with text left and right above each row, and a legend below."""
    zoomed = [[_zoom(tile) for tile in tiles] for tiles in rows]
    height, width = (max(tiles[0].shape[side] for tiles in zoomed) for side in (0, 1))
    full = 2 * MARGIN + len(columns) * width + (len(columns) - 1) * GAP
    words = legend(taxonomy, full - 2 * MARGIN, void=void)
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
    """The four tiles of a row, (H, W, 3) uint8 each, of a photo of that shape and two (H, W) uint8 masks."""
    palette = taxonomy.palette()
    painted = hatch_void(palette[truth], truth)
    return [photo, painted, palette[prediction], paint_errors(photo, truth, prediction, taxonomy)]


def _zoom(tile: np.ndarray) -> np.ndarray:
    """Scale a (H, W, 3) picture to a readable width by whole factors, so that no colour is interpolated."""
    width = tile.shape[1]
    larger, smaller = -(-_MIN_TILE // width), -(-width // _MAX_TILE)
    return tile[::smaller, ::smaller].repeat(larger, axis=0).repeat(larger, axis=1)


def _accuracy(truth: np.ndarray, prediction: np.ndarray) -> str:
    """The share of correct pixels as text, for two (H, W) uint8 masks; VOID in the truth is left out."""
    labelled = truth != VOID
    if not labelled.any():
        return "all void"
    return f"{100 * (truth == prediction)[labelled].mean():.1f} % correct"


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
