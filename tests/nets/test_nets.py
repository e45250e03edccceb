"""FCN and UNet: what holds for both, then what holds for each."""

import pytest
import torch
from torch import nn
from torch.export import Dim, export
from torch.nn import functional

from facesegl.errors import ConfigError
from facesegl.nets import FCN, UNet, check_size


def count_parameters(net):
    return sum(parameter.numel() for parameter in net.parameters())


def unet_parameters(num_classes, channels, depth):
    """Those of a U-Net, counted by hand."""
    widths = [channels * 2**level for level in range(depth)]

    def two(entering, leaving):
        return 9 * entering * leaving + 9 * leaving**2 + 4 * leaving

    down = sum(two(entering, leaving) for entering, leaving in zip([3, *widths], widths, strict=False))
    up = sum(4 * 2 * width * width + width + two(2 * width, width) for width in widths[:-1])
    return down + up + channels * num_classes + num_classes


@pytest.mark.parametrize(
    ("net", "parameters"),
    [
        (FCN(6), 2_098_770),  # the original's
        (UNet(6, channels=16, depth=5), 1_942_662),  # the default's
        *((UNet(*shape), unet_parameters(*shape)) for shape in [(6, 16, 5), (3, 4, 1), (2, 6, 3)]),
    ],
)
def test_the_number_of_parameters(net, parameters):
    assert count_parameters(net) == parameters


@pytest.mark.parametrize(
    ("net", "size"),
    [
        *((FCN(5), size) for size in [(16, 16), (32, 48)]),
        *((UNet(5, 2, 5), size) for size in [(1, 1), (2, 3), (7, 16), (16, 16), (33, 51), (37, 64)]),
    ],
)
def test_logits_have_the_size_of_the_image(net, size):
    assert net.eval()(torch.rand(2, 3, *size)).shape == (2, 5, *size)


@pytest.mark.parametrize(("net", "size"), [(FCN(6), (32, 32)), (UNet(6, channels=4, depth=3), (21, 18))])
def test_it_runs_in_bf16_and_keeps_channels_last(net, size):
    net = net.to(memory_format=torch.channels_last)
    images = torch.rand(2, 3, *size).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(images)
    assert logits.dtype == torch.bfloat16
    assert logits.is_contiguous(memory_format=torch.channels_last)
    logits.float().mean().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_fcn_has_dropout_after_the_second_and_the_fourth_stage():
    net = FCN(6)
    kinds = [[type(layer) for layer in stage] for stage in (net.down1, net.down2, net.down3, net.down4)]
    plain = [nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.ReLU]
    assert kinds == [plain, [*plain, nn.Dropout], plain, [*plain, nn.Dropout]]


def inputs_of(layer, net, images):
    """What a layer gets while the net runs on images."""
    seen = []
    handle = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    net(images)
    handle.remove()
    return seen[0]


@pytest.mark.parametrize(("stage", "width"), [("up2", 192), ("up1", 48), ("head", 12)])
def test_every_join_of_fcn_uses_the_features_of_the_encoder(stage, width):
    net = FCN(2).eval()
    features = inputs_of(getattr(net, stage), net, torch.rand(1, 3, 32, 32))
    assert features.shape[1] == 2 * width
    assert (features[:, width:] >= 0).all(), "the second half comes from the encoder's ReLU"


def test_the_features_at_full_resolution_reach_the_last_join_of_unet():
    net, images = UNet(2, channels=4, depth=3).eval(), torch.rand(1, 3, 13, 10)
    features = inputs_of(net.join[-1], net, images)
    assert features.shape == (1, 8, 13, 10)
    assert torch.equal(features[:, :4], net.down[0](images))


def test_fcn_refuses_a_size_that_is_not_a_multiple_with_value_rule_and_remedy():
    with pytest.raises(ConfigError, match=r"data\.image_size=250: FCN .* multiples of 16; use 240 or 256\."):
        FCN(6)(torch.rand(1, 3, 250, 250))


@pytest.mark.parametrize(
    ("size", "words"),
    [((250, 64), "250x64: .* use 240x64 or 256x64"), ((5, 5), "use 16\\."), ((0, 16), "use 16\\.")],
)
def test_the_nearest_sizes_are_named(size, words):
    with pytest.raises(ConfigError, match=words):
        check_size(*size, stride=16, name="FCN")


def test_unet_can_be_trained_on_small_images():
    UNet(2, channels=2, depth=5)(torch.rand(2, 3, 9, 5)).mean().backward()


@pytest.mark.parametrize(("name", "value"), [("channels", 0), ("depth", 0), ("depth", 14), ("depth", 2**31)])
def test_unet_refuses_no_levels_no_channels_and_more_levels_than_pixels(name, value):
    with pytest.raises(ConfigError, match=f"model.{name}={value}: expected"):
        UNet(6, **{"channels": 16, "depth": 5, name: value})


def test_an_exported_unet_takes_odd_and_even_sizes_and_gives_the_same():
    net = UNet(3, channels=2, depth=3).eval()
    dynamic = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    exported = export(net, (torch.rand(2, 3, 27, 40),), dynamic_shapes=(dynamic,)).module()
    for size in ((24, 24), (33, 51), (26, 19)):
        images = torch.rand(3, 3, *size)
        torch.testing.assert_close(exported(images), net(images))


@pytest.mark.parametrize("size", [1, 2, 13, 255, 2047])
def test_the_interpolation_in_an_export_drops_the_same_row_as_a_slice(size):
    column = torch.arange(size + 1.0)[None, None, :, None]
    kept = functional.interpolate(column, size=(size, 1), mode="nearest")
    assert torch.equal(kept, column[:, :, :size])
