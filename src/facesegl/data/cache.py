"""The cache: images at the net's size and bit-packed one-hot masks, built once from the files and memory-mapped.

    <cache>/<name>-<size>-<key12>/
      photos.npy      (N, S, S, 3) uint8
      masks.npy       (N, S, S, ceil(C/8)) uint8, bit c of a pixel set for class c, no bit for void
      checksums.npy   (N,) uint32, CRC-32 of each sample's image and mask
      manifest.json   a row per sample, what was left out, the key, versions; written last

The key depends on the contents of the files. A cache is built in a temporary folder, which is renamed once everything
is on the disk: a killed build leaves no incomplete cache.
"""

import json
import logging
import os
import shutil
import zlib
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple, get_args, get_type_hints

import filelock
import numpy as np

from facesegl.checks.reading import shows_mask
from facesegl.console import track
from facesegl.data.hashes import FileHashes, digest
from facesegl.errors import DataError, is_out_of_memory
from facesegl.files import machine_errors, remove_builds_of_the_dead, sync, write_json
from facesegl.labels.decode import class_pixels
from facesegl.labels.onehot import pack_onehot, packed_depth
from facesegl.labels.resize import shrink_mask
from facesegl.labels.taxonomy import Taxonomy
from facesegl.sources.images import pixel_hash, resize_photo
from facesegl.sources.listing import require_regular, truncate
from facesegl.sources.source import Sample, Source, join_groups, swapped
from facesegl.text import grouped
from facesegl.threads import in_threads

log = logging.getLogger(__name__)

FORMAT = 2
"""Incremented when the format of a cache changes."""

_SHOWN_PROBLEMS = 50


@dataclass(frozen=True)
class Row:
    """The manifest's entry for a cached sample.

    Attributes:
        id: the sample's id.
        split: train, val or test.
        group: the person if known; samples with identical pixels share a group.
        tags: further facts about the sample.
        height: native rows.
        width: native columns.
        pixels: a hash of the photo's native pixels.
        class_pixels: native pixels of each class.
        inexact: native pixels of each class that did not have its exact color.
    """

    id: str
    split: str
    group: str
    tags: tuple[str, ...]
    height: int
    width: int
    pixels: str
    class_pixels: tuple[int, ...]
    inexact: tuple[int, ...]


_HINTS = get_type_hints(Row)


class FaceCache:
    """Cached samples; opened if the cache exists and is intact, built otherwise.

    Args:
        source: the photos and masks.
        taxonomy: the classes.
        image_size: height and width in the cache.
        root: the folder of all caches.

    Attributes:
        listed: the source's samples.
        samples: those that are cached, in the order of `rows`.
        rows: the manifest's rows.
        left_out: the ids of samples whose mask differs in size from its photo, with the reason.
        show_masks: the ids of samples whose photo shows the mask itself; empty in caches that do not say so.
        fingerprint: 12 hex digits that identify the contents of the files and their splits.
        folder: the folder of this cache.
    """

    def __init__(self, source: Source, taxonomy: Taxonomy, image_size: int, root: Path) -> None:
        self._source, self._taxonomy, self._size, self._root = source, taxonomy, image_size, root
        self.listed = source.samples()
        self._hashes = self._hash_files()
        self.fingerprint = _fingerprint(self.listed, self._hashes)
        self.key = digest([self.fingerprint, taxonomy.to_mapping(), image_size, source.reading, FORMAT])
        self.folder = root / f"{source.name}-{image_size}-{self.key}"
        if not self._open():
            self._build()
        by_id = {sample.id: sample for sample in self.listed}
        self.samples = [by_id[row.id] for row in self.rows]

    def read(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gather samples; verifies the checksum of each the first time that this process reads it.

        Args:
            indices: (B,) int64, indices into `rows`.

        Returns:
            (B, S, S, 3) uint8 images and (B, S, S, ceil(C/8)) uint8 masks.

        Raises:
            DataError: the cache is damaged, and the photos or masks have changed.
        """
        for index in indices[~self._checked[indices]]:
            if _checksum(self._images[index], self._masks[index]) != self._checksums[index]:
                log.warning(
                    "%s: %s has changed since it was cached; rebuilding the cache", self.folder, self.rows[index].id
                )
                self._rebuild()
                return self.read(indices)
            self._checked[index] = True
        return self._images[indices], self._masks[indices]

    def changed_files(self) -> list[Path]:
        """The photos and masks whose content has changed since this cache was opened.

        Raises:
            DataError: a file is gone.
        """
        now = self._hash_files()
        return [path for path, value in self._hashes.items() if now[path] != value]

    def _hash_files(self) -> dict[Path, str]:
        paths = [*dict.fromkeys(path for sample in self.listed for path in self._source.files(sample))]
        return dict(zip(paths, FileHashes(self._root / "contents.json").hashes(paths), strict=True))

    def _rebuild(self) -> None:
        if self.changed_files():
            raise DataError(
                f"{self.folder}: damaged, and photos or masks have changed since this process started. Start again to "
                f"build a new cache."
            )
        (self.folder / "manifest.json").unlink(missing_ok=True)
        self._build()

    def _open(self) -> bool:
        if not (self.folder / "manifest.json").is_file():
            return False
        try:
            manifest = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
            if manifest["key"] != self.key:
                raise ValueError(f"made for the key {manifest['key']}")
            self.rows = [_row(row) for row in manifest["rows"]]
            self.left_out = {str(name): str(why) for name, why in manifest["left_out"].items()}
            self.show_masks = [str(name) for name in manifest.get("show_masks", ())]  # not in older caches
            self._require_rows()
            files = (self.folder / f"{name}.npy" for name in ("photos", "masks", "checksums"))
            self._images, self._masks, self._checksums = (_mapped(file) for file in files)
            self._require_shapes()
        except Exception as error:  # a damaged cache raises any kind of exception
            if is_out_of_memory(error):
                raise
            reason = " ".join(str(error).split())[:120] or type(error).__name__
            log.warning("%s: damaged or incomplete (%s); rebuilding the cache", self.folder, reason)
            return False
        self._checked = np.zeros(len(self.rows), dtype=bool)
        return True

    def _require_rows(self) -> None:
        listed, found = [sample.id for sample in self.listed], [row.id for row in self.rows]
        if found != [name for name in listed if name not in self.left_out] or not self.left_out.keys() <= {*listed}:
            raise ValueError("its rows do not match the photos")
        classes = self._taxonomy.num_classes
        if any(len(row.class_pixels) != classes or len(row.inexact) != classes for row in self.rows):
            raise ValueError("its rows have another number of classes")

    def _require_shapes(self) -> None:
        square, depth = (len(self.rows), self._size, self._size), packed_depth(self._taxonomy.num_classes)
        found: list[Any] = [(array.shape, array.dtype) for array in (self._images, self._masks, self._checksums)]
        if found != [((*square, 3), np.uint8), ((*square, depth), np.uint8), (square[:1], np.uint32)]:
            raise ValueError(f"shapes and dtypes are {found}")

    def _build(self) -> None:
        """Build under a lock, which is released if its process dies; other processes wait and then open the cache."""
        with machine_errors(f"{self.folder} (below paths.cache)"):
            self._root.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(f"{self.folder}.lock")
            try:
                held = lock.acquire(timeout=0)
            except filelock.Timeout:
                log.info("another process is building %s; waiting for it", self.folder)
                held = lock.acquire()
            with held:
                if not self._open():
                    remove_builds_of_the_dead(self._root)
                    self._write()
                    if not self._open():
                        raise DataError(
                            f"{self.folder}: damaged right after the build. Does another program change it?"
                        )

    def _write(self) -> None:
        part = self.folder.with_name(f".{self.folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)  # left by a killed process: this one holds the lock
        part.mkdir()
        try:
            self._fill(part)
            self._require_unchanged()
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        shutil.rmtree(self.folder, ignore_errors=True)
        part.replace(self.folder)
        sync(self._root)

    def _require_unchanged(self) -> None:
        """Raise a DataError if files have changed since the key was computed."""
        if changed := self.changed_files():
            raise DataError(
                *truncate([f"{path}: changed while it was cached; run it again." for path in changed], "changed files")
            )

    def _fill(self, part: Path) -> None:
        rows, left_out, show_masks = self._write_arrays(part)
        same = ((rows[one].id, rows[other].id) for one, other in identical_photos(row.pixels for row in rows))
        groups = join_groups({row.id: row.group for row in rows}, same)
        manifest = {
            "format": FORMAT,
            "key": self.key,
            "fingerprint": self.fingerprint,
            "source": self._source.name,
            "taxonomy": self._taxonomy.to_mapping(),
            "decoding": self._source.reading,
            "left_out": left_out,
            "show_masks": show_masks,
            "rows": [{**asdict(row), "group": groups[row.id]} for row in rows],
        }
        write_json(part / "manifest.json", manifest)
        log.info("cached %d samples in %s", len(rows), self.folder)

    def _write_arrays(self, folder: Path) -> tuple[list[Row], dict[str, str], list[str]]:
        size, depth = self._size, packed_depth(self._taxonomy.num_classes)
        rows: list[Row] = []
        left_out: dict[str, str] = {}
        show_masks: list[str] = []
        problems: list[str] = []
        with (
            _GrowingArray(folder / "photos.npy", (size, size, 3), np.uint8) as images,
            _GrowingArray(folder / "masks.npy", (size, size, depth), np.uint8) as masks,
            _GrowingArray(folder / "checksums.npy", (), np.uint32) as checksums,
        ):
            prepared = in_threads(self._prepare, self.listed)
            for outcome in track(prepared, total=len(self.listed), what=self._source.progress):
                if isinstance(outcome, DataError):
                    problems += outcome.problems
                elif isinstance(outcome, _LeftOut):
                    left_out[outcome.id] = outcome.why
                else:
                    rows.append(outcome.row)
                    show_masks += [outcome.row.id] if outcome.shows_mask else []
                    images.append(outcome.image)
                    masks.append(outcome.mask)
                    checksums.append(np.uint32(_checksum(outcome.image, outcome.mask)))
        if problems and not rows and not left_out and (why := swapped(self._source, self.listed, self._taxonomy)):
            raise DataError(why)
        if problems or not rows:
            lines = [*grouped(problems or left_out.values())]
            more = [f"... and {len(lines) - _SHOWN_PROBLEMS} more."] if len(lines) > _SHOWN_PROBLEMS else []
            raise DataError(*lines[:_SHOWN_PROBLEMS], *more)
        return rows, left_out, show_masks

    def _prepare(self, sample: Sample) -> "_Prepared | _LeftOut | DataError":
        try:
            photo, (mask, inexact) = self._source.read(sample, self._taxonomy)
        except DataError as error:
            return error
        if mask.shape != photo.shape[:2]:
            (rows, columns), (height, width) = mask.shape, photo.shape[:2]
            hint = " (labelled on the photo without its EXIF rotation?)" if (columns, rows) == (height, width) else ""
            sizes = f"the mask is {columns}x{rows}, its photo {width}x{height}"
            return _LeftOut(sample.id, f"{sample.mask}: {sizes}{hint}")
        num_classes, size = self._taxonomy.num_classes, self._size
        row = Row(
            id=sample.id,
            split=sample.split,
            group=sample.group,
            tags=sample.tags,
            height=photo.shape[0],
            width=photo.shape[1],
            pixels=pixel_hash(photo).hex(),
            class_pixels=tuple(class_pixels(mask, num_classes).tolist()),
            inexact=tuple(class_pixels(mask[inexact], num_classes).tolist()),
        )
        packed = pack_onehot(shrink_mask(mask, size, size, num_classes), num_classes)
        return _Prepared(row, resize_photo(photo, size, size), packed, shows_mask(photo, mask, self._taxonomy))


class _LeftOut(NamedTuple):
    id: str
    why: str


class _Prepared(NamedTuple):
    row: Row
    image: np.ndarray
    mask: np.ndarray
    shows_mask: bool


class _GrowingArray:
    """An .npy file that grows row by row. On a full disk a write raises; a memory map would crash."""

    def __init__(self, path: Path, row_shape: tuple[int, ...], dtype: type) -> None:
        self._file: IO[bytes] = path.open("wb")
        self._row_shape, self._dtype, self._length = row_shape, np.dtype(dtype), 0
        self._write_header()

    def __enter__(self) -> "_GrowingArray":
        return self

    def __exit__(self, *_: object) -> None:
        with self._file:
            self._file.seek(0)
            self._write_header()  # NumPy pads it so that a longer first axis fits
            self._file.flush()
            os.fsync(self._file.fileno())

    def append(self, row: Any) -> None:
        self._file.write(np.ascontiguousarray(row, dtype=self._dtype).tobytes())
        self._length += 1

    def _write_header(self) -> None:
        shape = (self._length, *self._row_shape)
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)


def _fingerprint(samples: Sequence[Sample], hashes: Mapping[Path, str]) -> str:
    photos = [hashes.get(sample.photo) for sample in samples]  # None without a file
    masks = [hashes.get(path) for sample in samples for path in sample.mask_files]
    described = [
        [sample.id, sample.split, sample.group, list(sample.tags), *(name for name, _path in sample.parts)]
        for sample in samples
    ]
    return digest([described, photos, masks])


def identical_photos(pixels: Iterable[Hashable]) -> Iterator[tuple[int, int]]:
    """Pairs of indices of photos with the same pixel hash: the first one with it, and each later one."""
    first: dict[Hashable, int] = {}
    for index, found in enumerate(pixels):
        if found in first:
            yield first[found], index
        first.setdefault(found, index)


def _row(row: dict[str, Any]) -> Row:
    """A row of the manifest; raises if a value has the wrong type."""
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    if wrong := [name for name, hint in _HINTS.items() if not _is_a(values[name], hint)]:
        raise TypeError(f"a row has values of the wrong type: {', '.join(wrong)}")
    return Row(**values)


def _is_a(value: Any, hint: Any) -> bool:
    kinds = get_args(hint)
    if not kinds:
        return type(value) is hint
    return isinstance(value, tuple) and all(type(one) is kinds[0] for one in value)


def _mapped(file: Path) -> np.ndarray:
    require_regular(file)
    array: np.ndarray = np.load(file, mmap_mode="r", allow_pickle=False)
    return array


def _checksum(image: np.ndarray, mask: np.ndarray) -> int:
    """The CRC of an image (H, W, 3) and its packed mask (H, W, K)."""
    return zlib.crc32(mask.tobytes(), zlib.crc32(image.tobytes()))
