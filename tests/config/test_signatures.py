import pytest
from hydra._internal.instantiate._instantiate2 import _Keys

from facesegl.config.signatures import path_keys
from facesegl.labels.taxonomy import RESERVED


def test_keys_that_take_a_path_include_inherited_parameters():
    values = {"mapping": "a", "images": "b", "masks": "c", "lists": {}, "name": "d", "mask_scale": 1, "mask_name": None}
    assert path_keys({"_target_": "facesegl.sources.CelebAMaskHQ", **values}) == ["mapping", "images", "masks", "lists"]


@pytest.mark.parametrize("node", [{"_target_": "facesegl.nets.UNet"}, {}, {"_target_": "nobody.Source"}])
def test_node_without_a_path_parameter_or_without_a_class_has_no_such_keys(node):
    assert path_keys(node | {"images": "a", "channels": 4}) == []


def test_reserved_class_names_are_the_keys_that_hydra_reads():
    assert {key.value for key in _Keys} <= RESERVED
