"""Run and sweep folders for the tests of pages."""

import json

from facesegl.commands.report import report


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
