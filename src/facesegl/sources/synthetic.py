"""Synthetic faces: rendered once to disk in FASSEG's layout, then read like FASSEG."""

import logging
import shutil
import zlib
from pathlib import Path

import filelock
import numpy as np
from PIL import Image

from facesegl.console import track
from facesegl.errors import DataError
from facesegl.files import machine_errors
from facesegl.labels.taxonomy import Taxonomy
from facesegl.sources.fasseg import survey_fasseg_folder
from facesegl.sources.source import Sample, Source
from facesegl.synthetic.render import draw_face

log = logging.getLogger(__name__)

RENDERING = 1
"""Incremented when the same seed renders another face."""


class SyntheticFaces(Source):
    """Rendered faces, to try things out without photos of real people.

    Args:
        root: the folder to write to, one subfolder per choice of the other arguments.
        train: the number of training photos.
        test: the number of test photos.
        height: rows of a photo; its width varies around four fifths of that.
        taxonomy: the six classes and their colors in the masks.
    """

    name = "synthetic"

    def __init__(self, root: str | Path, train: int, test: int, height: int, taxonomy: dict[str, object]) -> None:
        self.train, self.test, self.height = train, test, height
        self.taxonomy = Taxonomy.from_mapping(taxonomy)
        version = zlib.crc32(repr((RENDERING, self.taxonomy.colours)).encode())
        self.folder = Path(root) / f"train{train}-test{test}-height{height}-{version:08x}"

    def samples(self) -> list[Sample]:
        """List the photos, rendering them first if they do not exist yet.

        Raises:
            DataError: some of the rendered files are missing.
            MachineError: the folder cannot be written.
        """
        with machine_errors(self.folder):
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(f"{self.folder}.lock"):
                if not self.folder.is_dir():
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
        for seed, (split, number) in enumerate(track(jobs, total=len(jobs), what="rendering faces")):
            face = draw_face(seed, self.height, self.height * 4 // 5 + (seed * 7) % 31 - 15)
            colors = np.array(self.taxonomy.colours, dtype=np.float32)
            mask = np.rint(face.coverage @ colors).astype(np.uint8)  # blended at the edges, as FASSEG's masks are
            for kind, pixels in (("RGB", face.photo), ("Labels", mask)):
                path = part / f"{split}_{kind}" / f"{number + 1}.bmp"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
        log.info("rendered %d faces into %s", len(jobs), self.folder)
