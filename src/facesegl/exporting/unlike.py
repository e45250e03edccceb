"""The threshold below which `predict` warns that an image is unlike the synthetic faces that a model was trained on."""

import numpy as np

from facesegl.console import track
from facesegl.errors import ConfigError
from facesegl.prediction.model import Model
from facesegl.prediction.predictor import Predictor
from facesegl.sources.drawn import DrawnFaces
from facesegl.threads import in_threads

FALSE_ALARMS = 0.02
"""The share of synthetic faces with a lower familiarity."""
_FACES = 300


def unlike_below(model: Model) -> float:
    """The quantile `FALSE_ALARMS` of the familiarity of synthetic faces that the model was not trained on.

    Raises:
        ConfigError: the model was not trained on `data=synthetic`.
    """
    if (name := model.card["data"]["name"]) != DrawnFaces.name:
        raise ConfigError(
            f"--warn-unlike: {model.name} was trained on {name}; expected weights trained on synthetic faces."
        )
    faces, predictor = DrawnFaces(_FACES, model.image_size), Predictor(model)
    photos = in_threads(lambda sample: faces.read(sample, model.taxonomy)[0], faces.samples())
    found = [predictor(photo).familiarity for photo in track(photos, total=_FACES, what="calibrating the warning")]
    return round(float(np.quantile(found, FALSE_ALARMS)), 4)
