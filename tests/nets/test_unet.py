import pytest
import torch
from torch.export import Dim, export
from torch.nn import functional

from facesegl.errors import ConfigError
from facesegl.nets import UNet


def parameters(net):
    return sum(parameter.numel() for parameter in net.parameters())


def by_hand(num_classes, channels, depth):
    widths = [channels * 2**level for level in range(depth)]

    def two(entering, leaving):
        return 9 * entering * leaving + 9 * leaving**2 + 4 * leaving

    down = sum(two(entering, leaving) for entering, leaving in zip([3, *widths], widths, strict=False))
    up = sum(4 * 2 * width * width + width + two(2 * width, width) for width in widths[:-1])
    return down + up + channels * num_classes + num_classes


@pytest.mark.parametrize("shape", [(6, 16, 5), (3, 4, 1), (2, 6, 3)])
def test_the_parameters_are_those_counted_by_hand(shape):
    assert parameters(UNet(*shape)) == by_hand(*shape)


def test_the_default_size_has_1_9_million_parameters():
    assert parameters(UNet(6, channels=16, depth=5)) == 1_942_662


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 16), (16, 16), (33, 51), (37, 64)])
def test_any_size_comes_back_as_it_was(size):
    assert UNet(5, channels=2, depth=5).eval()(torch.rand(2, 3, *size)).shape == (2, 5, *size)


def test_small_images_can_be_trained_on():
    UNet(2, channels=2, depth=5)(torch.rand(2, 3, 9, 5)).mean().backward()


def test_the_features_of_full_resolution_reach_the_last_join():
    net = UNet(2, channels=4, depth=3).eval()
    seen = []
    net.join[-1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = torch.rand(1, 3, 13, 10)
    net(images)
    assert seen[0].shape == (1, 8, 13, 10)
    assert torch.equal(seen[0][:, :4], net.down[0](images))


@pytest.mark.parametrize(("name", "value"), [("channels", 0), ("depth", 0), ("depth", 14), ("depth", 2**31)])
def test_a_net_without_levels_or_channels_or_with_more_levels_than_pixels_is_refused(name, value):
    with pytest.raises(ConfigError, match=f"model.{name}={value}: expected"):
        UNet(6, **{"channels": 16, "depth": 5, name: value})


def test_it_runs_in_bf16_and_keeps_channels_last():
    net = UNet(6, channels=4, depth=3).to(memory_format=torch.channels_last)
    images = torch.rand(2, 3, 21, 18).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(images)
    assert logits.dtype == torch.bfloat16
    assert logits.is_contiguous(memory_format=torch.channels_last)
    logits.float().mean().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_an_exported_net_takes_odd_and_even_sizes_and_says_the_same():
    net = UNet(3, channels=2, depth=3).eval()
    dynamic = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    exported = export(net, (torch.rand(2, 3, 27, 40),), dynamic_shapes=(dynamic,)).module()
    for size in ((24, 24), (33, 51), (26, 19)):
        images = torch.rand(3, 3, *size)
        torch.testing.assert_close(exported(images), net(images))


@pytest.mark.parametrize("size", [1, 2, 13, 255, 2047])
def test_what_an_export_does_instead_of_a_slice_drops_the_same_row(size):
    column = torch.arange(size + 1.0)[None, None, :, None]
    kept = functional.interpolate(column, size=(size, 1), mode="nearest")
    assert torch.equal(kept, column[:, :, :size])
