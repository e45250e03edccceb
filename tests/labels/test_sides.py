import pytest

from facesegl.labels import distinct_colours, likely_pairs


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
def test_sides_are_told_by_left_and_right_alone(names, pairs):
    assert likely_pairs(names) == pairs


@pytest.mark.parametrize("number", [1, 19, 40, 200])
def test_colours_that_nobody_chose_differ(number):
    colours = distinct_colours(number)
    assert len({*colours, (0, 0, 0), (128, 128, 128)}) == number + 2
    assert colours == distinct_colours(number + 5)[:number]
