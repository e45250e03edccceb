"""From a photo to its mask: models of any file, ensembles, mirrored second looks; no torch unless a model needs it."""

from facesegl.prediction.model import Model, open_model, read_card
from facesegl.prediction.predictor import Prediction, Predictor

__all__ = ["Model", "Prediction", "Predictor", "open_model", "read_card"]
