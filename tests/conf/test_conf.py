"""Every file of conf/ that ships: a new one is tested by being there."""

import re
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
import yaml
from omegaconf import OmegaConf

from facesegl import FaceDataModule
from facesegl.commands.build import GIVEN
from facesegl.config import machine as this_machine
from facesegl.config.check import check, rehearse
from facesegl.config.compose import compose
from facesegl.config.identity import to_plain
from facesegl.config.instantiate import build
from facesegl.config.schema import EvaluateKeys
from facesegl.data import Augment
from facesegl.errors import MachineError
from facesegl.labels import Taxonomy, likely_pairs
from helpers.confs import ALL, CHOICES, CONF, NEEDED, default, options, skip_without_packages_of


@pytest.fixture
def gpu(monkeypatch):
    """A machine that says it has a GPU."""
    monkeypatch.setattr(
        this_machine, "resolve_accelerator", lambda accelerator, *_: "cuda" if accelerator == "gpu" else "cpu"
    )
    monkeypatch.setattr(
        this_machine, "resolve_precision", lambda precision, _: "32-true" if precision == "auto" else precision
    )


def plan_of(*overrides):
    return check(compose(overrides), given=GIVEN)


# what the files say


@pytest.mark.parametrize("file", ALL)
def test_a_file_is_yaml_without_tabs_and_asks_hydra_for_nothing(file):
    text = (CONF / file).read_text(encoding="utf-8")
    yaml.safe_load(text)
    assert "\t" not in text
    assert "${hydra" not in text, "it does not resolve where Python composes"
    assert not re.search(r"(^|[\s\"'=:])(/home|/work|/root|/tmp|/Users)/", text), "a path of somebody's machine"


def test_every_group_of_the_design_is_there():
    assert {group for group, _ in CHOICES} >= {
        *("data", "model", "loss", "optimizer", "schedule", "augment"),
        *("trainer", "callbacks", "logger", "paths", "experiment", "sweep"),
    }


# each choice composes, passes the check and builds


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_a_choice_composes_and_passes_the_check(group, name, gpu):
    plan = plan_of(f"{group}={name}", *NEEDED.get(name, []))
    assert plan.choices[group] == name
    assert "???" not in OmegaConf.to_yaml(plan)


@pytest.mark.parametrize("name", options("data"))
def test_data_choices_are_data_modules_and_pass_evaluates_check_too(name):
    faces = build(plan_of(f"data={name}", *NEEDED.get(name, [])).data, augment=None)
    assert isinstance(faces, FaceDataModule)
    assert (faces.image_size, faces.batch_size, faces.fold, faces.folds) == (256, 4, 0, 5)
    config = compose([f"data={name}", "paths.data=data", *NEEDED.get(name, [])], config_name="evaluate")
    assert isinstance(build(check(config, roots=EvaluateKeys, given=GIVEN).data), FaceDataModule)


@pytest.mark.parametrize("name", [name for name in options("data/taxonomy") if name.endswith("_as_fasseg")])
def test_what_is_read_as_fassegs_classes_has_them_all_and_leaves_nothing_out(name):
    theirs = Taxonomy.from_mapping(to_plain(compose([f"data/taxonomy={name}"]).data.taxonomy))
    own = Taxonomy.from_mapping(to_plain(compose([f"data/taxonomy={name.removesuffix('_as_fasseg')}"]).data.taxonomy))
    fasseg = Taxonomy.from_mapping(to_plain(compose().data.taxonomy))
    assert (theirs.names, theirs.colours) == (fasseg.names, fasseg.colours)
    assert {*theirs.raw_numbers()} >= {*own.raw_numbers()} or {*theirs.raw_names()} >= {*own.raw_names()} - {
        "background"
    }
    assert {*range(6)} - {0} <= {*theirs.raw_names().values(), *theirs.raw_numbers().values()}


@pytest.mark.parametrize("name", options("data/taxonomy"))
def test_classes_with_two_sides_are_pairs(name):
    taxonomy = Taxonomy.from_mapping(to_plain(compose([f"data/taxonomy={name}"]).data.taxonomy))
    assert [*taxonomy.pairs] == likely_pairs(taxonomy.names)


@pytest.mark.parametrize("name", options("model"))
def test_models_give_logits_of_every_class(name):
    skip_without_packages_of(name)
    net = build(plan_of(f"model={name}").model, num_classes=6).eval()
    with torch.no_grad():
        assert net(torch.zeros(1, 3, 64, 64)).shape == (1, 6, 64, 64)


@pytest.mark.parametrize("name", options("loss"))
def test_losses_give_one_number_that_can_be_learnt_from(name):
    logits = torch.zeros(2, 6, 4, 4, requires_grad=True)
    loss = build(plan_of(f"loss={name}").loss)(logits, torch.arange(32).view(2, 4, 4) % 6)
    loss.backward()
    assert loss.shape == ()
    assert logits.grad.abs().sum() > 0


@pytest.mark.parametrize("optimizer", options("optimizer"))
@pytest.mark.parametrize("schedule", options("schedule"))
def test_optimizers_and_schedules_take_steps_and_their_state_loads_without_code(optimizer, schedule, tmp_path):
    plan = plan_of(f"optimizer={optimizer}", f"schedule={schedule}")
    weights = torch.nn.Parameter(torch.ones(3))
    made = build(plan.optimizer)([weights])
    assert isinstance(made, torch.optim.Optimizer)
    steps = build(plan.schedule)(made, total_steps=10) if plan.schedule else None
    (weights**2).sum().backward()
    made.step()
    assert not torch.equal(weights, torch.ones(3))
    torch.save([made.state_dict(), steps and steps.state_dict()], tmp_path / "state.pt")
    torch.load(tmp_path / "state.pt", weights_only=True)


@pytest.mark.parametrize("name", options("augment"))
def test_augmentations_build_or_are_off(name):
    augment = build(plan_of(f"augment={name}").augment)
    assert augment is None if name == "none" else isinstance(augment, Augment)


def test_flip_alone_moves_pixels_and_changes_none():
    augment = build(plan_of("augment=flip").augment)
    photo = torch.randint(0, 256, (8, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mirror = torch.arange(256, dtype=torch.uint8)
    got, _ = augment(photo, photo[:, 0] % 6, mirror=mirror, generator=torch.Generator().manual_seed(0))
    turned = [not torch.equal(one, other.float()) for one, other in zip(got, photo, strict=True)]
    assert 0 < sum(turned) < 8
    for one, other, flipped in zip(got, photo, turned, strict=True):
        assert torch.equal(one, (other.flip(-1) if flipped else other).float())


@pytest.mark.parametrize("group", ["callbacks", "logger"])
def test_callbacks_and_loggers_are_lightnings(group):
    kind = {"callbacks": pl.Callback, "logger": pl.loggers.Logger}[group]
    for name in options(group):
        plan = plan_of(f"{group}={name}", "paths.run=run")
        for key in plan[group] or {}:
            assert isinstance(build(plan[group][key]), kind), f"{group}={name}: {key}"


@pytest.mark.parametrize("name", [name for name in options("trainer") if name != "gpu"])
def test_trainers_build_on_a_machine_without_a_gpu(name):
    plan = plan_of(f"trainer={name}", *(["trainer.accelerator=cpu"] if name == "ddp" else []))
    assert plan.trainer.precision in ("32-true", "bf16-mixed")
    trainer = build(plan.trainer, logger=False, callbacks=[], enable_checkpointing=False, enable_progress_bar=False)
    assert trainer.num_devices == (2 if name == "ddp" else 1)


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_asked_for_must_be_there():
    with pytest.raises(MachineError, match=r"trainer.accelerator=gpu: .* no such GPU"):
        plan_of("trainer=gpu")


@pytest.mark.parametrize("name", options("sweep"))
def test_every_job_of_a_sweep_passes_the_check(name):
    assert len(rehearse([f"sweep={name}"], multirun=True, given=GIVEN)) > 1


@pytest.mark.parametrize("name", options("experiment"))
def test_an_experiment_leaves_every_other_choice_free(name):
    others = {group: options(group)[-1] for group in ("model", "loss", "optimizer", "schedule")}
    config = compose([f"experiment={name}", *(f"{group}={choice}" for group, choice in others.items())])
    assert {group: config.choices[group] for group in others} == others


def test_evaluate_composes_without_data():
    plan = check(compose(["paths.data=data"], config_name="evaluate"), roots=EvaluateKeys, given=GIVEN)
    assert (plan.set, plan.device, plan.panels, plan.name, plan.seed, plan.trust) == (
        "test",
        "auto",
        4,
        "evaluate",
        0,
        [],
    )
    assert plan.data is None


# the defaults


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "fasseg_v2-unet"),
        ("seed", 0),
        ("data.image_size", 256),
        ("data.batch_size", 4),
        ("data.fold", 0),
        ("data.folds", 5),
        ("optimizer.lr", 1e-2),
        ("trainer.max_epochs", 200),
        ("trainer.accelerator", "auto"),
        ("trainer.devices", 1),
        ("trainer.precision", "auto"),
        ("resume", None),
        ("init", None),
        ("trust", []),
        ("paths.data", "data"),
        ("paths.runs", "runs"),
        ("paths.run", None),
    ],
)
def test_defaults_are_those_of_the_table(key, value):
    found = OmegaConf.select(OmegaConf.create(default()), key)
    assert found == value


def test_where_data_and_cache_lie_comes_from_the_environment_first(monkeypatch, tmp_path):
    monkeypatch.setenv("FACESEGL_DATA", "/faces")
    assert compose().paths.data == "/faces"
    assert compose(["paths.data=mine"]).paths.data == "mine"
    monkeypatch.delenv("FACESEGL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert Path(compose().paths.cache).name == "facesegl"
    assert compose(["paths.cache=packed"]).data.cache == "packed"


@pytest.mark.parametrize("optimizer", options("optimizer"))
def test_every_optimizer_starts_from_the_same_learning_rate(optimizer):
    assert compose([f"optimizer={optimizer}"]).optimizer.lr == 1e-2


def test_the_seed_is_the_datas_too():
    assert compose(["seed=7"]).data.seed == 7


def test_the_name_of_a_run_follows_data_and_model():
    assert compose(["data=synthetic", "model=fcn"]).name == "synthetic-fcn"
    assert compose(["name=mine", "model=fcn"]).name == "mine"


def test_the_reference_is_frozen():
    """The yardstick of everything else: whoever changes a value here measures with another rule."""
    plan = OmegaConf.to_container(plan_of("experiment=reference"))
    assert plan["model"] == {"_target_": "facesegl.nets.FCN"}
    assert plan["optimizer"] == {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 1e-2}
    assert plan["loss"] == {"_target_": "facesegl.losses.CrossEntropy", "class_weights": False}
    assert plan["schedule"] is None
    assert plan["augment"] is None
    assert plan["callbacks"]["averaging"] is None
    assert plan["trainer"]["precision"] == "32-true"
    assert plan["trainer"]["max_epochs"] == 200
    assert plan["trainer"]["accumulate_grad_batches"] == 1
    assert plan["trainer"]["gradient_clip_val"] is None
    assert {name: plan["data"][name] for name in ("batch_size", "image_size", "seed")} == {
        "batch_size": 4,
        "image_size": 256,
        "seed": 0,
    }
    assert plan["data"]["source"]["version"] == "V2"


def test_nothing_more_than_the_reference_names_sets_it_apart():
    reference = OmegaConf.to_container(compose(["experiment=reference"]))
    same = {key for key, value in default().items() if reference[key] == value}
    assert same >= {"data", "logger", "seed", "paths", "trust", "init", "resume"}
    changed = {name for name, node in reference["callbacks"].items() if default()["callbacks"][name] != node}
    assert changed == {"averaging"}
