import numpy as np
import pytest

from facesegl.errors import DataError
from facesegl.labels import VOID, restore_mask
from facesegl.scores import agreement, commonest_classes, iou


def test_each_pixel_takes_its_commonest_class_and_void_only_alone():
    masks = np.uint8([[[0, 1, 2]], [[0, 1, 1]], [[2, 1, 2]]])
    assert commonest_classes(masks, 3).tolist() == [[0, 1, 2]]
    masks = [np.uint8([[2, VOID, VOID]]), np.uint8([[1, VOID, VOID]]), np.uint8([[VOID, 2, VOID]])]
    assert commonest_classes(masks, 3).tolist() == [[1, 2, VOID]]


def test_the_floor_takes_masks_one_at_a_time_and_can_be_resized_to_a_photo():
    floor = commonest_classes((np.full((2, 3), index % 2, np.uint8) for index in range(5)), 2)
    assert floor.dtype == np.uint8
    assert (floor == 0).all()
    floor = commonest_classes([np.uint8([[0, 1], [1, 1]])], 2)
    assert restore_mask(floor, 4, 4).tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]


def test_agreement_pools_the_photos_and_takes_the_second_as_truth():
    pairs = [(np.uint8([[0, 0, 1]]), np.uint8([[0, 1, 1]])), (np.uint8([[1], [1]]), np.uint8([[1], [0]]))]
    counts = agreement(pairs, 2)
    assert counts.tolist() == [[1, 1], [1, 2]]
    assert iou(counts).tolist() == pytest.approx([1 / 3, 2 / 4])


def test_agreement_ignores_pixels_that_are_void_in_either_mask():
    counts = agreement([(np.uint8([[VOID, 0, 1]]), np.uint8([[1, VOID, 1]]))], 2)
    assert counts.tolist() == [[0, 0], [0, 1]]


def test_read_only_masks_are_taken():
    mask = np.uint8([[0, 1]])
    mask.setflags(write=False)
    assert agreement([(mask, mask)], 2).tolist() == [[1, 0], [0, 1]]


def test_no_mask_at_all_and_masks_of_two_sizes_are_refused():
    with pytest.raises(DataError, match="no training mask"):
        commonest_classes([], 3)
    with pytest.raises(DataError, match="expected the same"):
        agreement([(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))], 2)
