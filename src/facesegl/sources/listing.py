"""The photos and masks below a folder, and the words for many of them."""

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

PHOTO_ENDINGS = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".gif"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".jp2", ".avif"),
    )
)
"""The endings of files that are taken for photos, in small letters."""

MASK_ENDINGS = PHOTO_ENDINGS | {".npy"}

_ENDLESS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)

_SHOWN = 5
_NUMBER = re.compile(r"([0-9]+)")


class Found(NamedTuple):
    """A file below a folder.

    Attributes:
        path: the file.
        name: its path below that folder without the ending, with `/` between the parts; bytes of it that are no text
            stand there as codes.
    """

    path: Path
    name: str


class Listing(NamedTuple):
    """What lies below a folder.

    Attributes:
        files: those with one of the endings that were asked for, in natural order.
        others: all else that is not hidden.
    """

    files: list[Found]
    others: list[Found]


def list_files(folder: Path, endings: Collection[str], without: Iterable[Path] = ()) -> Listing:
    """List the files below a folder, through links too; what is hidden is passed over. No file is opened.

    Args:
        folder: the folder.
        endings: in small letters, with the dot; capital ones count as well.
        without: folders below it that are passed over.

    Raises:
        DataError: it cannot be read.
    """
    listing = Listing([], [])
    above = len(os.path.join(folder, ""))  # noqa: PTH118 - strings: paths cost more than all else where files are many
    for path in _walk(str(folder), {_identity(str(other)) for other in without if other.is_dir()}):
        name, ending = os.path.splitext(path[above:])  # noqa: PTH122
        name = unicodedata.normalize("NFC", readable(name if os.sep == "/" else name.replace(os.sep, "/")))
        files = listing.files if ending.casefold() in endings else listing.others
        files.append(Found(Path(path), name))
    listing.files.sort(key=lambda found: (natural(found.name), str(found.path)))
    return listing


def expanded(place: str | Path) -> Path:
    """A path with `~` as the person's own folder; `~photos` stays a name where nobody is called photos."""
    try:
        return Path(place).expanduser()
    except RuntimeError:
        return Path(place)


def require_folder(folder: Path, key: str) -> None:
    """Make sure that a folder is there.

    Args:
        folder: the folder.
        key: what says where it lies.

    Raises:
        DataError: it is not; the message says what is there instead.
    """
    if folder.is_dir():
        return
    if folder.is_file():
        packed = folder.suffix.casefold() in (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")
        raise DataError(f"{folder}: a file; expected a folder. {'Unpack it first.' if packed else 'Name its folder.'}")
    there = next(parent for parent in folder.absolute().parents if parent.is_dir())
    raise DataError(f"{folder}: no such folder, though {there} is there; say where it lies with {key}=FOLDER.")


def require_regular(path: str | Path) -> None:
    """Make sure, before a file is opened, that it ends: a pipe would be waited for, and a device read, for ever.

    What is not there, or may not be looked at, is left to whoever opens it.

    Raises:
        DataError: it is a pipe, a device or a socket, or a link to one.
    """
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        kind = next((name for is_one, name in _ENDLESS if is_one(mode)), "something else")
        raise DataError(f"{path}: {kind}, not a regular file; put the file itself there, or take this away.")


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """All of a text file.

    Raises:
        DataError: it is no regular file.
        OSError: it cannot be read.
        UnicodeDecodeError: it is no text.
    """
    require_regular(path)
    return path.read_text(encoding=encoding)


class ByName:
    """Photos by what a list, or a labelling tool, may call them.

    Args:
        photos: below one folder, or below the folders of several splits.
    """

    def __init__(self, photos: Sequence[Found]) -> None:
        self._by_name = {key_of(photo.name): place for place, photo in enumerate(photos)}
        self._by_end: dict[str, int | None] = {}
        for place, photo in enumerate(photos):
            for end in _ends(key_of(photo.name)):  # an end that several photos have names none of them
                self._by_end[end] = None if end in self._by_end else place

    def find(self, entry: str) -> int | None:
        """The place of the photo that a line names, with or without folders before it and an ending behind it."""
        for name in _readings(entry):
            for whole in (name, name.rpartition(".")[0]):
                place = self._by_name.get(whole)
                place = self._by_end.get(whole) if place is None else place
                found = [self._by_name[end] for end in _ends(whole) if end in self._by_name]
                if place is not None or found:
                    return found[0] if place is None else place
        return None


def _ends(name: str) -> list[str]:
    """`b/c` and `c` of `a/b/c`."""
    parts = name.split("/")
    return ["/".join(parts[start:]) for start in range(1, len(parts))]


def _readings(entry: str) -> list[str]:
    """What a line may mean: all of it; the name behind a number and a comma; the photo before its mask."""
    first = (entry.split() or [""])[0]
    readings = [entry]
    if match := re.fullmatch(r"\d+\s*,\s*(.+)", entry):
        readings.append(match[1])
    if Path(first).suffix.casefold() in PHOTO_ENDINGS:
        readings.append(first)
    return [key_of(reading.replace("\\", "/").strip("\"'")) for reading in readings]


def key_of(name: str) -> str:
    """What names are compared by: composed letters, since systems write ä in two ways, and no difference of case."""
    return unicodedata.normalize("NFC", name).casefold()


def natural(name: str) -> list[tuple[float, str]]:
    """Sort key: `2` before `10`, numbers before words."""
    words = _NUMBER.split(name.casefold())  # a word, a number, a word, ...
    return [(int(word), "") if place % 2 else (math.inf, word) for place, word in enumerate(words) if word]


def some(lines: Sequence[str], what: str) -> list[str]:
    """The first few of many problems of one kind, and how many there are more."""
    more = len(lines) - _SHOWN
    return [*lines[:_SHOWN], *([f"... and {more} more {what}."] if more > 0 else [])]


def _walk(folder: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    """Every file below a folder that is not hidden; no folder twice, however links lead to it."""
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}); check its rights.") from None
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
    except OSError:  # a link that leads round in a circle: whoever opens it says so
        return False


def _identity(folder: str) -> tuple[int, int]:
    status = os.stat(folder)  # noqa: PTH116
    return status.st_dev, status.st_ino
