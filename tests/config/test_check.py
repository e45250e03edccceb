import logging
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from facesegl.config.check import check, read_taxonomy, rehearse
from facesegl.config.compose import Composed, compose
from facesegl.config.identity import to_plain
from facesegl.config.instantiate import build
from facesegl.config.schema import EvaluateKeys
from facesegl.errors import ConfigError, MachineError
from facesegl.labels.taxonomy import Taxonomy
from facesegl.labels.taxonomy_file import read_taxonomy_file

LATER = {"model": {"num_classes"}}
HOLDER = "loss={_target_: small_parts.Holder, net: {_target_: torch.nn.Conv2d, in_channels: 3, out_channels: 1, %s}}"


def plan(*overrides: str):
    return check(Composed.of(overrides), given=LATER)


def problems(*overrides: str, **how) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        rehearse(overrides, given=LATER, **how)
    return list(caught.value.problems)


def test_problems_of_overrides_choices_keys_and_values_are_reported_together():
    assert problems("trainer.max_epoch=3", "optimizer.lr=abc", "paths.data=/a=b", "model=unnet") == [
        "paths.data=/a=b: its value cannot be parsed, and no file or folder has that name; "
        """put it in quotes, as in 'paths.data="/a=b"'""",
        "model=unnet: no such model; did you mean unet? There are: fcn, unet",
        "optimizer.lr: 'abc' is not a number",
        "trainer.max_epoch: pytorch_lightning.Trainer has no such parameter; did you mean max_epochs?",
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
        ("~model", "model: the config needs model; give it with model=VALUE"),
        ("optimizer._partial_=false", "optimizer: torch.optim.AdamW needs params; give it with optimizer.params=VALUE"),
        (
            "callbacks.early_stopping=5",
            "callbacks.early_stopping: 5 has no _target_; give it one that names a class or ",
        ),
        ("+augment={scale: 2}", "augment: {'scale': 2} has no _target_; give it one that names a class or function"),
        (HOLDER % "x: 1", "loss.net: torch.nn.Conv2d needs kernel_size; give it with loss.net.kernel_size=VALUE"),
        (HOLDER % "kernel: 3", "loss.net.kernel: torch.nn.Conv2d has no such parameter; did you mean kernel_size?"),
        ("callbacks.early_stopping.patiense=3", "EarlyStopping has no such parameter; did you mean patience?"),
        ("+model.chanels=3", "model.chanels: small_parts.Net has no such parameter; did you mean channels?"),
        ("sead=3", "sead: there is no such key; did you mean seed?"),
        ("moodel=fcn", "moodel: there is no such key; did you mean model?"),
        ("lr=3", "lr: there is no such key; did you mean optimizer.lr?"),
        ("paths.dta=x", "paths.dta: there is no such key; did you mean data?"),
        (
            "callbacks.early_stoping=null",
            "callbacks.early_stoping: there is no such key; did you mean early_stopping?, "
            "or add it with +callbacks.early_stoping=VALUE",
        ),
    ],
)
def test_wrong_key_or_value_is_reported_with_a_remedy(override: str, problem: str):
    assert any(problem in found for found in problems(override))


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
        ("trainer.max_steps=5", "trainer.max_steps", 5),  # without a +, though no file has it
        ("optimizer.betas=[0,1]", "optimizer.betas", [0.0, 1.0]),
        ("model.dropout=0", "model.dropout", 0.0),
        ("model={_target_: small_parts.Handing, extra: 1, dropout: 0.5}", "model.dropout", 0.5),
        ("name=2024", "name", "2024"),
        ("model.side=anything", "model.side", "anything"),
        ("+augment={}", "augment", {}),
        ("callbacks.early_stopping=null", "callbacks.early_stopping", None),
        ("+callbacks.mine={_target_: pytorch_lightning.callbacks.Timer}", "callbacks.mine.duration", None),
    ],
)
def test_right_value_is_converted_to_its_type(override: str, key: str, value: object):
    converted = OmegaConf.select(plan(override), key)
    assert converted == value
    assert type(converted) is type(value) or OmegaConf.is_config(converted)


def test_value_from_the_environment_becomes_a_number(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SOME_SEED", "7")
    assert plan("seed=${oc.env:SOME_SEED}").seed == 7


def test_missing_parameter_is_reported_unless_the_code_gives_it():
    with pytest.raises(ConfigError) as caught:
        check(Composed.of())
    assert caught.value.problems == ("model: small_parts.Net needs num_classes; give it with model.num_classes=VALUE",)
    assert plan().model.channels == [8, 16]


def test_key_for_kwargs_passes_only_with_a_plus(caplog: pytest.LogCaptureFixture):
    assert problems("model=fcn", "model.chanels=3") == [
        "model.chanels: small_parts.OpenNet names no such parameter; did you mean channels? If not, "
        "+model.chanels=VALUE on the command line passes it unchecked"
    ]
    with caplog.at_level(logging.INFO, logger="facesegl"):
        assert plan("model=fcn", "+model.kernel={size: 3}").model.kernel.size == 3
    assert "model.kernel is not checked: small_parts.OpenNet takes it through its **kwargs" in caplog.messages


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["model={_target_: small_parts.Handing, extra: 1, dropout: 2}"], "model.dropout: 2 is not less than 1"),
        (["optimizer.eps=${optimizer.lr}", "optimizer.lr=abc"], "optimizer.lr: 'abc' is not a number"),
    ],
)
def test_value_is_reported_once_also_for_a_parameter_of_the_parent_or_a_reference(overrides: list[str], problem: str):
    assert problems(*overrides) == [problem]


def test_class_that_does_not_import_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "falls.py").write_text("import not_installed_here")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert set(problems("model._target_=small_parts.Nett", "loss._target_=falls.Loss", "trainer._target_=no.T")) == {
        "model._target_: small_parts.Nett does not import: small_parts has no Nett; did you mean Net?",
        "loss._target_: falls.Loss does not import: No module named 'not_installed_here'",
        "trainer._target_: no.T does not import: No module named 'no'",
    }


def test_missing_and_unresolved_values_are_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NOT_SET_HERE", raising=False)
    found = problems("seed=???", "name=${nothing.here}", "paths.runs=${oc.env:NOT_SET_HERE}")
    assert "seed: has no value yet; give one with seed=VALUE" in found
    assert "name: ${nothing.here} does not resolve: Interpolation key 'nothing.here' not found" in found
    assert any(line.startswith("paths.runs: ${oc.env:NOT_SET_HERE} does not resolve") for line in found)


def test_sweep_checks_every_value_once_and_reports_each_problem_once():
    assert problems("optimizer.lr=1e-3,abc", "seed=range(3)", "model.act=relu,tanh", multirun=True) == [
        "optimizer.lr: 'abc' is not a number",
        "model.act: 'tanh' is not 'relu' or 'gelu'",
    ]
    assert len(rehearse(["optimizer.lr=1e-3,1e-2", "seed=0,1"], multirun=True, given=LATER)) == 3


def test_checking_does_not_change_the_config():
    composed = Composed.of(["optimizer.lr=1"])
    before = OmegaConf.to_yaml(composed.config)
    check(composed, given=LATER)
    assert OmegaConf.to_yaml(composed.config) == before


def test_evaluate_has_other_root_keys():
    def evaluate(override: str):
        return check(Composed.of([override], config_name="evaluate"), roots=EvaluateKeys)

    assert evaluate("set=val").data is None
    with pytest.raises(ConfigError, match="set: 'tests' is not 'train', 'val', 'test', 'test_clean' or 'test_strict'"):
        evaluate("set=tests")
    with pytest.raises(ConfigError, match="epochs: there is no such key"):
        evaluate("+epochs=1")


def test_taxonomy_comes_from_a_file(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text("classes: {wall: [1, 1, 1], face: [2, 2, 2]}\nvoid: 9\n")
    config = compose([f"data.taxonomy='{file}'"])
    assert read_taxonomy(config).data.taxonomy == {"classes": {"wall": [1, 1, 1], "face": [2, 2, 2]}, "void": 9}
    assert config.data.taxonomy == str(file)
    assert plan(f"data.taxonomy='{file}'").data.taxonomy.void == 9
    assert read_taxonomy(compose()).data.taxonomy.names == ["background", "skin"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read"),
        ("a: [", "not YAML"),
        ("3", "not a mapping; expected `classes"),
        ("!!python/object/apply:os.mkdir [made]", "not YAML"),
        ("classes:\n  wall: [0, 0, 0]\n  face: {_target_: os.mkdir, path: made}", "_target_ has a special meaning"),
        ("classes: {wall: [0, 0, 0], face: [1, 1, '${oc.env:HOME}']}", "has a special meaning in a config"),
        ("remap: {1: wall, 1: face}", "1 is a duplicate key"),
        ("classes:\n  wall: [0, 0, 0]\n  wall: [9, 9, 9]", "mine.yaml, line 3: wall is a duplicate key"),
        ("classes:\n  off: [0, 0, 0]\n  'off': [9, 9, 9]", "mine.yaml, line 3: off is a duplicate key"),
        ("a: &a [x]\nb: *a", "a reference"),
        ("a: " + "[" * 5000, "more than 5 levels"),
    ],
)
def test_taxonomy_file_with_anything_but_classes_is_reported_once_and_runs_no_code(
    tmp_path: Path, content: str | None, reason: str
):
    if content is not None:
        Path("mine.yaml").write_text(content)
    (problem,) = problems("data.taxonomy=mine.yaml")
    assert reason in problem
    assert not Path("made").exists()


NAMES = [
    "off",
    "no",
    "yes",
    "Yes",
    "~",
    "null",
    "007",
    "7",
    "1_000",
    "1.50",
    "1e3",
    "2024-01-01",
    "<<",
    "=",
    "background",
]


def test_names_in_a_taxonomy_file_are_read_as_they_are_written():
    colours = "".join(f"  {name}: [0, 0, {index}]\n" for index, name in enumerate(NAMES))
    remap = "".join(f"  {index}: {name}\n" for index, name in enumerate(NAMES))
    more = "pairs: [[no, yes], [007, 7]]\nvoid: 255\nsynthetic_as: {skin: off, hair: null}\n"
    Path("mine.yaml").write_text(f"classes:\n{colours}remap:\n{remap}{more}")
    read = read_taxonomy_file("mine.yaml")
    assert {type(name) for name in read["classes"]} == {str}, "mixed keys have no order, which an identity needs"
    taxonomy = Taxonomy.from_mapping(read)
    assert list(taxonomy.names) == [*taxonomy.remap.values()] == NAMES
    assert taxonomy.colours[3] == (0, 0, 3)
    assert (taxonomy.pairs, taxonomy.void, [*taxonomy.remap]) == ((("no", "yes"), ("007", "7")), 255, [*range(15)])
    assert taxonomy.synthetic_as == {"skin": "off", "hair": "null"}


def test_names_that_a_config_file_or_the_command_line_has_made_booleans_are_refused():
    (problem,) = problems("data.taxonomy={True: [0, 0, 0], face: [9, 9, 9]}")
    assert problem.startswith("data.taxonomy.True: the name True is not text; put it in quotes")
    Path("conf/data/taxonomy").mkdir(parents=True)
    Path("conf/data/taxonomy/mine.yaml").write_text("names: {off: [0, 0, 0], face: [9, 9, 9]}")
    (problem,) = problems("data/taxonomy=mine", config_dirs=["conf"])
    assert problem.startswith("data.taxonomy.names.False: the name False is not text; put it in quotes")


def test_numbers_in_a_taxonomy_file_stay_numbers_so_that_identities_of_runs_stay():
    Path("mine.yaml").write_text("classes: {0: [0, 0, 0], 1: [0, 0, 9]}\nremap: {2: 0, 10: 1}\n")
    taxonomy = {"classes": {0: [0, 0, 0], 1: [0, 0, 9]}, "remap": {2: 0, 10: 1}}
    assert read_taxonomy(compose(["data.taxonomy=mine.yaml"])).data.taxonomy == taxonomy


def test_auto_becomes_what_the_machine_has(devices):
    devices(amx_bf16=True)
    trainer = plan("trainer.accelerator=auto", "trainer.precision=auto").trainer
    assert (trainer.accelerator, trainer.precision) == ("cpu", "bf16-mixed")


def test_missing_gpu_is_a_machine_error_unless_the_config_is_wrong_too(devices):
    devices()
    with pytest.raises(MachineError, match=r"^trainer.accelerator=gpu: this machine has no such GPU[^\n]*$"):
        plan("trainer.accelerator=gpu", "trainer.precision=auto")
    with pytest.raises(ConfigError):
        plan("trainer.accelerator=gpu", "optimizer.lr=abc")


def test_path_that_cannot_be_written_is_reported_before_anything_runs(tmp_path: Path):
    Path("file").write_text("")
    with pytest.raises(MachineError, match=r"^paths.runs=file/runs: cannot write there: .* is a file, not a folder"):
        plan("paths.runs=file/runs")
    with pytest.raises(MachineError, match=r"^paths.cache=/proc/new/cache: cannot write there"):
        plan("paths.cache=/proc/new/cache")
    plan("paths.runs=new/runs")
    assert not Path("new").exists()


def test_checked_plan_builds_with_the_values_that_were_checked():
    checked = plan("optimizer.lr=1")
    optimizer = build(checked.optimizer)([torch.nn.Parameter(torch.zeros(1))])
    assert type(optimizer.defaults["lr"]) is float
    assert to_plain(checked)["trainer"]["max_epochs"] == 2
