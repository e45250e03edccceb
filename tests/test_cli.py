"""A command line is understood, or its mistakes are reported in a line each and nothing runs."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from facesegl import __version__, cli
from facesegl.config.compose import compose
from facesegl.errors import Stopped
from helpers.calling import SMALL_UNET, assert_reported, call, run, script, start, tab


def assert_nothing_ran(ended, *messages, code=2):
    assert_reported(ended, code, *messages)
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_the_command_alone_shows_its_verbs(arguments):
    ended = call(*arguments)
    assert (ended.code, ended.err) == (0, "")
    assert all(words in ended.out for words in ("train ", "evaluate ", "data ", "First steps"))


def test_version_is_shown_in_this_process_and_by_the_installed_command():
    assert call("--version") == run("--version") == (0, f"facesegl {__version__}\n", "")


@pytest.mark.parametrize(
    "verb", ["train", "tune", "evaluate", "predict", "compare", "report", "export", "info", "data"]
)
def test_the_version_of_any_verb_is_ours(verb):
    assert call(verb, "--version") == (0, f"facesegl {__version__}\n", "")


@pytest.mark.parametrize(
    ("verb", "remedy"), [("trian", "did you mean train?"), ("predicts", "did you mean predict?"), ("x", "there are: ")]
)
def test_an_unknown_verb_is_reported_with_the_nearest(verb, remedy):
    assert_nothing_ran(call(verb, "x"), [f"{verb}: no such verb", remedy])


@pytest.mark.parametrize(
    ("verb", "shown", "foreign"),
    [("train", ["model: fcn, smp, unet"], ["CKPT"]), ("evaluate", ["data: ", "set: test", "CKPT"], ["optimizer"])],
)
def test_help_of_a_verb_shows_its_own_choices_and_keys(verb, shown, foreign):
    ended = call(verb, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert all(words in ended.out for words in shown)
    assert not any(words in ended.out for words in foreign)
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("verb", ["train", "evaluate"])
def test_help_shows_the_defaults_of_the_config(verb):
    shown = re.findall(r"^([a-z_.]+)=(\S+)  ", call(verb, "--help").out, flags=re.MULTILINE)
    assert len(shown) > 5
    config = OmegaConf.create(call(verb, "--cfg", "job").out)
    choices = compose(config_name=verb).choices
    assert {key: yaml.safe_load(value) for key, value in shown} == {
        key: choices.get(key) or OmegaConf.select(config, key) for key, _ in shown
    }


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["train", "--cfg", "job", "seed=0", "trainer.max_epochs=7"], "  max_epochs: 7"),
        (["train", "seed=0", "--cfg", "job", "trainer.max_epochs=7"], "  max_epochs: 7"),
        (["train", "seed=0", "trainer.max_epochs=7", "--cfg", "job"], "  max_epochs: 7"),
        (["evaluate", "--cfg", "job"], "set: test"),
        (["evaluate", "some.ckpt", "--cfg", "job"], "set: test"),
    ],
)
def test_config_can_be_shown_without_running_it_wherever_the_option_is(arguments, line):
    ended = call(*arguments)
    assert (ended.code, ended.err) == (0, "")
    assert line in ended.out.splitlines()
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "5"], ["--epochs", "no such option", "trainer.max_epochs"]),
        (["--epochs=5"], ["--epochs=5: no such option; did you mean trainer.max_epochs=5?"]),
        (["--batch-size", "8"], "--batch-size: no such option; did you mean data.batch_size=VALUE?"),
        (["--resume=auto"], "--resume=auto: no such option; did you mean resume=auto?"),
        (["--mutlirun"], "--mutlirun: no such option; did you mean --multirun?"),
        (["data=/"], ["data=/: no such data; your own faces are data=folder data.source.images=FOLDER"]),
        (["/"], ["/: not an override", "your own faces are data=folder data.source.images=FOLDER"]),
        (["data.source.images=/"], ["FASSEG has no such parameter", "your own faces are data=folder"]),
        (["loss.class_weights={eyes:", "3}"], ["loss.class_weights={eyes: 3}", "write it in quotes"]),
        (["seed=1 model=fcn"], "seed=1 model=fcn: several overrides in one pair of quotes; write them apart"),
        (["optimizer.lr=1e-2,"], "optimizer.lr=1e-2,: there is no value after its comma"),
        (["epochs=5"], ["epochs: there is no such key", "trainer.max_epochs"]),
        (["max_epochs=5"], ["max_epochs: there is no such key", "trainer.max_epochs"]),
        (["lr=3"], ["lr: there is no such key", "optimizer.lr"]),
        (["batch_size=3"], ["batch_size: there is no such key", "data.batch_size"]),
        (["images=photos"], "images: there is no such key; did you mean data=folder data.source.images?"),
        (["gpus=2"], "gpus: there is no such key; did you mean trainer=gpu trainer.devices?"),
        (["data=fasseg"], "data=fasseg: no such data; did you mean fasseg_v2?"),
        (["model"], "model: not an override; write it as key=value"),
        (["data:synthetic"], "data:synthetic: not an override"),
        (["trainer.max_epochs 5"], "trainer.max_epochs 5: not an override"),
        (["data =synthetic"], ["data =synthetic", "blank"]),
        (["optimizer.lr='1e-2"], "optimizer.lr='1e-2: its value cannot be parsed"),
        (["paths.data=[x"], "paths.data=[x: its value cannot be parsed"),
        (["optimizer.lr=1e-2,3e-3"], ["several values where one is expected", "-m"]),
        (["=3"], "=3: not an override"),
        (["--config-dir", "nowhere"], "--config-dir nowhere: there is no such folder"),
        (["--config-dir"], "--config-dir"),
        (["--cfg", "foo"], "--cfg"),
        (["--config-name", "foo"], "--config-name"),
        (["-m", "--cfg", "job", "seed=0,1"], "--multirun and --cfg: expected one of them"),
        (["--config-path", "foo"], "--config-path"),
        (["model=unnet"], ["model=unnet: no such model; did you mean unet?"]),
        (["data=syntetic"], "data=syntetic: no such data; did you mean synthetic?"),
        (["modell=fcn"], ["modell", "did you mean model?"]),
        (["experiment=referense"], "experiment=referense: no such experiment; did you mean reference?"),
        (["optimizer.lr=abc"], "optimizer.lr: 'abc' is not a number"),
        (["model.chanels=3"], "model.chanels: facesegl.nets.UNet has no such parameter; did you mean channels?"),
        (["seed=x"], "seed: 'x' is not a whole number"),
        (["hydra/launcher=ray"], "hydra/launcher=ray: "),
        (["~model"], "model: the config needs model"),
        (["data.source=null"], "data.source"),
        (["paths.data="], "paths.data"),
        (["data", "=", "synthetic"], ["data = synthetic", "data=synthetic"]),
        (["model=fcn", "data.image_size=250"], ["data.image_size=250", "use 240 or 256"]),
        (["-m", "seed=0", "optimizer.lr=1e-2,abc"], "optimizer.lr: 'abc' is not a number"),
        (["seed=0", "-m", "optimizer.lr=1e-2,abc"], "optimizer.lr: 'abc' is not a number"),
        (["optimizer.lr=1e-2,abc", "-m"], "optimizer.lr: 'abc' is not a number"),
        (["-m", "seed=0,1", "paths.run=runs/all"], ["paths.run=runs/all", "name=NAME", "paths.runs=FOLDER"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_reported_in_one_line(arguments, message):
    assert_nothing_ran(call("train", *arguments), message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "x.ckpt", "--set", "test"], "--set: no such option; did you mean set=VALUE?"),
        (["predict", "x.jpg", "-o", "out", "--batch_size", "8"], "--batch_size: no such option; did you mean --batch"),
        (["predict", "x.jpg", "device=cpu", "-o", "out"], "device=cpu: predict has options, not keys; write --device"),
        (["info", "a", "b"], "b: one argument too many; expected facesegl info CKPT."),
        (["export", "a.ckpt"], "export: expected facesegl export CKPT -o FILE. See facesegl export --help."),
        (["data", "preview", "/"], "/: expected key=value here, e.g. data=folder data.source.images=FOLDER"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_in_any_verb_is_reported_in_one_line(arguments, message):
    assert_nothing_ran(call(*arguments), message)


@pytest.mark.parametrize(
    "values",
    [
        *("data.fold=9", "data.fold=-1", "data.folds=1 data.fold=0"),
        *("data.image_size=0", "data.batch_size=0", "data.workers=-1"),
        *("model.channels=0", "model.depth=0", "augment.flip=3"),
        *("trainer.max_epochs=0", "trainer.max_epochs=-5", "trainer.max_epochs=-1"),
        *("trainer.devices=0", "trainer.precision=17"),
        *("optimizer.lr=-1", "optimizer.lr=nan", "optimizer.lr=inf", "optimizer.weight_decay=-1", "schedule.rise=2"),
        *(
            "schedule=plateau schedule.factor=2",
            "schedule=plateau schedule.mode=max",
            "schedule=multi_step schedule.gamma=x",
            "schedule=multi_step schedule.milestones=abc",
        ),
        "schedule=multi_step ~schedule.milestones schedule._target_=torch.optim.lr_scheduler.StepLR",
        "schedule=cosine ~schedule.eta_min schedule._target_=torch.optim.lr_scheduler.LambdaLR"
        " +schedule.lr_lambda._target_=helpers.trainings.Unsaved",
        *("loss.class_weights=[1,2]", "loss.class_weights={eye:3}", "loss.class_weights={eyes:-1}"),
        *("loss=focal loss.gamma=-1", "loss.class_weights=[0,0,0,0,0,0]", "loss.class_weights=x"),
        *("seed=-1", "seed=99999999999999999999", "name=../elsewhere", "name=''"),
        *("callbacks.early_stopping.monitor=foo", "callbacks.early_stopping.patience=-1", "callbacks.best.mode=foo"),
        *("callbacks.averaging.decay=2", "callbacks.checkpoint.every_s=-1"),
    ],
)
def test_value_that_makes_no_sense_is_refused_before_anything_runs(fasseg, values):
    words = values.split()
    ended = call("train", *SMALL_UNET, *words)
    key = words[0].partition("=")[0]
    assert_reported(ended, 2, key.rpartition(".")[2])
    assert not Path("runs").exists()
    assert not Path("elsewhere").exists()


def test_all_problems_are_reported_at_once():
    ended = call("train", "optimizer.lr=abc", "model.chanels=3", "augment=fase")
    assert_nothing_ran(ended, "", "", "")
    reported = {line.split(":")[1].strip() for line in ended.lines("error")}
    assert reported == {"augment=fase", "model.chanels", "optimizer.lr"}


def test_values_and_folders_are_reported_with_the_other_problems():
    mistakes = ["data.fold=9", "trainer.max_epochs=-5", "paths.data=nowhere", "paths.runs=/proc/x", "model.depth=0"]
    ended = call("train", "optimizer.lr=abc", *mistakes)
    assert_nothing_ran(ended, *("optimizer.lr", "data.fold", "model.depth", "max_epochs", "paths.data", "paths.runs"))


def test_gpu_that_is_not_there_is_the_machines_fault():
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("there is a GPU")
    assert_nothing_ran(
        call("train", "trainer=gpu"), ["error: trainer=gpu: this machine has no such GPU", "cpu"], code=5
    )
    typed = call("train", "trainer.accelerator=gpu")
    assert_nothing_ran(typed, "error: trainer.accelerator=gpu: this machine has no such GPU", code=5)


@pytest.mark.parametrize(
    ("values", "messages"),
    [
        (["seed=0,a"], ["seed: 'a' is not a whole number"]),
        (["optimizer.lr=1e-2,abc"], ["optimizer.lr: 'abc' is not a number"]),
        (["model=unet,fnc"], ["model=fnc: no such model"]),
        (["optimizer.lr=1e-2,-1"], ["lr"]),
        (["data.fold=0,9"], ["fold"]),
        (["seed=0,1", "optimizer.lr=1e-2,x"], ["optimizer.lr: 'x' is not a number"]),
        (
            ["optimizer.lr=1e-2,abc", "model.depth=2,x"],
            ["model.depth: 'x' is not a whole number", "optimizer.lr: 'abc' is not a number"],
        ),
    ],
    ids=str,
)
def test_sweep_with_wrong_values_runs_nothing(fasseg, values, messages):
    assert_reported(call("train", "-m", *SMALL_UNET, *values), 2, *messages)
    assert not Path("runs").exists()


def completed(line, monkeypatch):
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    ended = call("-sc", "query=bash")
    assert (ended.code, ended.err) == (0, "")
    return ended.out.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("facesegl ", {"train", "evaluate"}),
        ("facesegl tr", {"train"}),
        ("facesegl train mod", {"model=", "model."}),
        ("facesegl train model=", {"model=fcn", "model=unet"}),
        ("facesegl train trainer.max_", {"trainer.max_epochs="}),
        ("facesegl train model=fcn trainer.max_", {"trainer.max_epochs="}),
        ("facesegl train opt", {"optimizer=", "optimizer."}),
        ("facesegl evaluate last.ckpt se", {"set=", "seed="}),
        ("/some/where/facesegl train model=f", {"model=fcn"}),
        ("facesegl data ", {"check", "preview", "download"}),
        ("facesegl data pre", {"preview"}),
        ("facesegl data i", {"init"}),
        ("facesegl data init --f", {"--force"}),
        ("facesegl data check --ve", {"--version"}),
        ("facesegl data preview --augmented data=fo", {"data=folder"}),
        ("facesegl export run/last.ckpt --i", {"--int8"}),
        ("facesegl report runs/a paths.da", {"paths.data="}),
        *((f"facesegl {verb} face", {"facesegl:faces"}) for verb in ("predict", "compare", "info")),
    ],
)
def test_tab_completes_verbs_groups_options_and_keys(line, offered, monkeypatch):
    assert offered <= set(completed(line, monkeypatch))


def test_tab_offers_nothing_but_what_continues_the_word(monkeypatch):
    assert set(completed("facesegl train model=f", monkeypatch)) == {"model=fcn"}


@pytest.mark.parametrize(
    "line",
    [
        *("trian mod", "data chek mod", "data download mod", "info runs/a/last.ckpt mod"),
        *("train data.source={a: ", "train seed=[1, m", "train model=fcn) mo"),
    ],
)
def test_tab_completes_nothing_where_no_word_is_expected_or_the_line_cannot_be_parsed(line, monkeypatch):
    assert completed(f"facesegl {line}", monkeypatch) == []


@pytest.mark.slow
def test_tab_completion_works_in_a_real_bash():
    verbs, groups, options, keys = tab(
        "facesegl tr", "facesegl train mod", "facesegl train model=", "facesegl train trainer.max_"
    )
    assert verbs == {"train"}
    assert {"model=", "model."} <= groups
    assert {"fcn", "unet"} <= {option.removeprefix("model=") for option in options}
    assert any(key.startswith("trainer.max_epochs") for key in keys)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"], ["train", "--cfg", "job"]])
def test_a_closed_pipe_is_no_error(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    process = start(*arguments, stdout=writing)
    os.close(writing)
    _, err = process.communicate(timeout=60)
    assert err == ""
    assert process.returncode in (0, 141)


@pytest.mark.slow
def test_head_ends_a_long_output_without_an_error():
    line = f"{shlex.quote(str(script()))} train --cfg job | head -1; echo ${{PIPESTATUS[0]}}"
    shell = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=False)
    assert shell.stderr == ""
    assert shell.stdout.splitlines()[-1] in ("0", "141")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_output_that_is_full_is_the_machines_fault():
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run([script(), "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 5
    remedy = "check its permissions, its name, and the free space on its disk."
    assert ended.stderr == f"error: the output: No space left on device; {remedy}\n"


def test_a_file_name_that_is_too_long_is_reported_in_one_line():
    assert_reported(call("data", "preview", "data=synthetic", "-o", "x" * 300 + ".png"), 5, "File name too long")


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt(), 130), (Stopped("by SIGTERM", 15), 143)])
def test_an_error_while_a_library_cleans_up_after_a_signal_is_that_signal(monkeypatch, stop, code):
    def interrupted(_):
        try:
            raise stop
        finally:
            raise AttributeError("half built")

    monkeypatch.setitem(cli._VERBS, "info", interrupted)
    assert_reported(call("info", "x"), code, "by a signal")
