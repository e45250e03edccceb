"""From nothing, or from a part, to all of FASSEG: whatever the folder, the server, the archive and the user do."""

import errno
import logging
import os
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import time
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from ssl import SSLCertVerificationError
from unittest.mock import Mock
from urllib.error import URLError

import filelock
import pytest

from download.archives import FILES, MANIFEST, PATHS, TOP, ZIP, files_in, manifest_of, member, write, zipped
from download.mirror import says, sends, serving
from facesegl.cli import _stop
from facesegl.download import fetch as subject
from facesegl.download.fetch import download
from facesegl.errors import FaceseglError, Stopped

CUT = sends(stops_at=40_000)
FLIPPED = FILES[PATHS[2]][:-1] + bytes([FILES[PATHS[2]][-1] ^ 1])


@pytest.fixture(autouse=True)
def _small_and_quick(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(subject, "fasseg_manifest", lambda: MANIFEST)
    monkeypatch.setattr(subject, "_PAUSES_S", (0.01, 0.02))
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture
def target(tmp_path):
    return tmp_path / "data" / "fasseg"  # neither of which exists


def fetched(target, *answers, **how):
    with serving(*answers) as mirror:
        return outcome(target, url=mirror.url, **how), mirror


def outcome(target, **how):
    try:
        return str(download(target, **how))
    except FaceseglError as error:
        return f"{type(error).__name__}: {error}"


def siblings(target):
    return sorted(path.name for path in target.parent.iterdir() if path != target) if target.parent.is_dir() else []


def kept(target):
    return next((target.parent / f".{target.name}.download").glob("archive-*"), Path("nowhere"))


MINE = {"V1/mine.txt": b"mine", ".git/config": b"x"}
TWO = {PATHS[0]: b"1", PATHS[2]: FLIPPED}
IN_THE_WAY = {f"{PATHS[0]}/x": b"", "V3": b""}
END = "expected the files of commit 7817f33. Move them away, or replace them with --force."
DIFFER = f"{PATHS[0]} (1 bytes instead of 30000), {PATHS[2]} (its content differs); {END}"
BLOCKED = f"{PATHS[0]} (not a regular file), V3 (a file where a folder is expected); move what is in the way."


@pytest.mark.parametrize(
    ("before", "force", "words", "after", "requests"),
    [
        ({}, False, "all 4 images verified; new: 4", FILES, 1),
        (FILES, False, "all 4 images verified; nothing to fetch", FILES, 0),
        ({PATHS[0]: FILES[PATHS[0]], **MINE}, False, "all 4 images verified; new: 3", {**FILES, **MINE}, 1),
        (TWO, False, DIFFER, {**FILES, **TWO}, 1),
        ({**FILES, **TWO}, False, DIFFER, {**FILES, **TWO}, 0),
        ({**FILES, **TWO, **MINE}, True, "all 4 images verified; new: 2", {**FILES, **MINE}, 1),
        (IN_THE_WAY, False, BLOCKED, IN_THE_WAY, 0),
        (IN_THE_WAY, True, BLOCKED, IN_THE_WAY, 0),
    ],
    ids=["empty", "complete", "a part", "altered", "only altered", "force", "in the way", "in the way, force"],
)
def test_folder_is_completed_and_what_differs_is_named(target, before, force, words, after, requests):
    write(target, before)
    said, mirror = fetched(target, force=force)
    assert said.removeprefix("DataError: ") == f"{target}: {words}"
    assert (files_in(target), len(mirror.requests), siblings(target)) == (after, requests, [])


def test_relative_folder_is_filled():
    fetched(Path("fasseg"))
    fetched(Path())
    assert (files_in(Path("fasseg")), Path(PATHS[0]).is_file()) == (FILES, True)


def test_right_files_are_not_touched_and_broken_links_are_replaced_by_force(target, tmp_path, caplog):
    write(target, FILES)
    (target / PATHS[3]).unlink()
    (target / PATHS[3]).symlink_to(tmp_path / "nowhere")
    before = (target / PATHS[0]).stat()
    fetched(target, force=True)
    assert ((target / PATHS[0]).stat(), files_in(target), (tmp_path / "nowhere").exists()) == (before, FILES, False)
    assert f"{target}: fetching 1 of 4 images: {PATHS[3]}" in caplog.text


def test_many_altered_files_are_counted_and_a_file_instead_of_the_folder_is_reported(target, monkeypatch):
    many = {f"V1/{number}.bmp": MANIFEST[PATHS[0]] for number in range(30)}
    monkeypatch.setattr(subject, "fasseg_manifest", lambda: many)
    write(target, {**dict.fromkeys(many, b"x"), "file": b""})
    assert "V1/9.bmp (1 bytes instead of 30000) and 20 more; expected" in outcome(target)
    assert "file: . (a file where a folder is expected); move what is in the way" in outcome(target / "file")


def test_leftovers_are_removed_when_all_is_right_and_a_second_download_at_once_is_refused(target):
    assert "404" in fetched(target, CUT, says(404))[0]
    with filelock.FileLock(target.parent / ".fasseg.download" / "lock"), ThreadPoolExecutor() as pool:
        refused = pool.submit(outcome, target).result()  # a lock belongs to a thread
        write(target, FILES)  # by other means
        assert "nothing to fetch" in pool.submit(outcome, target).result()
    assert f"MachineError: {target}: another process is downloading into it" in refused
    assert kept(target).stat().st_size == 40_000
    download(target)
    assert siblings(target) == []


def test_linked_target_is_filled_where_it_points_and_a_linked_work_folder_is_refused(target, tmp_path):
    target.parent.mkdir()
    target.symlink_to(tmp_path / "disk" / "faces")
    fetched(target)
    assert (files_in(tmp_path / "disk"), target.is_symlink()) == (
        {f"faces/{path}": FILES[path] for path in PATHS},
        True,
    )
    assert siblings(target) == []
    (target.parent / ".other.download").symlink_to(tmp_path / "disk")
    assert "a link, where facesegl creates its work folder" in outcome(target.parent / "other")
    assert files_in(tmp_path / "disk" / "faces") == FILES


@pytest.mark.parametrize("mounted", [True, False], ids=["a mount point", "a parent that is not writable"])
def test_work_is_done_inside_the_target_where_its_parent_cannot_be_used(target, monkeypatch, mounted):
    target.mkdir(parents=True)
    monkeypatch.setattr(Path, "is_mount", lambda path: mounted)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != target.parent)
    fetched(target, CUT, says(404))
    assert (siblings(target), len(files_in(target))) == ([], 2), "lock and archive"
    fetched(target)
    assert files_in(target) == FILES


def test_what_the_system_refuses_is_reported(target, tmp_path, monkeypatch):
    for folder in "/proc/x/fasseg", "/sys/fasseg":
        assert re.match(rf"MachineError: {Path(folder).parent}.*: cannot write there: ", outcome(Path(folder)))
    assert "No such file or directory; expected a whole zip archive" in outcome(
        target, archive=tmp_path / "nowhere.zip"
    )
    assert "Is a directory; expected a whole zip archive" in outcome(target, archive=tmp_path)
    write(tmp_path, {"my.zip": ZIP})
    with monkeypatch.context() as patched:  # a link to another disk inside the folder
        patched.setattr(Path, "replace", Mock(side_effect=OSError(errno.EXDEV, "Invalid cross-device link")))
        assert f"{target}: cannot write there: it is on another disk" in outcome(target, archive=tmp_path / "my.zip")
    shutil.rmtree(target.parent)
    monkeypatch.setattr("shutil.disk_usage", lambda _: Mock(free=100_000))
    said, mirror = fetched(target)
    assert "0.1 MB free, 0.1 MB needed" in said
    assert (mirror.requests, target.parent.exists()) == ([], False)


@pytest.mark.parametrize(("limit", "where"), [(50_000, ".part"), (140_000, f"tree/{PATHS[0]}")])
def test_full_disk_is_reported_and_the_archive_is_kept(target, monkeypatch, limit, where):
    files = {**FILES, PATHS[0]: bytes(150_000)}  # which compress to nearly nothing
    monkeypatch.setattr(subject, "fasseg_manifest", lambda: manifest_of(files))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with serving(sends(zipped(files))) as mirror:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            assert f"{where}: cannot write there: files may not be that large" in outcome(target, url=mirror.url)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, before)
        assert (target.exists(), (kept(target).parent / "tree").exists()) == (False, False)
        download(target, url=mirror.url)
    assert (files_in(target), mirror.ranges) == (files, [None, "bytes=50000-"] if "part" in where else [None])


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stop_keeps_what_was_fetched_and_the_same_command_resumes(target, request, signum, code):
    def interrupt(handler):
        while not kept(target).is_file() or kept(target).stat().st_size < 30_000:
            time.sleep(0.005)
        os.kill(os.getpid(), signum)
        handler.server.over.wait(30)

    before = signal.signal(signal.SIGTERM, _stop)
    request.addfinalizer(lambda: signal.signal(signal.SIGTERM, before))
    with serving(sends(stops_at=30_000, then=interrupt), sends()) as mirror:
        with pytest.raises(Stopped, match=f"by {signum.name}; 0.0 MB kept in {target.parent}.*; the same") as caught:
            download(target, url=mirror.url)
        assert (caught.value.exit_code, kept(target).read_bytes(), target.exists()) == (code, ZIP[:30_000], False)
        download(target, url=mirror.url)
    assert (files_in(target), siblings(target), mirror.ranges) == (FILES, [], [None, "bytes=30000-"])


@pytest.mark.parametrize(("step", "moved"), [("sync", 0), ("Path.replace", 2)], ids=["unpacking", "moving"])
def test_stop_after_fetching_keeps_the_archive_and_leaves_only_whole_files(target, monkeypatch, step, moved):
    def stop(*paths, through=Path.replace):
        if step == "sync" or paths[-1] == target / PATHS[2]:
            raise KeyboardInterrupt
        return through(*paths)

    with serving() as mirror:
        with monkeypatch.context() as patched:
            patched.setattr(f"facesegl.download.fetch.{step}", stop)
            with pytest.raises(Stopped, match=r"by SIGINT; 0.1 MB kept in .*\.zip; the same command resumes"):
                download(target, url=mirror.url)
        assert target.exists() == bool(moved)
        assert files_in(target) == {path: FILES[path] for path in PATHS[:moved]}
        download(target, url=mirror.url)
    assert (files_in(target), len(mirror.requests)) == (FILES, 1)


def test_killed_process_leaves_no_folder_and_the_next_one_needs_no_connection(target):
    script = (
        f"import os, sys; sys.path[:0] = {sys.path!r}\n"
        "from pathlib import Path; from download.archives import MANIFEST; from facesegl.download import fetch\n"
        "fetch.fasseg_manifest, unpack = lambda: MANIFEST, fetch._unpack\n"
        "fetch._unpack = lambda *how: (unpack(*how), os.kill(os.getpid(), 9))\n"
        "fetch.download(Path(sys.argv[1]), url=sys.argv[2])\n"
    )
    with serving() as mirror:
        ended = subprocess.run([sys.executable, "-c", script, target, mirror.url], check=False, capture_output=True)
        assert (ended.returncode, target.exists()) == (-signal.SIGKILL, False), ended.stderr
        download(target, url=mirror.url)
    assert (files_in(target), siblings(target), len(mirror.requests)) == (FILES, [], 1)


TROUBLES = {
    "the connection broke off after 0.0 MB": CUT,
    "IncompleteRead": sends(chunked=True, stops_at=40_000),
    "Remote end closed connection": lambda handler: None,
    "hello": lambda handler: handler.wfile.write(b"\x00\xffhello\r\n\r\n"),
    "broke off": says(200),
    "429 Too Many Requests and asks to wait 1 s; trying again in 1 s": says(429, Retry_After="1"),
    "500 Internal Server Error; trying again in 0.01 s": says(500, Retry_After="soon"),
    "503 Service Unavailable": says(503, b"<html>", Content_Type="text/html"),
    "timed out": sends(stops_at=40_000, then=lambda handler: handler.server.over.wait(30)),
}


@pytest.mark.parametrize("words", TROUBLES)
def test_trouble_that_may_pass_is_retried_and_logged(target, caplog, monkeypatch, words):
    monkeypatch.setattr(subject, "_TIMEOUT_S", 0.4 if words == "timed out" else 20)
    mirror = fetched(target, TROUBLES[words], sends(chunked=True))[1]
    assert (files_in(target), len(mirror.requests)) == (FILES, 2)
    assert words in caplog.text


FINAL = {
    "the server answers 404 Not Found": says(404),
    "the server answers 401 Unauthorized": says(401, WWW_Authenticate="Basic"),
    "the server answers 407 Proxy Authentication Required": says(407),
    "a web page instead of an archive": says(200, b"<html>", Content_Type="text/html; charset=utf-8"),
    "the server answers 302 Found": says(302, Location="file:///etc/passwd"),
    "redirected to an address that is not https": lambda handler: says(
        302, Location=f"http://0.0.0.0:{handler.server.server_port}/"
    )(handler),  # not known as this machine
    "Invalid IPv6 URL": says(302, Location="https://[::1/x"),
    "larger than FASSEG can be": sends(claims=10**12),
    "larger than FASSEG can be (": sends(bytes(3_000_000), chunked=True),
    "asks to wait 3600 s": says(503, Retry_After="3600"),
}


@pytest.mark.parametrize("words", FINAL)
def test_trouble_that_does_not_pass_is_reported_at_once_and_leaves_nothing(target, words):
    said, mirror = fetched(target, FINAL[words], sends())
    by_hand = f"0289c.zip in a browser, then `facesegl data download {target} --archive FILE`."
    assert re.fullmatch(f"MachineError: {mirror.url}: .*{re.escape(words)}.*{re.escape(by_hand)}", said)
    assert not target.parent.exists()


def test_lasting_trouble_is_given_up_after_a_few_attempts_and_an_untrusted_certificate_at_once(target, caplog):
    said, mirror = fetched(target, says(500))
    assert f"{mirror.url}: the server answers 500 Internal Server Error (tried 3 times; the same" in said
    assert [line.split()[-2] for line in caplog.messages if "trying again" in line] == ["0.01", "0.02"]
    assert len(mirror.requests) == 3
    assert "the server answers 301" in fetched(target, says(301, Location="/archive.zip"))[0]  # for ever
    assert "Connection refused (tried 3 times" in outcome(target, url=mirror.url)
    assert subject._explain(URLError(SSLCertVerificationError(1, "self-signed"))) == ("self-signed", float("inf"))


def test_interrupted_transfer_is_resumed_by_the_next_attempt_and_the_next_start_from_the_same_address(target):
    cuts = [sends(stops_at=stop) for stop in (10_000, 20_000, 30_000, 40_000)]  # progress: none counts as failed
    with serving(*cuts, says(500), says(500), says(404), says(302, Location="/there"), sends()) as mirror:
        assert "the same command resumes" in outcome(target, url=mirror.url)
        assert "404" in outcome(target, url=mirror.url.replace("archive", "other"))
        download(target, url=mirror.url)
    starts = [10_000, 20_000, 30_000, 40_000, 40_000, None, 40_000, 40_000]
    assert mirror.ranges == [None, *(start and f"bytes={start}-" for start in starts)]
    assert (files_in(target), siblings(target)) == (FILES, [])


@pytest.mark.parametrize(
    "then", [sends(ranges=False), says(206, b"x" * 99, Content_Range="bytes 39999-40097/*"), says(206), says(416)]
)
def test_server_that_cannot_resume_sends_all_of_it_again(target, then):
    mirror = fetched(target, sends(os.urandom(100_000), stops_at=40_000), then, sends())[1]
    assert files_in(target) == FILES
    assert mirror.ranges in ([None, "bytes=40000-"], [None, "bytes=40000-", None])


def test_proxy_of_the_environment_is_used_without_cookies_or_passwords(target, monkeypatch):
    with serving() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        download(target, url="http://localhost:9/x.zip")
    assert (proxy.paths, proxy.requests[0]["User-Agent"]) == (["http://localhost:9/x.zip"], "facesegl")
    assert not {"Cookie", "Authorization"} & set(proxy.requests[0])


UNSAFE = ["http://github.com/x", "file:///x", "x.zip", "", "https://", "ftp://github.com/x", "https://[::1/x"]
ODD = ["https://github.com@example.org/x", "https://github.com\\@example.org/x", "https://x/a b", "https://x/ä"]
SAFE = ["https://github.com/x?y", "http://127.0.0.1:80/x", "http://[::1]/", "HTTP://localhost"]


@pytest.mark.parametrize("url", UNSAFE + ODD + SAFE)
def test_only_https_addresses_and_this_machine_are_accepted(target, url):
    write(target, FILES)
    refused = f"ConfigError: {url}: expected an https address"
    assert outcome(target, url=url).startswith(f"{target}: all 4" if url in SAFE else refused)


@pytest.mark.parametrize("top", [TOP, "", "another name/", "./"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archive_of_the_user_is_unpacked_and_kept(target, tmp_path, top, compression):
    write(tmp_path, {"my.zip": (packed := zipped(FILES, top, compression))})
    assert download(target, archive=tmp_path / "my.zip").written == 4
    assert (files_in(target), siblings(target), (tmp_path / "my.zip").read_bytes()) == (FILES, [], packed)


@pytest.mark.parametrize(("name", "kind"), [("/dev/zero", "a device"), ("pipe.zip", "a named pipe")])
def test_an_archive_that_is_no_regular_file_is_not_opened(target, name, kind):
    os.mkfifo("pipe.zip")
    assert f"DataError: {name}: {kind}, not a regular file" in outcome(target, archive=Path(name))
    assert not target.parent.exists()


def test_nothing_but_listed_files_is_written(target, tmp_path):
    names = ["../x", f"{TOP}../../x", f"../{PATHS[0]}", "V1\\..\\..\\x", "/tmp/x", f"/{PATHS[0]}", "C:\\x", "README.md"]
    more = [(member(name), b"x") for name in (*names, "", PATHS[0].upper())]
    more += [(member(f"V2/{kind}", kind), b"/etc") for kind in (stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO)]
    write(tmp_path, {"my.zip": zipped(FILES, "", more=more)})
    download(target, archive=tmp_path / "my.zip")
    assert files_in(tmp_path / "data") == {f"fasseg/{path}": content for path, content in FILES.items()}
    assert {path.name for path in tmp_path.iterdir()} - {"cache"} == {"my.zip", "data"}


ENCRYPTED = bytearray(ZIP)
ENCRYPTED[ZIP.rindex(b"PK\1\2") + 8] |= 1
BOMB = bytearray(zipped({**FILES, PATHS[1]: bytes(20_000_000)}))  # which claims to have the listed size
SIZE = BOMB.index(PATHS[1].encode(), BOMB.index(b"PK\1\2")) - len(TOP) - 46 + 24
BOMB[SIZE : SIZE + 4] = MANIFEST[PATHS[1]][1].to_bytes(4, "little")
LIES = {
    f"{PATHS[2]} (its content differs); expected the files of commit 7817f33": zipped({**FILES, PATHS[2]: FLIPPED}),
    f"{PATHS[1]} (not in the archive), {PATHS[2]} (its": zipped({PATHS[0]: FILES[PATHS[0]], PATHS[2]: b"", "x": b""}),
    "(unsupported compression)": zipped(FILES, compression=zipfile.ZIP_LZMA),
    "(its content differs)": zipped({}, "", more=[(member(path, stat.S_IFLNK), b"/etc/passwd") for path in PATHS]),
    "encrypted": ENCRYPTED,
    f"{PATHS[1]} (": BOMB,
    "File is not a zip file; expected a whole zip": os.urandom(90_000),
    "File is not": b"<!DOCTYPE html>" * 50,
    **{"not a zip file"[-share:]: ZIP[: len(ZIP) * share // 10] for share in (1, 5, 9)},
}


@pytest.mark.parametrize("words", LIES)
def test_wrong_archive_leaves_the_folder_as_it_was_and_is_not_kept(target, tmp_path, words):
    write(tmp_path, {"my.zip": LIES[words]})
    with serving(sends(LIES[words]), sends()) as mirror:
        tracemalloc.start()
        said = outcome(target, url=mirror.url)
        assert tracemalloc.get_traced_memory()[1] < 3e6
        tracemalloc.stop()
        assert re.match(f"DataError: {mirror.url}: .*{re.escape(words)}", said)
        assert not target.parent.exists()
        write(target, {PATHS[0]: FILES[PATHS[0]], "mine": b""})
        assert outcome(target, archive=tmp_path / "my.zip").startswith(f"DataError: {tmp_path}/my.zip: ")
        assert (tmp_path / "my.zip").exists()
        assert (files_in(target), siblings(target)) == ({PATHS[0]: FILES[PATHS[0]], "mine": b""}, [])
        download(target, url=mirror.url)
    assert (files_in(target), mirror.ranges) == ({**FILES, "mine": b""}, [None, None])


def test_damaged_bytes_are_reported_or_harmless_wherever_they_are(target, tmp_path):
    for index in [*range(0, 300, 13), 45_000, *range(len(ZIP) - 700, len(ZIP), 29)]:
        write(tmp_path, {"my.zip": ZIP[:index] + bytes([ZIP[index] ^ 0xFF]) + ZIP[index + 1 :]})
        said = outcome(target, archive=tmp_path / "my.zip")
        assert files_in(target) == ({} if said.startswith("DataError: ") else FILES)
        assert index != 45_000 or f"my.zip: {PATHS[1]} (damaged" in said
        shutil.rmtree(target, ignore_errors=True)
