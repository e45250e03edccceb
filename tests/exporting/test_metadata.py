import json

import pytest

from facesegl.exporting.metadata import describe
from facesegl.labels import Taxonomy
from facesegl.prediction.onnx_model import OnnxModel
from helpers.exported import card_of, trained_graph

VERSIONS = {"facesegl": "0.1.0", "onnx": "1.0"}


def described(tmp_path, whole=False, calibrated_on=None):
    graph = trained_graph(whole)
    describe(graph, card_of(), kind="whole" if whole else "logits", calibrated_on=calibrated_on, versions=VERSIONS)
    path = tmp_path / "model.onnx"
    path.write_bytes(graph.SerializeToString())
    return OnnxModel(path, "cpu"), {prop.key: prop.value for prop in graph.metadata_props}


@pytest.mark.parametrize("whole", [False, True])
def test_the_card_is_read_back_unchanged(tmp_path, whole):
    model, _ = described(tmp_path, whole)
    assert model.card == card_of()
    assert model.taxonomy == Taxonomy.from_mapping(card_of()["taxonomy"])


def test_other_programs_find_what_they_need_without_the_card(tmp_path):
    _, found = described(tmp_path)
    assert {"kind": "logits", "precision": "float32", "image_size": "24"}.items() <= found.items()
    assert json.loads(found["classes"])[:2] == ["background", "skin"]
    assert json.loads(found["colours"])[0] == [255, 0, 0]
    assert json.loads(found["versions"]) == VERSIONS
    assert "R-G-B" in found["input"]
    assert "calibrated_on" not in found


def test_int8_metadata_name_the_calibration_photos(tmp_path):
    _, found = described(tmp_path, calibrated_on="6 training photos of x")
    assert (found["precision"], found["calibrated_on"]) == ("int8", "6 training photos of x")
