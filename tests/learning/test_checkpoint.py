"""A checkpoint is data: nothing in the file runs, and every problem is reported in one line."""

import contextlib
import errno
import os
import resource
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

import facesegl
from facesegl.config.compose import conf_dir
from facesegl.errors import CheckpointError, ConfigError, MachineError
from facesegl.learning import LastCheckpoint, SegmentationModule, WholeCheckpointIO, read_checkpoint
from helpers.faces import face_module
from helpers.modules import NET, bare_trainer, make_card, make_module, make_net, make_trainer

pytestmark = bare_trainer
load = SegmentationModule.load_from_checkpoint


class RunsCode:
    """What pickle would run when it is read."""

    def __reduce__(self):
        return os.system, ("touch ran",)


def refused(path, message, **options):
    with pytest.raises(CheckpointError, match=message) as caught:
        load(path, **options)
    (problem,) = caught.value.problems
    assert str(path) in problem
    assert "\n" not in problem
    assert not Path("ran").exists()


def names(folder):
    return [path.name for path in folder.iterdir()]


# files that are no checkpoint


UNKNOWN = "not a checkpoint of facesegl"
ANOTHER = "it has no card of facesegl; was it written by another program"


def test_a_pickle_with_code_is_refused_and_does_not_run(saved, tmp_path):
    torch.save({"state_dict": {}, "hyper_parameters": make_card(), "more": RunsCode()}, tmp_path / "evil.ckpt")
    refused(tmp_path / "evil.ckpt", "it was not opened, since")
    torch.save(RunsCode(), tmp_path / "evil.ckpt", _use_new_zipfile_serialization=False)
    refused(tmp_path / "evil.ckpt", r"evil\.ckpt")


def test_a_whole_module_is_refused_as_it_would_run_code(tmp_path):
    torch.save(make_net(), tmp_path / "net.pt")
    refused(tmp_path / "net.pt", "holds more than tensors and plain values")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        *((torch.zeros(3), UNKNOWN), ([1, 2], UNKNOWN), ({"model": {}}, UNKNOWN), ({}, UNKNOWN)),
        *(({"state_dict": {}}, UNKNOWN), ({"hyper_parameters": {}}, UNKNOWN)),
        *(({"state_dict": {}, "hyper_parameters": card}, ANOTHER) for card in ({"lr": 0.1}, None, [1], "card", {})),
    ],
)
def test_a_file_of_another_program_is_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "other.pt")
    refused(tmp_path / "other.pt", message)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.99])
def test_a_file_that_is_cut_off_is_refused(saved, share):
    path = saved()
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    refused(path, "last.ckpt")


@pytest.mark.parametrize("content", [b"a text\n", b"", b"\x00" * 500, b"PK\x03\x04" + b"x" * 50, b"\x80\x02}q\x00."])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    (tmp_path / "notes.txt").write_bytes(content)
    refused(tmp_path / "notes.txt", r"notes\.txt")


def test_a_folder_or_a_missing_file_is_reported_with_where_to_look(tmp_path):
    refused(tmp_path, "a folder; expected a file, e.g. its checkpoints/last.ckpt")
    refused(tmp_path / "last.ckpt", "no such file; expected a checkpoint, e.g. runs/NAME/DATE/checkpoints/last.ckpt")


# the card


@pytest.mark.parametrize(
    "target",
    [
        *("os.system", "posix.system", "builtins.eval", "facesegl.config.os.makedirs", "torch.nn.Linear"),
        *("facesegl.learning.checkpoint.torch.load", "facesegl.nets.check_size", "facesegl.nets.fcn.nn.Sequential"),
        *("facesegl.config.TrainKeys", "facesegl.Taxonomy", "facesegl.data.FaceDataModule"),
        *("facesegl.nets.NoSuchNet", "facesegl.nothing.Net", "facesegl", "", None, 7),
    ],
)
def test_a_card_that_names_anything_but_a_net_is_refused(saved, target, monkeypatch):
    monkeypatch.setattr(os, "makedirs", lambda *_: pytest.fail("ran"))
    path = saved(net={**NET, "_target_": target})
    refused(path, "net ")


@pytest.mark.parametrize("target", ["os.system", "facesegl.config.os.system"])
def test_a_command_in_a_card_does_not_run(saved, target):
    command = {"_target_": target, "command": "touch ran"}
    for net in (command, {**NET, "channels": command}, {"_target_": "facesegl.nets.UNet", "_args_": [command]}):
        refused(saved(net=net), "net")


SECRET = "${oc.env:HOME}"
DATA = {"choice": "fasseg_v2", "name": "fasseg_v2", "fingerprint": "0" * 12, "values": {}}


@pytest.mark.parametrize(
    ("part", "value"),
    [
        *(("net", {**NET, **change}) for change in ({"channels": SECRET}, {"_target_": SECRET}, {SECRET: 1})),
        ("taxonomy", {"classes": {SECRET: [0, 0, 0], "skin": [1, 1, 1]}}),
        ("normalisation", {"mean": [SECRET, 1.0, 1.0], "std": [1.0, 1.0, 1.0]}),
        ("data", {**DATA, "choice": SECRET}),
        ("data", {**DATA, "values": {"source": ["a", {"b": "${x}"}]}}),
    ],
)
def test_an_interpolation_in_a_card_is_refused_and_never_resolved(saved, part, value):
    refused(saved(**{part: value}), rf"its card has (the key )?\$\{{.+\}} in {part}")


def test_the_text_of_the_config_stays_text(saved, monkeypatch):
    monkeypatch.setenv("SECRET", "secret")
    module = load(saved(config="seed: ${oc.env:SECRET}\n", versions={"facesegl": "${oc.env:SECRET}"}))
    assert module.hparams["config"] == "seed: ${oc.env:SECRET}\n"
    assert "secret" not in str(dict(module.hparams))


UNFIT = "cannot be built from the checkpoint's parameters"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(
            ({"format": form, "versions": {"facesegl": "9.8"}}, r"reads 1; .*facesegl 9\.8")
            for form in (0, 2, "1", None)
        ),
        *(({part: None}, f"its card lacks {part}") for part in make_card() if part != "format"),
        *(({"net": {**NET, **change}}, UNFIT) for change in ({"width": 3}, {"channels": 0}, {"depth": "deep"})),
        *(
            ({"normalisation": {"mean": mean, "std": std}}, "normalisation")
            for mean, std in [([1.0, 2.0, 3.0], None), ([1.0], [1.0]), ("red", "blue"), (None, 3)]
        ),
        ({"normalisation": {}}, "normalisation"),
        *(({"taxonomy": {"classes": found}}, "class") for found in ({}, {"a": [0, 0, 0], "b": [0, 0, 0]}, 3)),
        ({"taxonomy": {}}, "class"),
    ],
    ids=str,
)
def test_a_wrong_card_is_refused_with_what_is_wrong(saved, changes, message):
    refused(saved(**changes), message)


@pytest.mark.parametrize("part", make_card())
def test_a_missing_part_of_a_card_is_reported(saved, tmp_path, part):
    card = {name: value for name, value in make_card().items() if name != part}
    torch.save({"state_dict": {}, "hyper_parameters": card}, tmp_path / "broken.ckpt")
    refused(tmp_path / "broken.ckpt", "no card of facesegl" if part == "format" else f"its card lacks {part}")


@pytest.mark.parametrize("change", ["width", "lacks", "more", "none", "no tensor"])
def test_weights_that_do_not_fit_their_net_are_reported(saved, change):
    state = make_module(make_net(channels=3) if change == "width" else None).state_dict()
    if change == "lacks":
        state.popitem()
    elif change == "more":
        state["net.extra"] = torch.zeros(1)
    elif change == "no tensor":
        state["net.head.bias"] = "a text"
    refused(saved(state={} if change == "none" else state), "its weights do not fit the net in its card")
    refused(saved(state=[torch.zeros(1)]), "last.ckpt")


# evaluate with a card


EVIL = {"_target_": "os.makedirs", "name": "ran"}


@pytest.mark.parametrize(
    "values",
    [{"taxonomy": {"evil": [EVIL]}}, {"taxonomy": {"evil": EVIL}}, EVIL, {"source": EVIL}, {"evil": [EVIL]}],
)
def test_a_class_named_outside_the_net_is_refused_and_not_built(saved, fasseg, values):
    path = saved(data={**DATA, "values": values})
    with pytest.raises(CheckpointError, match=r"last\.ckpt"):
        facesegl.evaluate(path)
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    "changes",
    [
        *(
            {"values": {way.format(key): value for key, value in EVIL.items()}}
            for way in ("taxonomy.evil.{}", "taxonomy[evil][{}]", "source.evil.{}")
        ),
        {"choice": os.path.relpath("evil", conf_dir() / "data")},
    ],
)
def test_a_card_has_no_path_into_the_config_and_chooses_no_file_outside_conf(saved, fasseg, changes):
    Path("evil.yaml").write_text("_target_: os.makedirs\nname: ran\n")
    with pytest.raises((CheckpointError, ConfigError)):
        facesegl.evaluate(saved(data={**DATA, **changes}))
    assert not Path("ran").exists()


def test_a_card_does_not_choose_where_files_are(saved, fasseg, tmp_path):
    path = saved(data={**DATA, "values": {"cache": "elsewhere", "source": {"root": "strangers", "version": "V2"}}})
    with contextlib.suppress(CheckpointError):
        facesegl.evaluate(path, "device=cpu", "panels=0")
    assert not Path("elsewhere").exists()


# trusted packages


def test_a_net_of_another_package_is_loaded_once_it_is_trusted(saved, stranger, photos):
    path = saved(net={**NET, "_target_": "stranger.nets.Net"})
    refused(path, r"allow it with trust=\[stranger\]", trust=["strange", "nets", ""])
    assert not stranger.exists()
    module = load(path, trust=["stranger"])
    assert type(module.net).__module__ == "stranger.nets"
    assert module(photos).shape == (3, 6, 16, 20)


# writing is atomic


def write_half(file):
    """What torch.save had written, to a path or to an open file, when it was disturbed."""
    with file.open("wb") if isinstance(file, Path) else contextlib.nullcontext(file) as opened:
        opened.write(b"half of i")


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "checkpoints" / "last.ckpt"
    WholeCheckpointIO().save_checkpoint({"step": 1}, path)
    before = path.read_bytes()

    def half(checkpoint, file):
        write_half(file)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(MachineError, match=r"last\.ckpt: .*the disk is full; free some space"):
        WholeCheckpointIO().save_checkpoint({"step": 2}, path)
    assert path.read_bytes() == before
    assert names(path.parent) == ["last.ckpt"]


def test_a_file_that_may_not_grow_leaves_the_old_one(tmp_path):
    """By a real limit of the system, for which torch's writer raises a RuntimeError, as for a full disk."""
    path = tmp_path / "last.ckpt"
    WholeCheckpointIO().save_checkpoint({"step": 1}, path)
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(MachineError, match=r"last\.ckpt"):
            WholeCheckpointIO().save_checkpoint({"weights": torch.zeros(100_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert names(tmp_path) == ["last.ckpt"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_a_stop_in_the_middle_of_writing_leaves_the_old_one(tmp_path, monkeypatch, stop):
    path = tmp_path / "last.ckpt"
    WholeCheckpointIO().save_checkpoint({"step": 1}, path)

    def half(checkpoint, file):
        write_half(file)
        raise stop

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(stop):
        WholeCheckpointIO().save_checkpoint({"step": 2}, path)
    monkeypatch.undo()
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert names(tmp_path) == ["last.ckpt"]


def test_a_new_checkpoint_takes_the_old_ones_place(tmp_path):
    for step in (1, 2):
        WholeCheckpointIO().save_checkpoint({"step": step}, str(tmp_path / "deep" / "last.ckpt"))
    assert torch.load(tmp_path / "deep" / "last.ckpt", weights_only=True) == {"step": 2}
    assert names(tmp_path / "deep") == ["last.ckpt"]


# when the last one is written


@pytest.fixture
def written(fasseg, tmp_path, monkeypatch):
    """The steps after which a training wrote last.ckpt."""

    def train(every_s, epochs=3, callbacks=(), **trainer):
        steps, last = [], LastCheckpoint(str(tmp_path / "ck"), every_s=every_s)
        real = last._save_checkpoint
        monkeypatch.setattr(last, "_save_checkpoint", lambda t, path: (steps.append(t.global_step), real(t, path))[1])
        fit = make_trainer(
            epochs, [*callbacks, last], enable_checkpointing=True, plugins=[WholeCheckpointIO()], **trainer
        )
        fit.fit(make_module(), datamodule=face_module())
        assert names(tmp_path / "ck") == ["last.ckpt"]
        assert read_checkpoint(tmp_path / "ck" / "last.ckpt")["global_step"] == steps[-1] == fit.global_step
        return steps

    return train


def test_the_last_checkpoint_comes_with_every_epochs_last_step(written):
    assert written(every_s=0) == [2, 4, 6]


def test_it_is_not_written_more_often_than_asked_but_always_at_the_end(written):
    assert written(every_s=3600) == [2, 6]


def test_a_training_that_ends_by_steps_in_an_epoch_leaves_its_last_weights(written):
    assert written(every_s=3600, max_steps=5)[-1] == 5


class StopsAfterTheSecondEpoch(pl.Callback):
    """Ends a training as early stopping does."""

    def on_train_epoch_end(self, trainer, pl_module):
        trainer.should_stop = trainer.current_epoch == 1


def test_a_training_that_stops_early_leaves_its_last_weights(written):
    assert written(every_s=3600, epochs=9, callbacks=[StopsAfterTheSecondEpoch()])[-1] == 4
