import importlib
import itertools
import math

import numpy as np
import pytest
import torch

from facesegl.scores import Estimate, interval, resampled_scores, summarise


def make_photos(seed, photos=8, classes=3):
    """Counts and boundary counts of random masks; some photos lack the last class."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 50, (photos, classes, classes)) + 100 * np.eye(classes, dtype=np.int64)
    counts[::2, -1], counts[::2, :, -1] = 0, 0
    predicted, true = rng.integers(1, 30, (2, photos, classes))
    boundary = np.stack([rng.integers(0, predicted + 1), predicted, rng.integers(0, true + 1), true], axis=-1)
    boundary[::2, -1] = 0
    return counts, boundary


def scores_of(counts, boundary, photos):
    """Pooled scores of a list of photos, by hand."""
    classes, iou, outlines = len(counts[0]), [], []
    for label in range(classes):
        correct = sum(int(counts[p][label][label]) for p in photos)
        true = sum(int(counts[p][label][other]) for p in photos for other in range(classes))
        predicted = sum(int(counts[p][other][label]) for p in photos for other in range(classes))
        union = true + predicted - correct
        iou.append(correct / union if union else math.nan)
        found, said, met, there = (sum(int(boundary[p][label][k]) for p in photos) for k in range(4))
        precision, recall = found / max(said, 1), met / max(there, 1)
        f = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        outlines.append(f if said + there else math.nan)
    return mean_of_known(iou), mean_of_known(outlines), *iou


def mean_of_known(values):
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def rows(drawn):
    """Each draw's scores as a tuple, to be found in a dictionary."""
    table = np.column_stack([drawn.miou, drawn.boundary_f, drawn.iou])
    return [tuple(np.nan_to_num(row, nan=-1).round(9)) for row in table]


def test_scores_equal_those_of_a_slow_loop_over_the_draws():
    one, other = make_photos(1, photos=3), make_photos(2, photos=3)
    expected = {}  # the scores of both models on each of the 27 draws, with how many draws give them
    for draw in itertools.product(range(3), repeat=3):
        both = np.array([*scores_of(*one, draw), *scores_of(*other, draw)])
        key = tuple(np.nan_to_num(both, nan=-1).round(9))
        expected[key] = expected.get(key, 0) + 1
    drawn = resampled_scores([one, other], ["a", "b", "c"], resamples=20_000)
    seen = [(*ours, *theirs) for ours, theirs in zip(*map(rows, drawn), strict=True)]
    assert set(seen) == set(expected)
    for key, times in expected.items():
        assert seen.count(key) / len(seen) == pytest.approx(times / 27, abs=0.015)


def test_with_one_person_every_draw_is_the_score_itself():
    counts, boundary = make_photos(3)
    (drawn,) = resampled_scores([(counts, boundary)], ["one"] * len(counts), resamples=5)
    summary = summarise(("a", "b", "c"), torch.from_numpy(counts), torch.from_numpy(boundary).sum(0))
    assert drawn.miou == pytest.approx([summary.miou] * 5)
    assert drawn.boundary_f == pytest.approx([summary.boundary_f] * 5)
    assert drawn.iou[0] == pytest.approx([*summary.iou.values()])


def test_a_class_that_a_draw_lacks_is_left_out_of_its_mean():
    counts, boundary = make_photos(4, photos=2)  # the last class is on photo 1 only
    (drawn,) = resampled_scores([(counts, boundary)], ["0", "1"], resamples=200)
    absent = np.isnan(drawn.iou[:, 2])
    assert 0 < absent.sum() < 200
    assert drawn.miou == pytest.approx(np.where(absent, drawn.iou[:, :2].mean(1), drawn.iou.mean(1)))


def test_identical_models_have_no_difference_and_swapping_models_mirrors_the_interval():
    one, other = resampled_scores([make_photos(5), make_photos(5)], list("abcdefgh"))
    assert interval(one.miou - other.miou) == (0, 0)
    assert interval(one.boundary_f - other.boundary_f) == (0, 0)
    one, other = resampled_scores([make_photos(6), make_photos(7)], list("abcdefgh"))
    low, high = interval(one.miou - other.miou)
    assert low < high
    assert interval(other.miou - one.miou) == pytest.approx((-high, -low))


def test_the_order_of_the_photos_does_not_matter():
    models, groups = [make_photos(8), make_photos(9)], np.array(list("aabcddde"))
    order = np.random.default_rng(0).permutation(8)
    shuffled = [(counts[order], boundary[order]) for counts, boundary in models]
    drawn = resampled_scores(models, groups, resamples=50)
    again = resampled_scores(shuffled, groups[order], resamples=50)
    for here, there in zip(drawn, again, strict=True):
        assert all(np.array_equal(one, other, equal_nan=True) for one, other in zip(here, there, strict=True))


def test_more_photos_of_the_same_persons_do_not_narrow_the_interval():
    counts, boundary = make_photos(10)
    twice = np.concatenate([counts, counts]), np.concatenate([boundary, boundary])
    persons = list("abcdefgh")
    (alone,) = resampled_scores([(counts, boundary)], persons)
    (grouped,) = resampled_scores([twice], persons * 2)
    (taken_for_strangers,) = resampled_scores([twice], [str(number) for number in range(16)])
    assert np.array_equal(alone.miou, grouped.miou)
    assert taken_for_strangers.miou.std() < 0.8 * alone.miou.std()


def test_a_seed_gives_the_same_draws_however_many_are_held_at_once(monkeypatch):
    model, persons = make_photos(11), list("abcdefgh")
    (whole,) = resampled_scores([model], persons, resamples=300, seed=4)
    (other,) = resampled_scores([model], persons, resamples=300, seed=5)
    monkeypatch.setattr(importlib.import_module("facesegl.scores.bootstrap"), "_CELLS", 100)
    (in_parts,) = resampled_scores([model], persons, resamples=300, seed=4)
    assert np.array_equal(whole.miou, in_parts.miou)
    assert not np.array_equal(whole.miou, other.miou)


def simulated(rng, persons, better):
    """Two models of two classes on photos that are hard or easy for both; the second is better by a little."""
    difficulty = rng.beta(2, 8, persons)
    models = []
    for gain in (0.0, better):
        wrong = rng.binomial(1000, np.clip(difficulty * (1 - gain) + rng.normal(0, 0.02, persons), 0, 1))
        counts = np.zeros((persons, 2, 2), dtype=np.int64)
        counts[:, 0, 0], counts[:, 0, 1], counts[:, 1, 1] = 1000 - wrong, wrong, 1000
        models.append((counts, np.zeros((persons, 2, 4), dtype=np.int64)))
    return models


def test_nineteen_of_twenty_intervals_hold_the_truth():
    rng = np.random.default_rng(12)
    of_all = [scores_of(*model, range(4000))[0] for model in simulated(rng, 4000, better=0.1)]
    truth, held, apart = of_all[1] - of_all[0], 0, []
    for _ in range(300):
        first, second = resampled_scores(simulated(rng, 44, better=0.1), [str(n) for n in range(44)], resamples=400)
        low, high = interval(second.miou - first.miou)
        held += low <= truth <= high
        apart.append((high - low) / np.ptp(interval(first.miou)))
    assert 0.91 <= held / 300 <= 0.98
    assert np.mean(apart) < 0.8  # what is hard for both falls out of the difference


def test_only_an_interval_on_one_side_of_zero_is_conclusive():
    signs = [Estimate(0.1, low, high).sign for low, high in ((0.1, 0.2), (-0.2, -0.1), (-0.1, 0.2), (0, 0))]
    assert signs == [1, -1, 0, 0]
    assert interval(np.array([np.nan, 2.0, 2.0])) == (2, 2)
    assert all(map(math.isnan, interval(np.full(10, np.nan))))
    unknown = Estimate(0.1, math.nan, math.nan)
    assert unknown.sign == 0
    assert unknown.to_dict() == {"difference": 0.1, "low": None, "high": None}
