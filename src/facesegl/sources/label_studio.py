"""An export "Brush labels to PNG" (or to NumPy) of Label Studio, unpacked.

    task-7-annotation-12-by-1-tag-left eye-0.png ...    8 bits, 0 or 255: one stroke; a label may have several
    project-1-at-2026-11-20-10-00-00.json               the JSON export of the same project, with the photo of task 7

Only the JSON export says which photo a task has. Without it, photos must be named after their task.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from facesegl.errors import DataError
from facesegl.labels.taxonomy import Taxonomy, distinct_colours
from facesegl.sources.folder import Finding, PairedFaces, PhotoFiles
from facesegl.sources.listing import (
    MASK_SUFFIXES,
    PHOTO_SUFFIXES,
    Found,
    PhotoIndex,
    expanded,
    list_files,
    natural_key,
    read_text,
    require_folder,
    truncate,
)
from facesegl.sources.pairing import Mask
from facesegl.sources.source import labels_to_taxonomy
from facesegl.text import a_few

log = logging.getLogger(__name__)

_NAME = re.compile(r"task-(?P<task>\d+)-annotation-(?P<annotation>\d+)-by-(?P<by>[^-]*)-(?P<tag>.+)-\d+")
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # the prefix that Label Studio gives to an uploaded photo


class _Stroke(NamedTuple):
    file: Found
    task: int
    annotation: int
    tag: str


class LabelStudio(PairedFaces):
    """Faces labelled with the brush of Label Studio. Of several annotations of a task, the latest is used.

    Args:
        root: the unpacked export.
        images: the folder of the photos.
        tasks: the JSON export; None for the .json files in `root`.
        how: arguments of `PairedFaces`.
    """

    def __init__(self, root: str | Path, images: str | Path, tasks: str | Path | None, **how: Any) -> None:
        super().__init__(**how)
        self.root, self.images = expanded(root), expanded(images)
        self.tasks = None if tasks is None else expanded(tasks)

    def own_taxonomy(self) -> Taxonomy:
        """The labels in alphabetical order after `background`; labels that differ only in left and right are pairs.

        Raises:
            DataError: the export is missing or has another format.
        """
        strokes, tasks = self._export()
        brushes = _brushes(tasks)
        found = sorted({_label(stroke, brushes) for stroke in strokes} - {self.rest}, key=str.casefold)
        rest = [] if self.rest == "void" else [self.rest]
        return labels_to_taxonomy(self.root, [*rest, *found], [(0, 0, 0)] * len(rest) + distinct_colours(len(found)))

    def find(self) -> Finding:
        """Find photos and their masks.

        Raises:
            DataError: a folder is missing or has no such files.
        """
        strokes, tasks = self._export()
        require_folder(self.images, "data.source.images")
        listed = list_files(self.images, PHOTO_SUFFIXES, without=[self.root]).files
        photos = [photo for photo in listed if not _NAME.fullmatch(photo.path.stem)]
        if not photos:
            raise DataError(f"{self.images}: no photos in it; expected the photos of the tasks.")
        index_of, problems = _photos_of_tasks(tasks, photos, {stroke.task for stroke in strokes})
        if not tasks and problems:
            problems = [
                f"{self.root}: no file says which photos its tasks have; put the project's JSON export next to the "
                f"masks, or set it with data.source.tasks=FILE."
            ]
        masks: dict[int, list[Mask]] = {}
        brushes = _brushes(tasks)
        for stroke in _latest(strokes):
            if stroke.task in index_of:
                masks.setdefault(index_of[stroke.task], []).append(Mask(stroke.file, _label(stroke, brushes)))
        found = [PhotoFiles(photo, masks.get(index, [])) for index, photo in enumerate(photos)]
        return Finding(found, problems, how="paired by task")

    def _export(self) -> tuple[list[_Stroke], list[Mapping[str, Any]]]:
        require_folder(self.root, "data.source.root")
        listing = list_files(self.root, MASK_SUFFIXES, without=[self.images])
        strokes = [
            _Stroke(file, int(match["task"]), int(match["annotation"]), match["tag"])
            for file in listing.files
            if (match := _NAME.fullmatch(file.name.rpartition("/")[2]))
        ]
        if not strokes:
            names = a_few([file.path.name for file in (*listing.files, *listing.others)]) or "empty"
            raise DataError(
                f"{self.root}: no file such as task-1-annotation-1-by-1-tag-skin-0.png in it ({names}); expected an "
                f"export of Label Studio as Brush labels to PNG."
            )
        files = [other.path for other in listing.others if other.path.suffix.casefold() == ".json"]
        return strokes, [task for file in ([self.tasks] if self.tasks else files) for task in _read_tasks(file)]


def _read_tasks(file: Path) -> list[Mapping[str, Any]]:
    try:
        content = json.loads(read_text(file))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: cannot be read ({error}); expected a project's JSON export.") from None
    if not isinstance(content, list) or not all(
        isinstance(task, dict) and type(task.get("id")) is int for task in content
    ):
        raise DataError(
            f"{file}: has no tasks; expected Label Studio's JSON or JSON-MIN export; move other files away."
        )
    return content


def _photos_of_tasks(
    tasks: Sequence[Mapping[str, Any]], photos: Sequence[Found], wanted: set[int]
) -> tuple[dict[int, int], list[str]]:
    """The index of each task's photo, and problems, one line each."""
    photo_index, by_id = PhotoIndex(photos), {task["id"]: task for task in tasks}
    index_of: dict[int, int] = {}
    missing, twice = [], []
    for number in sorted(wanted):
        names = list(_names_in(by_id[number])) if number in by_id else [f"task-{number}", str(number)]
        index = next((index for name in names if (index := photo_index.find(name)) is not None), None)
        if index is None:
            why = f"its photo is {names[0]}" if number in by_id and names else "no JSON export names its photo"
            missing.append(f"task {number}: {why}, which is not among the photos.")
        elif index in index_of.values():
            twice.append(f"task {number}: has the photo {photos[index].path} of another task; delete one of them.")
        else:
            index_of[number] = index
    return index_of, [
        *truncate(missing, "tasks without a photo"),
        *truncate(twice, "tasks with the photo of another task"),
    ]


def _names_in(task: Mapping[str, Any]) -> Iterator[str]:
    """Possible names of a task's photo: each path in its data, with and without the prefix of an upload."""
    data = task["data"] if isinstance(task.get("data"), Mapping) else task
    values = [task.get("file_upload"), *data.values()]
    for value in (value for value in values if isinstance(value, str)):
        try:
            url = urlsplit(value)
        except ValueError:  # not a URL
            continue
        path = unquote(parse_qs(url.query).get("d", [unquote(url.path)])[0])
        folder, slash, name = path.rpartition("/")
        if Path(name).suffix.casefold() in PHOTO_SUFFIXES:
            yield from dict.fromkeys((path, folder + slash + _UPLOADED.sub("", name)))


def _latest(strokes: Sequence[_Stroke]) -> list[_Stroke]:
    """The strokes of the latest annotation of each task, in order; logs which tasks have several."""
    last: dict[int, int] = {}
    for stroke in strokes:
        last[stroke.task] = max(stroke.annotation, last.get(stroke.task, 0))
    kept = [stroke for stroke in strokes if stroke.annotation == last[stroke.task]]
    if several := sorted({stroke.task for stroke in strokes if stroke.annotation != last[stroke.task]}):
        tasks = a_few([str(task) for task in several])
        log.info("tasks with several annotations: %s; the latest of each is used", tasks)
    return sorted(kept, key=lambda stroke: (stroke.task, natural_key(stroke.file.name)))


def _brushes(tasks: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of the brushes, longest first; a file's name has the brush before the label."""
    results = (
        result
        for task in tasks
        for annotation in _mappings(task.get("annotations"))
        for result in _mappings(annotation.get("result"))
    )
    names = (result.get("from_name") for result in results)
    return sorted({name for name in names if isinstance(name, str)}, key=len, reverse=True)


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _label(stroke: _Stroke, brushes: Sequence[str]) -> str:
    """The label in a file's name, after the name of the brush (`tag-left eye`)."""
    brush = next((brush for brush in brushes if stroke.tag.startswith(f"{brush}-")), stroke.tag.partition("-")[0])
    return stroke.tag[len(brush) + 1 :]
