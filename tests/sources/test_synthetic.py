import shutil

import numpy as np
import pytest

from facesegl.errors import DataError
from facesegl.sources import SyntheticFaces, read_rgb
from helpers.faces import CLASSES, FASSEG6


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
