"""Synthetic faces: the same everywhere, labelled to the pixel, turned as solids are, and varied in kinds."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from numpy._core import _multiarray_umath

from facesegl.synthetic.conventions import CONVENTIONS
from facesegl.synthetic.parts import PARTS
from facesegl.synthetic.person import KINDS, Person
from facesegl.synthetic.render import Face, draw_face

BYTES = "753ad5fc9df78edc28fe90525984e01c19aaf04e8a0225426321cf987607ba61"
FRONTAL = ("pose", "crop", "glasses", "headwear")


def hash_of_faces() -> str:
    """The bytes of some photos and their coverage: with glasses, hat, beard, long hair; in every convention."""
    hashed = hashlib.sha256()
    for seed, convention in zip((0, 2, 4, 7, 18, 58), (*CONVENTIONS, "fasseg", "celebamask_hq"), strict=True):
        face = draw_face(seed, 64, 50, convention)
        hashed.update(face.photo.tobytes() + face.coverage.tobytes())
    return hashed.hexdigest()


def share(face: Face, *parts: str) -> np.ndarray:
    return sum(face.coverage[..., PARTS.index(part)] for part in parts)


def middle(face: Face, part: str) -> np.ndarray:
    """Row and column of a part."""
    return np.argwhere(share(face, part) > 0.5).mean(axis=0)


@pytest.fixture(scope="module")
def faces() -> list[Face]:
    return [draw_face(seed, 64, 50, "celebamask_hq") for seed in range(60)]


@pytest.fixture(scope="module")
def frontal() -> list[Face]:
    return [draw_face(seed, 96, 76, without=FRONTAL) for seed in range(12)]


def with_yaw(monkeypatch: pytest.MonkeyPatch, seed: int, yaw: float) -> Face:
    def turned(*given: object) -> Person:
        person = Person(*given)
        person.pose.yaw = yaw
        return person

    with monkeypatch.context() as patched:
        patched.setattr("facesegl.synthetic.render.Person", turned)
        return draw_face(seed, 96, 76, without=(*FRONTAL, "hair"))


def test_a_seed_means_the_same_on_every_machine():
    assert hash_of_faces() == BYTES


def test_a_seed_means_the_same_without_vector_instructions():
    optional = set(_multiarray_umath.__cpu_dispatch__) - set(_multiarray_umath.__cpu_baseline__)
    found = [name for name in sorted(optional) if _multiarray_umath.__cpu_features__[name]]
    code = "import runpy, sys; print(runpy.run_path(sys.argv[1])['hash_of_faces']())"
    ran = subprocess.run(
        [sys.executable, "-c", code, __file__],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"NPY_DISABLE_CPU_FEATURES": " ".join(found)},
    )
    assert ran.stdout.strip() == BYTES


def test_another_seed_is_another_face(faces: list[Face]):
    assert len({face.photo.tobytes() for face in faces}) == len({face.coverage.tobytes() for face in faces}) == 60


@pytest.mark.parametrize(("height", "width"), [(200, 300), (33, 20), (90, 30), (8, 8), (1, 9), (9, 1)])
def test_any_size_can_be_drawn(height: int, width: int):
    face = draw_face(5, height, width)
    assert (face.photo.shape, face.photo.dtype) == ((height, width, 3), np.uint8)
    assert (face.coverage.shape, face.coverage.dtype) == ((height, width, len(PARTS)), np.float32)


def test_a_person_is_the_same_at_every_size():
    for seed in range(6):
        small, large = draw_face(seed, 64, 50), draw_face(seed, 128, 100)
        shrunk = large.coverage.reshape(64, 2, 50, 2, len(PARTS)).mean(axis=(1, 3))
        assert np.abs(small.coverage - shrunk).sum(axis=-1).mean() < 0.08


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_parts_of_a_pixel_sum_to_one(convention: str):
    for seed in range(60, 76):
        coverage = draw_face(seed, 48, 40, convention).coverage
        assert coverage.dtype == np.float32
        assert coverage.min() >= 0
        assert coverage.sum(axis=-1) == pytest.approx(1, abs=1e-5)


def test_every_part_occurs(faces: list[Face]):
    most = np.max([face.coverage.sum(axis=(0, 1)) for face in faces], axis=0)
    assert {part: size for part, size in zip(PARTS, most, strict=True) if size < 2} == {}


def test_a_frontal_face_has_its_parts_where_they_belong(frontal: list[Face]):
    for face in frontal:
        nose, lip = middle(face, "nose"), middle(face, "lower lip")
        for side, sign in (("left", 1), ("right", -1)):
            brow, eye = middle(face, f"{side} brow"), middle(face, f"{side} eye")
            assert brow[0] < eye[0] < nose[0] < lip[0]
            assert sign * (eye[1] - nose[1]) > 4  # the person's left is on the right of the photo


def test_a_profile_hides_the_far_eye(monkeypatch: pytest.MonkeyPatch):
    for seed in range(3):
        near = {}
        for yaw in (-1.0, 1.0):  # tangents of half of 90 degrees
            face = with_yaw(monkeypatch, seed, yaw)
            eyes = {side: share(face, f"{side} eye").sum() for side in ("left", "right")}
            near[yaw] = max(eyes, key=eyes.__getitem__)
            assert min(eyes.values()) < 0.1 * max(eyes.values())
        assert near[-1.0] != near[1.0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_variety_can_be_switched_off_alone(kind: str):
    linked = {"expression": ["features"], "shape": ["features", "build"], "headwear": ["hair"], "skin": ["hair"]}
    owners = {
        "shape": "build", "pose": "pose", "crop": "frame", "expression": "features", "hair": "hair",
        "facial_hair": "beard", "glasses": "glasses", "headwear": "headwear", "skin": "tones", "light": "light",
        "camera": "camera", "backdrop": "backdrop", "clothes": "clothes",
    }  # fmt: skip

    def values(seed: int, name: str, without: tuple[str, ...] = ()) -> str:
        part = vars(getattr(Person(seed, without), name))
        return repr([(key, part[key]) for key in part if key not in ("dice", "table")])

    for name in set(owners.values()) - {owners[kind], *linked.get(kind, [])}:
        assert [values(seed, name) for seed in range(8)] == [values(seed, name, (kind,)) for seed in range(8)], name
    assert len({values(seed, owners[kind]) for seed in range(8)}) == 8


@pytest.mark.parametrize(
    ("kind", "parts"), [("glasses", ["glasses"]), ("headwear", ["hat", "earring"]), ("facial_hair", ["beard"])]
)
def test_a_part_is_gone_without_its_kind_of_variety(faces: list[Face], kind: str, parts: list[str]):
    have = [seed for seed, face in enumerate(faces) if share(face, *parts).sum() > 1][:5]
    assert have
    for seed in have:
        assert share(draw_face(seed, 64, 50, "celebamask_hq", without=[kind]), *parts).sum() == 0


def test_glasses_are_in_the_photo_and_only_celebamask_has_them_in_masks(faces: list[Face]):
    seed = next(seed for seed, face in enumerate(faces) if share(face, "glasses").mean() > 0.03)
    bare = draw_face(seed, 64, 50, "lapa", without=["glasses"])
    for convention in ("fasseg", "lapa", "helen"):
        face = draw_face(seed, 64, 50, convention)
        assert share(face, "glasses").sum() == 0
        same, other = (np.abs(face.photo - one.photo.astype(int)).mean() for one in (faces[seed], bare))
        assert same < 0.1 < other
    assert draw_face(seed, 64, 50, "lapa").coverage == pytest.approx(bare.coverage, abs=1e-6)


def test_noses_begin_higher_in_some_data_sets():
    tops = {name: middle(draw_face(3, 96, 76, name, without=FRONTAL), "nose")[0] for name in CONVENTIONS}
    assert tops["celebamask_hq"] < tops["fasseg"] < tops["lapa"] == tops["helen"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"convention": "ade"}, "unknown ade; expected fasseg, celeb"),
        ({"without": ["hats"]}, "unknown hats; expected sh"),
    ],
)
def test_unknown_names_are_refused(given: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        draw_face(0, 8, 8, **given)


def test_brightness_alone_does_not_tell_the_classes_apart(faces: list[Face]):
    def brightness(part: str) -> np.ndarray:
        return np.array([np.average(face.photo.mean(axis=-1), weights=share(face, part) + 1e-9) for face in faces])

    assert np.corrcoef(brightness("skin"), brightness("nose"))[0, 1] > 0.8
    assert np.ptp(brightness("skin")) > 60
    assert 0.4 < (brightness("hair") < brightness("background")).mean() < 1
