"""A short training with every choice of conf/ leaves a checkpoint that loads without code."""

import itertools

import pytest
import torch
import yaml

import facesegl
from facesegl import SegmentationModule
from facesegl.pretrained import FACES
from helpers.confs import default, options, skip_without_packages_of
from helpers.faces import FASSEG6
from helpers.trainings import net_of_faces

SHORT = ["data=fasseg_v2", "data.image_size=16", "data.batch_size=2", "trainer=cpu", "trainer.max_epochs=1"]
SHORT += ["data.synthetic_share=0", "callbacks.checkpoint.every_s=0"]
SMALL_NET = {"unet": ["model.channels=2", "model.depth=2"]}
UNET = SMALL_NET["unet"]
CALLBACKS = sorted(set(default()["callbacks"]) - {"checkpoint"})
GROUPS = ("loss", "optimizer", "schedule", "augment", "logger")


def rows():
    """As few rows as hold each option of each group: row n takes the n-th of each, modulo their number."""
    length = max(len(options(group)) for group in GROUPS)
    columns = [itertools.islice(itertools.cycle(options(group)), length) for group in GROUPS]
    return [[f"{group}={name}" for group, name in zip(GROUPS, row, strict=True)] for row in zip(*columns, strict=True)]


def train(*overrides):
    quiet = {"callbacks.panels": "null", "logger": "none"}
    left = [f"{key}={value}" for key, value in quiet.items() if not any(each.startswith(key) for each in overrides)]
    return facesegl.train(*SHORT, *left, *overrides)


def assert_loads_without_code(result):
    last = result.folder / "checkpoints" / "last.ckpt"
    assert torch.load(last, weights_only=True)["hyper_parameters"]["format"] == 1
    masks = SegmentationModule.load_from_checkpoint(last).predict_masks(torch.zeros(1, 3, 16, 16, dtype=torch.uint8))
    assert masks.shape == (1, 16, 16)
    assert result.state == "done"


@pytest.mark.parametrize("row", rows(), ids=" ".join)
@pytest.mark.parametrize("model", options("model"))
def test_every_choice_trains(fasseg, model, row):
    skip_without_packages_of(model)
    result = train(f"model={model}", *SMALL_NET.get(model, []), *row)
    assert_loads_without_code(result)
    assert 0 <= result.scores["val"]["scores"]["miou"] <= 1


@pytest.mark.parametrize("keys", [*([key] for key in CALLBACKS if key != "panels"), CALLBACKS], ids=" ".join)
def test_it_trains_without_each_callback_and_without_any_but_the_checkpoint(fasseg, keys):
    assert_loads_without_code(train(*(f"callbacks.{key}=null" for key in keys), *UNET))


def test_without_a_checkpoint_it_says_that_nothing_is_scored(fasseg, caplog):
    with caplog.at_level("INFO"):
        result = train("callbacks.checkpoint=null", *UNET)
    assert "no scores: without callbacks.checkpoint there is no last.ckpt" in caplog.text
    assert result.state == "done"
    assert not list(result.folder.rglob("last.ckpt"))


@pytest.mark.parametrize(
    "overrides",
    [
        *([f"experiment={name}"] for name in options("experiment") if name != "quick"),
        [*UNET, "loss.class_weights=true"],
        [*UNET, "trainer.precision=bf16-mixed"],
        [*UNET, "trainer.accumulate_grad_batches=2", "trainer.gradient_clip_val=1"],
        [*UNET, "optimizer=adamw", "+optimizer.betas=[0.8,0.9]"],
    ],
    ids=lambda overrides: overrides[-1],
)
def test_every_experiment_and_other_values_train(fasseg, overrides):
    assert_loads_without_code(train(*overrides))


@pytest.mark.parametrize("photos", [["data.photos=1", "data.synthetic_share=auto", "data.synthetic_faces=4"], []])
def test_quick_fine_tunes_the_shipped_weights_in_its_steps_whatever_the_number_of_photos(fasseg, photos, caplog):
    steps = ["trainer.max_epochs=-1", "trainer.max_steps=12", "trainer.val_check_interval=6"]
    with caplog.at_level("INFO"):
        result = train("experiment=quick", *photos, *steps, *net_of_faces())
    last, best = (
        torch.load(result.folder / "checkpoints" / f"{name}.ckpt", weights_only=True) for name in ("last", "best")
    )
    assert last["global_step"] == 12
    assert best["global_step"] in (6, 12)
    assert "val/miou" in caplog.text
    assert f"from {FACES}; not loaded: none" in caplog.text
    assert ("50 % of the samples" in caplog.text) == bool(photos)


def test_without_a_fold_it_scores_the_test_photos(fasseg):
    result = train("data.fold=null", *UNET)
    assert_loads_without_code(result)
    assert "val" not in result.scores
    assert "test_clean" in result.scores
    assert not (result.folder / "checkpoints" / "best.ckpt").exists()


def test_panels_are_drawn_during_training(fasseg):
    result = train("callbacks.panels.every=1", *UNET)
    assert list((result.folder / "panels").glob("*.png"))


def test_it_trains_on_synthetic_faces(tmp_path):
    small = ["data.source.train=6", "data.source.test=2", "data.source.height=48", "data.folds=3"]
    assert_loads_without_code(train("data=synthetic", *small, *UNET))
    assert (tmp_path / "data" / "synthetic").is_dir()


@pytest.mark.parametrize("name", ["lapa", "celebamask_hq"])
def test_it_trains_on_synthetic_faces_with_the_classes_of_other_data_sets(tmp_path, name):
    small = ["data.source.train=4", "data.source.test=2", "data.source.height=48", "data.folds=2", "data.image_size=32"]
    result = train("data=synthetic", f"data/taxonomy={name}", *small, *UNET)
    assert_loads_without_code(result)
    card = torch.load(result.folder / "checkpoints" / "last.ckpt", weights_only=True)["hyper_parameters"]
    assert len(card["taxonomy"]["classes"]) == {"lapa": 11, "celebamask_hq": 19}[name]
    assert "synthetic_as" not in card["taxonomy"]


@pytest.mark.parametrize("names", ["a b c d e f", "0.background skin.tone dark-hair the_nose eyes mouth"])
def test_a_checkpoint_with_custom_classes_is_evaluated_with_them(fasseg, tmp_path, names):
    own = {"classes": dict(zip(names.split(), FASSEG6.to_mapping()["classes"].values(), strict=True))}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(own, sort_keys=False))
    result = train("data.taxonomy=own.yaml", *UNET)
    (tmp_path / "own.yaml").unlink()
    scored = facesegl.evaluate(result.folder / "checkpoints" / "last.ckpt", "panels=0", "device=cpu")
    assert list(scored.scores["test"]["scores"]["iou"]) == names.split()
