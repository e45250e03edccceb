"""List the photos and masks below a folder, and compare their names."""

import functools
import math
import os
import re
import stat
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from facesegl.errors import DataError
from facesegl.files import readable
from facesegl.text import grouped

HEIC_SUFFIXES = frozenset((".heic", ".heif", ".hif"))
HEIC_REMEDY = "pip install 'facesegl[heic]', or save as JPEG"

_PILLOW_SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".gif"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".jp2", ".avif"),
    )
)
PHOTO_SUFFIXES = _PILLOW_SUFFIXES | HEIC_SUFFIXES
"""Lower-case suffixes of the files that sources treat as photos."""

MASK_SUFFIXES = _PILLOW_SUFFIXES | {".npy"}

_SPECIAL_FILES = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}

_SHOWN = 5
_NUMBER = re.compile(r"([0-9]+)")


class Found(NamedTuple):
    """A file below a folder.

    Attributes:
        path: the file.
        name: its path relative to that folder, without the suffix and with `/` as separator; undecodable bytes are
            escaped.
    """

    path: Path
    name: str


class Listing(NamedTuple):
    """The files below a folder.

    Attributes:
        files: those with one of the requested suffixes, in natural order.
        others: all others that are not hidden.
    """

    files: list[Found]
    others: list[Found]


def list_files(folder: Path, suffixes: Collection[str], without: Iterable[Path] = ()) -> Listing:
    """List the files below a folder, but not below the folders `without`. Follows links, skips hidden files.

    Suffixes (`suffixes`: lower case, with the dot) match case-insensitively. No file is opened. A HEIC photo is among
    the `others` if there is another photo of its name, or if HEIC cannot be read.

    Raises:
        DataError: the folder cannot be read.
    """
    listing = Listing([], [])
    above = len(os.path.join(folder, ""))  # noqa: PTH118 - Path objects are slow for many files
    for path in _walk(str(folder), {_identity(str(other)) for other in without if other.is_dir()}):
        name, suffix = os.path.splitext(path[above:])  # noqa: PTH122
        name = unicodedata.normalize("NFC", readable(name if os.sep == "/" else name.replace(os.sep, "/")))
        files = listing.files if suffix.casefold() in suffixes else listing.others
        files.append(Found(Path(path), name))
    _move_heic(listing)
    listing.files.sort(key=lambda found: (natural_key(found.name), str(found.path)))
    return listing


@functools.cache
def reads_heic() -> bool:
    """Whether pillow-heif is installed; Pillow then opens HEIC too."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener(thumbnails=False)
    return True


def is_heic(path: Path) -> bool:
    """Whether the suffix is one of HEIC."""
    return path.suffix.casefold() in HEIC_SUFFIXES


def _move_heic(listing: Listing) -> None:
    names = {name_key(found.name) for found in listing.files if not is_heic(found.path)}

    def moves(found: Found) -> bool:
        return is_heic(found.path) and (name_key(found.name) in names or not reads_heic())

    listing.others.extend(filter(moves, listing.files))
    listing.files[:] = [found for found in listing.files if not moves(found)]


def expanded(path: str | Path) -> Path:
    """The path with `~` expanded; `~photos` is unchanged if there is no user `photos`."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def require_folder(folder: Path, key: str) -> None:
    """Raise a DataError unless the folder exists; `key` is the config key that sets it."""
    if folder.is_dir():
        return
    if folder.exists():
        packed = folder.suffix.casefold() in (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")
        kind = _SPECIAL_FILES.get(stat.S_IFMT(folder.stat().st_mode), "a file")
        raise DataError(f"{folder}: {kind}; expected a folder. {'Unpack it first.' if packed else 'Name its folder.'}")
    there = next(parent for parent in folder.absolute().parents if parent.is_dir())
    raise DataError(f"{folder}: no such folder, though {there} exists; say where it is with {key}=FOLDER.")


def require_regular(path: str | Path) -> None:
    """Reject pipes, devices and sockets before they are opened: a pipe blocks, and a device may never end.

    A path that is missing or not accessible passes: opening it raises the better error.

    Raises:
        DataError: a pipe, a device or a socket, or a link to one.
    """
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        kind = _SPECIAL_FILES.get(stat.S_IFMT(mode), "something else")
        raise DataError(f"{path}: {kind}, not a regular file; replace it with the file itself, or remove it.")


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """Read a text file.

    Raises:
        DataError: not a regular file.
        OSError: cannot be read.
        UnicodeDecodeError: not text in this encoding.
    """
    require_regular(path)
    return path.read_text(encoding=encoding)


class PhotoIndex:
    """Finds photos by the names that a list or a labelling tool gives them."""

    def __init__(self, photos: Sequence[Found]) -> None:
        self._by_name = {name_key(photo.name): index for index, photo in enumerate(photos)}
        self._by_end: dict[str, int | None] = {}
        for index, photo in enumerate(photos):
            for end in _ends(name_key(photo.name)):  # an ambiguous end finds no photo
                self._by_end[end] = None if end in self._by_end else index

    def find(self, entry: str) -> int | None:
        """The index of the photo that an entry names, with or without leading folders and a suffix."""
        for name in _possible_names(entry):
            for whole in (name, name.rpartition(".")[0]):
                index = self._by_name.get(whole, self._by_end.get(whole))
                found = [self._by_name[end] for end in _ends(whole) if end in self._by_name]
                if index is not None or found:
                    return found[0] if index is None else index
        return None


def _ends(name: str) -> list[str]:
    """`b/c` and `c` of `a/b/c`."""
    parts = name.split("/")
    return ["/".join(parts[start:]) for start in range(1, len(parts))]


def _possible_names(entry: str) -> list[str]:
    """The names that an entry may mean: all of it, what follows `7,`, or the photo before its mask."""
    first = (entry.split() or [""])[0]
    readings = [entry]
    if match := re.fullmatch(r"\d+\s*,\s*(.+)", entry):
        readings.append(match[1])
    if Path(first).suffix.casefold() in PHOTO_SUFFIXES:
        readings.append(first)
    return [name_key(reading.replace("\\", "/").strip("\"'")) for reading in readings]


def name_key(name: str) -> str:
    """Equal for names that some file system treats as the same: in NFC (ä has two encodings), without case."""
    return unicodedata.normalize("NFC", name).casefold()


def natural_key(name: str) -> list[tuple[float, str]]:
    """Sort key of the natural order: `2` before `10`, numbers before words, case-insensitive."""
    words = _NUMBER.split(name.casefold())  # a word, a number, a word, ...
    return [(int(word), "") if index % 2 else (math.inf, word) for index, word in enumerate(words) if word]


def truncate(problems: Sequence[str], noun: str, most: int = _SHOWN) -> list[str]:
    """The first few problems, equal ones in one line, and how many more there are."""
    lines = grouped(problems)
    more = sum(map(len, [*lines.values()][most:]))
    return [*[*lines][:most], *([f"... and {more} more {noun}."] if more else [])]


def _walk(folder: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    """Every file that is not hidden; visits each folder once, even if several links lead to it."""
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}); check its permissions.") from None
    seen.add(_identity(folder))
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if not _leads_to_folder(entry):
            yield entry.path
        elif _identity(entry.path) not in seen:
            yield from _walk(entry.path, seen)


def _leads_to_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circular link: opening it reports the error
        return False


def _identity(folder: str) -> tuple[int, int]:
    status = os.stat(folder)  # noqa: PTH116
    return status.st_dev, status.st_ino
