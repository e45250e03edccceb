import math
import os
from functools import partial

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.optim import lr_scheduler

from facesegl.errors import CheckpointError, ConfigError, TrainingError
from facesegl.labels import VOID
from facesegl.learning import LastCheckpoint, SegmentationModule
from facesegl.losses import CrossEntropy, CrossEntropyDice
from facesegl.nets import FCN, UNet
from facesegl.scores import PooledCounts, iou, miou
from helpers.faces import face_module, write_pair
from helpers.modules import NET, bare_trainer, make_card, make_module, make_net, make_trainer

pytestmark = bare_trainer


def fit(module, faces, epochs=1, callbacks=(), **trainer):
    fitted = make_trainer(epochs, callbacks, faces.fold is not None, enable_checkpointing=bool(callbacks), **trainer)
    fitted.fit(module, datamodule=faces)
    return fitted


@pytest.fixture
def trained(fasseg, tmp_path):
    """A trained module, and its checkpoint alone in an empty folder."""
    module = make_module(loss=CrossEntropyDice(class_weights=True, dice=1.0))
    fit(module, face_module(), 2, [LastCheckpoint(str(tmp_path / "ck"), every_s=0)])
    (tmp_path / "empty").mkdir()
    (tmp_path / "ck" / "last.ckpt").rename(tmp_path / "empty" / "moved=[to] here.ckpt")
    os.chdir(tmp_path / "empty")
    return module.eval(), "moved=[to] here.ckpt"


# loading


def test_a_checkpoint_alone_in_a_folder_gives_the_same_logits_on_the_given_device(trained, photos):
    module, path = trained
    loaded = SegmentationModule.load_from_checkpoint(path)
    assert not loaded.training
    with torch.no_grad():
        assert torch.equal(loaded(photos), module(photos))
    assert type(loaded.net) is UNet
    for device in ("cpu", torch.device("cpu")):
        there = SegmentationModule.load_from_checkpoint(path, map_location=device)
        assert {value.device.type for value in (*there.parameters(), there.mean)} == {"cpu"}


def test_the_card_is_the_only_hyperparameter_and_class_weights_are_not_saved(trained):
    module, path = trained
    saved = torch.load(path, weights_only=True)
    assert saved["hyper_parameters"] == make_card()
    assert dict(SegmentationModule.load_from_checkpoint(path).hparams) == make_card()
    assert module.loss.weight is not None
    assert all(name.startswith("net.") for name in saved["state_dict"])


def test_a_custom_net_is_used_as_it_is_and_the_card_is_checked():
    net = make_net()
    assert SegmentationModule(net, card=make_card()).net is net
    with pytest.raises(CheckpointError, match="card: its card lacks taxonomy"):
        SegmentationModule(net, card={name: value for name, value in make_card().items() if name != "taxonomy"})


# predicting


def test_photos_are_normalised_by_the_mean_and_std_of_the_card(photos):
    net = make_net()
    module = SegmentationModule(net, card=make_card()).eval()
    mean, std = (np.float32(make_card()["normalisation"][name]).reshape(1, 3, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        expected = net(torch.from_numpy((photos.numpy().astype(np.float32) - mean) / std))
        torch.testing.assert_close(module(photos), expected)
        torch.testing.assert_close(module(photos.float()), expected)


@pytest.mark.parametrize("training", [True, False])
def test_predicting_is_in_eval_mode_and_leaves_the_mode_and_the_statistics_alone(photos, training):
    torch.manual_seed(0)
    module = SegmentationModule(FCN(6), card=make_card(net={"_target_": "facesegl.nets.FCN", "num_classes": 6}))
    module.train(training)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    photos = torch.cat([photos, photos], dim=3)[..., :32]
    first, second = module.predict_masks(photos), module.predict_masks(photos)
    assert module.training is training
    assert all(part.training is training for part in module.net.modules())
    assert torch.equal(first, second)  # no dropout
    assert (first.shape, first.dtype) == ((3, 16, 32), torch.uint8)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not first.requires_grad


def test_the_mode_is_restored_after_a_net_has_failed(photos):
    module = make_module().train()
    with pytest.raises(RuntimeError):
        module.predict_masks(photos[:, :1].expand(-1, 7, -1, -1))
    assert module.training


# training


def test_the_logged_miou_is_that_of_the_pooled_counts_of_the_fold(fasseg):
    faces, module = face_module(batch_size=1), make_module()
    trainer = fit(module, faces, 2)
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    _, batch, _ = faces.preview(len(faces.val))
    assert len(batch.image) == 2
    counts = PooledCounts(6)
    counts.update(module.predict_masks(batch.image), batch.target)
    assert logged["val/miou"] == pytest.approx(float(miou(counts.compute())), abs=1e-6)
    assert logged["val/miou at 16x16"] == pytest.approx(logged["val/miou"], abs=1e-6)
    for name, value in zip(module.taxonomy.names, iou(counts.compute()).tolist(), strict=True):
        assert logged[f"val/iou/{name}"] == pytest.approx(value, abs=1e-6, nan_ok=True)


def test_the_logged_loss_is_the_mean_over_photos(fasseg):
    faces, module = face_module(fold=None, batch_size=4), make_module(lr=0.0, optimizer=torch.optim.SGD)
    trainer = fit(module, faces)
    batches = [faces.on_after_batch_transfer(batch, 0) for batch in _again(faces)]
    with torch.no_grad():
        losses = [float(module.loss(module.train()(batch.image), batch.target)) for batch in batches]
    sizes = [len(batch.indices) for batch in batches]
    assert sizes == [4, 2]
    assert float(trainer.callback_metrics["train/loss"]) == pytest.approx(np.average(losses, weights=sizes), rel=1e-5)


def test_padding_of_a_rank_does_not_lower_the_loss(fasseg, monkeypatch):
    faces, module, logged = face_module(fold=0), make_module(loss=CrossEntropyDice(class_weights=False, dice=1.0)), {}
    faces.setup("fit")
    monkeypatch.setattr(module, "log", lambda name, value, batch_size, **_: logged.update({name: batch_size}))
    *_, batch = faces.val_dataloader()
    one, padding = faces.on_after_batch_transfer(batch, 0), torch.tensor([-1])
    indices = torch.cat([one.indices[:1], padding, padding])
    module.validation_step(one._replace(image=one.image[[0, 0, 0]], target=one.target[[0, 0, 0]], indices=indices), 0)
    assert logged == {"val/loss": 1}


def _again(faces):
    """The batches of the first epoch again."""
    faces.load_state_dict({"batches": 0})
    return list(faces.train_dataloader())


def test_void_is_ignored_in_training():
    """Two batches that differ only under void have the same gradients."""
    steps = []
    for shade in (0, 255):
        photo = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8), dtype=np.uint8))
        target = torch.from_numpy(np.random.default_rng(1).integers(0, 6, (2, 8, 8)))
        photo[..., 4:], target[..., 4:] = shade, VOID
        torch.manual_seed(0)
        module = make_module(net=torch.nn.Conv2d(3, 6, 1))
        module.loss(module(photo), target).backward()
        steps.append([weights.grad.clone() for weights in module.net.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*steps, strict=True))
    assert all(gradient.abs().sum() > 0 for gradient in steps[0])


class PoisonedLoss(CrossEntropy):
    """Not finite in one batch, or from it on."""

    def __init__(self, batch, value=math.nan, lasting=False):
        super().__init__(class_weights=False)
        self.batch, self.value, self.lasting, self.seen = batch, value, lasting, 0

    def forward(self, logits, target):
        self.seen += 1
        poisoned = self.seen == self.batch or (self.lasting and self.seen > self.batch)
        return super().forward(logits, target) * (self.value if poisoned else 1.0)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("batch", [1, 2, 3])
def test_a_loss_that_is_not_finite_stops_and_names_the_photos(fasseg, batch, value):
    faces = face_module(fold=None)
    module = make_module(loss=PoisonedLoss(batch, value))
    with pytest.raises(TrainingError, match="the loss is not finite since the batch of ") as caught:
        fit(module, faces, 3)
    (problem,) = caught.value.problems
    assert f"batch of {', '.join(faces.ids(_again(faces)[batch - 1].indices))}." in problem
    assert "optimizer.lr" in problem
    assert caught.value.exit_code == 6


def test_the_last_finite_weights_stay_saved_when_a_loss_is_not_finite(fasseg, tmp_path):
    last = LastCheckpoint(str(tmp_path / "ck"), every_s=0)
    with pytest.raises(TrainingError):
        fit(make_module(loss=PoisonedLoss(6, lasting=True)), face_module(fold=None), 9, [last])
    saved = torch.load(tmp_path / "ck" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 3
    assert all(value.isfinite().all() for value in saved["state_dict"].values())


def test_a_long_epoch_stops_soon_after_a_loss_that_is_not_finite(tmp_path, fasseg):
    for number in range(7, 130):
        write_pair(fasseg, "Train", number, number)
    loss = PoisonedLoss(3, lasting=True)
    with pytest.raises(TrainingError):
        fit(make_module(loss=loss, net=torch.nn.Conv2d(3, 6, 1)), face_module(fold=None, batch_size=1), 2)
    assert loss.seen <= 60


def test_the_loss_gets_the_class_shares_of_the_training_set_if_it_takes_any(fasseg):
    faces, loss = face_module(fold=1), CrossEntropy(class_weights=True)
    fit(make_module(loss=loss), faces)
    expected = CrossEntropy(class_weights=True)
    expected.set_class_shares(faces.class_shares())
    assert torch.equal(loss.weight, expected.weight)
    fit(make_module(loss=torch.nn.CrossEntropyLoss(ignore_index=VOID)), face_module())


def test_a_schedule_steps_with_the_optimizer(fasseg):
    steps = []

    def schedule(optimizer, total_steps):
        steps.append(total_steps)
        return torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=total_steps)

    trainer = fit(make_module(schedule=schedule), face_module(), 3)
    assert steps == [6]
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-12)


def test_milestones_are_epochs(fasseg):
    trainer = fit(make_module(schedule=partial(lr_scheduler.MultiStepLR, milestones=[2])), face_module(), 3)
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(1e-3)


@pytest.mark.parametrize(("fold", "watched"), [(0, "val/loss"), (None, "train/loss")])
def test_plateau_watches_the_loss_of_validation_or_else_of_training_once_an_epoch(fasseg, fold, watched):
    class Watched(lr_scheduler.ReduceLROnPlateau):
        def step(self, metrics, epoch=None):
            seen.append((metrics, float(trainer.callback_metrics[watched])))
            super().step(metrics, epoch)

    seen = []
    trainer = make_trainer(3, validate=fold is not None, num_sanity_val_steps=2)
    trainer.fit(make_module(schedule=Watched), datamodule=face_module(fold=fold))
    assert len(seen) == 3
    assert all(metric == expected for metric, expected in seen)
    assert len(set(seen)) == 3


class Killed(pl.Callback):
    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 2:
            raise InterruptedError


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists")
@pytest.mark.parametrize("fold", [0, None])
@pytest.mark.parametrize(
    "schedule",
    [
        lr_scheduler.CosineAnnealingLR,
        partial(lr_scheduler.MultiStepLR, milestones=[1, 2, 3]),
        partial(lr_scheduler.ReduceLROnPlateau, patience=0, threshold=0.9),
    ],
    ids=["cosine", "multi_step", "plateau"],
)
def test_a_resumed_schedule_has_the_rates_and_the_state_of_an_uninterrupted_one(fasseg, tmp_path, schedule, fold):
    def train(folder, *callbacks, resume=None):
        callbacks = [*callbacks, LastCheckpoint(str(tmp_path / folder), every_s=0)]
        trainer = make_trainer(4, callbacks, fold is not None, enable_checkpointing=True)
        faces, path = face_module(fold=fold), tmp_path / folder / "last.ckpt"
        trainer.fit(make_module(schedule=schedule), datamodule=faces, ckpt_path=resume, weights_only=True)
        return torch.load(path, weights_only=True)

    whole = train("whole")
    with pytest.raises(InterruptedError):
        train("killed", Killed())
    resumed = train("killed", resume=tmp_path / "killed" / "last.ckpt")
    assert resumed["lr_schedulers"] == whole["lr_schedulers"]
    assert resumed["optimizer_states"][0]["param_groups"] == whole["optimizer_states"][0]["param_groups"]
    assert whole["optimizer_states"][0]["param_groups"][0]["lr"] < 1e-2
    assert all(torch.equal(value, resumed["state_dict"][name]) for name, value in whole["state_dict"].items())


def test_a_schedule_that_ends_before_the_training_is_refused(fasseg):
    schedule = partial(lr_scheduler.OneCycleLR, max_lr=0.1, total_steps=5)
    with pytest.raises(ConfigError, match="schedule: 5 steps, and the training has 6"):
        fit(make_module(schedule=schedule), face_module(), 3)


def test_dropout_is_seeded_by_the_batch(fasseg):
    card = {"_target_": "facesegl.nets.FCN", "num_classes": 6}
    ends = []
    for drawn_before in (1, 2):
        torch.manual_seed(0)
        module = SegmentationModule(
            FCN(6), CrossEntropy(False), lambda weights: torch.optim.Adam(weights, lr=1e-2), card=make_card(net=card)
        )
        torch.manual_seed(drawn_before)
        fit(module, face_module())
        ends.append(module.state_dict())
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


@pytest.mark.slow
def test_one_photo_can_be_overfitted(tmp_path):
    write_pair(tmp_path / "data" / "fasseg" / "V2", "Train", 1, 0, height=160, width=128)
    faces = face_module(fold=None, image_size=64, batch_size=1)
    net = {**NET, "channels": 8, "depth": 3}
    module = SegmentationModule(
        make_net(channels=8, depth=3),
        CrossEntropyDice(class_weights=False, dice=1.0),
        lambda weights: torch.optim.Adam(weights, lr=1e-2),
        card=make_card(net=net),
    )
    fit(module, faces, 300)
    _, batch, _ = faces.preview(1)
    counts = PooledCounts(6)
    counts.update(module.predict_masks(batch.image), batch.target)
    assert float(miou(counts.compute())) > 0.95
