"""What a page makes of scores: the verdict beside the number, and the tables."""

import numpy as np
import pytest

from facesegl.reporting.html_tables import confusion_table, headline, other_sets_table, score_table

TEST = {"test", "test_clean"}


def scored(miou, floor=0.4, agreement=0.87, confusion=None, **iou):
    iou = iou or {"skin": miou}
    own = {"miou": miou, "photos": 5, "iou": iou, "dice": iou, "boundary": iou, "boundary_f": 0.5}
    own |= {"accuracy": 0.9, "miou_per_photo": 0.6, "confusion": confusion}
    beside = dict.fromkeys(iou, 0.8)
    return {
        "scores": own,
        "floor": {**own, "miou": floor, "iou": beside},
        "agreement": agreement and {**own, "miou": agreement, "iou": beside},
    }


def words(scores):
    return " ".join(headline(scores, TEST)["sentences"])


@pytest.mark.parametrize(
    ("miou", "at_noise"), [(0.859, False), (0.861, True), (0.9, True)], ids=["below", "near", "beyond"]
)
def test_a_score_near_the_agreement_is_called_noise(miou, at_noise):
    assert ("noise of the labels themselves" in words({"test_clean": scored(miou)})) == at_noise


def test_classes_at_the_noise_are_named_where_not_all_are():
    told = words({"test": scored(0.6, skin=0.9, hair=0.795, eyes=0.3, lips=None)})
    assert "At the labels' noise, or beyond it: skin, hair." in told
    assert "labels' noise" not in words({"test": scored(0.6, skin=0.9)})


def test_a_score_below_the_floor_is_told():
    assert "below the floor" in words({"val": scored(0.3)})
    assert "below the floor" not in words({"val": scored(0.5)})


def test_held_out_photos_are_not_held_against_the_agreement_of_test_masks():
    assert "noise" not in words({"val": scored(0.9)})
    assert "No test photo was scored" in words({"val": scored(0.9)})


@pytest.mark.parametrize("name", ["test", "test_clean"])
def test_scores_that_touched_test_photos_say_so(name):
    assert words({name: scored(0.5)}).startswith("Measured on test photos.")


def test_without_an_agreement_there_is_no_mark_of_it():
    found = headline({"test": scored(0.5, agreement=None)}, TEST)
    assert [mark["name"] for mark in found["marks"]] == ["floor", "this model"]
    assert found["words"] == "floor 0.400, this model 0.500"


def test_labels_of_yardsticks_that_lie_near_each_other_stand_in_two_rows():
    for floor, row in ((0.1, "low"), (0.8, "lower")):
        marks = headline({"test": scored(0.85, floor=floor)}, TEST)["marks"]
        assert [mark["row"] for mark in marks] == [row, "low", "high"]
    assert all(17 <= mark["label_at"] <= 83 for mark in headline({"test": scored(1.0, floor=0.0)}, TEST)["marks"])


def test_confusion_is_a_share_of_each_row():
    counts = np.array([[60, 40], [0, 0]])
    rows = confusion_table({"val": scored(0.5, skin=0.5, hair=None, confusion=counts.tolist())})["rows"]
    assert [[cell["share"] for cell in row["cells"]] for row in rows] == [[60, 40], [0, 0]]
    assert [[cell["words"] for cell in row["cells"]] for row in rows] == [["60", "40"], ["", ""]]
    assert [row["pixels"] for row in rows] == [100, 0]
    assert [cell["right"] for cell in rows[0]["cells"]] == [True, False]


def test_a_record_from_before_confusion_was_kept_has_no_table_of_it():
    assert confusion_table({"val": scored(0.5)}) is None


def test_every_set_has_its_dice_and_boundary_f():
    scores = {"test_clean": scored(0.5, skin=0.5), "test": scored(0.6, skin=0.6), "test_strict": scored(0.7, skin=0.7)}
    table, others = score_table(scores, {"skin": "#ffff00"}), other_sets_table(scores)
    assert table["columns"] == ["test_clean", "test", "test_strict", "floor", "agreement", "Dice", "boundary F"]
    assert table["classes"][0]["cells"] == [0.5, 0.6, 0.7, 0.8, 0.8, 0.5, 0.5]
    assert others["columns"] == ["Dice, test", "Dice, test_strict", "boundary F, test", "boundary F, test_strict"]
    assert others["rows"][0] == ("skin", [0.6, 0.7, 0.6, 0.7])
    assert other_sets_table({"val": scored(0.5)}) is None


def test_without_scores_there_is_nothing():
    assert (headline({}, TEST), score_table({}, {}), confusion_table({})) == (None, None, None)
