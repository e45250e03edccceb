"""Synthetic faces of any classes: rendered once to disk in FASSEG's layout, then read like FASSEG."""

import dataclasses
import logging
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path

import filelock
import numpy as np
import numpy.typing as npt
from PIL import Image

from facesegl.console import track
from facesegl.errors import ConfigError, DataError
from facesegl.files import machine_errors, remove_builds_of_the_dead
from facesegl.labels.decode import Decoded, mask_to_colours
from facesegl.labels.from_parts import classes_of_parts
from facesegl.labels.taxonomy import Taxonomy
from facesegl.sources.fasseg import survey_fasseg_folder
from facesegl.sources.source import Sample, Source
from facesegl.synthetic.parts import PARTS
from facesegl.synthetic.person import KINDS
from facesegl.synthetic.render import Face, draw_face
from facesegl.threads import in_threads

log = logging.getLogger(__name__)

RENDERING = 3
"""The version of the renderer: incremented when the same seed renders another face."""

_LEAST_HEIGHT = 20  # the narrowest photo, 15 pixels less than four fifths of that, has a pixel


class SyntheticFaces(Source):
    """Rendered faces, to try things out without photos of real people.

    Args:
        root: the folder to write to, one subfolder per choice of the other arguments.
        train: the number of training photos, 1 or more.
        test: the number of test photos.
        height: rows of a photo, 20 or more; its width varies around four fifths of that.
        taxonomy: the classes and their colors in the masks.
        without: kinds of variety to switch off, of `synthetic.person.KINDS`: easier faces.

    Raises:
        ConfigError: no convention has these classes and the taxonomy has no `synthetic_as`, an unknown kind, or too
            small a number.
    """

    name = "synthetic"

    def __init__(
        self,
        root: str | Path,
        train: int,
        test: int,
        height: int,
        taxonomy: dict[str, object],
        without: Sequence[str] = (),
    ) -> None:
        least = {"train": (train, 1), "test": (test, 0), "height": (height, _LEAST_HEIGHT)}
        if wrong := [
            f"data.source.{name}={value}: expected {lowest} or more."
            for name, (value, lowest) in least.items()
            if value < lowest
        ]:
            raise ConfigError(*wrong)
        if unknown := sorted(set(without) - set(KINDS)):
            raise ConfigError(f"without: unknown {', '.join(unknown)}; expected {', '.join(KINDS)}")
        self.train, self.test, self.height, self.without = train, test, height, sorted(set(without))
        self.taxonomy = Taxonomy.from_mapping(taxonomy)
        self.classes, self.convention = classes_of_parts(self.taxonomy)
        look = (RENDERING, self.convention, self.classes.tolist(), self.taxonomy.colours, *self.without)
        version = zlib.crc32(repr(look).encode())
        self.folder = Path(root) / f"train{train}-test{test}-height{height}-{version:08x}"

    def samples(self) -> list[Sample]:
        """List the photos, rendering them first if they do not exist yet.

        Raises:
            DataError: some of the rendered files are missing.
            MachineError: the folder cannot be written.
        """
        if not self.folder.is_dir():
            with machine_errors(self.folder):
                self.folder.parent.mkdir(parents=True, exist_ok=True)
                with filelock.FileLock(f"{self.folder}.lock"):
                    if not self.folder.is_dir():
                        remove_builds_of_the_dead(self.folder.parent)
                        self._render()
        found = survey_fasseg_folder(self.folder)
        train, test = (sum(sample.split == split for sample in found.samples) for split in ("train", "test"))
        if (train, test) != (self.train, self.test):
            raise DataError(
                f"{self.folder}: has {train} and {test} synthetic faces with masks; expected {self.train} for training "
                f"and {self.test} for the test. Delete the folder to render them again."
            )
        if found.problems:
            raise DataError(*found.problems)
        return found.samples

    def on_disk(self) -> bool:
        """Whether the faces are rendered."""
        return self.folder.is_dir()

    def read_mask(self, sample: Sample, taxonomy: Taxonomy) -> Decoded:
        """Decode a rendered mask: it has the classes' own colors, whatever the taxonomy remaps in other files."""
        return super().read_mask(sample, dataclasses.replace(taxonomy, remap={}, void=None))

    def _render(self) -> None:
        part = self.folder.with_name(f".{self.folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)  # left by a killed process: this one holds the lock
        try:
            self._fill(part)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        part.replace(self.folder)

    def _fill(self, part: Path) -> None:
        jobs = [("Train", number) for number in range(self.train)] + [("Test", number) for number in range(self.test)]
        drawn = track(in_threads(self._draw, range(len(jobs))), total=len(jobs), what="rendering faces")
        for (split, number), pictures in zip(jobs, drawn, strict=True):
            for kind, pixels in zip(("RGB", "Labels"), pictures, strict=True):
                path = part / f"{split}_{kind}" / f"{number + 1}.bmp"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
        log.info("rendered %d faces into %s", len(jobs), self.folder)
        if self.taxonomy.synthetic_as and (rest := self._unnamed_background()):
            log.info("data.taxonomy: synthetic_as does not name %s; they are background", ", ".join(rest))
        if never := [name for index, name in enumerate(self.taxonomy.names) if index not in self.classes]:
            log.info("data.taxonomy: no synthetic face has %s", ", ".join(never))

    def _unnamed_background(self) -> list[str]:
        names = [self.taxonomy.names[index] for index in self.classes]
        unnamed = (part for part in PARTS[1:] if part not in self.taxonomy.synthetic_as)
        return [part for part in unnamed if names[PARTS.index(part)] == "background"]

    def _draw(self, seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """The photo and the mask of a face, each (H, W, 3) uint8."""
        face = draw_face(seed, self.height, self.height * 4 // 5 + (seed * 7) % 31 - 15, self.convention, self.without)
        shares = shares_of_classes(face, self.classes, self.taxonomy.num_classes)
        if self.convention == "fasseg":  # blended at the edges, as FASSEG's masks are
            colors = np.array(self.taxonomy.colours, dtype=np.float32)
            # not BLAS, which rounds by machine
            blended = sum(shares[..., [index]] * color for index, color in enumerate(colors))
            return face.photo, np.rint(blended).astype(np.uint8)
        return face.photo, mask_to_colours(shares.argmax(axis=-1).astype(np.uint8), self.taxonomy)


def shares_of_classes(face: Face, classes: npt.NDArray[np.intp], num_classes: int) -> npt.NDArray[np.float32]:
    """The share of each pixel that each class fills, (H, W, C) float32; `classes` has the class of each part."""
    shares = np.zeros((*face.photo.shape[:2], num_classes), dtype=np.float32)
    for part, index in enumerate(classes):
        shares[..., index] += face.coverage[..., part]
    return shares
