"""Which photos are meant, and what the files are called that are made of each."""

import functools
import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from PIL import Image

from facesegl.errors import ConfigError, DataError
from facesegl.prediction.model import SUFFIXES
from facesegl.sources.listing import name_key, natural_key

log = logging.getLogger(__name__)

COLOURS, OVERLAYS, PROBABILITIES, TABLE = "colours", "overlays", "probabilities", "predictions.csv"
"""What lies beside the index masks."""

_UNREADABLE = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}  # no photos, or read by another program


class Photo(NamedTuple):
    """A photo to segment.

    Attributes:
        path: as it was given, or below the folder that was given.
        root: the folder that was given, or the one that holds the file, resolved.
        below: its path below that.
    """

    path: Path
    root: Path
    below: PurePosixPath

    @property
    def place(self) -> Path:
        """Where it lies, the same however it was given; what a link leads to does not count."""
        return self.root / self.below


def models_and_photos(given: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Tell models from photos and their folders: by a model's ending, or as the folder of a run.

    Raises:
        ConfigError: no model among them.
    """
    models = [path for path in given if path.suffix in SUFFIXES or (path / "result.json").is_file()]
    if models:
        return models, [path for path in given if path not in models]
    missing = [f"{path}: no such file or folder." for path in given if not path.exists()]
    shown = ", ".join(map(str, given[:3]))
    raise ConfigError(
        *missing,
        f"{shown}: no model among what was given; expected a file that ends in {', '.join(SUFFIXES)}, or a run's "
        f"folder, and then photos.",
    )


def list_photos(given: Sequence[Path], target: Path) -> list[Photo]:
    """Find the photos that are meant: files, and what lies in folders and below them.

    In a folder hidden files and folders, files whose ending is none of an image that Pillow reads, `target`, and what
    other predictions have written are left out; the rest comes in natural order. A file that is given explicitly is
    taken whatever it is called.

    Returns:
        Each photo once, in the order in which they were given.

    Raises:
        ConfigError: nothing was given.
        DataError: a file that is not there, a folder without photos; all told at once.
    """
    found: dict[Path, Photo] = {}
    if not given:
        raise ConfigError("predict: no photos beside the model; expected files, or folders of photos, after it.")
    problems: list[str] = []
    for path in given:
        if path.is_dir():
            before = len(problems)
            photos = list(_search(path, target.resolve(), problems))
            if not photos and len(problems) == before:
                problems.append(f"{path}: a folder without photos; expected .jpg, .png, .bmp or others in or below it.")
        else:
            problems += _what_is_no_photo(path)
            photos = [Photo(path, path.parent.resolve(), PurePosixPath(path.name))]
        for photo in photos:
            found.setdefault(photo.place, photo)
    if problems:
        raise DataError(*problems)
    return list(found.values())


def output_names(photos: Sequence[Photo]) -> list[str]:
    """A name for each photo's outputs, a path below the target without an ending, such as `anna/1`.

    It is the photo's path below the folder that was given. Where two photos would share a name:

    - photos in one folder that differ in their ending keep it: `a.jpg`, `a.png`;
    - photos from two folders have their folders' names, as much of the paths as tells them apart: `train/1`, `test/1`;
      so have all others from these two;
    - what still clashes, on a disk that takes A and a for the same as well, is numbered: `a`, `A-2`.

    Example:
        >>> there = [Photo(Path(root, name), Path(root), PurePosixPath(name))
        ...          for root, name in [("/t/one", "1.jpg"), ("/t/two", "1.jpg"), ("/t/two", "b/2.jpg")]]
        >>> output_names(there)
        ['one/1', 'two/1', 'two/b/2']
    """
    stems = [(photo.root, name_key(str(photo.below.with_suffix("")))) for photo in photos]
    count = Counter(stems)
    below = [
        photo.below if count[stem] > 1 else photo.below.with_suffix("")
        for photo, stem in zip(photos, stems, strict=True)
    ]
    depth = {photo.root: 0 for photo in photos}
    while True:
        names = [_below_root(photo.root, depth[photo.root], name) for photo, name in zip(photos, below, strict=True)]
        growing = {root for root in _clashing(photos, names) if depth[root] < len(root.parts) - 1}
        if not growing:
            return _numbered(names)
        depth |= {root: depth[root] + 1 for root in growing}


def _search(folder: Path, target: Path, problems: list[str]) -> Iterator[Photo]:
    """The photos in a folder and below it; folders that cannot be listed become problems."""

    def unlistable(error: OSError) -> None:
        problems.append(f"{error.filename}: cannot be listed ({error.strerror}); change its rights or leave it out.")

    root = folder.resolve()
    for top, folders, files in os.walk(folder, onerror=unlistable):
        here = Path(top)
        below = [name for name in _visible(folders) if (here / name).resolve() != target]
        folders[:] = [name for name in below if not (here / name / TABLE).is_file()]
        for name in below:
            if name not in folders:
                log.info("%s: left out, since it holds the masks of an earlier prediction", here / name)
        for path in (here / name for name in _visible(files)):
            # whoever opens a link that leads nowhere, or a pipe, says what is wrong with it
            if path.suffix.lower() in _image_suffixes():
                yield Photo(path, root, PurePosixPath(path.relative_to(folder).as_posix()))


def _visible(names: list[str]) -> list[str]:
    """Names that do not begin with a dot, 2 before 10."""
    visible = (name for name in names if not name.startswith("."))
    return sorted(visible, key=lambda name: (natural_key(name), name))


@functools.cache
def _image_suffixes() -> frozenset[str]:
    Image.init()
    known = Image.registered_extensions().items()
    return frozenset(suffix for suffix, kind in known if kind in Image.OPEN and kind not in _UNREADABLE)


def _what_is_no_photo(path: Path) -> list[str]:
    """The problem with a path that is no folder, if it cannot be a photo."""
    if path.is_file():
        return []
    if path.exists():
        return [f"{path}: neither a regular file nor a folder; expected a photo."]
    if any(sign in path.name for sign in "*?["):
        return [f"{path}: nothing has such a name; expected photos. Is the pattern right?"]
    return [f"{path}: no such file or folder; expected a photo or a folder of photos."]


def _below_root(root: Path, depth: int, below: PurePosixPath) -> str:
    """A path below `root` with the last parts of `root` before it."""
    return str(PurePosixPath(*root.parts[len(root.parts) - depth :], below))


def _clashing(photos: Sequence[Photo], names: Sequence[str]) -> set[Path]:
    """The roots that share a name with another root, or have one that lies where other outputs do."""
    roots: dict[str, set[Path]] = {}
    for photo, name in zip(photos, names, strict=True):
        roots.setdefault(name_key(name), set()).add(photo.root)
    ours = (COLOURS, OVERLAYS, PROBABILITIES, TABLE)
    return {
        root
        for name, sharing in roots.items()
        for root in sharing
        if len(sharing) > 1 or ("/" in name and name.partition("/")[0] in ours)
    }


def _numbered(names: Sequence[str]) -> list[str]:
    """The same names, with a number behind those of which a file has the name of another's file or folder."""
    files = (PurePosixPath(file) for name in names for file in files_of(name))
    taken = {name_key(str(above)) for file in files for above in file.parents}
    numbered = []
    for name in names:
        number, free = 1, name
        while taken & {name_key(file) for file in files_of(free)}:
            number += 1
            free = f"{name}-{number}"
        taken |= {name_key(file) for file in files_of(free)}
        numbered.append(free)
    return numbered


def files_of(name: str) -> list[str]:
    """Every file that may be written for a name, below the target."""
    pictures = [f"{OVERLAYS}/{name}.jpg", f"{OVERLAYS}/{name}.png", f"{COLOURS}/{name}.png"]
    return [f"{name}.png", *pictures, f"{PROBABILITIES}/{name}.npy"]
