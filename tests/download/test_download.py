"""From nothing, or a part, to all of FASSEG under its final names: all of it or none of it."""

import functools
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import filelock
import pytest

from download.conftest import QUICK
from download.packing import FILES, LISTING, PATHS, TOP, changed, content, listing_of, tarred, zip_of, zipped
from download.serving import hangs_up, leads, says, serving, silent, waited, whole
from facesegl.cli import _stop
from facesegl.commands import data_download as verb
from facesegl.commands.data_download import data_download
from facesegl.download.fasseg import download
from facesegl.download.fetch import Patience
from facesegl.download.listing import survey
from facesegl.errors import ConfigError, DataError, FaceseglError, MachineError, Stopped

ZIP = zipped(FILES)
get = functools.partial(download, listing=LISTING, patience=QUICK)


def write(folder, files):
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def lying(folder):
    """All files below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def beside(target):
    """What else lies beside the target."""
    return sorted(path.name for path in target.parent.iterdir() if path != target) if target.parent.is_dir() else []


def test_empty_place_is_filled(target):
    with serving(leads("/there"), whole(ZIP)) as served:
        outcome = get(target, url=served.url)
    assert lying(target) == FILES
    assert str(outcome) == f"{target}: all 4 images are there and right; new: 4"
    assert beside(target) == []


def test_relative_folder_is_filled():
    with serving(whole(ZIP)) as served:
        get(Path("fasseg"), url=served.url)
        get(Path(), url=served.url)
    assert lying(Path("fasseg")) == FILES
    assert (Path() / PATHS[0]).is_file()


def test_when_all_is_right_no_connection_is_opened(target):
    write(target, FILES)
    with serving(whole(ZIP)) as served:
        outcome = get(target, url=served.url)
        assert not served.requests
    assert str(outcome) == f"{target}: all 4 images are there and right; nothing had to be fetched"
    assert beside(target) == []


def test_what_an_earlier_start_left_goes_when_all_is_right(target):
    with serving(whole(ZIP, etag='"a"', stops_at=30_000)) as served, pytest.raises(MachineError):
        get(target, url=served.url)
    assert beside(target) == [".fasseg.download"]
    write(target, FILES)  # a person has found another way
    with filelock.FileLock(target.parent / ".fasseg.download" / "lock"):
        in_a_thread(lambda: get(target))
    assert beside(target) == [".fasseg.download"], "a process is at it"
    get(target)
    assert beside(target) == []


def test_what_is_missing_is_named_and_brought_and_the_rest_is_not_touched(target, caplog):
    write(target, {PATHS[0]: FILES[PATHS[0]], "V1/mine.txt": b"mine", ".git/config": b"x"})
    before = (target / PATHS[0]).stat()
    with serving(whole(ZIP)) as served, caplog.at_level(logging.INFO):
        outcome = get(target, url=served.url)
    assert outcome.written == 3
    assert lying(target) == {**FILES, "V1/mine.txt": b"mine", ".git/config": b"x"}
    assert (target / PATHS[0]).stat() == before
    assert f"{target}: 3 of 4 images are missing: {', '.join(PATHS[1:])}" in caplog.text


def test_altered_file_is_named_and_stays_and_the_missing_are_brought_all_the_same(target):
    mine = changed(PATHS[0])[PATHS[0]]
    write(target, {PATHS[0]: mine})
    with serving(whole(ZIP)) as served, pytest.raises(DataError) as told:
        get(target, url=served.url)
    assert told.value.problems == (
        f"{target}/{PATHS[0]}: other content than is listed; expected the file of commit 7817f33. Move it away, or "
        f"replace it with --force.",
    )
    assert lying(target) == {**FILES, PATHS[0]: mine}


def test_altered_files_alone_are_told_without_a_connection(target):
    write(target, {**FILES, PATHS[0]: b"1", PATHS[2]: b"2"})
    with serving(whole(ZIP)) as served:
        with pytest.raises(DataError) as told:
            get(target, url=served.url)
        assert not served.requests
    assert len(told.value.problems) == 2


def test_altered_file_is_replaced_when_that_is_asked_for(target, tmp_path, caplog):
    write(target, {**changed(PATHS[0]), "mine.txt": b"mine"})
    (target / PATHS[3]).unlink()
    (target / PATHS[3]).symlink_to(tmp_path / "nowhere")
    with serving(whole(ZIP)) as served, caplog.at_level(logging.INFO):
        outcome = get(target, url=served.url, force=True)
    assert outcome.written == 2
    assert lying(target) == {**FILES, "mine.txt": b"mine"}
    assert not (tmp_path / "nowhere").exists()
    assert f"other files that will be replaced: {PATHS[0]}, {PATHS[3]}" in caplog.text


@pytest.mark.parametrize("force", [False, True])
def test_what_is_in_the_way_is_told_and_nothing_is_fetched(target, force):
    write(target, {f"{PATHS[0]}/x": b""})
    (target / "V3").write_text("")
    with serving(whole(ZIP)) as served:
        with pytest.raises(DataError) as told:
            get(target, url=served.url, force=force)
        assert not served.requests
    assert [line.split(":")[0] for line in told.value.problems] == [f"{target}/{PATHS[0]}", f"{target}/V3"]
    assert lying(target) == {f"{PATHS[0]}/x": b"", "V3": b""}


def test_file_in_the_place_of_the_folder_is_told(target):
    target.parent.mkdir()
    target.write_text("")
    with pytest.raises(DataError, match="a file where a folder is expected; move it away"):
        get(target)


LIES = {
    "other bytes": (zipped(changed(PATHS[2])), PATHS[2]),
    "noise": (content(8, 90_000), "it begins with"),
    "another zip": (zip_of(("x", b"x")), "not in the archive"),
    "less than there is": (ZIP[:-1000], "damaged"),
    "a hostile zip": (zip_of(*((f"{TOP}/{path}", data) for path, data in FILES.items()), ("../x", b"")), "../x"),
    "a page without saying so": (b"<!DOCTYPE html>" * 50, "<!DO"),
}


@pytest.mark.parametrize("there", [False, True], ids=["new", "existing"])
@pytest.mark.parametrize("lie", LIES)
def test_lie_leaves_the_folder_as_it_was_and_is_not_kept(target, lie, there):
    packed, words = LIES[lie]
    before = {PATHS[0]: FILES[PATHS[0]], "mine": b""} if there else {}
    write(target, before)
    with serving(whole(packed, etag='"a"'), whole(ZIP, etag='"a"')) as served:
        with pytest.raises(DataError, match="(?s)" + served.url) as told:
            get(target, url=served.url)
        assert words in str(told.value)
        assert lying(target) == before
        assert target.exists() == there
        assert beside(target) == []
        get(target, url=served.url)
        assert served.requests[1].get("Range") is None
    assert lying(target).items() >= FILES.items()


@pytest.mark.parametrize("answer", [says(404), says(500), hangs_up, leads("file:///etc/passwd")])
def test_failure_leaves_nothing_and_says_what_to_do_by_hand(target, answer):
    with serving(answer) as served, pytest.raises(MachineError) as told:
        get(target, url=served.url)
    (line,) = told.value.problems
    commit = "7817f332b68decc858c9e741f8c0b366b9e0289c"
    assert line.startswith(f"{served.url}: ")
    assert (
        f"`git clone https://github.com/massimomauro/FASSEG-repository {target} && git -C {target} checkout {commit}`, "
        f"then `facesegl data download {target}` checks it"
    ) in line
    assert f"{commit}.zip in a browser, then `facesegl data download {target} --archive FILE`" in line
    assert not target.parent.exists()


def test_by_hand_names_no_clone_into_a_folder_that_has_something(target):
    write(target, {"x y": b""})
    with serving(says(404)) as served, pytest.raises(MachineError) as told:
        get(target, url=served.url)
    assert "git clone" not in str(told.value)
    assert f"`facesegl data download {target} --archive FILE`" in str(told.value)


def test_clone_of_another_state_is_told_file_by_file(target):
    write(target, {**changed(PATHS[1]), "README.md": b"hello"})
    with pytest.raises(DataError, match=PATHS[1]):
        get(target)


@pytest.mark.parametrize("force", [False, True])
def test_many_problems_are_counted(target, force):
    listing = {f"V1/{number}.bmp": LISTING[PATHS[0]] for number in range(30)}
    write(target, dict.fromkeys(listing, b"x"))
    with serving(whole(ZIP)) as served, pytest.raises(DataError) as told:
        download(target, url=served.url, listing=listing, patience=QUICK, force=force)
    assert len(told.value.problems) == 11
    assert "20 more files" in told.value.problems[-1]


def interrupting(target, signum, at):
    """An answer that sends the signal when `at` bytes are on the disk."""

    def then(handler):
        part = target.parent / f".{target.name}.download" / "archive.part"
        assert waited(lambda: part.is_file() and part.stat().st_size == at)
        os.kill(os.getpid(), signum)
        silent(handler)

    return whole(ZIP, etag='"a"', stops_at=at, then=then)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stop_keeps_what_came_and_the_same_command_goes_on(target, signum, code):
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        with serving(interrupting(target, signum, 30_000), whole(ZIP, etag='"a"')) as served:
            with pytest.raises(Stopped) as told:
                get(target, url=served.url, patience=Patience(30, ()))
            part = target.parent / ".fasseg.download" / "archive.part"
            assert str(told.value) == (
                f"by {signum.name}; 0.0 MB are kept in {part}; the same command goes on after them"
            )
            assert told.value.exit_code == code
            assert part.read_bytes() == ZIP[:30_000]
            assert not target.exists()
            get(target, url=served.url)
            assert served.requests[1]["Range"] == "bytes=30000-"
    finally:
        signal.signal(signal.SIGTERM, before)
    assert lying(target) == FILES
    assert beside(target) == []


def test_stop_says_when_the_server_cannot_go_on(target):
    def then(handler):
        assert waited(lambda: (target.parent / ".fasseg.download" / "archive.part").is_file())
        os.kill(os.getpid(), signal.SIGINT)
        silent(handler)

    with serving(whole(ZIP, stops_at=30_000, then=then), whole(ZIP)) as served:
        with pytest.raises(Stopped, match="starts over, since this server cannot go on there"):
            get(target, url=served.url, patience=Patience(30, ()))
        get(target, url=served.url)
    assert lying(target) == FILES


@pytest.mark.parametrize("place", ["unpack", "move_in"])
def test_stop_while_unpacking_keeps_the_archive(target, monkeypatch, place):
    def stop(*_):
        raise KeyboardInterrupt

    with serving(whole(ZIP)) as served:
        with monkeypatch.context() as patched:
            patched.setattr(f"facesegl.download.fasseg.{place}", stop)
            with pytest.raises(Stopped, match=r"the archive is kept in .*; the same command unpacks it"):
                get(target, url=served.url)
        assert not target.exists()
        get(target, url=served.url)
        assert len(served.requests) == 1
    assert lying(target) == FILES


def test_killed_process_leaves_nothing_that_looks_whole(target):
    script = (
        "import sys; sys.path[:0] = {path!r}\n"
        "from pathlib import Path\n"
        "import facesegl.download.fasseg as room\n"
        "from download.packing import LISTING\n"
        "import os\n"
        "room.move_in = lambda *_: os.kill(os.getpid(), 9)\n"
        "room.download(Path({target!r}), url={url!r}, listing=LISTING)\n"
    )
    with serving(whole(ZIP)) as served:
        code = script.format(path=sys.path, target=str(target), url=served.url)
        ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
        assert ended.returncode == -9, ended.stderr
        assert not target.exists()
        get(target, url=served.url)
        assert len(served.requests) == 1
    assert lying(target) == FILES
    assert beside(target) == []


def test_folder_that_was_filled_in_part_is_filled_by_the_next_start(target, monkeypatch):
    write(target, {"mine": b""})
    seen = []

    def replace(path, final, through=Path.replace):
        seen.append(final)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return through(path, final)

    with serving(whole(ZIP)) as served:
        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", replace)
            patched.setattr("facesegl.download.part.write_json", lambda *_: None)
            with pytest.raises(Stopped):
                get(target, url=served.url)
        found = survey(target, LISTING)
        assert (len(found.right), len(found.missing)) == (2, 2), "V1 whole, V3 not there"
        get(target, url=served.url)
    assert lying(target) == {**FILES, "mine": b""}


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_archive_that_a_person_fetched_is_unpacked_and_stays(target, tmp_path, pack):
    packed = pack(FILES)
    (tmp_path / "FASSEG").write_bytes(packed)
    assert get(target, archive=tmp_path / "FASSEG").written == 4
    assert lying(target) == FILES
    assert (tmp_path / "FASSEG").read_bytes() == packed
    assert beside(target) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [("nowhere.zip", "No such file or directory"), ("folder", "Is a directory"), ("text.zip", "begins with b'hell'")],
)
def test_archive_of_a_person_that_is_none_is_told_and_stays(target, tmp_path, name, words):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.zip").write_text("hello")
    with pytest.raises(DataError, match=f"{name}: .*{words}.*expected a zip or tar.gz"):
        get(target, archive=tmp_path / name)
    assert (tmp_path / "text.zip").exists()
    assert not target.parent.exists()


def test_archive_of_a_person_that_is_another_is_told_and_stays(target, tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped(changed(PATHS[1])))
    with pytest.raises(DataError, match=f"a.zip: {PATHS[1]}: other content"):
        get(target, archive=tmp_path / "a.zip")
    assert (tmp_path / "a.zip").exists()
    assert not target.parent.exists()


def test_folder_that_is_a_link_is_filled_where_it_points(target, tmp_path):
    target.parent.mkdir()
    target.symlink_to(tmp_path / "disk" / "faces")
    with serving(whole(ZIP)) as served:
        get(target, url=served.url)
    assert target.is_symlink()
    assert lying(tmp_path / "disk" / "faces") == FILES
    assert beside(target) == []
    assert beside(tmp_path / "disk" / "faces") == []


def test_link_to_another_disk_below_the_folder_is_followed(target):
    disk = Path("/dev/shm")
    if not disk.is_dir() or disk.stat().st_dev == target.parents[1].stat().st_dev:
        pytest.skip("no second disk here")
    other = disk / f"facesegl-{os.getpid()}"
    other.mkdir()
    try:
        target.mkdir(parents=True)
        (target / "V3").symlink_to(other)
        with serving(whole(ZIP)) as served:
            get(target, url=served.url)
        assert survey(target, LISTING).right == list(PATHS)
        assert lying(other) == {path.removeprefix("V3/"): FILES[path] for path in PATHS[2:]}
    finally:
        subprocess.run(["rm", "-r", other], check=True)


@pytest.mark.parametrize("mounted", [True, False], ids=["a disk of its own", "a parent that is somebody else's"])
def test_folder_is_worked_in_where_the_one_above_cannot_serve(target, monkeypatch, mounted):
    target.mkdir(parents=True)
    monkeypatch.setattr(Path, "is_mount", lambda path: mounted)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != target.parent)
    with serving(whole(ZIP, etag='"a"', stops_at=30_000)) as served:
        with pytest.raises(MachineError, match=r"0.0 MB are kept"):
            get(target, url=served.url)
        assert (target / ".fasseg.download" / "archive.part").is_file()
        assert beside(target) == []
    with serving(whole(ZIP)) as served:
        get(target, url=served.url)
    assert lying(target).items() >= FILES.items()


def test_one_process_at_a_time(target):
    work = target.parent / ".fasseg.download"
    work.mkdir(parents=True)
    with filelock.FileLock(work / "lock"), pytest.raises(MachineError, match="another process fetches into it"):
        in_a_thread(lambda: get(target, url="http://127.0.0.1:9/x.zip"))
    assert (work / "lock").exists()


def in_a_thread(call):
    """A lock is a thread's own."""
    raised = []

    def run():
        try:
            call()
        except FaceseglError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


def test_too_little_room_is_told_before_anything_is_fetched(target, monkeypatch):
    from collections import namedtuple

    monkeypatch.setattr("shutil.disk_usage", lambda _: namedtuple("Usage", "free")(100_000))
    with serving(whole(ZIP)) as served:
        with pytest.raises(MachineError, match=r"0.1 MB are free and 0.1 MB are needed"):
            get(target, url=served.url)
        assert not served.requests
    assert not target.parent.exists()


@pytest.mark.parametrize(("room", "place"), [(50_000, "archive.part"), (140_000, f"tree/{PATHS[0]}")])
def test_full_disk_is_told_and_half_files_get_no_name(target, room, place):
    files = {**FILES, PATHS[0]: bytes(150_000)}  # in the archive it is nearly nothing
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with serving(whole(zipped(files))) as served:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
        try:
            with pytest.raises(MachineError, match=f"{place}: cannot write there: files may not be that large here"):
                download(target, url=served.url, listing=listing_of(files), patience=QUICK)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, before)
        assert not target.exists()
        download(target, url=served.url, listing=listing_of(files), patience=QUICK)
        assert len(served.requests) == (2 if place == "archive.part" else 1), "what came whole is not fetched again"
    assert lying(target) == files


@pytest.mark.parametrize("place", ["/proc/x/fasseg", "/sys/fasseg"])
def test_folder_that_cannot_be_made_is_told(place):
    with pytest.raises(MachineError, match=f"^{place.rpartition('/')[0]}.*cannot write there"):
        get(Path(place), url="http://127.0.0.1:9/x.zip")


def test_address_that_is_not_encrypted_is_refused(target):
    with pytest.raises(ConfigError, match=r"http://example.org/x.zip: it is not encrypted"):
        get(target, url="http://example.org/x.zip")


@pytest.fixture
def asked(monkeypatch):
    """What the verb asks the room for."""
    calls = []
    monkeypatch.setattr(verb, "download", lambda target, **how: calls.append((target, how)))
    return calls


def test_verb_fills_the_folder_where_the_data_are_looked_for(asked, monkeypatch):
    data_download(None)
    data_download(None, ["paths.data=other place"])
    data_download(Path("given"), force=True)
    monkeypatch.setenv("FACESEGL_DATA", "/from/environment")
    data_download(None)
    assert [str(target) for target, _ in asked] == [
        "data/fasseg",
        "other place/fasseg",
        "given",
        "/from/environment/fasseg",
    ]
    assert asked[2][1] == {"url": None, "archive": None, "force": True}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"folder": Path("a"), "overrides": ["paths.data=b"]}, "paths.data=b: the folder is given already"),
        ({"folder": None, "overrides": ["data=fasseg_v2"]}, "data=fasseg_v2: data download knows no key but"),
        ({"folder": None, "overrides": ["paths.data=null"]}, "paths.data: expected a folder"),
        ({"folder": None, "url": "https://x/y", "archive": Path("z")}, "give one of the two"),
    ],
)
def test_verb_refuses_what_contradicts_itself(asked, arguments, words):
    with pytest.raises(ConfigError, match=words):
        data_download(**arguments)
    assert not asked


def test_a_link_where_the_work_is_done_is_left_alone(target, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "tree").mkdir(parents=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    (target.parent / f".{target.name}.download").symlink_to(elsewhere)
    with pytest.raises(MachineError, match="a link, where facesegl makes a folder"):
        get(target)
    assert (elsewhere / "tree").is_dir()
