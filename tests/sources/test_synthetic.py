import os
import shutil

import numpy as np
import pytest

from facesegl.errors import ConfigError, DataError
from facesegl.sources import SyntheticFaces, read_rgb
from facesegl.synthetic.parts import PARTS
from facesegl.synthetic.render import Face
from helpers.faces import CLASSES, FASSEG6

LAPA = {"background": [0, 0, 0], "skin": [1, 0, 0], "nose": [0, 1, 0], "hair": [0, 0, 1]}  # too alike to blend
LAPA |= {
    f"{side}_{part}": [9, n, m] for n, side in enumerate(["left", "right"]) for m, part in enumerate(["eyebrow", "eye"])
}
LAPA |= {"upper_lip": [8, 0, 0], "inner_mouth": [8, 1, 0], "lower_lip": [8, 2, 0]}
PAIRS = [["left_eyebrow", "right_eyebrow"], ["left_eye", "right_eye"]]


def faces(root, **changes):
    return SyntheticFaces(
        **{"root": str(root), "train": 2, "test": 1, "height": 64, "taxonomy": {"classes": CLASSES}} | changes
    )


def test_faces_are_rendered_once_in_fassegs_layout_and_other_numbers_of_them_elsewhere(tmp_path):
    samples = faces(tmp_path).samples()
    assert [sample.id for sample in samples] == ["train/1", "train/2", "test/1"]
    written = samples[0].photo.stat().st_mtime_ns
    assert faces(tmp_path).samples() == samples
    assert samples[0].photo.stat().st_mtime_ns == written
    assert len({read_rgb(sample.photo).tobytes() for sample in samples}) == 3
    more = faces(tmp_path, train=3).samples()
    assert len(more) == 4
    assert more[0].photo != samples[0].photo


def test_the_smallest_faces_are_rendered(tmp_path):
    assert next(read_rgb(sample.photo).shape for sample in faces(tmp_path, height=20).samples()) == (20, 1, 3)
    with pytest.raises(ConfigError, match=r"source.train=0: .*\n.*source.height=19: expected 20 or more"):
        faces(tmp_path, train=0, height=19)


def test_other_colors_are_rendered_to_another_folder(tmp_path):
    names = [*CLASSES]
    other = {**CLASSES, names[0]: CLASSES[names[4]], names[4]: CLASSES[names[0]]}
    shares = []
    for classes in (CLASSES, other):
        source = faces(tmp_path, taxonomy={"classes": classes})
        shares.append([(source.read_mask(one, source.taxonomy).mask == 0).mean() for one in source.samples()])
    assert shares[0] == pytest.approx(shares[1], abs=0.01)  # but for blended rims


def test_masks_are_blended_at_edges_and_contain_every_class(tmp_path):
    source = faces(tmp_path, height=128)
    for sample in source.samples():
        mask, inexact = source.read_mask(sample, FASSEG6)
        assert mask.shape == read_rgb(sample.photo).shape[:2]
        assert set(np.unique(mask)) == set(range(6))
        assert 0.005 < inexact.mean() < 0.12


@pytest.mark.parametrize("lost", ["Train_RGB/2.bmp", "Train_Labels/1.bmp", "Test_Labels/1.bmp"])
def test_missing_rendered_files_are_reported_with_a_remedy(tmp_path, lost):
    source = faces(tmp_path)
    source.samples()
    (source.folder / lost).unlink()
    with pytest.raises(DataError) as caught:
        source.samples()
    (problem,) = caught.value.problems
    assert problem.startswith(f"{source.folder}: has ")
    assert "expected 2 for training and 1 for the test. Delete the folder to render them again" in problem
    shutil.rmtree(source.folder)
    assert len(source.samples()) == 3


def test_an_interrupted_start_leaves_no_incomplete_folder(tmp_path, monkeypatch):
    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("facesegl.sources.synthetic.draw_face", die)
        with pytest.raises(KeyboardInterrupt):
            faces(tmp_path).samples()
    assert len(faces(tmp_path).samples()) == 3


@pytest.fixture
def stripes(monkeypatch):
    """Each part is one column, in the order of `PARTS`, with a blended pixel before the next one."""
    coverage = np.zeros((64, 2 * len(PARTS), len(PARTS)), dtype=np.float32)
    for column in range(2 * len(PARTS)):
        coverage[:, column, column // 2] = 1 if column % 2 == 0 else 0.75
        coverage[:, column, (column // 2 + 1) % len(PARTS)] += column % 2 * 0.25
    photo = np.zeros((*coverage.shape[:2], 3), dtype=np.uint8)
    monkeypatch.setattr("facesegl.sources.synthetic.draw_face", lambda *_: Face(photo, coverage))


@pytest.mark.parametrize("remap", [{}, {"0, 0, 0": "hair"}, {7: "skin", 8: "void"}])
def test_masks_of_other_classes_are_exact_and_need_no_entry_in_remap(stripes, tmp_path, remap):
    source = faces(tmp_path, taxonomy={"classes": LAPA, "pairs": PAIRS, "void": [99, 99, 99], "remap": remap})
    mask, inexact = source.read_mask(source.samples()[0], source.taxonomy)
    assert not inexact.any()
    assert (mask == mask[0]).all()
    assert (mask[0, ::2] == mask[0, 1::2]).all()
    names = [source.taxonomy.names[index] for index in mask[0, ::2]]
    assert names[PARTS.index("left eye")] == "right_eye"  # LaPa's left is the viewer's
    assert names[PARTS.index("hat")] == names[PARTS.index("background")] == "background"
    assert {*names} == {*LAPA}


def test_a_custom_taxonomy_says_which_part_is_which_class(stripes, tmp_path, caplog):
    classes = {"background": [0, 0, 0], "face": [9, 9, 9], "hair": [5, 5, 5], "teeth": [1, 1, 1]}
    source = faces(
        tmp_path, taxonomy={"classes": classes, "synthetic_as": {"skin": "face", "nose": "face", "beard": "hair"}}
    )
    with caplog.at_level("INFO"):
        mask = source.read_mask(source.samples()[0], source.taxonomy).mask[0, ::2]
    found = {name: [PARTS[i] for i in np.flatnonzero(mask == index)] for index, name in enumerate(classes)}
    assert found["face"] == ["skin", "nose", "glasses"]
    assert found["hair"] == ["hair", "beard"]
    assert "synthetic_as does not name left brow, right brow, left eye" in caplog.text
    assert "no synthetic face has teeth" in caplog.text


def test_other_parts_of_a_class_are_rendered_to_another_folder(tmp_path):
    classes = {"background": [0, 0, 0], "face": [9, 9, 9]}
    one, other = (
        faces(tmp_path, taxonomy={"classes": classes, "synthetic_as": {"skin": "face", part: "face"}}).folder
        for part in ("nose", "neck")
    )
    assert one != other


def test_classes_of_no_convention_are_refused_before_a_face_is_drawn(tmp_path):
    with pytest.raises(ConfigError, match="no convention of synthetic faces gives the classes wall, door"):
        faces(tmp_path, taxonomy={"classes": {"wall": [0, 0, 0], "door": [1, 1, 1]}})
    assert not [*tmp_path.iterdir()]


def test_the_files_do_not_depend_on_the_number_of_threads(tmp_path, monkeypatch):
    contents = []
    for cores in (1, 4):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _pid, cores=cores: range(cores), raising=False)
        source = faces(tmp_path / str(cores), train=7)
        contents.append([(one.id, one.photo.read_bytes(), one.mask.read_bytes()) for one in source.samples()])
    assert contents[0] == contents[1]


def test_left_and_right_of_a_rendered_face_are_swapped_by_a_flip(tmp_path):
    frontal = ["pose", "glasses"]
    source = faces(tmp_path, taxonomy={"classes": LAPA, "pairs": PAIRS}, height=128, train=12, without=frontal)
    eyes, in_order = [source.taxonomy.names.index(name) for name in ("left_eye", "right_eye")], []
    for one in source.samples():
        mask = source.read_mask(one, source.taxonomy).mask
        for view in (mask, source.taxonomy.mirrored()[mask][:, ::-1]):
            left, right = (np.flatnonzero((view == index).any(axis=0)) for index in eyes)
            if left.size and right.size:
                in_order.append(left.mean() < right.mean())
    assert len(in_order) >= 12
    assert np.mean(in_order) > 0.8  # but for several heads in a photo


def test_kinds_of_variety_can_be_switched_off_and_such_faces_have_another_folder(tmp_path):
    centered, varied = (faces(tmp_path, train=6, without=kinds) for kinds in (["crop", "pose", "headwear"], []))
    assert centered.folder != varied.folder
    spread = []
    for source in (centered, varied):
        masks = [source.read_mask(sample, source.taxonomy).mask for sample in source.samples()]
        rows = [np.flatnonzero((mask == 4).any(axis=1)).mean() / len(mask) for mask in masks]  # of the eyes
        spread.append(np.std(rows))
    assert spread[0] < 0.03 < spread[1]
    with pytest.raises(ConfigError, match="without: unknown beard, hat; expected shape, pose, crop"):
        faces(tmp_path, without=["hat", "beard", "pose"])
