import numpy as np
import pytest

from facesegl.errors import DataError
from facesegl.labels import VOID, likeliest_parts, overlay_parts

FACE = np.uint8([[0, 255, 255, 255]])
EYE = np.uint8([[0, 0, 255, 0]])


def test_later_parts_lie_over_earlier_ones_and_the_rest_is_the_rest():
    assert overlay_parts([(1, FACE), (4, EYE)], rest=0).mask.tolist() == [[0, 1, 4, 1]]
    assert overlay_parts([(4, EYE), (1, FACE)], rest=VOID).mask.tolist() == [[VOID, 1, 1, 1]]


def test_the_smallest_may_lie_on_top_whatever_the_order():
    for parts in ([(1, FACE), (4, EYE)], [(4, EYE), (1, FACE)]):
        assert overlay_parts(parts, rest=0, smallest_on_top=True).mask.tolist() == [[0, 1, 4, 1]]


def test_how_small_a_class_is_counts_over_all_its_strokes():
    left, right = np.uint8([[255, 255, 0, 0, 0]]), np.uint8([[0, 0, 0, 255, 255]])
    middle = np.uint8([[0, 255, 255, 255, 0]])
    parts = [(1, left), (1, right), (2, middle)]
    assert overlay_parts(parts, rest=0, smallest_on_top=True).mask.tolist() == [[1, 2, 2, 2, 1]]


def test_several_strokes_of_a_class_join():
    other = np.uint8([[255, 0, 0, 0]])
    assert overlay_parts([(3, EYE), (3, other)], rest=0).mask.tolist() == [[3, 0, 3, 0]]


@pytest.mark.parametrize("white", [np.True_, np.uint8(1), np.uint8(255), np.uint16(1), np.uint16(65535)])
def test_white_is_what_the_type_and_the_values_make_of_it(white):
    picture = np.array([[0, 1, 0]]).astype(white.dtype) * white
    decoded = overlay_parts([(2, picture)], rest=0)
    assert decoded.mask.tolist() == [[0, 2, 0]]
    assert not decoded.inexact.any()


def test_grey_rims_go_to_the_nearer_side_and_are_inexact():
    decoded = overlay_parts([(2, np.uint8([[0, 100, 140, 255]]))], rest=0)
    assert decoded.mask.tolist() == [[0, 0, 2, 2]]
    assert decoded.inexact.tolist() == [[False, True, True, False]]


def test_an_empty_part_is_nothing_but_a_faint_one_is_an_error():
    assert overlay_parts([(2, np.zeros((1, 3), np.uint8))], rest=0).mask.tolist() == [[0, 0, 0]]
    with pytest.raises(DataError, match=r"nothing above 90; expected black .0. and white .255."):
        overlay_parts([(2, np.uint8([[0, 90]]))], rest=0)


@pytest.mark.parametrize("join", [overlay_parts, likeliest_parts])
def test_parts_of_several_sizes_are_an_error(join):
    with pytest.raises(DataError, match="its parts are 4x1 and 3x1"):
        join([(1, FACE), (2, np.zeros((1, 3), np.uint8))], rest=0)


def test_the_likeliest_class_counts_and_the_first_on_a_tie():
    one, other = np.uint8([[255, 128, 100, 0]]), np.uint8([[0, 127, 100, 0]])
    decoded = likeliest_parts([(1, one), (2, other)], rest=0)
    assert decoded.mask.tolist() == [[1, 1, 1, 0]]
    assert decoded.inexact.tolist() == [[False, False, True, True]]


def test_the_parts_of_a_class_are_likely_together():
    parts = [(1, np.uint8([[90]])), (1, np.uint8([[90]])), (2, np.uint8([[120]]))]
    assert likeliest_parts(parts, rest=0).mask.tolist() == [[1]]
    assert likeliest_parts([(1, np.uint8([[200]])), (1, np.uint8([[200]]))], rest=0).mask.tolist() == [[1]]


def test_probabilities_of_another_depth_are_refused_and_never_added_up():
    for deep in (np.uint16([[40000]]), np.array([[True]])):
        with pytest.raises(DataError, match="expected probabilities in 8 bits"):
            likeliest_parts([(0, np.uint8([[200]])), (1, deep)], rest=0)
