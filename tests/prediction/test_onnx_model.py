"""ONNX models that were, or were not, exported by facesegl."""

import json
from pathlib import Path

import numpy as np
import pytest

from facesegl.errors import CheckpointError, ConfigError, MachineError
from facesegl.prediction import open_model, read_card
from helpers.models import onnx_model
from helpers.modules import make_card


def refused(path, *words):
    with pytest.raises(CheckpointError) as error:
        open_model(path)
    assert str(error.value).startswith(f"{path}: ")
    assert all(word in str(error.value) for word in words), error.value


def test_an_exported_model_is_opened_with_its_card():
    onnx_model("model.onnx")
    model = open_model("model.onnx")
    assert model.taxonomy.names == tuple(make_card()["taxonomy"]["classes"])
    assert read_card("model.onnx") == json.loads(json.dumps(make_card()))
    photos = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8), dtype=np.uint8)
    assert (model.logits(photos)[:, :3] == photos).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metadata": {}}, ["expected a file written by facesegl export"]),
        *(({"metadata": {"facesegl": text}}, ["card"]) for text in ("{", "[]", "null", '"card"')),
        ({"metadata": {"facesegl": json.dumps({**make_card(), "format": 99})}}, ["format 99", "reads 1"]),
        ({"output": "masks"}, ["logits"]),
    ],
)
def test_a_model_without_card_or_logits_is_refused(changes, words):
    onnx_model("model.onnx", **changes)
    refused("model.onnx", *words)


def test_a_file_that_is_missing_cut_off_or_something_else_is_refused():
    refused("bad.onnx", "no such file")
    onnx_model("model.onnx")
    for content in (b"", Path("model.onnx").read_bytes()[:200], b"hello"):
        Path("bad.onnx").write_bytes(content)
        refused("bad.onnx", "ONNX model")


def test_photos_that_a_graph_does_not_take_are_reported_with_their_size():
    onnx_model("model.onnx")
    with pytest.raises(CheckpointError, match=r"model\.onnx: its graph does not take photos of 9x8 \("):
        open_model("model.onnx").logits(np.zeros((2, 4, 9, 8), np.uint8))


@pytest.mark.parametrize("where", ["secret", "./secret", "../secret", "ABSOLUTE"])
def test_a_model_cannot_read_other_files_of_this_machine(where, tmp_path, monkeypatch):
    import onnx

    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    onnx_model("model.onnx")
    model = onnx.load("model.onnx")
    weights = model.graph.initializer[0]
    for folder in (tmp_path, tmp_path / "here"):
        (folder / "secret").write_bytes(weights.raw_data)
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=str(tmp_path / "secret") if where == "ABSOLUTE" else where)
    Path("model.onnx").write_bytes(model.SerializeToString())
    refused("model.onnx", "cannot be read")


def test_an_unavailable_device_is_reported():
    onnx_model("model.onnx")
    with pytest.raises(MachineError, match="device=cuda"):
        open_model("model.onnx", "cuda")
    with pytest.raises(ConfigError, match="device=tpu"):
        open_model("model.onnx", "tpu")
