"""What the page of a run says, and what it does where something is missing or hostile."""

import base64
import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import facesegl
from facesegl.commands.report import report
from facesegl.errors import ConfigError
from facesegl.reporting.history import Curve
from helpers.calling import assert_reported, call
from helpers.faces import write_faces
from helpers.records import change, page, record_of, write_record
from helpers.trainings import SMALL_UNET


def test_the_page_has_the_scores_that_the_record_has(home, shown):
    run, scores = home / "run", record_of(home / "run")["scores"]["val"]
    for value in (scores["scores"]["miou"], scores["floor"]["miou"], *scores["scores"]["iou"].values()):
        assert f"{value:.3f}" in shown
    assert "4 photos" not in shown
    assert f"mIoU on val, {scores['scores']['photos']} photos" in shown
    assert "held out" in shown
    assert "No test photo was scored" in shown
    assert record_of(run)["command"].split()[1] in shown


def test_the_page_needs_nothing_beside_it(shown):
    loaded = re.findall(r"""(?:src|href)=["']([^"'#]+)""", shown)
    assert loaded
    assert all(target.startswith("data:") for target in loaded), loaded
    assert "default-src 'none'" in shown
    assert "url(" not in re.sub(r"url\(#\w+\)", "", shown)


def test_only_our_own_script_may_run(shown):
    rules = re.search(r'Content-Security-Policy" content="(.*?)"', shown).group(1)
    scripts = re.findall(r"<script>(.*?)</script>", shown, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert len(scripts) == 1
    assert f"script-src 'sha256-{digest}';" in rules


def test_charts_lie_beside_the_page_as_pictures_and_are_named(home, shown):
    names = sorted(f"figures/{file.name}" for file in (home / "run" / "figures").iterdir())
    assert names == [f"figures/{name}.png" for name in ("classes", "confusion", "loss", "val_iou")]
    assert ", ".join(names) in shown
    assert "panels/augmented.png, panels/epoch_0001.png to panels/epoch_0003.png" in shown


def test_the_same_run_gives_the_same_page_whatever_style_the_person_has_set(run, shown):
    import matplotlib

    with matplotlib.rc_context({"font.size": 40, "lines.linewidth": 9, "axes.grid": False}):
        assert page(run) == shown


def test_the_worst_photo_comes_first_with_what_was_predicted(shown):
    names = re.findall(r"<figcaption><span>(.*?)</span><span>mIoU (.*?)</span>", shown)
    scores = [float(score) for _, score in names]
    assert len(names) == 2
    assert scores == sorted(scores)
    assert "Worst first" in shown
    assert shown.count('class="stack"') == 2
    assert shown.count(": the predicted mask") == 2


def test_what_was_learnt_from_and_the_last_panel_are_shown(shown):
    assert "What it learnt from" in shown
    assert "after epoch 3" in shown


def test_what_was_run_is_told(home, shown):
    record = record_of(home / "run")
    for words in (
        record["data"]["fingerprint"],
        "4 train, 2 val, 3 test",
        "unet, ce_dice, adamw, one_cycle, augmentation face, learning rate 0.01, batches of 2, 16 pixels a side",
        "training took",
        "scoring took",
        record["versions"]["torch"],
    ):
        assert words in shown


def test_the_page_tells_when_a_run_began_as_its_log_has_it(bare):
    (bare / "log.txt").write_text("2026-01-02 03:04:05,678 INFO    learning\n")
    assert "done · begun 2026-01-02 03:04<" in page(bare)


def test_confusion_is_shown_as_shares_of_each_class_with_its_counts(home, shown):
    counts = np.array(record_of(home / "run")["scores"]["val"]["scores"]["confusion"])
    found = re.findall(r'style="--share: (\d+)" title="(.*?) pixels of (\w+) were taken for (\w+)"', shown)
    assert [int(count.replace("\u202f", "")) for _, count, *_ in found] == counts.ravel().tolist()
    assert [int(share) for share, *_ in found] == np.round(100 * counts / counts.sum(1, keepdims=True)).ravel().tolist()
    assert found[1][2:] == ("background", "skin")


def test_an_evaluation_says_what_it_touched_and_has_no_curves_to_miss(home, tmp_path, monkeypatch):
    monkeypatch.setenv("FACESEGL_DATA", str(home / "data"))
    shown = page(facesegl.evaluate(str(home / "run" / "checkpoints" / "last.ckpt")).folder)
    assert "Evaluation on fasseg_v2" in shown
    assert "Measured on test photos" in shown
    assert "Dice and boundary F of the other sets" in shown
    assert "curves" not in re.sub(r"<(script|style)>.*?</\1>", "", shown, flags=re.DOTALL)
    assert shown.count("<figcaption>") == 3


def test_other_data_than_it_learnt_from_are_said_to_be(bare):
    record = record_of(bare)
    change(bare, data={**record["data"], "other_data": True, "trained_on": {"name": "elsewhere"}})
    assert "other data than the model learnt from: fasseg_v2, and not elsewhere" in page(bare)


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


def test_a_run_without_curves_says_so(bare):
    shutil.rmtree(bare / "tensorboard")
    shown = page(bare)
    assert "No curves: nothing was logged" in shown
    assert "The score" in shown
    assert "training loss" not in shown


def test_curves_of_the_csv_logger_are_read_too(home, monkeypatch, tmp_path):
    monkeypatch.setenv("FACESEGL_DATA", str(home / "data"))
    facesegl.train(*SMALL_UNET, "logger=csv", "paths.run=csv-run", "trainer.max_epochs=1")
    shown = page(Path("csv-run"))
    assert "Loss: training loss from" in shown
    assert "Validation IoU" in shown


@pytest.mark.parametrize(("state", "words"), [("failed", "the run is failed"), ("running", "died while it ran")])
def test_a_run_without_scores_shows_what_there_is(run, state, words):
    failure = {"exit_code": 6, "messages": ["the loss is not finite"]} if state == "failed" else None
    change(run, state=state, scores={}, failure=failure)
    shown = page(run)
    assert words in shown
    assert ("The run ended with this: the loss is not finite" in shown) == (state == "failed")
    assert "Loss: training loss from" in shown


def test_a_run_that_held_nothing_out_says_that_it_has_no_validation_curves(bare, monkeypatch):
    monkeypatch.setattr(
        "facesegl.commands.report.read_history", lambda folder: {"train/loss": Curve(epochs=[1, 2], values=[2.0, 1.0])}
    )
    assert "No validation curves: nothing was held out" in page(bare)


def test_a_panel_that_is_cut_off_is_said_to_be(bare):
    file = bare / "panels" / "augmented.png"
    file.write_bytes(file.read_bytes()[:300])
    shown = page(bare)
    assert "augmented.png: cannot be read as an image" in shown
    assert "after epoch 3" in shown


def test_a_config_that_is_no_text_harms_nothing(bare):
    (bare / "config.yaml").write_bytes(b"name: \xff")
    assert "name: \ufffd" in page(bare)


def test_a_run_that_is_named_by_a_dot_has_its_name(bare, monkeypatch):
    monkeypatch.chdir(bare)
    assert "fasseg_v2 · run · done" in page(Path())


@pytest.mark.parametrize("name", ["$\\frac{$", "_hidden", "\u76ae\u80a4"])
def test_an_odd_class_name_stays_as_it_is_and_nothing_is_said_of_it(bare, name):
    text = (bare / "result.json").read_text().replace('"skin"', json.dumps(name))
    (bare / "result.json").write_text(text)
    assert f"{name}</text>" in page(bare)  # warnings are errors here


def test_what_is_not_installed_is_named_before_anything_is_done(run, monkeypatch):
    monkeypatch.setattr("facesegl.reporting.page.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs jinja2 and matplotlib; .* 'facesegl\[report\]'"):
        report(run)


def test_names_in_a_record_never_become_markup(bare):
    evil = "<script>alert(1)</script>\"'>"
    record = record_of(bare)
    record["config"]["name"] = evil
    record["data"]["name"] = evil
    record["scores"]["val"]["tags"] = {evil: record["scores"]["val"]["scores"]}
    write_record(bare, {**record, "command": evil, "versions": {evil: evil}})
    (bare / "config.yaml").write_text(evil)
    shown = page(bare)
    assert "<script>alert" not in shown
    assert "&lt;script&gt;alert" in shown


def test_a_hostile_class_name_stays_text_in_charts_too(bare):
    evil = "<script>alert(1)</script>"
    text = (bare / "result.json").read_text().replace('"skin"', json.dumps(evil))
    (bare / "result.json").write_text(text)
    assert "<script>alert" not in page(bare)


def test_a_colour_in_a_record_is_nothing_but_a_colour(bare):
    record = record_of(bare)
    record["config"]["data"]["taxonomy"]["classes"]["skin"] = ["0;background:url(x)", 0, 0]
    write_record(bare, record)
    with pytest.raises(ConfigError, match="not as facesegl writes it"):
        report(bare)


@pytest.mark.parametrize("text", ["{}", '{"scores": 3}', '{"scores": {}, "config": []}'])
def test_a_record_of_another_form_is_told(run, text):
    (run / "result.json").write_text(text)
    with pytest.raises(ConfigError, match="not as facesegl writes it"):
        report(run)


def test_what_is_no_run_is_told_in_one_line(tmp_path):
    (tmp_path / "empty").mkdir()
    assert_reported(call("report", "empty"), 2, "empty: a folder without results")
    assert_reported(call("report", "nowhere"), 2, "nowhere: no such folder")
    assert_reported(call("report"), 2, "report: ")
    assert_reported(call("report", "empty", "paths.data"), 2, "paths.data: expected key=value")


def test_the_command_says_where_the_page_is(run):
    ended = call("report", run)
    assert (ended.code, ended.lines("error"), ended.lines("warning")) == (0, [], [])
    assert ended.out == f"report: {run / 'report.html'}\n"


def test_a_page_of_fifty_large_photos_stays_small(tmp_path, monkeypatch):
    write_faces(tmp_path / "data" / "fasseg" / "V2", train=4, test=50, height=480, width=360)
    result = facesegl.train(*SMALL_UNET, "data.fold=null", "trainer.max_epochs=1", "data.batch_size=2")
    file = report(result.folder)
    assert file.stat().st_size < 5e6
    assert file.read_text().count("<figcaption>") == 9


def test_many_classes_with_long_names_are_all_there(bare):
    names = [f"class number {number} with a long name" for number in range(40)]
    iou = {name: number / 40 for number, name in enumerate(names)}
    rng = np.random.default_rng(0)
    scores = {
        **dict.fromkeys(("iou", "dice", "boundary"), iou),
        **dict.fromkeys(("miou", "accuracy", "miou_per_photo", "boundary_f"), 0.5),
        "photos": 3,
        "confusion": rng.integers(0, 1000, (40, 40)).tolist(),
    }
    record = record_of(bare)
    record["config"]["data"]["taxonomy"]["classes"] = {name: [6 * place, 0, 99] for place, name in enumerate(names)}
    record["scores"] = {"test": {"scores": scores, "floor": scores, "agreement": None, "tags": {}}}
    write_record(bare, record)
    shown = page(bare)
    assert all(f"</span>{name}</div></th>" in shown for name in names)
