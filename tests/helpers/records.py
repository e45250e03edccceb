"""Run and sweep folders for the tests of pages."""

import itertools
import json

import numpy as np

from facesegl.commands.report import report
from facesegl.evaluation.counts_file import SavedCounts


def page(folder, *overrides):
    return report(folder, overrides).read_text(encoding="utf-8")


def change(run, **values):
    """Write other values into a run's result.json."""
    record = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps({**record, **values}))


def record_of(folder):
    return json.loads((folder / "result.json").read_text())


def write_record(run, record):
    (run / "result.json").write_text(json.dumps(record))


def scores_of(miou):
    return {
        "scores": {"miou": miou, "iou": {"skin": miou, "hair": None}},
        "floor": {"miou": 0.4},
        "agreement": {"miou": 0.87},
    }


def photos_of(overrides):
    return next((int(text.partition("=")[2]) for text in overrides if text.startswith("data.photos=")), 20)


def write_sweep(folder, jobs):
    """A sweep's folder as its jobs leave it: (overrides, miou) each; None for one that failed."""
    for number, (overrides, miou) in enumerate(jobs):
        run = folder / str(number)
        run.mkdir(parents=True)
        done = {"state": "done"} if miou is not None else {"state": "failed", "messages": ["no luck"], "exit_code": 6}
        note = {"job": number, "overrides": overrides, "run": str(run), "set": miou and "val", "miou": miou, **done}
        (run / "job.json").write_text(json.dumps(note))
        if miou is not None:
            record = {"command": f"facesegl train {' '.join(overrides)}", "scores": {"val": scores_of(miou)}}
            record["data"] = {"fingerprint": "faces", "photos": {"train": photos_of(overrides)}}
            (run / "result.json").write_text(json.dumps(record))
    return folder


def write_counts(
    folder, photos, *, persons=None, classes=("background", "skin", "hair"), fingerprint="faces", set_name="val"
):
    """Write random counts of photos into a run's folder; returns the confusion counts."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng([*map(ord, folder.name + "".join(photos))])
    counts = rng.integers(1, 100, (len(photos), len(classes), len(classes)))
    SavedCounts(
        classes=classes,
        photos=tuple(photos),
        groups=tuple(persons or photos),
        sets={set_name: photos},
        counts=counts,
        boundary=rng.integers(1, 50, (len(photos), len(classes), 4)),
        scored="last.ckpt",
        data="faces",
        fingerprint=fingerprint,
    ).write(folder)
    return counts


def mean_iou(counts):
    """The mIoU of the pooled confusion counts (N, C, C)."""
    total = counts.sum(axis=0)
    return np.mean([total[i, i] / (total[i].sum() + total[:, i].sum() - total[i, i]) for i in range(len(total))])


def write_folds(folder, configurations, failed=(), folds=3):
    """A sweep over folds of two photos each; returns the mIoU over all photos of each configuration, a list of keys."""
    jobs = [[*keys, f"data.fold={fold}"] for keys, fold in itertools.product(configurations, range(folds))]
    write_sweep(folder, [(overrides, None if job in failed else 0.5) for job, overrides in enumerate(jobs)])
    pooled = {}
    for job, overrides in enumerate(jobs):
        if job in failed:
            continue
        fold = job % folds
        counts = write_counts(run := folder / str(job), [f"{fold}_a", f"{fold}_b"])
        record = record_of(run)
        record["scores"]["val"] |= {"floor": {"confusion": counts.sum(axis=0).tolist()}, "agreement": None}
        write_record(run, {**record, "config": {"data": {"folds": folds}}, "data": {**record["data"], "name": "faces"}})
        pooled.setdefault(" ".join(overrides[:-1]), []).append(counts)
    return {keys: mean_iou(np.concatenate(counts)) for keys, counts in pooled.items()}
