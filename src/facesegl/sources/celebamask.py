"""CelebAMask-HQ as its archive lays it out.

Lee, C.-H.; Liu, Z.; Wu, L.; Luo, P.: MaskGAN, CVPR 2020, https://github.com/switchablenorms/CelebAMask-HQ. 30 000
photos; who they show is not in the archive, so that a person may stand in several splits.

    CelebA-HQ-img/0.jpg ...                                   1024x1024
    CelebAMask-HQ-mask-anno/0/00000_skin.png ...              512x512, one file a part, 2000 photos a folder
    CelebA-HQ-to-CelebA-mapping.txt                           idx, orig_idx, orig_file
"""

from pathlib import Path
from typing import Any

from facesegl.errors import ConfigError
from facesegl.sources.folder import Finding, FolderFaces
from facesegl.sources.listing import expanded, read_text, some

# CelebA's own partition, with the bounds of the data set's own script (g_partition.py): 24 183, 2 993 and 2 824 photos.
_FIRST_VAL, _FIRST_TEST = 162_771, 182_638


class CelebAMaskHQ(FolderFaces):
    """Photos and masks of CelebAMask-HQ.

    Args:
        mapping: the file that says which photo of CelebA each one is, and so its split; None for no splits.
        how: as `FolderFaces` takes it.

    Raises:
        ConfigError: both a mapping and lists.
    """

    def __init__(self, mapping: str | Path | None, **how: Any) -> None:
        super().__init__(**how)
        self.mapping = None if mapping is None else expanded(mapping)
        if self.mapping and self.lists.files:
            raise ConfigError("data.source.lists: data.source.mapping says the splits already; set it to null.")

    def _splits(self, found: Finding) -> tuple[dict[int, str], list[str]]:
        """The split of each photo by its place, and what is wrong with the mapping."""
        if self.mapping is None:
            return super()._splits(found)
        try:
            lines = read_text(self.mapping).splitlines()
            rows = [line.split() for line in lines]
            original = {int(row[0]): int(row[1]) for row in rows[1:] if row}
        except OSError as error:
            return {}, [
                f"{self.mapping}: cannot be read ({error.strerror}); expected the file of that name in the archive. "
                f"Without splits: data.source.mapping=null."
            ]
        except (ValueError, IndexError):
            return {}, [
                f"{self.mapping}: expected lines of idx, orig_idx and orig_file below a title, as in the archive."
            ]
        split_of, lost = {}, []
        for place, photo in enumerate(found.photos):
            number = original.get(int(photo.name)) if photo.name.isdecimal() else None
            if number is None:
                lost.append(f"{photo.path}: not in {self.mapping}; expected every photo there.")
            else:
                split_of[place] = "train" if number < _FIRST_VAL else "val" if number < _FIRST_TEST else "test"
        return split_of, some(lost, "photos that the mapping does not name")
