"""A tiny net trained on synthetic faces: rounding says nothing about an untrained one."""

import functools

import numpy as np
import onnxruntime
import torch

from facesegl.exporting.graph import make_graph
from facesegl.labels import shrink_mask
from facesegl.learning.normalized_net import NormalizedNet
from facesegl.nets import UNet
from facesegl.sources import resize_photo
from helpers.faces import draw_mask, draw_photo
from helpers.modules import NET as SMALL
from helpers.modules import make_card

SIZE = 24
NET = {**SMALL, "channels": 4, "depth": 2}


def card_of(**changes):
    values = {"fold": 0, "folds": 3, "image_size": SIZE, "batch_size": 2}
    data = {"choice": "fasseg_v2", "name": "fasseg_v2", "fingerprint": "0" * 12, "values": values}
    return make_card(**{"net": dict(NET), "image_size": SIZE, "data": data, **changes})


def net_of(net, **card):
    return NormalizedNet(net, card_of(**card)).eval()


def small(photo, size=SIZE):
    """(H, W, 3) uint8 -> (1, 3, size, size) uint8."""
    return np.ascontiguousarray(resize_photo(photo, size, size).transpose(2, 0, 1)[None])


@functools.cache
def trained_state():
    """The weights of a net trained on six faces; about a second."""
    torch.manual_seed(0)
    net = NormalizedNet(UNet(num_classes=6, channels=4, depth=2), card_of())
    masks = [draw_mask(seed) for seed in range(6)]
    photos = torch.from_numpy(np.concatenate([small(draw_photo(mask, seed)) for seed, mask in enumerate(masks)]))
    target = torch.from_numpy(np.stack([shrink_mask(mask, SIZE, SIZE, 6) for mask in masks])).long()
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-2)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(photos), target).backward()
        optimizer.step()
    return net.state_dict()


def trained_net():
    net = net_of(UNet(num_classes=6, channels=4, depth=2))
    net.load_state_dict(trained_state())
    return net


@functools.cache
def _traced(whole):
    return make_graph(trained_net(), whole=whole, name="last.ckpt").SerializeToString()


def trained_graph(whole):
    """A copy of the graph; each kind is traced once, which takes seconds."""
    import onnx

    return onnx.load_from_string(_traced(whole))


def run(model, photos, *outputs):
    """The outputs of a graph in ONNX Runtime for photos in the type of its input."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(list(outputs), {"photo": photos})
    return found if len(found) > 1 else found[0]
