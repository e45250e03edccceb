"""Synthetic faces that are rendered straight into the cache, to be mixed into training batches."""

from pathlib import Path

import numpy as np

from facesegl.labels.decode import Decoded
from facesegl.labels.from_parts import classes_of_parts
from facesegl.labels.taxonomy import Taxonomy
from facesegl.sources.source import Sample, Source
from facesegl.sources.synthetic import RENDERING, shares_of_classes
from facesegl.synthetic.render import draw_face

_FIRST_SEED = 2**20  # other faces than those of `data=synthetic`, which may be validated on


class DrawnFaces(Source):
    """Synthetic faces without files: a sample is rendered when it is read.

    Args:
        count: the number of faces.
        height: rows of a photo; its width varies around four fifths of that.
    """

    name = "synthetic"
    progress = "rendering synthetic faces"

    def __init__(self, count: int, height: int) -> None:
        self.count, self.height = count, height
        self.reading = f"rendering {RENDERING}, {height} rows"

    def samples(self) -> list[Sample]:
        """List the faces: `synthetic/0`, `synthetic/1`, ..."""
        names = (f"synthetic/{seed}" for seed in range(self.count))
        return [Sample(name, Path(name), Path(name), split="train", group=name) for name in names]

    def files(self, sample: Sample) -> tuple[Path, ...]:
        """None: what a sample is, follows from its id and `reading`."""
        return ()

    def read(self, sample: Sample, taxonomy: Taxonomy) -> tuple[np.ndarray, Decoded]:
        """Render the photo, (H, W, 3) uint8, and its mask."""
        seed = _FIRST_SEED + int(Path(sample.id).name)
        classes, convention = classes_of_parts(taxonomy)
        face = draw_face(seed, self.height, round(self.height * (0.8 + (seed * 7 % 31 - 15) / 256)), convention)
        mask = shares_of_classes(face, classes, taxonomy.num_classes).argmax(axis=-1).astype(np.uint8)
        return face.photo, Decoded(mask, np.zeros(mask.shape, dtype=bool))
