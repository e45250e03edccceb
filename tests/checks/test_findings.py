"""Facts in, findings out: what is said, how bad it is, and about which photos."""

import json
from pathlib import Path

import numpy as np
import pytest

from facesegl.checks.diagnosis import diagnose
from facesegl.checks.facts import Facts, PhotoFacts, Refused
from facesegl.labels import Taxonomy
from facesegl.sources import Sample
from helpers.faces import FASSEG6


def photo(name, *, group=None, pixels=None, look=None, classes=(100, 60, 30, 4, 4, 2), **changes):
    """A sound photo, unlike every other one."""
    split = name.partition("/")[0]
    sample = Sample(name, Path(f"{name}.png"), Path(f"{name}_mask.png"), split, group or name)
    own = np.random.default_rng(list(name.encode())).bytes(32)
    given = {
        "sample": sample,
        "size": (512, 370),
        "mask_size": (512, 370),
        "turn": 1,
        "pixels": (pixels or name).encode(),
        "look": look or own,
        "shows_mask": False,
        "class_pixels": np.array(classes, np.uint32),
        "inexact": np.zeros(len(classes), np.uint32),
        "void": 0,
        "specks": 0,
        "parts": np.array([1, 1, 1, 1, 2, 1][: len(classes)], np.uint32),
    }
    return PhotoFacts(**{**given, **changes})


def facts(*photos, taxonomy=FASSEG6, name="faces", **more):
    return Facts(name, taxonomy, [*(photo(f"train/{n}") for n in range(1, 5)), *photos], **more)


def told(facts):
    """Each finding as severity, check, and its cases' words."""
    return [(f.severity, f.check, [case.words for case in f.cases]) for f in diagnose(facts).findings]


def one(facts):
    (finding,) = diagnose(facts).findings
    return finding


def off(look, bits):
    """A hash that differs in its first bits."""
    flipped = np.unpackbits(np.frombuffer(look, np.uint8))
    flipped[:bits] ^= 1
    return np.packbits(flipped).tobytes()


def test_sound_data_have_nothing_to_tell():
    checkup = diagnose(facts(photo("test/1")))
    assert (list(checkup.findings), checkup.wrong) == ([], False)
    assert checkup.verdict == "faces: training would not be wrong"


def test_the_worst_comes_first():
    found = told(
        facts(
            photo("test/1", pixels="train/1"),
            photo("train/9", size=(6000, 6000), mask_size=(6000, 6000)),
            refused=[Refused(photo("train/7").sample, False, ("7.png: empty",))],
        )
    )
    assert [severity for severity, _, _ in found] == ["error", "warning", "note"]
    assert [check for _, check, _ in found] == ["unreadable", "identical_across", "huge"]


def test_files_that_cannot_be_used_are_errors_with_the_words_of_the_reader():
    lost, foreign = photo("train/7").sample, photo("test/8").sample
    found = told(
        facts(
            problems=["a.png: a mask without a photo."],
            refused=[Refused(lost, False, ("7.png: empty",)), Refused(foreign, True, ("8.png: 90% far",))],
        )
    )
    assert found == [
        ("error", "listing", ["a.png: a mask without a photo."]),
        ("error", "unreadable", ["7.png: empty"]),
        ("error", "foreign", ["8.png: 90% far"]),
    ]


def test_nothing_to_learn_from_is_an_error():
    assert told(Facts("faces", FASSEG6, [photo("test/1")])) == [("error", "empty", [])]


def test_an_answer_that_is_learnt_from_itself_is_an_error():
    assert told(facts(photo("train/9", shows_mask=True))) == [("error", "photo_is_mask", ["train/9 (9.png)"])]


@pytest.mark.parametrize(("strict", "severity"), [(False, "warning"), (True, "error")])
def test_a_mask_of_another_size_is_left_out_or_refused(strict, severity):
    found = one(facts(photo("train/9", mask_size=(512, 380)), strict=strict))
    assert (found.severity, found.check) == (severity, "size")
    assert found.cases[0].words == "train/9: the mask is 380x512, its photo 370x512"
    assert ("data.strict=true" in found.what) == strict


def test_most_training_masks_of_another_size_are_an_error():
    wrong = [photo(f"train/{n}", mask_size=(256, 256)) for n in range(10, 16)]
    assert told(facts(*wrong))[0][:2] == ("error", "size")


def test_a_mask_that_does_not_follow_its_photos_turn_is_said_to():
    found = one(facts(photo("train/9", turn=6, mask_size=(370, 512))))
    assert "its EXIF data turn and the mask does not follow" in found.cases[0].words


@pytest.mark.parametrize(
    ("split", "other", "severity", "remedy"),
    [("test", "train", "warning", "test_clean"), ("val", "train", "error", "validation would measure memory")],
)
def test_photos_on_both_sides_are_as_bad_as_what_they_spoil(split, other, severity, remedy):
    found = one(facts(photo(f"{split}/1", pixels=f"{other}/2")))
    assert (found.severity, found.check) == (severity, "identical_across")
    assert [case.words for case in found.cases] == [f"{split}/1 = {other}/2"]
    assert found.cases[0].photos == (f"{split}/1", f"{other}/2")
    assert remedy in found.remedy


def test_a_photo_that_chooses_and_is_scored_is_told():
    found = one(facts(photo("val/1"), photo("test/1", pixels="val/1")))
    assert (found.severity, found.cases[0].words) == ("warning", "test/1 = val/1")


def test_two_masks_of_one_photo_are_told_apart():
    other = photo("test/1", pixels="train/2", classes=(90, 70, 30, 4, 4, 2))
    assert told(facts(other))[0][2] == ["test/1 = train/2, masked otherwise"]


def test_a_photo_twice_in_one_split_is_a_note():
    assert told(facts(photo("train/9", pixels="train/1"))) == [("note", "identical_within", ["train/9 = train/1"])]


def test_what_is_left_out_leaks_nothing():
    assert {check for _, check, _ in told(facts(photo("test/1", pixels="train/1", mask_size=(9, 9))))} == {"size"}


@pytest.mark.parametrize(("bits", "heard"), [(0, True), (36, True), (37, False)])
def test_photos_that_look_alike_across_splits_are_a_warning(bits, heard):
    look = off(photo("train/2").look, bits)
    found = told(facts(photo("test/1", look=look)))
    words = f"test/1 ~ train/2 ({bits} bits)"
    assert found == ([("warning", "alike_across", [words])] if heard else [])


def test_identical_photos_are_not_told_again_as_alike():
    assert len(told(facts(photo("test/1", pixels="train/2", look=photo("train/2").look)))) == 1


def test_alike_within_a_split_is_a_note_and_one_person_none():
    look = photo("train/2").look
    assert told(facts(photo("train/9", look=look))) == [("note", "alike_within", ["train/9 ~ train/2 (0 bits)"])]
    assert told(facts(photo("train/9", look=look, group="train/2"))) == []


def test_where_all_look_alike_looks_are_no_warning():
    look = photo("train/2").look
    crowd = facts(*(photo(f"test/{n}", look=off(look, n % 5)) for n in range(30)))
    found = [finding for finding in diagnose(crowd).findings if finding.check == "alike_across"]
    assert [finding.severity for finding in found] == ["note"]
    assert "all of one kind" in found[0].remedy


def test_persons_on_both_sides_are_a_warning():
    pair = facts(photo("test/1", group="train/1"))
    assert told(pair) == [("warning", "persons", ["test/1 and train/1"])]
    assert "test_strict" in one(pair).remedy
    many = [photo(f"{split}/x{n}", group="person 3") for split in ("train", "test") for n in range(3)]
    assert told(facts(*many)) == [("warning", "persons", ["person 3: 3 in test and 3 in train"])]


def test_one_class_everywhere_is_an_error():
    flat = Facts("faces", FASSEG6, [photo("train/1", classes=(200, 0, 0, 0, 0, 0))])
    assert told(flat) == [("error", "one_class", [])]
    assert "background" in one(flat).what


def test_classes_that_are_never_learnt_are_told_with_where_they_are_scored():
    learnt = (100, 60, 30, 4, 0, 0)
    data = Facts(
        "faces",
        FASSEG6,
        [photo(f"train/{n}", classes=learnt) for n in range(3)] + [photo("test/1", classes=(100, 60, 30, 4, 0, 6))],
    )
    assert told(data) == [("warning", "missing", ["mouth (in 1 other mask)", "eyes (nor in any other)"])]


def test_rare_classes_are_told_with_their_share():
    few = [photo(f"train/x{n}", classes=(100, 60, 30, 4, 0, 2)) for n in range(4)]
    data = Facts("faces", FASSEG6, [*few, photo("train/9", classes=(100, 60, 30, 4, 4, 2))])
    assert told(data) == [("warning", "rare", ["eyes (0.407 %, in 1 mask)"])]
    tiny = [photo(f"train/x{n}", classes=(100_000, 60_000, 30_000, 4000, 100, 2000)) for n in range(4)]
    assert told(Facts("faces", FASSEG6, tiny)) == [("warning", "rare", ["eyes (0.051 %, in 4 masks)"])]


def test_other_shares_in_another_split_are_told():
    assert told(facts(photo("test/1", classes=(100, 60, 30, 4, 4, 12)))) == [
        ("warning", "shares", ["mouth (1 % and 5.71 %)"])
    ]


def test_a_mask_of_nothing_but_void_is_told():
    assert told(facts(photo("train/9", classes=(0,) * 6, void=200))) == [("warning", "void", ["train/9"])]


def test_anti_aliased_rims_are_a_note_and_half_a_mask_is_not():
    size = {"size": (100, 100), "mask_size": (100, 100), "classes": (5000, 3000, 1500, 200, 200, 100)}
    rims = photo("train/8", **size, inexact=np.array([100, 0, 0, 0, 100, 0], np.uint32))
    found = one(Facts("faces", FASSEG6, [rims, photo("train/9", **size), photo("train/7", **size)]))
    assert (found.severity, found.cases[0].words) == ("note", "train/8 2 %")
    assert found.what.startswith("0.667 % of the pixels of train")
    half = photo("train/8", **size, inexact=np.array([5000, 0, 0, 0, 0, 0], np.uint32))
    found = one(Facts("faces", FASSEG6, [half, photo("train/9", **size), photo("train/7", **size)]))
    assert (found.severity, [case.words for case in found.cases]) == ("warning", ["train/8 50 %"])


def test_specks_are_told_where_there_are_many():
    assert told(facts(photo("train/8", specks=20), photo("train/9", specks=41))) == [
        ("warning", "specks", ["train/9 (41)"])
    ]


@pytest.mark.parametrize(
    ("name", "eyes", "words"),
    [
        ("fasseg_v2", 1, ["train/9: 1 connected part of eyes"]),
        ("fasseg_v3", 1, []),
        ("fasseg_v3", 3, ["train/9: 3 connected parts of eyes"]),
        ("my_faces", 1, []),
    ],
)
def test_faces_of_fasseg_have_the_parts_that_all_of_them_have(name, eyes, words):
    found = told(facts(photo("train/9", parts=np.array([1, 1, 3, 1, eyes, 1], np.uint32)), name=name))
    assert found == ([("warning", "anatomy", words)] if words else [])


@pytest.mark.parametrize(
    ("size", "turn", "severity"), [((370, 512), 6, "note"), ((512, 370), 3, "warning"), ((512, 512), 6, "warning")]
)
def test_a_turn_is_sure_where_only_the_upright_mask_fits(size, turn, severity):
    found = one(facts(photo("train/9", turn=turn, size=size, mask_size=size)))
    assert (found.severity, found.check) == (severity, "turned")
    assert found.cases[0].words == f"train/9 (EXIF orientation {turn})"


def test_tiny_photos_and_those_with_nothing_on_them_are_told():
    found = told(facts(photo("train/8", size=(30, 40), mask_size=(30, 40)), photo("train/9")._replace(look=None)))
    assert found == [("warning", "blank", ["train/9"]), ("warning", "tiny", ["train/8 (40x30)"])]


def test_photos_without_a_mask_are_a_note():
    assert told(facts(unlabelled=[Path("a/7.bmp")])) == [("note", "unlabelled", ["7.bmp"])]


def test_photos_without_a_mask_that_are_refused_are_told_once():
    found = told(facts(unlabelled=[Path("a/7.bmp")], problems=["a/7.bmp: a photo without a mask. Add it."]))
    assert [check for _, check, _ in found] == ["listing"]


def test_only_errors_make_training_wrong():
    fine, wrong = diagnose(facts(photo("test/1", pixels="train/1"))), diagnose(facts(problems=["x"]))
    assert (fine.wrong, wrong.wrong) == (False, True)
    assert fine.verdict == "faces: training would not be wrong (1 warning)"
    assert wrong.verdict == "faces: training would be wrong (1 error)"


def test_everything_is_plain_data():
    many = Taxonomy(names=tuple(f"class {n}" for n in range(40)), colours=tuple((n, 2 * n, 255 - n) for n in range(40)))
    photos = [photo(f"{split}/{n}", classes=(5,) * 40) for split in ("train", "test") for n in range(3)]
    said = json.loads(json.dumps(diagnose(Facts("faces", many, photos)).to_dict(), allow_nan=False))
    assert said["splits"]["train"]["photos"] == said["splits"]["train"]["used"] == 3
    assert said["splits"]["test"]["classes"]["class 7"] == {"pixels": 15, "share": 1 / 40, "inexact": 0, "masks": 3}
    assert said["photos"][0]["id"] == "train/0"
    assert len(said["classes"]) == 40
