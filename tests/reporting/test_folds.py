"""Folds of a sweep as one configuration: pooled scores in its tables and on its page."""

import re
import statistics

import numpy as np

from facesegl.evaluation.cross_validation import pool_folds
from facesegl.reporting.sweep_table import folds_table, seeds_table
from facesegl.reporting.terminal import show_sweep
from facesegl.runs.sweep_jobs import fold, read_jobs, spread, swept
from helpers.calling import printed
from helpers.records import page, write_folds

RATES_AND_SEEDS = [[f"optimizer.lr={rate}", f"seed={seed}"] for rate in ("0.01", "0.003") for seed in (0, 1)]


def rows_of(folder):
    jobs = pool_folds(read_jobs(folder))
    return fold(jobs, swept(jobs))


def test_folds_are_pooled_and_seeds_are_averaged_over_pooled_scores(tmp_path):
    pooled = write_folds(tmp_path / "sweep", RATES_AND_SEEDS)
    found = {row.values[0]: spread(row) for row in rows_of(tmp_path / "sweep")}
    of_rate = {rate: [score for keys, score in pooled.items() if f"={rate} " in keys] for rate in ("0.01", "0.003")}
    assert found == {
        rate: f"{statistics.mean(scores):.3f} ± {statistics.stdev(scores):.3f} (2 x 3 folds)"
        for rate, scores in of_rate.items()
    }


def test_a_sweep_of_folds_and_seeds_alone_is_one_configuration(tmp_path):
    write_folds(tmp_path / "sweep", [["seed=0"], ["seed=1"]])
    jobs = read_jobs(tmp_path / "sweep")
    assert (swept(jobs), len(fold(jobs, swept(jobs)))) == ([], 1)


def test_a_configuration_that_lacks_a_fold_says_so_and_comes_after_complete_ones(tmp_path):
    rates = [["optimizer.lr=0.01"], ["optimizer.lr=0.003"]]
    pooled = write_folds(tmp_path / "whole", rates)
    best = max(pooled, key=pooled.get)
    write_folds(tmp_path / "sweep", rates, failed=[3 * list(pooled).index(best)])
    first, last = rows_of(tmp_path / "sweep")
    assert [f"optimizer.lr={row.values[0]}" == best for row in (first, last)] == [False, True]
    assert (first.counted, last.counted) == ("3 folds", "2 of 3 folds")
    table = printed(folds_table("sweep", pool_folds(read_jobs(tmp_path / "sweep"))), width=120)
    assert "2 of 3: 1 failed" in table.splitlines()[-1]
    assert "cross-validated over 6 photos" in table


def test_seeds_that_lack_a_fold_are_left_out_of_the_mean_and_counted(tmp_path):
    pooled = write_folds(tmp_path / "sweep", [["seed=0"], ["seed=1"]], failed=[4])
    (row,) = rows_of(tmp_path / "sweep")
    assert spread(row) == f"{pooled['seed=0']:.3f} (3 folds; 1 incomplete)"


def test_the_table_has_the_interval_of_each_pooled_score(tmp_path):
    pooled = write_folds(tmp_path / "sweep", RATES_AND_SEEDS)
    jobs = pool_folds(read_jobs(tmp_path / "sweep"))
    lines = printed(folds_table("sweep", jobs), width=120).splitlines()[3:]
    ordered = sorted(pooled, key=pooled.get, reverse=True)
    for keys, line in zip(ordered, lines, strict=True):
        jobs, score, low, high = re.fullmatch(rf"(\S+)\s+{keys}\s+3 of 3\s+(\S+)\s+(\S+) to (\S+)\s*", line).groups()
        assert jobs == {0: "0-2", 1: "3-5", 2: "6-8", 3: "9-11"}[list(pooled).index(keys)]
        assert score == f"{pooled[keys]:.3f}"
        assert float(low) < float(score) < float(high)
    assert "Cross-validated over 6 photos, over the seeds" in printed(
        seeds_table(pool_folds(read_jobs(tmp_path / "sweep")))
    )


def test_the_page_has_pooled_scores_and_the_command_that_trains_on_all_photos(tmp_path):
    folder = tmp_path / "sweep"
    pooled = write_folds(folder, RATES_AND_SEEDS)
    shown = page(folder)
    assert "2 configurations, 12 scored runs" in shown
    assert "cross-validated over 6 photos" in shown
    best = max(
        ("0.01", "0.003"), key=lambda rate: np.mean([pooled[f"optimizer.lr={rate} seed={seed}"] for seed in (0, 1)])
    )
    (command,) = re.findall(r"<pre>(.*?)</pre>", shown)
    assert re.fullmatch(rf"facesegl train optimizer\.lr={best} seed=\d data\.fold=null", command)
    assert "a point for each cross-validation" in shown
    assert '<td class="words">3 of 3</td>' in shown
    assert len(re.findall("2 x 3 folds", shown)) >= 2
    configurations, cross_validations, *_ = (
        re.sub(r"<.*?>", "", body) for body in re.findall(r"<tbody>.*?</tbody>", shown, re.DOTALL)
    )
    assert "6-11" in configurations
    assert "9, 10, 11" in cross_validations


def test_a_sweep_of_one_configuration_prints_the_pooled_score_of_each_class(tmp_path, capsys):
    pooled = write_folds(tmp_path / "sweep", [[]])
    show_sweep(tmp_path / "sweep")
    out = " ".join(capsys.readouterr().out.split())
    score = f"{pooled['']:.3f}"
    assert f"mIoU {score} {score} mIoU per photo" in out  # the floor has the counts of the model here
    assert f"mIoU {score}, 95 % interval" in out
    assert "facesegl train data.fold=null" in out


def test_a_fold_whose_counts_cannot_be_read_does_not_count(tmp_path, caplog):
    write_folds(tmp_path / "sweep", [[]])
    (tmp_path / "sweep" / "1" / "counts.npz").write_bytes(b"")
    (row,) = rows_of(tmp_path / "sweep")
    assert row.counted == "2 of 3 folds"
    assert "job 1 does not count: " in caplog.text


def test_folds_that_share_photos_are_not_pooled(tmp_path, caplog):
    write_folds(tmp_path / "sweep", [[]])
    (tmp_path / "sweep" / "1" / "counts.npz").write_bytes((tmp_path / "sweep" / "0" / "counts.npz").read_bytes())
    (row,) = rows_of(tmp_path / "sweep")
    assert row.counted == "3"
    assert "2 of its 2 validation photos are also those of" in caplog.text
