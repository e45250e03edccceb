"""A FASSEG of four small files, and zips of it."""

import io
import zipfile

import numpy as np

from facesegl.download.manifest import blob_hash

PATHS = ("V1/Test_RGB/1.bmp", "V1/Train_RGB/1.bmp", "V3/Test_RGB/+15/p08+0+15.bmp", "V3/Test_RGB/0/p08+0+0.bmp")
TOP = "FASSEG-repository-7817f33/"


def manifest_of(files):
    return {path: (blob_hash(content), len(content)) for path, content in files.items()}


FILES = {path: np.random.default_rng(seed).bytes(30_000 + seed) for seed, path in enumerate(PATHS)}  # incompressible
MANIFEST = manifest_of(FILES)


def zipped(files, top=TOP, compression=zipfile.ZIP_DEFLATED, more=()):
    """A zip as GitHub makes it: one folder on top, members for folders, the commit as comment; and more members."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as archive:
        archive.comment = b"7817f332b68decc858c9e741f8c0b366b9e0289c"
        for folder in sorted({path.rpartition("/")[0] for path in files}) if top else ():
            archive.writestr(zipfile.ZipInfo(f"{top}{folder}/"), b"")
        for path, content in [*((f"{top}{path}", content) for path, content in files.items()), *more]:
            archive.writestr(path, content)
    return made.getvalue()


def member(name, mode=0):  # which may be a link or a device
    info = zipfile.ZipInfo("x")
    info.filename, info.create_system, info.external_attr = name, 3, mode << 16
    return info


ZIP = zipped(FILES)


def write(folder, files):
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def files_in(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
