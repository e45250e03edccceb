import dataclasses

import numpy as np
import pytest

from facesegl.errors import DataError
from facesegl.labels import (
    VOID,
    Taxonomy,
    are_known,
    decode_layers,
    decode_mask,
    decode_numbers,
    foreign_colour,
    likeliest_parts,
    mask_to_colours,
    overlay_parts,
)

FASSEG = Taxonomy(
    names=("background", "skin", "hair", "nose", "eyes", "mouth"),
    colours=((255, 0, 0), (255, 255, 0), (127, 0, 0), (0, 255, 255), (0, 0, 255), (0, 255, 0)),
)


def random_mask(seed, height=40, width=30, classes=6, block=5):
    coarse = np.random.default_rng(seed).integers(0, classes, (height // block, width // block), dtype=np.uint8)
    return coarse.repeat(block, 0).repeat(block, 1)


def reference(colours, taxonomy):
    """The rule, pixel by pixel."""
    distance = ((colours[:, :, None].astype(int) - np.array(taxonomy.colours)) ** 2).sum(-1)
    pure = np.where(distance.min(-1) <= 32**2, distance.argmin(-1), -1)
    mask = pure.copy()
    for y, x in zip(*np.nonzero(pure < 0), strict=True):
        radius, near = 1, set()
        while not near:
            radius *= 2
            window = pure[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
            near = set(window.flat) - {-1}
        mask[y, x] = min(sorted(near), key=lambda c: distance[y, x, c])
    return mask.astype(np.uint8)


def blend(mask, taxonomy, factor):
    """A mask drawn `factor` times larger and shrunk by averaging."""
    height, width = mask.shape[0] // factor, mask.shape[1] // factor
    painted = mask_to_colours(mask, taxonomy).astype(float)
    cells = painted[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    return cells.mean((1, 3)).astype(np.uint8)


@pytest.mark.parametrize("void", [None, (255, 0, 255)])
def test_a_rendered_mask_is_decoded_exactly_with_or_without_a_colour_for_void(void):
    taxonomy, mask = dataclasses.replace(FASSEG, void=void), random_mask(0)
    if void:
        mask[3:7, 4:9] = VOID
    decoded = decode_mask(mask_to_colours(mask, taxonomy), taxonomy)
    assert (decoded.mask == mask).all()
    assert not decoded.inexact.any()
    assert decoded.mask.dtype == np.uint8


@pytest.mark.parametrize("seed", range(3))
def test_blended_masks_are_decoded_by_the_rule(seed):
    colours = blend(random_mask(seed, 120, 90, block=8), FASSEG, 3)
    decoded = decode_mask(colours, FASSEG)
    assert decoded.inexact.any()
    assert (decoded.mask == reference(colours, FASSEG)).all()


def test_noise_far_from_all_colours_takes_the_class_of_the_nearest_window():
    rng = np.random.default_rng(1)
    colours = mask_to_colours(random_mask(2, 60, 60, block=30), FASSEG)
    colours[10:32, 12:40] = rng.integers(100, 160, (22, 28, 3))  # a grey block wider than the first windows
    assert (decode_mask(colours, FASSEG).mask == reference(colours, FASSEG)).all()


def test_the_grey_between_eye_and_skin_never_becomes_hair():
    colours = np.empty((9, 9, 3), dtype=np.uint8)
    colours[:, :4], colours[:, 4], colours[:, 5:] = FASSEG.colours[4], (127, 127, 127), FASSEG.colours[1]
    assert set(np.unique(decode_mask(colours, FASSEG).mask)) == {1, 4}


def test_a_colour_within_32_is_that_class_and_counts_as_inexact():
    colours = np.full((4, 4, 3), (125, 3, 1), dtype=np.uint8)
    decoded = decode_mask(colours, FASSEG)
    assert (decoded.mask == 2).all()
    assert decoded.inexact.all()


def test_half_of_the_pixels_may_be_far_but_no_more_and_the_error_has_share_and_colour():
    colours = np.full((8, 8, 3), FASSEG.colours[1], dtype=np.uint8)
    colours[:4] = (90, 90, 90)
    assert (decode_mask(colours, FASSEG).mask == 1).all()
    colours[4, 0] = (90, 90, 90)
    with pytest.raises(DataError):
        decode_mask(colours, FASSEG)
    with pytest.raises(DataError, match=r"100% of the pixels are far .*\(12, 90, 40\).*data\.taxonomy=FILE\.yaml"):
        decode_mask(np.full((8, 8, 3), (12, 90, 40), dtype=np.uint8), FASSEG)


def test_several_colours_may_map_to_one_class_and_to_void():
    taxonomy = Taxonomy.from_mapping(
        {
            "classes": {"background": [255, 0, 0], "skin": [255, 255, 0]},
            "remap": {"0, 0, 0": "background", "200, 0, 200": "skin", "0, 200, 0": "skin", "90, 90, 90": "void"},
        }
    )
    raw = np.uint8([[[0, 0, 0], [200, 0, 200], [0, 200, 0], [90, 90, 90], [0, 210, 3]]])
    decoded = decode_mask(raw, taxonomy)
    assert decoded.mask.tolist() == [[0, 1, 1, VOID, 1]]
    assert decoded.inexact.tolist() == [[False, False, False, False, True]]


def test_a_blend_takes_a_nearby_class_by_the_nearest_of_its_colours():
    remap = {"0, 0, 0": "background", "250, 0, 0": "skin", "0, 250, 0": "skin"}
    taxonomy = Taxonomy.from_mapping({"classes": {"background": [9, 9, 9], "skin": [99, 9, 9]}, "remap": remap})
    raw = np.zeros((7, 7, 3), np.uint8)
    raw[:, 3], raw[:, 4:] = (160, 0, 0), (250, 0, 0)  # nearer to red than to black; green is the other colour of skin
    assert (decode_mask(raw, taxonomy).mask[:, 3:] == 1).all()


def test_a_colour_of_no_class_that_fills_an_area_is_foreign_and_blends_are_not():
    colours = mask_to_colours(random_mask(0), FASSEG)
    assert foreign_colour(colours, FASSEG) is None
    assert foreign_colour(blend(random_mask(1, 120, 90, block=8), FASSEG, 3), FASSEG) is None
    colours[5:10, 5:15] = (10, 90, 40)
    assert foreign_colour(colours, FASSEG) == ((10, 90, 40), 50 / 1200)
    colours[5:10, 5:15] = (120, 5, 3)  # within 32 of hair
    assert foreign_colour(colours, FASSEG) is None


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
    assert decode_numbers(np.array([[True, False]]), taxonomy()).mask.tolist() == [[1, 0]]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int64"])
def test_several_numbers_may_map_to_one_class_and_to_void(dtype):
    remapped = taxonomy(remap={0: "wall", 7: "hair", 9: "hair", 17: "skin", 200: "void"}, void=255)
    raw = np.array([[0, 7, 9, 17, 200, 255]]).astype(dtype)
    assert decode_numbers(raw, remapped).mask.tolist() == [[0, 2, 2, 1, VOID, VOID]]


def test_numbers_beyond_a_byte_are_remapped_too():
    remapped = taxonomy(remap={0: "wall", 1000: "skin", 70_000: "hair"})
    assert decode_numbers(np.uint16([[1000, 0]]), remapped).mask.tolist() == [[1, 0]]
    assert decode_numbers(np.int64([[70_000, 1000]]), remapped).mask.tolist() == [[2, 1]]


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_an_unknown_number_is_an_error_with_its_share_and_the_remedy_and_never_void(dtype):
    raw = np.zeros((10, 10), dtype)
    raw[0, :3] = 7
    with pytest.raises(DataError) as caught:
        decode_numbers(raw, taxonomy())
    message = str(caught.value)
    assert message.startswith("holds 7, which is no class: add it to `classes`, or to `remap` with every other number")
    assert "(3.00% of the pixels; the taxonomy defines 0 to 2)" in message
    assert "`remap: {0: wall, 7: CLASS or void, ...}`" in message
    assert not are_known(raw, taxonomy())


@pytest.mark.parametrize(
    ("numbers", "remap", "message"),
    [
        (
            np.uint8([[0, 1, 5, 6]]),
            {5: "wall", 6: "skin"},
            r"^holds 0, .* add it to `remap`, as `0: .* 5 to 6\).\nholds 1, .* as `1: ",
        ),
        (
            np.arange(256, dtype=np.uint8)[None],
            {},
            r"holds numbers of no class in 98.83% of the pixels, more than 8 .* Is this a photo, or a soft mask\?",
        ),
        (np.int16([[-1, 0]]), {}, "holds -1, which"),
    ],
    ids=["not in the remap", "many", "negative"],
)
def test_unknown_numbers_are_reported(numbers, remap, message):
    with pytest.raises(DataError, match=message):
        decode_numbers(numbers, taxonomy(remap=remap))


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_layers_may_come_first_or_last(first, dtype):
    mask = np.random.default_rng(1).integers(0, 3, (5, 8))
    layers = (mask == np.arange(3)[:, None, None]).astype(dtype)
    decoded = decode_layers(layers if first else np.moveaxis(layers, 0, -1), taxonomy())
    assert (decoded.mask == mask).all()
    assert decoded.mask.dtype == np.uint8


def test_if_both_ends_could_be_the_classes_the_one_hot_axis_is():
    mask = np.array([[0, 1, 2, 0], [1, 1, 0, 2], [2, 0, 0, 1]])
    layers = (mask == np.arange(3)[:, None, None]).astype(np.uint8)  # (3, 3, 4), and as (H, W, C): (3, 4, 3)
    assert (decode_layers(layers, taxonomy()).mask == mask).all()
    assert (decode_layers(np.moveaxis(layers, 0, -1), taxonomy()).mask == mask).all()


@pytest.mark.parametrize(
    ("more", "numbers", "expected"),
    [
        ({"remap": {0: "wall", 1: "skin"}, "void": 255}, [[0, 1]], [[0, 1]]),  # void is not remapped, and has no layer
        ({"remap": {0: "wall", 1: "skin", 2: "skin", 3: "void"}}, [[0, 1], [2, 3]], [[0, 1], [1, VOID]]),
    ],
)
def test_layers_are_those_of_the_remapped_numbers(more, numbers, expected):
    layers = (np.array(numbers) == np.arange(len(more["remap"]))[:, None, None]).astype(np.uint8)
    assert decode_layers(layers, taxonomy(**more)).mask.tolist() == expected


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (np.zeros((4, 5, 6)), r"has the shape \(4, 5, 6\); expected 3 layers first or last"),
        (np.full((3, 5, 6), 0.3), "values other than 0 and 1"),
        (np.ones((3, 5, 6)), "100.0% of the pixels are in several layers"),
        (np.zeros((3, 5, 6)), "100.0% of the pixels are in no layer"),
    ],
)
def test_layers_that_are_not_one_hot_are_refused(layers, message):
    with pytest.raises(DataError, match=message):
        decode_layers(layers, taxonomy())


def test_a_pixel_in_no_layer_is_void_where_there_is_one():
    layers = np.zeros((3, 1, 2), np.uint8)
    layers[1, 0, 0] = 1
    assert decode_layers(layers, taxonomy(void=[9, 9, 9])).mask.tolist() == [[1, VOID]]


FACE = np.uint8([[0, 255, 255, 255]])
EYE = np.uint8([[0, 0, 255, 0]])


def test_later_parts_cover_earlier_ones_and_other_pixels_get_the_rest():
    assert overlay_parts([(1, FACE), (4, EYE)], rest=0).mask.tolist() == [[0, 1, 4, 1]]
    assert overlay_parts([(4, EYE), (1, FACE)], rest=VOID).mask.tolist() == [[VOID, 1, 1, 1]]
    other = np.uint8([[255, 0, 0, 0]])
    assert overlay_parts([(3, EYE), (3, other)], rest=0).mask.tolist() == [[3, 0, 3, 0]], "parts of a class are joined"


def test_the_smallest_class_with_all_its_parts_may_be_on_top_in_any_order():
    for parts in ([(1, FACE), (4, EYE)], [(4, EYE), (1, FACE)]):
        assert overlay_parts(parts, rest=0, smallest_on_top=True).mask.tolist() == [[0, 1, 4, 1]]
    left, right = np.uint8([[255, 255, 0, 0, 0]]), np.uint8([[0, 0, 0, 255, 255]])
    parts = [(1, left), (1, right), (2, np.uint8([[0, 255, 255, 255, 0]]))]
    assert overlay_parts(parts, rest=0, smallest_on_top=True).mask.tolist() == [[1, 2, 2, 2, 1]]


@pytest.mark.parametrize("white", [np.True_, np.uint8(1), np.uint8(255), np.uint16(1), np.uint16(65535)])
def test_white_depends_on_the_dtype_and_the_largest_value(white):
    picture = np.array([[0, 1, 0]]).astype(white.dtype) * white
    decoded = overlay_parts([(2, picture)], rest=0)
    assert decoded.mask.tolist() == [[0, 2, 0]]
    assert not decoded.inexact.any()


def test_grey_borders_go_to_the_nearer_side_and_are_inexact():
    decoded = overlay_parts([(2, np.uint8([[0, 100, 140, 255]]))], rest=0)
    assert decoded.mask.tolist() == [[0, 0, 2, 2]]
    assert decoded.inexact.tolist() == [[False, True, True, False]]


def test_an_empty_part_is_ignored_but_a_faint_one_is_an_error():
    assert overlay_parts([(2, np.zeros((1, 3), np.uint8))], rest=0).mask.tolist() == [[0, 0, 0]]
    with pytest.raises(DataError, match=r"no value above 90; expected black .0. and white .255."):
        overlay_parts([(2, np.uint8([[0, 90]]))], rest=0)


@pytest.mark.parametrize("join", [overlay_parts, likeliest_parts])
def test_parts_of_several_sizes_are_an_error(join):
    with pytest.raises(DataError, match="its parts are 4x1 and 3x1"):
        join([(1, FACE), (2, np.zeros((1, 3), np.uint8))], rest=0)


def test_the_most_likely_class_wins_by_the_sum_of_its_parts_and_the_first_on_a_tie():
    one, other = np.uint8([[255, 128, 100, 0]]), np.uint8([[0, 127, 100, 0]])
    decoded = likeliest_parts([(1, one), (2, other)], rest=0)
    assert decoded.mask.tolist() == [[1, 1, 1, 0]]
    assert decoded.inexact.tolist() == [[False, False, True, True]]
    parts = [(1, np.uint8([[90]])), (1, np.uint8([[90]])), (2, np.uint8([[120]]))]
    assert likeliest_parts(parts, rest=0).mask.tolist() == [[1]]
    assert likeliest_parts([(1, np.uint8([[200]])), (1, np.uint8([[200]]))], rest=0).mask.tolist() == [[1]]


def test_probabilities_of_another_depth_are_refused():
    for deep in (np.uint16([[40000]]), np.array([[True]])):
        with pytest.raises(DataError, match="expected probabilities in 8 bits"):
            likeliest_parts([(0, np.uint8([[200]])), (1, deep)], rest=0)
