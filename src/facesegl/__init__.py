"""facesegl trains, watches and scores face segmentation models from a few labelled photos.

What stands here is imported when it is first touched, so that `import facesegl` and `facesegl --help` stay quick.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # or ONNX Runtime reports on itself to its maker

if TYPE_CHECKING:
    from facesegl.api import evaluate as evaluate
    from facesegl.api import train as train
    from facesegl.config import compose as compose
    from facesegl.data import FaceDataModule as FaceDataModule
    from facesegl.errors import FaceseglError as FaceseglError
    from facesegl.labels import Taxonomy as Taxonomy
    from facesegl.learning import SegmentationModule as SegmentationModule
    from facesegl.prediction import Prediction as Prediction
    from facesegl.prediction import Predictor as Predictor
    from facesegl.runs.result import Result as Result

__version__ = "0.1.0"

_HOMES = {
    "FaceDataModule": "facesegl.data",
    "FaceseglError": "facesegl.errors",
    "Prediction": "facesegl.prediction",
    "Predictor": "facesegl.prediction",
    "Result": "facesegl.runs.result",
    "SegmentationModule": "facesegl.learning",
    "Taxonomy": "facesegl.labels",
    "compose": "facesegl.config",
    "evaluate": "facesegl.api",
    "train": "facesegl.api",
}

__all__ = [*sorted(_HOMES), "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
