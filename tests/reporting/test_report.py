"""What the page of a run says, and what it does where something is missing or hostile."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import facesegl
from drawn import write_faces
from facesegl.errors import ConfigError
from facesegl.runs.report import report
from faults.calling import assert_told, call
from reporting.conftest import change, page, write_record
from runs.conftest import SMALL_UNET


def record_of(folder):
    return json.loads((folder / "result.json").read_text())


def test_the_page_has_the_scores_that_the_record_has(run):
    shown, scores = page(run), record_of(run)["scores"]["val"]
    for value in (scores["scores"]["miou"], scores["floor"]["miou"], *scores["scores"]["iou"].values()):
        assert f"{value:.3f}" in shown
    assert "4 photos" not in shown
    assert f"mIoU on val, {scores['scores']['photos']} photos" in shown
    assert "held out" in shown
    assert record_of(run)["command"].split()[1] in shown


def test_the_page_needs_nothing_beside_it(run):
    shown = page(run)
    loaded = re.findall(r"""(?:src|href)=["']([^"'#]+)""", shown)
    assert loaded
    assert all(target.startswith("data:") for target in loaded), loaded
    assert "default-src 'none'" in shown
    assert "url(" not in re.sub(r"url\(#\w+\)", "", shown)


def test_charts_lie_beside_the_page_as_pictures(run):
    page(run)
    assert {file.name for file in (run / "figures").iterdir()} == {
        "loss.png",
        "val_iou.png",
        "classes.png",
        "confusion.png",
    }


def test_the_same_run_gives_the_same_page(run):
    assert page(run) == page(run)


def test_the_worst_photo_comes_first_with_what_was_predicted(run):
    shown = page(run)
    names = re.findall(r"<figcaption><span>(.*?)</span><span>mIoU (.*?)</span>", shown)
    scores = [float(score) for _, score in names]
    assert len(names) == 2
    assert scores == sorted(scores)
    assert shown.count('class="stack"') == 2
    assert shown.count(": the predicted mask") == 2


def test_what_was_learnt_from_and_the_last_panel_are_shown(run):
    shown = page(run)
    assert "What it learnt from" in shown
    assert "after epoch 3" in shown


def moved(run, elsewhere):
    """As if the run had come here from another machine, where its photos are."""
    change(run, started_in=str(elsewhere), scored=["run/checkpoints/last.ckpt"])


def test_photos_that_are_gone_are_said_to_be_and_the_rest_is_shown(run, monkeypatch, tmp_path):
    moved(run, tmp_path)
    shown = page(run)
    assert "No photos are shown" in shown
    assert "The score" in shown
    assert shown.count("<figcaption>") == 0


def test_photos_may_be_named_where_they_lie_now(run, home, tmp_path):
    moved(run, tmp_path)
    assert page(run, f"paths.data={home / 'data'}").count("<figcaption>") == 2


def test_a_model_that_is_gone_is_said_to_be(run):
    shutil.rmtree(run / "checkpoints")
    change(run, scored=["elsewhere/last.ckpt"])
    assert "the model that was scored is no longer there" in page(run)


def test_a_run_without_curves_says_so(run):
    shutil.rmtree(run / "tensorboard")
    shown = page(run)
    assert "No curves: nothing was logged" in shown
    assert "training and validation loss" not in shown


def test_curves_of_the_csv_logger_are_read_too(home, monkeypatch, tmp_path):
    monkeypatch.setenv("FACESEGL_DATA", str(home / "data"))
    facesegl.train(*SMALL_UNET, "logger=csv", "paths.run=csv-run", "trainer.max_epochs=1")
    shown = page(Path("csv-run"))
    assert "training and validation loss" in shown
    assert "Validation IoU" in shown


@pytest.mark.parametrize(("state", "words"), [("failed", "the run is failed"), ("running", "died while it ran")])
def test_a_run_without_scores_shows_what_there_is(run, state, words):
    failure = {"exit_code": 6, "messages": ["the loss is not finite"]} if state == "failed" else None
    change(run, state=state, scores={}, failure=failure)
    shown = page(run)
    assert words in shown
    assert ("The run ended with this: the loss is not finite" in shown) == (state == "failed")
    assert "training and validation loss" in shown


def test_names_in_a_record_never_become_markup(run):
    evil = "<script>alert(1)</script>\"'>"
    record = record_of(run)
    record["config"]["name"] = evil
    record["data"]["name"] = evil
    record["scores"]["val"]["tags"] = {evil: record["scores"]["val"]["scores"]}
    write_record(run, {**record, "command": evil, "versions": {evil: evil}})
    (run / "config.yaml").write_text(evil)
    shown = page(run)
    assert "<script>alert" not in shown
    assert "&lt;script&gt;alert" in shown


def test_a_hostile_class_name_stays_text_in_charts_too(run):
    evil = "<script>alert(1)</script>"
    text = (run / "result.json").read_text().replace('"skin"', json.dumps(evil))
    (run / "result.json").write_text(text)
    assert "<script>alert" not in page(run)


def test_a_colour_in_a_record_is_nothing_but_a_colour(run):
    record = record_of(run)
    record["config"]["data"]["taxonomy"]["classes"]["skin"] = ["0;background:url(x)", 0, 0]
    write_record(run, record)
    with pytest.raises(ConfigError, match="not as facesegl writes it"):
        report(run)


@pytest.mark.parametrize("text", ["{}", '{"scores": 3}', '{"scores": {}, "config": []}'])
def test_a_record_of_another_form_is_told(run, text):
    (run / "result.json").write_text(text)
    with pytest.raises(ConfigError, match="not as facesegl writes it"):
        report(run)


def test_what_is_no_run_is_told_in_one_line(tmp_path):
    (tmp_path / "empty").mkdir()
    assert_told(call("report", "empty"), 2, "empty: a folder without results")
    assert_told(call("report", "nowhere"), 2, "nowhere: no such folder")
    assert_told(call("report"), 2, "report: ")
    assert_told(call("report", "empty", "paths.data"), 2, "paths.data: expected key=value")


def test_the_command_says_where_the_page_is(run):
    call("report", run)  # builds the cache
    ended = call("report", run)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"report: {run / 'report.html'}\n"


def test_a_page_of_fifty_large_photos_stays_small(tmp_path, monkeypatch):
    write_faces(tmp_path / "data" / "fasseg" / "V2", train=4, test=50, height=640, width=480)
    result = facesegl.train(*SMALL_UNET, "data.fold=null", "trainer.max_epochs=1", "data.batch_size=2")
    file = report(result.folder)
    assert file.stat().st_size < 5e6
    assert file.read_text().count("<figcaption>") == 9


def test_many_classes_with_long_names_are_all_there(run):
    names = [f"class number {number} with a long name" for number in range(40)]
    iou = {name: number / 40 for number, name in enumerate(names)}
    rng = np.random.default_rng(0)
    scores = {
        **dict.fromkeys(("iou", "dice", "boundary"), iou),
        **dict.fromkeys(("miou", "accuracy", "miou_per_photo", "boundary_f"), 0.5),
        "photos": 3,
        "confusion": rng.integers(0, 1000, (40, 40)).tolist(),
    }
    record = record_of(run)
    record["config"]["data"]["taxonomy"]["classes"] = {name: [6 * place, 0, 99] for place, name in enumerate(names)}
    record["scores"] = {"test": {"scores": scores, "floor": scores, "agreement": None, "tags": {}}}
    write_record(run, record)
    shown = page(run)
    assert all(f"</span>{name}</th>" in shown for name in names)
