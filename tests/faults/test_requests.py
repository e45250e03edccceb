"""What Lightning, rich or the system refuse is the user's error, in one line; what is harmless works."""

import errno
import os
import re
import subprocess
from pathlib import Path

import pytest
import pytorch_lightning as pl

from facesegl.commands.build import lightning_refusals
from facesegl.errors import ConfigError
from facesegl.pretrained import FACES
from helpers.calling import SMALL_UNET, assert_reported, call, script, train
from helpers.records import record_of


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ("trainer.max_steps=0", "expected 1 or more, or -1 for no limit"),
        ("trainer.limit_train_batches=0", "expected more than 0"),
        ("trainer.limit_train_batches=0.01", "it leaves none of 2 batches per epoch; expected a share of 0.5 or more"),
        ("trainer.limit_val_batches=0.01", "it leaves none of 1 batch per epoch"),
        ("trainer.overfit_batches=0.01", "it leaves none of 1 batch per epoch"),
        ("trainer.val_check_interval=0", "expected more than 0"),
        ("trainer.val_check_interval=3", "there are 2 batches per epoch"),
        ("trainer.devices=99", "on a CPU each is a process"),
        ("trainer.check_val_every_n_epoch=0", "expected more than 0"),
        ("trainer.accumulate_grad_batches=0", "expected more than 0"),
        ("trainer.enable_checkpointing=false", "found `ModelCheckpoint` in callbacks"),
        ("callbacks.panels={_target_: facesegl.monitoring.PanelCallback, folder: x, photos: 4, every: 0}", "every=0"),
        ("data=synthetic data.source.height=19", "data.source.height=19: expected 20 or more"),
        ("data=synthetic data.source.train=0", "data.source.train=0: expected 1 or more"),
        ("data=synthetic data.source.test=-1", "data.source.test=-1: expected 0 or more"),
        ("model={_target_: helpers.faulty.OnePixelNet}", "cannot be trained on one photo of 16x16"),
    ],
)
def test_a_request_that_trains_nothing_is_refused_before_there_is_a_folder(fasseg, request_, message):
    one_photo = ["data.photos=1"] if "OnePixelNet" in request_ else []
    ended = train(*re.split(" (?=data)", request_), *one_photo)
    assert_reported(ended, 2, message)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    "request_",
    [
        *("trainer.limit_val_batches=0", "trainer.fast_dev_run=true", "trainer.overfit_batches=1"),
        *(
            "trainer.val_check_interval=0.01",
            "trainer.val_check_interval=00:00:00:01",
            "trainer.check_val_every_n_epoch=5",
        ),
        *("trainer.precision=64-true", "trainer.precision=bf16-true"),
    ],
)
def test_a_harmless_request_works(fasseg, request_):
    ended = train(request_, "paths.run=mine")
    assert ended.code == 0, ended.err
    assert set(record_of(Path("mine"))["scores"]) == {"val"}


def test_without_validation_callbacks_that_monitor_it_are_left_out(fasseg):
    ended = train("trainer.limit_val_batches=0", "paths.run=mine")
    for name in ("best", "early_stopping"):
        assert f"callbacks.{name} is left out: trainer.limit_val_batches=0 leaves no photo to monitor" in ended.err
    assert [path.name for path in Path("mine/checkpoints").iterdir()] == ["last.ckpt"]


def test_only_what_lightning_raises_itself_is_taken_for_a_wrong_request():
    with pytest.raises(ConfigError, match=r"trainer: Lightning refuses this: .*max_epochs.*-5"), lightning_refusals():
        pl.Trainer(max_epochs=-5, accelerator="cpu", logger=False)
    with pytest.raises(ValueError, match="ours"), lightning_refusals():
        raise ValueError("ours")
    with pytest.raises(TypeError), lightning_refusals():  # called wrongly, by us
        pl.Trainer.fit()


@pytest.mark.parametrize(
    ("callback", "words"),
    [
        ("BatchSizeFinder", "BatchSizeFinder does not fit this training (ValueError: Tried to step"),
        ("BackboneFinetuning", "BackboneFinetuning does not fit this training ("),
        ("ModelPruning,pruning_fn: l1_unstructured", "ModelPruning does not fit this training (RuntimeError: "),
    ],
)
def test_a_callback_of_lightning_that_does_not_fit_is_named(fasseg, callback, words):
    ended = train(f"+callbacks.x={{_target_: pytorch_lightning.callbacks.{callback}}}", "trainer.max_epochs=2")
    assert_reported(ended, 2, f"callbacks: {words}")


@pytest.mark.parametrize("name", ["nope_module", "", "a b", "../x"])
def test_a_trusted_package_that_cannot_exist_is_named(fasseg, name):
    problem = "no package nope_module is installed" if name == "nope_module" else f"{name!r} is not the name"
    assert_reported(train(f"trust=['{name}']"), 2, f"trust: {problem}")
    assert_reported(call("predict", FACES, fasseg / "Test_RGB", "-o", "masks", "--trust", name), 2, f"trust: {problem}")


def test_a_device_without_values_is_wrong(fasseg):
    ended = call("predict", FACES, fasseg / "Test_RGB", "-o", "masks", "--device", "meta")
    assert_reported(ended, 2, "device=meta: not a device of this machine")


def test_a_folder_below_the_photos_that_cannot_be_read_is_skipped(fasseg, monkeypatch):
    photos = fasseg / "Test_RGB"
    (photos / "locked").mkdir()
    actual, stat = os.scandir, Path.stat

    def refuse(path):
        if "locked" in str(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", lambda path: refuse(path) or actual(path))
    monkeypatch.setattr(Path, "stat", lambda path, **how: refuse(path.parent) or stat(path, **how))
    ended = call("predict", FACES, photos, "-o", "masks")
    assert (ended.code, len(list(Path("masks").glob("*.png")))) == (0, 3)
    skipped = f"warning: {photos}: skipped what cannot be listed: {photos / 'locked'} (Permission denied)"
    assert ended.lines("warning")[:1] == [skipped]


def test_a_bug_in_a_callback_keeps_its_traceback(fasseg):
    ended = train("+callbacks.bug._target_=helpers.faulty.Bug")
    assert ended.code == 70
    assert "ValueError: a bug" in ended.err


def shell(line, **environment):
    """Run a line in bash, where $F is the installed command; returns what it printed."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "F": str(script()), **environment}
    return subprocess.run(["bash", "-c", line], env=env, capture_output=True, text=True, timeout=120, check=False)


INFO = '"$F" info facesegl:faces'


@pytest.mark.parametrize(
    "line", [f"{INFO} >&-", f"{INFO} 2>&-", f"{INFO} <&- >&- 2>&-", f"{INFO} | head -1; exit ${{PIPESTATUS[0]}}"]
)
def test_closed_streams_are_no_error(line):
    ended = shell(line)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("stderr", ["2>/dev/full", "2> >(true)"])
def test_a_training_and_an_error_do_not_depend_on_a_stderr_that_cannot_be_written(fasseg, stderr):
    ended = shell(f'sleep 0.2; "$F" train {" ".join([*SMALL_UNET, "paths.run=mine"])} {stderr}')
    assert (ended.returncode, record_of(Path("mine"))["state"]) == (0, "done")
    assert "run folder: mine" in ended.stdout
    assert shell(f'"$F" info nowhere {stderr}').returncode == 4


def test_a_file_never_takes_the_place_of_a_closed_stream(fasseg):
    ended = shell(f'"$F" info {fasseg} >out.txt 2>&-')
    assert (ended.returncode, Path("out.txt").read_text()) == (4, "")


@pytest.mark.parametrize("columns", ["0", "1"])
def test_a_terminal_without_a_width_is_no_error(columns):
    ended = shell(INFO, COLUMNS=columns)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "facesegl:faces" in ended.stdout


def test_a_current_folder_that_was_deleted_is_named():
    ended = shell(f"mkdir gone && cd gone && rmdir ../gone && {INFO}")
    assert (ended.returncode, ended.stdout) == (5, "")
    assert ended.stderr == "error: the current folder does not exist any more; cd to another one.\n"


def test_completion_for_an_unknown_shell_is_refused():
    assert_reported(call("-sc", "install=cmd"), 2, "-sc install=cmd: expected bash, fish or zsh")


@pytest.mark.parametrize("words", ["--help", "--version", "predict --help", "-sc", "-sc query=bash"])
def test_help_needs_no_current_folder_and_completion_no_line(words):
    folder = "true" if "-sc" in words else "mkdir gone && cd gone && rmdir ../gone"
    ended = shell(f'{folder}; unset COMP_LINE; "$F" {words}')
    assert (ended.returncode, ended.stderr, bool(ended.stdout)) == (0, "", "-sc" not in words)
