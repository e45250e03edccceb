"""The worst photos of an evaluation as pictures: photo | truth | prediction | error."""

import math
from collections.abc import Mapping
from pathlib import Path

from facesegl.data.datamodule import FaceDataModule
from facesegl.evaluation.scoring import SetScores, worst_first
from facesegl.files import replacing
from facesegl.monitoring.panels import draw_panel
from facesegl.prediction.predictor import Predictor


def draw_worst(
    folder: Path,
    predictor: Predictor,
    faces: FaceDataModule,
    scored: Mapping[str, SetScores],
    count: int,
) -> None:
    """Write `worst.png` with the photos of lowest mIoU of all scored sets, worst first."""
    every = {photo: scores.miou for found in scored.values() for photo, scores in found.photos.items()}
    photos = {photo: score for photo, score in every.items() if not math.isnan(score)}
    worst = worst_first(photos)[:count]
    if not worst:
        return
    place_of = {row.id: place for place, row in enumerate(faces.cache.rows)}
    shown = [faces.native(place_of[photo]) for photo in worst]
    panel = draw_panel(
        [photo for photo, _ in shown],
        [truth for _, truth in shown],
        [predictor(photo).index for photo, _ in shown],
        faces.taxonomy,
        [f"{photo}  mIoU {photos[photo]:.3f}" for photo in worst],
        title=f"the {len(worst)} worst of {len(photos)} photos",
    )
    with replacing(folder / "worst.png") as part:
        panel.save(part, format="PNG")
