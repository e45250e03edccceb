"""facesegl trains, monitors and evaluates face segmentation models from a few labelled photos.

Names are imported on first use, so that `import facesegl` and `facesegl --help` stay fast.
"""

import os
from typing import TYPE_CHECKING

from facesegl._lazy import attach

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime sends telemetry by default

if TYPE_CHECKING:
    from facesegl.api import compare as compare
    from facesegl.api import evaluate as evaluate
    from facesegl.api import export as export
    from facesegl.api import predict as predict
    from facesegl.api import report as report
    from facesegl.api import sweep as sweep
    from facesegl.api import train as train
    from facesegl.api import tune as tune
    from facesegl.config.compose import compose as compose
    from facesegl.data.datamodule import FaceDataModule as FaceDataModule
    from facesegl.errors import FaceseglError as FaceseglError
    from facesegl.labels.taxonomy import Taxonomy as Taxonomy
    from facesegl.learning.module import SegmentationModule as SegmentationModule
    from facesegl.prediction.predictor import Prediction as Prediction
    from facesegl.prediction.predictor import Predictor as Predictor
    from facesegl.runs.result import Result as Result

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "FaceDataModule": "facesegl.data.datamodule",
        "FaceseglError": "facesegl.errors",
        "Prediction": "facesegl.prediction.predictor",
        "Predictor": "facesegl.prediction.predictor",
        "Result": "facesegl.runs.result",
        "SegmentationModule": "facesegl.learning.module",
        "Taxonomy": "facesegl.labels.taxonomy",
        "compare": "facesegl.api",
        "compose": "facesegl.config.compose",
        "evaluate": "facesegl.api",
        "export": "facesegl.api",
        "predict": "facesegl.api",
        "report": "facesegl.api",
        "sweep": "facesegl.api",
        "train": "facesegl.api",
        "tune": "facesegl.api",
    },
)
