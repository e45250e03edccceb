"""Checkpoints that are missing, broken or hostile: exit code 4, no code of theirs runs, no run folder is made."""

import os
import pickle
from pathlib import Path

import pytest
import torch

from helpers.calling import SMALL_UNET, assert_reported, call, runs, succeed, train
from helpers.faces import write_faces


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trained checkpoint, next to the data that it was trained on."""
    folder = tmp_path_factory.mktemp("trained")
    write_faces(folder / "data" / "fasseg" / "V2")
    succeed("train", *SMALL_UNET, *(f"paths.{name}={folder / name}" for name in ("data", "runs", "cache")))
    return next(folder.glob("runs/*/*/checkpoints/last.ckpt"))


@pytest.fixture
def evaluate(trained, monkeypatch):
    """The command evaluate, with the data found."""
    monkeypatch.setenv("FACESEGL_DATA", str(trained.parents[4] / "data"))
    return lambda *arguments: call("evaluate", *arguments)


@pytest.fixture
def crafted(trained):
    """A checkpoint with something in it changed."""

    def craft(change):
        content = torch.load(trained, weights_only=True)
        change(content["hyper_parameters"])
        torch.save(content, "crafted.ckpt")
        return "crafted.ckpt"

    return craft


def assert_refused(ended, *messages, code=4):
    assert_reported(ended, code, *messages)
    assert not Path("pwned").exists()
    assert not Path("runs").exists(), "nothing was scored: no run folder"


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


def test_a_missing_argument_is_reported():
    for keys in ([], ["set=val"]):
        assert_reported(call("evaluate", *keys), 2, "evaluate: no checkpoint; expected facesegl evaluate CKPT")


def test_a_missing_checkpoint_is_named():
    Path("some").mkdir()
    for name in ("nope.ckpt", "a=b/last.ckpt"):
        assert_refused(call("evaluate", name), f"{name}: no such file")
    assert_refused(call("evaluate", "some/"), ["some", "folder"])


@pytest.mark.parametrize(
    "content",
    [lambda whole: b"", lambda whole: whole[:100], lambda whole: whole[:20000], lambda whole: b"hello world\n"],
    ids=["empty", "beginning", "cut off", "text"],
)
def test_broken_file_is_named_in_one_plain_line(evaluate, trained, content):
    Path("bad.ckpt").write_bytes(content(trained.read_bytes()))
    ended = evaluate("bad.ckpt")
    assert_refused(ended, "bad.ckpt: ")
    assert not [noise for noise in ("Errno", "miniz", "EOFError", "(101)") if noise in ended.err]


@pytest.mark.parametrize("protocol", [2, 4, None], ids=["pickle 2", "pickle 4", "checkpoint"])
def test_crafted_pickle_runs_nothing(evaluate, protocol):
    if protocol:
        Path("bad.ckpt").write_bytes(pickle.dumps(Harmful(), protocol=protocol))
    else:
        torch.save({"state_dict": Harmful(), "hyper_parameters": {}}, "bad.ckpt")
    assert_refused(evaluate("bad.ckpt"), ["bad.ckpt", "it was not opened, since", "run code"])


def test_weights_without_a_card_are_refused(evaluate):
    torch.save({"weight": torch.zeros(3)}, "bad.ckpt")
    assert_refused(evaluate("bad.ckpt"), "bad.ckpt: not a checkpoint of facesegl")


@pytest.mark.parametrize(
    "target",
    [
        *("torch.nn.Flatten", "facesegl.nets.fcn.nn.Flatten", "facesegl.files.sync"),
        *("os.mkdir", "facesegl.config.os.mkdir", "facesegl.files.os.mkdir"),
    ],
)
def test_card_that_names_anything_but_our_nets_is_refused(evaluate, crafted, target):
    parameters = {"path": "pwned"} if target.endswith("mkdir") else {}
    path = crafted(lambda card: card.update(net={"_target_": target, **parameters}))
    assert_refused(evaluate(path), f"net {target}: ")


@pytest.mark.parametrize("part", ["net", "data", "taxonomy", "normalisation"])
def test_card_with_an_interpolation_is_refused(evaluate, crafted, part):
    path = crafted(lambda card: card[part].update(x="${oc.env:HOME}"))
    assert_refused(evaluate(path), f"its card has ${{...}} in {part}")


EVIL = {"_target_": "os.mkdir", "path": "pwned"}


@pytest.mark.parametrize(
    "values",
    [
        *(EVIL, {"augment": EVIL}, {"source": EVIL}, {"taxonomy": EVIL}, {"new": EVIL}, {"source": {"_args_": [1]}}),
        *({"augment": {"_target_": "evil.Augment"}}, {"source": {"_target_": "evil.Source"}}),
        *({"source._target_": "evil.Source"}, {"taxonomy": "/etc/passwd"}),
    ],
    ids=str,
)
def test_data_in_a_card_build_nothing_and_open_no_file(evaluate, crafted, values):
    Path("evil.py").write_text("import os\nos.mkdir('pwned')\n")
    path = crafted(lambda card: card["data"]["values"].update(values))
    assert_refused(evaluate(path), "crafted.ckpt")


@pytest.mark.parametrize("values", [{"cache": "pwned"}, {"source": {"root": "/etc"}}], ids=str)
def test_paths_in_the_data_of_a_card_are_not_used(evaluate, crafted, values):
    ended = evaluate(crafted(lambda card: card["data"]["values"].update(values)))
    assert ended.code in (0, 4), ended.err
    assert not Path("pwned").exists()


DAMAGE = {
    "no choice": lambda card: card["data"].pop("choice"),
    "no values": lambda card: card["data"].pop("values"),
    "list of values": lambda card: card["data"].update(values=[1]),
    "choice of more": lambda card: card["data"].update(choice="fasseg_v2,paths.runs=pwned"),
    "list of choices": lambda card: card["data"].update(choice=["fasseg_v2"]),
    "no mean": lambda card: card.update(normalisation={}),
    "text for mean": lambda card: card.update(normalisation={"mean": "abc", "std": [1, 2]}),
    "negative size": lambda card: card.update(image_size=-3),
    "format": lambda card: card.update(format=2),
    "channels": lambda card: card["net"].update(channels=8),
    "text for channels": lambda card: card["net"].update(channels="many"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_card_is_the_checkpoints_fault(evaluate, crafted, damage):
    assert_refused(evaluate(crafted(DAMAGE[damage])), "")


def test_a_missing_gpu_is_reported(evaluate, trained):
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("there is a GPU")
    assert_refused(evaluate(trained, "device=gpu"), "device=gpu: this machine has no such GPU", code=5)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("x", "x: no such file"),
        ("-m", "-m: evaluate has no sweeps"),
        ("device=foo", "device"),
        ("set=foo", "set: 'foo' is not"),
        ("trust=me", "trust: 'me' is not a list"),
        ("data=fasseg_v9", "data=fasseg_v9: no such data"),
        ("epochs=5", "epochs: "),
        ("panels=-1", "panels"),
        ("model=fcn", "model"),
    ],
)
def test_wrong_arguments_next_to_a_checkpoint_are_reported(evaluate, trained, more, message):
    ended = evaluate(trained, more)
    assert_refused(ended, message, code=4 if more == "x" else 2)
    assert "defaults list" not in ended.err, "a term of Hydra's"


@pytest.mark.parametrize("name", ["a=b [c] ä/x=1.ckpt", "set=val", "[x].ckpt", "it's.ckpt"])
def test_checkpoint_path_may_hold_anything(evaluate, trained, name):
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(trained.read_bytes())
    ended = evaluate(name)
    assert ended.code == 0, ended.err
    assert len(runs()) == 1


def test_folder_named_like_an_override_is_not_taken_for_the_checkpoint(evaluate, trained):
    Path("set=val").mkdir()
    assert evaluate("set=val", trained).code == 0


def test_init_from_another_net_takes_no_weights_and_says_so(fasseg, trained):
    fcn = [word for word in SMALL_UNET if not word.startswith("model.")]
    ended = call("train", *fcn, "model=fcn", f"init='{trained}'")
    assert_refused(ended, ["init=", "none of its weights matches"], code=2)


@pytest.mark.parametrize(("key", "missing"), [("init", "no such"), ("resume", "no such run folder or checkpoint")])
def test_init_and_resume_refuse_what_is_not_a_run(fasseg, key, missing):
    assert_refused(train(f"{key}=nope"), f"nope: {missing}")
    Path("text").write_text("x")
    assert_refused(train(f"{key}=text"), "text: ")
    Path("empty").mkdir()
    assert_refused(train(f"{key}=empty"), "empty")


def test_resume_of_another_config_says_how_to_start_from_its_weights(fasseg, trained):
    ended = train(f"resume='{trained.parents[1]}'", "seed=1")
    assert_refused(ended, ["had another config or other data", "init=CHECKPOINT"], code=2)
