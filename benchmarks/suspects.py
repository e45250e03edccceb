"""How scores rank label errors: errors are planted in masks of synthetic faces, and a cross-validation looks for them.

    python benchmarks/suspects.py [--photos 40] [--errors 8] [--seeds 3] [--root FASSEG] [--json FILE] [key=value ...]

Each seed plants other errors and trains from other weights. Of each kind there is the same number: two classes swapped,
a mask shifted by a tenth of its height, a class emptied into skin, another photo's mask. Prints a row for each score:
the share of errors among the first `--errors` photos, the median rank of an error (1 is first), and how many are
among these by kind, over all seeds. Self-confidence is the probability of the given label (Northcutt et al. 2021),
averaged over the pixels of a class, or over the photo with a softmin. Keys are those of conf/train.yaml.
"""

import argparse
import json
import shutil
import statistics
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import facesegl
from facesegl.commands.datasets import open_models
from facesegl.config.compose import compose
from facesegl.config.instantiate import build
from facesegl.evaluation.counts_file import read_counts
from facesegl.evaluation.suspects import rank_suspects
from facesegl.labels.decode import mask_to_colours
from facesegl.labels.from_parts import classes_of_parts
from facesegl.labels.taxonomy import Taxonomy
from facesegl.scores.counts import iou, miou
from facesegl.sources.synthetic import shares_of_classes
from facesegl.synthetic.render import draw_face

KINDS = ("swapped", "shifted", "emptied", "another's")
CLASSES = ("nose", "eyes", "mouth")
SIMPLE = ("photo's mIoU", "lowest class IoU", "lowest class self-confidence", "softmin of self-confidence")
TEMPERATURE = 0.1  # of the softmin, as in cleanlab
FOLDS = 5
FIRST_SEED = 2**30  # trainings use 0, 1, ... and 2**20, 2**20 + 1, ...
QUICK = (
    "experiment=quick",
    "data=fasseg_v2",
    "data.image_size=96",
    "data.force=true",
    "trainer=cpu",
    "trainer.max_steps=40",
    "trainer.val_check_interval=null",
    "trainer.check_val_every_n_epoch=1000",
    "callbacks.panels=null",
    "logger=none",
)


def render(folder: Path, photos: int) -> None:
    """Write synthetic faces in FASSEG's layout; none was in the training of `facesegl:faces`."""
    taxonomy: Taxonomy = build(compose(["data=fasseg_v2"]).data).taxonomy
    classes, convention = classes_of_parts(taxonomy)
    for number in range(photos):
        face = draw_face(FIRST_SEED + number, 128, 104, convention)
        mask = shares_of_classes(face, classes, taxonomy.num_classes).argmax(axis=-1).astype(np.uint8)
        for kind, pixels in (("RGB", face.photo), ("Labels", mask_to_colours(mask, taxonomy))):
            path = folder / "fasseg" / "V2" / f"Train_{kind}" / f"{number + 1}.bmp"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)


def plant(folder: Path, kinds: Mapping[str, str], rng: np.random.Generator) -> None:
    """Replace masks of the training photos in `folder` (as paths.data) by wrong ones: id to kind."""
    faces = build(compose(["data=fasseg_v2", f"paths.data={folder}"]).data)
    source, taxonomy = faces.source, faces.taxonomy
    samples = {sample.id: sample for sample in source.samples()}
    masks = {name: source.read_mask(sample, taxonomy).mask for name, sample in samples.items()}
    for name, kind in kinds.items():
        wrong = spoil(kind, masks, name, taxonomy, rng)
        Image.fromarray(mask_to_colours(wrong, taxonomy)).save(samples[name].mask)


def spoil(
    kind: str, masks: Mapping[str, np.ndarray], name: str, taxonomy: Taxonomy, rng: np.random.Generator
) -> np.ndarray:
    """A wrong mask (H, W) uint8 for the photo `name`."""
    mask = masks[name]
    if kind == "shifted":
        return np.roll(mask, rng.choice([-1, 1]) * len(mask) // 10, axis=0)
    if kind == "another's":
        other = masks[rng.choice([one for one in masks if one != name and one.startswith("train/")])]
        return np.asarray(Image.fromarray(other).resize(mask.shape[::-1], Image.Resampling.NEAREST))
    one, other = (taxonomy.names.index(str(chosen)) for chosen in rng.choice(CLASSES, 2, replace=False))
    if kind == "emptied":
        return np.where(mask == one, taxonomy.names.index("skin"), mask).astype(np.uint8)
    return np.where(mask == one, other, np.where(mask == other, one, mask)).astype(np.uint8)


def main() -> None:
    """Plant errors, cross-validate, rank the photos by each score, and print how the errors rank."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=40)
    parser.add_argument("--errors", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--root", type=Path, help="FASSEG's folder, to plant errors in V2's training masks instead")
    parser.add_argument("--json", type=Path)
    parser.add_argument("keys", nargs="*")
    args = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, list[dict[str, list[int]]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(args.seeds):
            for name, ranks in ranks_of_errors(Path(folder, str(seed)), args, seed).items():
                found.setdefault(name, []).append(ranks)
    print(f"| score | precision at {args.errors} | median rank | {' | '.join(KINDS)} |")
    for name, seeds in found.items():
        every = [rank for ranks in seeds for of_kind in ranks.values() for rank in of_kind]
        hits = {kind: [rank <= args.errors for ranks in seeds for rank in ranks[kind]] for kind in KINDS}
        kinds = " | ".join(f"{sum(hit)} of {len(hit)}" for hit in hits.values())
        precision = sum(rank <= args.errors for rank in every) / len(every)
        print(f"| {name} | {precision:.2f} | {statistics.median(every):g} | {kinds} |")
    if args.json:
        args.json.write_text(json.dumps(found))


def ranks_of_errors(folder: Path, args: argparse.Namespace, seed: int) -> dict[str, dict[str, list[int]]]:
    """For each score and kind of error the ranks of the errors, 1 is first."""
    rng = np.random.default_rng(seed)
    if args.root:
        for kind in ("RGB", "Labels"):
            shutil.copytree(args.root / "V2" / f"Train_{kind}", folder / "fasseg" / "V2" / f"Train_{kind}")
    else:
        render(folder, args.photos)
    photos = [f"train/{file.stem}" for file in sorted((folder / "fasseg" / "V2" / "Train_RGB").iterdir())]
    chosen = map(str, rng.choice(photos, args.errors, replace=False))
    kinds = {photo: KINDS[i % len(KINDS)] for i, photo in enumerate(chosen)}
    plant(folder, kinds, rng)
    every_fold = f"data.fold={','.join(map(str, range(FOLDS)))}"
    paths = (f"paths.data={folder}", f"paths.cache={folder / 'cache'}", f"paths.runs={folder / 'runs'}")
    sweep = facesegl.sweep(*QUICK, every_fold, f"seed={seed}", *paths, *args.keys)
    runs = [sweep.folder / str(job.number) for job in sweep.jobs]
    orders = {"disagreement (chosen)": [one.photo for one in rank_suspects([read_counts(run) for run in runs])]}
    scores = {name: score for run in runs for name, score in simple_scores(run, f"paths.cache={folder / 'cache'}")}
    for i, name in enumerate(SIMPLE):
        orders[name] = sorted(scores, key=lambda photo: scores[photo][i])
    return {
        name: {kind: [order.index(photo) + 1 for photo in kinds if kinds[photo] == kind] for kind in KINDS}
        for name, order in orders.items()
    }


def simple_scores(run: Path, *overrides: str) -> Iterator[tuple[str, list[float]]]:
    """The scores of `SIMPLE` of each photo that a run held out; low is suspect."""
    predictor, faces = open_models([run / "checkpoints" / "last.ckpt"], overrides)[2:]
    faces.setup()
    saved = read_counts(run)
    for index in map(int, faces.indices("val")):
        (photo,) = faces.ids([index])
        image, mask = faces.native(index)
        counts = torch.from_numpy(saved.counts[saved.photos.index(photo)])
        sure = np.take_along_axis(predictor(image).probabilities, mask[None].astype(int), 0)[0]
        weights = np.exp((1 - sure) / TEMPERATURE)
        classes = [float(sure[mask == cls].mean()) for cls in np.unique(mask)]
        soft = float((weights * sure).sum() / weights.sum())
        yield photo, [float(miou(counts)), np.nanmin(iou(counts)), min(classes), soft]


if __name__ == "__main__":
    main()
