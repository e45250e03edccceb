"""One page that shows a run or a sweep: its curves, charts and pictures, in a file that needs nothing beside it."""

from facesegl.reporting.charts import as_svg, bar_chart, confusion_chart, iou_chart, loss_chart, map_chart, sweep_chart
from facesegl.reporting.history import Curve, read_history
from facesegl.reporting.page import render
from facesegl.reporting.pictures import Shown, as_data, file_as_data, show

__all__ = [
    "Curve",
    "Shown",
    "as_data",
    "as_svg",
    "bar_chart",
    "confusion_chart",
    "file_as_data",
    "iou_chart",
    "loss_chart",
    "map_chart",
    "read_history",
    "render",
    "show",
    "sweep_chart",
]
