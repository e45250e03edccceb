"""Photos in, masks out: one code path for every model, so that evaluation scores what prediction writes."""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from facesegl.errors import CheckpointError, ConfigError, DataError
from facesegl.labels.taxonomy import Taxonomy
from facesegl.prediction.members import member_files
from facesegl.prediction.model import Model, open_model
from facesegl.prediction.upsample import row_bands, upsample
from facesegl.pretrained import FACES
from facesegl.sources.images import open_photo, photo_of, resize_photo
from facesegl.user_modules import require_packages_exist


class Prediction:
    """What a model predicts for one photo, at the photo's own size and upright.

    Everything is computed when it is first used; `bands` yields the probabilities of a large photo in parts.

    Args:
        logits: (C, s, s) float32 at the net's size, one for each model and each test-time augmentation view.
        height: rows of the photo.
        width: columns of the photo.
        names: the classes' names.

    Attributes:
        names: the classes' names, by index.
        shape: rows and columns of the photo.
    """

    def __init__(self, logits: Sequence[np.ndarray], height: int, width: int, names: tuple[str, ...]) -> None:
        self._logits, self.shape, self.names = logits, (height, width), names

    @property
    def index(self) -> np.ndarray:
        """The class of every pixel: (H, W) uint8."""
        return self._summary[0]

    @property
    def confidence(self) -> float:
        """The mean over all pixels of the largest probability, 1 / C to 1; not a measure of accuracy."""
        return self._summary[1]

    @functools.cached_property
    def familiarity(self) -> float:
        """How sure the net is of every class where it predicts it, 0 to 1; low for images unlike its training images.

        The mean over classes and views of a class's probability, averaged over pixels with itself as weight.
        """
        return float(np.mean([_sureness(_softmax(logits)) for logits in self._logits]))

    @functools.cached_property
    def probabilities(self) -> np.ndarray:
        """The probability of every class at every pixel: (C, H, W) float32; sums to one over the classes."""
        return np.concatenate([band for _, band in self.bands()], axis=1)

    def bands(self) -> Iterator[tuple[slice, np.ndarray]]:
        """The probabilities from top to bottom: rows, and (C, rows, W) float32, some 16 MiB at a time."""
        for rows, logits in self._bands():
            yield rows, _mean_probability(logits)

    @functools.cached_property
    def _summary(self) -> tuple[np.ndarray, float]:
        index, total = np.empty(self.shape, dtype=np.uint8), 0.0
        for rows, logits in self._bands():
            probabilities = _mean_probability(logits)
            # for a single view the argmax of its logits: probabilities may be tied by rounding
            index[rows] = (logits[0] if len(logits) == 1 else probabilities).argmax(axis=0)
            total += float(probabilities.max(axis=0).sum(dtype=np.float64))
        return index, total / index.size

    def _bands(self) -> Iterator[tuple[slice, list[np.ndarray]]]:
        """Logits (C, rows, W) float32 of each view, upsampled."""
        for rows in row_bands(len(self.names), *self.shape):
            yield rows, [upsample(logits, *self.shape, rows) for logits in self._logits]


class Predictor:
    """Segments photos by one model, or by several whose probabilities are averaged.

    Args:
        *models: files, run folders, the folder of a sweep for its finished jobs, or opened models, all with the same
            classes; by default the pretrained weights, `facesegl:faces`.
        device: auto, cpu, cuda or mps.
        tta: test-time augmentation: also predict each mirrored photo, with left and right classes swapped back, and
            average.
        trust: packages other than facesegl whose classes a checkpoint may name.

    Attributes:
        models: the opened models.
        taxonomy: the classes.
        names: the classes' names, by index.
        unlike_below: a photo of lower familiarity is unlike the training images; None if a model's card has no
            threshold.

    Raises:
        CheckpointError: a file is not a model, or names an untrusted class.
        ConfigError: models of different classes, or a sweep of several configurations.
        MachineError: the device is not available.
    """

    def __init__(
        self, *models: "str | Path | Model", device: str = "auto", tta: bool = False, trust: Sequence[str] = ()
    ) -> None:
        require_packages_exist([trust] if isinstance(trust, str) else trust)
        opened: list[Model] = []
        for model in models or (FACES,):
            if isinstance(model, str | Path):
                opened += [open_model(file, device, trust) for file in member_files(model)]
            else:
                opened.append(model)
        _require_one_taxonomy(opened)
        self.models: list[Model] = opened
        self.taxonomy: Taxonomy = opened[0].taxonomy
        self.names = self.taxonomy.names
        self.tta = tta
        thresholds: list[Any] = [model.card.get("unlike_below") for model in opened]
        self.unlike_below: float | None = None if None in thresholds else float(np.mean(thresholds))
        self._mirrored = self.taxonomy.mirrored()[: self.taxonomy.num_classes]

    def __call__(self, image: "Image.Image | np.ndarray | str | Path") -> Prediction:
        """Segment one photo.

        Args:
            image: a file, a Pillow image of any mode, or an array (H, W, 3) R-G-B, (H, W, 4) or (H, W) grey, uint8.

        Raises:
            DataError: not an image, or an array of another shape or dtype.
        """
        return self.many([_photo(image)])[0]

    def many(self, photos: Sequence[np.ndarray]) -> list[Prediction]:
        """Segment several photos of any sizes in one pass of each net.

        Args:
            photos: (H, W, 3) uint8 each, R-G-B.
        """
        if not len(photos):
            return []
        views = [view for model in self.models for view in self._views(model, photos)]
        return [
            Prediction(logits, photo.shape[0], photo.shape[1], self.names)
            for *logits, photo in zip(*views, photos, strict=True)
        ]

    def _views(self, model: Model, photos: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """Logits (B, C, s, s) float32 of the photos, then, with TTA, of the mirrored photos, mirrored back."""
        size = model.image_size
        small = np.stack([resize_photo(photo, size, size) for photo in photos]).transpose(0, 3, 1, 2)
        yield from self._logits(model, small)
        if self.tta:
            for mirrored in self._logits(model, np.ascontiguousarray(small[..., ::-1])):
                yield mirrored[:, self._mirrored, :, ::-1]

    def _logits(self, model: Model, images: np.ndarray) -> np.ndarray:
        """Checked logits (members, B, C, h, w) of images (B, 3, h, w); a model alone is one member."""
        logits = model.logits(images)
        members = logits.swapaxes(0, 1) if logits.ndim == 5 else logits[None]
        if members.ndim != 5 or not len(members) or members.shape[1:3] != (len(images), len(self.names)):
            raise CheckpointError(
                f"{model.name}: its net gives {logits.shape} for {len(images)} photos; expected a channel for each of "
                f"its {len(self.names)} classes. Net and card do not match."
            )
        if not np.isfinite(logits).all():
            raise CheckpointError(f"{model.name}: its logits are not finite, so it cannot predict anything.")
        return members


def _mean_probability(logits: Sequence[np.ndarray]) -> np.ndarray:
    """The mean over views of the softmax of logits (C, H, W) float32."""
    mean = _softmax(logits[0])
    for view in logits[1:]:
        mean += _softmax(view)
    mean /= len(logits)
    return mean


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities (C, h, w) of logits (C, h, w), over the classes."""
    powers: np.ndarray = np.exp(logits - logits.max(axis=0))
    powers /= powers.sum(axis=0)
    return powers


def _sureness(probabilities: np.ndarray) -> float:
    """The mean over classes of sum(p^2) / sum(p), p being a class of the probabilities (C, h, w); 0 if it has none."""
    total = np.maximum(probabilities.sum(axis=(1, 2)), np.finfo(np.float32).tiny)
    return float((np.square(probabilities).sum(axis=(1, 2)) / total).mean())


def _photo(image: "Image.Image | np.ndarray | str | Path") -> np.ndarray:
    """The photo as an array (H, W, 3) uint8."""
    if isinstance(image, str | Path):
        return open_photo(Path(image))
    if isinstance(image, Image.Image):
        return photo_of(image)
    if not isinstance(image, np.ndarray):
        raise DataError(f"{type(image).__name__} is not a photo; expected a file, a Pillow image or an array.")
    if image.dtype != np.uint8 or image.size == 0 or not (image.ndim == 2 or image.shape[2:] in ((3,), (4,))):
        raise DataError(
            f"a photo as an array has shape {image.shape} and type {image.dtype}; expected (H, W, 3) R-G-B, "
            f"(H, W, 4) or (H, W) of type uint8, 0 to 255."
        )
    return photo_of(Image.fromarray(image))


def _require_one_taxonomy(models: Sequence[Model]) -> None:
    first = models[0]
    problems = [
        f"{model.name}: it has the classes {', '.join(model.taxonomy.names)}, and {first.name} "
        f"{', '.join(first.taxonomy.names)}; an ensemble needs the same classes in the same order."
        for model in models[1:]
        if model.taxonomy.names != first.taxonomy.names
    ]
    if problems:
        raise ConfigError(*problems)
