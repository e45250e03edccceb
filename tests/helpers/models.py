"""Models without a net, whose numbers can be checked by hand."""

import json
from pathlib import Path

import numpy as np

from facesegl.labels import Taxonomy
from helpers.faces import FASSEG6 as FASSEG6
from helpers.modules import make_card

LEFT_RIGHT = Taxonomy.from_mapping(
    {
        "classes": {"background": [0, 0, 0], "left eye": [255, 0, 0], "right eye": [0, 0, 255]},
        "pairs": [["left eye", "right eye"]],
    }
)


class Painter:
    """Its logits are a function of the photo, (B, 3, S, S) uint8 -> (B, C, S, S)."""

    def __init__(self, function, taxonomy=LEFT_RIGHT, image_size=8, name="painter"):
        self.function, self.taxonomy, self.image_size, self.name = function, taxonomy, image_size, name
        self.card, self.seen = {}, []

    def logits(self, photos):
        self.seen.append(photos)
        return self.function(photos).astype(np.float32)


def channels(photos):
    """Logits of three classes: the darkness, the red and the blue of the photo."""
    red, blue = photos[:, 0] / 32.0, photos[:, 2] / 32.0
    return np.stack([4 - np.maximum(red, blue), red, blue], axis=1)


def halves(photos):
    """Class 1 on the left half and class 2 on the right half of any photo."""
    batch, _, height, width = photos.shape
    logits = np.zeros((batch, 3, height, width))
    logits[:, 1, :, : width // 2] = 5
    logits[:, 2, :, width // 2 :] = 5
    return logits


def onnx_model(path, output="logits", metadata=None):
    """A tiny ONNX model: a class for each channel of the photo, and three more."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.zeros((6, 3, 1, 1), np.float32)
    weights[[0, 1, 2], [0, 1, 2]] = 1
    sides = ["batch", 3, "height", "width"]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["photos", "weights"], [output])],
        "channels",
        [helper.make_tensor_value_info("photos", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", 6, "height", "width"])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"facesegl": json.dumps(make_card())} if metadata is None else metadata)
    Path(path).write_bytes(model.SerializeToString())


def endless_model(path):
    """An ONNX model whose Loop never ends."""
    from onnx import TensorProto, helper, numpy_helper

    def value(name, kind, sides):
        return helper.make_tensor_value_info(name, kind, sides)

    body = helper.make_graph(
        [helper.make_node("Identity", ["again"], ["still"]), helper.make_node("Add", ["x", "x"], ["y"])],
        "body",
        [value("n", TensorProto.INT64, []), value("again", TensorProto.BOOL, []), value("x", TensorProto.FLOAT, [])],
        [value("still", TensorProto.BOOL, []), value("y", TensorProto.FLOAT, [])],
    )
    sides = ["batch", 3, "height", "width"]
    weights = {"weights": np.zeros((6, 3, 1, 1), np.float32), "yes": np.array(True), "zero": np.array(0, np.float32)}
    graph = helper.make_graph(
        [
            helper.make_node("Loop", ["", "yes", "zero"], ["sum"], body=body),
            helper.make_node("Conv", ["photos", "weights"], ["channels"]),
            helper.make_node("Add", ["channels", "sum"], ["logits"]),
        ],
        "endless",
        [value("photos", TensorProto.FLOAT, sides)],
        [value("logits", TensorProto.FLOAT, ["batch", 6, "height", "width"])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"facesegl": json.dumps(make_card())})
    Path(path).write_bytes(model.SerializeToString())
