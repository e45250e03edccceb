"""From a photo to its mask: opening a model of any format, ensembles, test-time augmentation, names of the outputs.

An exported model predicts without torch, a checkpoint without Lightning. Scoring is in `evaluation/`.
"""

from typing import TYPE_CHECKING

from facesegl._lazy import attach

if TYPE_CHECKING:
    from facesegl.prediction.model import Model as Model
    from facesegl.prediction.model import open_model as open_model
    from facesegl.prediction.model import read_card as read_card
    from facesegl.prediction.predictor import Prediction as Prediction
    from facesegl.prediction.predictor import Predictor as Predictor

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Model": "facesegl.prediction.model",
        "Prediction": "facesegl.prediction.predictor",
        "Predictor": "facesegl.prediction.predictor",
        "open_model": "facesegl.prediction.model",
        "read_card": "facesegl.prediction.model",
    },
)
