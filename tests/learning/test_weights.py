import json
import stat

import pytest
import torch
from safetensors.torch import save, save_file

from facesegl.errors import CheckpointError
from facesegl.labels import Taxonomy
from facesegl.learning.checkpoint import read_weights, write_weights
from helpers.exported import card_of, trained_net


@pytest.fixture
def written(tmp_path):
    """A function that writes the weights with changes to the card."""

    def write(**card):
        path = tmp_path / "model.safetensors"
        write_weights(path, trained_net().state_dict(), card_of(**card))
        return path

    return write


def test_weights_are_read_back_to_the_bit(written):
    read = read_weights(written())
    module = trained_net()
    assert read["hyper_parameters"] == card_of()
    assert read["state_dict"].keys() == module.state_dict().keys()
    for name, weight in module.state_dict().items():
        assert read["state_dict"][name].dtype == weight.dtype
        assert torch.equal(read["state_dict"][name], weight)
    module.load_state_dict(read["state_dict"])


def test_half_precision_halves_the_file_and_is_read_as_float32(tmp_path):
    state = {"weight": torch.linspace(-2, 2, 5000), "batches": torch.tensor(7)}
    files = {half: tmp_path / f"{half}.safetensors" for half in (False, True)}
    for half, file in files.items():
        write_weights(file, state, card_of(), half=half)
    assert files[False].stat().st_size - files[True].stat().st_size == pytest.approx(10_000, abs=100)
    read = read_weights(files[True])["state_dict"]
    assert torch.equal(read["weight"], state["weight"].half().float())
    assert (read["weight"].dtype, read["batches"].dtype, int(read["batches"])) == (torch.float32, torch.int64, 7)


def test_a_card_is_read_back_in_any_language(written):
    taxonomy = Taxonomy.from_mapping({"classes": {"Rücken": [0, 0, 0], "目": [1, 1, 1]}, "remap": {7: "目"}})
    read = read_weights(written(taxonomy=taxonomy.to_mapping()))
    assert Taxonomy.from_mapping(read["hyper_parameters"]["taxonomy"]) == taxonomy


def test_shared_and_transposed_tensors_are_written(tmp_path):
    weight = torch.arange(6.0).view(2, 3)
    write_weights(tmp_path / "w.safetensors", {"one": weight, "same": weight, "turned": weight.T}, card_of())
    read = read_weights(tmp_path / "w.safetensors")["state_dict"]
    assert torch.equal(read["same"], weight)
    assert torch.equal(read["turned"], weight.T)


def test_the_file_has_the_usual_permissions(written, tmp_path):
    (tmp_path / "plain").touch()
    mode = stat.S_IMODE(written().stat().st_mode)
    assert mode == stat.S_IMODE((tmp_path / "plain").stat().st_mode) != 0o600


def _with(text):
    return lambda path: path.write_bytes(save({"a": torch.zeros(1)}, metadata={"facesegl": text}))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "cannot be read as safetensors"),
        (lambda path: path.write_bytes(path.read_bytes()[:30]), "cannot be read as safetensors"),
        (lambda path: torch.save({"state_dict": {}}, path), "cannot be read as safetensors"),
        (lambda path: path.write_bytes(b""), "cannot be read as safetensors"),
        (lambda path: path.unlink(), "no such file"),
        (lambda path: (path.unlink(), path.mkdir()), "no such file"),
        (lambda path: save_file({"a": torch.zeros(1)}, path), "it has no card"),
        (_with("{"), "it has no card"),
        (_with("[" * 100_000), "it has no card"),
        (_with(json.dumps([1])), "no card of facesegl"),
        (_with(json.dumps(card_of(format=9))), "format 9"),
        (_with(json.dumps({"format": 1})), "its card lacks net"),
    ],
)
def test_every_problem_is_reported_in_one_line_that_names_the_file(written, spoil, message):
    path = written()
    spoil(path)
    with pytest.raises(CheckpointError) as caught:
        read_weights(path)
    (problem,) = caught.value.problems
    assert problem.startswith(str(path))
    assert message in problem
    assert "\n" not in problem
