from hydra._internal.instantiate._instantiate2 import _Keys

from facesegl.config.signatures import places_in
from facesegl.labels.taxonomy import RESERVED


def test_places_are_parameters_that_take_a_path_the_inherited_ones_too():
    values = {"mapping": "a", "images": "b", "masks": "c", "lists": {}, "name": "d", "mask_scale": 1, "mask_name": None}
    assert places_in({"_target_": "facesegl.sources.CelebAMaskHQ", **values}) == ["mapping", "images", "masks", "lists"]


def test_what_takes_no_path_is_no_node_or_does_not_import_has_none():
    assert places_in({"_target_": "facesegl.nets.UNet", "channels": 4}) == []
    assert places_in({"images": "a"}) == []
    assert places_in({"_target_": "nobody.Source", "images": "a"}) == []


def test_names_that_no_class_may_have_are_the_keys_that_hydra_reads():
    assert {key.value for key in _Keys} == RESERVED
