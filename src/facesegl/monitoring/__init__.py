"""What a person sees while a training runs: panels of predictions, and how far it is."""

from facesegl.monitoring.charts import Charts
from facesegl.monitoring.panels import PanelCallback, draw_panel, draw_samples, paint_errors
from facesegl.monitoring.progress import TrainingProgress

__all__ = ["Charts", "PanelCallback", "TrainingProgress", "draw_panel", "draw_samples", "paint_errors"]
