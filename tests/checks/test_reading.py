import shutil
import threading

import numpy as np
import pytest
from PIL import Image

from facesegl.checks.reading import facts_of, read_facts
from facesegl.errors import DataError
from facesegl.labels import VOID, Decoded, Taxonomy, mask_to_colours
from facesegl.sources import FASSEG, Sample, Source
from helpers.faces import CLASSES, FASSEG6, draw_mask, draw_photo, write_faces, write_pair

SAMPLE = Sample("train/1", "1.png", "1.png", "train", "train/1")


def read(folder, **how):
    return read_facts(FASSEG(str(folder.parent), folder.name), FASSEG6, **{"strict": False, **how})


def of(facts, name):
    return next(photo for photo in facts.photos if photo.sample.id == name)


def decoded(mask):
    return Decoded(mask, np.zeros(mask.shape, bool))


def test_every_photo_is_read_in_order_and_its_pixels_of_each_class_are_counted(fasseg):
    facts = read(fasseg)
    found = [photo.sample.id for photo in facts.photos]
    assert found == [*(f"train/{n}" for n in range(1, 7)), *(f"test/{n}" for n in range(1, 4))]
    assert facts.splits == ["train", "test"]
    assert all(photo.fits and photo.exif_orientation == 1 for photo in facts.photos)
    assert facts.photos[0].class_pixels.tolist() == np.bincount(draw_mask(0).ravel(), minlength=6).tolist()
    held = [value for photo in facts.photos for value in photo if isinstance(value, np.ndarray)]
    assert all(value.shape == (len(CLASSES),) for value in held), "facts keep no pixels"


def test_inexact_pixels_are_counted_by_their_guessed_class(fasseg):
    path = fasseg / "Train_Labels" / "1.bmp"
    colours = np.array(Image.open(path))
    y, x = np.argwhere(draw_mask(0) == 2)[0]
    colours[y, x] = (120, 4, 4)
    Image.fromarray(colours).save(path)
    photo = of(read(fasseg), "train/1")
    assert photo.inexact.tolist() == [0, 0, 1, 0, 0, 0]
    assert photo.guessed == pytest.approx(1 / colours[..., 0].size)


def test_photos_of_equal_pixels_have_one_hash_whatever_their_files(fasseg, tmp_path):
    photo = Image.open(fasseg / "Train_RGB" / "1.bmp")
    photo.convert("RGBA").save(fasseg / "Train_RGB" / "2.bmp")
    facts = read(fasseg)
    assert of(facts, "train/1").pixels == of(facts, "train/2").pixels != of(facts, "train/3").pixels


def test_unreadable_files_are_kept_apart_from_the_readable_ones(fasseg):
    (fasseg / "Train_RGB" / "1.bmp").write_bytes(b"")
    (fasseg / "Train_Labels" / "2.bmp").write_text("hello")
    shutil.copy(fasseg / "Train_RGB" / "3.bmp", fasseg / "Train_Labels" / "3.bmp")
    facts = read(fasseg)
    refused = [(refused.sample.id, refused.readable) for refused in facts.refused]
    assert refused == [("train/1", False), ("train/2", False), ("train/3", True)]
    assert len(facts.photos) == 6
    assert "far from every class colour" in facts.refused[2].why[0]


def test_unpaired_files_do_not_prevent_reading_the_others(fasseg):
    (fasseg / "Train_Labels" / "2.bmp").unlink()
    (fasseg / "Test_Labels" / "1.bmp").unlink()
    facts = read(fasseg)
    assert len(facts.photos) == 7
    assert len(facts.problems) == 1
    assert "2.bmp: a training photo without a mask" in facts.problems[0]
    assert [path.name for path in facts.unlabelled] == ["1.bmp"]


def test_a_source_that_only_raises_is_reported_with_its_message():
    class Broken(Source):
        name = "broken"

        def samples(self):
            raise DataError("list.txt: no such file", "a.png: two of them")

    facts = read_facts(Broken(), FASSEG6, strict=True)
    assert (facts.photos, facts.problems, facts.strict) == ([], ("list.txt: no such file", "a.png: two of them"), True)


def test_a_photo_rotated_by_exif_is_measured_upright(tmp_path):
    mask = draw_mask(0)
    write_faces(tmp_path / "V2", train=1, test=0)
    (path,) = (tmp_path / "V2" / "Train_RGB").iterdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = Image.fromarray(draw_photo(mask, 0)).transpose(Image.Transpose.ROTATE_90)
    lying.save(path, format="JPEG", exif=exif)
    (photo,) = read(tmp_path / "V2").photos
    assert (photo.exif_orientation, photo.size, photo.fits) == (6, mask.shape, True)


@pytest.mark.parametrize("grey", [False, True])
def test_a_photo_that_shows_its_mask_is_detected(grey):
    mask = draw_mask(1)
    picture = np.stack([mask] * 3, axis=-1) if grey else mask_to_colours(mask, FASSEG6)
    assert facts_of(SAMPLE, picture, 1, decoded(mask), FASSEG6).shows_mask
    assert not facts_of(SAMPLE, draw_photo(mask, 1), 1, decoded(mask), FASSEG6).shows_mask
    wall = decoded(np.zeros((20, 20), np.uint8))
    black = Taxonomy(names=("wall", "face"), colours=((0, 0, 0), (255, 255, 255)))
    assert not facts_of(SAMPLE, np.zeros((20, 20, 3), np.uint8), 1, wall, black).shows_mask, "nor a black photo"


def test_specks_are_no_parts_whose_size_scales_with_the_photo_and_void_is_neither():
    mask = np.zeros((256, 256), np.uint8)
    mask[10:20, 10:20] = mask[50:60, 10:20] = 4
    mask[100, 100], mask[120, 100:119] = 2, 1
    mask[200:203, 200:203] = VOID
    facts = facts_of(SAMPLE, np.zeros((256, 256, 3), np.uint8), 1, decoded(mask), FASSEG6)
    assert (facts.specks, facts.parts.tolist(), facts.void) == (2, [1, 0, 0, 0, 2, 0], 9)
    mask = np.zeros((32, 32), np.uint8)
    mask[5, 5:7] = mask[9, 9] = 4
    facts = facts_of(SAMPLE, np.zeros((32, 32, 3), np.uint8), 1, decoded(mask), FASSEG6)
    assert (facts.specks, facts.parts.tolist()) == (1, [1, 0, 0, 0, 1, 0])


def test_only_a_few_photos_are_open_at_once(tmp_path, monkeypatch):
    import facesegl.checks.reading as reading

    for number in range(40):
        write_pair(tmp_path / "V2", "Train", number + 1, number, height=12, width=10)
    monkeypatch.setattr("facesegl.threads.os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    lock, begun, done, most, real = threading.Lock(), [0], [0], [0], reading._read

    def counted(*arguments):
        with lock:
            begun[0] += 1
        return real(*arguments)

    def watched(items, **_):
        for item in items:
            done[0] += 1
            most[0] = max(most[0], begun[0] - done[0])
            yield item

    monkeypatch.setattr(reading, "_read", counted)
    monkeypatch.setattr(reading, "track", watched)
    assert len(read(tmp_path / "V2").photos) == 40
    assert most[0] <= 6
