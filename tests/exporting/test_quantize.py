import logging

import numpy as np
import pytest
from torch import nn

from facesegl.errors import CheckpointError
from facesegl.exporting.graph import make_graph
from facesegl.exporting.quantize import quantize
from helpers.exported import SIZE, net_of, run, small, trained_graph
from helpers.faces import draw_mask, draw_photo

LAYERS = ("Conv", "ConvTranspose")


def photos_for(whole):
    photos = [draw_photo(draw_mask(seed), seed) for seed in range(6)]
    if whole:
        return [photo.transpose(2, 0, 1)[None] for photo in photos]
    return [small(photo).astype(np.float32) for photo in photos]


@pytest.fixture(scope="module")
def quantized():
    return {whole: quantize(trained_graph(whole), photos_for(whole), "last.ckpt") for whole in (False, True)}


@pytest.mark.parametrize("whole", [False, True])
def test_int8_is_smaller_and_predicts_nearly_the_same(quantized, whole):
    before, after = trained_graph(whole), quantized[whole]
    weights = [sum(len(part.raw_data) for part in graph.graph.initializer) for graph in (before, after)]
    assert weights[1] < 0.6 * weights[0]  # in a net this small the two float layers are large
    output = "mask" if whole else "logits"
    for photo in photos_for(whole):
        ours, theirs = (run(graph, photo, output) for graph in (before, after))
        if not whole:
            ours, theirs = ours.argmax(1), theirs.argmax(1)
        assert (ours == theirs).mean() > 0.9


def test_the_first_and_the_last_layer_stay_float32(quantized):
    graph = quantized[False].graph
    made_by = {output: node.op_type for node in graph.node for output in node.output}
    kinds = [made_by.get(node.input[1]) == "DequantizeLinear" for node in graph.node if node.op_type in LAYERS]
    assert kinds == [False, *[True] * (len(kinds) - 2), False]


def test_batch_and_size_stay_dynamic(quantized):
    photos = np.zeros((3, 3, 35, 2 * SIZE), dtype=np.float32)
    assert run(quantized[False], photos, "logits").shape == (3, 6, 35, 2 * SIZE)


def test_nothing_is_printed_and_the_root_logger_is_not_configured(capfd):
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    try:
        quantize(trained_graph(False), photos_for(False)[:1], "last.ckpt")
        assert root.handlers == []
    finally:
        root.handlers = handlers
    assert capfd.readouterr() == ("", "")


def test_a_net_with_nothing_between_first_and_last_is_refused():
    graph = make_graph(net_of(nn.Conv2d(3, 6, 1)), whole=False, name="x.ckpt")
    with pytest.raises(CheckpointError, match=r"x\.ckpt: its net has 1 convolutions.*without --int8"):
        quantize(graph, photos_for(False), "x.ckpt")
