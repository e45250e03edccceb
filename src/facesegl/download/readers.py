"""Readers for a zip and for a tar.gz: what members they have by their own account, and the bytes of one.

An archive says itself how large its tables and members are. Nothing here believes it: no single read takes more than a
fixed number of bytes, and what a gzip inflates to has a bound.
"""

import contextlib
import gzip
import io
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol, cast

DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, struct.error, EOFError),
    *(ValueError, OverflowError, RuntimeError, LookupError),
)
"""What reading raises when an archive is wrong; the last four are zipfile's and tarfile's on nonsense."""

_MOST_AT_ONCE = 1 << 20  # a table of contents of 7 000 names, or a tar's header, is smaller than this


class Entry(NamedTuple):
    """A member of an archive, by its own account.

    Attributes:
        name: as it stands there.
        size: in bytes, as it stands there.
        is_folder: whether it is one.
        fault: what it is, if it is neither a file nor a folder that can be read.
        key: what the archive's reader knows it by.
    """

    name: str
    size: int
    is_folder: bool
    fault: str
    key: Any


class Reader(Protocol):
    """An archive that is open."""

    def entries(self) -> Iterator[Entry]:
        """Its members, in order."""

    def open(self, entry: Entry) -> IO[bytes]:
        """The content of one of them, which has no fault; no longer than its size."""


def open_archive(archive: Path, most: int, stack: contextlib.ExitStack) -> Reader:
    """A reader for the kind of archive that a file's first bytes say it is.

    Args:
        archive: the file.
        most: bytes that it may inflate to.
        stack: closes it.

    Raises:
        OSError: the file cannot be read.
        DAMAGE: it is no archive of these kinds.
    """
    file = stack.enter_context(_File(io.FileIO(archive)))
    beginning = file.read(4)
    file.seek(0)
    if beginning == b"PK\3\4":
        return _Zip(stack.enter_context(zipfile.ZipFile(file)))
    if beginning[:2] == b"\x1f\x8b":
        inflated = stack.enter_context(_Inflated(file, most))
        return _Tar(stack.enter_context(tarfile.open(fileobj=inflated, mode="r:")))
    raise ValueError(f"it begins with {beginning!r}")


class _Zip:
    """A zip, with what `git archive` uses of the format and nothing else."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def entries(self) -> Iterator[Entry]:
        for info in self._archive.infolist():
            yield Entry(info.orig_filename, info.file_size, info.filename.endswith("/"), self._fault(info), info)

    def open(self, entry: Entry) -> IO[bytes]:
        return self._archive.open(entry.key)

    @staticmethod
    def _fault(info: zipfile.ZipInfo) -> str:
        kind = stat.S_IFMT(info.external_attr >> 16)  # the mode, where the archive was made on Unix
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            return "a link" if kind == stat.S_IFLNK else "neither a file nor a folder"
        if info.flag_bits & 1:
            return "encrypted"
        known = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others inflate without a bound
        return "" if known else "packed in a way that is not read here"


class _Tar:
    """A tar of plain files."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive

    def entries(self) -> Iterator[Entry]:
        for info in self._archive:
            yield Entry(info.name, info.size, info.isdir(), self._fault(info), info)

    def open(self, entry: Entry) -> IO[bytes]:
        return cast(IO[bytes], self._archive.extractfile(entry.key))  # None only for what has been refused

    @staticmethod
    def _fault(info: tarfile.TarInfo) -> str:
        if info.issym() or info.islnk():
            return "a link"
        plain = info.isdir() or info.type in (tarfile.REGTYPE, tarfile.AREGTYPE)
        return "" if plain else "neither a plain file nor a folder"


class _File(io.BufferedReader):
    """A file that is never read into memory as a whole: a zip's table of contents says itself how large it is."""

    def read(self, size: "int | None" = -1, /) -> bytes:
        return _at_most(super().read(_bounded(size)))


class _Inflated(gzip.GzipFile):
    """What a gzip inflates to, up to a bound; a tar's header says itself how large it is, and where the next one is."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        super().__init__(fileobj=file, mode="rb")
        self._most = most

    def read(self, size: "int | None" = -1) -> bytes:
        content = _at_most(super().read(_bounded(size)))
        self._require_below(self.tell())
        return content

    def seek(self, offset: int, whence: int = 0) -> int:
        self._require_below(offset)
        return super().seek(offset, whence)

    def _require_below(self, place: int) -> None:
        if place > self._most:
            raise ValueError("it holds more than FASSEG can")


def _bounded(size: "int | None") -> int:
    return size if size is not None and 0 <= size <= _MOST_AT_ONCE else _MOST_AT_ONCE + 1


def _at_most(content: bytes) -> bytes:
    if len(content) > _MOST_AT_ONCE:
        raise ValueError("its table of contents is far too large")
    return content
