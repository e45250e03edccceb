"""On the real photos: the figures of docs/fasseg.md, from the code that trains on them."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from facesegl.commands.data_init import init_data
from facesegl.evaluation.scoring import agreement_of, count_photos, floor, pooled
from facesegl.labels import mask_to_colours
from facesegl.sources import FASSEG, read_rgb
from helpers.faces import CLASSES, face_module

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def v2(real_fasseg, tmp_path_factory):
    return faces(real_fasseg, "V2", tmp_path_factory.mktemp("cache"))


def faces(root, version, cache):
    module = face_module(source=FASSEG(str(root), version), image_size=256, batch_size=4, fold=None, cache=str(cache))
    module.setup("fit")
    return module


def test_twenty_photos_to_learn_from_and_three_sets_to_test_on(v2):
    assert len(v2.train) == 20
    assert [len(v2.indices(name)) for name in ("test", "test_clean", "test_strict")] == [50, 44, 38]
    left = set(v2.ids(v2.indices("test"))) - set(v2.ids(v2.indices("test_clean")))
    assert left == {f"test/{number}" for number in (13, 17, 20, 23, 26, 44)}
    left = set(v2.ids(v2.indices("test_clean"))) - set(v2.ids(v2.indices("test_strict")))
    assert left == {f"test/{number}" for number in (1, 3, 5, 6, 7, 8)}


def test_a_fold_never_splits_a_person(real_fasseg, v2):
    groups = {row.group for row in (v2.cache.rows[place] for place in v2.train)}
    assert len(groups) == 20


def test_the_share_of_inexact_pixels_is_that_of_the_anti_aliased_rims(v2):
    rows = [v2.cache.rows[place] for place in v2.indices("test")]
    inexact = sum(sum(row.inexact) for row in rows) / sum(sum(row.class_pixels) for row in rows)
    assert inexact == pytest.approx(0.02374, abs=1e-5)


def test_decoding_changes_no_pixel_that_was_exact(v2):
    for place in v2.indices("test")[:10]:
        colours = read_rgb(v2.cache.samples[place].mask)
        mask, inexact = v2.source.read_mask(v2.cache.samples[place], v2.taxonomy)
        assert (mask_to_colours(mask, v2.taxonomy)[~inexact] == colours[~inexact]).all()


def test_two_people_agree_as_docs_say(v2):
    found = agreement_of(v2)
    assert found.photos == 6
    assert found.miou == pytest.approx(0.870, abs=5e-4)
    expected = {"background": 0.912, "skin": 0.960, "hair": 0.913, "nose": 0.852, "eyes": 0.755, "mouth": 0.826}
    assert {name: round(value, 3) for name, value in found.iou.items()} == expected


def test_a_model_that_never_looks_scores_the_floor(v2):
    (counted,) = count_photos(v2, v2.indices("test_clean").tolist(), floor(v2))
    assert pooled(v2.taxonomy.names, counted.values()).miou == pytest.approx(0.527, abs=5e-4)


def test_v1_has_the_same_photos_under_other_masks(real_fasseg, v2, tmp_path):
    v1 = faces(real_fasseg, "V1", tmp_path)
    assert [row.pixels for row in v1.cache.rows] == [row.pixels for row in v2.cache.rows]
    assert v1.cache.fingerprint != v2.cache.fingerprint


def test_v3_names_what_it_leaves_out(real_fasseg, tmp_path):
    v3 = faces(real_fasseg, "V3", tmp_path)
    assert any("+60/personne12250" in line for line in v3.cache.left_out)
    assert not {v3.cache.rows[place].group for place in v3.train} & {v3.cache.rows[place].group for place in v3.test}
    assert all(tag.startswith("pose=") for row in v3.cache.rows for tag in row.tags)


def test_there_and_back_at_the_nets_size_costs_what_docs_say(v2):
    from facesegl.labels import restore_mask, unpack_onehot
    from facesegl.scores import confusion_counts, miou

    counts = torch.zeros(6, 6, dtype=torch.int64)
    for place in v2.indices("test"):
        truth = v2.native(int(place))[1]
        small = unpack_onehot(v2.cache.read(np.array([place]))[1][0])
        back = restore_mask(small, *truth.shape)
        counts += confusion_counts(torch.from_numpy(back), torch.from_numpy(truth), 6)
    assert miou(counts).item() == pytest.approx(0.9756, abs=5e-4)


@pytest.mark.parametrize(("version", "masks"), [("V1", "Train_Labels"), ("V2", "Train_Labels"), ("V3", "Train_labels")])
def test_data_init_finds_exactly_the_six_colours_among_thousands(version, masks, real_fasseg):
    init_data(real_fasseg / version / "Train_RGB", real_fasseg / version / masks, Path("my.yaml"))
    assert yaml.safe_load(Path("my.yaml").read_text())["classes"] == CLASSES
