import json
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch

from facesegl.scores import boundary_counts, confusion_counts, summarise

NAMES = ("background", "face", "hat")


def scores(photos):
    counts = torch.stack([confusion_counts(*map(torch.from_numpy, pair), len(NAMES)) for pair in photos])
    boundary = sum(boundary_counts(*pair, len(NAMES)) for pair in photos)
    return summarise(NAMES, counts, boundary)


def photos():
    first, second = np.zeros((8, 8), np.uint8), np.zeros((4, 6), np.uint8)
    first[:, 4:], second[2:] = 1, 1
    return [(first, first), (np.zeros_like(second), second)]


def test_the_summary_agrees_with_the_counts():
    summary = scores(photos())
    assert summary.iou["background"] == pytest.approx(44 / 56)
    assert summary.iou["face"] == pytest.approx(32 / 44)
    assert summary.dice["face"] == pytest.approx(64 / 76)
    assert summary.miou == pytest.approx((44 / 56 + 32 / 44) / 2)
    assert summary.accuracy == pytest.approx(76 / 88)
    assert summary.miou_per_photo == pytest.approx((1 + (12 / 24 + 0) / 2) / 2)
    assert summary.boundary["face"] == pytest.approx(2 * 1 * (8 / 14) / (1 + 8 / 14))
    assert summary.boundary_f == pytest.approx((summary.boundary["background"] + summary.boundary["face"]) / 2)
    assert summary.photos == 2


def test_json_gets_builtin_values_and_none_for_nan():
    summary = scores(photos()).to_dict()
    assert summary["iou"]["hat"] is None
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_a_set_without_photos_has_scores_of_none():
    empty = torch.zeros(0, 3, 3, dtype=torch.int64)
    summary = summarise(NAMES, empty, torch.zeros(3, 4, dtype=torch.int64)).to_dict()
    assert summary["photos"] == 0
    assert summary["miou"] is summary["accuracy"] is summary["miou_per_photo"] is summary["boundary_f"] is None


def test_scores_are_immutable():
    with pytest.raises(FrozenInstanceError):
        scores(photos()).miou = 1.0
