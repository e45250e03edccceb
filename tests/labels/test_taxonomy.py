import json

import numpy as np
import pytest

from facesegl.errors import ConfigError
from facesegl.labels import VOID, Taxonomy, distinct_colours, likely_pairs

FACE = {
    "classes": {"skin": [1, 2, 3], "left eye": [4, 5, 6], "right eye": [7, 8, 9]},
    "pairs": [["left eye", "right eye"]],
}


def test_a_mapping_survives_a_round_trip():
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
        ({"pairs": [["left eye", "right ear"]]}, "right ear, which is not a class"),
        ({"pairs": [["left eye", "right eye"], ["left eye", "skin"]]}, "left eye is in two pairs"),
        ({"void": [1, 2, 3]}, "void .* is the colour of skin"),
        ({"void": 1}, "void 1 is the value of a class"),
        ({"classes": {"a": [1, 2, 300], "b": [1, 2, 3]}, "pairs": []}, "is not a colour"),
        ({"remap": {4: "chin"}}, "remap maps to chin, .* If that class was renamed, rename it there too"),
        ({"remap": {4: "skin", "l_eye": "left eye"}}, "mixes kinds of raw values"),
        ({"remap": {"0, 0, 256": "skin"}}, "is not a colour"),
        ({"remap": {4: "skin"}, "void": 4}, "void 4 is the value of a class"),
        ({"classes": ["a", "b"]}, "classes are .*; expected a mapping"),
        ({"classes": {"a": "#ffcc33", "b": [1, 2, 3]}}, "the colour of a is '#ffcc33'; expected red, green and blue"),
        ({"pairs": ["left eye", "right eye"]}, "pairs hold 'left eye'; expected pairs of names"),
        ({"remap": [1, 2]}, "remap is .*; expected a mapping"),
        ({"classes": {"a": [1, 2], "b": [1, 2, 3]}}, "the colour of a is .1, 2.; expected red"),
        ({"colors": {}}, "colors is not a key of a taxonomy"),
        ({"classes": {False: [1, 2, 3], "b": [4, 5, 6]}}, "classes: the name False is not text; put it in quotes"),
        ({"remap": {True: "skin"}}, "remap: the name True is not text"),
        ({"remap": {0: None}}, "remap: the name None is not text"),
        ({"pairs": [["left eye", 1.5]]}, "pairs: the name 1.5 is not text"),
        ({"synthetic_as": {"skin": False}}, "synthetic_as: the name False is not text"),
    ],
)
def test_a_wrong_taxonomy_is_refused_when_it_is_read(change, message):
    with pytest.raises(ConfigError, match=message):
        Taxonomy.from_mapping({**FACE, **change})


def test_all_problems_are_reported_at_once():
    with pytest.raises(ConfigError) as caught:
        Taxonomy.from_mapping({"classes": {"a": [1, 2, 3], "b": [1, 2, 3]}, "pairs": [["a", "c"]]})
    assert len(caught.value.problems) == 2


def test_without_a_remap_masks_hold_the_classes_own_indices_names_or_colours():
    taxonomy = Taxonomy.from_mapping({**FACE, "void": [9, 9, 9]})
    assert taxonomy.raw_numbers() == {0: 0, 1: 1, 2: 2}
    assert taxonomy.raw_names() == {"skin": 0, "left eye": 1, "right eye": 2}
    assert taxonomy.raw_colours() == {(1, 2, 3): 0, (4, 5, 6): 1, (7, 8, 9): 2, (9, 9, 9): VOID}


@pytest.mark.parametrize(
    ("remap", "numbers", "names", "colours"),
    [
        ({4: "skin", 9: "skin", 11: "void"}, {4: 0, 9: 0, 11: VOID}, {"4": 0, "9": 0, "11": VOID}, 3),
        ({"nose": "skin", "l_eye": "left eye"}, {0: 0, 1: 1, 2: 2}, {"nose": 0, "l_eye": 1}, 3),
        ({"9, 9, 0": "skin", "8,8,0": "skin"}, {0: 0, 1: 1, 2: 2}, {"skin": 0, "left eye": 1, "right eye": 2}, 2),
    ],
)
def test_a_remap_of_one_kind_leaves_the_others_as_they_are(remap, numbers, names, colours):
    taxonomy = Taxonomy.from_mapping({**FACE, "remap": remap})
    assert taxonomy.raw_numbers() == numbers
    assert taxonomy.raw_names() == names
    assert len(taxonomy.raw_colours()) == colours
    assert Taxonomy.from_mapping(json.loads(json.dumps(taxonomy.to_mapping()))) == taxonomy


def test_a_class_may_be_named_void():
    classes = {"void": [0, 0, 0], "face": [1, 1, 1]}
    assert Taxonomy.from_mapping({"classes": classes, "remap": {7: "void", 8: "face"}}).raw_numbers() == {7: 0, 8: 1}


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["l_eye", "r_eye"], [("l_eye", "r_eye")]),
        (["right ear", "skin", "left ear"], [("right ear", "left ear")]),
        (["eye-left", "eye-right"], [("eye-left", "eye-right")]),
        (["LeftBrow", "RightBrow"], [("LeftBrow", "RightBrow")]),
        (["eye_l_2", "eye_r_2", "eye_l_1"], [("eye_l_2", "eye_r_2")]),
        (["u_lip", "l_lip", "ear_r", "neck_l"], []),  # CelebAMask-HQ: upper and lower, ring and necklace
        (["left", "light", "bright", "leftover"], []),
        (["left eye", "left_eye"], []),
    ],
)
def test_only_left_and_right_make_a_likely_pair(names, pairs):
    assert likely_pairs(names) == pairs


@pytest.mark.parametrize("number", [1, 19, 40, 200])
def test_generated_colours_are_distinct(number):
    colours = distinct_colours(number)
    assert len({*colours, (0, 0, 0), (128, 128, 128)}) == number + 2
    assert colours == distinct_colours(number + 5)[:number]
