"""Download FASSEG: fetch a zip archive, verify every image in it, then move the images into place.

GitHub's generated archives have no stable bytes, so the whole has no hash (pooch would need one). Instead each image
must match its git hash. Only paths of the manifest are written, and only after all wanted images are verified.
"""

import contextlib
import http.client
import logging
import math
import os
import re
import shlex
import shutil
import signal
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError

import filelock

from facesegl.console import track
from facesegl.download.manifest import ARCHIVE, COMMIT, Manifest, blob_hash, fasseg_manifest, survey
from facesegl.errors import ConfigError, DataError, MachineError, Stopped
from facesegl.files import machine_errors, sync
from facesegl.sources.listing import require_regular
from facesegl.text import a_few

log = logging.getLogger(__name__)

_HOST = r"(https://([a-z0-9_.-]+|\[[0-9a-f:.]+\])|http://(localhost|127\.0\.0\.1|\[::1\]))(:\d+)?"
_SAFE_URL = re.compile(rf"{_HOST}([/?#][!-~]*)?", re.IGNORECASE | re.ASCII)  # https, or http on this machine
_TIMEOUT_S = 30.0  # without an answer, or a byte
_PAUSES_S = (1.0, 4.0, 16.0)  # before each further attempt; a server may ask for up to a minute
_TRANSIENT = {408, 416, 425, 429, 500, 502, 503, 504}
_MB = 1_000_000


@dataclass(frozen=True)
class Outcome:
    """A folder, the number of its images, all verified, and how many of them are new."""

    folder: Path
    images: int
    written: int

    def __str__(self) -> str:
        new = f"new: {self.written}" if self.written else "nothing to fetch"
        return f"{self.folder}: all {self.images} images verified; {new}"


def download(target: Path, *, url: str | None = None, archive: Path | None = None, force: bool = False) -> Outcome:
    """Fetch the images of FASSEG that a folder lacks, and verify all of them.

    Args:
        target: the folder for V1, V2 and V3.
        url: a mirror of the archive; None for GitHub.
        archive: a zip on this machine; nothing is fetched then.
        force: whether to replace files with other content.

    Raises:
        ConfigError: the URL is not https.
        DataError: the archive is damaged, not FASSEG's or no regular file, or files in the folder differ and are kept.
        MachineError: the archive cannot be fetched, or the folder cannot be written.
        Stopped: by a signal; the archive is kept.
    """
    manifest, url = fasseg_manifest(), ARCHIVE if url is None else url
    if not _SAFE_URL.fullmatch(url):
        raise ConfigError(f"{url}: expected an https address without a user name (http only on this machine).")
    if archive is not None:
        require_regular(archive)
    missing, altered, blocked = survey(target, manifest)
    if blocked:
        raise DataError(f"{target}: {a_few(blocked.values(), most=10)}; move what is in the way.")
    wanted = {path: manifest[path] for path in [*missing, *(altered if force else ())]}
    if wanted and len(wanted) < len(manifest):
        log.info("%s: fetching %d of %d images: %s", target, len(wanted), len(manifest), a_few(wanted))
    work = _work_folder(target)
    if wanted:
        with _locked(work, target):
            _complete(target, work, wanted, url, archive)
    elif work.is_dir():  # left by an interrupted download, and not in use
        with contextlib.suppress(MachineError), _locked(work, target):
            pass
    if altered and not force:
        expected = f"expected the files of commit {COMMIT[:7]}. Move them away, or replace them with --force."
        raise DataError(f"{target}: {a_few(altered.values(), most=10)}; {expected}")
    return Outcome(target, len(manifest), len(wanted))


def _complete(target: Path, work: Path, wanted: Manifest, url: str, archive: Path | None) -> None:
    needed, free = sum(size for _, size in wanted.values()), shutil.disk_usage(work).free
    if free < needed:
        raise MachineError(f"{work.parent}: {free / 1e6:.1f} MB free, {needed / 1e6:.1f} MB needed; free some space.")
    packed = _fetch(url, work, target) if archive is None else archive
    if problem := _unpack(packed, wanted, work / "tree"):
        if archive is None:
            packed.unlink()
        raise DataError(f"{archive or url}: {problem}. Fetch it again, or use another archive.")
    real = Path(os.path.realpath(target))  # the target of a link, which need not exist yet
    with machine_errors(target):
        for path in wanted:
            (real / path).parent.mkdir(parents=True, exist_ok=True)
            (work / "tree" / path).replace(real / path)


def _work_folder(target: Path) -> Path:
    """Next to the target; inside it if its parent is on another disk or not writable."""
    real = Path(os.path.realpath(target))
    inside = real.is_dir() and (real.is_mount() or not os.access(real.parent, os.W_OK))
    return (real if inside else real.parent) / f".{real.name}.download"


@contextlib.contextmanager
def _locked(work: Path, target: Path) -> Iterator[None]:
    """Reserve the work folder for this process; after an error it keeps what was fetched of the archive."""
    if work.is_symlink():
        raise MachineError(f"{work}: a link, where facesegl creates its work folder; move it away.")
    created = [folder for folder in (work, *work.parents) if not folder.exists()]
    lock = filelock.FileLock(work / "lock")
    try:
        with machine_errors(work):
            work.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        yield
        shutil.rmtree(work, ignore_errors=True)
    except filelock.Timeout:
        raise MachineError(f"{target}: another process is downloading into it; wait until it ends.") from None
    except (KeyboardInterrupt, Stopped) as error:
        signum = error.exit_code - 128 if isinstance(error, Stopped) else signal.SIGINT
        kept = "".join(f"{_size(file) / 1e6:.1f} MB kept in {file}; " for file in _kept(work))
        resume = "the same command resumes, or starts over where the server cannot resume"
        raise Stopped(f"by {signal.Signals(signum).name}; {kept}{resume}", signum) from None
    finally:
        if lock.is_locked:
            shutil.rmtree(work / "tree" if _kept(work) else work, ignore_errors=True)
            lock.release()
        for folder in created:
            with contextlib.suppress(OSError):  # unless something is in it
                folder.rmdir()


def _fetch(url: str, work: Path, target: Path) -> Path:
    whole = work / f"archive-{blob_hash(url.encode())[:8]}.zip"  # the archive of another URL is not resumed
    part, pauses = whole.with_suffix(".part"), list(_PAUSES_S)
    by_hand = f"open {ARCHIVE} in a browser, then `facesegl data download {shlex.quote(str(target))} --archive FILE`"
    while not whole.exists():
        before = _size(part)
        try:
            log.info("fetching %s", url)
            _receive(url, part)
            part.replace(whole)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason, wait_s = _explain(error)
            if isinstance(error, HTTPError) and error.code == 416:
                part.unlink(missing_ok=True)
            if _size(part) > before:
                pauses = list(_PAUSES_S)
            if wait_s > 60 or not pauses:
                tried = "" if pauses else f" (tried {len(_PAUSES_S) + 1} times; the same command resumes)"
                raise MachineError(f"{url}: {reason}{tried}. By hand: {by_hand}.") from error
            pause_s = max(wait_s, pauses.pop(0))
            log.info("%s: %s; trying again in %.3g s", url, reason, pause_s)
            time.sleep(pause_s)
    return whole


def _receive(url: str, part: Path) -> None:
    """Make one attempt to fetch the rest; a ValueError means that a retry would not help."""
    done = _size(part)
    headers = {"User-Agent": "facesegl", **({"Range": f"bytes={done}-"} if done else {})}
    opener = urllib.request.build_opener()  # urlopen's opener would keep the proxies of its first call
    with opener.open(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_S) as response:
        if not _SAFE_URL.fullmatch(response.url):
            raise ValueError("redirected to an address that is not https")
        if response.headers.get_content_type() == "text/html":
            raise ValueError("a web page instead of an archive; does this network require a login in a browser?")
        if response.status != 206:
            done = 0
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
            part.unlink(missing_ok=True)
            raise ConnectionError("the server resumes at another byte; starting over")
        left = response.length or 0
        megabytes = (done + left) // _MB - done // _MB
        for _ in track(_written(response, part, done, left), total=megabytes or None, what="fetching (MB)"):
            pass
    if _size(part) < done + (left or 1):
        raise ConnectionError(f"the connection broke off after {_size(part) / 1e6:.1f} MB")


def _written(response: http.client.HTTPResponse, part: Path, size: int, left: int) -> Iterator[int]:
    """Append the response to the file; yield once per megabyte."""
    most = sum(size + 4096 for _, size in fasseg_manifest().values()) + _MB
    with machine_errors(part), part.open("ab" if size else "wb") as file:
        while chunk := response.read1(1 << 18):
            if size + max(left, len(chunk)) > most:
                part.unlink()
                raise ValueError(f"larger than FASSEG can be ({most / 1e6:.1f} MB)")
            file.write(chunk)
            file.flush()  # so that a stop loses nothing
            yield from range(size // _MB, (size + len(chunk)) // _MB)
            size, left = size + len(chunk), left - len(chunk)


def _explain(error: Exception) -> tuple[str, float]:
    """The reason, and the minimum seconds to wait: infinite if a retry would not help."""
    if isinstance(error, HTTPError):
        error.close()
        wait = error.headers.get("Retry-After", "")
        wait_s = float(wait) if re.fullmatch("[0-9]+", wait) else 0.0
        asks = f" and asks to wait {wait} s" if wait_s else ""
        reason = f"the server answers {error.code} {http.client.responses.get(error.code, '')}{asks}"
        return reason, wait_s if error.code in _TRANSIENT else math.inf
    cause = error.reason if isinstance(error, URLError) else error
    reason = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return reason, math.inf if isinstance(cause, ValueError) else 0.0  # an untrusted certificate is a ValueError, too


def _unpack(archive: Path, wanted: Manifest, tree: Path) -> str:
    """Write the wanted files of a zip below `tree`, ignoring others; return its problems, empty if there are none."""
    shutil.rmtree(tree, ignore_errors=True)  # of a killed process
    try:
        opened = zipfile.ZipFile(archive)
    except Exception as error:  # zipfile raises many kinds
        return f"{getattr(error, 'strerror', None) or error}; expected a whole zip archive"
    with opened:
        names = {info.filename: info for info in opened.infolist()}
        members = {name.partition("/")[2]: info for name, info in names.items()} | names  # GitHub adds a top folder
        checked = track(wanted.items(), total=len(wanted), what="unpacking and checking")
        problems = {path: _extract(opened, members.get(path), *listed, tree / path) for path, listed in checked}
    wrong = [f"{path} ({problem})" for path, problem in problems.items() if problem]
    return f"{a_few(wrong, most=10)}; expected the files of commit {COMMIT[:7]}" if wrong else ""


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo | None, blob: str, size: int, file: Path) -> str:
    """Write a member if its content matches, else return the problem; no more than the listed size is read."""
    if member is None:
        return "not in the archive"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # zipfile inflates others as a whole
        return "unsupported compression"
    try:
        with archive.open(member) as opened:
            content = opened.read(size)
    except Exception as error:
        return f"damaged: {error}"
    if blob_hash(content) != blob:
        return "its content differs"
    with machine_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        sync(file)
    return ""


def _kept(work: Path) -> list[Path]:
    return [file for file in work.glob("archive-*") if _size(file)]


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0
