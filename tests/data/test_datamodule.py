import dataclasses
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from facesegl.data import Augment
from facesegl.errors import ConfigError, DataError
from facesegl.labels import VOID
from facesegl.sources import FASSEG, read_rgb, resize_photo
from helpers.faces import FASSEG6, draw_mask, face_module, write_faces, write_pair
from helpers.modules import Watching, bare_trainer, make_trainer

GEOMETRY = {"flip": 0.5, "rotate": 15, "scale": 0.2, "shift": 0.1, "shear": 5, "elastic": 0.01}
FACE = Augment(**GEOMETRY, brightness=0.1, contrast=0.2, saturation=0.2, gamma=0.2)


def opened(**changes):
    faces = face_module(**changes)
    faces.setup("fit")
    return faces


def ids(faces, name):
    return faces.ids(faces.indices(name))


def with_trainer(faces, training):
    faces.trainer = SimpleNamespace(training=training, global_rank=0, world_size=1)
    return faces


def double(v2, one, other):
    """Replace the photo of `other` by that of `one`, but not its mask."""
    (split, name), (other_split, other_name) = one.split("/"), other.split("/")
    shutil.copy(v2 / f"{split}_RGB" / f"{name}.bmp", v2 / f"{other_split}_RGB" / f"{other_name}.bmp")


def test_one_fold_is_held_out_and_the_rest_is_trained_on(fasseg):
    faces = [opened(fold=fold) for fold in range(3)]
    everyone = [f"train/{number}" for number in range(1, 7)]
    for one in faces:
        assert sorted(ids(one, "train") + ids(one, "val")) == everyone
        assert len(one.val) == 2
        assert one.held_out == "val"
        assert ids(one, "test") == ["test/1", "test/2", "test/3"]
    assert sorted(name for one in faces for name in ids(one, "val")) == everyone


def test_without_a_fold_all_photos_are_trained_on(fasseg):
    faces = opened(fold=None)
    assert len(faces.train) == 6
    assert not faces.has("val")
    assert faces.val_dataloader() == []
    assert faces.held_out == "test"
    assert faces.fold_of == {}
    with pytest.raises(ConfigError, match="set=val: no photo is held out"):
        faces.indices("val")


def test_a_choice_of_training_photos_is_nested_and_affects_no_other_set(fasseg):
    double(fasseg, "Train/2", "Test/2")
    for fold in (None, 0):
        everyone = opened(fold=fold)
        choices = [opened(fold=fold, photos=count) for count in (1, 2, 3)]
        chosen = [set(ids(faces, "train")) for faces in choices]
        assert [len(one) for one in chosen] == [1, 2, 3]
        assert chosen[0] < chosen[1] < chosen[2] < set(ids(everyone, "train"))
        for faces in choices:
            assert faces.summary()["photos"]["train"] == len(faces.train)
            assert faces.fold_of == everyone.fold_of
            for name in ("val", "test", "test_clean", "test_strict"):  # also photos that equal one that is not chosen
                assert faces.has(name) == everyone.has(name)
                assert not faces.has(name) or ids(faces, name) == ids(everyone, name)
    assert len({tuple(ids(opened(photos=2, photos_seed=seed), "train")) for seed in range(8)}) > 2
    assert ids(opened(photos=4), "train") == ids(opened(), "train")


def test_normalisation_shares_and_floor_are_those_of_the_chosen_photos(fasseg):
    faces = opened(fold=None, photos=1)
    (chosen,) = faces.train
    assert [mask.tolist() for mask in faces.training_masks()] == [faces_mask(opened(fold=None), chosen)]
    pixels = np.array(faces.cache.rows[chosen].class_pixels)
    np.testing.assert_allclose(faces.class_shares(), pixels / pixels.sum())
    assert faces.normalisation() != opened(fold=None).normalisation()


def faces_mask(faces, index):
    return next(mask.tolist() for each, mask in zip(faces.train, faces.training_masks(), strict=True) if each == index)


def test_more_photos_than_there_are_is_an_error_with_their_number(fasseg):
    for fold, available in ((None, 6), (0, 4)):
        message = rf"data\.photos=7: there are {available} photos to train on; expected {available} or fewer, or null"
        with pytest.raises(ConfigError, match=message):
            opened(fold=fold, photos=7)


def test_test_clean_excludes_training_photos_and_test_strict_also_their_persons(tmp_path):
    v2 = write_faces(tmp_path / "data" / "fasseg" / "V2", train=6, test=4)
    double(v2, "Train/2", "Test/2")
    for fold in (None, 0, 1, 2):
        faces = opened(fold=fold)
        assert ids(faces, "test") == ["test/1", "test/2", "test/3", "test/4"]
        # FASSEG's own list: test/3 looks like train/1, test/1 like train/3
        assert ids(faces, "test_clean") == ["test/1", "test/3", "test/4"]
        assert ids(faces, "test_strict") == ["test/4"]


def test_duplicate_training_photos_are_in_the_same_fold(fasseg):
    double(fasseg, "Train/1", "Train/5")
    for fold in range(3):
        faces = opened(fold=fold)
        assert not ({"train/1", "train/5"} & set(ids(faces, "val"))) or {"train/1", "train/5"} <= set(ids(faces, "val"))


def test_duplicates_are_pairs_of_photos_with_two_masks(fasseg):
    double(fasseg, "Train/2", "Test/2")
    double(fasseg, "Train/3", "Test/1")
    faces = opened()
    pairs = {tuple(faces.ids(pair)) for pair in faces.duplicates()}
    assert pairs == {("train/2", "test/2"), ("train/3", "test/1")}


def test_an_unknown_set_and_more_folds_than_persons_are_errors(fasseg):
    message = "set=tset: no such set; expected one of train, val, test, test_clean, test_strict"
    with pytest.raises(ConfigError, match=message):
        opened().indices("tset")
    with pytest.raises(DataError, match=r"data\.folds=7"):
        opened(folds=7)


def test_all_invalid_arguments_are_reported_at_once():
    with pytest.raises(ConfigError) as caught:
        face_module(image_size=0, batch_size=-1, fold=3, folds=1, workers=-2, photos=0)
    message = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 6
    names = ("image_size", "batch_size", "fold", "folds", "workers", "photos")
    assert all(f"data.{name}=" in message for name in names)
    for fold in (-1, 3):
        with pytest.raises(ConfigError, match=rf"data.fold={fold}: expected 0 to 2, since data.folds=3, or null"):
            face_module(fold=fold)


def test_normalisation_is_computed_from_the_training_photos_only(fasseg):
    photo = Image.fromarray(np.full((40, 32, 3), 255, np.uint8))
    for name in ("Test_RGB/1.bmp", "Test_RGB/2.bmp", "Test_RGB/3.bmp"):
        photo.save(fasseg / name)
    faces = opened(fold=1)
    photos = [read_rgb(fasseg / "Train_RGB" / f"{name.split('/')[1]}.bmp") for name in ids(faces, "train")]
    pixels = np.stack([resize_photo(photo, 16, 16) for photo in photos]).astype(np.float64).reshape(-1, 3)
    found = faces.normalisation()
    np.testing.assert_allclose(found["mean"], pixels.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found["std"], pixels.std(axis=0), rtol=1e-9)
    assert found != opened(fold=2).normalisation()


def test_photos_of_one_color_have_a_standard_deviation_of_1(fasseg):
    for number in range(1, 7):
        Image.new("RGB", (32, 40), (10, 20, 30)).save(fasseg / "Train_RGB" / f"{number}.bmp")
    assert opened(fold=None).normalisation() == {"mean": [10.0, 20.0, 30.0], "std": [1.0, 1.0, 1.0]}


def test_class_shares_are_those_of_the_native_training_masks_whatever_their_size(fasseg):
    write_pair(fasseg, "Train", 1, 0, height=400, width=300)
    sizes = {"train/1": {"height": 400, "width": 300}}
    for fold in (1, None):
        faces = opened(fold=fold)
        masks = [draw_mask(int(name.split("/")[1]) - 1, **sizes.get(name, {})) for name in ids(faces, "train")]
        assert len({mask.shape for mask in masks}) == 2
        expected = np.mean([np.bincount(mask.ravel(), minlength=6) / mask.size for mask in masks], axis=0)
        assert faces.class_shares().dtype == torch.float64
        np.testing.assert_allclose(faces.class_shares().numpy(), expected, rtol=1e-12)


def test_training_masks_are_those_of_the_training_batches(fasseg):
    faces = opened()
    masks = np.stack(list(faces.training_masks()))
    batches = [faces.on_after_batch_transfer(batch, 0) for batch in faces.train_dataloader()]
    targets = {
        int(place): target for batch in batches for place, target in zip(batch.indices, batch.target, strict=True)
    }
    assert sorted(targets) == sorted(faces.train.tolist())
    assert all((targets[int(place)].numpy() == mask).all() for place, mask in zip(faces.train, masks, strict=True))


def test_native_photos_and_masks_equal_the_files(fasseg):
    write_pair(fasseg, "Test", "9", 5, height=50, width=30)
    faces = opened()
    place = int(faces.indices("test")[-1])
    photo, mask = faces.native(place)
    assert faces.ids([place]) == ["test/9"]
    assert (photo == read_rgb(fasseg / "Test_RGB" / "9.bmp")).all()
    assert (mask == draw_mask(5, height=50, width=30)).all()


def test_only_training_batches_are_augmented(fasseg):
    faces = opened(augment=FACE)
    batch = next(iter(faces.train_dataloader()))
    plain = faces.on_after_batch_transfer(batch, 0)
    trained = with_trainer(faces, training=True).on_after_batch_transfer(batch, 0)
    seen = with_trainer(faces, training=False).on_after_batch_transfer(batch, 0)
    unchanged = with_trainer(opened(augment=None), training=True).on_after_batch_transfer(batch, 0)
    assert all(torch.equal(other.image, batch.image) for other in (plain, seen, unchanged))
    assert torch.equal(seen.target, plain.target)
    assert trained.image.shape == batch.image.shape
    assert not torch.equal(trained.image, batch.image)
    assert trained.target.dtype == torch.int64
    assert (trained.indices.tolist(), trained.seed) == (batch.indices.tolist(), batch.seed)


def test_augmentation_depends_only_on_the_batchs_seed(fasseg):
    faces = with_trainer(opened(augment=FACE), training=True)
    batch = next(iter(faces.train_dataloader()))
    first = faces.on_after_batch_transfer(batch, 0)
    torch.manual_seed(9)
    state = torch.get_rng_state()
    faces.on_after_batch_transfer(batch._replace(seed=batch.seed + 7), 0)
    again = faces.on_after_batch_transfer(batch, 0)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.image, again.image)
    assert torch.equal(first.target, again.target)
    other = faces.on_after_batch_transfer(batch._replace(seed=batch.seed + 7), 0)
    assert not torch.equal(first.image, other.image)


def test_a_flip_swaps_left_and_right_classes(fasseg):
    mapping = FASSEG6.to_mapping()
    flip = dataclasses.replace(FACE, **dict.fromkeys(dataclasses.asdict(FACE), 0.0) | {"flip": 1.0})
    faces = with_trainer(opened(taxonomy={**mapping, "pairs": [["eyes", "mouth"]]}, augment=flip), training=True)
    batch = next(iter(faces.train_dataloader()))
    flipped = faces.on_after_batch_transfer(batch, 0).target
    plain = with_trainer(faces, training=False).on_after_batch_transfer(batch, 0).target.flip(-1)
    assert torch.equal(flipped == 4, plain == 5)
    assert torch.equal(flipped == 5, plain == 4)
    assert torch.equal(flipped == 1, plain == 1)


@pytest.fixture
def fitted(fasseg, tmp_path):
    """Fit for a number of epochs, and return the recorded batches."""

    def fit(faces, epochs, checkpoint=None):
        watching = Watching()
        trainer = make_trainer(epochs, validate=faces.fold is not None)
        trainer.fit(watching, datamodule=faces, ckpt_path=checkpoint, weights_only=True)
        trainer.save_checkpoint(tmp_path / "fitted.ckpt")
        return watching

    return fit


@bare_trainer
def test_a_trainer_trains_on_augmented_batches_and_validates_on_plain_ones(fitted):
    faces = face_module(augment=FACE)
    shown = fitted(faces, 2)
    assert {batch.image.dtype for batch in shown.seen} == {torch.float32}
    assert {batch.image.dtype for batch in shown.validated} == {torch.uint8}
    assert sorted(place for batch in shown.seen for place in batch.indices.tolist()) == sorted(faces.train.tolist() * 2)
    assert [place for batch in shown.validated for place in batch.indices.tolist()] == faces.val.tolist() * 2


@bare_trainer
def test_a_resumed_trainer_gets_the_batches_of_an_uninterrupted_one(fitted, tmp_path):
    straight = fitted(face_module(augment=FACE, fold=None), 4).seen
    first = fitted(face_module(augment=FACE, fold=None), 2).seen
    rest = fitted(face_module(augment=FACE, fold=None), 4, tmp_path / "fitted.ckpt").seen
    assert len(first) + len(rest) == len(straight) == 12
    for one, other in zip(straight, [*first, *rest], strict=True):
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.target, other.target)
        assert one.seed == other.seed


def test_the_state_is_the_number_of_batches(fasseg):
    faces = opened()
    assert faces.state_dict() == {"batches": 0}
    batches = [*faces.train_dataloader()]
    assert faces.state_dict() == {"batches": 2}
    resumed = opened()
    resumed.load_state_dict({"batches": 1})
    assert resumed.state_dict() == {"batches": 1}
    assert torch.equal(next(iter(resumed.train_dataloader())).image, batches[1].image)


def test_a_mask_of_another_size_is_left_out_or_an_error_if_strict(fasseg):
    Image.new("RGB", (31, 40), FASSEG6.colours[1]).save(fasseg / "Train_Labels" / "3.bmp")
    for _ in ("without a cache", "with one"):
        with pytest.raises(DataError, match=r"3\.bmp: the mask is 31x40, its photo 32x40"):
            opened(strict=True)
        assert ids(opened(fold=None), "train") == [f"train/{number}" for number in (1, 2, 4, 5, 6)]


def test_a_preview_has_validation_photos_without_augmentation(fasseg):
    faces = with_trainer(opened(augment=FACE), training=True)
    name, batch, shown = faces.preview(1)
    assert name == "val"
    assert shown == ids(faces, "val")[:1]
    assert (batch.image.shape, batch.image.dtype, batch.target.dtype) == ((1, 3, 16, 16), torch.uint8, torch.int64)
    assert (batch.image[0].permute(1, 2, 0).numpy() == faces.cache.read(batch.indices.numpy())[0][0]).all()
    assert not (batch.target == VOID).any()


def test_a_preview_has_at_most_all_photos_and_without_validation_training_photos(fasseg):
    _, batch, shown = opened().preview(50)
    assert len(batch.image) == len(shown) == 2
    faces = opened(fold=None)
    name, batch, shown = faces.preview(4)
    assert name == "train"
    assert len(batch.image) == 4
    assert set(shown) <= set(ids(faces, "train"))


def test_a_validation_split_of_the_source_replaces_the_fold(fasseg):
    class WithVal(FASSEG):
        def samples(self):
            return [
                dataclasses.replace(sample, split="val") if sample.id == "train/4" else sample
                for sample in super().samples()
            ]

    for fold in (0, None):
        faces = opened(source=WithVal("data/fasseg", "V2"), fold=fold)
        assert ids(faces, "val") == ["train/4"]
        assert len(faces.train) == 5
