"""Draw a confusion matrix."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from facesegl.drawing.canvas import FAINT, GAP, HEADING, INK, LINE, MARGIN, PAPER, length, shorten, write

_CELL, _LONGEST = 40, 160  # pixels: a cell's side, and the widest name
_FULL = np.array((8, 48, 107))  # the colour of 100 %
_NOTE = "row: true class, column: predicted class, in % of the row"
_MIDDLE = 0.55  # the share above which numbers are white


def draw_confusion(confusion: Sequence[Sequence[int]], names: Sequence[str], *, title: str) -> Image.Image:
    """Draw the share of each true class's pixels that was predicted as each class, in per cent.

    Args:
        confusion: number of pixels by class indices, [truth][prediction].
        names: the classes' names.
        title: the picture's title.

    Returns:
        An RGB picture.
    """
    names = [shorten(name, _LONGEST) for name in names]
    label = int(max(map(length, names))) + GAP
    left, top, side = MARGIN + label, MARGIN + 2 * LINE + label, _CELL * len(names)
    words = max(length(title, HEADING), length(_NOTE))
    width = max(left + side, MARGIN + int(words)) + MARGIN
    picture = Image.new("RGB", (width, top + side + LINE + MARGIN), PAPER)
    pen = ImageDraw.Draw(picture)
    write(pen, (MARGIN, MARGIN), title, size=HEADING, anchor="lt")
    for index, name in enumerate(names):
        middle = index * _CELL + _CELL // 2
        write(pen, (left - GAP, top + middle), name, anchor="rm")
        picture.paste(_upright(name, label), (left + middle - LINE // 2, top - label))
    for (row, column), share in np.ndenumerate(shares(confusion)):
        x, y = left + column * _CELL, top + row * _CELL
        fill = (1 - share) * np.array(PAPER) + share * _FULL
        pen.rectangle((x, y, x + _CELL, y + _CELL), tuple(map(int, fill)), (224, 228, 234))
        ink = PAPER if share > _MIDDLE else INK
        write(pen, (x + _CELL / 2, y + _CELL / 2), whole_percent(float(share)), ink, anchor="mm")
    write(pen, (MARGIN, top + side + LINE), _NOTE, FAINT)
    return picture


def _upright(text: str, height: int) -> Image.Image:
    line = Image.new("RGB", (height, LINE), PAPER)
    write(ImageDraw.Draw(line), (GAP, LINE / 2), text, anchor="lm")
    return line.transpose(Image.Transpose.ROTATE_90)


def shares(confusion: Sequence[Sequence[int]]) -> np.ndarray:
    """Counts (C, C), truth by prediction, as shares of each true class: (C, C) float64, 0 where it is absent.

    Example:
        >>> shares([[3, 1], [0, 0]])
        array([[0.75, 0.25],
               [0.  , 0.  ]])
    """
    counts = np.array(confusion, dtype=np.float64)
    found: np.ndarray = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return found


def whole_percent(share: float) -> str:
    """A share in whole per cent; empty if it is almost zero.

    Example:
        >>> whole_percent(0.254), whole_percent(0.004)
        ('25', '')
    """
    return f"{100 * share:.0f}" if share >= 0.005 else ""
