"""A "Segmentation mask 1.1" export of CVAT, unpacked: Pascal VOC's layout with custom labels.

labelmap.txt                          label:red,green,blue:parts:actions, one per line
SegmentationClass/NAME.png            each label in its color, or its number in a grey image
SegmentationObject/NAME.png           not read
JPEGImages/NAME.jpg                   if images were saved too
ImageSets/Segmentation/SUBSET.txt     one name per line; default.txt where the project has no subsets
"""

import re
from pathlib import Path
from typing import Any

from facesegl.errors import ConfigError, DataError
from facesegl.labels.taxonomy import Taxonomy
from facesegl.sources.folder import Finding, FolderFaces
from facesegl.sources.listing import expanded, read_text, require_folder
from facesegl.sources.source import labels_to_taxonomy
from facesegl.sources.splits import split_named

_LINE = re.compile(r"(?P<name>.+?):(?P<colour>\d{1,9},\d{1,9},\d{1,9})(:[^:]*){0,2}")
_BACKGROUND, _BLACK = "background", (0, 0, 0)


class CVAT(FolderFaces):
    """Faces labelled in CVAT. The subsets val and test are the splits of that name; all others are for training.

    Args:
        root: the unpacked export.
        images: the folder of the photos; None for JPEGImages in the export.
        how: arguments of `FolderFaces`; `lists` override the export's own.
    """

    def __init__(self, root: str | Path, images: str | Path | None, **how: Any) -> None:
        self.root, self._exported = expanded(root), images is None
        lists = {split: file for split, file in how["lists"].items() if file is not None}
        super().__init__(
            **{**how, "lists": lists or self._subsets()},
            images=self.root / "JPEGImages" if images is None else images,
            masks=self.root / "SegmentationClass",
            mask_name="{stem}",
        )

    def own_taxonomy(self) -> Taxonomy:
        """The labels of labelmap.txt, in its order; labels that differ only in left and right are pairs.

        Raises:
            DataError: the file is missing or invalid.
        """
        require_folder(self.root, "data.source.root")
        file = self.root / "labelmap.txt"
        try:
            text = read_text(file, "utf-8-sig")
        except (OSError, UnicodeDecodeError):
            raise DataError(
                f"{file}: cannot be read; expected it in an export of CVAT in the format Segmentation mask 1.1."
            ) from None
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        matches = [_LINE.fullmatch(line) for line in lines]
        if wrong := [line for line, match in zip(lines, matches, strict=True) if not match]:
            raise DataError(*(f"{file}: {line}; expected label:red,green,blue::." for line in wrong))
        labels = [(match["name"], match["colour"].split(",")) for match in matches if match]
        colors = [(int(red), int(green), int(blue)) for _name, (red, green, blue) in labels]
        names = [name for name, _color in labels]
        if _BACKGROUND not in names and _BLACK not in colors:  # unlabelled pixels are black
            names, colors = [_BACKGROUND, *names], [_BLACK, *colors]
        return labels_to_taxonomy(file, names, colors)

    def find(self) -> Finding:
        """Find photos and their masks.

        Raises:
            DataError: the export is missing or has another format.
        """
        require_folder(self.root, "data.source.root")
        if self._exported and not Path(self.images).is_dir():
            raise DataError(
                f"{self.images}: no such folder; export again with images, or say where the photos are with "
                f"data.source.images=FOLDER."
            )
        return super().find()

    def _subsets(self) -> dict[str, Path]:
        lists: dict[str, Path] = {}
        for file in sorted((self.root / "ImageSets" / "Segmentation").glob("*.txt")):
            split = split_named(file.stem)
            if split in lists:
                raise ConfigError(f"{file}: names the split {split}, as does {lists[split].name}; merge the two.")
            if split in ("val", "test"):
                lists[split] = file
        return lists
