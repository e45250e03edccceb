import math
from pathlib import Path

import numpy as np
import pytest

from facesegl.errors import CheckpointError, ConfigError
from facesegl.evaluation.counts_file import SavedCounts
from facesegl.evaluation.cross_validation import pool_runs

CLASSES = ("background", "skin", "hair")


def write_run(folder, photos, *, persons=None, seed=0, classes=CLASSES, fingerprint="faces", set_name="val"):
    """A run folder with counts of photos; returns the confusion counts."""
    folder.mkdir()
    rng = np.random.default_rng([seed, *map(ord, "".join(photos))])
    counts = rng.integers(1, 100, (len(photos), len(classes), len(classes)))
    boundary = rng.integers(1, 50, (len(photos), len(classes), 4))
    SavedCounts(
        classes=classes,
        photos=tuple(photos),
        groups=tuple(persons or photos),
        sets={set_name: photos},
        counts=counts,
        boundary=boundary,
        scored="last.ckpt",
        data="faces",
        fingerprint=fingerprint,
    ).write(folder)
    return counts


def mean_iou(counts):
    total = counts.sum(axis=0)
    return np.mean([total[i, i] / (total[i].sum() + total[:, i].sum() - total[i, i]) for i in range(len(total))])


def test_folds_are_pooled_by_their_counts_and_not_by_the_mean_of_their_scores(tmp_path):
    one = write_run(tmp_path / "0", ["a", "b", "c", "d"])
    two = write_run(tmp_path / "1", ["e", "f", "g"])
    found = pool_runs([tmp_path / "0", tmp_path / "1"])
    assert found.scores.miou == found.miou.value == pytest.approx(mean_iou(np.concatenate([one, two])), abs=1e-12)
    assert abs(found.miou.value - np.mean([mean_iou(one), mean_iou(two)])) > 1e-6
    assert (found.photos, found.persons, found.folds) == (tuple("abcdefg"), 7, 2)
    assert found.miou.low < found.miou.value < found.miou.high
    assert found.scores.confusion == (one.sum(axis=0) + two.sum(axis=0)).tolist()


def test_the_interval_is_over_persons_and_there_is_none_for_a_few(tmp_path):
    write_run(tmp_path / "0", ["a", "b", "c", "d"], persons=["1", "1", "2", "2"])
    write_run(tmp_path / "1", ["e", "f", "g"], persons=["3", "4", "5"])
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
    write_run(tmp_path / "0", [*"abc"])
    write_run(tmp_path / "1", [*photos], **other)
    with pytest.raises(ConfigError, match=expected):
        pool_runs([tmp_path / "0", tmp_path / "1"])


def test_a_fold_without_counts_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        pool_runs([Path("nowhere")])
