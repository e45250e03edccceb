"""The masks to check on the page of a cross-validated sweep."""

import csv
import json
import shutil

import pytest

from evaluation.test_suspects import NO_EYES, good, saved
from helpers.calling import SMALL_UNET, assert_reported, call, succeed
from helpers.faces import write_faces
from helpers.records import page, write_sweep

FOLDS = [(["data.fold=0"], 0.5), (["data.fold=1"], 0.6)]


def table(folder):
    return list(csv.DictReader((folder / "suspects.csv").read_text(encoding="utf-8").splitlines()))


def cross_validated(folder, jobs=FOLDS):
    """A sweep whose last job held out a mask without eyes; there are no photos and no models."""
    write_sweep(folder, jobs)
    for number in range(len(jobs)):
        photos = good(f"{number}/a", f"{number}/b", f"{number}/c")
        last = {"<b>empty": NO_EYES} if number == len(jobs) - 1 else {}
        saved({**photos, **last}).write(folder / str(number))
    return folder


def test_without_photos_and_models_the_suspects_are_listed_with_the_reason(tmp_path, caplog):
    folder = cross_validated(tmp_path / "sweep")
    shown = page(folder)
    assert "Masks to check" in shown
    assert "7 photos, predicted by 2 models." in shown
    assert "eyes: IoU 0.00, the mask has none" in shown
    assert "&lt;b&gt;empty" in shown
    assert "<b>empty" not in shown
    assert "No pictures are shown: " in shown
    assert "the model that was scored no longer exists" in caplog.text
    (first, *others) = table(folder)
    assert (first["photo"], first["class"], first["fact"], first["models"]) == (
        "<b>empty",
        "eyes",
        "the mask has none",
        "1",
    )
    assert len(others) == 6
    assert float(first["disagreement"]) > float(others[0]["disagreement"])


def test_the_best_configuration_is_taken_and_named(tmp_path):
    jobs = [([f"optimizer.lr={lr}", f"data.fold={fold}"], lr) for lr in (0.5, 0.25) for fold in (0, 1)]
    folder = cross_validated(tmp_path / "sweep", jobs)
    assert "6 photos, predicted by 2 models of optimizer.lr=0.5." in page(folder)
    assert {row["photo"].partition("/")[0] for row in table(folder)} == {"0", "1"}


def test_all_seeds_of_a_fold_judge_its_photos(tmp_path):
    folder = cross_validated(
        tmp_path / "sweep", [([*fold, f"seed={seed}"], 0.5) for seed in (0, 1) for fold, _ in FOLDS]
    )
    for number in range(4):
        saved(good(f"fold {number % 2}")).write(folder / str(number))
    assert "2 photos, predicted by 4 models." in page(folder)
    assert [row["models"] for row in table(folder)] == ["2", "2"]


@pytest.mark.parametrize(
    "jobs",
    [
        [(["seed=0"], 0.5), (["seed=1"], 0.6)],
        [(["data.fold=0", "seed=0"], 0.5), (["data.fold=0", "seed=1"], 0.6)],
        [(["data.fold=0"], 0.5), (["data.fold=1"], None)],
    ],
    ids=["no folds", "one fold", "one fold has failed"],
)
def test_a_sweep_that_is_no_cross_validation_has_no_suspects(tmp_path, jobs):
    folder = cross_validated(tmp_path / "sweep", jobs)
    assert "Masks to check" not in page(folder)
    assert not (folder / "suspects.csv").exists()


def test_a_job_with_damaged_counts_is_left_out_with_a_warning(tmp_path, caplog):
    folder = cross_validated(tmp_path / "sweep", [*FOLDS, (["data.fold=2"], 0.5)])
    (folder / "0" / "counts.npz").write_bytes(b"damaged")
    assert "predicted by 2 models." in page(folder)
    assert "not counts of facesegl, or truncated" in caplog.text


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    """The sweep over three folds of nine photos."""
    home = tmp_path_factory.mktemp("folds")
    write_faces(home / "data" / "fasseg" / "V2", train=9, test=0)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(home)
        patched.setenv("FACESEGL_CACHE", str(home / "cache"))
        quick = [*SMALL_UNET, "data.folds=3", "data.fold=0,1,2", "logger=none", "name=folds"]
        succeed("train", "-m", *quick)
    (folder,) = (home / "runs" / "folds").iterdir()
    return folder


def test_the_most_suspect_photos_are_shown_as_the_models_that_never_saw_them_predict_them(folds):
    shown = page(folds)
    assert len(table(folds)) == 9
    suspects = [row["photo"] for row in table(folds) if float(row["disagreement"])][:8]
    assert shown.count("<figure>") == len(suspects) > 0
    for photo in suspects:
        assert f"{photo}: the predicted mask" in shown
    assert "No pictures" not in shown


def test_photos_that_have_moved_are_found_by_an_override(folds, tmp_path):
    copied = tmp_path / "sweep"
    shutil.copytree(folds, copied)
    home = folds.parents[2]
    shutil.copytree(home / "data", tmp_path / "moved")
    for job in range(3):
        record = json.loads((copied / str(job) / "result.json").read_text())
        record["started_in"] = str(tmp_path / "gone")
        (copied / str(job) / "result.json").write_text(json.dumps(record))
    lost = page(copied)
    assert "No pictures are shown: " in lost
    assert table(copied) == table(folds)
    assert "<figure>" not in lost
    assert page(copied, f"paths.data={tmp_path / 'moved'}").count("<figure>") == page(folds).count("<figure>")
    assert_reported(call("report", copied, "paths.dat=x"), 2, "paths.dat")
