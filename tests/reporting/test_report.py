"""What the page of a run shows, and what it does if something is missing or hostile."""

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


def test_the_page_has_the_scores_and_the_facts_of_the_record(home, shown):
    record = record_of(home / "run")
    scores = record["scores"]["val"]
    for value in (scores["scores"]["miou"], scores["floor"]["miou"], *scores["scores"]["iou"].values()):
        assert f"{value:.3f}" in shown
    for words in (
        f"mIoU on val, {scores['scores']['photos']} photos",
        *("held-out training photos", "No test photo was scored", record["command"].split()[1]),
        *(record["data"]["fingerprint"], "4 train, 2 val, 3 test", "training took", "scoring took"),
        "unet, ce_dice, adamw, one_cycle, augmentation face, learning rate 0.01, batch size 2, image size 16",
        record["versions"]["torch"],
    ):
        assert words in shown


def test_the_page_is_self_contained_and_only_our_script_may_run(shown):
    loaded = re.findall(r"""(?:src|href)=["']([^"'#]+)""", shown)
    assert loaded
    assert all(target.startswith("data:") for target in loaded), loaded
    assert "default-src 'none'" in shown
    assert "url(" not in re.sub(r"url\(#\w+\)", "", shown)
    (script,) = re.findall(r"<script>(.*?)</script>", shown, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in re.search(r'Content-Security-Policy" content="(.*?)"', shown)[1]


def test_charts_are_pictures_next_to_the_page_and_are_named(home, shown):
    names = sorted(f"figures/{file.name}" for file in (home / "run" / "figures").iterdir())
    assert names == [f"figures/{name}.png" for name in ("classes", "confusion", "loss", "val_iou")]
    assert ", ".join(names) in shown
    assert "panels/augmented.png, panels/epoch_0001.png to panels/epoch_0003.png" in shown


def test_the_page_does_not_depend_on_the_matplotlib_style_of_the_user(run, shown):
    import matplotlib

    with matplotlib.rc_context({"font.size": 40, "lines.linewidth": 9, "axes.grid": False}):
        assert page(run) == shown


def test_the_worst_photo_comes_first_and_panels_are_shown(shown):
    names = re.findall(r"<figcaption><span>(.*?)</span><span>mIoU (.*?)</span>", shown)
    scores = [float(score) for _, score in names]
    assert len(names) == 2
    assert scores == sorted(scores)
    assert shown.count('class="stack"') == shown.count(": the predicted mask") == 2
    for words in ("Worst first", "Augmented training photos", "after epoch 3"):
        assert words in shown


def test_the_page_has_name_and_start_of_the_run_and_its_config_even_if_that_is_not_text(bare, monkeypatch):
    (bare / "log.txt").write_text("2026-01-02 03:04:05,678 INFO    learning\n")
    (bare / "config.yaml").write_bytes(b"name: \xff")
    monkeypatch.chdir(bare)
    shown = page(Path())
    assert "fasseg_v2 · run · done · started 2026-01-02 03:04<" in shown
    assert "name: \ufffd" in shown


def test_the_confusion_is_shown_in_per_cent_with_its_counts(home, shown):
    counts = np.array(record_of(home / "run")["scores"]["val"]["scores"]["confusion"])
    found = re.findall(r'style="--share: (\d+)" title="(.*?) pixels of (\w+) were predicted as (\w+)"', shown)
    assert [int(count.replace(" ", "")) for _, count, *_ in found] == counts.ravel().tolist()
    assert [int(share) for share, *_ in found] == np.round(100 * counts / counts.sum(1, keepdims=True)).ravel().tolist()
    assert found[1][2:] == ("background", "skin")


def test_an_evaluation_says_which_photos_it_scored_and_misses_no_curves(home, tmp_path, monkeypatch):
    monkeypatch.setenv("FACESEGL_DATA", str(home / "data"))
    shown = page(facesegl.evaluate(str(home / "run" / "checkpoints" / "last.ckpt")).folder)
    for words in ("Evaluation on fasseg_v2", "Measured on test photos", "Dice and boundary F of the other sets"):
        assert words in shown
    assert "curves" not in re.sub(r"<(script|style)>.*?</\1>", "", shown, flags=re.DOTALL)
    assert shown.count("<figcaption>") == 3


def test_a_score_on_other_data_is_marked_as_such(bare):
    record = record_of(bare)
    change(bare, data={**record["data"], "other_data": True, "trained_on": {"name": "elsewhere"}})
    assert "other data (fasseg_v2) than the model was trained on (elsewhere)" in page(bare)


def test_missing_photos_are_reported_until_their_present_folder_is_given(run, home, tmp_path):
    change(run, started_in=str(tmp_path), scored=["run/checkpoints/last.ckpt"])  # as if copied from another machine
    shown = page(run)
    assert "No photos are shown" in shown
    assert "Measured on" in shown
    assert "<figcaption>" not in shown
    assert page(run, f"paths.data={home / 'data'}").count("<figcaption>") == 2


def test_a_report_caches_no_photos_and_renders_no_faces(run, home, tmp_path, monkeypatch):
    monkeypatch.setenv("FACESEGL_CACHE", str(tmp_path / "cache"))
    assert page(run).count("<figcaption>") == 2
    shown = page(run, "data=synthetic", f"paths.data={tmp_path / 'data'}")
    assert "the synthetic faces that were scored are not on disk; evaluate renders them" in shown
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "data").exists()


def test_missing_curves_a_missing_model_and_a_truncated_panel_are_reported(bare):
    shutil.rmtree(bare / "tensorboard")
    file = bare / "panels" / "augmented.png"
    file.write_bytes(file.read_bytes()[:300])
    shown = page(bare)
    expected = ["No curves: nothing was logged", "the model that was scored no longer exists", "Measured on"]
    for words in (*expected, "augmented.png: cannot be read as an image", "after epoch 3"):
        assert words in shown
    assert "training loss" not in shown


def test_curves_of_the_csv_logger_are_read_too(home, monkeypatch, tmp_path):
    monkeypatch.setenv("FACESEGL_DATA", str(home / "data"))
    facesegl.train(*SMALL_UNET, "logger=csv", "paths.run=csv-run", "trainer.max_epochs=1")
    shown = page(Path("csv-run"))
    assert "Loss: training loss from" in shown
    assert "Validation IoU" in shown


@pytest.mark.parametrize(
    ("state", "words"), [("failed", "state of the run: failed"), ("running", "died while running")]
)
def test_a_run_without_scores_shows_what_there_is(run, state, words):
    failure = {"exit_code": 6, "messages": ["the loss is not finite"]} if state == "failed" else None
    change(run, state=state, scores={}, failure=failure)
    shown = page(run)
    assert words in shown
    assert ("The run failed: the loss is not finite" in shown) == (state == "failed")
    assert "Loss: training loss from" in shown


def test_without_held_out_photos_missing_validation_curves_are_explained(bare, monkeypatch):
    history = {"train/loss": Curve(epochs=[1, 2], values=[2.0, 1.0])}
    monkeypatch.setattr("facesegl.reporting.run_page.read_history", lambda folder: history)
    assert "No validation curves: no photos were held out" in page(bare)


@pytest.mark.parametrize("name", ["$\\frac{$", "_hidden", "\u76ae\u80a4"])
def test_an_odd_class_name_is_shown_unchanged_without_warnings(bare, name):
    text = (bare / "result.json").read_text().replace('"skin"', json.dumps(name))
    (bare / "result.json").write_text(text)
    assert f"{name}</text>" in page(bare)  # warnings are errors here


def test_missing_packages_are_named_first(run, monkeypatch):
    monkeypatch.setattr("facesegl.reporting.page.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs jinja2 and matplotlib; .* 'facesegl\[report\]'"):
        report(run)


def test_names_in_a_record_never_become_markup(bare):
    evil = "<script>alert(1)</script>\"'>"
    record = json.loads((bare / "result.json").read_text().replace('"skin"', json.dumps(evil)))
    record["config"]["name"] = record["data"]["name"] = evil
    record["scores"]["val"]["tags"] = {evil: record["scores"]["val"]["scores"]}
    write_record(bare, {**record, "command": evil, "versions": {evil: evil}})
    (bare / "config.yaml").write_text(evil)
    shown = page(bare)
    assert "<script>alert" not in shown
    assert "&lt;script&gt;alert" in shown


def test_a_colour_in_a_record_is_nothing_but_a_colour(bare):
    record = record_of(bare)
    record["config"]["data"]["taxonomy"]["classes"]["skin"] = ["0;background:url(x)", 0, 0]
    write_record(bare, record)
    with pytest.raises(ConfigError, match="not as facesegl writes it"):
        report(bare)


@pytest.mark.parametrize("text", ["{}", '{"scores": 3}', '{"scores": {}, "config": []}'])
def test_a_malformed_record_is_reported(run, text):
    (run / "result.json").write_text(text)
    with pytest.raises(ConfigError, match="not as facesegl writes it"):
        report(run)


def test_a_folder_without_a_run_is_reported_in_one_line(tmp_path):
    (tmp_path / "empty").mkdir()
    assert_reported(call("report", "empty"), 2, "empty: a folder without results")
    assert_reported(call("report", "nowhere"), 2, "nowhere: no such folder")
    assert_reported(call("report"), 2, "report: ")
    assert_reported(call("report", "empty", "paths.data"), 2, "paths.data: expected key=value")


def test_the_command_prints_the_path_of_the_page(run):
    ended = call("report", run)
    assert (ended.code, ended.lines("error"), ended.lines("warning")) == (0, [], [])
    assert ended.out == f"report: {run / 'report.html'}\n"


@pytest.mark.slow
def test_a_page_of_fifty_large_photos_stays_small(tmp_path, monkeypatch):
    write_faces(tmp_path / "data" / "fasseg" / "V2", train=4, test=50, height=480, width=360)
    result = facesegl.train(*SMALL_UNET, "data.fold=null", "trainer.max_epochs=1", "data.batch_size=2")
    file = report(result.folder)
    assert file.stat().st_size < 5e6
    assert file.read_text().count("<figcaption>") == 9


def test_many_classes_with_long_names_are_all_shown(bare):
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
    record["config"]["data"]["taxonomy"]["classes"] = {name: [6 * index, 0, 99] for index, name in enumerate(names)}
    record["scores"] = {"test": {"scores": scores, "floor": scores, "agreement": None, "tags": {}}}
    write_record(bare, record)
    shown = page(bare)
    assert all(f"</span>{name}</div></th>" in shown for name in names)


def test_every_set_has_its_dice_and_boundary_f(bare):
    record = record_of(bare)
    own = record["scores"]["val"]["scores"]
    rest = {"floor": own, "agreement": own, "tags": {}}
    record["scores"] = {}
    for name, value in (("test_clean", 0.111), ("test", 0.222), ("test_strict", 0.333)):
        iou = dict.fromkeys(own["iou"], value)
        record["scores"][name] = {"scores": {**own, "iou": iou, "dice": iou, "boundary": iou}, **rest}
    write_record(bare, record)
    tables = re.findall(r"<table>.*?</table>", page(bare), re.DOTALL)[:2]
    columns, others = (re.findall(r'scope="col">(.*?)<', table)[1:] for table in tables)
    assert columns == ["test_clean", "test", "test_strict", "floor", "agreement", "Dice", "boundary F"]
    assert others == ["Dice, test", "Dice, test_strict", "boundary F, test", "boundary F, test_strict"]
    cells, others = (re.findall(r"<td>(.*?)</td>", re.search(r"skin</div>.*", table)[0]) for table in tables)
    floor = f"{own['iou']['skin']:.3f}"
    assert cells == ["0.111", "0.222", "0.333", floor, floor, "0.111", "0.111"]
    assert others == ["0.222", "0.333", "0.222", "0.333"]
