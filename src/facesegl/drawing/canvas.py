"""Shared by panels and sheets: sizes, colours, text, hatching of void, and the legend."""

import functools
import unicodedata
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facesegl.labels.taxonomy import VOID, Taxonomy

MARGIN, GAP, LINE, SWATCH = 20, 8, 22, 14
TEXT, HEADING = 13, 17  # font sizes
INK, FAINT, PAPER = (32, 32, 36), (112, 112, 120), (255, 255, 255)
_HATCH = np.array([[96] * 3, [176] * 3], dtype=np.uint8)


def hatch_void(picture: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Hatch the pixels of a picture (H, W, 3) uint8 that are VOID in a mask (H, W) uint8."""
    rows, columns = np.indices(truth.shape)
    return np.where((truth == VOID)[..., None], _HATCH[(rows + columns) // 4 % 2], picture)


def write(
    pen: ImageDraw.ImageDraw,
    xy: tuple[float, float],
    text: str,
    ink: tuple[int, int, int] = INK,
    size: int = TEXT,
    anchor: str = "ls",
) -> None:
    """Write a line of text at `xy`; `anchor` as in Pillow."""
    font, shown = _font_for(text, size)
    pen.text(xy, shown, ink, font, anchor=anchor)


def length(text: str, size: int = TEXT) -> float:
    """The width of a line in pixels."""
    font, shown = _font_for(text, size)
    return font.getlength(shown)


def shorten(text: str, width: float, size: int = TEXT) -> str:
    """Cut off the beginning of a name that is too wide; the end of a path says more."""
    cut = text
    while len(cut) > 1 and length(cut, size) > width:
        cut = "..." + cut.removeprefix("...")[1:]
    return cut


def legend(taxonomy: Taxonomy, width: float, *, void: bool) -> list[tuple[float, int, str, np.ndarray]]:
    """Left, top, name and swatch of each class, and of void if there is some, as many on a line as fit the width."""
    values = [*range(taxonomy.num_classes), *([VOID] if void else [])]
    swatches = [np.full((SWATCH, SWATCH), value, dtype=np.uint8) for value in values]
    left, top, entries = 0.0, 0, []
    for full, swatch in zip([*taxonomy.names, "void"], swatches, strict=False):
        name = shorten(full, width - SWATCH - 6)
        wide = SWATCH + 6 + length(name)
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
        write(pen, (x + SWATCH + 6, y + SWATCH - 2), name)
    write(pen, (MARGIN, top + entries[-1][1] + LINE + SWATCH - 2), note, FAINT)


_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial.ttf", "arial.ttf")


def _font_for(text: str, size: int) -> tuple[_Font, str]:
    """A font for a text, and the text in characters of that font; Pillow's default font has ASCII only."""
    wider = None if text.isascii() else _wider_font(size)
    return wider or ImageFont.load_default(size), text if wider else _in_ascii(text)


@functools.cache
def _wider_font(size: int) -> ImageFont.FreeTypeFont | None:
    """A font with more characters: matplotlib's if installed, or a system font."""
    spec = find_spec("matplotlib")
    bundled = [Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / _FONTS[0]] if spec and spec.origin else []
    for file in (*bundled, *_FONTS):
        try:
            return ImageFont.truetype(str(file), size)
        except OSError:
            continue
    return None


def _in_ascii(text: str) -> str:
    """A text without accents, and with a question mark for every other non-ASCII character.

    Example:
        >>> _in_ascii("Größe, café, 眼")
        'Grosse, cafe, ?'
    """
    apart = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    return "".join(letter for letter in apart if not unicodedata.combining(letter)).encode("ascii", "replace").decode()
