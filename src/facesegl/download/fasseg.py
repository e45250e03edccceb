"""From an empty folder, or one with a part of FASSEG in it, to all of FASSEG."""

import contextlib
import logging
import os
import shlex
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from facesegl.download.archive import most_bytes, unpack
from facesegl.download.fetch import USUAL, Patience, fetch
from facesegl.download.listing import ADDRESS, ARCHIVE, COMMIT, Listing, Survey, fasseg_listing, survey
from facesegl.download.meter import megabytes
from facesegl.download.part import Part
from facesegl.download.place import clear, move_in, workplace
from facesegl.download.web import require_fit
from facesegl.errors import DataError, MachineError, Stopped
from facesegl.files import machine_errors, sync
from facesegl.text import a_few

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """A folder in which every image is right.

    Attributes:
        folder: where they lie.
        images: how many they are.
        written: how many of them were not there before.
    """

    folder: Path
    images: int
    written: int

    def __str__(self) -> str:
        new = f"new: {self.written}" if self.written else "nothing had to be fetched"
        return f"{self.folder}: all {self.images} images are there and right; {new}"


def download(
    target: Path,
    *,
    url: str | None = None,
    archive: Path | None = None,
    force: bool = False,
    listing: Listing | None = None,
    patience: Patience = USUAL,
) -> Outcome:
    """Bring the images of FASSEG that a folder lacks, and check all of them.

    Args:
        target: the folder that holds V1, V2 and V3, or will.
        url: a mirror of the archive; None for GitHub.
        archive: a zip or tar.gz that a person fetched; nothing is fetched then.
        force: whether files with other content are replaced.
        listing: what belongs there; None for FASSEG.
        patience: with the server.

    Raises:
        ConfigError: an address that is never opened.
        DataError: the archive is wrong, or files of the folder are, and stay.
        MachineError: the archive cannot be had, or nothing can be written there.
        Stopped: by a signal; what came is kept.
    """
    listing = fasseg_listing() if listing is None else listing
    url = ARCHIVE if url is None else url
    require_fit(url)
    found = survey(target, listing)
    _require_free(target, found)
    wanted = {path: listing[path] for path in [*found.missing, *(found.altered if force else ())]}
    _announce(target, found, listing, force)
    if wanted:
        _complete(target, wanted, listing, url, archive, patience)
    else:
        clear(target)
    if found.altered and not force:
        raise DataError(*_altered(target, found))
    return Outcome(target, len(listing), len(wanted))


def _complete(
    target: Path, wanted: Listing, listing: Listing, url: str, archive: Path | None, patience: Patience
) -> None:
    with workplace(target) as work, _stoppable(target, part := Part(work, url)):
        _require_room(work, wanted)
        if archive is not None:
            _bring(archive, str(archive), wanted, listing, target, work / "tree")
        else:
            fetch(url, part, most=most_bytes(listing), patience=patience, by_hand=_by_hand(target))
            with _dropped_if_wrong(part):
                _bring(part.file, url, wanted, listing, target, work / "tree")
        part.drop()


@contextlib.contextmanager
def _dropped_if_wrong(part: Part) -> Iterator[None]:
    try:
        yield
    except DataError:
        part.drop()  # what comes next time may be right
        raise


def _bring(archive: Path, name: str, wanted: Listing, listing: Listing, target: Path, tree: Path) -> None:
    """From an archive to files under their final names, all of them or none."""
    real = Path(os.path.realpath(target))
    shutil.rmtree(tree, ignore_errors=True)  # of a start that was killed
    try:
        unpack(archive, name, wanted, listing, tree)
        move_in(tree, real)
        with machine_errors(real):
            sync(real.parent)
    finally:
        shutil.rmtree(tree, ignore_errors=True)


@contextlib.contextmanager
def _stoppable(target: Path, part: Part) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, Stopped) as error:
        signum = error.exit_code - 128 if isinstance(error, Stopped) else signal.SIGINT
        kept = f"what is in {target} is whole; the same command goes on"
        if part.is_whole:
            kept = f"the archive is kept in {part.file}; the same command unpacks it"
        elif part.size:
            on = "goes on after them" if part.conditions() else "starts over, since this server cannot go on there"
            kept = f"{megabytes(part.size)} are kept in {part.file}; the same command {on}"
        raise Stopped(f"by {signal.Signals(signum).name}; {kept}", signum) from None


def _announce(target: Path, found: Survey, listing: Listing, force: bool) -> None:
    if found.missing and found.right:
        log.info("%s: %d of %d images are missing: %s", target, len(found.missing), len(listing), a_few(found.missing))
    if found.altered and force:
        log.info("%s: other files that will be replaced: %s", target, a_few(found.altered))


def _require_free(target: Path, found: Survey) -> None:
    if found.blocked:
        lines = [f"{target / path}: {what}; move it away." for path, what in found.blocked.items()]
        raise DataError(*_shortened(lines, target))


def _require_room(work: Path, wanted: Listing) -> None:
    needed, free = sum(listed.size for listed in wanted.values()), shutil.disk_usage(work).free
    if free < needed:
        raise MachineError(f"{work.parent}: {megabytes(free)} are free and {megabytes(needed)} are needed; free some.")


def _altered(target: Path, found: Survey) -> list[str]:
    expected = f"expected the file of commit {COMMIT[:7]}. Move it away, or replace it with --force."
    return _shortened([f"{target / path}: {what}; {expected}" for path, what in found.altered.items()], target)


def _shortened(lines: list[str], target: Path, most: int = 10) -> list[str]:
    more = len(lines) - most
    return [*lines[:most], f"{target}: {more} more files like these."] if more > 0 else lines


def _by_hand(target: Path) -> str:
    folder = shlex.quote(str(target))
    if target.is_dir() and any(target.iterdir()):
        return (
            f"By hand: open {ARCHIVE} in a browser, here or on another machine, then "
            f"`facesegl data download {folder} --archive FILE`."
        )
    return (
        f"By hand: `git clone {ADDRESS} {folder} && git -C {folder} checkout {COMMIT}`, then `facesegl data download "
        f"{folder}` checks it; or open {ARCHIVE} in a browser, then `facesegl data download {folder} --archive FILE`."
    )
