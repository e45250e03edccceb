import json
import shutil

import pytest

import facesegl
from commands.conftest import SMALL_UNET
from drawn import write_faces
from facesegl.commands.report import report


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """A folder with photos, a scored run with curves and panels, and a sweep of two rates and two seeds."""
    folder = tmp_path_factory.mktemp("reported")
    write_faces(folder / "data" / "fasseg" / "V2")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("FACESEGL_CACHE", str(folder / "cache"))
        patched.delenv("FACESEGL_DATA", raising=False)
        panels = [word for word in SMALL_UNET if not word.startswith("callbacks.panels")]
        facesegl.train(*panels, f"paths.run={folder / 'run'}", "callbacks.panels.every=1")
    return folder


@pytest.fixture(scope="session")
def shown(home):
    """The page of the run as it is, for the tests that only read."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("FACESEGL_CACHE", str(home / "cache"))
        return page(home / "run")


@pytest.fixture
def run(home, tmp_path):
    """A copy of the run's folder, which a test may change; its photos stay where they were."""
    shutil.copytree(home / "run", tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def bare(run):
    """The same without what its photos are predicted from, which takes most of a page's time."""
    shutil.rmtree(run / "checkpoints")
    change(run, scored=["gone.ckpt"])
    return run


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


def write_sweep(folder, jobs):
    """A sweep's folder as its jobs leave it: (overrides, miou) each; None for one that failed."""
    for number, (overrides, miou) in enumerate(jobs):
        place = folder / str(number)
        place.mkdir(parents=True)
        done = {"state": "done"} if miou is not None else {"state": "failed", "messages": ["no luck"], "exit_code": 6}
        note = {"job": number, "overrides": overrides, "run": str(place), "set": miou and "val", "miou": miou, **done}
        (place / "job.json").write_text(json.dumps(note))
        if miou is not None:
            found = {"scores": {"iou": {"skin": miou, "hair": None}}}
            record = {"scores": {"val": found}, "command": f"facesegl train {' '.join(overrides)}"}
            (place / "result.json").write_text(json.dumps(record))
    return folder
