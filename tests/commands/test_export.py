import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facesegl.commands import export as runs_export
from facesegl.commands.export import export
from facesegl.data import FaceDataModule
from facesegl.errors import CheckpointError, ConfigError, DataError
from facesegl.learning.checkpoint import read_weights
from facesegl.prediction import Predictor
from facesegl.reporting.certificate_table import certificate_table
from facesegl.sources import open_photo
from facesegl.sources.drawn import DrawnFaces
from helpers.calling import printed, succeed
from helpers.exported import SIZE, card_of, trained_graph, trained_state
from helpers.faces import draw_mask, draw_photo, write_pair
from helpers.trees import save


@pytest.fixture(autouse=True)
def _traced_once(monkeypatch):
    """Tracing takes seconds: once for each kind of graph."""
    monkeypatch.setattr(runs_export, "make_graph", lambda module, *, whole, name: trained_graph(whole))


@pytest.fixture
def checkpoint(tmp_path):
    """A function that writes a checkpoint with other values of its data."""

    def write(name="fasseg_v2", **values):
        card = card_of()
        card["data"]["name"] = name
        card["data"]["values"] |= values
        torch.save({"state_dict": trained_state(), "hyper_parameters": card}, tmp_path / "last.ckpt")
        return tmp_path / "last.ckpt"

    return write


@pytest.fixture
def photos(tmp_path):
    """A folder of photos without masks, of several sizes."""
    for number, size in enumerate([(40, 32), (60, 90), (15, 11)]):
        save(draw_photo(draw_mask(number, *size), number), tmp_path / "photos" / f"{number}.png")
    return tmp_path / "photos"


def exported(checkpoint, target, **changes):
    return export(checkpoint, target, **{"int8": False, "whole": False, "photos": None, **changes})


def shown(certificate):
    return printed(certificate_table(certificate), width=100)


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_an_exported_model_predicts_what_its_checkpoint_does(fasseg, checkpoint, photos, tmp_path, capfd):
    certificate = exported(checkpoint(), tmp_path / "out" / "model.onnx")
    assert files_in(tmp_path / "out") == ["model.onnx", "model.parity.json"]
    ours, theirs = Predictor(tmp_path / "last.ckpt", device="cpu"), Predictor(tmp_path / "out" / "model.onnx")
    for photo in photos.iterdir():
        assert (ours(photo).index == theirs(photo).index).mean() >= 0.9999
    assert certificate.equal >= 0.9999
    assert certificate.difference < 1e-4
    assert "traceback" not in capfd.readouterr().err.lower()


def test_the_certificate_records_the_comparison(fasseg, checkpoint, tmp_path):
    certificate = exported(checkpoint(), tmp_path / "model.onnx")
    written = json.loads((tmp_path / "model.parity.json").read_text())
    assert written == json.loads(json.dumps(certificate.to_dict()))
    assert written["model"]["bytes"] == (tmp_path / "model.onnx").stat().st_size
    assert written["photos"]["of"].startswith("held-out photos of fasseg_v2")
    assert written["photos"]["count"] == written["photos"]["there"] == 2
    assert set(written["iou"]) == {"background", "skin", "hair", "nose", "eyes", "mouth"}
    assert all(abs(found["change"] or 0) <= 1e-3 for found in written["iou"].values())
    assert any(size["batch"] > 1 for size in written["sizes"])
    assert any(size["height"] != size["width"] for size in written["sizes"])
    assert written["milliseconds"]["threads"] == torch.get_num_threads()
    assert {"torch", "onnxruntime", "facesegl"} <= written["versions"].keys()
    assert str(tmp_path) not in json.dumps(written)
    text = shown(certificate)
    for words in ("Parity on 2 held-out photos of fasseg_v2", "0 of 2 560 differ", "IoU hair", "mIoU", "ms per photo"):
        assert words in text


def test_test_photos_are_used_neither_to_compare_nor_to_calibrate(fasseg, checkpoint, tmp_path, monkeypatch):
    opened, native = [], FaceDataModule.native
    monkeypatch.setattr(runs_export, "open_photo", lambda path: opened.append(path) or open_photo(path))
    noting = lambda faces, place: opened.append(faces.cache.samples[place].photo) or native(faces, place)  # noqa: E731
    monkeypatch.setattr(FaceDataModule, "native", noting)
    exported(checkpoint(fold=None), tmp_path / "model.onnx", int8=True)
    assert {path.name for path in opened} == {f"{number}.bmp" for number in range(1, 7)}
    assert {path.parent.name for path in opened} == {"Train_RGB"}


@pytest.mark.parametrize(("most", "words"), [(6, "Parity on 6 training"), (3, "Parity on 3 of 6 training")])
def test_without_a_fold_it_is_compared_on_training_photos_or_some_of_many(fasseg, checkpoint, monkeypatch, most, words):
    monkeypatch.setattr(runs_export, "MOST_PHOTOS", most)
    certificate = exported(checkpoint(fold=None), Path("model.onnx"))
    assert certificate.photos["of"].startswith("training photos of fasseg_v2")
    assert (certificate.photos["count"], certificate.photos["there"]) == (most, 6)
    assert f"{words} photos" in shown(certificate)


def test_a_whole_graph_takes_photos_of_any_size(checkpoint, photos, tmp_path):
    import onnxruntime

    certificate = exported(checkpoint(), tmp_path / "whole.onnx", whole=True, photos=photos)
    assert certificate.kind == "whole"
    assert certificate.equal >= 0.9999
    session = onnxruntime.InferenceSession(tmp_path / "whole.onnx", providers=["CPUExecutionProvider"])
    predictor = Predictor(tmp_path / "last.ckpt", device="cpu")
    for path in photos.iterdir():
        photo = np.asarray(Image.open(path))
        (mask,) = session.run(["mask"], {"photo": photo.transpose(2, 0, 1)[None]})
        assert mask.shape == (1, *photo.shape[:2])
        assert (mask[0] == predictor(photo).index).mean() >= 0.9999


def test_int8_is_in_its_certificate(fasseg, checkpoint, tmp_path):
    plain = exported(checkpoint(), tmp_path / "model.onnx")
    certificate = exported(checkpoint(), tmp_path / "model.int8.onnx", int8=True)
    assert (plain.precision, certificate.precision) == ("float32", "int8")
    assert certificate.calibrated_on.startswith("4 training photos of fasseg_v2")  # and not the two that were held out
    assert "int8:         calibrated on 4 training photos" in shown(certificate)
    assert (tmp_path / "model.int8.parity.json").is_file()
    assert Predictor(tmp_path / "model.int8.onnx").models[0].card == Predictor(tmp_path / "model.onnx").models[0].card


def test_weights_are_read_back_to_the_bit(fasseg, checkpoint, tmp_path):
    certificate = exported(checkpoint(), tmp_path / "model.safetensors")
    assert (certificate.kind, certificate.equal, certificate.difference) == ("weights", 1.0, 0.0)
    assert files_in(tmp_path)[-2:] == ["model.safetensors", "model.safetensors.parity.json"]
    assert read_weights(tmp_path / "model.safetensors")["hyper_parameters"] == card_of()


def test_the_threshold_of_the_warning_is_calibrated_on_synthetic_faces_and_kept(
    checkpoint, photos, tmp_path, monkeypatch
):
    monkeypatch.setattr("facesegl.exporting.unlike._FACES", 40)
    file = checkpoint(name="synthetic")
    exported(file, tmp_path / "model.safetensors", photos=photos, warn_unlike=True)
    exported(tmp_path / "model.safetensors", tmp_path / "again.safetensors", photos=photos)
    predictor = Predictor(tmp_path / "again.safetensors")
    faces = DrawnFaces(40, SIZE)
    seen = [predictor(faces.read(face, predictor.taxonomy)[0]).familiarity for face in faces.samples()]
    assert sum(one < predictor.unlike_below for one in seen) == 1
    assert Predictor(file).unlike_below is None


def test_the_threshold_is_for_weights_trained_on_synthetic_faces(checkpoint, photos, tmp_path):
    with pytest.raises(ConfigError, match=r"--warn-unlike: .*last\.ckpt was trained on fasseg_v2; expected"):
        exported(checkpoint(), tmp_path / "model.safetensors", photos=photos, warn_unlike=True)
    assert not list(tmp_path.glob("model*"))


@pytest.mark.parametrize("name", ["model.onnx", "model.safetensors"])
def test_an_export_has_the_usual_file_permissions(checkpoint, photos, tmp_path, name):
    (tmp_path / "plain").touch()
    exported(checkpoint(), tmp_path / name, photos=photos)
    assert (tmp_path / name).stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("before", [None, b"an older, good model"])
@pytest.mark.parametrize("whole", [False, True])
def test_a_broken_graph_is_an_error_and_changes_no_file(checkpoint, photos, tmp_path, monkeypatch, before, whole):
    (tmp_path / "out").mkdir()
    if before:
        (tmp_path / "out" / "model.onnx").write_bytes(before)
    monkeypatch.setattr(runs_export, "make_graph", lambda module, *, whole, name: _with_a_wrong_weight(whole))
    with pytest.raises(CheckpointError) as caught:
        exported(checkpoint(), tmp_path / "out" / "model.onnx", whole=whole, photos=photos, force=True)
    assert len(caught.value.problems) > 1  # all problems at once
    for problem in caught.value.problems:
        assert problem.startswith(f"{tmp_path / 'out' / 'model.onnx'}: not written, since its predictions differ from ")
    assert files_in(tmp_path / "out") == (["model.onnx"] if before else [])
    assert not before or (tmp_path / "out" / "model.onnx").read_bytes() == before


def _with_a_wrong_weight(whole):
    import onnx

    graph = trained_graph(whole)
    last = [node for node in graph.graph.node if node.op_type == "Conv"][-1]
    weight = next(part for part in graph.graph.initializer if part.name == last.input[1])
    wrong = onnx.numpy_helper.to_array(weight).copy()
    wrong[0] *= -1
    weight.CopyFrom(onnx.numpy_helper.from_array(wrong, weight.name))
    return graph


def test_an_int8_model_that_predicts_wrongly_is_not_written(fasseg, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(runs_export, "quantize", lambda *_: _with_a_wrong_weight(False))
    with pytest.raises(CheckpointError, match="Export without --int8"):
        exported(checkpoint(), tmp_path / "model.onnx", int8=True)
    assert not list(tmp_path.glob("model*"))


def test_weights_that_are_read_back_differently_are_not_written(checkpoint, photos, tmp_path, monkeypatch):
    def spoilt(path):
        read = read_weights(path)
        read["state_dict"]["net.head.bias"] += 1e-7
        return read

    monkeypatch.setattr(runs_export, "read_weights", spoilt)
    with pytest.raises(CheckpointError, match=r"net\.head\.bias differ when read back"):
        exported(checkpoint(), tmp_path / "model.safetensors", photos=photos)
    assert not list(tmp_path.glob("model*"))


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("model.pt", {}, "expected a name like model.onnx or model.safetensors"),
        ("model", {}, "expected a name like model.onnx or model.safetensors"),
        ("model.safetensors", {"int8": True}, "--int8: model.safetensors holds plain weights"),
        ("model.safetensors", {"whole": True}, "--whole: model.safetensors holds plain weights"),
    ],
)
def test_wrong_options_are_reported_before_anything_is_done(checkpoint, tmp_path, name, changes, words):
    with pytest.raises(ConfigError, match=words):
        exported(checkpoint(), tmp_path / name, **changes)
    assert files_in(tmp_path) == ["last.ckpt"]


def test_an_existing_file_is_replaced_only_with_force(checkpoint, photos, tmp_path):
    target = tmp_path / "model.safetensors"
    target.write_bytes(b"kept")
    with pytest.raises(ConfigError, match=r"model\.safetensors: it exists already; .* --force"):
        exported(checkpoint(), target, photos=photos)
    assert target.read_bytes() == b"kept"
    exported(checkpoint(), target, photos=photos, force=True)
    assert read_weights(target)["state_dict"]


def test_a_photo_that_cannot_be_opened_is_left_out_of_the_comparison(checkpoint, photos, tmp_path, caplog):
    (photos / "bad.png").write_text("nonsense")
    assert exported(checkpoint(), tmp_path / "model.safetensors", photos=photos).photos["count"] == 3
    assert "left out: " in caplog.text
    assert "bad.png: not an image" in caplog.text
    for photo in photos.glob("[0-9].png"):
        photo.unlink()
    with pytest.raises(DataError, match=r"bad\.png: not an image"):
        exported(checkpoint(), tmp_path / "other.safetensors", photos=photos)


def test_an_export_is_no_checkpoint(tmp_path):
    (tmp_path / "model.onnx").touch()
    with pytest.raises(ConfigError, match="expected the checkpoint it was exported from"):
        exported(tmp_path / "model.onnx", tmp_path / "other.onnx")


def test_without_data_the_message_says_how_to_give_photos(checkpoint, tmp_path):
    with pytest.raises(DataError) as caught:
        exported(checkpoint(), tmp_path / "model.onnx")
    assert "give paths.data=FOLDER" in caught.value.problems[-1]
    assert "--photos FOLDER" in caught.value.problems[-1]


def test_int8_needs_training_photos_even_if_compared_on_others(checkpoint, photos, tmp_path):
    with pytest.raises(DataError, match=r"calibrated on training photos; give paths\.data=FOLDER"):
        exported(checkpoint(), tmp_path / "model.onnx", int8=True, photos=photos)


@pytest.mark.parametrize(("name", "message"), [("empty", "empty"), ("nowhere", "--photos .*nowhere: no such folder")])
def test_a_folder_without_photos_is_named(checkpoint, tmp_path, name, message):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=message):
        exported(checkpoint(), tmp_path / "model.onnx", photos=tmp_path / name)


def test_data_other_than_the_training_data_are_reported(fasseg, checkpoint, tmp_path, caplog):
    write_pair(fasseg, "Train", 7, 7)
    with caplog.at_level("WARNING", logger="facesegl"):
        certificate = exported(checkpoint(), tmp_path / "model.onnx")
    assert "these data differ from the training data" in caplog.text
    assert "0" * 12 not in certificate.photos["of"]


def test_the_folder_of_a_run_stands_for_its_last_checkpoint(fasseg, checkpoint, tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    checkpoint().rename(tmp_path / "run" / "checkpoints" / "last.ckpt")
    certificate = exported(tmp_path / "run", tmp_path / "model.onnx")
    assert certificate.checkpoint["file"] == "last.ckpt"
    assert certificate.milliseconds["of"] == f"the net alone, {SIZE}x{SIZE}"


@pytest.mark.parametrize(
    ("changes", "form"), [({}, "the net alone, float32"), ({"whole": True}, "from the photo to its mask, float32")]
)
def test_info_shows_kind_and_precision(checkpoint, photos, tmp_path, changes, form):
    exported(checkpoint(), tmp_path / "model.onnx", photos=photos, **changes)
    assert form in succeed("info", tmp_path / "model.onnx").out
