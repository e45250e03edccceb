"""Photos in, masks out: one way for every model, so that what is predicted is what is scored."""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from facesegl.errors import CheckpointError, ConfigError, DataError
from facesegl.labels.taxonomy import Taxonomy
from facesegl.prediction.model import Model, open_model
from facesegl.prediction.upsample import upsample
from facesegl.sources.images import open_photo, photo_of, resize_photo

_BAND = 1 << 22  # numbers of one band of probabilities: 16 MiB, whatever the photo


class Prediction:
    """What a model says of one photo, at the photo's own size and upright.

    Nothing is computed before it is asked for; `bands` holds a part of a large photo at a time.

    Args:
        looks: logits (C, s, s) float32 at the net's size, one for each model and each look at the photo.
        height: rows of the photo.
        width: columns of the photo.
        names: the classes' names.

    Attributes:
        names: the classes' names, by index.
        shape: rows and columns of the photo.
    """

    def __init__(self, looks: Sequence[np.ndarray], height: int, width: int, names: tuple[str, ...]) -> None:
        self._looks, self.shape, self.names = looks, (height, width), names

    @property
    def index(self) -> np.ndarray:
        """The class of every pixel: (H, W) uint8."""
        return self._summary[0]

    @property
    def confidence(self) -> float:
        """The mean over all pixels of the largest probability, 1 / C to 1; how sure it is, not how right."""
        return self._summary[1]

    @functools.cached_property
    def probabilities(self) -> np.ndarray:
        """The probability of every class at every pixel: (C, H, W) float32; sums to one over the classes."""
        return np.concatenate([band for _, band in self.bands()], axis=1)

    def bands(self) -> Iterator[tuple[slice, np.ndarray]]:
        """The probabilities from top to bottom: rows, and (C, rows, W) float32, some 16 MiB at a time."""
        for rows, looks in self._bands():
            yield rows, _mean_probability(looks)

    @functools.cached_property
    def _summary(self) -> tuple[np.ndarray, float]:
        index, total = np.empty(self.shape, dtype=np.uint8), 0.0
        for rows, looks in self._bands():
            probabilities = _mean_probability(looks)
            # one look: the argmax of its logits, among which there are no ties that only rounding made
            index[rows] = (looks[0] if len(looks) == 1 else probabilities).argmax(axis=0)
            total += float(probabilities.max(axis=0).sum(dtype=np.float64))
        return index, total / index.size

    def _bands(self) -> Iterator[tuple[slice, list[np.ndarray]]]:
        """Logits (C, rows, W) float32 of each look, upsampled bilinearly."""
        height, width = self.shape
        step = max(_BAND // (len(self.names) * width), 1)
        for top in range(0, height, step):
            rows = slice(top, min(top + step, height))
            yield rows, [upsample(look, height, width, rows) for look in self._looks]


class Predictor:
    """Segments photos by one model, or by several whose probabilities are averaged.

    Args:
        *models: files, run folders, or opened models, all of the same classes.
        device: auto, cpu, cuda or mps.
        tta: look at each photo mirrored as well, left and right classes swapped back, and average.
        trust: packages beside facesegl whose classes a checkpoint may name.

    Attributes:
        models: the opened models.
        taxonomy: the classes.
        names: the classes' names, by index.

    Raises:
        CheckpointError: a file is no model, or names what is not trusted.
        ConfigError: no model, or models of different classes.
        MachineError: the device is not there.
    """

    def __init__(
        self, *models: "str | Path | Model", device: str = "auto", tta: bool = False, trust: Sequence[str] = ()
    ) -> None:
        opened = [open_model(model, device, trust) if isinstance(model, str | Path) else model for model in models]
        _require_one_taxonomy(opened)
        self.models: list[Model] = opened
        self.taxonomy: Taxonomy = opened[0].taxonomy
        self.names = self.taxonomy.names
        self.tta = tta
        self._mirrored = self.taxonomy.mirrored()[: self.taxonomy.num_classes]

    def __call__(self, image: "Image.Image | np.ndarray | str | Path") -> Prediction:
        """Segment one photo.

        Args:
            image: a file, a Pillow image of any mode, or an array (H, W, 3) R-G-B, (H, W, 4) or (H, W) grey, uint8.

        Raises:
            DataError: no image, or an array of another form.
        """
        return self.many([_photo(image)])[0]

    def many(self, photos: Sequence[np.ndarray]) -> list[Prediction]:
        """Segment several photos of any sizes in one pass of each net.

        Args:
            photos: (H, W, 3) uint8 each, R-G-B.
        """
        if not len(photos):
            return []
        looks: list[list[np.ndarray]] = [[] for _ in photos]
        for model in self.models:
            for found in self._looks(model, photos):
                for of_photo, logits in zip(looks, found, strict=True):
                    of_photo.append(logits)
        return [
            Prediction(of_photo, photo.shape[0], photo.shape[1], self.names)
            for of_photo, photo in zip(looks, photos, strict=True)
        ]

    def _looks(self, model: Model, photos: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """Logits (B, C, s, s) float32 of the photos as they are, then of their mirror images, mirrored back."""
        size = model.image_size
        small = np.stack([resize_photo(photo, size, size) for photo in photos]).transpose(0, 3, 1, 2)
        yield self._logits(model, small)
        if self.tta:
            mirrored = self._logits(model, np.ascontiguousarray(small[..., ::-1]))
            yield mirrored[:, self._mirrored, :, ::-1]

    def _logits(self, model: Model, photos: np.ndarray) -> np.ndarray:
        """Logits (B, C, s, s) float32 of photos (B, 3, S, S) uint8.

        Raises:
            CheckpointError: they are not those of the classes, or not finite.
        """
        logits = model.logits(photos)
        if logits.ndim != 4 or logits.shape[:2] != (len(photos), len(self.names)):
            raise CheckpointError(
                f"{model.name}: its net gives {logits.shape} for {len(photos)} photos; expected a channel for each of "
                f"its {len(self.names)} classes. Net and card do not belong together."
            )
        if not np.isfinite(logits).all():
            raise CheckpointError(f"{model.name}: its logits are not finite; nothing can be predicted so.")
        return logits


def _mean_probability(looks: Sequence[np.ndarray]) -> np.ndarray:
    """The mean over looks of the softmax of logits (C, H, W) float32."""
    mean = _softmax(looks[0])
    for look in looks[1:]:
        mean += _softmax(look)
    mean /= len(looks)
    return mean


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Over the classes of logits (C, H, W) float32."""
    powers: np.ndarray = np.exp(logits - logits.max(axis=0))
    powers /= powers.sum(axis=0)
    return powers


def _photo(image: "Image.Image | np.ndarray | str | Path") -> np.ndarray:
    """Anything that is a photo as (H, W, 3) uint8."""
    if isinstance(image, str | Path):
        return open_photo(Path(image))
    if isinstance(image, Image.Image):
        return photo_of(image)
    if not isinstance(image, np.ndarray):
        raise DataError(f"{type(image).__name__} is no photo; expected a file, a Pillow image or an array.")
    if image.dtype != np.uint8 or image.size == 0 or not (image.ndim == 2 or image.shape[2:] in ((3,), (4,))):
        raise DataError(
            f"a photo as an array has shape {image.shape} and type {image.dtype}; expected (H, W, 3) R-G-B, "
            f"(H, W, 4) or (H, W) of type uint8, 0 to 255."
        )
    return photo_of(Image.fromarray(image))


def _require_one_taxonomy(models: Sequence[Model]) -> None:
    if not models:
        raise ConfigError("no model; expected at least one checkpoint or ONNX file.")
    first = models[0]
    problems = [
        f"{model.name}: it has the classes {', '.join(model.taxonomy.names)}, and {first.name} "
        f"{', '.join(first.taxonomy.names)}; an ensemble needs the same classes in the same order."
        for model in models[1:]
        if model.taxonomy.names != first.taxonomy.names
    ]
    if problems:
        raise ConfigError(*problems)
