"""The page of a sweep: seeds combined, best first, nothing lost."""

import json
import re
import statistics
from pathlib import Path

import pytest

from facesegl.commands.report import report
from facesegl.errors import ConfigError
from facesegl.reporting.sweep_table import seeds_table
from facesegl.runs.sweep_jobs import Job, fold, read_jobs, swept
from helpers.calling import assert_reported, call, printed, succeed
from helpers.records import page, scores_of, write_record, write_sweep

JOBS = [
    (["optimizer.lr=0.001", "seed=0"], 0.61),
    (["optimizer.lr=0.001", "seed=1"], 0.65),
    (["optimizer.lr=0.01", "seed=0"], 0.72),
    (["optimizer.lr=0.01", "seed=1"], 0.70),
    (["optimizer.lr=0.1", "seed=0"], 0.3),
    (["optimizer.lr=0.1", "seed=1"], None),
]


def rows(shown):
    """The cells of each row of the table, as text."""
    body = re.search(r"<tbody>(.*?)</tbody>", shown, re.DOTALL).group(1)
    return [
        [" ".join(re.sub(r"<.*?>", "", cell).split()) for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)]
        for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    ]


def test_seeds_are_combined_and_the_best_configuration_comes_first(tmp_path):
    table = rows(page(write_sweep(tmp_path / "sweep", JOBS)))
    assert [row[:2] for row in table] == [
        ["0.01", f"0.710 ± {statistics.stdev([0.72, 0.70]):.3f} (2)"],
        ["0.001", f"0.630 ± {statistics.stdev([0.61, 0.65]):.3f} (2)"],
        ["0.1", "0.300 (1)"],
    ]
    assert [row[2] for row in table] == ["0.710", "0.630", "0.300"]
    assert [row[-1] for row in table] == ["2, 3", "0, 1", "4, 5"]


def test_the_command_of_the_best_run_each_failed_job_and_links_to_pages_are_shown(tmp_path):
    folder = write_sweep(tmp_path / "sweep", JOBS)
    (folder / "3" / "report.html").write_text("x")
    (folder / "6").mkdir()  # a job that was killed leaves no note
    shown = page(folder)
    assert "<pre>facesegl train optimizer.lr=0.01 seed=0</pre>" in shown
    assert "job 5 (optimizer.lr=0.1 seed=1) failed: no luck" in shown
    assert re.search(r"job 6 .*died", shown)
    assert '<a href="3/report.html">3</a>' in shown


def test_constant_keys_and_seeds_have_no_column(tmp_path):
    jobs = [(["model=unet", f"seed={seed}", f"loss={loss}"], 0.5) for seed in (0, 1) for loss in ("ce", "ce_dice")]
    shown = page(write_sweep(tmp_path / "sweep", jobs))
    heads = re.findall(r"<button type=\"button\">(.*?)</button></th>", shown)
    assert heads == ["loss", "mIoU ± sd (n)", "skin", "hair", "jobs"]


def test_two_parameters_give_a_map_next_to_their_curves(tmp_path):
    one = write_sweep(tmp_path / "one", JOBS)
    page(one)
    assert sorted(file.name for file in (one / "figures").iterdir()) == ["sweep_0.png"]
    jobs = [([f"optimizer.lr={lr}", f"loss={loss}"], lr) for lr in (0.1, 0.2) for loss in ("ce", "ce_dice")]
    two = write_sweep(tmp_path / "two", jobs)
    assert "One run each" in page(two)
    assert sorted(file.name for file in (two / "figures").iterdir()) == ["sweep_0.png", "sweep_1.png", "sweep_map.png"]


MASKS = [
    ([f"data.photos={photos}", f"data.photos_seed={seed}"], 0.6 + photos / 100 + seed / 50)
    for photos in (1, 20, 5)
    for seed in (0, 1)
]


def write_baseline(folder, set_name="val", fingerprint="faces"):
    folder.mkdir()
    write_record(
        folder,
        {"scores": {set_name: scores_of(0.77)}, "scored": ["facesegl:faces"], "data": {"fingerprint": fingerprint}},
    )
    return folder


def test_choices_of_photos_are_combined_and_ordered_by_the_number_of_masks(tmp_path):
    folder = write_sweep(tmp_path / "sweep", MASKS)
    table = [line.split() for line in printed(seeds_table(read_jobs(folder))).splitlines() if "±" in line][1:]
    assert table == [
        ["1", "0.620", "±", "0.014", "(2)"],
        ["5", "0.660", "±", "0.014", "(2)"],
        ["20", "0.810", "±", "0.014", "(2)"],
    ]


def test_the_chart_over_the_number_of_masks_has_means_floor_agreement_and_baselines(tmp_path):
    folder, baseline = write_sweep(tmp_path / "sweep", MASKS), write_baseline(tmp_path / "evaluation")
    succeed("report", folder, "--baseline", baseline)
    shown = (folder / "report.html").read_text(encoding="utf-8")
    alt = re.search(r'aria-label="(mIoU on val over the number of masks: .*?)"', shown).group(1)
    assert "mean 1: 0.620, 5: 0.660, 20: 0.810; floor 1: 0.400, 5: 0.400, 20: 0.400" in alt
    assert "agreement 0.870; facesegl:faces 0.770" in alt
    assert [file.name for file in (folder / "figures").iterdir()] == ["masks.png"]


def test_a_second_swept_key_gives_a_line_for_each_value(tmp_path):
    jobs = [([*overrides, f"augment={name}"], miou) for overrides, miou in MASKS for name in ("none", "face")]
    shown = page(write_sweep(tmp_path / "sweep", jobs))
    assert "augment=none 1: 0.620" in shown
    assert "augment=face 1: 0.620" in shown


@pytest.mark.parametrize("other", [{"set_name": "test"}, {"fingerprint": "others"}])
def test_a_baseline_of_other_photos_is_refused(tmp_path, other):
    folder, baseline = write_sweep(tmp_path / "sweep", MASKS), write_baseline(tmp_path / "evaluation", **other)
    ended = call("report", folder, "--baseline", baseline)
    assert_reported(ended, 2, f"--baseline {baseline}: no score on val of the sweep's data; expected a run folder of")


def test_a_baseline_needs_a_sweep_over_the_number_of_masks(tmp_path):
    folder, run = write_sweep(tmp_path / "sweep", JOBS), write_baseline(tmp_path / "evaluation")
    assert_reported(call("report", folder, "--baseline", run), 2, "a line in the chart over data.photos, which this")
    assert_reported(call("report", run, "--baseline", run), 2, "is a run; expected the folder of a sweep over data.ph")


def test_a_sweep_over_seeds_alone_is_one_configuration(tmp_path):
    jobs = [([f"seed={seed}"], score) for seed, score in enumerate((0.4, 0.6))]
    (row,) = rows(page(write_sweep(tmp_path / "sweep", jobs)))
    assert row[:2] == ["all", f"0.500 ± {statistics.stdev([0.4, 0.6]):.3f} (2)"]


def test_a_sweep_without_scores_says_so(tmp_path):
    shown = page(write_sweep(tmp_path / "sweep", [(["seed=0"], None), (["seed=1"], None)]))
    assert "0 scored runs" in shown
    assert "Best configuration" not in shown


def test_jobs_that_their_time_limit_stopped_are_named(tmp_path):
    folder = write_sweep(tmp_path / "sweep", [(["seed=0"], 0.5), (["seed=1"], None)])
    note = json.loads((folder / "1" / "job.json").read_text())
    (folder / "1" / "job.json").write_text(json.dumps({**note, "state": "stopped", "exit_code": 0}))
    shown = page(folder)
    assert "by trainer.max_time in 1 of 2 jobs. The same command with resume=auto resumes them." in shown
    assert "failed" not in shown


@pytest.mark.parametrize("note", ['{"job": 0, "state": "done"}', '{"job": 0, "overrides": 3}'])
def test_a_malformed_note_is_reported(tmp_path, note):
    folder = write_sweep(tmp_path / "sweep", JOBS)
    (folder / "0" / "job.json").write_text(note)
    with pytest.raises(ConfigError, match=r"sweep: a job\.json .* is not as facesegl writes it"):
        report(folder)


def test_a_hostile_note_never_becomes_markup_or_a_link(tmp_path):
    evil = "<script>alert(1)</script>"
    folder = write_sweep(tmp_path / "sweep", [([f"name={evil}"], 0.5), (["name=b"], 0.6)])
    note = json.loads((folder / "0" / "job.json").read_text())
    (folder / "0" / "job.json").write_text(json.dumps({**note, "job": "javascript:alert(1)//"}))
    (folder / "0" / "report.html").write_text("x")
    shown = page(folder)
    assert "<script>alert" not in shown
    assert 'href="javascript' not in shown


def test_a_sweep_given_as_a_dot_has_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(write_sweep(tmp_path / "runs" / "sweep", JOBS))
    shown = page(Path())
    assert "<h1>Sweep sweep</h1>" in shown
    assert "runs · 6 jobs" in shown


@pytest.mark.parametrize("order", [1, -1])
def test_combining_seeds_does_not_depend_on_the_order_of_jobs(tmp_path, order):
    jobs = [
        Job(number, {"lr": lr, "seed": str(number)}, "val", score, {"skin": score}, "", "")
        for number, (lr, score) in enumerate([("1", 0.5), ("2", 0.6), ("1", 0.7), ("2", 0.1)])
    ][::order]
    assert swept(jobs) == ["lr"]
    assert [(row.values, round(row.mean, 6), row.n) for row in fold(jobs, ["lr"])] == [
        (["1"], 0.6, 2),
        (["2"], 0.35, 2),
    ]
