"""Every file of conf/ that ships: a new one is tested by being there."""

import functools
import re
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
import yaml
from omegaconf import OmegaConf

from facesegl import FaceDataModule
from facesegl.commands.build import GIVEN
from facesegl.config.check import check, rehearse
from facesegl.config.compose import Composed, compose
from facesegl.config.identity import to_plain
from facesegl.config.instantiate import build
from facesegl.config.schema import EvaluateKeys
from facesegl.data import Augment
from facesegl.errors import MachineError
from facesegl.labels import Taxonomy, likely_pairs
from facesegl.learning.module import bind_schedule
from helpers.confs import ALL, CHOICES, CONF, NEEDED, default, options, skip_without_packages_of


@functools.cache
def plan_of(*overrides):
    return check(Composed.of(overrides), given=GIVEN)


def taxonomy_of(name):
    return Taxonomy.from_mapping(to_plain(plan_of(f"data/taxonomy={name}").data.taxonomy))


@pytest.mark.parametrize("file", ALL)
def test_a_file_is_yaml_without_tabs_hydra_interpolations_or_absolute_paths(file):
    text = (CONF / file).read_text(encoding="utf-8")
    yaml.safe_load(text)
    assert "\t" not in text
    assert "${hydra" not in text, "it does not resolve where Python composes"
    assert not re.search(r"(^|[\s\"'=:])(/home|/work|/root|/tmp|/Users)/", text), "a path of somebody's machine"


def test_every_group_of_the_design_exists():
    assert {group for group, _ in CHOICES} >= {
        *("data", "model", "loss", "optimizer", "schedule", "augment"),
        *("trainer", "callbacks", "logger", "paths", "experiment", "sweep"),
    }


@pytest.mark.parametrize(("group", "name"), [choice for choice in CHOICES if choice != ("trainer", "gpu")])
def test_a_choice_composes_and_passes_the_check(group, name):
    plan = plan_of(f"{group}={name}", *NEEDED.get(name, []))
    assert plan.choices[group] == name
    assert "???" not in OmegaConf.to_yaml(plan)


def test_a_gpu_is_used_if_there_is_one_and_an_error_if_there_is_none(monkeypatch):
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda **_: True)
    config = Composed.of(["trainer=gpu"])
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    trainer = check(config, given=GIVEN).trainer
    assert (trainer.accelerator, trainer.precision) == ("cuda", "bf16-mixed")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(MachineError, match=r"trainer=gpu: .* no such GPU"):
        check(config, given=GIVEN)


@pytest.mark.parametrize("name", options("data"))
def test_data_choices_are_data_modules_and_pass_evaluates_check_too(name):
    faces = build(plan_of(f"data={name}", *NEEDED.get(name, [])).data, augment=None)
    assert isinstance(faces, FaceDataModule)
    assert (faces.image_size, faces.batch_size, faces.fold, faces.folds) == (256, 4, 0, 5)
    config = Composed.of([f"data={name}", "paths.data=data", *NEEDED.get(name, [])], config_name="evaluate")
    assert isinstance(build(check(config, roots=EvaluateKeys, given=GIVEN).data), FaceDataModule)


@pytest.mark.parametrize("name", [name for name in options("data/taxonomy") if name.endswith("_as_fasseg")])
def test_taxonomy_that_maps_to_fasseg_has_all_its_classes_and_maps_every_raw_value(name):
    theirs, own, fasseg = map(taxonomy_of, (name, name.removesuffix("_as_fasseg"), "fasseg"))
    assert (theirs.names, theirs.colours) == (fasseg.names, fasseg.colours)
    names, numbers = theirs.raw_names(), theirs.raw_numbers()
    assert {*numbers} >= {*own.raw_numbers()} or {*names} >= {*own.raw_names()} - {"background"}
    assert {*range(1, 6)} <= {*names.values(), *numbers.values()}


@pytest.mark.parametrize("name", options("data/taxonomy"))
def test_classes_with_two_sides_are_pairs(name):
    assert [*taxonomy_of(name).pairs] == likely_pairs(taxonomy_of(name).names)


@pytest.mark.parametrize("name", options("model"))
def test_models_give_logits_of_every_class(name):
    skip_without_packages_of(name)
    net = build(plan_of(f"model={name}").model, num_classes=6).eval()
    with torch.no_grad():
        assert net(torch.zeros(1, 3, 64, 64)).shape == (1, 6, 64, 64)


@pytest.mark.parametrize("name", options("loss"))
def test_losses_give_one_number_with_a_gradient(name):
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
    assert made.defaults["lr"] == 1e-2
    steps = bind_schedule(build(plan.schedule), made, total_steps=10)[0] if plan.schedule else None
    (weights**2).sum().backward()
    made.step()
    assert not torch.equal(weights, torch.ones(3))
    torch.save([made.state_dict(), steps and steps.state_dict()], tmp_path / "state.pt")
    torch.load(tmp_path / "state.pt", weights_only=True)


def test_a_schedule_of_a_config_gets_what_is_given_there_and_the_length_only_where_it_is_missing():
    def bind(*overrides):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1)
        return bind_schedule(build(plan_of(*overrides).schedule), optimizer, total_steps=240)

    cosine = "torch.optim.lr_scheduler.CosineAnnealingLR"
    warmup = "{_target_:torch.optim.lr_scheduler.LinearLR,_partial_:true,start_factor:0.1,total_iters:5}"
    annealing = f"{{_target_:{cosine},_partial_:true,T_max:95}}"
    built, interval = bind("schedule=cosine")
    assert (built.T_max, interval) == (240, "step")
    built, interval = bind("schedule=cosine", "+schedule.T_max=20")
    assert (built.T_max, interval) == (20, "epoch")
    nested = ["~schedule.gamma", "schedule.milestones=[5]", f"+schedule.schedulers=[{warmup},{annealing}]"]
    built, interval = bind("schedule=multi_step", "schedule._target_=torch.optim.lr_scheduler.SequentialLR", *nested)
    assert ([each.state_dict().get("T_max") for each in built._schedulers], interval) == ([None, 95], "epoch")


@pytest.mark.parametrize("name", options("augment"))
def test_augmentations_build_or_are_off(name):
    augment = build(plan_of(f"augment={name}").augment)
    assert augment is None if name == "none" else isinstance(augment, Augment)


def test_flip_alone_moves_pixels_and_changes_none():
    augment = build(plan_of("augment=flip").augment)
    images = torch.randint(0, 256, (8, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mirror = torch.arange(256, dtype=torch.uint8)
    augmented, _ = augment(images, images[:, 0] % 6, mirror=mirror, generator=torch.Generator().manual_seed(0))
    flipped = [not torch.equal(after, before.float()) for after, before in zip(augmented, images, strict=True)]
    assert 0 < sum(flipped) < 8
    for after, before, turned in zip(augmented, images, flipped, strict=True):
        assert torch.equal(after, (before.flip(-1) if turned else before).float())


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


@pytest.mark.parametrize("name", options("sweep"))
def test_every_job_of_a_sweep_passes_the_check(name):
    assert len(rehearse([f"sweep={name}"], multirun=True, given=GIVEN)) > 1


@pytest.mark.parametrize("name", options("experiment"))
def test_an_experiment_leaves_every_other_choice_free(name):
    others = {group: options(group)[-1] for group in ("model", "loss", "optimizer", "schedule")}
    config = compose([f"experiment={name}", *(f"{group}={choice}" for group, choice in others.items())])
    assert {group: config.choices[group] for group in others} == others


def test_evaluate_composes_without_data():
    config = Composed.of(["paths.data=data"], config_name="evaluate")
    plan = check(config, roots=EvaluateKeys, given=GIVEN)
    assert (plan.set, plan.device, plan.panels, plan.name) == ("test", "auto", 4, "evaluate")
    assert (plan.seed, plan.trust, plan.data) == (0, [], None)


def test_defaults_are_those_of_the_table():
    table = {
        "name": "fasseg_v2-unet",
        **{"seed": 0, "resume": None, "init": None, "trust": []},
        **{"data.image_size": 256, "data.batch_size": 4, "data.fold": 0, "data.folds": 5},
        **{"optimizer.lr": 1e-2, "trainer.max_epochs": 200},
        **{"trainer.accelerator": "auto", "trainer.devices": 1, "trainer.precision": "auto"},
        **{"paths.data": "data", "paths.runs": "runs", "paths.run": None},
    }
    config = OmegaConf.create(default())
    assert {key: OmegaConf.select(config, key) for key in table} == table


def test_paths_of_data_and_cache_come_from_the_environment_first(monkeypatch, tmp_path):
    monkeypatch.setenv("FACESEGL_DATA", "/faces")
    assert compose().paths.data == "/faces"
    assert compose(["paths.data=mine"]).paths.data == "mine"
    monkeypatch.delenv("FACESEGL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert Path(compose().paths.cache).name == "facesegl"
    assert compose(["paths.cache=packed"]).data.cache == "packed"


def test_the_seed_is_the_datas_too_and_the_name_follows_data_and_model():
    config = compose(["data=synthetic", "model=fcn", "seed=7"])
    assert (config.data.seed, config.name) == (7, "synthetic-fcn")
    assert compose(["name=mine", "model=fcn"]).name == "mine"


def test_the_reference_is_frozen():
    """Every other training is compared with it: a value that changes here changes what the scores mean."""
    plan = OmegaConf.to_container(plan_of("experiment=reference"))
    assert plan["model"] == {"_target_": "facesegl.nets.FCN"}
    assert plan["optimizer"] == {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 1e-2}
    assert plan["loss"] == {"_target_": "facesegl.losses.CrossEntropy", "class_weights": False}
    assert plan["schedule"] is plan["augment"] is plan["callbacks"]["averaging"] is None
    trainer = {"precision": "32-true", "max_epochs": 200, "accumulate_grad_batches": 1, "gradient_clip_val": None}
    assert plan["trainer"].items() >= trainer.items()
    assert plan["data"].items() >= {"batch_size": 4, "image_size": 256, "seed": 0}.items()
    assert plan["data"]["source"]["version"] == "V2"


def test_the_reference_changes_nothing_but_what_its_file_names():
    reference = OmegaConf.to_container(compose(["experiment=reference"]))
    same = {key for key, value in default().items() if reference[key] == value}
    assert reference["data"] == {**default()["data"], "synthetic_share": 0}
    assert same >= {"logger", "seed", "paths", "trust", "init", "resume"}
    changed = {name for name, node in reference["callbacks"].items() if default()["callbacks"][name] != node}
    assert changed == {"averaging"}
