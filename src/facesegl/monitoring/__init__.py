"""Lightning callbacks that monitor training: panels of predictions, progress, the layout of TensorBoard.

Pictures of masks are drawn in `drawing/`.
"""

from typing import TYPE_CHECKING

from facesegl._lazy import attach

if TYPE_CHECKING:
    from facesegl.drawing.panel import draw_panel as draw_panel
    from facesegl.drawing.panel import draw_samples as draw_samples
    from facesegl.drawing.panel import paint_errors as paint_errors
    from facesegl.monitoring.panels import PanelCallback as PanelCallback
    from facesegl.monitoring.progress import TrainingProgress as TrainingProgress
    from facesegl.monitoring.tensorboard import Charts as Charts
    from facesegl.monitoring.tensorboard import TensorBoardLogger as TensorBoardLogger

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Charts": "facesegl.monitoring.tensorboard",
        "PanelCallback": "facesegl.monitoring.panels",
        "TensorBoardLogger": "facesegl.monitoring.tensorboard",
        "TrainingProgress": "facesegl.monitoring.progress",
        "draw_panel": "facesegl.drawing.panel",
        "draw_samples": "facesegl.drawing.panel",
        "paint_errors": "facesegl.drawing.panel",
    },
)
