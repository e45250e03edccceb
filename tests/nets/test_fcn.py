import pytest
import torch
from torch import nn

from facesegl.errors import ConfigError
from facesegl.nets import FCN, check_size


def parameters(net):
    return sum(parameter.numel() for parameter in net.parameters())


def test_it_has_the_parameters_of_the_original():
    assert parameters(FCN(6)) == 2_098_770


@pytest.mark.parametrize("size", [(16, 16), (32, 48)])
def test_logits_have_the_size_of_the_image(size):
    assert FCN(4).eval()(torch.rand(1, 3, *size)).shape == (1, 4, *size)


def test_dropout_stands_after_the_second_and_the_fourth_stage():
    net = FCN(6)
    kinds = [[type(layer) for layer in stage] for stage in (net.down1, net.down2, net.down3, net.down4)]
    base = [nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d]
    assert kinds == [
        [*base, nn.ReLU],
        [*base, nn.ReLU, nn.Dropout],
        [*base, nn.ReLU],
        [*base, nn.ReLU, nn.Dropout],
    ]


def test_every_join_uses_the_features_of_the_encoder():
    net = FCN(2).eval()
    for stage, width in (("up2", 192), ("up1", 48), ("head", 12)):
        seen = []
        layer = getattr(net, stage)
        handle = layer.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0]))
        net(torch.rand(1, 3, 32, 32))
        handle.remove()
        assert seen[0].shape[1] == 2 * width
        assert (seen[0][:, width:] >= 0).all(), "the second half comes out of the encoder's ReLU"


def test_a_size_that_is_no_multiple_is_refused_with_value_rule_and_remedy():
    with pytest.raises(ConfigError, match=r"data\.image_size=250: FCN .* multiples of 16; take 240 or 256\."):
        FCN(6)(torch.rand(1, 3, 250, 250))


@pytest.mark.parametrize(
    ("size", "words"),
    [((250, 64), "250x64: .* take 240x64 or 256x64"), ((5, 5), "take 16\\."), ((0, 16), "take 16\\.")],
)
def test_the_nearest_sizes_are_named(size, words):
    with pytest.raises(ConfigError, match=words):
        check_size(*size, stride=16, name="FCN")


def test_it_runs_in_bf16_and_keeps_channels_last():
    net = FCN(6).to(memory_format=torch.channels_last)
    images = torch.rand(2, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(images)
    assert logits.dtype == torch.bfloat16
    assert logits.is_contiguous(memory_format=torch.channels_last)
    logits.float().mean().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
