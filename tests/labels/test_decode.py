import numpy as np
import pytest

from facesegl.errors import DataError
from facesegl.labels import VOID, Taxonomy, decode_mask, foreign_colour, mask_to_colours

FASSEG = Taxonomy(
    names=("background", "skin", "hair", "nose", "eyes", "mouth"),
    colours=((255, 0, 0), (255, 255, 0), (127, 0, 0), (0, 255, 255), (0, 0, 255), (0, 255, 0)),
)


def random_mask(seed, height=40, width=30, classes=6, block=5):
    coarse = np.random.default_rng(seed).integers(0, classes, (height // block, width // block), dtype=np.uint8)
    return coarse.repeat(block, 0).repeat(block, 1)


def reference(colours, taxonomy):
    """The rule word for word, pixel by pixel."""
    distance = ((colours[:, :, None].astype(int) - np.array(taxonomy.colours)) ** 2).sum(-1)
    pure = np.where(distance.min(-1) <= 32**2, distance.argmin(-1), -1)
    mask = pure.copy()
    for y, x in zip(*np.nonzero(pure < 0), strict=True):
        radius = 2
        while not (
            near := set(pure[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1].flat) - {-1}
        ):
            radius *= 2
        mask[y, x] = min(sorted(near), key=lambda c: distance[y, x, c])
    return mask.astype(np.uint8)


def blend(mask, taxonomy, factor):
    """What a mask looks like when it was drawn `factor` times larger and shrunk by averaging."""
    height, width = mask.shape[0] // factor, mask.shape[1] // factor
    painted = mask_to_colours(mask, taxonomy).astype(float)
    return (
        painted[: height * factor, : width * factor]
        .reshape(height, factor, width, factor, 3)
        .mean((1, 3))
        .astype(np.uint8)
    )


def test_a_painted_mask_is_read_back_without_a_guess():
    mask = random_mask(0)
    decoded = decode_mask(mask_to_colours(mask, FASSEG), FASSEG)
    assert (decoded.mask == mask).all()
    assert not decoded.inexact.any()
    assert decoded.mask.dtype == np.uint8


@pytest.mark.parametrize("seed", range(3))
def test_blended_masks_are_read_as_the_rule_says(seed):
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


def test_void_has_a_colour_of_its_own():
    taxonomy = Taxonomy(names=("a", "b"), colours=((0, 0, 0), (255, 255, 255)), void=(255, 0, 255))
    mask = np.uint8([[0, 1, VOID, VOID]])
    assert (decode_mask(mask_to_colours(mask, taxonomy), taxonomy).mask == mask).all()


def test_a_photo_given_as_mask_is_an_error_that_says_how_far_and_which_colour():
    with pytest.raises(DataError, match=r"100% of the pixels are far .*\(12, 90, 40\).*data\.taxonomy=FILE\.yaml"):
        decode_mask(np.full((8, 8, 3), (12, 90, 40), dtype=np.uint8), FASSEG)


def test_half_of_the_pixels_may_be_far_but_no_more():
    colours = np.full((8, 8, 3), FASSEG.colours[1], dtype=np.uint8)
    colours[:4] = (90, 90, 90)
    assert (decode_mask(colours, FASSEG).mask == 1).all()
    colours[4, 0] = (90, 90, 90)
    with pytest.raises(DataError):
        decode_mask(colours, FASSEG)


def test_many_colours_may_lead_to_one_class_and_to_void():
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


def test_a_blend_goes_to_a_class_around_by_the_nearest_of_its_colours():
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
