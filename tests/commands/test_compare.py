import json
import logging
import math
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from facesegl.commands.compare import compare
from facesegl.errors import CheckpointError, ConfigError, DataError
from facesegl.evaluation.counts_file import SavedCounts, read_counts
from facesegl.reporting.comparison_table import comparison_table
from facesegl.scores import resampled_scores
from helpers.calling import printed, train_in
from helpers.faces import write_faces
from helpers.trainings import SMALL_UNET

CLASSES = ("background", "skin", "hair")


def ids(split, count):
    return tuple(f"{split}/{number}" for number in range(1, count + 1))


def write_run(folder, error, photos=24, classes=CLASSES, absent=0, seed=0, **changes):
    """A run's folder: the same masks for all, without the last classes, and an `error` rate for each class."""
    present = len(classes) - absent
    names = ids("test", photos)
    truth = np.random.default_rng(1).integers(500, 1000, (photos, len(classes)))
    truth[:, present:] = 0
    wrong = np.random.default_rng(seed).binomial(truth, error)
    counts = np.zeros((photos, len(classes), len(classes)), dtype=np.int64)
    for label in range(present):
        counts[:, label, label] = (truth - wrong)[:, label]
        counts[:, label, (label + 1) % present] = wrong[:, label]
    boundary = np.stack([truth - wrong, truth, truth - wrong, truth], axis=-1) // 10
    given = {
        "classes": classes,
        "photos": names,
        "groups": names,
        "sets": {"test_clean": names[2:], "test": names},
        "counts": counts,
        "boundary": boundary,
        "scored": f"{folder}/checkpoints/last.ckpt",
        "data": "fasseg_v2",
        "fingerprint": "40baa3dbb3ec",
    }
    SavedCounts(**{**given, **changes}).write(folder)
    return folder


@pytest.fixture
def runs(tmp_path):
    """A baseline, a better run, and one as good as the baseline."""
    return [
        write_run(tmp_path / "baseline", 0.10, seed=1),
        write_run(tmp_path / "better", 0.05, seed=2),
        write_run(tmp_path / "alike", 0.10, seed=3),
    ]


def shown(comparison):
    return printed(comparison_table(comparison))


def problems_of(error, *arguments, **keywords):
    with pytest.raises(error) as caught:
        compare(*arguments, **keywords)
    return caught.value.problems


def test_a_better_model_is_distinguished_from_an_equal_one(runs):
    comparison = compare(runs)
    better, alike, alike_against_better = comparison.differences
    assert (better.model, better.against, better.verdict) == ("B", "A", "better")
    assert better.miou.low < better.miou.difference < better.miou.high
    assert better.miou.difference == pytest.approx(0.09, abs=0.02)
    assert alike.verdict == "no significant difference on 22 photos"
    assert (alike_against_better.against, alike_against_better.verdict) == ("B", "worse")
    assert better.iou["hair"].sign == better.boundary_f.sign == 1


def test_each_score_has_the_interval_of_its_resamples(runs):
    (difference,) = compare(runs[:2], set="test").differences
    counted = [(saved.counts, saved.boundary) for saved in map(read_counts, runs[:2])]
    first, second = resampled_scores(counted, ids("test", 24))
    for estimate, draws in (
        (difference.miou, second.miou - first.miou),
        (difference.boundary_f, second.boundary_f - first.boundary_f),
        (difference.iou["hair"], second.iou[:, 2] - first.iou[:, 2]),
    ):
        assert (estimate.low, estimate.high) == pytest.approx(np.quantile(draws, [0.025, 0.975]))
        assert estimate.low < estimate.difference < estimate.high


def test_reversing_the_order_changes_all_signs(runs):
    (here,), (there,) = compare(runs[:2]).differences, compare(runs[1::-1]).differences
    assert there.miou.difference == pytest.approx(-here.miou.difference)
    assert (there.miou.low, there.miou.high) == pytest.approx((-here.miou.high, -here.miou.low))
    assert there.verdict == "worse"


def test_scores_are_those_of_the_requested_set(runs):
    counts = read_counts(runs[0]).counts
    for name, photos in ((None, counts[2:]), ("test", counts)):
        pooled = photos.sum(0)
        correct = np.diag(pooled)
        comparison = compare(runs, set=name)
        assert comparison.set == (name or "test_clean")
        assert comparison.models[0].scores.photos == len(photos)
        expected = (correct / (pooled.sum(0) + pooled.sum(1) - correct)).mean()
        assert comparison.models[0].scores.miou == pytest.approx(expected)


def test_a_counts_file_can_replace_its_run(runs, tmp_path):
    shutil.copy(runs[1] / "counts.npz", tmp_path / "sent by mail.npz")
    (by_folder,), (by_file,) = (
        compare([runs[0], thing]).differences for thing in (runs[1], tmp_path / "sent by mail.npz")
    )
    assert by_folder == by_file


def test_the_bootstrap_draws_persons_not_photos(runs, tmp_path):
    alone = write_run(tmp_path / "alone", 0.05, seed=2, groups=[f"person {number // 3}" for number in range(24)])
    comparison = compare([runs[0], alone])
    assert (len(comparison.photos), comparison.persons) == (22, 8)
    assert "8 persons are few" in comparison.notes[0]


def test_a_class_with_few_persons_has_no_interval(tmp_path):
    def rare(error, persons):
        counts = read_counts(write_run(tmp_path / f"whole-{error}", error)).counts.copy()
        counts[persons:, 2, :] = 0
        counts[:, 1, 0] += counts[:, 1, 2]  # nor is it predicted where it is not
        counts[:, 1, 2] = 0
        return write_run(tmp_path / f"rare-{error}-{persons}", error, counts=counts)

    for persons, known in ((5, False), (6, True)):
        (difference,) = compare([rare(0.3, persons + 2), rare(0.1, persons + 2)]).differences  # two are left out
        assert difference.iou["hair"].difference > 0
        assert math.isnan(difference.iou["hair"].low) is not known
        assert difference.iou["hair"].sign == int(known)
        assert difference.iou["skin"].sign == 1


def test_a_handful_of_persons_has_scores_but_no_verdict(tmp_path):
    pair = [write_run(tmp_path / str(seed), 0.1 * seed, photos=7, seed=seed) for seed in (1, 2)]
    comparison = compare(pair)
    (difference,) = comparison.differences
    assert difference.verdict == "5 persons: too few for a verdict"
    assert difference.miou.difference < 0
    assert math.isnan(difference.miou.low)
    assert "No intervals: they need at least 6 persons" in shown(comparison)
    assert json.loads(json.dumps(comparison.to_dict(), allow_nan=False))["differences"][0]["miou"]["low"] is None


def test_one_model_twice_is_compared_and_reported(runs):
    comparison = compare([runs[0], runs[0] / "counts.npz", runs[1]])
    assert comparison.differences[0].verdict == "the same on every photo"
    assert comparison.differences[0].miou.to_dict() == {"difference": 0, "low": 0, "high": 0}
    assert "A and B agree on every photo: are they the same model?" in comparison.notes


def test_photos_that_one_lacks_are_left_out_and_counted(runs, tmp_path):
    fewer = write_run(tmp_path / "fewer", 0.1, sets={"test": ids("test", 20)})
    comparison = compare([runs[0], fewer])
    assert (comparison.set, len(comparison.photos)) == ("test", 20)
    assert comparison.models[0].left_out == ("test/21", "test/22", "test/23", "test/24")
    assert comparison.notes[0] == (
        "Left out: 4 of the 24 photos of A, which another model lacks (test/21, test/22, test/23, test/24)."
    )


def test_other_data_with_the_same_masks_are_reported(runs, tmp_path):
    other = write_run(tmp_path / "other", 0.1, fingerprint="ffffffffffff")
    assert "The data differ (fingerprints 40baa3dbb3ec, ffffffffffff)" in compare([runs[0], other]).notes[0]


def test_a_class_that_no_photo_shows_is_left_out(tmp_path):
    names = (*CLASSES, "hat")
    pair = [write_run(tmp_path / str(seed), 0.1 * seed, classes=names, absent=1, seed=seed) for seed in (1, 2)]
    comparison = compare(pair)
    (difference,) = comparison.differences
    assert difference.to_dict()["iou"]["hat"] == {"difference": None, "low": None, "high": None}
    assert difference.verdict == "worse"
    assert re.search(r"^hat +- +-", shown(comparison), re.MULTILINE)


def test_the_table_has_a_row_for_each_model_and_difference(runs):
    text = shown(compare(runs[:2]))
    assert "IoU on test_clean of fasseg_v2: 22 photos of 22 persons" in text
    assert re.search(r"^B( +0\.\d{3}){5}", text, re.MULTILINE)
    assert re.search(r"^mIoU +\+0\.\d{4} +\+0\.\d{4} to \+0\.\d{4} +better", text, re.MULTILINE)
    for label in (*CLASSES, "boundary F"):
        assert re.search(rf"^{label} +\+0\.\d{{4}} ", text, re.MULTILINE)
    assert f"A  {runs[0]}"[:60] in text
    assert "paired bootstrap" in text


def test_each_pair_of_several_models_has_a_row(runs):
    text = shown(compare(runs))
    assert [line[:5] for line in text.splitlines() if re.match(r"\w - \w", line)] == ["B - A", "C - A", "C - B"]
    assert re.search(r"^B( +0\.\d{3}\+){5}", text, re.MULTILINE)  # above A by more than luck
    assert "3 pairs are compared" in text


def test_of_very_many_pairs_those_with_the_first_model_are_shown(tmp_path):
    many = [write_run(tmp_path / str(seed), 0.1, seed=seed) for seed in range(28)]
    comparison = compare(many)
    text = shown(comparison)
    assert len(comparison.differences) == 28 * 27 / 2
    assert len(re.findall(r"^\w+ - A ", text, re.MULTILINE)) == 27
    assert "AB - A " in text
    assert "351 pairs without A not shown" in text


def test_of_forty_classes_the_most_different_are_shown(tmp_path):
    names = tuple(f"part {number}" for number in range(40))
    pair = [write_run(tmp_path / name, 0.05, classes=names, seed=1) for name in ("1", "2")]
    saved = read_counts(pair[1])
    saved.counts[:, 30, 30] -= 400
    saved.counts[:, 30, 31] += 400
    saved.write(pair[1])
    text = shown(compare(pair))
    assert re.search("part 30 +part 31 +boundary F", text)
    assert "Shown are the 7 of 40 classes that differ most; --json has all." in text
    assert re.search(r"^part 30 +-0\.\d{4}", text, re.MULTILINE)


@pytest.mark.parametrize("models", [2, 3])
def test_no_line_is_cut_at_80_columns(tmp_path, models):
    names = ("background", "skin", "hair", "nose", "eyes", "mouth")
    folders = [write_run(tmp_path / str(n), 0.1 * n, classes=names, seed=n) for n in range(1, models + 1)]
    text = shown(compare(folders))
    assert "…" not in text
    assert all(name in text for name in names)


def test_names_from_a_file_are_never_markup(tmp_path):
    pair = [write_run(tmp_path / f"[red]{seed}", 0.1, classes=("[bold]a", "[/]"), seed=seed) for seed in (1, 2)]
    text = shown(compare(pair))
    assert "[bold]a" in text
    assert "[/]" in text
    assert "[red]1" in re.sub(r"\s", "", text)


def test_json_has_what_the_tables_show(runs):
    comparison = compare(runs)
    content = json.loads(json.dumps(comparison.to_dict(), allow_nan=False))
    assert content["set"] == "test_clean"
    assert [model["letter"] for model in content["models"]] == ["A", "B", "C"]
    assert content["models"][1]["scores"]["miou"] == comparison.models[1].scores.miou
    assert content["differences"][0]["iou"]["hair"]["low"] == comparison.differences[0].iou["hair"].low
    assert {"schema", "photos", "persons", "level", "resamples", "definition", "notes"} <= content.keys()


def test_everything_that_cannot_be_compared_is_reported_at_once(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "last.ckpt").touch()
    (tmp_path / "sweep" / "0").mkdir(parents=True)
    (tmp_path / "sweep" / "0" / "job.json").touch()
    (tmp_path / "photo.jpg").touch()
    (tmp_path / "cut.npz").write_bytes(b"PK")
    things = ["empty", "run", "sweep", "photo.jpg", "cut.npz", "nowhere"]
    problems = problems_of(ConfigError, [tmp_path / thing for thing in things])
    expected = [
        "empty: a folder without counts.npz",
        "run: a run without counts.npz; name its checkpoints/last.ckpt, which is scored first",
        "sweep: a sweep without a finished job (job 0 (unfinished))",
        "photo.jpg: neither counts nor a model",
        "cut.npz: not counts of facesegl, or truncated",
        "nowhere: no such file or folder",
    ]
    assert len(problems) == len(expected)
    for problem, words in zip(problems, expected, strict=True):
        assert words in problem


def test_wrong_arguments_are_reported(runs):
    problems = problems_of(ConfigError, runs[:1], set="test_claen", overrides=["set=val"])
    assert problems[0].startswith("compare: 1 to compare; expected two")
    assert "did you mean test_clean?" in problems[1]
    assert problems[2] == "set=val: give it as --set NAME."
    assert "nothing to compare" in problems_of(ConfigError, [])[0]
    assert "all of these have counts" in problems_of(ConfigError, runs, overrides=["tta=true"])[0]


def test_different_classes_are_refused(runs, tmp_path):
    hats = write_run(tmp_path / "hats", 0.1, classes=("background", "skin", "hat"))
    turned = write_run(tmp_path / "turned", 0.1, classes=CLASSES[::-1])
    first, second = problems_of(ConfigError, [runs[0], hats, turned])
    assert "(it has hat, it lacks hair)" in first
    assert "(the same names in another order)" in second


def test_a_set_that_one_lacks_is_refused(runs, tmp_path):
    val = write_run(tmp_path / "val", 0.1, sets={"val": ids("test", 20)})
    (problem,) = problems_of(ConfigError, [*runs, val], set="test")
    assert problem.startswith(f"{val}: not scored on test, only on val. Name its checkpoint")
    (problem,) = problems_of(ConfigError, [runs[0], val])
    assert f"no set on which all were scored: {runs[0]} on test_clean, test; {val} on val." in problem


def test_models_of_other_folds_share_no_photo(tmp_path):
    photos = ids("test", 24)
    folds = [write_run(tmp_path / str(k), 0.1, sets={"val": photos[12 * k : 12 * (k + 1)]}) for k in range(2)]
    (problem,) = problems_of(ConfigError, folds)
    assert "no photo of val is in all of" in problem
    assert "the same data.fold" in problem


@pytest.mark.parametrize("what", ["pixels", "outlines"])
def test_other_masks_are_refused_and_their_photos_named(runs, tmp_path, what):
    saved = read_counts(write_run(tmp_path / "other", 0.1, data="fasseg_v1"))
    if what == "pixels":
        saved.counts[[5, 7], 0, 1] += 1
    else:
        saved.boundary[[5, 7], 0, 3] += 1
    saved.write(tmp_path / "other")
    (problem,) = problems_of(DataError, [runs[0], tmp_path / "other"])
    assert f"masks of 2 of 22 photos differ from those of {runs[0]} (fasseg_v1, fasseg_v2): test/6, test/8." in problem


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The data and two runs on all of its training photos, for one and for two epochs."""
    folder = tmp_path_factory.mktemp("trained")
    write_faces(folder / "data" / "fasseg" / "V2", test=8)
    return [train_in(folder, *SMALL_UNET, "data.fold=null", f"trainer.max_epochs={epochs}").folder for epochs in (1, 2)]


def test_a_checkpoint_is_scored_first_and_its_counts_kept(trained, caplog):
    checkpoints = [run / "checkpoints" / "last.ckpt" for run in trained]
    with caplog.at_level(logging.INFO, "facesegl"):
        comparison = compare([trained[0], checkpoints[1], checkpoints[1]], set="test", overrides=["panels=0"])
    assert caplog.text.count("saved in runs/evaluate/") == 1
    assert "panels=0: used only for models that are scored now" in caplog.text
    run = comparison.models[1].run
    assert comparison.models[2].run == run
    command = json.loads(Path(run, "result.json").read_text())["command"]
    assert command == f"facesegl evaluate {checkpoints[1]} set=test panels=0"
    again = compare(trained, set="test")
    assert [model.scores for model in again.models] == [model.scores for model in comparison.models[:2]]
    assert compare([trained[0], run], set="test").differences == again.differences


def test_a_checkpoint_is_scored_on_the_set_that_was_asked_for(trained):
    checkpoints = [run / "checkpoints" / "last.ckpt" for run in trained]
    comparison = compare(checkpoints, set="train", overrides=["panels=0"])
    assert (comparison.set, comparison.photos) == ("train", ids("train", 6))


def test_a_set_that_the_data_of_a_checkpoint_lack_is_refused(trained, tmp_path, monkeypatch):
    checkpoint = trained[0] / "checkpoints" / "last.ckpt"
    folder = write_run(tmp_path / "evaluated", 0.1, sets={"test": ids("test", 24)})
    monkeypatch.setattr("facesegl.commands.compare.evaluate", lambda *_, **__: SimpleNamespace(folder=folder))
    (problem,) = problems_of(ConfigError, [checkpoint, checkpoint], set="test_clean")
    expected = "not scored on test_clean, only on test. Its data have no such photos; choose another set."
    assert problem == f"{checkpoint}: {expected}"


def test_a_model_of_other_classes_is_refused_before_it_is_scored(trained, runs, tmp_path):
    (problem,) = problems_of(ConfigError, [trained[0] / "checkpoints" / "last.ckpt", runs[0]])
    assert "different classes from" in problem
    assert not (tmp_path / "runs").exists()


def test_a_file_that_is_no_model_is_refused(runs, tmp_path):
    (tmp_path / "a.ckpt").write_bytes(b"weights")
    assert problems_of(CheckpointError, [runs[0], tmp_path / "a.ckpt"])[0].startswith(f"{tmp_path / 'a.ckpt'}: ")
