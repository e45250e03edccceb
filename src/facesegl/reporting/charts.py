"""The charts of a page, drawn by matplotlib: as SVG inside it, and as PNG beside it."""

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facesegl.errors import ConfigError
from facesegl.files import replacing
from facesegl.reporting.history import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _FAINT, _GRID, _ACCENT, _SECOND = "#20242c", "#5c6470", "#e3e6ea", "#2457a6", "#b4541a"
_STYLE: Any = {
    "svg.hashsalt": "facesegl",
    "svg.fonttype": "none",  # text stays text: small, sharp, and read aloud
    "font.family": ["sans-serif"],
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _FAINT,
    "axes.edgecolor": _FAINT,
    "xtick.color": _FAINT,
    "ytick.color": _FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "legend.frameon": False,
}


def loss_chart(history: Mapping[str, Curve]) -> "Figure | None":
    """Training and validation loss over epochs; None where neither was logged."""
    curves = [
        (name, history[key], colour)
        for key, name, colour in (("train/loss", "training", _ACCENT), ("val/loss", "validation", _SECOND))
        if key in history
    ]
    if not curves:
        return None
    figure, axes = _figure(6.4, 3.2)
    for name, curve, colour in curves:
        axes.plot(curve.epochs, curve.values, color=colour, label=name, linewidth=1.6, marker=_marker(curve))
    axes.set(xlabel="epoch", ylabel="loss")
    axes.legend(frameon=False)
    return figure


def iou_chart(history: Mapping[str, Curve], colours: Mapping[str, str]) -> "Figure | None":
    """Validation mIoU and the IoU of each class over epochs; None without a validation.

    Args:
        history: the curves of the run.
        colours: a class's name to its colour.
    """
    mean = next((key for key in history if key.startswith("val/miou")), None)
    if mean is None:
        return None
    figure, axes = _figure(6.4, 3.2)
    for name, colour in colours.items():
        if curve := history.get(f"val/iou/{name}"):
            axes.plot(curve.epochs, curve.values, color=colour, linewidth=1.6, label=name, path_effects=_outlined(2.6))
    curve = history[mean]
    axes.plot(curve.epochs, curve.values, color=_INK, linewidth=2.2, label="mIoU", marker=_marker(curve))
    axes.set(xlabel="epoch", ylabel=f"IoU, {mean.removeprefix('val/miou').strip() or 'validation'}", ylim=(0, 1))
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9 if len(colours) <= 12 else 6)
    return figure


def bar_chart(
    scores: Mapping[str, float | None],
    floor: Mapping[str, float | None],
    agreement: Mapping[str, float | None] | None,
    colours: Mapping[str, str],
) -> "Figure":
    """The IoU of each class, with the floor and the agreement marked on its bar."""
    names = list(scores)
    figure, axes = _figure(5.6, 1.0 + 0.36 * len(names))
    places = np.arange(len(names))[::-1]
    axes.barh(places, _numbers(scores), color=[colours[name] for name in names], edgecolor=_FAINT, linewidth=0.8)
    axes.plot(_numbers(floor), places, "|", color="white", markersize=15, markeredgewidth=5)
    axes.plot(_numbers(floor), places, "|", color=_INK, markersize=14, markeredgewidth=2, label="floor")
    if agreement:
        axes.plot(
            _numbers(agreement), places, "D", color="white", markeredgecolor=_INK, label="agreement", markersize=6
        )
    axes.set(yticks=places, yticklabels=names, xlim=(0, 1), xlabel="IoU")
    axes.grid(visible=False, axis="y")
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0)
    return figure


def confusion_chart(confusion: Sequence[Sequence[int]], names: Sequence[str]) -> "Figure":
    """For each class of the truth, which share of its pixels was taken for which class."""
    counts = np.array(confusion, dtype=np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.2 + 0.5 * len(names)
    figure, axes = _figure(max(side, 4.2), max(side - 0.8, 3.4))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xticks=range(len(names)), yticks=range(len(names)), yticklabels=names, xlabel="predicted", ylabel="truth")
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.grid(visible=False)
    if len(names) <= 20:
        for row, column in np.ndindex(shares.shape):
            colour = "white" if shares[row, column] > 0.5 else _INK
            axes.text(column, row, _percent(shares[row, column]), ha="center", va="center", fontsize=8, color=colour)
    return figure


def sweep_chart(key: str, values: Sequence[Any], scores: Sequence[float], what: str) -> "Figure":
    """The score of every run over one swept parameter: a point a run, a line through the means.

    Args:
        key: the parameter.
        values: its value in each run.
        scores: the score of each run.
        what: what the score is called.
    """
    figure, axes = _figure(6.4, 3.2)
    places = _in_order(set(values))
    numbers = [number for value in places if (number := _number(value)) is not None]
    numeric = len(numbers) == len(places)
    at = dict(zip(places, numbers if numeric else map(float, range(len(places))), strict=True))
    means = [np.mean([score for value, score in zip(values, scores, strict=True) if value == own]) for own in places]
    axes.plot([at[value] for value in places], means, color=_ACCENT, linewidth=1.6, label="mean")
    axes.plot([at[value] for value in values], scores, "o", color=_SECOND, alpha=0.75, label="a run each")
    if numeric and min(at.values()) > 0 and max(at.values()) >= 20 * min(at.values()):
        axes.set_xscale("log")
    axes.set_xticks([at[value] for value in places], [str(value) for value in places])
    axes.minorticks_off()
    axes.set(xlabel=key, ylabel=what)
    axes.legend(frameon=False)
    return figure


def map_chart(keys: tuple[str, str], cells: Mapping[tuple[Any, Any], float], what: str) -> "Figure":
    """The mean score over two swept parameters, as a map with a number in each cell.

    Args:
        keys: the two parameters.
        cells: their two values to the mean score.
        what: what the score is called.
    """
    rows, columns = (_in_order({pair[side] for pair in cells}) for side in (0, 1))
    table = np.array([[cells.get((row, column), math.nan) for column in columns] for row in rows])
    figure, axes = _figure(2.4 + 0.9 * len(columns), 1.4 + 0.5 * len(rows))
    axes.imshow(table, cmap="Blues", aspect="auto")
    axes.set(xlabel=keys[1], ylabel=keys[0], title=what)
    axes.set_xticks(range(len(columns)), [str(value) for value in columns])
    axes.set_yticks(range(len(rows)), [str(value) for value in rows])
    axes.grid(visible=False)
    middle = (np.nanmin(table) + np.nanmax(table)) / 2
    for row, column in np.ndindex(table.shape):
        value = table[row, column]
        words, colour = ("", _INK) if math.isnan(value) else (f"{value:.3f}", "white" if value > middle else _INK)
        axes.text(column, row, words, ha="center", va="center", color=colour)
    return figure


def as_svg(figure: "Figure", words: str) -> str:
    """A chart as an SVG element with `words` for who cannot see it; the same chart gives the same bytes."""
    import html

    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        figure.savefig(text, format="svg", metadata={"Date": None}, bbox_inches="tight")
    drawn = text.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    return drawn.replace("<svg", f'<svg role="img" aria-label="{html.escape(words, quote=True)}"', 1)


def save_png(figure: "Figure", file: Path) -> None:
    """Write a chart as a picture, whole or not at all."""
    import matplotlib

    with replacing(file) as part, matplotlib.rc_context(_STYLE):
        figure.savefig(part, format="png", dpi=160, bbox_inches="tight")


def _figure(width: float, height: float) -> "tuple[Figure, Axes]":
    """An empty chart of a size in inches; no window, no global state."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError("report: it needs matplotlib; install it with pip install 'facesegl[report]'.") from None
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height))
        return figure, figure.add_subplot()


def _outlined(width: float) -> list[Any]:
    """A dark rim, without which yellow is not seen on white."""
    from matplotlib import patheffects

    return [patheffects.Stroke(linewidth=width, foreground=_FAINT), patheffects.Normal()]


def _marker(curve: Curve) -> str:
    return "o" if len(curve.values) == 1 else ""


def _numbers(scores: Mapping[str, float | None]) -> list[float]:
    return [math.nan if value is None else value for value in scores.values()]


def _percent(share: float) -> str:
    """A share in whole per cent; nothing where there is next to nothing."""
    return f"{100 * share:.0f}" if share >= 0.005 else ""


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _in_order(values: set[Any]) -> list[Any]:
    """Numbers by size, then words by letter."""
    return sorted(values, key=lambda value: (_number(value) is None, _number(value) or 0.0, str(value)))
