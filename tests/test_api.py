"""The verbs from Python: the same functions as on the command line, with results to work with."""

import json
import sys
from pathlib import Path

import pytest

import facesegl
from facesegl.errors import CheckpointError, ConfigError
from helpers.calling import SMALL_UNET, train_in
from helpers.faces import write_faces


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with photos and a run."""
    folder = tmp_path_factory.mktemp("api")
    write_faces(folder / "data" / "fasseg" / "V2")
    train_in(folder, *SMALL_UNET, "paths.run=run")
    return folder


@pytest.fixture
def here(home, monkeypatch):
    monkeypatch.chdir(home)
    monkeypatch.setenv("FACESEGL_CACHE", str(home / "cache"))
    return home


def test_predict_returns_the_table_and_the_photos_that_failed(here, tmp_path):
    (tmp_path / "no photo.jpg").write_text("text")
    done = facesegl.predict("run", ["data/fasseg/V2/Test_RGB", tmp_path / "no photo.jpg"], tmp_path / "masks")
    assert [photo.output for photo in done.photos] == ["1.png", "2.png", "3.png"]
    assert len(done.failed) == 1
    assert "no photo.jpg" in done.failed[0]
    assert (tmp_path / "masks" / "1.png").is_file()
    alone = facesegl.predict(Path("run"), "data/fasseg/V2/Test_RGB/2.bmp", str(tmp_path / "one"), tta=True)
    assert [photo.file for photo in alone.photos] == [Path("data/fasseg/V2/Test_RGB/2.bmp")]


def test_compare_report_and_export_return_what_they_made(here, tmp_path):
    comparison = facesegl.compare(["run", "run"], set="val")
    assert comparison.to_dict()["set"] == "val"
    assert facesegl.report("run") == Path("run/report.html")
    certificate = facesegl.export("run", tmp_path / "model.onnx", "paths.data=data")
    assert (tmp_path / "model.onnx").is_file()
    assert certificate.to_dict()


def test_a_list_of_models_is_exported_as_one_graph(here, tmp_path):
    facesegl.export(["run", Path("run")], tmp_path / "two.onnx", "paths.data=data")
    assert (tmp_path / "two.onnx").is_file()


def test_a_study_takes_the_path_of_a_journal_and_at_least_one_trial(here, tmp_path):
    words = [*SMALL_UNET, "seed=0,1", "logger=none"]
    with pytest.raises(ConfigError, match="trials=0: expected 1 or more"):
        facesegl.tune(*words, trials=0)
    facesegl.tune(*words, trials=1, study=tmp_path / "study", storage=tmp_path / "journal.log")
    assert (tmp_path / "journal.log").is_file()


def test_errors_are_raised_as_those_of_the_command(here, tmp_path):
    with pytest.raises(CheckpointError, match="no such file or folder"):
        facesegl.predict("gone.ckpt", "data/fasseg/V2/Test_RGB", tmp_path)
    with pytest.raises(ConfigError, match="1 to compare"):
        facesegl.compare("run")
    with pytest.raises(ConfigError, match=r"optimizer\.lrr"):
        facesegl.sweep(*SMALL_UNET, "optimizer.lrr=1,2")
    with pytest.raises(ConfigError, match="a sweep has many runs"):
        facesegl.sweep(*SMALL_UNET, "seed=0,1", "paths.run=mine")


def test_a_sweep_runs_several_times_in_a_notebook(here, monkeypatch):
    from hydra import compose, initialize_config_dir
    from hydra.version import getbase

    monkeypatch.setattr(sys, "argv", ["ipykernel_launcher.py", "-f", "kernel.json"])
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    (here / "conf").mkdir()
    (here / "conf" / "mine.yaml").write_text("value: 3")
    with initialize_config_dir(str(here / "conf"), version_base="1.2"):  # the notebook's own configs
        done = facesegl.sweep(*SMALL_UNET, "logger=none", "seed=0,1", "name=first")
        again = facesegl.sweep(*SMALL_UNET, "logger=none", "data.photos=7,2", "name=second")
        assert compose("mine").value == 3
        assert str(getbase()) == "1.2"
    assert sys.argv[0] == "ipykernel_launcher.py"
    assert [job.values for job in done.jobs] == [{"seed": "0"}, {"seed": "1"}]
    assert all(job.miou is not None for job in done.jobs)
    assert done.failed == []
    record = json.loads((done.folder / "0" / "result.json").read_text())
    assert record["command"].startswith("facesegl train ")
    assert [job.miou is None for job in again.jobs] == [True, False]
    assert "data.photos=7: there are" in again.failed[0]
    assert "1 of 2 jobs failed" in again.failed[-1]


def test_a_finished_sweep_is_not_repeated(here):
    words = (*SMALL_UNET, "logger=none", "seed=3,4", "name=resumed", "trainer.limit_train_batches=1")
    done = facesegl.sweep(*words)
    before = (done.folder / "0" / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    again = facesegl.sweep(*words, "resume=auto")
    assert again.folder == done.folder
    assert (again.folder / "0" / "checkpoints" / "last.ckpt").stat().st_mtime_ns == before


def test_the_package_offers_every_verb_whatever_was_imported_before():
    import facesegl.commands.export
    import facesegl.exporting.certificate

    for verb in ("train", "sweep", "evaluate", "predict", "compare", "report", "export"):
        assert callable(getattr(facesegl, verb))
