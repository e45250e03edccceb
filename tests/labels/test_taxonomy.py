import numpy as np
import pytest

from facesegl.errors import ConfigError
from facesegl.labels import VOID, Taxonomy

FACE = {
    "classes": {"skin": [1, 2, 3], "left eye": [4, 5, 6], "right eye": [7, 8, 9]},
    "pairs": [["left eye", "right eye"]],
}


def test_a_mapping_comes_back_as_it_went_in():
    mapping = {**FACE, "void": [9, 9, 9], "remap": {3: "skin", 17: "left eye"}}
    assert Taxonomy.from_mapping(mapping).to_mapping() == mapping
    assert Taxonomy.from_mapping(Taxonomy.from_mapping(FACE).to_mapping()) == Taxonomy.from_mapping(FACE)


def test_flipping_twice_brings_every_class_back():
    table = Taxonomy.from_mapping(FACE).mirrored()
    assert table[:3].tolist() == [0, 2, 1]
    assert (table[table] == np.arange(256)).all()
    assert table[VOID] == VOID


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": {"a": [1, 2, 3], "b": [1, 2, 3]}, "pairs": []}, "a and b have the same colour"),
        ({"classes": {"a": [1, 2, 3]}, "pairs": []}, "1 classes; expected 2"),
        ({"pairs": [["left eye", "right ear"]]}, "right ear, which is no class"),
        ({"pairs": [["left eye", "right eye"], ["left eye", "skin"]]}, "left eye is in two pairs"),
        ({"void": [1, 2, 3]}, "void .* is the colour of skin"),
        ({"void": 1}, "void 1 is the value of a class"),
        ({"classes": {"a": [1, 2, 300], "b": [1, 2, 3]}, "pairs": []}, "is no colour"),
        ({"remap": {4: "chin"}}, "remap leads to chin"),
        ({"classes": ["a", "b"]}, "expected classes as"),
        ({"classes": {"a": [1, 2], "b": [1, 2, 3]}}, "expected classes as"),
        ({"colors": {}}, "colors is no part of a taxonomy"),
    ],
)
def test_a_wrong_taxonomy_is_refused_when_it_is_read(change, message):
    with pytest.raises(ConfigError, match=message):
        Taxonomy.from_mapping({**FACE, **change})


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(ConfigError) as caught:
        Taxonomy.from_mapping({"classes": {"a": [1, 2, 3], "b": [1, 2, 3]}, "pairs": [["a", "c"]]})
    assert len(caught.value.problems) == 2
