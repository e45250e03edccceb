"""One graph of several models predicts what their ensemble does in PyTorch."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from facesegl.commands.export import export
from facesegl.errors import ConfigError
from facesegl.exporting.ensemble import EnsembleModel, require_one_net
from facesegl.exporting.graph import net_stride
from facesegl.learning.normalized_net import EnsembleNet
from facesegl.prediction import Predictor
from facesegl.prediction.onnx_model import OnnxModel
from facesegl.sources import open_photo
from helpers.calling import assert_reported, call
from helpers.exported import card_of, net_of, trained_state
from helpers.faces import draw_mask, draw_photo
from helpers.trees import save

FOLDS = range(3)


def write_member(folder, fold, **changes):
    """A net trained on another normalisation and with other weights than those of other folds."""
    values = {"fold": fold, "folds": 3, "fold_seed": 0, "image_size": 24, "batch_size": 2}
    card = card_of(normalisation={"mean": [120.0 + 20 * fold, 110.0, 100.0], "std": [50.0, 40.0, 30.0 + 9 * fold]})
    card["data"]["values"] = values
    generator = torch.Generator().manual_seed(fold)
    state = {
        name: weight + 0.1 * torch.randn(weight.shape, generator=generator) if weight.ndim == 4 else weight
        for name, weight in trained_state().items()
    }
    run = Path(folder, str(fold))
    (run / "checkpoints").mkdir(parents=True)
    note = {"job": fold, "overrides": [f"data.fold={fold}"], "run": "", "set": None, "miou": None, "state": "done"}
    (run / "job.json").write_text(json.dumps(note))
    torch.save({"state_dict": state, "hyper_parameters": {**card, **changes}}, run / "checkpoints" / "last.ckpt")
    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A sweep over three folds, photos, and the graphs of its ensemble."""
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder := tmp_path_factory.mktemp("ensemble"))
        for fold in FOLDS:
            write_member("sweep", fold, unlike_below=0.1 * (fold + 1))
        for number, (height, width) in enumerate([(40, 32), (60, 90), (15, 11)]):
            save(draw_photo(draw_mask(number, height, width), number), Path("photos", f"{number}.png"))
        for whole in (False, True):
            made = {"int8": False, "whole": whole, "photos": Path("photos")}
            export(Path("sweep"), Path("whole.onnx" if whole else "model.onnx"), **made)
    return folder


@pytest.mark.parametrize("tta", [False, True])
@pytest.mark.parametrize("name", ["model.onnx", "whole.onnx"])
def test_a_graph_predicts_what_the_sweep_does(folder, name, tta):
    ours = Predictor(folder / "sweep", device="cpu", tta=tta)
    theirs = Predictor(folder / name, device="cpu", tta=tta)
    alone = Predictor(folder / "sweep" / "0", device="cpu", tta=tta)
    assert ours.unlike_below == theirs.unlike_below == pytest.approx(0.2)
    for path in sorted((folder / "photos").iterdir()):
        expected, found = ours(path), theirs(path)
        assert np.array_equal(found.index, expected.index)
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
        assert found.familiarity == pytest.approx(expected.familiarity, abs=1e-5)
        assert not np.allclose(expected.probabilities, alone(path).probabilities, atol=0.01)


def test_other_programs_get_the_mean_probability_and_the_mask_of_the_ensemble(folder):
    model, whole = OnnxModel(folder / "model.onnx", "cpu"), OnnxModel(folder / "whole.onnx", "cpu")
    photo = open_photo(folder / "photos" / "1.png").transpose(2, 0, 1)[None]
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 24, 24), dtype=np.uint8)
    nets = [Predictor(folder / "sweep" / str(fold), device="cpu").models[0] for fold in FOLDS]
    mean = np.mean([torch.from_numpy(net.logits(images)).softmax(1).numpy() for net in nets], axis=0)
    np.testing.assert_allclose(torch.from_numpy(model.averaged(images)).softmax(1).numpy(), mean, atol=1e-6)
    np.testing.assert_allclose(np.exp(model.averaged(images)), mean, atol=1e-6)
    expected = Predictor(folder / "sweep", device="cpu")(photo[0].transpose(1, 2, 0)).index
    assert np.array_equal(whole.masks(photo)[0], expected)


def test_the_card_and_the_certificate_name_the_members(folder):
    card = OnnxModel(folder / "model.onnx", "cpu").card
    assert [member["file"] for member in card["members"]] == [f"{fold}/checkpoints/last.ckpt" for fold in FOLDS]
    assert [member["overrides"] for member in card["members"]] == [[f"data.fold={fold}"] for fold in FOLDS]
    assert [member["normalisation"]["mean"][0] for member in card["members"]] == [120.0, 140.0, 160.0]
    assert card["data"]["values"]["fold"] is None, "each photo was trained on by a member"
    certificate = json.loads((folder / "model.parity.json").read_text())
    assert certificate["checkpoint"]["members"] == card["members"]
    assert certificate["same"] == certificate["pixels"]
    assert certificate["difference"] < 1e-4
    ended = call("info", folder / "model.onnx")
    assert "the mean probability of 3 models, data.fold=0, 1, 2" in " ".join(ended.out.split())


def test_a_graph_with_a_wrong_average_is_not_written(folder, monkeypatch):
    monkeypatch.chdir(folder)
    right = OnnxModel.averaged
    monkeypatch.setattr(OnnxModel, "averaged", lambda model, images: right(model, images) + 0.1)
    written = (folder / "model.onnx").read_bytes()
    monkeypatch.setattr("facesegl.commands.export.make_graph", lambda *given, **how: _graph(written))
    ended = call("export", "sweep", "-o", "wrong.onnx", "--photos", "photos")
    assert ended.code == 4
    assert "wrong.onnx: not written, since its predictions differ from those of sweep: logits of" in ended.err
    assert not (folder / "wrong.onnx").exists()


def _graph(content):
    import onnx

    return onnx.load_from_string(content)


def test_int8_keeps_the_first_and_the_last_layer_of_each_member(folder, fasseg, monkeypatch):
    monkeypatch.setattr(
        "facesegl.commands.export.make_graph", lambda *_, **how: _graph((folder / "model.onnx").read_bytes())
    )
    made = {"int8": True, "whole": False, "photos": folder / "photos"}
    export(folder / "sweep", Path("int8.onnx"), **made)
    graph = _graph(Path("int8.onnx").read_bytes()).graph
    made_by = {output: node.op_type for node in graph.node for output in node.output}
    layers = [node for node in graph.node if node.op_type in ("Conv", "ConvTranspose")]
    exact = [node for node in layers if made_by.get(node.input[1]) != "DequantizeLinear"]
    assert len(layers) > len(exact) == 2 * len(FOLDS)
    assert sum(made_by[node.input[0]] == "Div" for node in exact) == len(FOLDS), "the first follows the normalisation"
    stacked = {node.input[0] for node in graph.node if node.op_type == "Unsqueeze"}
    assert sum(node.output[0] in stacked for node in exact) == len(FOLDS), "the last is stacked"
    assert made_by["members"] == "Concat", "the logits are not rounded"


def test_an_ensemble_has_no_single_weights(folder, monkeypatch):
    monkeypatch.chdir(folder)
    no_weights = "weights.safetensors: 3 models have no single weights; expected a name like model.onnx"
    assert_reported(call("export", "sweep", "-o", "weights.safetensors", "--half"), 2, no_weights)
    assert_reported(call("export", "sweep", "-o", "new.onnx", "--half"), 2, "--half: new.onnx keeps its weights")


def test_members_that_do_not_fit_are_refused_at_once():
    first = write_member("a", 0)
    size = write_member("b", 1, image_size=32)
    data = write_member("b", 2, data={**card_of()["data"], "fingerprint": "1" * 12})
    ended = call("export", first, size, data, "-o", "x.onnx", "--photos", ".")
    assert_reported(
        ended,
        2,
        ["b/1/checkpoints/last.ckpt: image size 32, and a/0/checkpoints/last.ckpt 24; one graph"],
        [f"b/2/checkpoints/last.ckpt: training data fasseg_v2 {'1' * 12}, and a/0/checkpoints/last.ckpt fasseg_v2"],
    )


def test_int8_takes_no_different_nets():
    files = [write_member("a", fold) / "checkpoints" / "last.ckpt" for fold in (0, 1)]
    model = EnsembleModel("a", files)
    require_one_net(model)
    model.net.net[1].card["net"] = {"depth": 7}
    with pytest.raises(ConfigError, match=r"--int8: a has different nets"):
        require_one_net(model)


def test_sizes_are_multiples_of_every_stride():
    nets = []
    for stride in (4, 6):
        net = nn.Conv2d(3, 6, 1)
        net.stride = stride
        nets.append(net_of(net))
    assert net_stride(EnsembleNet(nets, card_of())) == 12
