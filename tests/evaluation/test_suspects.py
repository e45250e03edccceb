"""Suspects: masks that disagree with models that were not trained on them."""

import numpy as np
import pytest

from facesegl.evaluation.counts_file import SavedCounts
from facesegl.evaluation.suspects import rank_suspects

CLASSES = ("background", "skin", "eyes")
GOOD = [[900, 10, 0], [10, 400, 4], [0, 4, 40]]
NO_EYES = [[900, 10, 0], [10, 408, 40], [0, 0, 0]]
UNSEEN_EYES = [[900, 10, 0], [10, 404, 0], [0, 44, 0]]
SWAPPED = [[0, 900, 0], [400, 10, 4], [0, 4, 40]]


def saved(photos, **changes):
    """The counts of a run that held out these photos."""
    given = {"classes": CLASSES, "sets": {"val": [*photos]}, "scored": "m", "data": "d", "fingerprint": "f"}
    counts = np.array([*photos.values()], np.int64).reshape(-1, 3, 3)
    boundary = np.zeros((len(photos), 3, 4), np.int64)
    ids = tuple(photos)
    return SavedCounts(**{"photos": ids, "groups": ids, "counts": counts, "boundary": boundary, **given, **changes})


def good(*names):
    return dict.fromkeys(names, GOOD)


def ranked(*runs):
    return [(one.photo, one.cls, one.fact) for one in rank_suspects(runs)]


def test_the_worst_class_of_the_worst_photo_comes_first_in_words():
    first, second, third, *_ = ranked(
        saved({**good("a", "b", "c"), "empty": NO_EYES}), saved({**good("d"), "missed": UNSEEN_EYES}), saved(good("e"))
    )
    assert {first, second} == {("empty", "eyes", "the mask has none"), ("missed", "eyes", "none is predicted")}
    assert third[0] in "abcde"
    (worst, *_) = ranked(saved({**good("a", "b", "c", "d"), "swap": SWAPPED}))
    assert worst == ("swap", "skin", "mostly skin predicted where the mask has background")


def test_only_held_out_photos_are_ranked():
    run = saved({**good("a", "b"), "seen": NO_EYES}, sets={"val": ["a", "b"], "train": ["seen"]})
    assert {photo for photo, *_ in ranked(run)} == {"a", "b"}


def test_a_photo_of_several_models_is_ranked_by_all_of_them():
    runs = [saved({**good("a", "b", "c"), "x": one}) for one in (NO_EYES, GOOD)]
    (of_both, *_) = rank_suspects(runs)
    (of_one, *_) = rank_suspects(runs[:1])
    assert (of_both.photo, of_both.models, of_one.models) == ("x", 2, 1)
    assert 0 < of_both.disagreement < of_one.disagreement


def test_a_class_that_is_hard_everywhere_makes_no_photo_suspect():
    found = rank_suspects([saved(dict.fromkeys("abcd", UNSEEN_EYES))])
    assert all(one.disagreement == pytest.approx(0, abs=1e-9) for one in found)


def test_a_few_pixels_of_a_class_count_less_than_a_whole_one():
    profile = [[900, 10, 0], [10, 440, 0], [0, 2, 0]]  # an eye of two pixels, not found
    found = {one.photo: one for one in rank_suspects([saved({**good("a", "b", "c"), "p": profile, "n": NO_EYES})])}
    assert found["p"].iou == found["n"].iou == 0
    assert found["p"].disagreement < 0.1 < found["n"].disagreement


def test_the_size_of_a_photo_does_not_matter():
    large = [[100 * count for count in row] for row in NO_EYES]
    one, other = (rank_suspects([saved({**good("a", "b"), "x": found})]) for found in (NO_EYES, large))
    assert [each.disagreement for each in one] == pytest.approx([each.disagreement for each in other])


def test_void_photos_and_absent_classes_are_left_out():
    nothing = np.zeros((3, 3), int).tolist()
    assert ranked(saved({"void": nothing})) == ranked() == []
    two = [[900, 10, 0], [10, 400, 0], [0, 0, 0]]
    found = rank_suspects([saved({"void": nothing, "a": two, "b": two})])
    assert {(one.photo, one.disagreement) for one in found} == {("a", 0.0), ("b", 0.0)}
