import math
from pathlib import Path

import numpy as np
import pytest

from facesegl.errors import CheckpointError, ConfigError
from facesegl.evaluation.cross_validation import pool_runs
from helpers.records import mean_iou, write_counts


def test_folds_are_pooled_by_their_counts_and_not_by_the_mean_of_their_scores(tmp_path):
    one = write_counts(tmp_path / "0", ["a", "b", "c", "d"])
    two = write_counts(tmp_path / "1", ["e", "f", "g"])
    found = pool_runs([tmp_path / "0", tmp_path / "1"])
    assert found.scores.miou == found.miou.value == pytest.approx(mean_iou(np.concatenate([one, two])), abs=1e-12)
    assert abs(found.miou.value - np.mean([mean_iou(one), mean_iou(two)])) > 1e-6
    assert (found.photos, found.persons, found.folds) == (tuple("abcdefg"), 7, 2)
    assert found.miou.low < found.miou.value < found.miou.high
    assert found.scores.confusion == (one.sum(axis=0) + two.sum(axis=0)).tolist()


def test_the_interval_is_over_persons_and_there_is_none_for_a_few(tmp_path):
    write_counts(tmp_path / "0", ["a", "b", "c", "d"], persons=["1", "1", "2", "2"])
    write_counts(tmp_path / "1", ["e", "f", "g"], persons=["3", "4", "5"])
    found = pool_runs([tmp_path / "0", tmp_path / "1"])
    assert found.persons == 5
    assert math.isnan(found.miou.low)
    assert not math.isnan(found.miou.value)


@pytest.mark.parametrize(
    ("photos", "other", "expected"),
    [
        ("de", {"classes": ("background", "skin", "nose")}, r"1: other classes than .*0; expected folds of the same"),
        ("de", {"fingerprint": "others"}, r"1: other data than .*0 \(fingerprints others, faces\); train all folds on"),
        ("cd", {}, r"1: 1 of its 2 validation photos are also those of .*0 \(c\); expected another fold"),
        ("de", {"set_name": "test"}, r"1: no validation photos; expected a run with data\.fold=0, 1"),
    ],
)
def test_runs_that_are_not_folds_of_each_other_are_refused(tmp_path, photos, other, expected):
    write_counts(tmp_path / "0", [*"abc"])
    write_counts(tmp_path / "1", [*photos], **other)
    with pytest.raises(ConfigError, match=expected):
        pool_runs([tmp_path / "0", tmp_path / "1"])


def test_a_fold_without_counts_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        pool_runs([Path("nowhere")])
