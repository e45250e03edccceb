import numpy as np
import pytest

from facesegl.drawing import overlay as pictures
from facesegl.drawing.overlay import overlay
from facesegl.labels import Taxonomy
from facesegl.synthetic.render import draw_face
from helpers.models import FASSEG6

WITHOUT_BACKGROUND = Taxonomy(names=("sky", "earth"), colours=((0, 0, 255), (0, 255, 0)))


def mask(height=30, width=20):
    return np.random.default_rng(0).integers(0, 6, (height, width), dtype=np.uint8)


def halves(left, right, height=30, width=20):
    painted = np.full((height, width), left, dtype=np.uint8)
    painted[:, width // 2 :] = right
    return painted


def grey(height=30, width=20, value=100):
    return np.full((height, width, 3), value, dtype=np.uint8)


def test_background_keeps_the_photo_and_a_class_takes_on_its_colour():
    photo = np.random.default_rng(1).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    shown = np.asarray(overlay(photo, halves(0, 1), FASSEG6))
    assert (shown[:, :9] == photo[:, :9]).all()
    expected = 0.6 * photo[:, 10:] + 0.4 * np.array([255, 255, 0])
    assert np.abs(shown[:, 10:] - expected).max() <= 2


def test_what_is_darker_on_the_photo_is_darker_under_its_class():
    photo = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 256, 3).repeat(3, axis=0)
    shown = np.asarray(overlay(photo, np.full((3, 256), 3, np.uint8), FASSEG6)).astype(int)
    assert (np.diff(shown, axis=1) >= 0).all()
    assert shown[0, 255].sum() - shown[0, 0].sum() > 400


def test_without_a_class_called_background_every_class_is_tinted():
    shown = np.asarray(overlay(grey(), halves(0, 1), WITHOUT_BACKGROUND))
    assert (shown[0, 0] != 100).all()
    assert (shown[0, -1] != 100).all()


def test_a_border_is_the_darker_colour_of_the_later_class_whatever_side_it_is_on():
    for painted in (halves(1, 4), halves(4, 1)):
        shown = np.asarray(overlay(grey(), painted, FASSEG6))
        assert (shown[:, 9] == (0, 0, 127)).all()
        assert (shown[:, [8, 10]] != (0, 0, 127)).any(axis=-1).all(), "one pixel wide on a small photo"


def test_background_has_no_border_its_neighbour_has():
    shown = np.asarray(overlay(grey(), halves(1, 0), FASSEG6))
    assert (shown[:, 9] == (127, 127, 0)).all()
    assert (shown[:, 10:] == 100).all()


def test_borders_are_wider_on_larger_photos():
    shown = np.asarray(overlay(grey(1600, 2000), halves(0, 1, 1600, 2000), FASSEG6))
    assert (shown[800] == (127, 127, 0)).all(axis=-1).sum() == 4


@pytest.mark.parametrize("band", [1, 7 * 200, 100 * 200])
def test_bands_leave_no_seam(band, monkeypatch):
    face = draw_face(3, 250, 200)
    drawn = face.coverage.argmax(-1).astype(np.uint8) % 6
    monkeypatch.setattr(pictures, "_FINE", 40)  # borders of 5 pixels
    whole = overlay(face.photo, drawn, FASSEG6)
    monkeypatch.setattr(pictures, "_BAND", band)
    assert (np.asarray(overlay(face.photo, drawn, FASSEG6)) == np.asarray(whole)).all()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 900), (900, 1), (2, 3)])
def test_photos_of_any_shape_have_an_overlay(height, width):
    assert overlay(grey(height, width), mask(height, width), FASSEG6).size == (width, height)


def test_neither_photo_nor_mask_is_changed():
    photo, painted = grey(), mask()
    overlay(photo, painted, FASSEG6)
    assert (photo == 100).all()
    assert (painted == mask()).all()
