"""A contact sheet: many samples in one picture, a few tiles each, several samples per row."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

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
    legend,
    length,
    shorten,
    write,
    write_legend,
)
from facesegl.labels.resize import restore_mask, shrink_mask
from facesegl.labels.taxonomy import Taxonomy
from facesegl.sources.images import resize_photo

_ROW_WIDTH = 1400  # pixels: the width that rows of samples fill
_MIN_WIDTH = 560  # pixels: the least width of a sheet, for its title and its note
_BETWEEN = 28  # pixels between samples
_MIN_TILE = 124  # pixels: the least width of a tile, for the text above it


class Entry(NamedTuple):
    """One sample on a sheet.

    Attributes:
        caption: its name.
        remark: text on the right.
        tiles: (h, w, 3) uint8 each.
        void: whether some pixels of a mask are void.
    """

    caption: str
    remark: str
    tiles: Sequence[np.ndarray]
    void: bool = False


def draw_sheet(
    entries: Sequence[Entry], columns: Sequence[str], taxonomy: Taxonomy, *, title: str, note: str
) -> Image.Image:
    """Lay out samples in rows, with text above each and a legend below.

    Args:
        entries: the samples, at least one.
        columns: the titles of the tiles.
        taxonomy: the classes, their names and colours.
        title: the sheet's title.
        note: a line below the legend.

    Returns:
        An RGB picture.
    """
    tile = max(_MIN_TILE, *(tile.shape[1] for entry in entries for tile in entry.tiles))
    wide = len(columns) * (tile + GAP) - GAP
    across = max(min((_ROW_WIDTH + _BETWEEN) // (wide + _BETWEEN), len(entries)), 1)
    full = max(across * (wide + _BETWEEN) - _BETWEEN, _MIN_WIDTH)
    rows = [entries[start : start + across] for start in range(0, len(entries), across)]
    heights = [LINE + max(tile.shape[0] for entry in row for tile in entry.tiles) + 2 * GAP for row in rows]
    words = legend(taxonomy, full, void=any(entry.void for entry in entries))
    head = MARGIN + 2 * LINE + GAP
    foot = head + sum(heights) + GAP
    sheet = Image.new("RGB", (full + 2 * MARGIN, foot + words[-1][1] + 2 * LINE + MARGIN), PAPER)
    pen = ImageDraw.Draw(sheet)
    write(pen, (MARGIN, MARGIN), shorten(title, full, HEADING), INK, HEADING, anchor="lt")
    lefts = [MARGIN + number * (wide + _BETWEEN) for number in range(across)]
    for left, (column, name) in itertools.product(lefts, enumerate(columns)):
        write(pen, (left + column * (tile + GAP), head - GAP), name, FAINT)
    for number, row in enumerate(rows):
        for left, entry in zip(lefts, row, strict=False):
            _draw_entry(sheet, pen, entry, left, head + sum(heights[:number]), tile)
    write_legend(sheet, pen, words, foot, shorten(note, full))
    return sheet


def fitted_size(size: tuple[int, ...], box: int) -> tuple[int, int]:
    """Rows and columns of a picture fitted into a square: reduced, or enlarged by a whole factor.

    Example:
        >>> fitted_size((512, 370), 240), fitted_size((64, 64), 240), fitted_size((100, 3000), 240)
        ((240, 173), (192, 192), (8, 240))
    """
    height, width = size[:2]
    longer = max(height, width)
    if longer <= box:
        return height * (box // longer), width * (box // longer)
    return max(round(height * box / longer), 1), max(round(width * box / longer), 1)


def fit_photo(photo: np.ndarray, box: int) -> np.ndarray:
    """A photo (H, W, 3) uint8 fitted into a square of `box` pixels: (h, w, 3) uint8."""
    height, width = fitted_size(photo.shape, box)
    return restore_mask(photo, height, width) if height >= photo.shape[0] else resize_photo(photo, height, width)


def fit_mask(mask: np.ndarray, box: int, num_classes: int) -> np.ndarray:
    """A mask (H, W) uint8 fitted into a square of `box` pixels, by majority of area: (h, w) uint8."""
    height, width = fitted_size(mask.shape, box)
    if height >= mask.shape[0]:
        return restore_mask(mask, height, width)
    return shrink_mask(mask, height, width, num_classes)


def fit_share(flags: np.ndarray, box: int) -> np.ndarray:
    """The flagged share of each pixel after fitting flags (H, W) bool into a square: (h, w) float32, 0 to 1."""
    grey = np.where(flags, np.uint8(255), np.uint8(0))
    return fit_photo(np.stack([grey] * 3, axis=-1), box)[..., 0].astype(np.float32) / 255


def mark(photo: np.ndarray, share: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """A faint grey photo, coloured by a share; small shares are already visible.

    Args:
        photo: (h, w, 3) uint8.
        share: (h, w) float32, 0 to 1.
        colour: R-G-B.

    Returns:
        (h, w, 3) uint8.
    """
    grey = 128 + photo.mean(axis=-1, keepdims=True) / 2
    strength = np.sqrt(share)[..., None]
    marked: np.ndarray = (grey * (1 - strength) + np.array(colour) * strength).astype(np.uint8)
    return marked


def _draw_entry(sheet: Image.Image, pen: ImageDraw.ImageDraw, entry: Entry, left: int, top: int, tile: int) -> None:
    wide = len(entry.tiles) * (tile + GAP) - GAP
    remark = shorten(entry.remark, wide / 2)
    room = wide - length(remark) - 2 * GAP
    write(pen, (left, top + LINE - 6), shorten(entry.caption, room))
    write(pen, (left + wide, top + LINE - 6), remark, FAINT, anchor="rs")
    for column, pixels in enumerate(entry.tiles):
        sheet.paste(Image.fromarray(pixels), (left + column * (tile + GAP), top + LINE))
