"""Charts in a page: themed, with alt text, and without common ids."""

import re

import matplotlib
import numpy as np
import pytest
from PIL import Image

from facesegl.reporting.charts import as_svg, bar_chart, iou_chart, loss_chart, map_chart, save_png, sweep_chart
from facesegl.reporting.history import Curve

HISTORY = {
    "train/loss": Curve([1, 2, 3], [3.0, 2.0, 1.0]),
    "val/loss": Curve([1, 3], [3.5, 2.5]),
    "val/miou at 16x16": Curve([1, 3], [0.1, 0.4]),
    "val/iou/skin": Curve([1, 3], [0.2, 0.5]),
}


def lines(figure):
    return [(line.get_label(), *map(list, line.get_data())) for line in figure.axes[0].lines]


def test_one_chart_shows_both_losses():
    assert lines(loss_chart(HISTORY)) == [("training", [1, 2, 3], [3, 2, 1]), ("validation", [1, 3], [3.5, 2.5])]
    assert loss_chart({}) is None


def test_one_chart_shows_the_mean_and_each_class_and_names_the_size():
    figure = iou_chart(HISTORY, {"skin": "#ffff00", "hair": "#000000"})
    assert lines(figure) == [("mIoU", [1, 3], [0.1, 0.4]), ("skin", [1, 3], [0.2, 0.5])]
    assert figure.axes[0].get_ylabel() == "IoU at 16x16"
    assert iou_chart({"train/loss": HISTORY["train/loss"]}, {}) is None


def test_each_bar_has_its_value_its_floor_and_its_agreement():
    figure = bar_chart({"skin": 0.9, "hair": None}, {"skin": 0.4, "hair": 0.2}, {"skin": 0.8, "hair": 0.7}, COLOURS)
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["0.900", "-"]
    assert axes.patches[0].get_width() == 0.9
    marks = {line.get_label(): list(line.get_xdata()) for line in axes.lines}
    assert (marks["floor"], marks["agreement"]) == ([0.4, 0.2], [0.8, 0.7])


COLOURS = {"skin": "#ffff00", "hair": "#7f0000"}


@pytest.mark.parametrize(
    ("values", "scale", "ticks"),
    [
        (["0.001", "0.1", "0.01"], "log", ["0.001", "0.01", "0.1"]),
        (["4", "16", "8"], "linear", ["4", "8", "16"]),
        (["unet", "fcn", "null"], "linear", ["fcn", "null", "unet"]),
        (["0", "1", "100"], "linear", ["0", "1", "100"]),
    ],
)
def test_the_axis_of_a_swept_parameter_fits_its_values(values, scale, ticks):
    axes = sweep_chart("key", values, [0.1, 0.2, 0.3], "mIoU").axes[0]
    assert axes.get_xscale() == scale
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ticks


def test_the_line_of_a_sweep_passes_through_the_means():
    axes = sweep_chart("lr", ["1", "2", "1", "2"], [0.1, 0.5, 0.3, 0.9], "mIoU").axes[0]
    assert np.allclose(axes.lines[0].get_ydata(), [0.2, 0.7])
    assert sorted(axes.lines[2].get_ydata()) == [0.1, 0.3, 0.5, 0.9]


def test_a_map_has_a_number_in_each_cell_that_was_run():
    axes = map_chart(("lr", "model"), {("1", "a"): 0.25, ("1", "b"): 0.5, ("2", "a"): 0.75}, "mIoU").axes[0]
    assert [text.get_text() for text in axes.texts] == ["0.250", "0.500", "0.750"]


def test_a_chart_in_a_page_has_alt_text_and_the_colours_of_the_page():
    svg = as_svg(loss_chart(HISTORY), 'Loss: <b> & "more"')
    assert svg.startswith('<svg role="img" aria-label="Loss: &lt;b&gt; &amp; &quot;more&quot;" viewBox="0 0 ')
    assert "var(--ink)" in svg
    assert not [part for part in ("#20242c", "<style", "<metadata") if part in svg]


def test_two_charts_in_one_page_share_no_id():
    one, other = (as_svg(loss_chart(HISTORY), "Loss", prefix) for prefix in ("a_", "b_"))
    ids = [set(re.findall(r'id="(.*?)"', svg)) for svg in (one, other)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for svg, own in ((one, ids[0]), (other, ids[1])):
        assert set(re.findall(r'(?:url\(|href=")#(.*?)[)"]', svg)) <= own


def test_a_chart_next_to_the_page_is_a_picture_on_white(tmp_path):
    save_png(loss_chart(HISTORY), tmp_path / "figures" / "loss.png")
    with Image.open(tmp_path / "figures" / "loss.png") as picture:
        assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
        assert picture.width > 500


def test_a_long_name_keeps_its_ends_in_a_chart():
    names = ["left part of something " * 3 + "one", "left part of something " * 3 + "two"]
    figure = bar_chart(dict.fromkeys(names, 0.5), dict.fromkeys(names, 0.1), None, dict.fromkeys(names, "#ffffff"))
    shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert all(len(name) <= 26 for name in shown)
    assert [name[-3:] for name in shown] == ["one", "two"]


def test_global_settings_of_matplotlib_do_not_change():
    before = dict(matplotlib.rcParams)
    as_svg(loss_chart(HISTORY), "Loss")
    assert dict(matplotlib.rcParams) == before
