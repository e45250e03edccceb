"""What an archive may say of itself, and what is believed of it."""

import contextlib
import gzip
import io
import logging
import stat
import struct
import tarfile
import tracemalloc
import zipfile

import pytest

from download.packing import (
    FILES,
    LISTING,
    PATHS,
    TOP,
    changed,
    content,
    gzipped_zeros,
    plain,
    tar_of,
    tarred,
    with_mode,
    zip_of,
    zipped,
)
from facesegl.download.archive import most_bytes, unpack
from facesegl.errors import DataError


def unpacked(tmp_path, packed, wanted=LISTING):
    """What an archive leaves below a new folder."""
    (tmp_path / "archive").write_bytes(packed)
    tree = tmp_path / "tree"
    try:
        unpack(tmp_path / "archive", "it", wanted, LISTING, tree)
    finally:
        left = {path.relative_to(tree).as_posix(): path for path in tree.rglob("*") if not path.is_dir()}
        assert not any(path.is_symlink() for path in left.values())
        assert set(left) <= set(LISTING)
        outside = {path.name for path in tmp_path.iterdir()} - {"archive", "tree", "cache"}
        assert not outside
    return {path: file.read_bytes() for path, file in left.items()}


def refused(tmp_path, packed, *words):
    """The whole is refused, and nothing was written; one line for each of the words."""
    with pytest.raises(DataError) as told:
        unpacked(tmp_path, packed)
    assert not (tmp_path / "tree").exists()
    assert len(told.value.problems) == len(words), told.value
    for line, word in zip(told.value.problems, words, strict=True):
        assert line.startswith("it: ")
        assert word in line
        assert "nothing of it was unpacked" in line
        assert line.isprintable()


@pytest.mark.parametrize("top", [f"{TOP}/", "", "another name/", "./"])
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_archive_is_unpacked_with_or_without_a_folder_on_top(tmp_path, pack, top):
    assert unpacked(tmp_path, pack(FILES, top)) == FILES


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip_may_be_packed_or_not(tmp_path, compression):
    assert unpacked(tmp_path, zipped(FILES, compression=compression)) == FILES


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_only_what_is_wanted_is_written(tmp_path, pack):
    wanted = {PATHS[2]: LISTING[PATHS[2]]}
    assert unpacked(tmp_path, pack(changed(PATHS[0])), wanted) == {PATHS[2]: FILES[PATHS[2]]}


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_other_files_are_left_in_it_and_named(tmp_path, pack, caplog):
    more = {**FILES, "README.md": b"hello", "V1/Test_RGB/2.bmp": b"x", "bad\x1b[31m.txt": b""}
    with caplog.at_level(logging.INFO):
        assert unpacked(tmp_path, pack(more)) == FILES
    assert caplog.messages == [
        "it: left in it, since they are no images of FASSEG: 'README.md', 'V1/Test_RGB/2.bmp', 'bad\\x1b[31m.txt'"
    ]


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_one_flipped_byte_is_named(tmp_path, pack):
    with pytest.raises(DataError) as told:
        unpacked(tmp_path, pack(changed(PATHS[2])))
    assert told.value.problems == (
        f"it: {PATHS[2]}: other content than is listed; expected the file of commit 7817f33. Fetch the archive again, "
        f"or another one.",
    )


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_all_that_is_missing_or_wrong_is_told_at_once(tmp_path, pack):
    files = changed(PATHS[1], b"short")
    files[PATHS[3]] = content(9, len(FILES[PATHS[3]]))
    del files[PATHS[0]]
    with pytest.raises(DataError) as told:
        unpacked(tmp_path, pack(files))
    first, second, third = told.value.problems
    assert f"{PATHS[0]}: not in the archive" in first
    assert f"{PATHS[1]}: 5 bytes where 30001 are listed" in second
    assert f"{PATHS[3]}: other content" in third


def test_byte_that_flipped_inside_a_packed_file_names_that_one(tmp_path):
    packed = bytearray(zipped(FILES))
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        packed[archive.getinfo(f"{TOP}/{PATHS[1]}").header_offset + 5_000] ^= 1
    with pytest.raises(DataError, match=PATHS[1]) as told:
        unpacked(tmp_path, bytes(packed))
    assert len(told.value.problems) == 1


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.99])
def test_archive_that_is_cut_off_is_refused(tmp_path, pack, share):
    packed = pack(FILES)
    with pytest.raises(DataError, match="it: "):
        unpacked(tmp_path, packed[: int(len(packed) * share)])


@pytest.mark.parametrize(
    ("packed", "begins"),
    [(b"<!DOCTYPE html><html>Log in", "<!DO"), (b"", "''"), (content(5, 1000), "it begins with"), (bytes(512), "x00")],
    ids=["a page", "nothing", "noise", "zeros"],
)
def test_what_is_no_archive_is_told_by_its_beginning(tmp_path, packed, begins):
    refused(tmp_path, packed, begins)


def test_gzip_of_something_else_is_refused(tmp_path):
    refused(tmp_path, gzip.compress(content(5, 5000)), "expected a zip or tar.gz")


HOSTILE = {
    "a path that leaves the folder": ["../x", f"{TOP}/../../x", f"../{PATHS[0]}", "V1/..", "V1\\..\\..\\x"],
    "an absolute path": ["/tmp/x", f"/{PATHS[0]}", "\\x", "C:\\x", "c:x"],
}


@pytest.mark.parametrize(("fault", "name"), [(fault, name) for fault in HOSTILE for name in HOSTILE[fault]])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_path_that_would_lead_elsewhere_is_refused(tmp_path, kind, fault, name):
    good = {f"{TOP}/{path}": FILES[path] for path in PATHS[1:]}
    if kind == "zip":
        packed = zip_of(*good.items(), (name, b"x"))
    else:
        packed = tar_of(*((plain(path, data), data) for path, data in good.items()), (plain(name, b"x"), b"x"))
    refused(tmp_path, packed, fault)


def test_all_faults_are_told_at_once(tmp_path):
    refused(tmp_path, zip_of(("../x", b""), ("/y", b""), (with_mode("z", stat.S_IFLNK), b"/")), "../x", "/y", "a link")


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
@pytest.mark.parametrize("name", [PATHS[0], f"{TOP}/x", "V1/"])
def test_zip_with_a_link_or_a_device_is_refused(tmp_path, mode, name):
    fault = "a link" if mode == stat.S_IFLNK else "neither a file nor a folder"
    refused(tmp_path, zip_of((with_mode(name, mode | 0o777), b"/etc")), fault)


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "neither a plain file"),
        (tarfile.BLKTYPE, "neither a plain file"),
        (tarfile.FIFOTYPE, "neither a plain file"),
        (tarfile.CONTTYPE, "neither a plain file"),
        (b"?", "neither a plain file"),
    ],
)
@pytest.mark.parametrize("link", ["/etc/passwd", f"{TOP}/{PATHS[0]}"])
def test_tar_with_a_link_or_a_device_is_refused(tmp_path, kind, fault, link):
    first = plain(f"{TOP}/{PATHS[0]}", FILES[PATHS[0]])
    refused(tmp_path, tar_of((first, FILES[PATHS[0]]), (plain(PATHS[1], kind=kind, link=link), None)), fault)


def test_sparse_file_of_a_tar_is_refused(tmp_path):
    refused(tmp_path, tar_of((plain(PATHS[0], kind=tarfile.GNUTYPE_SPARSE), None)), "neither a plain file")


def test_nul_in_a_name_is_refused(tmp_path):
    info = zipfile.ZipInfo("x")
    info.filename = f"{PATHS[0]}\0.exe"  # what zipfile would cut off when it reads it
    refused(tmp_path, zip_of((info, FILES[PATHS[0]])), "a NUL")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("pack", ["zip", "tar"])
@pytest.mark.parametrize(
    "twice", [(PATHS[0], PATHS[0]), (f"a/{PATHS[0]}", f"b/{PATHS[0]}"), ("x", "x"), ("a/Readme", "A/README")]
)
def test_one_name_twice_is_refused(tmp_path, pack, twice):
    members = [(name, content(place, 10)) for place, name in enumerate(twice)]
    packed = zip_of(*members) if pack == "zip" else tar_of(*((plain(name, data), data) for name, data in members))
    refused(tmp_path, packed, "2 times")


def test_names_that_differ_in_case_alone_are_refused(tmp_path):
    name = f"{TOP}/{PATHS[0]}"
    refused(tmp_path, zip_of((name, FILES[PATHS[0]]), (name.upper(), b"x"), (name.lower(), b"x")), "2 times")


def test_member_without_a_name_is_left_in_it(tmp_path):
    info = zipfile.ZipInfo("x")
    info.filename = ""
    assert unpacked(tmp_path, zip_of((info, b"x"), *FILES.items())) == FILES


def test_encrypted_and_oddly_packed_members_are_refused(tmp_path):
    for compression in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        refused(tmp_path, zipped({PATHS[0]: b"x" * 100}, compression=compression), "packed in a way")
    packed = bytearray(zipped({PATHS[0]: b"x" * 100}))
    packed[packed.rindex(b"PK\1\2") + 8] |= 1
    refused(tmp_path, bytes(packed), "encrypted")


def test_more_members_than_there_can_be_are_refused(tmp_path):
    refused(tmp_path, zip_of(*((str(number), b"") for number in range(1100))), "more than FASSEG can")
    refused(tmp_path, tar_of(*((plain(str(number)), b"") for number in range(1100))), "more than FASSEG can")


def test_table_of_contents_is_not_read_whatever_its_size(tmp_path):
    names = ((f"{number:0>60000}", b"") for number in range(40))
    refused(tmp_path, zip_of(*names), "far too large")


@pytest.mark.parametrize("name", [PATHS[0], "README.md"])
def test_sizes_that_cannot_be_are_refused_as_they_are_declared(tmp_path, name):
    packed = bytearray(zip_of((name, b"x")))
    place = packed.rindex(b"PK\1\2") + 24
    packed[place : place + 4] = struct.pack("<I", 0xFFFFFFF0)
    refused(tmp_path, bytes(packed), "more than FASSEG can")
    refused(tmp_path, tar_of((plain(name, size=10**12), None)), "more than FASSEG can")


@pytest.mark.parametrize("size", [-512, -1, -(10**9)])
def test_tar_with_a_negative_size_is_refused(tmp_path, size):
    with pytest.raises(DataError):
        unpacked(tmp_path, tar_of((plain("x", size=size), None), format=tarfile.GNU_FORMAT))


def test_zip_bomb_that_lies_about_its_size_writes_no_more_than_is_listed(tmp_path):
    zeros = bytes(20_000_000)
    packed = bytearray(zipped({PATHS[0]: zeros}, top=""))
    place = packed.rindex(b"PK\1\2") + 24
    packed[place : place + 4] = struct.pack("<I", LISTING[PATHS[0]].size)
    tracemalloc.start()
    with pytest.raises(DataError, match=PATHS[0]):
        unpacked(tmp_path, bytes(packed), {PATHS[0]: LISTING[PATHS[0]]})
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2_000_000
    assert (tmp_path / "tree" / PATHS[0]).stat().st_size <= LISTING[PATHS[0]].size


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_tar_bomb_is_not_inflated(tmp_path, kind):
    header = plain("x", kind=kind, size=50_000_000).tobuf(tarfile.GNU_FORMAT)
    packed = gzip.compress(header) + gzipped_zeros(50)
    tracemalloc.start()
    refused(tmp_path, packed, "expected a zip or tar.gz of FASSEG")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 8_000_000


def test_headers_nested_without_end_are_refused(tmp_path):
    nested = b"".join(plain("x", kind=tarfile.XHDTYPE, size=0).tobuf(tarfile.GNU_FORMAT) for _ in range(2000))
    with pytest.raises(DataError):
        unpacked(tmp_path, gzip.compress(nested))


def test_bound_leaves_room_for_the_real_archive():
    room = most_bytes(LISTING) - sum(listed.size for listed in LISTING.values())
    assert room >= len(LISTING) * (3 * 512 + 3 * 512)  # a tar's header, pax header and padding, and a zip's two tables


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_flipped_byte_is_told_or_harmless_wherever_it_is(tmp_path, pack):
    listing = {PATHS[0]: LISTING[PATHS[0]]}
    packed = pack({PATHS[0]: FILES[PATHS[0]]})
    for place in [*range(0, 150, 7), *range(len(packed) - 300, len(packed), 11)]:
        flipped = bytearray(packed)
        flipped[place] ^= 0xFF
        (tmp_path / "archive").write_bytes(flipped)
        tree = tmp_path / f"tree{place}"
        with contextlib.suppress(DataError):
            unpack(tmp_path / "archive", "it", listing, listing, tree)
            assert (tree / PATHS[0]).read_bytes() == FILES[PATHS[0]]
