"""What a page makes of scores: the sentences next to the number, and the confusion matrix."""

import numpy as np
import pytest

from facesegl.reporting.html_tables import confusion_table, headline


def scored(miou, floor=0.4, agreement=0.87, confusion=None, **iou):
    iou = iou or {"skin": miou}
    own = {"miou": miou, "photos": 5, "iou": iou, "dice": iou, "boundary": iou, "boundary_f": 0.5}
    own |= {"accuracy": 0.9, "miou_per_photo": 0.6, "confusion": confusion}
    yardstick = dict.fromkeys(iou, 0.8)
    return {
        "scores": own,
        "floor": {**own, "miou": floor, "iou": yardstick},
        "agreement": agreement and {**own, "miou": agreement, "iou": yardstick},
    }


def words(scores):
    return " ".join(headline(scores)["sentences"])


@pytest.mark.parametrize(
    ("miou", "at_noise"), [(0.859, False), (0.861, True), (0.9, True)], ids=["below", "near", "beyond"]
)
def test_a_score_near_the_agreement_is_within_the_noise(miou, at_noise):
    assert ("within the noise of the labels" in words({"test_clean": scored(miou)})) == at_noise


def test_classes_within_the_noise_are_named_unless_all_are():
    sentences = words({"test": scored(0.6, skin=0.9, hair=0.795, eyes=0.3, lips=None)})
    assert "Within the labels' noise: skin, hair." in sentences
    assert "labels' noise" not in words({"test": scored(0.6, skin=0.9)})


def test_a_score_below_the_floor_is_reported():
    assert "Below the floor" in words({"val": scored(0.3)})
    assert "Below the floor" not in words({"val": scored(0.5)})


def test_held_out_photos_are_not_compared_with_the_agreement_on_test_masks():
    assert "noise" not in words({"val": scored(0.9)})
    assert "No test photo was scored" in words({"val": scored(0.9)})


@pytest.mark.parametrize("name", ["test", "test_clean"])
def test_scores_that_touched_test_photos_say_so(name):
    assert words({name: scored(0.5)}).startswith("Measured on test photos.")


def test_without_an_agreement_the_scale_has_no_mark_of_it():
    found = headline({"test": scored(0.5, agreement=None)})
    assert [mark["name"] for mark in found["marks"]] == ["floor", "this model"]
    assert found["words"] == "floor 0.400, this model 0.500"


def test_labels_of_floor_and_agreement_do_not_overlap():
    for floor, row in ((0.1, "low"), (0.8, "lower")):
        marks = headline({"test": scored(0.85, floor=floor)})["marks"]
        assert [mark["row"] for mark in marks] == [row, "low", "high"]
    assert all(17 <= mark["label_at"] <= 83 for mark in headline({"test": scored(1.0, floor=0.0)})["marks"])


def test_the_confusion_is_a_share_of_each_row():
    counts = np.array([[60, 40], [0, 0]])
    rows = confusion_table({"val": scored(0.5, skin=0.5, hair=None, confusion=counts.tolist())})["rows"]
    assert [[cell["share"] for cell in row["cells"]] for row in rows] == [[60, 40], [0, 0]]
    assert [[cell["words"] for cell in row["cells"]] for row in rows] == [["60", "40"], ["", ""]]
    assert [row["pixels"] for row in rows] == [100, 0]
    assert [cell["right"] for cell in rows[0]["cells"]] == [True, False]


def test_without_scores_there_is_no_headline_and_without_counts_no_confusion():
    assert (headline({}), confusion_table({}), confusion_table({"val": scored(0.5)})) == (None, None, None)
