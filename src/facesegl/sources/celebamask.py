"""CelebAMask-HQ in the layout of its archive.

Lee, C.-H.; Liu, Z.; Wu, L.; Luo, P.: MaskGAN, CVPR 2020, https://github.com/switchablenorms/CelebAMask-HQ. 30 000
photos; the archive does not identify persons, so that a person may be in several splits.

    CelebA-HQ-img/0.jpg ...                                   1024x1024
    CelebAMask-HQ-mask-anno/0/00000_skin.png ...              512x512, one file per part, 2000 photos per folder
    CelebA-HQ-to-CelebA-mapping.txt                           idx, orig_idx, orig_file
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from facesegl.errors import ConfigError
from facesegl.sources.folder import FolderFaces, PhotoFiles
from facesegl.sources.listing import expanded, read_text, truncate

# CelebA's own partition, with the bounds of the data set's own script (g_partition.py): 24 183, 2 993 and 2 824 photos.
_FIRST_VAL, _FIRST_TEST = 162_771, 182_638


class CelebAMaskHQ(FolderFaces):
    """Photos and masks of CelebAMask-HQ.

    Args:
        mapping: the file that maps each photo to its original in CelebA, and so to its split; None for no splits.
        how: arguments of `FolderFaces`.

    Raises:
        ConfigError: both a mapping and lists.
    """

    def __init__(self, mapping: str | Path | None, **how: Any) -> None:
        super().__init__(**how)
        self.mapping = None if mapping is None else expanded(mapping)
        if self.mapping and self.lists.files:
            raise ConfigError("data.source.lists: data.source.mapping already defines the splits; set it to null.")

    def _splits(self, photos: Sequence[PhotoFiles]) -> tuple[dict[int, str], list[str]]:
        if self.mapping is None:
            return super()._splits(photos)
        try:
            rows = [line.split() for line in read_text(self.mapping).splitlines()]
            original = {int(row[0]): int(row[1]) for row in rows[1:] if row}
        except OSError as error:
            return {}, [
                f"{self.mapping}: cannot be read ({error.strerror}); expected the file of that name in the archive. "
                f"Without splits: data.source.mapping=null."
            ]
        except (ValueError, IndexError):
            return {}, [f"{self.mapping}: expected a header, then lines of idx, orig_idx and orig_file."]
        split_of, missing = {}, []
        for index, (photo, *_) in enumerate(photos):
            number = original.get(int(photo.name)) if photo.name.isdecimal() else None
            if number is None:
                missing.append(f"{photo.path}: not in {self.mapping}; expected every photo there.")
            else:
                split_of[index] = "train" if number < _FIRST_VAL else "val" if number < _FIRST_TEST else "test"
        return split_of, truncate(missing, "photos that are not in the mapping")
