import shutil

import pytest

from helpers.calling import train_in
from helpers.faces import write_faces
from helpers.records import change, page
from helpers.trainings import SMALL_UNET


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """A folder with photos and a scored run with curves and panels."""
    folder = tmp_path_factory.mktemp("reported")
    write_faces(folder / "data" / "fasseg" / "V2")
    panels = [word for word in SMALL_UNET if not word.startswith("callbacks.panels")]
    train_in(folder, *panels, f"paths.run={folder / 'run'}", "callbacks.panels.every=1")
    return folder


@pytest.fixture(scope="session")
def shown(home):
    """The page of the unchanged run, for tests that only read."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("FACESEGL_CACHE", str(home / "cache"))
        return page(home / "run")


@pytest.fixture
def run(home, tmp_path):
    """A copy of the run's folder, which a test may change; its photos stay where they are."""
    shutil.copytree(home / "run", tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def bare(run):
    """The same without its model: predicting photos takes most of a page's time."""
    shutil.rmtree(run / "checkpoints")
    change(run, scored=["gone.ckpt"])
    return run
