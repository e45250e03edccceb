import logging
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from facesegl.config import machine
from facesegl.config.check import check, read_taxonomy, rehearse
from facesegl.config.compose import compose
from facesegl.config.identity import to_plain
from facesegl.config.instantiate import build
from facesegl.config.schema import EvaluateKeys
from facesegl.errors import ConfigError, MachineError

LATER = {"model": {"num_classes"}}


def plan(*overrides: str):
    return check(compose(overrides), given=LATER)


def problems(*overrides: str, **how) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        rehearse(overrides, given=LATER, **how)
    return list(caught.value.problems)


def test_wrong_key_and_wrong_value_are_both_told():
    assert problems("trainer.max_epoch=3", "optimizer.lr=abc") == [
        "optimizer.lr: 'abc' is not a number",
        "trainer.max_epoch: pytorch_lightning.Trainer has no such parameter; did you mean max_epochs?",
    ]


def test_wrong_overrides_choices_keys_and_values_are_told_together():
    told = problems("model=unnet", "paths.data=/a=b", "trainer.max_epoch=3", "optimizer.lr=abc")
    assert [line.partition(":")[0] for line in told] == [
        "model=unnet",
        "paths.data=/a=b",
        "optimizer.lr",
        "trainer.max_epoch",
    ]


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("trainer.max_epochs=1.5", "trainer.max_epochs: 1.5 is not a whole number"),
        ("trainer.max_epochs=true", "trainer.max_epochs: true is not a whole number"),
        ("trainer.max_steps=null", "trainer.max_steps: null is not a whole number"),
        ("optimizer.lr=true", "optimizer.lr: true is not a number"),
        ("optimizer.betas=[0.9]", "optimizer.betas: [0.9] is not long enough"),
        ("optimizer.betas=[0.9,0.9,0.9]", "optimizer.betas: [0.9, 0.9, 0.9] is not short enough"),
        ("optimizer.betas=[0.9,x]", "optimizer.betas.1: 'x' is not a number"),
        ("optimizer.amsgrad=perhaps", "optimizer.amsgrad: 'perhaps' is not true or false"),
        ("trainer.deterministic=loudly", "trainer.deterministic: 'loudly' is not true, false or 'warn'"),
        ("model.channels=3", "model.channels: 3 is not a list"),
        ("model.act=tanh", "model.act: 'tanh' is not 'relu' or 'gelu'"),
        ("model.dropout=1.5", "model.dropout: 1.5 is not less than 1"),
        ("trainer.limit_val_batches=x", "trainer.limit_val_batches: 'x' is not a number"),
        ("seed=x", "seed: 'x' is not a whole number"),
        ("trust=me", "trust: 'me' is not a list"),
    ],
)
def test_wrong_value_is_told_in_plain_words(override: str, problem: str):
    assert problem in problems(override)


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("optimizer.lr=1", "optimizer.lr", 1.0),
        ("optimizer.lr='1e-3'", "optimizer.lr", 0.001),
        ("trainer.max_epochs=null", "trainer.max_epochs", None),
        ("trainer.precision=32", "trainer.precision", 32),
        ("trainer.precision=bf16", "trainer.precision", "bf16"),
        ("trainer.devices=[0]", "trainer.devices", [0]),
        ("trainer.deterministic=warn", "trainer.deterministic", "warn"),
        ("trainer.max_time={hours: 1}", "trainer.max_time", {"hours": 1}),
        ("trainer.limit_train_batches=2", "trainer.limit_train_batches", 2),
        ("trainer.limit_train_batches=0.5", "trainer.limit_train_batches", 0.5),
        ("trainer.fast_dev_run=true", "trainer.fast_dev_run", True),
        ("optimizer.betas=[0,1]", "optimizer.betas", [0.0, 1.0]),
        ("model.dropout=0", "model.dropout", 0.0),
        ("name=2024", "name", "2024"),
        ("model.side=anything", "model.side", "anything"),
    ],
)
def test_right_value_is_taken_as_its_type_has_it(override: str, key: str, value: object):
    taken = OmegaConf.select(plan(override), key)
    assert taken == value
    assert type(taken) is type(value) or OmegaConf.is_config(taken)


def test_parameter_that_no_file_names_needs_no_plus():
    assert plan("trainer.max_steps=5").trainer.max_steps == 5


def test_value_from_the_environment_becomes_a_number(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SOME_SEED", "7")
    assert plan("seed=${oc.env:SOME_SEED}").seed == 7


def test_missing_parameter_is_told_unless_the_code_gives_it():
    with pytest.raises(ConfigError) as caught:
        check(compose())
    assert caught.value.problems == ("model: small_parts.Net needs num_classes; give it with model.num_classes=VALUE",)
    assert plan().model.channels == [8, 16]


def test_partial_optimiser_may_wait_for_its_parameters():
    assert problems("optimizer._partial_=false") == [
        "optimizer: torch.optim.AdamW needs params; give it with optimizer.params=VALUE"
    ]


def test_key_for_kwargs_passes_only_with_a_plus(caplog: pytest.LogCaptureFixture):
    assert problems("model=fcn", "model.chanels=3") == [
        "model.chanels: small_parts.OpenNet names no such parameter; did you mean channels? If not, "
        "+model.chanels=VALUE on the command line goes on unchecked"
    ]
    with caplog.at_level(logging.INFO, logger="facesegl"):
        assert plan("model=fcn", "+model.kernel=3").model.kernel == 3
    assert "model.kernel goes on unchecked: small_parts.OpenNet takes it by its **kwargs" in caplog.messages


def test_plus_does_not_help_where_nothing_takes_the_key():
    assert "has no such parameter" in problems("+model.chanels=3")[0]


def test_subclass_that_hands_kwargs_on_takes_its_parents_parameters():
    node = "model={_target_: small_parts.Handing, extra: 1, dropout: 0.5}"
    assert plan(node).model.dropout == 0.5
    assert problems(node.replace("0.5", "2")) == ["model.dropout: 2 is not less than 1"]


def test_nested_nodes_are_checked_and_left_to_become_objects():
    holder = "loss={_target_: small_parts.Holder, net: {_target_: torch.nn.Conv2d, in_channels: 3, out_channels: %s}}"
    wanted = problems(holder % "1, kernel: 3")
    assert "loss.net: torch.nn.Conv2d needs kernel_size; give it with loss.net.kernel_size=VALUE" in wanted
    assert any(line.startswith("loss.net.kernel: torch.nn.Conv2d has no such parameter") for line in wanted)


def test_callbacks_are_checked_and_null_switches_one_off():
    assert plan("callbacks.early_stopping=null").callbacks.early_stopping is None
    assert "did you mean patience?" in problems("callbacks.early_stopping.patiense=3")[0]
    mine = "+callbacks.mine={_target_: pytorch_lightning.callbacks.Timer, duration: {hours: 1}}"
    assert plan(mine).callbacks.mine.duration == {"hours": 1}


def test_what_should_be_built_needs_a_target():
    assert problems("callbacks.early_stopping=5") == [
        "callbacks.early_stopping: 5 names nothing to build; give it a _target_"
    ]
    assert problems("+augment={scale: 2}") == ["augment: {'scale': 2} names nothing to build; give it a _target_"]
    assert plan("+augment={}").augment == {}


def test_misspelt_callback_is_not_switched_off_in_silence():
    assert problems("callbacks.early_stoping=null") == [
        "callbacks.early_stoping: there is no such key; did you mean early_stopping?, "
        "or add it with +callbacks.early_stoping=VALUE"
    ]


@pytest.mark.parametrize(
    ("override", "guess"),
    [("sead=3", "seed"), ("moodel=fcn", "model"), ("lr=3", "optimizer.lr"), ("paths.dta=x", "data")],
)
def test_unknown_key_outside_the_nodes_names_the_nearest(override: str, guess: str):
    key = override.partition("=")[0]
    assert problems(override) == [f"{key}: there is no such key; did you mean {guess}?"]


def test_class_that_does_not_import_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "falls.py").write_text("import not_installed_here")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert set(problems("model._target_=small_parts.Nett", "loss._target_=falls.Loss", "trainer._target_=no.T")) == {
        "model._target_: small_parts.Nett does not import: small_parts has no Nett; did you mean Net?",
        "loss._target_: falls.Loss does not import: No module named 'not_installed_here'",
        "trainer._target_: no.T does not import: No module named 'no'",
    }


def test_values_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NOT_SET_HERE", raising=False)
    told = problems("seed=???", "name=${nothing.here}", "paths.runs=${oc.env:NOT_SET_HERE}")
    assert "seed: has no value yet; give one with seed=VALUE" in told
    assert "name: ${nothing.here} does not resolve: Interpolation key 'nothing.here' not found" in told
    assert any(line.startswith("paths.runs: ${oc.env:NOT_SET_HERE} does not resolve") for line in told)


def test_group_that_was_dropped_is_missed():
    assert problems("~model") == ["model: the config needs model; give it with model=VALUE"]


def test_sweep_checks_every_value_once_and_tells_each_problem_once():
    assert problems("optimizer.lr=1e-3,abc", "seed=range(3)", "model.act=relu,tanh", multirun=True) == [
        "optimizer.lr: 'abc' is not a number",
        "model.act: 'tanh' is not 'relu' or 'gelu'",
    ]
    assert len(rehearse(["optimizer.lr=1e-3,1e-2", "seed=0,1"], multirun=True, given=LATER)) == 3


def test_checking_leaves_the_config_as_it_was():
    config = compose(["optimizer.lr=1"])
    before = OmegaConf.to_yaml(config)
    check(config, given=LATER)
    assert OmegaConf.to_yaml(config) == before


def test_evaluate_has_root_keys_of_its_own():
    assert check(compose(["set=val"], config_name="evaluate"), roots=EvaluateKeys).data is None
    with pytest.raises(ConfigError, match="set: 'tests' is not 'train', 'val', 'test', 'test_clean' or 'test_strict'"):
        check(compose(["set=tests"], config_name="evaluate"), roots=EvaluateKeys)
    with pytest.raises(ConfigError, match="epochs: there is no such key"):
        check(compose(["+epochs=1"], config_name="evaluate"), roots=EvaluateKeys)


def test_taxonomy_comes_from_a_file(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text("names: [wall, face]\nvoid: 9\n")
    config = compose([f"data.taxonomy='{file}'"])
    assert read_taxonomy(config).data.taxonomy == {"names": ["wall", "face"], "void": 9}
    assert config.data.taxonomy == str(file)
    assert plan(f"data.taxonomy='{file}'").data.taxonomy.void == 9
    assert read_taxonomy(compose()).data.taxonomy.names == ["background", "skin"]


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "cannot be read"), ("a: [", "not YAML"), ("3", "holds no mapping")]
)
def test_taxonomy_file_that_is_none_is_told_once(tmp_path: Path, content: str | None, reason: str):
    file = tmp_path / "mine.yaml"
    if content is not None:
        file.write_text(content)
    (told,) = problems(f"data.taxonomy='{file}'")
    assert reason in told


def test_taxonomy_file_runs_no_code(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text(f"!!python/object/apply:os.mkdir ['{tmp_path / 'made'}']")
    assert "not YAML" in problems(f"data.taxonomy='{file}'")[0]
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("classes:\n  wall: [0, 0, 0]\n  face: {_target_: os.mkdir, path: made}", "_target_ means something"),
        ("classes: {wall: [0, 0, 0], face: [1, 1, '${oc.env:HOME}']}", "means something in a config"),
        ("remap: {1: wall, 1: face}", "1 stands there twice"),
        ("classes: {wall: [0, 0, 0], wall: [9, 9, 9]}", "wall stands there twice"),
        ("a: &a [x]\nb: *a", "a reference"),
        ("a: " + "[" * 5000, "more than 5 levels"),
    ],
)
def test_taxonomy_file_of_a_stranger_holds_classes_alone(tmp_path: Path, content: str, reason: str, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "mine.yaml"
    file.write_text(content)
    (told,) = problems(f"data.taxonomy='{file}'")
    assert reason in told
    assert not (tmp_path / "made").exists()


def test_auto_becomes_what_the_machine_has(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": True})
    taken = plan("trainer.accelerator=auto", "trainer.precision=auto").trainer
    assert (taken.accelerator, taken.precision) == ("cpu", "bf16-mixed")


def test_absent_gpu_is_the_machines_fault_unless_the_config_is_wrong_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    with pytest.raises(MachineError, match=r"^trainer.accelerator=gpu: this machine has no such GPU"):
        plan("trainer.accelerator=gpu")
    with pytest.raises(ConfigError):
        plan("trainer.accelerator=gpu", "optimizer.lr=abc")


def test_path_that_cannot_be_written_is_told_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match=r"paths.runs=.*: .*file is no folder"):
        plan(f"paths.runs='{tmp_path}/file/runs'")
    monkeypatch.setattr(machine.os, "access", lambda *_: False)
    with pytest.raises(MachineError, match=r"paths.runs=.*: .* cannot be written"):
        plan(f"paths.runs='{tmp_path}/new/runs'")
    assert not (tmp_path / "new").exists()


def test_checked_plan_builds_with_the_values_that_were_checked():
    made = plan("optimizer.lr=1")
    optimizer = build(made.optimizer)([torch.nn.Parameter(torch.zeros(1))])
    assert type(optimizer.defaults["lr"]) is float
    assert to_plain(made)["trainer"]["max_epochs"] == 2
