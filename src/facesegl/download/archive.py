"""An archive that nobody has vouched for: judged before a byte of it is written, and never asked where to write.

Only names that the listing has are ever written, so what an archive calls its members decides nothing. That it calls
one `../x`, or holds a link, says what it is, and it is refused as a whole.
"""

import contextlib
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from facesegl.console import track
from facesegl.download.listing import COMMIT, Listed, Listing, blob_hash
from facesegl.download.readers import DAMAGE, Entry, Reader, open_archive
from facesegl.errors import DataError
from facesegl.files import machine_errors, sync
from facesegl.text import a_few

log = logging.getLogger(__name__)

_PIECE = 1 << 18


class _Damaged(Exception):  # noqa: N818 - never leaves the file
    """A member cannot be read."""


def most_bytes(listing: Listing) -> int:
    """More than an archive of these files can hold, packed or unpacked."""
    return sum(listed.size for listed in listing.values()) + 4096 * len(listing) + (1 << 20)


def unpack(archive: Path, name: str, wanted: Listing, listing: Listing, into: Path) -> None:
    """Write the wanted files of a zip or tar.gz into an empty folder, each checked.

    Args:
        archive: its members may stand below one folder more, as GitHub packs them.
        name: what messages call it.
        wanted: the files to write.
        listing: all files that the archive may hold.
        into: the folder; after an error what is in it means nothing.

    Raises:
        DataError: it is no such archive, is none that could be right, or lacks wanted files, or has others under
            their names.
    """
    problems = []
    with contextlib.ExitStack() as stack:
        with _readable(name):
            reader = open_archive(archive, most_bytes(listing), stack)
            entries = list(_bounded_entries(reader, listing))
        members = _judged(name, entries, listing)
        problems += [f"{path}: not in the archive" for path in wanted if path not in members]
        there = [path for path in members if path in wanted]
        for path in track(there, total=len(there), what="unpacking and checking"):
            if problem := _write(reader, members[path], wanted[path], into / path):
                problems.append(f"{path}: {problem}")
    if problems:
        raise DataError(*_told(name, problems))
    with machine_errors(into):
        for folder in {(into / path).parent for path in wanted}:
            sync(folder)


def _told(name: str, problems: list[str], most: int = 10) -> Iterator[str]:
    expected = f"expected the file of commit {COMMIT[:7]}. Fetch the archive again, or another one."
    yield from (f"{name}: {problem}; {expected}" for problem in problems[:most])
    if more := problems[most:]:
        yield f"{name}: {len(more)} more files are missing or wrong: {a_few(line.split(': ')[0] for line in more)}."


def _write(reader: Reader, member: Entry, listed: Listed, path: Path) -> str:
    """Write one member, and say what is wrong with it; no more than is listed is ever read or written."""
    if member.size != listed.size:
        return f"{member.size} bytes where {listed.size} are listed"
    with machine_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("xb") as file:
                blob = blob_hash(_copied(_pieces(reader, member, listed.size), file), listed.size)
        except _Damaged as error:
            return f"damaged ({error})"
        sync(path)
    return "" if blob == listed.blob else "other content than is listed"


def _pieces(reader: Reader, member: Entry, left: int) -> Iterator[bytes]:
    try:
        with reader.open(member) as content:
            while left and (piece := content.read(min(left, _PIECE))):
                left -= len(piece)
                yield piece
    except (*DAMAGE, OSError) as error:  # of reading alone: what goes wrong with the piece does not come back to here
        raise _Damaged(error) from error


def _copied(pieces: Iterator[bytes], file: IO[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        file.write(piece)
        yield piece


def _bounded_entries(reader: Reader, listing: Listing) -> Iterator[Entry]:
    """All members, as long as there are no more, nor larger ones, than an archive of these files can have."""
    most, room = 2 * len(listing) + 1000, most_bytes(listing)
    for count, entry in enumerate(reader.entries(), start=1):
        room -= entry.size
        if count > most or room < 0 or entry.size < 0:
            raise ValueError("it holds more than FASSEG can")
        yield entry


def _judged(archive: str, entries: list[Entry], listing: Listing) -> Mapping[str, Entry]:
    """The listed files that an archive holds, after a look at everything that it holds."""
    files = [(_listed_name(entry.name, listing), entry) for entry in entries if not entry.is_folder]
    if faults := [*_faults(entries), *_doubles(files)]:
        raise DataError(*(f"{archive}: {fault}; nothing of it was unpacked. Fetch it again." for fault in faults[:10]))
    top = next((entry.name.removesuffix(name) for name, entry in files if name), "")
    if others := [ascii(entry.name.removeprefix(top)) for name, entry in files if not name]:
        log.info("%s: left in it, since they are no images of FASSEG: %s", archive, a_few(others))
    return {name: entry for name, entry in files if name}


def _listed_name(name: str, listing: Listing) -> str:
    """The listed file that a member is, if it is one; archives have a folder on top, or none."""
    return next((known for known in (name, name.partition("/")[2]) if known in listing), "")


def _faults(entries: list[Entry]) -> Iterator[str]:
    for entry in entries:
        if fault := entry.fault or _fault_of_name(entry.name):
            yield f"it holds {entry.name!a}, which is {fault}"


def _fault_of_name(name: str) -> str:
    if "\0" in name:
        return "a name with a NUL in it"
    if re.match(r"[/\\]|[A-Za-z]:", name):
        return "an absolute path"
    return "a path that leaves the folder" if ".." in re.split(r"[/\\]", name) else ""


def _doubles(files: list[tuple[str, Entry]]) -> Iterator[str]:
    counts = Counter((known or entry.name).casefold() for known, entry in files)
    yield from (f"it holds {name!a} {count} times" for name, count in counts.items() if count > 1)


@contextlib.contextmanager
def _readable(archive: str) -> Iterator[None]:
    """Tell what cannot be read as an archive, and is not unpacked."""
    expected = "expected a zip or tar.gz of FASSEG; nothing of it was unpacked. Fetch it again."
    try:
        yield
    except DAMAGE as error:
        raise DataError(f"{archive}: it is damaged, cut off, or something else ({error}); {expected}") from error
    except OSError as error:
        raise DataError(f"{archive}: it cannot be read ({error.strerror}); {expected}") from error
