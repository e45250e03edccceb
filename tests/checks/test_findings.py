"""Facts in, findings out: what is reported, how bad it is, and about which photos."""

import json
from pathlib import Path

import numpy as np
import pytest

from facesegl.checks.diagnosis import diagnose
from facesegl.checks.facts import Facts, PhotoFacts, Refused
from facesegl.checks.findings import Case
from facesegl.labels import Taxonomy
from facesegl.sources import Sample
from helpers.faces import FASSEG6


def photo(name, *, group=None, pixels=None, dhash=None, classes=(100, 60, 30, 4, 4, 2), **changes):
    """A photo without problems, unlike every other one."""
    split = name.partition("/")[0]
    sample = Sample(name, Path(f"{name}.png"), Path(f"{name}_mask.png"), split, group or name)
    own = np.random.default_rng(list(name.encode())).bytes(32)
    given = {
        "sample": sample,
        "size": (512, 370),
        "mask_size": (512, 370),
        "exif_orientation": 1,
        "pixels": (pixels or name).encode(),
        "dhash": dhash or own,
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


def reported(facts):
    """Each finding as severity, check, and its cases' words."""
    return [(f.severity, f.check, [case.words for case in f.cases]) for f in diagnose(facts).findings]


def one(facts):
    (finding,) = diagnose(facts).findings
    return finding


def off(dhash, bits):
    """A hash that differs in its first bits."""
    flipped = np.unpackbits(np.frombuffer(dhash, np.uint8))
    flipped[:bits] ^= 1
    return np.packbits(flipped).tobytes()


def test_the_worst_findings_come_first():
    found = reported(
        facts(
            photo("test/1", pixels="train/1"),
            photo("train/9", size=(6000, 6000), mask_size=(6000, 6000)),
            refused=[Refused(photo("train/7").sample, False, ("7.png: empty",))],
        )
    )
    assert [severity for severity, _, _ in found] == ["error", "warning", "note"]
    assert [check for _, check, _ in found] == ["unreadable", "identical_across", "huge"]


def test_files_that_cannot_be_used_are_errors_with_the_message_of_the_reader():
    lost, foreign = photo("train/7").sample, photo("test/8").sample
    found = reported(
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


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (Facts("faces", FASSEG6, [photo("test/1")]), [("error", "empty", [])]),
        (facts(photo("train/9", shows_mask=True)), [("error", "photo_is_mask", ["train/9 (9.png)"])]),
        (facts(photo("train/9", pixels="train/1")), [("note", "identical_within", ["train/9 = train/1"])]),
        (
            facts(photo("test/1", pixels="train/2", classes=(90, 70, 30, 4, 4, 2))),
            [("warning", "identical_across", ["test/1 = train/2, with another mask"])],
        ),
        (
            facts(photo("test/1", classes=(100, 60, 30, 4, 4, 12))),
            [("warning", "shares", ["mouth (1 % and 5.71 %)"])],
        ),
        (facts(photo("train/9", classes=(0,) * 6, void=200)), [("warning", "void", ["train/9"])]),
        (facts(photo("train/8", specks=20), photo("train/9", specks=41)), [("warning", "specks", ["train/9 (41)"])]),
        (
            facts(photo("train/8", size=(30, 40), mask_size=(30, 40)), photo("train/9")._replace(dhash=None)),
            [("warning", "blank", ["train/9"]), ("warning", "tiny", ["train/8 (40x30)"])],
        ),
        (facts(unlabelled=[Path("a/7.bmp")]), [("note", "unlabelled", ["7.bmp"])]),
    ],
    ids=["empty", "mask as photo", "twice", "two masks", "shares", "void", "specks", "tiny and blank", "unlabelled"],
)
def test_each_problem_is_reported_with_its_severity_and_cases(data, expected):
    assert reported(data) == expected


@pytest.mark.parametrize(("strict", "severity"), [(False, "warning"), (True, "error")])
def test_a_mask_of_another_size_is_skipped_or_refused(strict, severity):
    found = one(facts(photo("train/9", mask_size=(512, 380)), strict=strict))
    assert (found.severity, found.check) == (severity, "size")
    assert found.cases[0].words == "train/9: the mask is 380x512, its photo 370x512"
    assert ("data.strict=true" in found.what) == strict


def test_most_training_masks_of_another_size_are_an_error():
    wrong = [photo(f"train/{n}", mask_size=(256, 256)) for n in range(10, 16)]
    assert reported(facts(*wrong))[0][:2] == ("error", "size")


def test_a_mask_that_does_not_follow_the_exif_rotation_is_reported():
    found = one(facts(photo("train/9", exif_orientation=6, mask_size=(370, 512))))
    assert "its EXIF data rotate and the mask does not follow" in found.cases[0].words


@pytest.mark.parametrize(
    ("split", "other", "severity", "remedy"),
    [
        ("test", "train", "warning", "test_clean"),
        ("val", "train", "error", "validation would measure memorization"),
        ("test", "val", "warning", "Remove them from val"),
    ],
)
def test_photos_in_two_splits_are_as_bad_as_what_they_spoil(split, other, severity, remedy):
    found = one(facts(photo("val/0"), photo(f"{other}/5"), photo(f"{split}/1", pixels=f"{other}/5")))
    assert (found.severity, found.check) == (severity, "identical_across")
    assert found.cases == [Case(f"{split}/1 = {other}/5", (f"{split}/1", f"{other}/5"))]
    assert remedy in found.remedy


def test_skipped_and_identical_photos_are_not_reported_again():
    assert {check for _, check, _ in reported(facts(photo("test/1", pixels="train/1", mask_size=(9, 9))))} == {"size"}
    assert len(reported(facts(photo("test/1", pixels="train/2", dhash=photo("train/2").dhash)))) == 1


@pytest.mark.parametrize(("bits", "similar"), [(0, True), (36, True), (37, False)])
def test_photos_that_look_alike_across_splits_are_a_warning(bits, similar):
    dhash = off(photo("train/2").dhash, bits)
    found = reported(facts(photo("test/1", dhash=dhash)))
    words = f"test/1 ~ train/2 ({bits} bits)"
    assert found == ([("warning", "alike_across", [words])] if similar else [])


def test_what_to_do_about_similar_photos_of_one_person_is_what_to_do_about_the_person():
    pair = facts(photo("test/1", dhash=photo("train/2").dhash, group="train/2"))
    persons, alike = diagnose(pair).findings
    assert (persons.check, alike.check) == ("persons", "alike_across")
    assert persons.remedy == alike.remedy


def test_photos_alike_within_a_split_are_a_note_unless_they_show_one_person():
    dhash = photo("train/2").dhash
    assert reported(facts(photo("train/9", dhash=dhash))) == [("note", "alike_within", ["train/9 ~ train/2 (0 bits)"])]
    assert reported(facts(photo("train/9", dhash=dhash, group="train/2"))) == []


def test_similarity_is_no_warning_if_all_photos_look_alike():
    dhash = photo("train/2").dhash
    crowd = facts(*(photo(f"test/{n}", dhash=off(dhash, n % 5)) for n in range(30)))
    found = [finding for finding in diagnose(crowd).findings if finding.check == "alike_across"]
    assert [finding.severity for finding in found] == ["note"]
    assert "the photos are much alike" in found[0].remedy


def test_persons_in_two_splits_are_a_warning():
    pair = facts(photo("test/1", group="train/1"))
    assert reported(pair) == [("warning", "persons", ["test/1 and train/1"])]
    assert "test_strict" in one(pair).remedy
    many = [photo(f"{split}/x{n}", group="person 3") for split in ("train", "test") for n in range(3)]
    assert reported(facts(*many)) == [("warning", "persons", ["person 3: 3 in test and 3 in train"])]


def test_one_class_everywhere_is_an_error():
    flat = Facts("faces", FASSEG6, [photo("train/1", classes=(200, 0, 0, 0, 0, 0))])
    assert reported(flat) == [("error", "one_class", [])]
    assert "background" in one(flat).what


@pytest.mark.parametrize(
    ("training", "others", "expected"),
    [
        (
            [(100, 60, 30, 4, 0, 0)] * 3,
            [photo("test/1", classes=(100, 60, 30, 4, 0, 6))],
            ("missing", ["mouth (in 1 other mask)", "eyes (in no other either)"]),
        ),
        ([(100, 60, 30, 4, 0, 2)] * 4 + [(100, 60, 30, 4, 4, 2)], [], ("rare", ["eyes (0.407 %, in 1 mask)"])),
        ([(100_000, 60_000, 30_000, 4000, 100, 2000)] * 4, [], ("rare", ["eyes (0.051 %, in 4 masks)"])),
    ],
)
def test_rare_and_missing_classes_are_reported_with_their_share_and_masks(training, others, expected):
    photos = [photo(f"train/x{n}", classes=classes) for n, classes in enumerate(training)]
    assert reported(Facts("faces", FASSEG6, [*photos, *others])) == [("warning", *expected)]


def test_anti_aliased_edges_are_a_note_and_half_a_mask_is_a_warning():
    size = {"size": (100, 100), "mask_size": (100, 100), "classes": (5000, 3000, 1500, 200, 200, 100)}
    rims = photo("train/8", **size, inexact=np.array([100, 0, 0, 0, 100, 0], np.uint32))
    found = one(Facts("faces", FASSEG6, [rims, photo("train/9", **size), photo("train/7", **size)]))
    assert (found.severity, found.cases[0].words) == ("note", "train/8 (2 %)")
    assert found.what.startswith("0.667 % of the pixels of train")
    half = photo("train/8", **size, inexact=np.array([5000, 0, 0, 0, 0, 0], np.uint32))
    found = one(Facts("faces", FASSEG6, [half, photo("train/9", **size), photo("train/7", **size)]))
    assert (found.severity, [case.words for case in found.cases]) == ("warning", ["train/8 (50 %)"])


@pytest.mark.parametrize(
    ("name", "eyes", "words"),
    [
        ("fasseg_v2", 1, ["train/9: 1 connected part of eyes"]),
        ("fasseg_v3", 1, []),
        ("fasseg_v3", 3, ["train/9: 3 connected parts of eyes"]),
        ("my_faces", 1, []),
    ],
)
def test_faces_of_fasseg_have_the_usual_number_of_parts(name, eyes, words):
    found = reported(facts(photo("train/9", parts=np.array([1, 1, 3, 1, eyes, 1], np.uint32)), name=name))
    assert found == ([("warning", "anatomy", words)] if words else [])


@pytest.mark.parametrize(
    ("size", "turn", "severity"), [((370, 512), 6, "note"), ((512, 370), 3, "warning"), ((512, 512), 6, "warning")]
)
def test_a_rotation_is_certain_if_only_the_upright_mask_fits(size, turn, severity):
    found = one(facts(photo("train/9", exif_orientation=turn, size=size, mask_size=size)))
    assert (found.severity, found.check) == (severity, "turned")
    assert found.cases[0].words == f"train/9 (EXIF orientation {turn})"


def test_refused_photos_without_a_mask_are_reported_once():
    found = reported(facts(unlabelled=[Path("a/7.bmp")], problems=["a/7.bmp: a photo without a mask. Add it."]))
    assert [check for _, check, _ in found] == ["listing"]


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        (facts(photo("test/1")), "OK to train"),
        (facts(photo("test/1", pixels="train/1")), "OK to train (1 warning)"),
        (facts(problems=["x"]), "FAIL: do not train on this yet (1 error)"),
    ],
)
def test_only_errors_advise_against_training(data, verdict):
    checkup = diagnose(data)
    assert (checkup.verdict, checkup.wrong) == (f"faces: {verdict}", "error" in verdict)


def test_the_checkup_is_plain_data():
    many = Taxonomy(names=tuple(f"class {n}" for n in range(40)), colours=tuple((n, 2 * n, 255 - n) for n in range(40)))
    photos = [photo(f"{split}/{n}", classes=(5,) * 40) for split in ("train", "test") for n in range(3)]
    content = json.loads(json.dumps(diagnose(Facts("faces", many, photos)).to_dict(), allow_nan=False))
    assert content["splits"]["train"]["photos"] == content["splits"]["train"]["used"] == 3
    assert content["splits"]["test"]["classes"]["class 7"] == {"pixels": 15, "share": 1 / 40, "inexact": 0, "masks": 3}
    assert content["photos"][0]["id"] == "train/0"
    assert len(content["classes"]) == 40
