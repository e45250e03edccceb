"""Model files that a stranger made, or a disk damaged: each is refused in one line, and nothing wrong is predicted."""

import functools
import json
import math
import signal
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Group

from facesegl import Predictor
from facesegl.card import check_card
from facesegl.commands import info
from facesegl.commands.info import read_info
from facesegl.errors import CheckpointError, DataError, MachineError
from facesegl.nets import FCN
from facesegl.prediction.checkpoint_model import CheckpointModel
from facesegl.reporting.info_table import info_table
from facesegl.reporting.score_tables import score_table
from helpers.calling import assert_reported, call, printed, start
from helpers.faces import draw_mask, draw_photo
from helpers.models import endless_model, onnx_model
from helpers.modules import make_card, make_module


def write(path="model.ckpt", state=None, **card):
    torch.save({"state_dict": state or make_module().state_dict(), "hyper_parameters": make_card(**card)}, path)


def refused(*words, path="model.ckpt"):
    Image.fromarray(draw_photo(draw_mask(0), 0)).save("photo.png")
    ended = call("predict", path, "photo.png", "-o", "out", "--device", "cpu")
    assert_reported(ended, 4, [path, *words])
    assert not list(Path().glob("out/*.png"))


def test_flipped_bytes_of_a_weight_are_noticed():
    write()
    with zipfile.ZipFile("model.ckpt") as archive:
        largest = max(archive.infolist(), key=lambda part: part.file_size)
    content = bytearray(Path("model.ckpt").read_bytes())
    start = largest.header_offset + 200
    content[start : start + 8] = bytes(byte ^ 255 for byte in content[start : start + 8])
    Path("model.ckpt").write_bytes(content)
    refused("damaged")


def test_weights_that_are_not_finite_are_refused():
    state = make_module().state_dict()
    write(state={name: weight * math.nan if weight.is_floating_point() else weight for name, weight in state.items()})
    refused("not finite")


FIVE = dict(list(make_card()["taxonomy"]["classes"].items())[:5])
HUGE = {"_target_": "facesegl.nets.UNet", "num_classes": 6, "channels": 10**7, "depth": 5}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"normalisation": {"mean": [math.nan, 1.0, 1.0], "std": [1.0, 1.0, 1.0]}}, "normalisation"),
        ({"normalisation": {"mean": [1.0, 1.0, 1.0], "std": [0.0, 1.0, 1.0]}}, "normalisation"),
        ({"normalisation": {"mean": [1.0, 1.0, 1.0], "std": [True, 1.0, 1.0]}}, "normalisation"),
        ({"normalisation": {"mean": [1.0, 1.0], "std": [1.0, 1.0]}}, "normalisation"),
        ({"taxonomy": {**make_card()["taxonomy"], "classes": FIVE}}, "expected a channel for each of its 5 classes"),
        *(({"image_size": size}, "image size") for size in (10**6, 0, -3)),  # before memory is asked for
        ({"net": HUGE}, "cannot be built"),
        *(({"unlike_below": value}, "a familiarity of") for value in (-0.1, 1.5, math.nan)),
        *(({"unlike_below": value}, "unlike_below") for value in (1, True, "0.5", None)),
    ],
    ids=str,
)
def test_a_card_with_impossible_values_is_refused(changes, words):
    write(**changes)
    refused(words)


HOSTILE = [
    *(None, True, 0, -1, 2**70, 10**400, 0.5, math.nan, math.inf, "", "x", "\x1b[2J", "\ud800", "a" * 1_000_000),
    *(b"x", [], [None], [1, 2, 3], {}, {"a": 1}, {1: 2}, {None: 1}, {"b" * 1_000_000: [1, 2, 3]}, {(1,): 2}, {1, 2}),
    *(torch.zeros(2), functools.reduce(lambda inner, _: [inner], range(900), [])),
]
SCORES = {
    **{"iou": {"skin": 0.5, "hair": None}, "photos": 3},
    **dict.fromkeys(("miou", "accuracy", "miou_per_photo", "boundary_f"), 0.5),
}


def changed(value, put):
    """A card in which one value after the other, at any depth, is replaced, removed, or gets a neighbour."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        if isinstance(value[key], dict | list):
            yield from changed(value[key], put)
        before = value[key]
        value[key] = put
        yield f"{key}={put!r:.60}"
        value[key] = before
    if isinstance(value, dict):
        for name in ("new", 3, "n" * 1_000_000, "\ud800"):
            value[name] = put
            yield f"{name!r:.20}: {put!r:.60}"
            del value[name]


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: f"{type(value).__name__} {str(value)[:9]!a}")
def test_a_card_of_any_other_form_is_refused_or_shown(value, monkeypatch):
    card = make_card(
        parameters=12, command="facesegl train", unlike_below=0.5, scores={"test": {"scores": SCORES, "floor": SCORES}}
    )
    card["scores"]["test"]["agreement"] = None
    check_card(card, "model.ckpt")
    problems = []
    Path("model.ckpt").touch()
    monkeypatch.setattr(info, "read_card", lambda _: card)
    for what in changed(card, value):
        try:
            check_card(card, "model.ckpt")
        except CheckpointError as error:
            problems += error.problems
            continue
        about = read_info(Path("model.ckpt"))
        tables = [info_table(about), about["scores"] and score_table(about["scores"], about["data"]["name"])]
        assert "\x1b" not in printed(Group(*filter(None, tables)), width=100), what
        json.dumps(about, ensure_ascii=False).encode()
    assert problems
    assert all(len(problem) < 2000 and problem.startswith("model.ckpt: ") for problem in problems)


@pytest.mark.parametrize("size", [1, 17, 40])
def test_a_size_that_the_net_does_not_take_is_the_checkpoints_fault(size):
    state = make_module(FCN(num_classes=6)).state_dict()
    write(state=state, net={"_target_": "facesegl.nets.FCN", "num_classes": 6}, image_size=size)
    refused(f"its net does not take photos of {size}x{size}")


def test_too_little_memory_for_a_net_is_the_machines_fault(monkeypatch):
    write()
    model = CheckpointModel("model.ckpt", "cpu")
    monkeypatch.setattr(model.net, "forward", lambda _: torch.empty(1 << 60))
    with pytest.raises(MachineError, match=r"model.ckpt: not enough memory for 2 photos of 16x16 at a time"):
        Predictor(model).many([np.zeros((9, 9, 3), np.uint8)] * 2)


@pytest.mark.parametrize(
    "scores", [{"test": 3}, {"test": {"scores": {}, "floor": {}}}, {"test": {"scores": None, "floor": None}}]
)
def test_scores_of_another_form_are_refused_before_they_are_shown(scores):
    write(scores=scores)
    ended = call("info", "model.ckpt")
    assert_reported(ended, 4, "scores are not as facesegl writes them")
    assert ended.out == ""


def test_a_card_cannot_steer_the_terminal():
    write(command="facesegl train \x1b[2J\x1b]0;owned\x07\nerror: forged", versions={"facesegl": "\x1b[31m"})
    ended = call("info", "model.ckpt")
    assert ended.code == 0
    assert "\x1b" not in ended.out
    card = make_card()
    write(taxonomy={**card["taxonomy"], "classes": {"a\x1b[2J": [1, 2, 3], "b": [4, 5, 6]}})
    ended = call("info", "model.ckpt")
    assert_reported(ended, 4, "cannot be printed")
    assert "\x1b" not in ended.err


def test_json_that_is_too_deep_is_refused():
    onnx_model("model.onnx", metadata={"facesegl": "[" * 100_000})
    refused("expected a file written by facesegl export", path="model.onnx")


@pytest.mark.parametrize("sides", [["batch", 3], ["batch", 3, "height"]])
def test_a_graph_that_takes_no_photos_is_refused(sides):
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("Identity", ["photo"], ["logits"])],
        "nothing",
        [helper.make_tensor_value_info("photo", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, sides)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"facesegl": json.dumps(make_card())})
    Path("model.onnx").write_bytes(model.SerializeToString())
    refused("does not take photos", path="model.onnx")


def test_logits_that_are_not_finite_are_refused():
    class Broken:
        name, card, image_size = "broken", {}, 8
        taxonomy = make_module().taxonomy

        def logits(self, photos):
            return np.full((len(photos), 6, 8, 8), np.nan, np.float32)

    with pytest.raises(CheckpointError, match="broken: its logits are not finite"):
        Predictor(Broken())(draw_photo(draw_mask(0), 0))


@pytest.mark.parametrize("thing", [[1, 2], None, b"x", 3])
def test_what_is_not_a_photo_is_refused(thing):
    write()
    with pytest.raises(DataError, match="is not a photo"):
        Predictor("model.ckpt", device="cpu")(thing)


def test_no_photos_give_no_predictions():
    write()
    assert Predictor("model.ckpt", device="cpu").many([]) == []


@pytest.mark.parametrize("verb", [["info"], ["evaluate"], ["report"], ["compare", "b"]])
def test_a_path_can_fake_no_second_error(verb):
    ended = call(*verb, "a\x1b[2J\r\nerror: forged.ckpt")
    assert ended.err.count("\nerror: forged") == 0
    assert r"a\x1b[2J\r\nerror: forged.ckpt" in ended.err
    assert all(char.isprintable() or char == "\n" for char in ended.err)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_a_signal_ends_a_graph_that_never_ends(fasseg, verb, signum, code):
    endless_model("endless.onnx")
    rest = [fasseg / "Test_RGB", "-o", "begun"] if verb == "predict" else ["paths.run=begun"]
    process = start(verb, "endless.onnx", *rest)
    while not Path("begun").exists() and process.poll() is None:
        time.sleep(0.1)
    time.sleep(2)
    assert process.poll() is None
    process.send_signal(signum)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith(f"stopped: by {signum.name}")


def test_a_graph_that_never_ends_is_described():
    endless_model("endless.onnx")
    assert call("info", "endless.onnx").code == 0


@pytest.mark.parametrize("text", [b"UNet", b"photos", b"logits"])
def test_an_onnx_model_with_text_that_is_not_utf8_is_refused(text):
    onnx_model("model.onnx")
    content = Path("model.onnx").read_bytes()
    Path("model.onnx").write_bytes(content.replace(text, text[:-1] + b"\xff"))
    refused("text in it is not UTF-8", path="model.onnx")
    assert_reported(call("info", "model.onnx"), 4, ["model.onnx: text in it is not UTF-8", "facesegl export"])
