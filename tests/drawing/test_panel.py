import numpy as np
import pytest

from facesegl.drawing import canvas, panel
from facesegl.drawing.panel import draw_panel, paint_errors
from facesegl.labels import VOID, Taxonomy

FACE = Taxonomy(names=("wall", "skin", "mouth"), colours=((255, 0, 0), (255, 255, 0), (0, 255, 0)))
TITLE = "After epoch 3: validation photos"


@pytest.fixture
def face():
    """A photo (12, 10, 3), its truth and the same as prediction (12, 10)."""
    photo = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    truth = np.zeros((12, 10), np.uint8)
    truth[2:10, 2:8] = 1
    truth[7:9, 3:7] = 2
    return photo, truth, truth.copy()


def test_a_perfect_prediction_leaves_a_grey_photo(face):
    errors = paint_errors(*face, FACE)
    assert errors.dtype == np.uint8
    assert (errors == errors[..., :1]).all()
    assert errors.max() < 160


def test_each_wrong_pixel_has_the_predicted_colour(face):
    photo, truth, prediction = face
    prediction[0, 0], prediction[7, 3] = 2, 1
    errors = paint_errors(photo, truth, prediction, FACE)
    assert errors[0, 0].tolist() == [0, 255, 0]
    assert errors[7, 3].tolist() == [255, 255, 0]
    assert (errors != errors[..., :1]).any(axis=-1).sum() == 2


def test_void_is_hatched_and_never_wrong(face):
    photo, truth, prediction = face
    truth[:4] = VOID
    void = paint_errors(photo, truth, prediction, FACE)[:4]
    assert (void == void[..., :1]).all()
    assert len(np.unique(void)) == 2


def tiles_of(drawn, rows, side):
    """The four tiles of each row, located by the colour of the truth."""
    pixels = np.asarray(drawn)
    assert pixels.shape[1] == 4 * side + 3 * canvas.GAP + 2 * canvas.MARGIN
    lefts = [canvas.MARGIN + column * (side + canvas.GAP) for column in range(4)]
    inked = (pixels[:, lefts[1] + side // 2] == FACE.colours[1]).all(axis=-1)
    tops = np.flatnonzero(np.diff(inked.astype(int)) == 1) + 1
    return [[pixels[top : top + side, left : left + side] for left in lefts] for top in tops[:rows]]


def test_a_panel_shows_photo_truth_prediction_and_error_from_left_to_right():
    photo = np.full((200, 200, 3), 100, np.uint8)
    skin, mouth = np.ones((200, 200), np.uint8), np.full((200, 200), 2, np.uint8)
    drawn = draw_panel([photo, photo], [skin, skin], [mouth, skin], FACE, ["train/1", "train/2"], title=TITLE)
    wrong, right = tiles_of(drawn, rows=2, side=200)
    assert [tile[50, 50].tolist() for tile in wrong] == [[100] * 3, [255, 255, 0], [0, 255, 0], [0, 255, 0]]
    assert [tile[50, 50].tolist() for tile in right] == [[100] * 3, [255, 255, 0], [255, 255, 0], [55] * 3]
    assert all((tile == tile[0, 0]).all() for tile in [*wrong, *right])


def test_small_photos_are_enlarged_and_large_ones_reduced_without_new_colours():
    for side, shown in ((32, 160), (1000, 334)):
        truth = np.ones((side, side), np.uint8)
        truth[:, side // 4 : side // 2 - 2] = 2
        photo = np.zeros((side, side, 3), np.uint8)
        drawn = draw_panel([photo], [truth], [truth], FACE, ["1"], title=TITLE)
        [[_, tile, _, _]] = tiles_of(drawn, rows=1, side=shown)
        assert {tuple(colour) for colour in tile.reshape(-1, 3).tolist()} == {FACE.colours[1], FACE.colours[2]}


def test_the_legend_holds_every_class_however_many(face):
    many = Taxonomy(
        names=tuple(f"class number {index}" for index in range(30)),
        colours=tuple((index, 7 * index, 255 - index) for index in range(30)),
    )
    photo, truth, prediction = face
    drawn = draw_panel([photo], [truth], [prediction], many, ["1"], title=TITLE)
    found = {tuple(colour) for colour in np.asarray(drawn)[240:].reshape(-1, 3).tolist()}
    assert set(many.colours) <= found


def test_a_long_name_is_cut_from_the_left():
    cut = canvas.shorten("folder/" * 40 + "face.jpg", 200)
    assert cut.startswith("...")
    assert cut.endswith("face.jpg")
    assert canvas.length(cut) <= 200
    assert canvas.shorten("train/1", 200) == "train/1"


@pytest.mark.parametrize(
    ("truth", "words"),
    [([0, 1, 1, 2], "75.0 % correct"), ([VOID, 1, VOID, 2], "50.0 % correct"), ([VOID] * 4, "all void")],
)
def test_the_share_of_right_pixels_ignores_void(truth, words):
    assert panel._accuracy(np.uint8([truth]), np.uint8([[0, 1, 1, 1]])) == words


def test_photos_of_different_sizes_are_in_rows_that_do_not_overlap():
    masks = [np.zeros(shape, np.uint8) for shape in ((200, 180), (300, 240), (160, 200))]
    photos = [np.full((*mask.shape, 3), 40 * number, np.uint8) for number, mask in enumerate(masks, start=1)]
    drawn = np.asarray(draw_panel(photos, masks, masks, FACE, ["a", "b", "c"], title="sizes"))
    for photo in photos:
        assert (drawn == photo[0, 0]).all(-1).sum() >= photo.shape[0] * photo.shape[1]
