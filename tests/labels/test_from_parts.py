import hashlib
import json
import re

import pytest

from facesegl.config.compose import compose
from facesegl.config.identity import to_plain
from facesegl.errors import ConfigError
from facesegl.labels import Taxonomy
from facesegl.labels.from_parts import can_be_drawn, classes_of_parts
from facesegl.synthetic.conventions import CONVENTIONS
from facesegl.synthetic.parts import PARTS
from helpers.confs import options

SHIPPED = options("data/taxonomy")
ANNA = {
    "classes": {"background": [0, 0, 0], "face": [9, 9, 9], "L": [1, 1, 1], "R": [2, 2, 2], "hair": [3, 3, 3]},
    "pairs": [["L", "R"]],
}
EYES = {"left eye": "L", "right eye": "R"}


def shipped(name):
    return Taxonomy.from_mapping(to_plain(compose([f"data/taxonomy={name}"]).data.taxonomy))


def anna(**parts):
    return Taxonomy.from_mapping({**ANNA, "synthetic_as": parts})


def named(taxonomy):
    """The class of each part by name."""
    return dict(zip(PARTS, (taxonomy.names[index] for index in classes_of_parts(taxonomy)[0]), strict=True))


@pytest.mark.parametrize("name", SHIPPED)
def test_parts_give_every_class_of_a_shipped_taxonomy_but_necklaces(name):
    taxonomy = shipped(name)
    assert can_be_drawn(taxonomy)
    assert {*named(taxonomy).values()} == {*taxonomy.names} - {"neck_l"}
    assert classes_of_parts(taxonomy)[1] == ("fasseg" if name.endswith("_as_fasseg") else name)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_convention_has_one_class_for_each_part(name):
    assert sorted(part for parts in CONVENTIONS[name].values() for part in parts) == sorted(PARTS)


def mirrored(part):
    swap = {"left": "right", "right": "left"}
    return " ".join(swap.get(word, word) for word in part.split())


@pytest.mark.parametrize("taxonomy", [*map(shipped, SHIPPED), anna(skin="face", **EYES)], ids=[*SHIPPED, "own"])
def test_the_class_of_a_flipped_part_is_the_flipped_class(taxonomy):
    classes, _convention = classes_of_parts(taxonomy)
    flipped = [PARTS.index(mirrored(part)) for part in PARTS]
    assert (taxonomy.mirrored()[classes] == classes[flipped]).all()


@pytest.mark.parametrize(
    ("name", "part", "expected"),
    [
        *[
            ("celebamask_hq", "left eye", "r_eye"),
            ("lapa", "left eye", "right_eye"),
            ("helen", "right brow", "left_eyebrow"),
        ],
        *[("fasseg", "left brow", "hair"), ("fasseg", "beard", "hair"), ("celebamask_hq", "beard", "skin")],
        *[("fasseg", "neck", "skin"), ("celebamask_hq", "neck", "neck"), ("lapa", "neck", "background")],
        *[("lapa", "left ear", "skin"), ("helen", "left ear", "background"), ("celebamask_hq", "hat", "hat")],
    ],
)
def test_a_part_is_the_class_that_the_data_sets_painters_gave_it(name, part, expected):
    assert named(shipped(name))[part] == expected


def test_a_part_without_a_class_of_its_name_is_background_but_a_beard_and_glasses_are_skin():
    found = named(anna(skin="face", nose="face", **EYES))
    assert found == dict.fromkeys(PARTS, "background") | EYES | {"hair": "hair"} | dict.fromkeys(
        ("skin", "nose", "beard", "glasses"), "face"
    )


@pytest.mark.parametrize(("glasses", "convention"), [("face", "lapa"), ("hair", "celebamask_hq")])
def test_glasses_are_labelled_only_where_they_have_a_class(glasses, convention):
    assert classes_of_parts(anna(skin="face", glasses=glasses, **EYES))[1] == convention


def test_synthetic_as_changes_single_parts_of_a_convention():
    fasseg = shipped("fasseg")
    changed = Taxonomy.from_mapping({**fasseg.to_mapping(), "synthetic_as": {"beard": "skin"}})
    assert named(changed) == {**named(fasseg), "beard": "skin"}
    assert classes_of_parts(changed)[1] == "fasseg"


def test_classes_of_no_convention_are_refused_with_the_parts_that_there_are():
    taxonomy = Taxonomy.from_mapping(ANNA)
    assert not can_be_drawn(taxonomy)
    with pytest.raises(ConfigError) as caught:
        classes_of_parts(taxonomy)
    for word in ("background, face, L, R, hair", "`synthetic_as: {skin: CLASS", ", ".join(PARTS)):
        assert word in str(caught.value)


def test_the_order_and_colours_of_classes_do_not_matter():
    mapping = shipped("lapa").to_mapping()
    names = sorted(mapping["classes"])
    other = Taxonomy.from_mapping({**mapping, "classes": {name: [i, i, i] for i, name in enumerate(names)}})
    assert named(other) == named(shipped("lapa"))
    assert classes_of_parts(other)[1] == "lapa"


@pytest.mark.parametrize(
    ("change", "problems"),
    [
        (
            {"skins": "face"},
            [r"names skins \(did you mean skin\?\), which .* do not have; they have background, skin, "],
        ),
        ({"skin": "fur"}, ["maps to fur, which is not a class; expected one of background, face, L, R, hair"]),
        ({"nose": "L"}, ["nose is L, which a flip mixes up"]),
        ({"left eye": "L"}, ["left eye is L and right eye is background, which a flip mixes up"]),
        ({"left eye": "L", "right eye": "L"}, ["left eye is L and right eye is L, which a flip mixes up"]),
        ({"zzz": "face", "skin": "fur", "hat": "cap"}, ["names zzz, which", "maps to fur", "maps to cap"]),
    ],
)
def test_all_faults_of_synthetic_as_are_reported_at_once(change, problems):
    with pytest.raises(ConfigError) as caught:
        anna(**change)
    assert len(caught.value.problems) == len(problems)
    for problem, expected in zip(caught.value.problems, problems, strict=True):
        assert problem.startswith("data.taxonomy: synthetic_as")
        assert re.search(expected, problem)


def test_without_background_every_part_needs_a_class():
    classes = {"rest": [0, 0, 0], "skin": [1, 1, 1]}
    with pytest.raises(
        ConfigError, match=r"has no class for background, left brow, .*cloth; name one for each, or add"
    ):
        Taxonomy.from_mapping({"classes": classes, "synthetic_as": {"nose": "skin"}})
    parts = dict.fromkeys(set(PARTS) - {"skin", "beard", "glasses"}, "rest")
    assert named(Taxonomy.from_mapping({"classes": classes, "synthetic_as": parts}))["beard"] == "skin"


def test_synthetic_as_survives_a_round_trip_and_must_be_a_mapping():
    taxonomy = anna(skin="face")
    assert taxonomy.to_mapping()["synthetic_as"] == {"skin": "face"}
    assert Taxonomy.from_mapping(json.loads(json.dumps(taxonomy.to_mapping()))) == taxonomy
    with pytest.raises(ConfigError, match="synthetic_as is 'fasseg'; expected a mapping"):
        Taxonomy.from_mapping({**ANNA, "synthetic_as": "fasseg"})


@pytest.mark.parametrize(
    ("name", "digest"), [("fasseg", "6af21a1213f5"), ("lapa", "c8cf5a276115"), ("celebamask_hq", "9de3286df085")]
)
def test_without_synthetic_as_cards_and_cache_keys_are_those_of_earlier_versions(name, digest):
    text = json.dumps(shipped(name).to_mapping())
    assert hashlib.blake2b(text.encode(), digest_size=6).hexdigest() == digest
