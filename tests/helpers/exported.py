"""A tiny net that has learnt the drawn faces, since what rounding does to an untrained one says nothing."""

import functools

import numpy as np
import onnxruntime
import torch

from facesegl.export.graph import make_graph
from facesegl.labels import shrink_mask
from facesegl.learning import SegmentationModule
from facesegl.nets import UNet
from facesegl.sources import resize_photo
from helpers.faces import FASSEG6, draw_mask, draw_photo

SIZE = 24
NET = {"_target_": "facesegl.nets.UNet", "num_classes": 6, "channels": 4, "depth": 3}


def card_of(**changes):
    values = {"fold": 0, "folds": 3, "image_size": SIZE, "batch_size": 2}
    return {
        "format": 1,
        "net": dict(NET),
        "taxonomy": FASSEG6.to_mapping(),
        "normalisation": {"mean": [120.5, 110.25, 100.125], "std": [50.0, 40.0, 30.0]},
        "image_size": SIZE,
        "data": {"choice": "fasseg_v2", "name": "fasseg_v2", "fingerprint": "0" * 12, "values": values},
        "config": "seed: 0\n",
        "versions": {"facesegl": "0.1.0"},
        **changes,
    }


def module_of(net, **card):
    return SegmentationModule(net, card=card_of(**card)).eval()


def small(photo, size=SIZE):
    """(H, W, 3) uint8 -> (1, 3, size, size) uint8."""
    return np.ascontiguousarray(resize_photo(photo, size, size).transpose(2, 0, 1)[None])


@functools.cache
def learnt_state():
    """The weights of a net that learnt six faces; about a second."""
    torch.manual_seed(0)
    module = SegmentationModule(UNet(num_classes=6, channels=4, depth=3), card=card_of())
    masks = [draw_mask(seed) for seed in range(6)]
    photos = torch.from_numpy(np.concatenate([small(draw_photo(mask, seed)) for seed, mask in enumerate(masks)]))
    target = torch.from_numpy(np.stack([shrink_mask(mask, SIZE, SIZE, 6) for mask in masks])).long()
    optimizer = torch.optim.Adam(module.parameters(), lr=2e-2)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(photos), target).backward()
        optimizer.step()
    return module.state_dict()


def learnt_module():
    module = module_of(UNet(num_classes=6, channels=4, depth=3))
    module.load_state_dict(learnt_state())
    return module


@functools.cache
def _traced(whole):
    return make_graph(learnt_module(), whole=whole, place="last.ckpt").SerializeToString()


def learnt_graph(whole):
    """A copy of the graph; each kind is traced once, which takes seconds."""
    import onnx

    return onnx.load_from_string(_traced(whole))


def run(model, photos, *outputs):
    """What a graph gives in ONNX Runtime for photos of the type that it takes."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(list(outputs), {"photo": photos})
    return found if len(found) > 1 else found[0]
