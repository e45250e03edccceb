"""What a person sees while a training runs: panels of predictions, and how far it is."""

from typing import TYPE_CHECKING

from facesegl._lazy import attach

if TYPE_CHECKING:
    from facesegl.monitoring.panels import PanelCallback as PanelCallback
    from facesegl.monitoring.panels import draw_panel as draw_panel
    from facesegl.monitoring.panels import draw_samples as draw_samples
    from facesegl.monitoring.panels import paint_errors as paint_errors
    from facesegl.monitoring.progress import TrainingProgress as TrainingProgress
    from facesegl.monitoring.tensorboard import Charts as Charts

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Charts": "facesegl.monitoring.tensorboard",
        "PanelCallback": "facesegl.monitoring.panels",
        "TrainingProgress": "facesegl.monitoring.progress",
        "draw_panel": "facesegl.monitoring.panels",
        "draw_samples": "facesegl.monitoring.panels",
        "paint_errors": "facesegl.monitoring.panels",
    },
)
