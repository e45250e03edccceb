"""What every picture here is drawn with: sizes, inks, words, void, and what the colours mean."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facesegl.labels import VOID, Taxonomy

MARGIN, GAP, LINE, SWATCH = 20, 8, 22, 14
TEXT, HEADING = 13, 17  # font sizes
INK, FAINT, PAPER = (32, 32, 36), (112, 112, 120), (255, 255, 255)
_HATCH = np.array([[96] * 3, [176] * 3], dtype=np.uint8)


def hatch_void(picture: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Stripes over the pixels of a (H, W, 3) uint8 picture that are VOID in a (H, W) uint8 mask."""
    rows, columns = np.indices(truth.shape)
    return np.where((truth == VOID)[..., None], _HATCH[(rows + columns) // 4 % 2], picture)


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, which is there everywhere."""
    return ImageFont.load_default(size)


def shorten(text: str, width: float, size: int = TEXT) -> str:
    """Cut a name's beginning off where it is too wide: the end of a path tells more."""
    letters, cut = font(size), text
    while len(cut) > 1 and letters.getlength(cut) > width:
        cut = "..." + cut.removeprefix("...")[1:]
    return cut


def legend(taxonomy: Taxonomy, width: float) -> list[tuple[float, int, str, np.ndarray]]:
    """Left, top, words and swatch of each entry, as many on a line as go into the width."""
    everything = np.arange(taxonomy.num_classes + 1, dtype=np.uint8)
    everything[-1] = VOID
    swatches = [np.full((SWATCH, SWATCH), value, dtype=np.uint8) for value in everything]
    left, top, entries = 0.0, 0, []
    for full, swatch in zip([*taxonomy.names, "void"], swatches, strict=True):
        name = shorten(full, width - SWATCH - 6)
        wide = SWATCH + 6 + font(TEXT).getlength(name)
        if left and left + wide > width:
            left, top = 0.0, top + LINE
        entries.append((left, top, name, hatch_void(taxonomy.palette()[swatch], swatch)))
        left += wide + 18
    return entries


def write_legend(
    panel: Image.Image,
    pen: ImageDraw.ImageDraw,
    entries: list[tuple[float, int, str, np.ndarray]],
    top: int,
    note: str,
) -> None:
    """Draw the entries of `legend` from `top` down, and a note below them."""
    for left, down, name, swatch in entries:
        x, y = int(MARGIN + left), top + down
        panel.paste(Image.fromarray(swatch), (x, y))
        pen.rectangle((x, y, x + SWATCH - 1, y + SWATCH - 1), outline=FAINT)
        pen.text((x + SWATCH + 6, y + SWATCH - 2), name, INK, font(TEXT), anchor="ls")
    pen.text((MARGIN, top + entries[-1][1] + LINE + SWATCH - 2), note, FAINT, font(TEXT), anchor="ls")
