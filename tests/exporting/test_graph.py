import functools
import logging
import re

import numpy as np
import pytest
import torch
from torch import nn

from facesegl.errors import CheckpointError
from facesegl.exporting.graph import make_graph, shrink
from facesegl.nets import FCN, UNet
from facesegl.prediction import Predictor
from facesegl.sources import resize_photo
from helpers.exported import SIZE, net_of, run, small, trained_graph, trained_net
from helpers.faces import FASSEG6, draw_mask, draw_photo
from helpers.models import Painter

SIZES = [(64, 80), (80, 64), (64, 40), (33, 31), (31, 33), (20, 20), (SIZE, SIZE), (1, 1), (1, 50), (50, 1), (301, 200)]


def photos_of(height, width, batch=1):
    return np.random.default_rng(height * width).integers(0, 256, (batch, 3, height, width), dtype=np.uint8)


@torch.inference_mode()
def in_pytorch(net, photos):
    return net(torch.from_numpy(photos)).numpy()


@pytest.fixture(scope="module")
def resizing():
    """A whole graph whose logits are the resized photo itself."""
    nothing = {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}
    return make_graph(net_of(nn.Identity(), normalisation=nothing), whole=True, name="x.ckpt")


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_whole_graph_resizes_as_pillow_to_the_last_bit(resizing, height, width):
    photos = photos_of(height, width, batch=2)
    expected = np.concatenate([small(photo.transpose(1, 2, 0)) for photo in photos])
    assert np.array_equal(run(resizing, photos, "logits"), expected)


def test_photos_are_resized_columns_first_where_pillow_does_so():
    photo = photos_of(64, 8)
    columns_first = resize_photo(resize_photo(photo[0].transpose(1, 2, 0), 64, 16), 16, 16)
    found = shrink(torch.from_numpy(photo).float(), 16)
    assert np.array_equal(found[0].numpy().transpose(1, 2, 0), columns_first)


@pytest.mark.parametrize("size", [(40, 32), (17, 11), (90, 75), (60, 130), (200, 50)])
def test_a_whole_graph_gives_the_masks_of_the_predictor(size):
    photos = [draw_photo(draw_mask(seed, *size), seed) for seed in range(2)]
    model = Painter(functools.partial(in_pytorch, trained_net()), FASSEG6, SIZE)
    expected = np.stack([found.index for found in Predictor(model).many(photos)])
    masks = run(trained_graph(whole=True), np.stack(photos).transpose(0, 3, 1, 2).copy(), "mask")
    assert masks.dtype == np.uint8
    assert masks.shape == expected.shape
    assert (masks == expected).mean() >= 0.9999
    assert len(np.unique(masks)) >= 3  # not one class everywhere


def test_whole_graph_gives_logits_at_the_nets_size_too():
    photo = draw_photo(draw_mask(0, 50, 40), 0)
    _, logits = run(trained_graph(whole=True), photo.transpose(2, 0, 1)[None].copy(), "mask", "logits")
    np.testing.assert_allclose(logits, in_pytorch(trained_net(), small(photo)), atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 3, 24, 24), (5, 3, 24, 24), (2, 3, 37, 19), (1, 3, 1, 9), (3, 3, 130, 65)])
def test_batch_height_and_width_of_a_graph_are_dynamic(shape):
    photos = photos_of(*shape[2:], batch=shape[0])
    logits = run(trained_graph(whole=False), photos.astype(np.float32), "logits")
    np.testing.assert_allclose(logits, in_pytorch(trained_net(), photos), atol=1e-4)


class Strided(nn.Module):
    stride = 16

    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Conv2d(3, 4, 16, stride=16), nn.ConvTranspose2d(4, 6, 16, stride=16)

    def forward(self, images):
        return torch.cat([self.up(self.down(images))[:, :3], images], dim=1)


@pytest.mark.parametrize("net", [Strided, pytest.param(lambda: FCN(num_classes=6), marks=pytest.mark.slow)])
def test_a_net_with_a_stride_takes_its_multiples_and_refuses_the_rest(net):
    torch.manual_seed(0)
    net = net_of(net(), image_size=32)
    graph = make_graph(net, whole=False, name="x.ckpt")
    assert [side.dim_param for side in graph.graph.input[0].type.tensor_type.shape.dim][2:] == ["16*height", "16*width"]
    photos = photos_of(48, 80, batch=3)
    np.testing.assert_allclose(run(graph, photos.astype(np.float32), "logits"), in_pytorch(net, photos), atol=1e-4)
    with pytest.raises(Exception, match=r"Concat|shape"):
        run(graph, photos_of(50, 80).astype(np.float32), "logits")


def test_nineteen_classes_are_exported_too_and_nothing_is_printed(capfd, caplog):
    torch.manual_seed(0)
    classes = {f"class {number}": [number, 0, 0] for number in range(19)}
    net = net_of(UNet(num_classes=19, channels=2, depth=2), taxonomy={"classes": classes})
    graph = make_graph(net, whole=False, name="x.ckpt")
    photos = photos_of(16, 18, batch=2)
    logits = run(graph, photos.astype(np.float32), "logits")
    assert logits.shape == (2, 19, 16, 18)
    np.testing.assert_allclose(logits, in_pytorch(net, photos), atol=1e-4)
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("whole", [False, True])
def test_a_graph_has_no_paths_of_the_machine_that_exported_it(whole):
    text = trained_graph(whole).SerializeToString()
    assert not re.search(rb"\.py\b|stack_trace|site-packages|/home|/root|/work", text)


class Undecided(nn.Module):
    stride = 1

    def forward(self, images):
        return images if images.sum() > 0 else -images


def test_a_net_that_cannot_be_exported_is_reported_in_one_line(capfd):
    with pytest.raises(CheckpointError) as caught:
        make_graph(net_of(Undecided()), whole=False, name="x.ckpt")
    (problem,) = caught.value.problems
    assert problem.startswith("x.ckpt: its net Undecided cannot be exported to ONNX (")
    assert "\n" not in problem
    assert capfd.readouterr() == ("", "")
