"""All verbs with 2 and with 40 classes, with unusual class names, and with classes that no mask has."""

import csv
import html
import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image, ImageDraw

import facesegl
from facesegl.commands.info import read_info
from facesegl.commands.report import report
from facesegl.drawing import canvas
from facesegl.prediction.onnx_model import OnnxModel
from facesegl.reporting.history import read_history
from facesegl.reporting.info_table import info_table
from facesegl.reporting.score_tables import score_table, tag_table
from facesegl.reporting.scored_sets import below_the_floor
from helpers.calling import assert_reported, call, printed, succeed
from helpers.trainings import SMALL_UNET
from helpers.trees import (
    draw_photo,
    five_classes,
    save,
    write_celebamask,
    write_cvat,
    write_folders,
    write_helen,
    write_label_studio,
    write_lapa,
    write_many_classes,
)

STRANGE = (
    *("back ground", "Haut, Gesicht", "links/rechts", "a|b", "<b>fett</b>", "Ä Ö ü ß", "'quoted'", 'dou"ble', "100%"),
    *("a=b", "$HOME", "[x]", "{y}", "-", "..", "mean", "mIoU", "total", "floor", "_background_", "__ignore__", "1e3"),
    *("null", "true", "*", "[/bold]", "a\\b", "#5", "%s", "$x^2$", "a" * 60, "[bold]b[/bold]", "C:", " lead", "~"),
    *("^_^", "&amp;", "x;y", "眼", "😀"),
)
FOLDERS = ["data=folder", "data.source.images=photos", "data.source.masks=masks"]
MANY = [*FOLDERS, "data.taxonomy=many.yaml", "data.source.shares.test=0.3"]
QUICK = [*SMALL_UNET, "trainer.max_epochs=1"]
PANELS = [word for word in QUICK if word != "callbacks.panels=null"]
LAYOUTS = {
    "celebamask_hq": lambda: (write_celebamask("data/CelebAMask-HQ"), [])[1],
    "lapa": lambda: (write_lapa("data/LaPa"), [])[1],
    "helen": lambda: (write_helen("data/SmithCVPR2013_dataset_resized"), [])[1],
    "cvat": lambda: [f"data.source.root={write_cvat('cvat')}"],
    "label_studio": lambda: [f"data.source.root={write_label_studio('.')}/export", "data.source.images=photos"],
}


@pytest.fixture(scope="module", params=[2, 40])
def chain(request, tmp_path_factory):
    """A folder with the outputs of the verbs for some number of classes, and the classes' names."""
    folder = tmp_path_factory.mktemp("chain")
    names = list(STRANGE[: request.param])
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("FACESEGL_CACHE", "cache")
        write_many_classes(".", len(names), names=names)
        for words in (
            ["train", *MANY, *PANELS, "paths.run=run"],
            ["evaluate", "run", "tta=true"],
            ["predict", "run", "photos", "-o", "predicted", "--probabilities"],
            ["report", "run"],
        ):
            ended = succeed(*words)
            (folder / f"{words[0]}.txt").write_text(ended.out + ended.err, encoding="utf-8")
    return folder, names


def rows(file):
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.reader(lines))


def test_every_table_mask_and_probability_has_every_class(chain):
    folder, names = chain
    run = folder / "run"
    assert [row[1] for row in rows(run / "scores.csv")[1:]] == [*names, "mIoU"]
    assert rows(run / "confusion.csv")[0] == ["set", "truth", *names]
    assert rows(run / "per_image.csv")[0][5:] == [f"iou_{name}" for name in names]
    assert rows(folder / "predicted" / "predictions.csv")[0][4:-2] == [f"share_{name}" for name in names]
    assert {len(row) for row in rows(folder / "predicted" / "predictions.csv")} == {len(names) + 6}
    assert_predicted(folder / "predicted", names)


def test_every_scored_class_has_its_curve(chain):
    folder, names = chain
    curves = read_history(folder / "run")
    found = json.loads((folder / "run" / "result.json").read_text())["scores"]["val"]["scores"]["iou"]
    assert {name for name in names if found[name] is not None} <= {
        key.removeprefix("val/iou/") for key in curves if key.startswith("val/iou/")
    }


def test_the_page_has_every_class_as_text_not_as_markup(chain):
    folder, names = chain
    page = (folder / "run" / "report.html").read_text(encoding="utf-8")
    for name in names:
        assert f"</span>{html.escape(name).replace('&quot;', '&#34;').replace('&#x27;', '&#39;')}</div></th>" in page
    assert "<b>fett" not in page
    assert "All 1 photos" in page or "photos, by their own mIoU" in page


@pytest.mark.slow  # tracing and quantizing take seconds
def test_an_exported_graph_has_every_class(chain, tmp_path, monkeypatch):
    folder, names = chain
    monkeypatch.setenv("FACESEGL_CACHE", str(folder / "cache"))
    monkeypatch.chdir(folder)
    for file, form in (("whole.onnx", "--whole"), ("model.onnx", "--int8")):
        assert call("export", "run", "-o", file, form).code == 0
        metadata = {entry.key: entry.value for entry in onnx.load(folder / file).metadata_props}
        assert json.loads(metadata["classes"]) == names
        assert [*OnnxModel(folder / file, "cpu").taxonomy.names] == names
    assert call("predict", "model.onnx", "photos", "-o", tmp_path, "--probabilities").code == 0
    assert_predicted(tmp_path, names)


def test_a_contact_sheet_has_strange_names(chain, monkeypatch):
    monkeypatch.setenv("FACESEGL_CACHE", str(chain[0] / "cache"))
    monkeypatch.chdir(chain[0])
    assert call("data", "preview", *MANY, "-o", "sheet.png").code == 0


def assert_predicted(folder, names):
    assert np.load(folder / "probabilities" / "0.npy").shape == (len(names), 48, 36)
    masks = [np.array(Image.open(folder / f"{number}.png")) for number in range(8)]
    assert max(mask.max() for mask in masks) < len(names)


def test_numbers_are_not_truncated_and_names_are_no_markup(chain):
    folder, names = chain
    record = json.loads((folder / "run" / "result.json").read_text())
    shown = printed(score_table(record["scores"], "[folder]"))
    assert "…" not in shown
    assert "[folder]" in shown
    for name in names:
        assert name[:50] in shown
    shown = printed(info_table(read_info(folder / "run")))
    assert all(name in " ".join(shown.split()) for name in names if len(name) < 10 and name.strip() == name)


def test_of_many_classes_the_summary_names_only_the_largest(chain):
    folder, names = chain
    (line,) = [line for line in (folder / "predict.txt").read_text("utf-8").splitlines() if line.startswith("shares:")]
    assert len(re.findall(r" \d+\.\d%", line)) == 2 if len(names) == 2 else len(line) < 400
    assert ("others" in line) == (len(names) == 40)


def test_below_the_floor_only_classes_of_the_truth_are_missed():
    scores = {"iou": dict.fromkeys("abcdefghijkl", 0.0), "miou": 0.0, "confusion": np.eye(12, dtype=int).tolist()}
    scores["iou"]["k"], scores["confusion"][11][11] = 0.5, 0  # l was predicted, and is nowhere
    shown = below_the_floor({"val": {"scores": scores, "floor": {"miou": 0.5}}})
    assert "It never finds a, b, c, d, e, f, g, h and 2 more." in shown


def test_tags_of_many_classes_fit_a_terminal():
    names = [f"class {number}" for number in range(40)]
    scores = {"iou": dict.fromkeys(names, 0.5), "miou": 0.5, "photos": 3}
    shown = printed(tag_table({"test": {"scores": scores, "tags": {"pose=[x]": scores}}}))
    assert "pose=[x]" in shown
    assert "by_tag.csv" in shown
    assert "…" not in shown


@pytest.fixture
def absent():
    """Data with classes that no mask has, an all-background mask and an all-void mask."""
    colours = {"background": [0, 0, 0], "skin": [250, 0, 0], "eye": [0, 250, 0], "hair": [0, 0, 250]}
    classes = {**colours, "never": [9, 9, 99]}
    for number in range(10):
        mask = five_classes(number)
        mask[mask == 3], mask[mask == 4] = 2, 3
        mask[:3] = 255
        mask[:] = {2: 255, 3: 0, 8: 255, 9: 0}.get(number, mask)
        save(draw_photo(number, 48, 40), f"photos/{number}.png")
        save(mask, f"masks/{number}.png")
    Path("my.yaml").write_text(json.dumps({"classes": classes, "void": 255}))
    Path("test.txt").write_text("1\n8\n9\n")
    return [*FOLDERS, "data.taxonomy=my.yaml", "data.source.lists.test=test.txt"]


@pytest.mark.parametrize("loss", ["ce_dice", "ce"])
def test_absent_classes_and_void_masks_are_not_scored(absent, loss):
    result = facesegl.train(*absent, *QUICK, f"loss={loss}", "loss.class_weights=true", "data.fold=null")
    found = result.scores["test_clean"]
    assert found["floor"]["iou"]["never"] is None
    assert found["floor"]["dice"]["never"] is None
    there = [value for value in found["scores"]["iou"].values() if value is not None]
    assert found["scores"]["miou"] == pytest.approx(np.mean(there))
    assert found["scores"]["photos"] == 3
    assert np.array(found["scores"]["confusion"]).sum() == (45 + 48) * 40
    assert all(np.isfinite(curve.values).all() for curve in read_history(result.folder).values())


def test_a_photo_that_is_all_void_is_neither_worst_nor_best(absent):
    result = facesegl.train(*absent, *QUICK, "data.fold=null")
    table = rows(result.folder / "per_image.csv")[1:]
    assert [row[0] for row in table][-1] == "test/8"
    assert table[-1][2] == ""
    assert float(table[0][2]) <= float(table[1][2])
    page = report(result.folder).read_text(encoding="utf-8")
    assert "All 2 photos" in page
    scored = facesegl.evaluate(result.folder, "panels=3", "device=cpu")
    assert (scored.folder / "panels" / "worst.png").is_file()


def test_without_a_pixel_to_score_the_scores_are_none(absent):
    Path("test.txt").write_text("8\n")
    result = facesegl.train(*absent, *QUICK, "data.fold=null")
    assert result.scores["test"]["scores"]["miou"] is None
    assert report(result.folder).is_file()
    succeed("evaluate", result.folder)
    assert not call("evaluate", result.folder, "panels=2").lines("error")


@pytest.mark.parametrize("name", ["${oc.env:HOME}", "_target_", "_partial_", " ", "a\u0007"])
def test_a_class_name_that_a_card_cannot_hold_is_refused_before_anything_runs(name):
    write_folders(".", ["anna", "bob"])
    classes = {name: [0, 0, 1], **{f"class {index}": [index, 0, 0] for index in range(4)}}
    Path("my.yaml").write_text(json.dumps({"classes": classes}))
    ended = call("train", *FOLDERS, "data.taxonomy=my.yaml", *QUICK)
    assert ended.code == 2, ended.err
    assert "Traceback" not in ended.err
    assert not Path("runs").exists()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_works_with_every_verb(layout):
    words = [f"data={layout}", *LAYOUTS[layout]()]
    for mode in ([], ["--augmented", "data.image_size=16"], ["--inexact"]):
        assert call("data", "preview", *words, *mode, "-o", "sheet.png", "--count", "2").code == 0
    assert "…" not in succeed("data", "check", *words).out
    assert call("train", *words, *QUICK, "paths.run=run").code == 0
    assert call("evaluate", "run", "set=val", "tta=true").code == 0
    assert call("report", "run").code == 0
    names = read_info(Path("run"))["taxonomy"]["classes"]
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert all(f"</span>{name}</div></th>" in page for name in names)


def test_soft_edges_of_probabilities_are_not_reported_as_inexact():
    write_helen("data/SmithCVPR2013_dataset_resized")
    (checked,) = json.loads(call("data", "check", "data=helen", "--json").out)["data"]
    assert "inexact" not in {finding["check"] for finding in checked["findings"]}


def test_without_test_photos_the_message_offers_another_set():
    write_cvat("cvat")
    assert call("train", "data=cvat", "data.source.root=cvat", *QUICK, "paths.run=run").code == 0
    assert_reported(call("evaluate", "run"), 3, ["the set test has no photo", "set=val"])


def test_init_loads_matching_weights_from_a_model_of_other_classes():
    write_celebamask("data/CelebAMask-HQ")
    synthetic_faces = ["data.source.train=5", "data.source.test=1", "data.source.height=48"]
    assert call("train", "data=synthetic", *synthetic_faces, *QUICK, "paths.run=six").code == 0
    ended = succeed("train", "data=celebamask_hq", *QUICK, "paths.run=nineteen", "init=six/checkpoints/last.ckpt")
    assert re.search(r"init: loaded \d+ of \d+ tensors .*; not loaded: head.weight, head.bias\n", ended.err)


@pytest.mark.parametrize("kind", ["safetensors", pytest.param("onnx", marks=pytest.mark.slow)])
def test_no_model_file_has_the_path_of_its_photos(tmp_path, kind):
    write_celebamask(tmp_path / "geheim" / "CelebAMask-HQ")
    mapping = f"data.source.mapping={tmp_path}/geheim/CelebAMask-HQ/CelebA-HQ-to-CelebA-mapping.txt"
    words = ["data=celebamask_hq", f"paths.data={tmp_path}/geheim", mapping, f"paths.run={tmp_path}/run"]
    assert call("train", *words, *QUICK).code == 0
    assert call("export", "run", "-o", f"model.{kind}", f"paths.data={tmp_path}/geheim").code == 0
    for file in (Path("run/checkpoints/last.ckpt"), Path(f"model.{kind}")):
        assert "geheim" not in json.dumps(read_info(file))
        assert str(tmp_path) not in json.dumps(read_info(file))
        assert b"geheim" not in file.read_bytes()


def test_the_page_of_a_run_whose_photos_have_moved_has_its_scores():
    write_folders(".", ["anna", "bob", "eve", "dan", "kim"])
    classes = {f"class {index}": [index, 0, 0] for index in range(5)}
    Path("my.yaml").write_text(json.dumps({"classes": classes}))
    assert call("train", *FOLDERS, "data.taxonomy=my.yaml", *QUICK, "paths.run=run").code == 0
    Path("photos").rename("moved")
    succeed("report", "run")
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert "No photos are shown" in page
    assert "</span>class 4</div></th>" in page
    assert call("report", "run", "data.source.images=moved").code == 0
    assert "No photos are shown" not in Path("run/report.html").read_text(encoding="utf-8")


def test_two_runs_on_a_custom_folder_are_compared():
    write_many_classes(".", 17)
    for seed in (0, 1):
        assert call("train", *MANY, *QUICK, f"seed={seed}", f"paths.run={seed}").code == 0
    shown = json.loads(call("compare", "0", "1", "--set", "val", "--json").out)
    assert [*shown["models"][0]["scores"]["iou"]] == [f"class {index}" for index in range(17)]


@pytest.mark.slow
def test_a_sweep_over_forty_classes_has_a_page():
    write_many_classes(".", 40)
    assert call("train", "-m", *MANY, *QUICK, "seed=0,1", "paths.runs=swept").code == 0
    (sweep,) = Path("swept").glob("*/*")
    page = report(sweep).read_text(encoding="utf-8")
    assert "class 39" not in page
    assert "± " in page


@pytest.mark.parametrize("wider", [True, False])
def test_letters_beyond_ascii_are_drawn(monkeypatch, wider):
    if not wider:
        monkeypatch.setattr(canvas, "_wider_font", lambda size: None)

    def written(text):
        picture = Image.new("L", (80, 24), 255)
        canvas.write(ImageDraw.Draw(picture), (2, 18), text, 0)
        return np.asarray(picture).tobytes()

    assert len({written(text) for text in ("Ä", "Ö", "ß", "é", "ñ")}) == 5
    assert canvas.length("Äpfel") > canvas.length("Ä")
    if not wider:
        assert written("Ä") == written("A")
