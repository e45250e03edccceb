from pathlib import Path

import numpy as np

from facesegl.data import FaceCache
from facesegl.labels import Taxonomy
from facesegl.labels.from_parts import can_be_drawn
from facesegl.sources.drawn import DrawnFaces
from helpers.faces import CLASSES, FASSEG6

MIRRORED = Taxonomy.from_mapping({"classes": dict(reversed(CLASSES.items()))})


def read(number, taxonomy=FASSEG6, height=64):
    source = DrawnFaces(number + 1, height)
    return source.read(source.samples()[number], taxonomy)


def test_a_face_depends_only_on_its_number_and_its_size():
    photo, (mask, inexact) = read(3)
    assert photo.shape[:2] == mask.shape
    assert photo.shape[0] == 64
    assert {*np.unique(mask)} == {0, 1, 2, 3, 4, 5}
    assert not inexact.any()
    assert (read(3)[0] == photo).all()
    assert read(4)[0].tobytes() != photo.tobytes()


def test_masks_have_the_indices_of_a_taxonomys_names():
    assert (read(3, MIRRORED)[1].mask == 5 - read(3)[1].mask).all()
    assert can_be_drawn(MIRRORED)
    assert not can_be_drawn(Taxonomy(names=("background", "face"), colours=((0, 0, 0), (9, 9, 9))))


def test_faces_are_drawn_into_the_cache_without_files_and_another_size_or_number_is_another_cache(tmp_path):
    def cache(count, height):
        return FaceCache(DrawnFaces(count, height), FASSEG6, 16, tmp_path / "cache")

    first = cache(3, 16)
    assert [row.id for row in first.rows] == ["synthetic/0", "synthetic/1", "synthetic/2"]
    assert {path.suffix for path in Path(tmp_path).rglob("*") if path.is_file()} <= {".npy", ".json", ".lock"}
    assert cache(3, 16).key == first.key
    assert len({first.key, cache(4, 16).key, cache(3, 32).key}) == 3
    assert (cache(4, 16).read(np.arange(3))[0] == first.read(np.arange(3))[0]).all()
