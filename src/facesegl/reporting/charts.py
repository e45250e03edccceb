"""The charts of a page, drawn by matplotlib: as SVG in the page, and as PNG next to it."""

import contextlib
import html
import io
import itertools
import math
import re
import statistics
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facesegl.drawing.confusion import shares, whole_percent
from facesegl.files import replacing
from facesegl.reporting.history import Curve
from facesegl.reporting.scored_sets import cell
from facesegl.text import finite

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Charts = list[tuple[str, str, "Figure"]]
"""For each chart its name, its title and alt text separated by a colon, and its figure."""

Points = Sequence[tuple[int, float]]
"""A number of masks and a score, for each of some runs."""

_INK, _FAINT, _GRID, _ACCENT, _SECOND, _PAPER = "#20242c", "#59616d", "#e3e6ea", "#2457a6", "#b4541a", "#fefefe"
_THEME = {_INK: "ink", _FAINT: "faint", _GRID: "grid", _ACCENT: "accent", _SECOND: "second", _PAPER: "paper"}
"""Colours that the page replaces by CSS variables, which differ in dark mode."""

_STYLE: Any = {
    "svg.hashsalt": "facesegl",
    "svg.fonttype": "none",  # text stays text: small, sharp, and readable by screen readers
    "text.parse_math": False,  # a dollar sign in a name is no formula
    "font.family": ["sans-serif"],
    "font.size": 10,
    "figure.facecolor": "white",
    "text.color": _INK,
    "axes.labelcolor": _FAINT,
    "axes.edgecolor": _FAINT,
    "axes.linewidth": 0.8,
    "xtick.color": _FAINT,
    "ytick.color": _FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}
_WIDTH, _HEIGHT = 4.6, 2.9  # inches on a desktop; phones show three quarters of it
_LARGEST = 1.15  # the most a chart is enlarged in the page
_ABOVE: Any = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 2, "borderaxespad": 0}  # a legend
_MANY = 12  # with more classes, names are smaller
_LONGEST = 26  # characters of a name in a chart; the page has it in full


@contextlib.contextmanager
def _styled() -> Iterator[None]:
    """Draw in the page's style, independent of the user's matplotlib style."""
    from matplotlib import style

    with style.context(["default", _STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font")  # the reader's fonts may have it
        yield


@_styled()
def loss_chart(history: Mapping[str, Curve]) -> "Figure | None":
    """Training and validation loss over epochs; None if neither was logged."""
    curves = [
        (name, history[key], colour)
        for key, name, colour in (("train/loss", "training", _ACCENT), ("val/loss", "validation", _SECOND))
        if key in history
    ]
    if not curves:
        return None
    figure, axes = _figure(_WIDTH, _HEIGHT)
    for name, curve, colour in curves:
        _plot(axes, curve, color=colour, label=name)
    _count(axes, "epoch")
    axes.set(ylabel="loss")
    axes.legend(**_ABOVE)
    return figure


@_styled()
def iou_chart(history: Mapping[str, Curve], colours: Mapping[str, str]) -> "Figure | None":
    """Validation mIoU and the IoU of each class over epochs; None without a validation.

    Args:
        history: the curves of the run.
        colours: maps a class's name to its colour.
    """
    mean = next((key for key in history if key.startswith("val/miou")), None)
    if mean is None:
        return None
    many = len(colours) > _MANY
    figure, axes = _figure(_WIDTH, _HEIGHT)
    # dashed, since a class may be as dark as ink
    _plot(axes, history[mean], color=_INK, linewidth=2.2, linestyle="--", label="mIoU", path_effects=_rim(), zorder=3)
    for name, colour in colours.items():
        if curve := history.get(f"val/iou/{name}"):
            label = _short(name, 16 if many else _LONGEST)
            _plot(axes, curve, color=colour, label=label, path_effects=_rim())
    _count(axes, "epoch")
    axes.set(ylabel=f"IoU {mean.removeprefix('val/miou').strip()}".strip(), ylim=(0, 1))
    longest = max(len(str(line.get_label())) for line in axes.lines)
    columns = max(1, min(4, (64 if many else 52) // (5 + longest)))
    axes.legend(loc="upper left", bbox_to_anchor=(-0.1, -0.2), ncols=columns, fontsize=8 if many else 9)
    return figure


@_styled()
def bar_chart(
    scores: Mapping[str, float | None],
    floor: Mapping[str, float | None],
    agreement: Mapping[str, float | None] | None,
    colours: Mapping[str, str],
) -> "Figure":
    """The IoU of each class, with floor and agreement marked on its bar."""
    names = list(scores)
    figure, axes = _figure(3.4, 0.8 + 0.36 * len(names))
    ticks = np.arange(len(names))[::-1]
    axes.barh(ticks, _numbers(scores), 0.62, color=[colours[name] for name in names], edgecolor=_FAINT, linewidth=0.9)
    axes.plot(_numbers(floor), ticks, "|", color=_PAPER, markersize=15, markeredgewidth=5)
    axes.plot(_numbers(floor), ticks, "|", color=_INK, markersize=14, markeredgewidth=2, label="floor")
    if agreement:
        axes.plot(_numbers(agreement), ticks, "D", color=_PAPER, markeredgecolor=_INK, label="agreement", markersize=6)
    for tick, value in zip(ticks, _numbers(scores), strict=True):
        axes.text(1.03, tick, cell(value), va="center")
    axes.set(
        yticks=ticks, yticklabels=list(map(_short, names)), xlim=(0, 1), ylim=(-0.6, len(names) - 0.4), xlabel="IoU"
    )
    axes.tick_params(axis="y", length=0, labelcolor=_INK)
    axes.grid(visible=False, axis="y")
    axes.legend(**_ABOVE)
    return figure


@_styled()
def confusion_chart(confusion: Sequence[Sequence[int]], names: Sequence[str]) -> "Figure":
    """The share of each true class's pixels that was predicted as each class."""
    found = shares(confusion)
    side = 2.2 + (0.5 if len(names) <= _MANY else 0.32) * len(names)
    figure, axes = _figure(max(side, 4.2), max(side - 0.8, 3.4))
    image = axes.imshow(found, cmap="Blues", vmin=0, vmax=1)
    short = list(map(_short, names))
    axes.set(xticks=range(len(names)), yticks=range(len(names)), yticklabels=short, xlabel="predicted", ylabel="truth")
    axes.set_xticks(range(len(names)), short, rotation=45, ha="right", rotation_mode="anchor")
    axes.grid(visible=False)
    if len(names) <= 20:
        for (row, column), share in np.ndenumerate(found):
            _write_on(axes, image.to_rgba(share), row, column, whole_percent(share), size=8)
    return figure


@_styled()
def sweep_chart(key: str, values: Sequence[Any], scores: Sequence[float], what: str) -> "Figure":
    """The score of every run over one swept parameter: a point for each run, a line through the means.

    Args:
        key: the parameter.
        values: its value in each run.
        scores: the score of each run.
        what: the score's name.
    """
    figure, axes = _figure(_WIDTH, _HEIGHT)
    ticks = _in_order(set(values))
    numbers = [number for value in ticks if (number := finite(value)) is not None]
    numeric = len(numbers) == len(ticks)
    at = dict(zip(ticks, numbers if numeric else map(float, range(len(ticks))), strict=True))
    means = [np.mean([score for value, score in zip(values, scores, strict=True) if value == own]) for own in ticks]
    axes.plot([at[value] for value in ticks], means, color=_ACCENT, label="mean", linestyle="-" if numeric else ":")
    axes.plot([at[value] for value in ticks], means, "_", color=_ACCENT, markersize=16, markeredgewidth=2.4)
    axes.plot([at[value] for value in values], scores, "o", color=_SECOND, alpha=0.75, label="single runs")
    if numeric and min(at.values()) > 0 and max(at.values()) >= 20 * min(at.values()):
        axes.set_xscale("log")
    crowded = len(ticks) > 6 or sum(len(_short(value)) for value in ticks) > 44
    turned: Any = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if crowded else {}
    axes.set_xticks([at[value] for value in ticks], list(map(_short, ticks)), **turned)
    axes.minorticks_off()
    axes.margins(x=0.08, y=0.1)
    axes.set(xlabel=key, ylabel=what)
    axes.legend(**_ABOVE)
    return figure


@_styled()
def masks_chart(runs: Mapping[str, Points], floor: Points, levels: Mapping[str, float], what: str) -> "Figure":
    """The score over the number of masks trained on: a point for each run, a line through the means.

    Args:
        runs: the points of each configuration, by its name.
        floor: the points of the floor, which follows from the same masks.
        levels: the scores to compare with, by name.
        what: the score's name.
    """
    figure, axes = _figure(_WIDTH, _HEIGHT)
    for (name, points), color in zip(runs.items(), itertools.cycle((_ACCENT, _SECOND, _INK)), strict=False):
        axes.plot(*zip(*means(points), strict=True), color=color, label=_short(name))
        axes.plot(*zip(*points, strict=True), "o", color=color, alpha=0.6, markersize=4)
    if floor:
        axes.plot(*zip(*means(floor), strict=True), ":", color=_FAINT, label="floor")
    for (name, level), style in zip(levels.items(), itertools.cycle(("--", "-.")), strict=False):
        axes.axhline(level, color=_FAINT, linestyle=style, linewidth=1.2, label=_short(name))
    ticks = sorted({number for points in runs.values() for number, _ in points})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [str(number) for number in ticks])
    axes.minorticks_off()
    axes.margins(x=0.08, y=0.1)
    axes.set(xlabel="masks trained on", ylabel=what)
    axes.legend(**_ABOVE)
    return figure


def means(points: Points) -> Points:
    """The mean score of each number, in order.

    Example:
        >>> means([(5, 0.5), (1, 0.2), (5, 0.7)])
        [(1, 0.2), (5, 0.6)]
    """
    return [
        (number, statistics.fmean(score for other, score in points if other == number))
        for number in sorted({number for number, _ in points})
    ]


@_styled()
def map_chart(keys: tuple[str, str], cells: Mapping[tuple[Any, Any], float], what: str) -> "Figure":
    """The mean score over two swept parameters, as a map with a number in each cell.

    Args:
        keys: the two parameters.
        cells: maps their two values to the mean score.
        what: the score's name.
    """
    rows, columns = (_in_order({pair[side] for pair in cells}) for side in (0, 1))
    table = np.array([[cells.get((row, column), math.nan) for column in columns] for row in rows])
    figure, axes = _figure(max(_WIDTH, 1.2 + 0.75 * len(columns)), max(1.8, 0.9 + 0.5 * len(rows)))
    image = axes.imshow(table, cmap="Blues", aspect="auto")
    axes.set(xlabel=keys[1], ylabel=keys[0])
    axes.set_xticks(range(len(columns)), list(map(_short, columns)))
    axes.set_yticks(range(len(rows)), list(map(_short, rows)))
    axes.tick_params(length=0, labelcolor=_INK)
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    for (row, column), value in np.ndenumerate(table):
        if not math.isnan(value):
            _write_on(axes, image.to_rgba(value), row, column, f"{value:.3f}", size=10)
    figure.colorbar(image, ax=axes, label=what).outline.set_visible(False)
    return figure


@_styled()
def history_chart(scores: Mapping[int, float], unscored: Mapping[str, Sequence[int]], what: str) -> "Figure":
    """The score of each trial of a search, the best so far, and which trials have no score.

    Args:
        scores: the score of each trial, by its number.
        unscored: the numbers of the trials without a score, by their state.
        what: the score's name.
    """
    figure, axes = _figure(_WIDTH, _HEIGHT)
    numbers = sorted(scores)
    best = list(itertools.accumulate((scores[number] for number in numbers), max))
    axes.plot(numbers, best, color=_ACCENT, drawstyle="steps-post", label="best so far")
    axes.plot(numbers, [scores[number] for number in numbers], "o", color=_SECOND, alpha=0.75, label="trials")
    for (state, of_state), marker in zip(unscored.items(), itertools.cycle("|xvs"), strict=False):
        at = [0.03] * len(of_state)
        axes.plot(of_state, at, marker, color=_FAINT, label=state, transform=axes.get_xaxis_transform())
    _count(axes, "trial")
    axes.margins(x=0.05, y=0.12)
    axes.set(ylabel=what)
    axes.legend(**_ABOVE)
    return figure


@_styled()
def importance_chart(importance: Mapping[str, float]) -> "Figure":
    """How much each key matters for the score, as a bar for each."""
    figure, axes = _figure(_WIDTH, 0.9 + 0.36 * len(importance))
    ticks = np.arange(len(importance))[::-1]
    axes.barh(ticks, list(importance.values()), 0.62, color=_ACCENT)
    for tick, value in zip(ticks, importance.values(), strict=True):
        axes.text(value, tick, f" {value:.2f}", va="center")
    axes.set(yticks=ticks, yticklabels=list(map(_short, importance)), xlabel="importance", xlim=(0, 1.1))
    axes.tick_params(axis="y", length=0, labelcolor=_INK)
    axes.grid(visible=False, axis="y")
    return figure


@_styled()
def slice_chart(key: str, values: Sequence[float], scores: Sequence[float], what: str, *, log: bool) -> "Figure":
    """The score of every trial over one number that was searched.

    Args:
        key: the key of the number.
        values: its value in each trial.
        scores: the score of each trial.
        what: the score's name.
        log: whether it was searched on a logarithmic scale.
    """
    figure, axes = _figure(_WIDTH, _HEIGHT)
    axes.plot(values, scores, "o", color=_SECOND, alpha=0.75)
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")  # matplotlib's own are formulas
        axes.xaxis.set_minor_formatter(lambda value, _: "")
    axes.margins(x=0.08, y=0.1)
    axes.set(xlabel=key, ylabel=what)
    return figure


def draw(folder: Path, charts: Charts) -> list[tuple[str, str]]:
    """Write charts as PNG into `figures/`; return their titles, and the charts as SVG."""
    for name, _, figure in charts:
        save_png(figure, folder / "figures" / f"{name}.png")
    return [(words.partition(":")[0], as_svg(figure, words, f"{name}_")) for name, words, figure in charts]


def as_svg(figure: "Figure", words: str, prefix: str = "") -> str:
    """A chart as an SVG element; the same chart gives the same bytes.

    Args:
        figure: the chart.
        words: alt text for screen readers.
        prefix: a prefix that makes its ids unique in the page.
    """
    text = io.StringIO()
    nothing: Any = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with _styled():
        figure.savefig(text, format="svg", metadata=nothing, bbox_inches="tight", transparent=True)
    svg = re.sub(r"<style.*?</style>", "", text.getvalue(), flags=re.DOTALL)  # it would apply to the whole page
    head, _, body = svg[svg.index("<svg") :].partition(">")
    for colour, name in _THEME.items():
        body = body.replace(colour, f"var(--{name})")
    body = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}", body)
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', head)
    assert box is not None
    widest = float(box[1]) * 4 / 3 * _LARGEST
    return (
        f'<svg role="img" aria-label="{html.escape(words, quote=True)}" viewBox="0 0 {box[1]} {box[2]}" '
        f'style="max-width: {widest:.0f}px" xmlns:xlink="http://www.w3.org/1999/xlink">{body}'
    )


def save_png(figure: "Figure", file: Path) -> None:
    """Write a chart as a picture, atomically."""
    with replacing(file) as part, _styled():
        figure.savefig(part, format="png", dpi=160, bbox_inches="tight")


def _figure(width: float, height: float) -> "tuple[Figure, Axes]":
    """An empty chart of a size in inches, without window or global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    return figure, figure.add_subplot()


def _count(axes: "Axes", what: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel(what)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _write_on(axes: "Axes", colour: Any, row: int, column: int, words: str, size: int) -> None:
    """Write text on a coloured cell, black or white, for the higher contrast."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]]
    light = float(np.dot(linear, (0.2126, 0.7152, 0.0722)))  # relative luminance, WCAG 2
    axes.text(column, row, words, ha="center", va="center", fontsize=size, color="black" if light > 0.179 else "white")


def _rim() -> list[Any]:
    """A dark outline: yellow is invisible on white without it."""
    from matplotlib import patheffects

    return [patheffects.Stroke(linewidth=2.6, foreground=_FAINT), patheffects.Normal()]


def _short(name: Any, longest: int = _LONGEST) -> str:
    """A name cut in the middle to fit; matplotlib omits one that begins with an underscore from a legend."""
    text = str(name)
    text = text if len(text) <= longest else f"{text[: longest // 2]}…{text[1 - longest // 2 :]}"
    return f" {text}" if text.startswith("_") else text


def _plot(axes: "Axes", curve: Curve, **style: Any) -> None:
    axes.plot(curve.epochs, curve.values, marker="o" if len(curve.values) == 1 else "", **style)


def _numbers(scores: Mapping[str, float | None]) -> list[float]:
    return [math.nan if value is None else value for value in scores.values()]


def _in_order(values: set[Any]) -> list[Any]:
    """Numbers by size, then words alphabetically."""
    return sorted(values, key=lambda value: (finite(value) is None, finite(value) or 0.0, str(value)))
