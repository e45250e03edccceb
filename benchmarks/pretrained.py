"""Scores of a model on real photos and on unseen synthetic faces: the tables of docs/model_card.md.

    python benchmarks/pretrained.py [MODEL] [--faces 60] [--rows 256] [--data data] [--test] [--json FILE]

MODEL is a model file whose classes can be rendered, by default `facesegl:faces`. Prints Markdown tables of mIoU and of
the IoU of each class, pooled at native size:

- FASSEG's training photos, V2 and V3 by pose, if `--data` has them and the model has FASSEG's classes; with `--test`
  also V2's test_clean and V3's test photos: once, when everything has been chosen;
- unseen synthetic faces, `--faces` per row: by yaw, by skin tone, by size of the face, by number of faces. The last two
  tables have frontal faces that are scaled and pasted onto a wall of one color, in the last one at half the size.
"""

import argparse
import functools
import itertools
import json
import logging
import math
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from facesegl import Predictor
from facesegl.commands.build import GIVEN
from facesegl.config.check import check
from facesegl.config.compose import Composed
from facesegl.config.instantiate import build
from facesegl.evaluation.scoring import PhotoCounts, pooled, score
from facesegl.labels.from_parts import classes_of_parts
from facesegl.labels.resize import shrink_mask
from facesegl.provenance import git_state
from facesegl.scores.boundary import boundary_counts
from facesegl.scores.counts import confusion_counts
from facesegl.scores.summary import Scores
from facesegl.sources.images import resize_photo
from facesegl.sources.synthetic import shares_of_classes
from facesegl.synthetic.parts import PARTS
from facesegl.synthetic.person import SKIN_TONES, Person
from facesegl.synthetic.render import draw_face

FIRST_SEED = 2**30  # trainings use 0, 1, ... and 2**20, 2**20 + 1, ...
YAWS = (0, 15, 45, 75, 90)  # degrees
TONES = ("light", "medium", "dark")  # thirds of the scale
SCALES = (1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25)
NUMBERS = (1, 2, 4)
ENOUGH = 0.9  # of the score of the largest face
HEAD = 2.2  # head units from the crown to the chin
FRONTAL = ("pose", "crop")  # switched off: the face looks into the camera, centered

Row = dict[str, Any]
Rows = dict[str, Row]


class Labelled(NamedTuple):
    """A picture, (H, W, 3) uint8, and its mask, (H, W) uint8."""

    photo: np.ndarray
    mask: np.ndarray


def main() -> None:
    """Print the tables, and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="facesegl:faces")
    parser.add_argument("--faces", type=int, default=60, help="synthetic faces per row")
    parser.add_argument("--rows", type=int, default=256, help="height of a synthetic photo, pixels")
    parser.add_argument("--data", type=Path, default=Path("data"), help="the folder that holds fasseg")
    parser.add_argument("--test", action="store_true", help="also score the test photos")
    parser.add_argument("--json", type=Path, help="write the tables to this file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("facesegl").setLevel(logging.ERROR)
    predictor = Predictor(args.model, device="cpu")
    tables: dict[str, Rows] = {}
    for name, measured in (*real(predictor, args.data, args.test), *synthetic(predictor, args.faces, args.rows)):
        tables[name] = measured
        print(markdown(name, measured, predictor.names), flush=True)
    size, smallest = predictor.models[0].image_size, smallest_face(tables["By size of the face"])
    print(f"The smallest face with {ENOUGH:.0%} of the mIoU of the largest: {smallest} of the input's {size} rows.")
    if args.test and "FASSEG V2" in tables:
        print(f"\n<!-- test_clean: {tables['FASSEG V2']['test_clean']['miou']:.3f} -->")
    if args.json:
        facts = {"model": args.model, "image_size": size, "faces": args.faces, "rows": args.rows, "git": git_state()}
        found = {**facts, "cpu_seconds": time.process_time(), "smallest_face": smallest, "tables": tables}
        args.json.write_text(json.dumps(found, indent=2) + "\n")


def real(predictor: Predictor, data: Path, test: bool) -> Iterable[tuple[str, Rows]]:
    """The scores on FASSEG's photos, V3's also by pose."""
    for version, sets in (("V2", ("train", "test_clean")), ("V3", ("train", "test"))):
        if not (data / "fasseg" / version).is_dir():
            print(f"{data / 'fasseg' / version}: no such folder, not scored", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory() as cache:
            keys = [f"data=fasseg_{version.lower()}", "data.fold=null", f"paths.data={data}", f"paths.cache={cache}"]
            faces = build(check(Composed.of(keys), given=GIVEN).data)
            if faces.taxonomy.names != predictor.names:
                print(f"FASSEG {version}: other classes than the model's, not scored", file=sys.stderr)
                continue
            faces.setup()
            rows: Rows = {}
            for name, found in score(predictor, faces, sets if test else sets[:1]).items():
                rows[name] = of_scores(found.scores)
                rows |= {f"{name}, {tag}": of_scores(scores) for tag, scores in found.tags.items()}
                if name != "train":
                    rows[f"{name}, constant baseline"] = of_scores(found.floor)
            if found.agreement:
                rows["inter-annotator agreement"] = of_scores(found.agreement)
        yield f"FASSEG {version}", rows


def synthetic(predictor: Predictor, count: int, rows: int) -> Iterable[tuple[str, Rows]]:
    """The scores on unseen synthetic faces."""
    faces = Unseen(predictor, count, rows)
    yield "Unseen synthetic faces", {"all": faces.where(lambda yaw, tone: True)}
    yaws = {
        f"{low} to {high} degrees": faces.where(lambda yaw, tone, low=low, high=high: low <= yaw < high)
        for low, high in itertools.pairwise(YAWS)
    }
    yield "By yaw", yaws
    third = (len(SKIN_TONES) - 1) / len(TONES)
    tones = {
        name: faces.where(lambda yaw, tone, number=number: tone // third == number) for number, name in enumerate(TONES)
    }
    yield "By skin tone", tones
    frontal = [faces.face(FIRST_SEED + number, FRONTAL) for number in range(count)]
    height = HEAD / Person(FIRST_SEED, FRONTAL).frame.height * predictor.models[0].image_size
    sizes = {f"{round(scale * height)}": faces.on(faces.collage([face], scale) for face in frontal) for scale in SCALES}
    yield "By size of the face", sizes
    numbers = {
        f"{number}": faces.on(faces.collage(some, 0.5) for some in grouped(frontal, number)) for number in NUMBERS
    }
    yield "By number of faces", numbers


class Unseen:
    """Synthetic faces with a model's classes, and the model's scores on them.

    Args:
        predictor: the model.
        faces: faces per row.
        rows: the height of a picture, pixels; its width is four fifths of that.
    """

    def __init__(self, predictor: Predictor, faces: int, rows: int) -> None:
        self.predictor, self.faces, self.rows = predictor, faces, rows
        self.num_classes = predictor.taxonomy.num_classes
        self.classes, self.convention = classes_of_parts(predictor.taxonomy)
        self._counts = functools.cache(lambda seed: self._count(self.face(seed)))

    def face(self, seed: int, without: Collection[str] = ()) -> Labelled:
        """Render a face; `without` are kinds of variety to switch off."""
        face = draw_face(seed, self.rows, self.rows * 4 // 5, self.convention, without)
        shares = shares_of_classes(face, self.classes, self.num_classes)
        return Labelled(face.photo, shares.argmax(axis=-1).astype(np.uint8))

    def where(self, fits: Callable[[float, float], bool]) -> Row:
        """The scores on the first faces whose yaw, in degrees, and skin tone fit."""
        seeds = (seed for seed in itertools.count(FIRST_SEED) if fits(*traits(seed)))
        return self._pooled(self._counts(seed) for seed in itertools.islice(seeds, self.faces))

    def on(self, pictures: Iterable[Labelled]) -> Row:
        """The scores on these pictures."""
        return self._pooled(map(self._count, pictures))

    def _count(self, picture: Labelled) -> PhotoCounts:
        masks = self.predictor(picture.photo).index, picture.mask
        counts = confusion_counts(*map(torch.from_numpy, masks), self.num_classes)
        return PhotoCounts(counts, boundary_counts(*masks, self.num_classes))

    def _pooled(self, counted: Iterable[PhotoCounts]) -> Row:
        return of_scores(pooled(self.predictor.names, counted))

    def collage(self, pictures: Sequence[Labelled], scale: float) -> Labelled:
        """Pictures of one size, scaled, in the cells of a grid with up to two columns, on a wall of one color."""
        height, width = pictures[0].mask.shape
        wall = pictures[0].photo[0].mean(axis=0)  # above the first face
        photo = np.full_like(pictures[0].photo, wall)
        mask = np.full_like(pictures[0].mask, self.classes[PARTS.index("background")])
        columns = min(len(pictures), 2)
        lines = math.ceil(len(pictures) / columns)
        tall, wide = round(height * scale), round(width * scale)
        for number, each in enumerate(pictures):
            line, column = divmod(number, columns)
            top = round((line + 0.5) * height / lines - tall / 2)
            left = round((column + 0.5) * width / columns - wide / 2)
            cell = np.s_[top : top + tall, left : left + wide]
            photo[cell] = resize_photo(each.photo, tall, wide)
            mask[cell] = shrink_mask(each.mask, tall, wide, self.num_classes)
        return Labelled(photo, mask)


@functools.cache
def traits(seed: int) -> tuple[float, float]:
    """The yaw in degrees, 0 to 90, and the skin tone, from 0 (the lightest of `SKIN_TONES`)."""
    person = Person(seed)
    return math.degrees(2 * math.atan(abs(person.pose.yaw))), person.tones.depth


def grouped(faces: Sequence[Labelled], number: int) -> list[list[Labelled]]:
    """All faces, `number` of them at a time; the last group is filled with the first faces."""
    starts = range(0, len(faces), number)
    return [[faces[(start + index) % len(faces)] for index in range(number)] for start in starts]


def smallest_face(sizes: Rows) -> int:
    """The smallest face, such that it and all larger ones score enough."""
    best = next(iter(sizes.values()))["miou"]
    return int([*itertools.takewhile(lambda size: sizes[size]["miou"] >= ENOUGH * best, sizes)][-1])


def of_scores(scores: Scores) -> Row:
    """A row of a table; None for the IoU of a class that does not occur."""
    return {name: value for name, value in scores.to_dict().items() if name in ("photos", "miou", "iou")}


def markdown(title: str, rows: Rows, names: Sequence[str]) -> str:
    """A table with a line per row."""
    lines = [f"| {title} | photos | mIoU | {' | '.join(names)} |", f"|---|{'--:|' * (2 + len(names))}"]
    for name, row in rows.items():
        values = (row["miou"], *row["iou"].values())
        scores = " | ".join("-" if value is None else f"{value:.3f}" for value in values)
        lines.append(f"| {name} | {row['photos']} | {scores} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
