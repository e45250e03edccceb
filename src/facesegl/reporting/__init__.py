"""One page that shows a run or a sweep: its curves, charts and pictures, in a file that needs nothing beside it."""

from facesegl.reporting.charts import (
    as_svg,
    bar_chart,
    confusion_chart,
    iou_chart,
    loss_chart,
    map_chart,
    save_png,
    sweep_chart,
)
from facesegl.reporting.history import Curve, read_history
from facesegl.reporting.page import render, require_extras
from facesegl.reporting.pictures import Shown, as_data, file_as_data, show
from facesegl.reporting.scores import confusion_table, headline, other_sets_table, score_table, tag_table

__all__ = [
    "Curve",
    "Shown",
    "as_data",
    "as_svg",
    "bar_chart",
    "confusion_chart",
    "confusion_table",
    "file_as_data",
    "headline",
    "iou_chart",
    "loss_chart",
    "map_chart",
    "other_sets_table",
    "read_history",
    "render",
    "require_extras",
    "save_png",
    "score_table",
    "show",
    "sweep_chart",
    "tag_table",
]
