"""Draw a mask over its photo."""

import numpy as np
from PIL import Image

from facesegl.labels.taxonomy import Taxonomy

_BACKGROUND = "background"  # the photo stays visible under a class of this name
_TINT = 102  # of 256: the share of the class's colour in a pixel
_DARKER = 128  # of 256: the brightness of a border
_FINE = 400  # border widths in the photo's shorter side
_BAND = 1 << 20  # pixels painted at a time, so that a large photo is not copied


def overlay(photo: np.ndarray, mask: np.ndarray, taxonomy: Taxonomy) -> Image.Image:
    """The photo tinted by class, with a thin darker border around each class; background is not tinted.

    Args:
        photo: (H, W, 3) uint8, R-G-B.
        mask: (H, W) uint8, class indices.
        taxonomy: the classes' names and colours.

    Returns:
        An RGB picture of the photo's size.
    """
    height, width = mask.shape
    palette = taxonomy.palette().astype(np.uint16)
    background = taxonomy.names.index(_BACKGROUND) if _BACKGROUND in taxonomy.names else None
    thickness = max(round(min(height, width) / _FINE), 1)
    picture = Image.new("RGB", (width, height))
    step = max(_BAND // width, 1)
    for top in range(0, height, step):
        rows = slice(top, top + step)
        around = mask[top : top + step + thickness]  # the rows below decide on the borders in the band's last rows
        owner = _borders(around, thickness, background)[:step]
        picture.paste(Image.fromarray(_paint(photo[rows], mask[rows], owner, palette, background)), (0, top))
    return picture


def _borders(mask: np.ndarray, thickness: int, background: int | None) -> np.ndarray:
    """For each pixel of a mask (H, W) the class whose border it is part of: (H, W) int16, -1 for none.

    A border is where another class follows to the right or below. It belongs to the later of the two classes, as
    features come after their surroundings; background has none.
    """
    ranks = np.arange(256, dtype=np.int16)
    if background is not None:
        ranks[background] = -1
    rank, owner = ranks[mask], np.full(mask.shape, -1, dtype=np.int16)
    for distance in range(thickness, 0, -1):  # the nearest neighbour wins
        for here, there in (
            (np.s_[:-distance, :], np.s_[distance:, :]),
            (np.s_[:, :-distance], np.s_[:, distance:]),
        ):
            np.copyto(owner[here], np.maximum(rank[here], rank[there]), where=rank[here] != rank[there])
    return owner


def _paint(
    photo: np.ndarray, mask: np.ndarray, owner: np.ndarray, palette: np.ndarray, background: int | None
) -> np.ndarray:
    """Rows of an overlay: (H, W, 3) uint8 from photo (H, W, 3), mask and owner (H, W), palette (256, 3) uint16."""
    share = np.full(256, _TINT, dtype=np.uint16)
    if background is not None:
        share[background] = 0
    of_photo, of_colour = 256 - share, palette * share[:, None]
    painted: np.ndarray = ((photo * of_photo[mask][..., None] + of_colour[mask]) >> 8).astype(np.uint8)
    border = owner >= 0
    painted[border] = (palette * _DARKER >> 8)[owner[border]]
    return painted
