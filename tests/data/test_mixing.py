import dataclasses
import itertools
import logging
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from facesegl.data import unpack_masks
from facesegl.data.mixing import MixedOrder, automatic_share
from facesegl.errors import ConfigError
from helpers.faces import FASSEG6, face_module, write_faces
from helpers.modules import Watching, bare_trainer, make_trainer

PHOTOS, FACES = np.arange(100, 107), np.arange(200, 213)
FURRY = dataclasses.replace(FASSEG6, names=("background", "skin", "fur", "nose", "eyes", "mouth"))


def order(share, photos=PHOTOS, batch_size=4, seed=0, rank=0, world_size=1, start=0, total=100):
    ends = share if isinstance(share, tuple) else (share, share)
    made = MixedOrder(photos, batch_size, seed, rank, world_size, synthetic=FACES, share=ends, total=lambda: total)
    made.start = start
    return made


def batches(share, count, **options):
    made = order(share, **options)
    epochs = (order(share, start=start, **options) for start in itertools.count(0, len(made)))
    return [draw.indices for draw in itertools.islice(itertools.chain.from_iterable(epochs), count)]


def drawn(batch, first=FACES[0]):
    return int((batch >= first).sum())


def opened(share=0.0, **changes):
    faces = face_module(synthetic_share=share, synthetic_faces=5, **changes)
    faces.setup("fit")
    return faces


def fit(faces, epochs, checkpoint=None, save_after=None):
    """The training batches of a fit, which saves `half.ckpt` after some of them."""

    class Saving(pl.Callback):
        def on_train_batch_end(self, trainer, *_):
            if trainer.global_step == save_after:
                trainer.save_checkpoint("half.ckpt")

    watching = Watching()
    trainer = make_trainer(epochs, [Saving()], validate=False)
    trainer.fit(watching, datamodule=faces, ckpt_path=checkpoint, weights_only=True)
    return watching.seen


@pytest.mark.parametrize(("share", "batch_size"), [(0.5, 4), (0.25, 4), (0.3, 10), (0.57, 100), (1.0, 3)])
def test_every_batch_has_the_share_where_that_is_a_whole_number(share, batch_size):
    assert {drawn(batch) for batch in batches(share, 50, batch_size=batch_size)} == {round(share * batch_size)}


@pytest.mark.parametrize("share", [0.01, 0.3, 0.36, 0.99])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_batches_are_full_and_have_the_share_on_average(share, batch_size):
    made = batches(share, 200, batch_size=batch_size)
    assert {len(batch) for batch in made} == {batch_size}
    totals = np.cumsum([drawn(batch) for batch in made])
    np.testing.assert_allclose(totals, share * batch_size * np.arange(1, 201), atol=0.5 + 1e-9)


def test_a_share_falls_linearly_over_the_training_and_stays_at_its_last_value():
    counts = [drawn(batch) for batch in batches((0.9, 0.1), 150, batch_size=20)]
    assert (counts[0], counts[99], *counts[100:]) == (18, 2, *[2] * 50)
    np.testing.assert_allclose(counts[:100], np.linspace(18, 2, 100), atol=1)
    assert sum(counts[:100]) == 1000


@pytest.mark.parametrize("number_of_photos", [1, 2, 7])
def test_photos_and_faces_are_repeated_only_after_all_others(number_of_photos):
    made = np.concatenate(batches(0.3, 50, photos=PHOTOS[:number_of_photos]))
    for indices in (PHOTOS[:number_of_photos], FACES):
        seen = made[np.isin(made, indices)]
        for start in range(0, len(seen) - len(indices), len(indices)):
            assert sorted(seen[start : start + len(indices)]) == indices.tolist()


@pytest.mark.parametrize("photos", [1, 3, 4, 7])
def test_an_epoch_has_as_many_batches_as_without_synthetic_faces(photos):
    assert len(order(0.5, photos=PHOTOS[:photos])) == -(-photos // 4)


@pytest.mark.parametrize("share", [0.3, (0.8, 0.1)])
def test_a_mixed_batch_depends_only_on_seed_and_number(share):
    straight = batches(share, 30)
    for start in range(20):
        resumed = [draw.indices for draw in order(share, start=start)]
        assert all((one == other).all() for one, other in zip(resumed, straight[start : start + 2], strict=True))
    assert not all((one == other).all() for one, other in zip(straight, batches(share, 30, seed=1), strict=True))


@pytest.mark.parametrize("share", [0.3, 0.5, (0.8, 0.1)])
def test_ranks_share_a_mixed_batch_without_overlap(share):
    alone = batches(share, 20, batch_size=4)
    ranks = [batches(share, 20, batch_size=2, rank=rank, world_size=2) for rank in (0, 1)]
    for whole, one, other in zip(alone, *ranks, strict=True):
        assert sorted([*one, *other]) == sorted(whole)
        assert len(one) == len(other) == 2
        assert abs(drawn(one) - drawn(other)) <= 1


def test_the_automatic_share_falls_with_the_number_of_photos():
    shares = [automatic_share(photos) for photos in range(1, 30)]
    assert shares == sorted(shares, reverse=True)
    assert (shares[0], *shares[14:]) == (0.5, *[0.0] * 15)


def test_without_a_share_nothing_is_drawn_and_the_batches_are_the_same(fasseg):
    plain, zero = face_module(), opened(0.0)
    plain.setup("fit")
    for one, other in zip(plain.train_dataloader(), zero.train_dataloader(), strict=True):
        assert torch.equal(one.image, other.image)
        assert (one.indices.tolist(), one.seed) == (other.indices.tolist(), other.seed)
    assert zero.mixed == []
    assert not list(Path("cache").glob("synthetic*"))


def test_training_batches_hold_synthetic_faces_with_their_masks_and_ids(fasseg):
    faces = opened(0.5)
    loader, found = faces.train_dataloader(), {}
    for batch in (*loader, *loader, *loader):
        names = faces.ids(batch.indices)
        assert [name.partition("/")[0] for name in names] == ["train", "synthetic"]
        found[names[1]] = batch.image[1], unpack_masks(batch.packed)[1]
    assert found.keys() == {f"synthetic/{number}" for number in range(5)}
    assert len({image.numpy().tobytes() for image, _mask in found.values()}) == 5
    assert all(set(mask.unique().tolist()) >= {1, 2} for _image, mask in found.values())  # skin, hair


def test_nothing_but_training_batches_has_synthetic_faces(fasseg):
    without, mixed = opened(0.0), opened(0.5)
    assert mixed.summary() == without.summary()
    assert mixed.facts() == without.facts()
    assert torch.equal(mixed.class_shares(), without.class_shares())
    assert [mask.tobytes() for mask in mixed.training_masks()] == [mask.tobytes() for mask in without.training_masks()]
    assert mixed.preview(9)[2] == without.preview(9)[2]
    assert mixed.preview_augmented(9)[2] == without.preview_augmented(9)[2]
    for one, other in zip(mixed.val_dataloader(), without.val_dataloader(), strict=True):
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.indices, other.indices)


def test_synthetic_faces_are_drawn_for_training_only_and_once(fasseg, caplog):
    caplog.set_level(logging.INFO)
    face_module(synthetic_share=0.5, synthetic_faces=5).setup("test")
    assert not list(Path("cache").glob("synthetic*"))
    opened(0.5)
    opened(0.25)
    assert caplog.text.count("cached 5 samples") == 1


@bare_trainer
@pytest.mark.parametrize("share", [0.3, (0.9, 0.1)])
def test_a_resumed_trainer_gets_the_mixed_batches_of_an_uninterrupted_one(fasseg, share):
    given = {"synthetic_share": share, "synthetic_faces": 5, "fold": None}
    straight = fit(face_module(**given), 4, save_after=5)
    rest = fit(face_module(**given), 4, checkpoint="half.ckpt")
    assert (len(straight), len(rest)) == (12, 7)
    for one, other in zip(straight[5:], rest, strict=True):
        assert torch.equal(one.image, other.image)
        assert (one.indices.tolist(), one.seed) == (other.indices.tolist(), other.seed)


@bare_trainer
def test_the_share_falls_over_all_batches_of_a_trainer(fasseg):
    faces = opened((1, 0), fold=None)
    counts = [drawn(batch.indices, len(faces.cache.rows)) for batch in fit(faces, 3)]
    assert (len(counts), counts[0], counts[-1], sum(counts)) == (9, 2, 0, 9)


@pytest.mark.parametrize(("photos", "share", "said"), [(1, 0.5, "50 %"), (15, 0.0, "no synthetic faces, with 15 ")])
def test_the_automatic_share_is_logged_in_one_line(tmp_path, caplog, photos, share, said):
    write_faces(tmp_path / "data" / "fasseg" / "V2", train=photos, test=1)
    caplog.set_level(logging.INFO)
    faces = opened("auto", fold=None)
    faces.setup("fit")
    assert faces.synthetic_share == share
    (line,) = (message for message in caplog.messages if "synthetic_share" in message)
    assert line.startswith("data.synthetic_share=auto: ")
    assert said in line


def test_with_classes_that_cannot_be_drawn_nothing_is_mixed_in_and_one_line_has_the_remedy(fasseg, caplog):
    caplog.set_level(logging.INFO)
    faces = opened("auto", taxonomy=FURRY)
    assert (faces.synthetic_share, faces.mixed) == (0.0, [])
    (line,) = (message for message in caplog.messages if "synthetic_share" in message)
    assert all(part in line for part in ("none can be drawn with these classes", "synthetic_as", "left brow"))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"synthetic_share": 1.5}, r"data\.synthetic_share=1\.5: expected auto, 0 to 1"),
        ({"synthetic_share": (0.5, -0.1)}, r"data\.synthetic_share=\(0\.5, -0\.1\): expected auto, 0 to 1"),
        ({"synthetic_share": 0.5, "synthetic_faces": 0}, r"data\.synthetic_faces=0: expected 1 or more"),
        ({"synthetic_share": 0.5, "taxonomy": FURRY}, r"=0\.5: no .* the classes background, skin, fur, .*left brow"),
    ],
)
def test_a_wrong_share_is_one_error_before_a_photo_is_read(wrong, message):
    with pytest.raises(ConfigError, match=message) as caught:
        face_module(**{"synthetic_faces": 5, **wrong})
    assert len(caught.value.problems) == 1
