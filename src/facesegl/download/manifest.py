r"""The images of FASSEG with their git hashes and sizes, and a check of a folder against them.

`fasseg.txt` has a line for each image. To regenerate it in a clone:

    git ls-tree -r --format='%(objectname) %(objectsize) %(path)' COMMIT | grep '\.bmp$'
"""

import functools
import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from facesegl.console import track

ADDRESS = "https://github.com/massimomauro/FASSEG-repository"
COMMIT = "7817f332b68decc858c9e741f8c0b366b9e0289c"
ARCHIVE = f"{ADDRESS}/archive/{COMMIT}.zip"


Manifest = Mapping[str, tuple[str, int]]  # git blob hash and size in bytes, by path with `/`


@functools.cache
def fasseg_manifest() -> Manifest:
    """The 948 images of FASSEG."""
    lines = (resources.files("facesegl.download") / "fasseg.txt").read_text(encoding="ascii").splitlines()
    return {path: (blob, int(size)) for blob, size, path in (line.split(" ", 2) for line in lines)}


def blob_hash(content: bytes) -> str:
    """The hash that git computes for a file with this content, as 40 hex digits."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def survey(folder: Path, manifest: Manifest) -> tuple[list[str], dict[str, str], dict[str, str]]:
    """Compare a folder, which need not exist, with a manifest.

    Returns:
        Missing paths; paths of files with other content; blocked paths: the last two with a description.
    """
    missing, altered, blocked = list[str](), dict[str, str](), dict[str, str]()
    for path, (blob, size) in track(manifest.items(), total=len(manifest), what=f"checking {folder}"):
        file = folder / path
        try:
            actual = file.stat().st_size
            if not file.is_file():  # opening a named pipe would block
                blocked[path] = f"{path} (not a regular file)"
            elif actual != size:
                altered[path] = f"{path} ({actual} bytes instead of {size})"
            elif blob_hash(file.read_bytes()) != blob:
                altered[path] = f"{path} (its content differs)"
        except FileNotFoundError:
            if file.is_symlink():
                altered[path] = f"{path} (a broken link)"
            else:
                missing.append(path)
        except NotADirectoryError:
            blocker = next(parent for parent in file.parents if parent.exists()).relative_to(folder).as_posix()
            blocked[blocker] = f"{blocker} (a file where a folder is expected)"
        except OSError as error:
            blocked[path] = f"{path} (not readable: {error.strerror})"
    return missing, altered, blocked
