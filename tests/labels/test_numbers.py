import numpy as np
import pytest

from facesegl.errors import DataError
from facesegl.labels import VOID, Taxonomy, are_known, decode_layers, decode_numbers

THREE = {"classes": {"wall": [0, 0, 0], "skin": [200, 100, 0], "hair": [0, 100, 200]}}


def taxonomy(**more):
    return Taxonomy.from_mapping({**THREE, **more})


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "int64", "uint64"])
def test_numbers_of_any_integer_type_are_indices(dtype):
    mask = np.random.default_rng(0).integers(0, 3, (7, 9)).astype(dtype)
    decoded = decode_numbers(mask, taxonomy())
    assert decoded.mask.dtype == np.uint8
    assert (decoded.mask == mask).all()
    assert not decoded.inexact.any()


def test_true_is_one():
    assert decode_numbers(np.array([[True, False]]), taxonomy()).mask.tolist() == [[1, 0]]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int64"])
def test_many_numbers_may_lead_to_one_class_and_to_void(dtype):
    told = taxonomy(remap={0: "wall", 7: "hair", 9: "hair", 17: "skin", 200: "void"}, void=255)
    raw = np.array([[0, 7, 9, 17, 200, 255]]).astype(dtype)
    assert decode_numbers(raw, told).mask.tolist() == [[0, 2, 2, 1, VOID, VOID]]


def test_numbers_beyond_a_byte_are_remapped_too():
    told = taxonomy(remap={0: "wall", 1000: "skin", 70_000: "hair"})
    assert decode_numbers(np.uint16([[1000, 0]]), told).mask.tolist() == [[1, 0]]
    assert decode_numbers(np.int64([[70_000, 1000]]), told).mask.tolist() == [[2, 1]]


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_a_number_that_is_not_known_is_an_error_with_its_share_and_the_remedy_and_never_void(dtype):
    raw = np.zeros((10, 10), dtype)
    raw[0, :3] = 7
    with pytest.raises(DataError) as caught:
        decode_numbers(raw, taxonomy())
    told = str(caught.value)
    assert "holds 7 in 3.00% of its pixels; the taxonomy knows 0 to 2" in told
    assert "`remap: {0: wall, 7: CLASS or void, ...}`" in told
    assert not are_known(raw, taxonomy())


def test_a_remap_says_all_that_may_stand_there():
    told = taxonomy(remap={5: "wall", 6: "skin"})
    with pytest.raises(DataError, match=r"holds 0, 1 in .* knows 5 to 6"):
        decode_numbers(np.uint8([[0, 1, 5, 6]]), told)


def test_of_many_unknown_numbers_the_first_few_are_told():
    with pytest.raises(DataError, match=r"holds 3, 4, 5, 6, 7, 8, 9, 10 and 245 more in"):
        decode_numbers(np.arange(256, dtype=np.uint8)[None], taxonomy())


def test_negative_numbers_are_unknown_ones():
    with pytest.raises(DataError, match="holds -1 in"):
        decode_numbers(np.int16([[-1, 0]]), taxonomy())


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_layers_may_stand_first_or_last(first, dtype):
    mask = np.random.default_rng(1).integers(0, 3, (5, 8))
    layers = (mask == np.arange(3)[:, None, None]).astype(dtype)
    decoded = decode_layers(layers if first else np.moveaxis(layers, 0, -1), taxonomy())
    assert (decoded.mask == mask).all()
    assert decoded.mask.dtype == np.uint8


def test_where_both_ends_could_be_the_classes_the_one_that_is_onehot_is():
    mask = np.array([[0, 1, 2, 0], [1, 1, 0, 2], [2, 0, 0, 1]])
    layers = (mask == np.arange(3)[:, None, None]).astype(np.uint8)  # (3, 3, 4), and as (H, W, C): (3, 4, 3)
    assert (decode_layers(layers, taxonomy()).mask == mask).all()
    assert (decode_layers(np.moveaxis(layers, 0, -1), taxonomy()).mask == mask).all()


def test_void_has_no_layer_where_it_is_not_remapped():
    told = taxonomy(remap={0: "wall", 1: "skin"}, void=255)
    layers = (np.array([[0, 1]]) == np.arange(2)[:, None, None]).astype(np.uint8)
    assert decode_layers(layers, told).mask.tolist() == [[0, 1]]


def test_layers_are_those_of_the_remapped_numbers():
    told = taxonomy(remap={0: "wall", 1: "skin", 2: "skin", 3: "void"})
    layers = (np.array([[0, 1], [2, 3]]) == np.arange(4)[:, None, None]).astype(np.uint8)
    assert decode_layers(layers, told).mask.tolist() == [[0, 1], [1, VOID]]


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        (np.zeros((4, 5, 6)), r"has the shape \(4, 5, 6\); expected 3 layers first or last"),
        (np.full((3, 5, 6), 0.3), "other values than 0 and 1"),
        (np.ones((3, 5, 6)), "100.0% of the pixels are in several layers"),
        (np.zeros((3, 5, 6)), "100.0% of the pixels are in no layer"),
    ],
)
def test_layers_that_are_not_onehot_are_told(layers, told):
    with pytest.raises(DataError, match=told):
        decode_layers(layers, taxonomy())


def test_a_pixel_in_no_layer_is_void_where_there_is_one():
    layers = np.zeros((3, 1, 2), np.uint8)
    layers[1, 0, 0] = 1
    assert decode_layers(layers, taxonomy(void=[9, 9, 9])).mask.tolist() == [[1, VOID]]
