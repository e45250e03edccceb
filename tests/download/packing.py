"""A FASSEG of four small files, and archives of it, well-meant and hostile."""

import gzip
import io
import tarfile
import zipfile

import numpy as np

from facesegl.download.listing import Listed, blob_hash

TOP = "FASSEG-repository-7817f33"
PATHS = ("V1/Test_RGB/1.bmp", "V1/Train_RGB/1.bmp", "V3/Test_RGB/+15/p08+0+15.bmp", "V3/Test_RGB/0/p08+0+0.bmp")


def content(number, size):
    """Bytes that do not pack."""
    return np.random.default_rng(number).bytes(size)


FILES = {path: content(number, 30_000 + number) for number, path in enumerate(PATHS)}


def listing_of(files):
    """What the list would say of these files."""
    return {path: Listed(blob_hash([data], len(data)), len(data)) for path, data in files.items()}


LISTING = listing_of(FILES)


def changed(path, to=None):
    """All files, one of them with a byte flipped, or with other content."""
    other = bytearray(FILES[path])
    other[1234] ^= 1
    return {**FILES, path: bytes(other) if to is None else to}


def zipped(files, top=f"{TOP}/", compression=zipfile.ZIP_DEFLATED):
    """A zip as GitHub makes it: one folder on top, folders as members of their own, a commit as its comment."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as archive:
        archive.comment = b"7817f332b68decc858c9e741f8c0b366b9e0289c"
        for folder in sorted({path.rpartition("/")[0] for path in files} if top else ()):
            archive.writestr(zipfile.ZipInfo(f"{top}{folder}/"), b"")
        for path, data in files.items():
            archive.writestr(f"{top}{path}", data, compression)
    return made.getvalue()


def tarred(files, top=f"{TOP}/"):
    """A tar.gz as GitHub makes it, with the commit in a pax header."""
    return tar_of(*((plain(f"{top}{path}", data), data) for path, data in files.items()), comment="7817f33")


def tar_of(*members, comment=None, **how):
    """A tar.gz of these headers, with the bytes that follow each."""
    made = io.BytesIO()
    if comment:
        how |= {"format": tarfile.PAX_FORMAT, "pax_headers": {"comment": comment}}
    with tarfile.open(fileobj=made, mode="w:gz", compresslevel=1, **how) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data) if data is not None else None)
    return made.getvalue()


def plain(name, data=b"", kind=tarfile.REGTYPE, link="", size=None):
    """The header of a tar's member."""
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(data) if size is None else size, kind, link
    return info


def zip_of(*members):
    """A zip of these names or headers, with the bytes of each."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in members:
            archive.writestr(name, data)
    return made.getvalue()


def with_mode(name, mode):
    """The header of a zip's member of another kind than a file."""
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


def gzipped_zeros(megabytes):
    """A gzip of this many million zeros, a thousandth as large."""
    return gzip.compress(bytes(1_000_000) * megabytes, compresslevel=1)
