"""Every logger gets the config, the final scores, the panels and the confusion matrix."""

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from facesegl.commands.train import train as train_composed
from facesegl.config.compose import Composed
from facesegl.errors import Stopped
from helpers.calling import SMALL_UNET, assert_reported, call, train_in
from helpers.faces import CLASSES, write_faces
from helpers.own_logger import Own, hparams_tab
from helpers.trainings import Signal

SMALL = [*(item for item in SMALL_UNET if item != "callbacks.panels=null"), "callbacks.panels.every=1"]
OWN = "+logger.own._target_=helpers.own_logger.Own"


def train_and_resume(folder, *overrides):
    """Train two epochs, stopped by a signal after the first step, then resumed; returns the result."""
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("FACESEGL_CACHE", str(folder / "cache"))
        Path("marker").unlink(missing_ok=True)
        given = [*SMALL, "trainer.max_epochs=2", *overrides]
        with pytest.raises(Stopped):
            train_composed(Composed.of(given), callbacks=[Signal(1, signal.SIGTERM, "marker")])
        return train_composed(Composed.of([*given, "resume=auto"]))


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    write_faces(folder / "data" / "fasseg" / "V2")
    return folder


@pytest.fixture(scope="module")
def logged(faces):
    """The result of a resumed training with loggers that need no service."""
    Own.calls.clear()
    return train_and_resume(faces, "logger=[tensorboard,csv]", OWN, f"paths.run={faces / 'runs/logged'}")


def final(result):
    return result.scores["val"]["scores"]["miou"]


def test_tensorboards_hparams_tab_compares_a_sweep_by_the_keys_that_differ(faces, monkeypatch):
    monkeypatch.chdir(faces)
    for number, rate in enumerate((1e-3, 1e-2)):
        train_in(faces, *SMALL, f"optimizer.lr={rate}", f"paths.run={faces}/sweep/{number}")
    differing, rows = hparams_tab(faces / "sweep")
    assert differing == ["optimizer.lr"]
    assert [row["optimizer.lr"] for row in rows] == [1e-3, 1e-2]
    assert rows[0]["model"] == "unet"
    assert rows[0]["model.channels"] == 4
    scored = [json.loads((faces / f"sweep/{n}/result.json").read_text())["scores"]["val"]["scores"] for n in (0, 1)]
    assert [row["score/val/miou"] for row in rows] == pytest.approx([one["miou"] for one in scored])
    assert "miou/val at 16x16" in rows[0]


def test_a_resumed_run_is_one_row_of_the_hparams_tab(logged):
    _, [row] = hparams_tab(logged.folder)
    assert row["score/val/miou"] == pytest.approx(final(logged))


def test_hyperparameters_have_no_paths_and_nothing_that_does_not_count(logged):
    [params, again] = [values for method, values, *_ in Own.calls if method == "log_hyperparams"]
    assert params == again == yaml.safe_load((logged.folder / "tensorboard/hparams.yaml").read_text())
    assert params["data"] == "fasseg_v2"
    assert (params["seed"], params["optimizer.lr"], params["data.fold"]) == (0, 0.01, 0)
    assert all(value is None or isinstance(value, bool | int | float | str) for value in params.values())
    assert not [key for key in params if key.startswith(("paths", "logger", "trust", "resume", "name", "choices"))]
    assert not [value for value in params.values() if str(value).startswith(("/", "paths."))]


def test_a_custom_logger_gets_final_scores_and_pictures_through_lightnings_api(logged):
    scores = [values for method, values, *_ in Own.calls if method == "log_metrics" and "final/val/miou" in values]
    assert [one["final/val/miou"] for one in scores] == [final(logged)]
    assert {f"final/val/iou/{name}" for name in CLASSES} < scores[0].keys()
    assert {key for method, key, *_ in Own.calls if method == "log_image"} == {
        "panels/augmented",
        "panels/val",
        "panels/confusion_val",
    }


def test_csv_has_the_final_scores(logged):
    with (logged.folder / "csv" / "metrics.csv").open() as rows:
        values = [row["final/val/miou"] for row in csv.DictReader(rows)]
    assert [float(value) for value in values if value] == pytest.approx([final(logged)])


def test_tensorboard_has_the_confusion_matrix_and_a_chart_per_class(logged):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

    events = EventAccumulator(str(logged.folder / "tensorboard")).Reload()
    assert {"panels/augmented", "panels/val", "panels/confusion_val"} == {*events.Tags()["images"]}
    layout = Layout.FromString(events.Tensors("custom_scalars__config__")[-1].tensor_proto.string_val[0])
    assert [chart.title for chart in layout.category[1].chart] == [*CLASSES]


@pytest.mark.parametrize("method", ["log_metrics", "log_image"])
def test_a_logger_that_fails_loses_neither_training_nor_scores(faces, monkeypatch, caplog, method):
    monkeypatch.chdir(faces)
    result = train_in(faces, *SMALL, "logger=csv", OWN, f"+logger.own.refuses={method}", f"paths.run=failing/{method}")
    assert result.state == "done"
    assert "val" in result.scores
    assert (
        caplog.text.count("logger.own has lost something; training continues: RuntimeError: the service is gone") == 1
    )


def test_a_logger_that_refuses_the_start_is_one_message(faces, monkeypatch):
    monkeypatch.chdir(faces)
    ended = call("train", *SMALL, OWN, "+logger.own.refuses=log_hyperparams")
    assert_reported(ended, 2, "logger.own: RuntimeError: the service is gone; omit it, or set another logger=")


def test_wandb_offline_has_config_scores_and_pictures_and_a_resumed_run_keeps_its_id(faces):
    pytest.importorskip("wandb")
    result = train_and_resume(faces, "logger=wandb", f"paths.run={faces / 'runs/wandb'}")
    first, second = sorted((result.folder / "wandb").glob("offline-run-*"))
    assert first.name.split("-")[3] == second.name.split("-")[3]  # two starts in one second have another ending
    assert {file.name.partition("_0_")[0].partition("_1_")[0] for file in first.rglob("augmented*.png")}
    assert list(second.glob("files/media/images/panels/confusion_val*.png"))
    written = b"".join(file.read_bytes() for file in second.glob("*.wandb"))
    assert b"optimizer.lr" in written
    assert b"final/val/miou" in written
    assert not Path("wandb").exists()


def test_mlflow_has_params_scores_and_pictures_of_one_run_after_a_resume(faces):
    mlflow = pytest.importorskip("mlflow")
    result = train_and_resume(faces, "logger=mlflow", f"paths.run={faces / 'runs/one'}", "name=faces")
    client = mlflow.MlflowClient(f"sqlite:///{faces}/runs/mlflow.db")
    [found] = client.search_runs([client.get_experiment_by_name("faces").experiment_id])
    assert (found.info.status, found.info.run_name) == ("FINISHED", str(result.folder))
    assert found.data.params["optimizer.lr"] == "0.01"
    assert found.data.metrics["final/val/miou"] == pytest.approx(final(result))
    images = {file.path.partition("+")[0] for file in client.list_artifacts(found.info.run_id, "images")}
    assert images == {"images/panels~augmented", "images/panels~val", "images/panels~confusion_val"}


def test_services_are_imported_only_if_chosen():
    code = "import facesegl.commands.train, sys; print({'wandb', 'mlflow'} & {*sys.modules})"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
