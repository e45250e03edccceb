"""Nets of segmentation_models_pytorch: built, trained, saved and opened again, from names alone and without network."""

import importlib.util
import json
import socket
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from facesegl import SegmentationModule
from facesegl.errors import CheckpointError, ConfigError, MachineError
from facesegl.learning import build_net
from facesegl.nets import SMP, weights_follow
from facesegl.nets.smp import ARCHS
from helpers.calling import assert_reported, call
from helpers.torchvision_shim import torchvision_shim
from helpers.trainings import SMALL

TINY = ("Linknet", "tu-resnet10t")
TRAIN = [
    *("train", "data=fasseg_v2", *SMALL, "trainer.max_epochs=1", "data.image_size=40", "logger=none"),
    *("model=smp", f"model.arch={TINY[0]}", f"model.encoder_name={TINY[1]}", "paths.run=run"),
]
LAST = Path("run", "checkpoints", "last.ckpt")


@pytest.fixture(scope="module", autouse=True)
def smp():
    """The package; with a shim for torchvision where a CPU torch has none."""
    with nullcontext() if importlib.util.find_spec("torchvision") else torchvision_shim():
        return pytest.importorskip("segmentation_models_pytorch")


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """No connection can be opened, no cache has anything, and nobody waits to try again; returns what was tried."""
    tried = []

    def refuse(*arguments, **named):
        tried.append(arguments)
        raise OSError("Network is unreachable")

    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tried


@pytest.fixture
def hub(monkeypatch, smp, tmp_path):
    """A hub that has weights of efficientnet-b0, made for images from -1 to 1; returns them."""
    from safetensors.torch import save_file

    weights = smp.encoders.get_encoder("efficientnet-b0").state_dict()
    files = {name: tmp_path / name for name in ("config.json", "model.safetensors")}
    files["config.json"].write_text(json.dumps({"mean": [0.5] * 3, "std": [0.5] * 3, "input_range": [0, 1]}))
    save_file(weights, files["model.safetensors"])
    monkeypatch.setattr(smp.encoders, "hf_hub_download", lambda repo_id, filename, revision: str(files[filename]))
    return weights


# what it gives


@pytest.mark.parametrize("arch", ARCHS)
def test_logits_have_the_size_of_the_image(arch):
    net = SMP(5, arch, "tu-mobilenetv3_small_050", None).eval()
    for size in ((64, 64), (33, 51), (7, 40)):
        with torch.no_grad():
            assert net(torch.rand(2, 3, *size)).shape == (2, 5, *size)


@pytest.mark.parametrize(("size", "padded"), [((37, 51), (64, 64)), ((64, 96), (64, 96))])
def test_images_are_padded_by_their_last_row_and_column_if_needed_and_the_logits_cropped(size, padded):
    net = SMP(4, *TINY, None).eval()
    images = torch.rand(2, 3, *size)
    extended = functional.pad(images, (0, padded[1] - size[1], 0, padded[0] - size[0]), mode="replicate")
    assert torch.equal(net(images), net.model(extended)[..., : size[0], : size[1]])


def test_encoders_that_are_torchvisions_own_give_logits_too():
    pytest.importorskip("torchvision")
    assert SMP(6, "Unet", "resnet34", None).eval()(torch.rand(1, 3, 50, 70)).shape == (1, 6, 50, 70)


def test_the_package_is_not_imported_before_a_net_of_it_is_built():
    code = "import facesegl.nets, sys; sys.exit(bool({'segmentation_models_pytorch', 'timm'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# what is refused


def test_all_wrong_names_are_reported_at_once_with_the_nearest_right_ones():
    with pytest.raises(ConfigError) as caught:
        SMP(6, "unetplus", "efficientnet-b00", "imagenet")
    arch, encoder = caught.value.problems
    assert "model.arch=unetplus: " in arch
    assert "did you mean UnetPlusPlus?" in arch
    assert "model.encoder_name=efficientnet-b00: " in encoder
    assert "did you mean efficientnet-b0?" in encoder


@pytest.mark.parametrize(
    ("encoder", "weights", "words"),
    [
        ("efficientnet-b0", "imagnet", "did you mean imagenet?"),
        ("resnet18", "instagram", "there are: imagenet, ssl, swsl"),
        ("tu-resnet10t", "noisy-student", "there are: imagenet"),
        ("tu-efficientnet_lite1", "imagenet", "use model.encoder_weights=null"),
    ],
)
def test_weights_that_an_encoder_does_not_have_are_refused_with_those_that_it_has(encoder, weights, words):
    with pytest.raises(ConfigError) as caught:
        SMP(6, "Unett", encoder, weights)
    assert len(caught.value.problems) == 2, "the wrong arch is reported as well"
    assert f"model.encoder_weights={weights}: {encoder} has no such weights; {words}" in caught.value.problems[1]


@pytest.mark.parametrize(
    "name",
    [
        *("hf-hub:timm/resnet10t.c3_in1k", "tu-hf-hub:timm/resnet10t.c3_in1k", "tu-hf_hub:somebody/net"),
        *("local-dir:/tmp/net", "tu-local-dir:/tmp/net", "tu-/tmp/net", "tu-../net", "https://example.org/net"),
        *("tu-resnet10t.not_a_tag", "timm-efficientnet-b0", "", "tu-", ["resnet18"], 18, None),
    ],
)
def test_an_encoder_is_a_known_name_and_never_a_path_a_url_or_a_repository_on_a_hub(name, monkeypatch, no_network):
    monkeypatch.setattr("timm.create_model", lambda *_, **__: pytest.fail("timm was given the name"))
    with pytest.raises(ConfigError, match=r"model\.encoder_name=.*no such encoder"):
        SMP(6, "Unet", name, None)
    assert no_network == []


def test_names_of_timm_may_have_a_tag_for_the_weights():
    assert SMP(6, "Linknet", "tu-mobilenetv3_small_050.lamb_in1k", None)


@pytest.mark.parametrize(
    ("arch", "encoder", "message"),
    [
        ("FPN", "tu-vit_tiny_patch16_224", r"tu-vit_tiny_patch16_224: its images must be 224x224"),
        ("Linknet", "mit_b0", r"model\.arch=Linknet model\.encoder_name=mit_b0: .*not supported"),
    ],
)
def test_an_encoder_of_a_fixed_size_or_incompatible_with_the_arch_is_refused(arch, encoder, message):
    with pytest.raises(ConfigError, match=message):
        SMP(6, arch, encoder, None)


def test_a_batch_of_one_that_cannot_be_trained_on_is_refused_with_the_key_to_change():
    net = SMP(6, "DeepLabV3", "tu-mobilenetv3_small_050", None).train()
    with pytest.raises(ConfigError, match=r"batch of one photo of 64x64; choose a data\.batch_size"):
        net(torch.rand(1, 3, 64, 64))


@pytest.mark.parametrize("missing", ["segmentation_models_pytorch", "timm"])
def test_a_missing_package_is_named_with_what_installs_it(missing, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigError, match=rf"model=smp needs {missing}; .*pip install 'facesegl\[smp\]'"):
        SMP(6, *TINY, None)


@pytest.mark.parametrize(
    ("version", "pinned"),
    [
        ("2.9.1+cpu", r"torch==2\.9\.1\+cpu --index-url \S+/cpu "),
        ("2.9.1+cu126", r"torch==2\.9\.1\+cu126 --index-url \S+/cu126 "),
        ("2.9.1", r"torch==2\.9\.1 \("),
        ("2.9.0a0+git1f2e", r"torch==2\.9\.0a0\+git1f2e \("),
    ],
)
def test_what_installs_torchvision_keeps_the_torch_that_is_installed(version, pinned, monkeypatch):
    monkeypatch.setattr(torch, "__version__", version)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ConfigError, match=f"pip install torchvision {pinned}"):
        SMP(6, *TINY, None)


def test_a_torchvision_of_another_torch_is_named(monkeypatch, tmp_path):
    (tmp_path / "timm.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "timm")
    with pytest.raises(ConfigError, match=r"torchvision was not built for torch .* \(operator torchvision::nms does"):
        SMP(6, *TINY, None)


# pretrained weights


def test_pretrained_weights_are_used_with_images_standardized_as_in_their_training(hub):
    net = SMP(6, "Unet", "efficientnet-b0", "imagenet").eval()
    state = net.model.encoder.state_dict()
    assert all(torch.equal(state[name], values) for name, values in hub.items())
    photos = torch.rand(2, 3, 32, 32)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    seen = []
    net.model.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    net((photos - mean) / std)
    torch.testing.assert_close(seen[0], (photos - 0.5) / 0.5)


def test_weights_of_timm_are_loaded_with_their_mean_and_standard_deviation(monkeypatch):
    name = "tu-mobilenetv3_small_050"
    theirs = {key: values + 1 for key, values in SMP(6, "Linknet", name, None).model.encoder.model.state_dict().items()}
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", lambda *_, **__: dict(theirs))
    net = SMP(6, "Linknet", name, "imagenet")
    state = net.model.encoder.model.state_dict()
    assert all(torch.equal(state[key], values) for key, values in theirs.items())
    torch.testing.assert_close((net.scale, net.shift), (torch.ones(1, 3, 1, 1), torch.zeros(1, 3, 1, 1)))


@pytest.mark.parametrize("encoder", ["efficientnet-b0", "tu-resnet10t"])
def test_weights_that_cannot_be_fetched_are_reported_with_what_to_do(encoder, no_network):
    with pytest.raises(MachineError) as caught:
        SMP(6, "Unet", encoder, "imagenet")
    (problem,) = caught.value.problems
    assert f"model.encoder_weights=imagenet: the weights of {encoder} could not be fetched" in problem
    assert "model.encoder_weights=null" in problem
    assert "copy the Hugging Face cache" in problem
    assert no_network, "it was tried"


def test_the_command_ends_with_that_line_and_leaves_no_run(fasseg, no_network):
    assert_reported(call(*TRAIN, "model.encoder_weights=imagenet"), 5, "model.encoder_weights=imagenet: the weights of")
    assert not Path("run").exists()


def test_nothing_is_fetched_if_weights_follow(no_network):
    with weights_follow():
        SMP(6, "Unet", "efficientnet-b0", "imagenet")
    assert no_network == []
    with pytest.raises(MachineError):
        SMP(6, "Unet", "efficientnet-b0", "imagenet")


# the verbs


def trained(*overrides):
    ended = call(*TRAIN, *overrides)
    assert (ended.code, ended.lines("error")) == (0, []), ended.err
    return LAST


def test_an_smp_net_is_trained_scored_and_predicts(fasseg, no_network):
    last = trained()
    for words in (["info", last], ["evaluate", last], ["predict", last, fasseg / "Test_RGB", "-o", "masks"]):
        ended = call(*words)
        assert (ended.code, ended.lines("error")) == (0, []), (words, ended.err)
    assert len(list(Path("masks").rglob("*.png"))) >= 3
    assert no_network == []


@pytest.mark.slow
def test_an_exported_net_takes_any_size_and_predicts_the_same(fasseg):
    ended = call("export", trained(), "-o", "net.onnx")  # which tries many sizes, and writes nothing that differs
    assert (ended.code, ended.lines("error")) == (0, []), ended.err
    assert Path("net.onnx").is_file()


def test_a_checkpoint_of_pretrained_weights_opens_without_them_and_predicts_the_same(fasseg, hub, monkeypatch, smp):
    last = trained("model.arch=FPN", "model.encoder_name=efficientnet-b0", "model.encoder_weights=imagenet")
    monkeypatch.setattr(smp.encoders, "hf_hub_download", lambda *_, **__: pytest.fail("weights were fetched"))
    opened = SegmentationModule.load_from_checkpoint(last)
    weights = torch.load(last, weights_only=True)["state_dict"]
    trained_one = SMP(6, "FPN", "efficientnet-b0", None).eval()
    trained_one.load_state_dict({name.removeprefix("net."): values for name, values in weights.items()})
    assert trained_one.shift.abs().min() > 0.02, "photos are still made what the pretrained weights had seen"
    images = torch.rand(1, 3, 40, 40)
    torch.testing.assert_close(opened.net(images), trained_one(images))


def card_of(**changes):
    net = {"_target_": "facesegl.nets.SMP", "num_classes": 6, "arch": "Unet", "encoder_name": TINY[1]}
    return {"net": {**net, "encoder_weights": None, **changes}}


def test_a_net_from_a_card_fetches_nothing(no_network):
    assert build_net(card_of(encoder_weights="imagenet"))
    assert no_network == []


@pytest.mark.parametrize(
    "changes",
    [
        *({"encoder_name": name} for name in ("tu-hf-hub:timm/resnet10t", "local-dir:net", "../net", ["resnet18"], 5)),
        *({"arch": name} for name in ("from_pretrained", "create_model", "encoders", ["Unet"], None)),
        *({"encoder_weights": name} for name in ("https://example.org/net", "../net", ["imagenet"], 1)),
        {"decoder_channels": [1, 1]},
    ],
    ids=str,
)
def test_a_card_can_name_nothing_but_a_net_of_the_package(changes, no_network):
    with pytest.raises(CheckpointError, match="cannot be built from the checkpoint's parameters"):
        build_net(card_of(**changes))
    assert no_network == []
