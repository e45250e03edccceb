r"""What FASSEG's repository holds, image by image, and what of it lies in a folder.

`fasseg.txt` is what git says of the commit: a line for each image with blob hash, size in bytes and path. In a clone:

    git ls-tree -r --format='%(objectname) %(objectsize) %(path)' COMMIT | grep '\.bmp$'
"""

import functools
import hashlib
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from facesegl.console import track

ADDRESS = "https://github.com/massimomauro/FASSEG-repository"
COMMIT = "7817f332b68decc858c9e741f8c0b366b9e0289c"
ARCHIVE = f"{ADDRESS}/archive/{COMMIT}.zip"

_PIECE = 1 << 20


class Listed(NamedTuple):
    """A file of the repository.

    Attributes:
        blob: the hash that git has for it, 40 hex digits.
        size: in bytes.
    """

    blob: str
    size: int


Listing = Mapping[str, Listed]
"""Files by their path below the repository's folder, with `/`."""


@functools.cache
def fasseg_listing() -> Listing:
    """The 948 images of FASSEG."""
    lines = (resources.files("facesegl.download") / "fasseg.txt").read_text(encoding="ascii").splitlines()
    return {path: Listed(blob, int(size)) for blob, size, path in (line.split(" ", 2) for line in lines)}


def blob_hash(pieces: Iterable[bytes], size: int) -> str:
    """The hash that git has for a file of this size and content.

    Example:
        >>> blob_hash([b"hel", b"lo"], 5)
        'b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0'
    """
    digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def pieces_of(file: Path) -> Iterator[bytes]:
    """The content of a file, a piece at a time."""
    with file.open("rb") as opened:
        while piece := opened.read(_PIECE):
            yield piece


@dataclass
class Survey:
    """What lies in a folder, held against a listing.

    Attributes:
        right: paths of files that are there as listed.
        missing: paths where nothing is.
        altered: paths of other files, and what is wrong with each.
        blocked: paths where no file can be read or written, and what is there.
    """

    right: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    altered: dict[str, str] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)


def survey(folder: Path, listing: Listing) -> Survey:
    """Hold every listed file below a folder, which need not be there, against the listing."""
    found = Survey()
    for path in track(listing, total=len(listing), what=f"checking {folder}") if folder.is_dir() else listing:
        _look(folder, path, listing[path], found)
    return found


def _look(folder: Path, path: str, listed: Listed, found: Survey) -> None:
    file = folder / path
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            found.blocked[path] = "a folder, or something else that is no file"
        elif status.st_size != listed.size:
            found.altered[path] = f"{status.st_size} bytes where {listed.size} are listed"
        elif blob_hash(pieces_of(file), listed.size) != listed.blob:
            found.altered[path] = "other content than is listed"
        else:
            found.right.append(path)
    except FileNotFoundError:
        if file.is_symlink():
            found.altered[path] = "a link to nothing"
        else:
            found.missing.append(path)
    except NotADirectoryError:
        found.blocked[_first_file_on_the_way(folder, path)] = "a file where a folder is expected"
    except OSError as error:
        found.blocked[path] = f"not readable ({error.strerror})"


def _first_file_on_the_way(folder: Path, path: str) -> str:
    parts = path.split("/")
    ways = ("/".join(parts[:count]) for count in range(1, len(parts)))
    return next((way for way in ways if not (folder / way).is_dir()), ".")
