"""Synthetic faces: the same everywhere, labelled to the pixel, and shaped like faces."""

import hashlib

import numpy as np
import pytest

from facesegl.synthetic.render import Face, draw_face

BACKGROUND, SKIN, HAIR, NOSE, EYES, MOUTH = range(6)
# Least and greatest share of a 256 x 200 photo, in percent. Bald heads have brows alone for hair.
SHARES = {BACKGROUND: (8, 40), SKIN: (30, 68), HAIR: (0.8, 48), NOSE: (1.5, 4), EYES: (0.7, 2), MOUTH: (0.7, 2.8)}


@pytest.fixture(scope="module")
def faces() -> list[Face]:
    return [draw_face(seed) for seed in range(30)]


def _rows_and_columns(face: Face, label: int) -> tuple[np.ndarray, np.ndarray]:
    return np.nonzero(face.coverage[..., label] > 0.5)


def test_same_seed_gives_the_same_bytes_and_another_seed_another_face():
    face, again, other = draw_face(seed=7), draw_face(seed=7), draw_face(seed=8)
    assert face.photo.tobytes() == again.photo.tobytes()
    assert face.coverage.tobytes() == again.coverage.tobytes()
    assert not np.array_equal(face.photo, other.photo)
    assert not np.array_equal(face.coverage, other.coverage)


def test_a_seed_means_the_same_on_every_machine():
    face = draw_face(seed=3, height=128, width=100)
    assert (
        hashlib.sha256(face.photo.tobytes() + face.coverage.tobytes()).hexdigest()
        == "b16fe3b6c38014825bf9b5c53468fba12454f3da6028f3c569c9bb35a9312464"
    )


@pytest.mark.parametrize(("height", "width"), [(64, 50), (512, 400), (200, 300), (33, 20), (300, 100)])
def test_any_size_can_be_drawn_and_has_every_class(height: int, width: int):
    face = draw_face(seed=5, height=height, width=width)
    assert face.photo.shape == (height, width, 3)
    assert face.photo.dtype == np.uint8
    assert face.coverage.shape == (height, width, 6)
    assert face.coverage.dtype == np.float32
    assert (face.coverage.sum(axis=(0, 1)) > 0).all()
    assert (face.coverage.sum(axis=-1) == 1).all()


def test_a_person_is_the_same_at_every_size():
    small, large = draw_face(seed=11, height=128, width=100), draw_face(seed=11, height=256, width=200)
    shrunk = large.coverage.reshape(128, 2, 100, 2, 6).mean(axis=(1, 3))
    assert np.abs(small.coverage - shrunk).mean() < 0.002


def test_coverage_sums_to_one_and_is_mixed_at_borders_only(faces: list[Face]):
    for face in faces:
        assert (face.coverage.sum(axis=-1) == 1).all()
        assert face.coverage.min() == 0
        mixed = face.coverage.max(axis=-1) < 1
        assert 0.01 < mixed.mean() < 0.06
        hard = np.pad(face.coverage.argmax(axis=-1), 2, mode="edge")
        views = np.lib.stride_tricks.sliding_window_view(hard, (5, 5))
        border = views.min(axis=(2, 3)) != views.max(axis=(2, 3))
        # A tip thinner than half a pixel has no whole pixel.
        assert border[mixed].mean() > 0.99


def test_every_class_has_a_plausible_share(faces: list[Face]):
    percent = 100 * np.array([face.coverage.mean(axis=(0, 1)) for face in faces])
    for label, (least, greatest) in SHARES.items():
        assert least < percent[:, label].min(), label
        assert percent[:, label].max() < greatest, label


def test_eyes_lie_above_the_nose_and_the_nose_above_the_mouth(faces: list[Face]):
    for face in faces:
        eyes, nose, mouth = (_rows_and_columns(face, label)[0].mean() for label in (EYES, NOSE, MOUTH))
        assert eyes < nose < mouth


def test_one_eye_lies_on_each_side_of_the_nose(faces: list[Face]):
    for face in faces:
        middle = _rows_and_columns(face, NOSE)[1].mean()
        columns = _rows_and_columns(face, EYES)[1]
        assert 0.35 < (columns < middle).mean() < 0.65


def test_brows_are_hair_above_the_eyes(faces: list[Face]):
    for face in faces:
        rows, columns = _rows_and_columns(face, EYES)
        above = face.coverage[rows.min() - 35 : rows.min(), columns.min() : columns.max(), HAIR]
        assert above.sum() > 100


def test_chin_and_neck_are_bare_skin(faces: list[Face]):
    for face in faces:
        rows, columns = _rows_and_columns(face, MOUTH)
        below_mouth = face.coverage[rows.max() + 2 :, int(columns.mean())]
        assert below_mouth[:20, SKIN].min() == 1
        assert below_mouth[:, HAIR].max() == 0


def test_ears_are_skin_and_widen_a_bald_head(faces: list[Face]):
    bald = [face for face in faces if face.coverage[..., HAIR].mean() < 0.03]
    assert bald
    for face in bald:
        brow = _rows_and_columns(face, HAIR)[0].min()
        chin = _rows_and_columns(face, MOUTH)[0].max()
        wall = face.coverage[brow:chin, :, BACKGROUND]
        left, right = wall[:, :100].sum(axis=1), wall[:, 100:].sum(axis=1)
        assert left.min() < left[0] - 4
        assert right.min() < right[0] - 4


def _brightness(faces: list[Face], label: int) -> np.ndarray:
    return np.array([face.photo.mean(axis=-1)[_rows_and_columns(face, label)].mean() for face in faces])


def test_brightness_alone_does_not_tell_the_classes_apart(faces: list[Face]):
    skin, nose = _brightness(faces, SKIN), _brightness(faces, NOSE)
    assert np.corrcoef(skin, nose)[0, 1] > 0.9
    assert np.ptp(skin) > 60
    assert 0.5 < (_brightness(faces, HAIR) < _brightness(faces, BACKGROUND)).mean() < 1
