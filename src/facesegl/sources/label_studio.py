"""An export "Brush labels to PNG" (or to NumPy) of Label Studio, unpacked.

    task-7-annotation-12-by-1-tag-left eye-0.png ...    8 bits, 0 or 255: a stroke of a label, several files a label
    project-1-at-2026-11-20-10-00-00.json               the JSON export of the same project: which photo is task 7

File names do not say which photo a task has; the JSON export does. Without it, photos are called by their task.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from facesegl.errors import ConfigError, DataError
from facesegl.labels.colours import distinct_colours
from facesegl.labels.sides import likely_pairs
from facesegl.labels.taxonomy import Taxonomy
from facesegl.sources.listing import (
    MASK_ENDINGS,
    PHOTO_ENDINGS,
    ByName,
    Found,
    expanded,
    list_files,
    natural,
    read_text,
    require_folder,
    some,
)
from facesegl.sources.paired import Finding, PairedFaces
from facesegl.sources.pairing import Mask
from facesegl.text import a_few

log = logging.getLogger(__name__)

_NAME = re.compile(r"task-(?P<task>\d+)-annotation-(?P<annotation>\d+)-by-(?P<by>[^-]*)-(?P<tag>.+)-\d+")
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # what Label Studio puts before the name of a photo that it is given


class _Stroke(NamedTuple):
    """One file of the export: which label it shows, in which annotation of which task."""

    file: Found
    task: int
    annotation: int
    tag: str


class LabelStudio(PairedFaces):
    """Faces that were labelled in Label Studio with a brush. Of several annotations of a task the latest counts.

    Args:
        root: the unpacked export.
        images: where the photos lie.
        tasks: the JSON export; None for the .json files in `root`.
        how: as `PairedFaces` takes it.
    """

    def __init__(self, root: str | Path, images: str | Path, tasks: str | Path | None, **how: Any) -> None:
        super().__init__(**how)
        self.root, self.images = expanded(root), expanded(images)
        self.tasks = None if tasks is None else expanded(tasks)

    def own_taxonomy(self) -> Taxonomy:
        """The labels in alphabetical order after `background`; those that differ in left and right alone are pairs.

        Raises:
            DataError: the export is not there, or is another one.
        """
        strokes, tasks = self._export()
        tags = _brushes(tasks)
        found = sorted({_label(stroke, tags) for stroke in strokes} - {self.rest}, key=str.casefold)
        rest = [] if self.rest == "void" else [self.rest]
        names, pairs = (*rest, *found), tuple(likely_pairs(found))
        sides = ", ".join(" and ".join(pair) for pair in pairs)
        log.info("%s: the classes are %s%s", self.root, ", ".join(names), f"; left and right are {sides}" * bool(pairs))
        try:
            colours = (*[(0, 0, 0)] * len(rest), *distinct_colours(len(found)))
            return Taxonomy(names=names, colours=colours, pairs=pairs)
        except ConfigError as error:
            raise DataError(
                *(f"{self.root}: of its labels, {problem.partition(': ')[2]}" for problem in error.problems)
            ) from None

    def find(self) -> Finding:
        """Find photos and their masks.

        Raises:
            DataError: a folder is not there, or has none of them.
        """
        strokes, tasks = self._export()
        require_folder(self.images, "data.source.images")
        listed = list_files(self.images, PHOTO_ENDINGS, without=[self.root]).files
        photos = [photo for photo in listed if not _NAME.fullmatch(photo.path.stem)]
        if not photos:
            raise DataError(f"{self.images}: no photos in it; expected those of the tasks.")
        photo_of, problems = _photos_of_tasks(tasks, photos, {stroke.task for stroke in strokes})
        if not tasks and problems:
            problems = [
                f"{self.root}: nothing says which photos its tasks have; put the project's JSON export beside the "
                f"masks, or name it with data.source.tasks=FILE."
            ]
        found = Finding(photos, [None] * len(photos), problems=problems, how="paired by task")
        tags = _brushes(tasks)
        for stroke in _latest(strokes):
            if stroke.task in photo_of:
                mask = Mask(stroke.file, _label(stroke, tags))
                found.masks.setdefault(photo_of[stroke.task], []).append(mask)
        return found

    def _export(self) -> tuple[list[_Stroke], list[Mapping[str, Any]]]:
        """The files of the export, and the tasks of the JSON export."""
        require_folder(self.root, "data.source.root")
        listing = list_files(self.root, MASK_ENDINGS, without=[self.images])
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
    """The tasks of a JSON export.

    Raises:
        DataError: it cannot be read, or holds something else.
    """
    try:
        content = json.loads(read_text(file))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: cannot be read ({error}); expected a project's JSON export.") from None
    if not isinstance(content, list) or not all(
        isinstance(task, dict) and type(task.get("id")) is int for task in content
    ):
        raise DataError(f"{file}: holds no tasks; expected Label Studio's JSON or JSON-MIN export, or no .json there.")
    return content


def _photos_of_tasks(
    tasks: Sequence[Mapping[str, Any]], photos: Sequence[Found], wanted: set[int]
) -> tuple[dict[int, int], list[str]]:
    """The place of each task's photo, and what is wrong, a line each."""
    by_name, by_id = ByName(photos), {task["id"]: task for task in tasks}
    photo_of: dict[int, int] = {}
    lost, twice = [], []
    for number in sorted(wanted):
        names = list(_names_in(by_id[number])) if number in by_id else [f"task-{number}", str(number)]
        place = next((place for name in names if (place := by_name.find(name)) is not None), None)
        if place is None:
            why = f"its photo is {names[0]}" if number in by_id and names else "no JSON export names its photo"
            lost.append(f"task {number}: {why}, which is not among the photos.")
        elif place in photo_of.values():
            twice.append(f"task {number}: has the photo {photos[place].path} of another task; delete one of them.")
        else:
            photo_of[number] = place
    return photo_of, [*some(lost, "tasks without a photo"), *some(twice, "tasks with a photo of others")]


def _names_in(task: Mapping[str, Any]) -> Iterator[str]:
    """What a task's photo may be called: the path in its data, then the same without what an upload put before it."""
    data = task["data"] if isinstance(task.get("data"), Mapping) else task
    values = [task.get("file_upload"), *data.values()]
    for value in (value for value in values if isinstance(value, str)):
        try:
            address = urlsplit(value)
        except ValueError:  # no address, whatever it is
            continue
        path = unquote(parse_qs(address.query).get("d", [unquote(address.path)])[0])
        folder, slash, name = path.rpartition("/")
        if Path(name).suffix.casefold() in PHOTO_ENDINGS:
            yield from dict.fromkeys((path, folder + slash + _UPLOADED.sub("", name)))


def _latest(strokes: Sequence[_Stroke]) -> list[_Stroke]:
    """The strokes of the latest annotation of each task, in order; tasks with several are told."""
    last: dict[int, int] = {}
    for stroke in strokes:
        last[stroke.task] = max(stroke.annotation, last.get(stroke.task, 0))
    kept = [stroke for stroke in strokes if stroke.annotation == last[stroke.task]]
    if several := sorted({stroke.task for stroke in strokes if stroke.annotation != last[stroke.task]}):
        tasks = a_few([str(task) for task in several])
        log.info("several people labelled the tasks %s; of each the latest annotation counts", tasks)
    return sorted(kept, key=lambda stroke: (stroke.task, natural(stroke.file.name)))


def _brushes(tasks: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of the brushes that were used, longest first: what stands before the label in a file's name."""
    results = (
        result
        for task in tasks
        for annotation in _mappings(task.get("annotations"))
        for result in _mappings(annotation.get("result"))
    )
    names = (result.get("from_name") for result in results)
    return sorted({name for name in names if isinstance(name, str)}, key=len, reverse=True)


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    """The mappings of a list; of anything else none."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _label(stroke: _Stroke, brushes: Sequence[str]) -> str:
    """The label in a file's name, behind the name of the brush (`tag-left eye`)."""
    brush = next((brush for brush in brushes if stroke.tag.startswith(f"{brush}-")), stroke.tag.partition("-")[0])
    return stroke.tag[len(brush) + 1 :]
