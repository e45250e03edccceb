"""An export "Brush labels to PNG" (or to NumPy) of Label Studio, unpacked.

    task-7-annotation-12-by-1-tag-left eye-0.png ...    8 bits, 0 or 255: one stroke; a label may have several
    project-1-at-2026-11-20-10-00-00.json               the JSON export of the same project, with the photo of task 7

Only the JSON export says which photo a task has, which of its annotations is the ground truth or the newest, and which
are empty (JSON-MIN does not say the last). Without it, photos must be named after their task.
"""

import datetime
import json
import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from facesegl.errors import DataError
from facesegl.labels.decode import Decoded
from facesegl.labels.taxonomy import Taxonomy, distinct_colours
from facesegl.sources.folder import Finding, PairedFaces, PhotoFiles
from facesegl.sources.images import open_photo
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
from facesegl.sources.mask_files import value_of_rest
from facesegl.sources.pairing import Mask
from facesegl.sources.source import Sample, labels_to_taxonomy
from facesegl.text import a_few

log = logging.getLogger(__name__)

_NAME = re.compile(r"task-(?P<task>\d+)-annotation-(?P<annotation>\d+)-by-(?P<by>[^-]*)-(?P<tag>.+)-\d+")
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # the prefix that Label Studio gives to an uploaded photo


class _Stroke(NamedTuple):
    file: Found
    task: int
    annotation: int
    tag: str


class _Annotation(NamedTuple):
    """An annotation in the JSON export; `strokes` are the brush and the labels of each."""

    task: int
    number: int
    strokes: list[tuple[str, list[str]]]
    empty: bool
    cancelled: bool
    truth: bool
    updated: float


class LabelStudio(PairedFaces):
    """Faces labelled with the brush of Label Studio.

    Of several annotations of a task, the ground truth is used, else the last one updated; never a cancelled one, or a
    prediction. An annotation that was submitted empty is a photo without any label.

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
        annotations = list(_annotations(tasks))
        used = _chosen(strokes, annotations).strokes or strokes
        brushes = _brushes(annotations)
        labels = {_label(stroke, brushes) for stroke in used}
        found = sorted(labels - _of_several(labels, annotations) - {self.rest}, key=str.casefold)
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
        annotations = list(_annotations(tasks))
        chosen = _chosen(strokes, annotations)
        wanted = {stroke.task for stroke in chosen.strokes} | chosen.empty
        index_of, problems = _photos_of_tasks(tasks, photos, wanted)
        if not tasks and problems:
            problems = [
                f"{self.root}: no file says which photos its tasks have; put the project's JSON export next to the "
                f"masks, or set it with data.source.tasks=FILE."
            ]
        if chosen.several:
            log.info(
                "tasks with several annotations: %s; of each the ground truth is used, else the last one updated",
                a_few(map(str, chosen.several)),
            )
        masks = {index_of[task]: [Mask(photos[index_of[task]], None)] for task in chosen.empty if task in index_of}
        if masks:
            log.info(
                "%s: %d photos have an empty annotation; all their pixels are %s", self.name, len(masks), self.rest
            )
        brushes = _brushes(annotations)
        for stroke in chosen.strokes:
            if stroke.task in index_of:
                masks.setdefault(index_of[stroke.task], []).append(Mask(stroke.file, _label(stroke, brushes)))
        found = [PhotoFiles(photo, masks.get(index, [])) for index, photo in enumerate(photos)]
        problems += [*chosen.problems, *_painted_twice(chosen.strokes, annotations)]
        return Finding(found, problems, how="paired by task")

    def read_mask(self, sample: Sample, taxonomy: Taxonomy) -> Decoded:
        """Read the strokes of a photo. A photo with an empty annotation is its own mask file.

        Raises:
            ConfigError: `rest` is not a class.
            DataError: a file cannot be read, or the taxonomy does not define a label.
        """
        if sample.mask != sample.photo:
            return super().read_mask(sample, taxonomy)
        size = open_photo(sample.photo).shape[:2]
        return Decoded(np.full(size, value_of_rest(self.rest, taxonomy), np.uint8), np.zeros(size, dtype=bool))

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


class _Chosen(NamedTuple):
    """The strokes to use, in order, the tasks with an empty annotation, those with several, and problems."""

    strokes: list[_Stroke]
    empty: set[int]
    several: list[int]
    problems: list[str]


def _chosen(strokes: Sequence[_Stroke], annotations: Sequence[_Annotation]) -> _Chosen:
    """Choose one annotation of each task: the ground truth, else the last one updated, else the largest number."""
    used: dict[int, int] = {}
    chosen = _Chosen([], set(), [], [])
    drawn_of: dict[int, set[int]] = {}
    known_of: dict[int, dict[int, _Annotation]] = {}
    for stroke in strokes:
        drawn_of.setdefault(stroke.task, set()).add(stroke.annotation)
    for one in annotations:
        known_of.setdefault(one.task, {})[one.number] = one
    for task in sorted(drawn_of.keys() | known_of.keys()):
        drawn, known = drawn_of.get(task, set()), known_of.get(task, {})
        valid = [one for one in known.values() if not one.cancelled]
        if len(drawn | {one.number for one in valid}) > 1:
            chosen.several.append(task)
        if not known:
            used[task] = max(drawn)
        elif drawn - known.keys() and max(drawn) > max(known):
            chosen.problems.append(
                f"task {task}: annotation {max(drawn)} has masks, but is not in the JSON export; export both again."
            )
        elif valid:
            best = max(valid, key=lambda one: (one.truth, one.updated, one.number))
            used[task] = best.number
            if best.empty:
                chosen.empty.add(task)
            elif drawn and best.strokes and best.number not in drawn:
                chosen.problems.append(
                    f"task {task}: annotation {best.number} in the JSON export has no masks; export both again."
                )
    kept = (stroke for stroke in strokes if used.get(stroke.task) == stroke.annotation)
    chosen.strokes.extend(sorted(kept, key=lambda stroke: (stroke.task, natural_key(stroke.file.name))))
    return chosen


def _annotations(tasks: Sequence[Mapping[str, Any]]) -> Iterator[_Annotation]:
    for task in tasks:
        for one in _mappings(task.get("annotations")):
            regions = [(region.get("from_name"), region.get("value")) for region in _mappings(one.get("result"))]
            yield _annotation(task["id"], one.get("id"), one, regions, empty=one.get("result") == [])
        if "annotation_id" in task:  # JSON-MIN has a record for each annotation
            regions = [(brush, region) for brush, value in task.items() for region in _mappings(value)]
            yield _annotation(task["id"], task["annotation_id"], task, regions, empty=False)


def _annotation(
    task: int, number: Any, facts: Mapping[str, Any], regions: Sequence[tuple[Any, Any]], empty: bool
) -> _Annotation:
    strokes = [(brush, _labels_in(value)) for brush, value in regions if isinstance(brush, str)]
    return _Annotation(
        task=task,
        number=number if type(number) is int else 0,
        strokes=[(brush, labels) for brush, labels in strokes if labels],
        empty=empty,
        cancelled=bool(facts.get("was_cancelled") or facts.get("skipped")),
        truth=facts.get("ground_truth") is True,
        updated=_seconds(facts.get("updated_at") or facts.get("created_at")),
    )


def _labels_in(value: Any) -> list[str]:
    found = (value.get("brushlabels") or value.get("labels")) if isinstance(value, Mapping) else None
    return [label for label in found if isinstance(label, str)] if isinstance(found, list) else []


def _seconds(time: Any) -> float:
    try:
        return datetime.datetime.fromisoformat(str(time)).timestamp()
    except (ValueError, OverflowError):
        return 0


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _brushes(annotations: Sequence[_Annotation]) -> list[str]:
    """The names of the brushes, longest first; a file's name has the brush before the label."""
    return sorted({brush for one in annotations for brush, _ in one.strokes}, key=len, reverse=True)


def _label(stroke: _Stroke, brushes: Sequence[str]) -> str:
    """The label in a file's name, after the name of the brush (`tag-left eye`)."""
    brush = next((brush for brush in brushes if stroke.tag.startswith(f"{brush}-")), stroke.tag.partition("-")[0])
    return stroke.tag[len(brush) + 1 :]


def _of_several(labels: Collection[str], annotations: Sequence[_Annotation]) -> set[str]:
    """The labels that are several, joined by `-`, on one stroke."""
    every = [found for one in annotations for _, found in one.strokes]
    single = {_in_file_name(found[0]) for found in every if len(found) == 1}
    joined = {_in_file_name("-".join(found)) for found in every if len(found) > 1}
    each = "|".join(map(re.escape, labels))
    made = re.compile(rf"(?:{each})(?:-(?:{each}))+")
    return {label for label in labels if label not in single and (label in joined or made.fullmatch(label))}


def _in_file_name(label: str) -> str:
    return re.sub(r"[/\\]", "-", label)


def _painted_twice(strokes: Sequence[_Stroke], annotations: Sequence[_Annotation]) -> list[str]:
    brushes = _brushes(annotations)
    label_of = {stroke: _label(stroke, brushes) for stroke in strokes}
    several = _of_several({*label_of.values()}, annotations)
    return truncate(
        [
            f"{stroke.file.path}: a stroke with several labels ({label}); give each stroke one label in Label Studio, "
            f"and export both again."
            for stroke, label in label_of.items()
            if label in several
        ],
        "strokes with several labels",
    )
