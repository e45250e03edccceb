"""List the photos to predict, and name their output files."""

import functools
import logging
import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from PIL import Image

from facesegl.errors import ConfigError, DataError
from facesegl.prediction.model import SUFFIXES, is_sweep, model_file, names_model
from facesegl.pretrained import FACES
from facesegl.sources.listing import HEIC_REMEDY, HEIC_SUFFIXES, is_heic, name_key, natural_key, reads_heic
from facesegl.text import a_few, number

log = logging.getLogger(__name__)

COLOURS, OVERLAYS, PROBABILITIES, TABLE = "colours", "overlays", "probabilities", "predictions.csv"
"""The names next to the index masks in the output folder."""

_RAW_SUFFIXES = frozenset(
    (
        *(".3fr", ".arw", ".cr2", ".cr3", ".dng", ".erf", ".iiq", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw"),
        *(".rw2", ".srw", ".x3f"),
    )
)
_UNREADABLE = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}  # not photos, or opened through another program


class Photo(NamedTuple):
    """A photo to segment.

    Attributes:
        path: as given, or below the given folder.
        root: the given folder, or the file's folder, resolved.
        below: its path below `root`.
    """

    path: Path
    root: Path
    below: PurePosixPath

    @property
    def location(self) -> Path:
        """Its absolute path, the same however it was given; a link to a file is not followed."""
        return self.root / self.below


def models_and_photos(given: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Separate models, by their name or as the folder of a run or sweep, from photos and their folders.

    The pretrained weights are the model if there are only images, and folders without runs and checkpoints.

    Raises:
        ConfigError: no model among them.
        CheckpointError: one is a folder of runs.
    """
    models = [path for path in given if names_model(path) or (path / "result.json").is_file() or is_sweep(path)]
    if models:
        return models, [path for path in given if path not in models]
    if all(map(_is_of_photos, given)):
        log.info("no model given: predicting with %s, weights trained on synthetic faces alone", FACES)
        return [Path(FACES)], list(given)
    expected = f"expected a {', '.join(SUFFIXES)} file or a run folder, and then photos."
    if missing := [path for path in given if not path.exists()]:
        could_be_photos = all(path.suffix.lower() in _image_suffixes() for path in missing)
        remedy = "." if could_be_photos else f"; {expected}"
        raise ConfigError(*(f"{path}: no such file or folder{remedy}" for path in missing))
    for path in given:
        if path.is_dir() and not _is_of_photos(path):
            model_file(path)  # a folder of runs: the message names one
    raise ConfigError(f"{', '.join(map(str, given[:3]))}: no model among these; {expected}")


def _is_of_photos(path: Path) -> bool:
    if path.is_dir():
        return not any(next(path.glob(runs), None) for runs in ("*.ckpt", "*/result.json", "*/*/result.json"))
    return path.is_file() and path.suffix.lower() in _image_suffixes()


def list_photos(given: Sequence[Path], target: Path) -> list[Photo]:
    """List the given files, and the photos in and below the given folders.

    A folder is searched in natural order, without hidden files and folders, files that have no image suffix that Pillow
    reads, HEIC photos next to another photo of their name, `target`, and the outputs of other predictions; skipped HEIC
    and RAW photos are counted in one line. A file that is given by name is taken whatever its suffix.

    Returns:
        Each photo once, in the order given.

    Raises:
        ConfigError: nothing was given.
        DataError: a missing file, or a folder without photos; all are reported at once.
    """
    found: dict[Path, Photo] = {}
    if not given:
        raise ConfigError("predict: a model, but no photos; expected files or folders of photos after it.")
    problems: list[str] = []
    for path in given:
        if path.is_dir():
            before, skipped = len(problems), Counter[str]()
            photos = list(_search(path, target.resolve(), problems, skipped))
            words = ", ".join(f"{count} {kind}" for kind, count in skipped.items())
            if not photos and len(problems) == before:
                there = f"; there are {words}" if skipped else ""
                problems.append(
                    f"{path}: a folder without photos{there}; expected .jpg, .png, .bmp or other images in or below it."
                )
            elif skipped:
                log.warning("%s: skipped %s.", path, words)
        else:
            problems += _file_problems(path)
            photos = [Photo(path, path.parent.resolve(), PurePosixPath(path.name))]
        for photo in photos:
            found.setdefault(photo.location, photo)
    if problems:
        raise DataError(*problems)
    return list(found.values())


def name_outputs(photos: Sequence[Photo]) -> dict[str, Photo]:
    """Photos by the name of their outputs: the path below the given folder without suffix, such as `anna/1`.

    Raises:
        ConfigError: outputs of two photos would have the same path, also on a disk that ignores case.

    Example:
        >>> list(name_outputs([Photo(Path("p/b/2.jpg"), Path("/t/p"), PurePosixPath("b/2.jpg"))]))
        ['b/2']
    """
    names = [photo.below.with_suffix("").as_posix() for photo in photos]
    outputs = [(photo.path, file) for name, photo in zip(names, photos, strict=True) for file in files_of(name)]
    outputs.append((Path(TABLE), TABLE))
    owners = {name_key(str(folder)): path for path, file in outputs for folder in PurePosixPath(file).parents}
    clashes: dict[tuple[Path, Path], str] = {}
    for path, file in outputs:
        if (other := owners.setdefault(name_key(file), path)) != path:
            clashes.setdefault((other, path), file)
    if clashes:
        (one, other), file = next(iter(clashes.items()))
        others = number(len(clashes) - 1, "more pair clashes", "more pairs clash")
        more = f" ({others} as well)" if len(clashes) > 1 else ""
        raise ConfigError(
            f"{one} and {other}: both would be written to {file}{more}; rename one, give the "
            f"folder above both, or predict them into two folders."
        )
    return dict(zip(names, photos, strict=True))


_HEIC = f"HEIC ({HEIC_REMEDY})"
_TWIN = "HEIC next to another photo of the same name"
_RAW = "RAW (save as JPEG or TIFF first)"


def _skipped(path: Path, named: Collection[str]) -> str | None:
    """Why a HEIC or RAW photo is not predicted; `named` are the names of the other photos in its folder."""
    twin = name_key(path.stem) in named
    if is_heic(path):
        return _TWIN if twin else None if reads_heic() else _HEIC
    return _RAW if path.suffix.lower() in _RAW_SUFFIXES and not twin else None


def _search(folder: Path, target: Path, problems: list[str], skipped: Counter[str]) -> Iterator[Photo]:
    def unlistable(error: OSError) -> None:
        if error.filename == str(folder):
            problems.append(f"{folder}: cannot be listed ({error.strerror}); change its permissions or omit it.")
        else:
            unlisted.append(f"{error.filename} ({error.strerror})")

    root, unlisted = folder.resolve(), list[str]()
    for top, folders, files in os.walk(folder, onerror=unlistable):
        here = Path(top)
        below = [name for name in _visible(folders) if (here / name).resolve() != target]
        folders[:] = [name for name in below if not os.path.isfile(here / name / TABLE)]  # noqa: PTH113 - never raises
        for name in below:
            if name not in folders:
                log.info("%s: skipped, since it has the masks of an earlier prediction", here / name)
        photos = [here / name for name in _visible(files)]
        named = {name_key(path.stem) for path in photos if path.suffix.lower() in _image_suffixes() - HEIC_SUFFIXES}
        for path in photos:
            if why := _skipped(path, named):
                skipped[why] += 1
            # opening a broken link or a pipe reports what is wrong with it
            elif path.suffix.lower() in _image_suffixes():
                yield Photo(path, root, PurePosixPath(path.relative_to(folder).as_posix()))
    if unlisted:
        log.warning("%s: skipped what cannot be listed: %s", folder, a_few(unlisted))


def _visible(names: list[str]) -> list[str]:
    visible = (name for name in names if not name.startswith("."))
    return sorted(visible, key=lambda name: (natural_key(name), name))


@functools.cache
def _image_suffixes() -> frozenset[str]:
    reads_heic()
    Image.init()
    known = Image.registered_extensions().items()
    return HEIC_SUFFIXES.union(suffix for suffix, kind in known if kind in Image.OPEN and kind not in _UNREADABLE)


def _file_problems(path: Path) -> list[str]:
    if path.is_file():
        return []
    if path.exists():
        return [f"{path}: neither a regular file nor a folder; expected a photo."]
    if any(sign in path.name for sign in "*?["):
        return [f"{path}: no file matches this pattern; expected photos."]
    return [f"{path}: no such file or folder; expected a photo or a folder of photos."]


def files_of(name: str) -> list[str]:
    """Every file that may be written for a photo of this name, below the output folder."""
    pictures = [f"{OVERLAYS}/{name}.jpg", f"{OVERLAYS}/{name}.png", f"{COLOURS}/{name}.png"]
    return [f"{name}.png", *pictures, f"{PROBABILITIES}/{name}.npy"]
