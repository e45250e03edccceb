"""A model as an ONNX graph: normalisation inside it, on request also resizing, upscaling and argmax."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from facesegl.errors import CheckpointError, ConfigError
from facesegl.learning.module import SegmentationModule
from facesegl.nets.fcn import stride_of

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

OPSET = 20
KINDS = {"logits": ["logits"], "whole": ["mask", "logits"]}
"""The kinds of graphs, and what each gives, in order."""

_SIDE = 128  # the least height that a graph is traced at: in no level of a net may a side become 1, which is special
_BITS = 22  # of a weight in Pillow's resizing
_HALF = 11  # of these, in each of the two parts whose sums are exact in float32

_LOUD = {
    "torch.onnx._internal.exporter._registration": logging.ERROR,  # that torchvision is not installed
    "torch._guards": logging.CRITICAL,  # what is raised as well
    "torch.fx.experimental.symbolic_shapes": logging.ERROR,  # the same
}


class LogitsGraph(nn.Module):
    """Photos at the net's size in, logits out.

    Shape: float32 (B, 3, H, W), R-G-B from 0 to 255 -> logits (B, classes, H, W) float32.
    """

    def __init__(self, module: SegmentationModule) -> None:
        super().__init__()
        self.net = module.net
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", module.mean)
        self.register_buffer("std", module.std)

    def forward(self, photo: Tensor) -> Tensor:
        """Logits (B, classes, H, W) of float photos (B, 3, H, W)."""
        logits: Tensor = self.net((photo - self.mean) / self.std)
        return logits


class WholeGraph(LogitsGraph):
    """Photos of any size in, masks of that size out, as `Predictor` makes them.

    Shape: uint8 (B, 3, H, W), R-G-B -> mask (B, H, W) uint8, and logits (B, classes, S, S) float32 at the net's size.
    """

    def __init__(self, module: SegmentationModule) -> None:
        super().__init__(module)
        self.image_size = module.image_size

    def forward(self, photo: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override] # it gives the mask as well
        """Mask (B, H, W) uint8 and logits (B, classes, S, S) of photos (B, 3, H, W) uint8."""
        height, width = photo.shape[-2:]
        logits = super().forward(shrink(photo.float(), self.image_size))
        native = functional.interpolate(logits, size=(height, width), mode="bilinear", align_corners=False)
        return native.argmax(1).to(torch.uint8), logits


def make_graph(module: SegmentationModule, *, whole: bool, place: str) -> "ModelProto":
    """Write a module's net as a graph whose batch, height and width are free.

    Heights and widths are multiples of the net's `stride`; those of a whole graph are free.

    Args:
        module: in eval mode, on the CPU.
        whole: whether resizing, upscaling and argmax are part of it.
        place: what messages call the model.

    Raises:
        CheckpointError: the net has something that has no form in ONNX.
        ConfigError: a package is missing.
    """
    require_packages(place)
    graph, stride = WholeGraph(module) if whole else LogitsGraph(module), 1 if whole else stride_of(module.net)
    side = -(-max(module.image_size, _SIDE) // stride) * stride
    photo = torch.zeros(2, 3, side, side + stride, dtype=torch.uint8 if whole else torch.float32)
    height, width = (_free(name, side, stride) for name in ("height", "width"))
    try:
        with _quiet():
            program = torch.onnx.export(
                graph.eval(),
                (photo,),
                dynamo=True,
                opset_version=OPSET,
                input_names=["photo"],
                output_names=KINDS["whole" if whole else "logits"],
                dynamic_shapes={"photo": {0: torch.export.Dim("batch"), 2: height, 3: width}},
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # the exporter raises what its many steps raise
        raise CheckpointError(_why_not(module.net, error, place)) from error
    assert program is not None
    model: ModelProto = program.model_proto
    _forget(model.graph)
    return model


def shrink(photo: Tensor, size: int) -> Tensor:
    """Resize photos as `resize_photo` does, bit for bit, by arithmetic that every runtime has.

    A runtime's own antialiased Resize differs: ONNX Runtime 1.32 by 13 of 255 at the edges, and by 1 elsewhere.

    Args:
        photo: (B, 3, H, W) float32, whole numbers from 0 to 255.
        size: height and width of the result.

    Returns:
        (B, 3, size, size) float32, whole numbers from 0 to 255.
    """
    height, width = photo.shape[-2:]
    columns_coarse, columns_fine = (part.T for part in _weights(width, size))
    rows_coarse, rows_fine = _weights(height, size)
    narrow = _half_up(photo @ columns_coarse, photo @ columns_fine)  # (B, 3, H, size)
    return _half_up(rows_coarse @ narrow, rows_fine @ narrow)


def require_packages(place: str) -> None:
    """Refuse early where a package is missing.

    Raises:
        ConfigError: which package.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        try:
            __import__(package)
        except ImportError:
            raise ConfigError(
                f"{place}: an ONNX model needs {package}; install it with pip install 'facesegl[export]'."
            ) from None


def _free(name: str, side: int, stride: int) -> Any:
    """A side of any length that is a multiple of `stride`. The least is for the trace alone; the graph has none."""
    steps = torch.export.Dim(name, min=side // stride)
    return stride * steps if stride > 1 else steps


def _weights(source: int, target: int) -> tuple[Tensor, Tensor]:
    """Of which source pixels a target pixel is made: two parts of (target, source) float32, whose sum has 22 bits.

    A triangle as wide as the reduction, at least two pixels. All of it is computed in whole numbers, and each part has
    so few bits that its sums of pixels are exact (of up to 32 pixels surely, of more mostly); only so are halves
    rounded as Pillow rounds them.
    """
    before, after = torch.arange(source), torch.arange(target)[:, None]
    wide = (before[-1:] + 1).clamp(min=target)  # the larger of both, as a tensor: a size would be fixed by comparing it
    overlap = (2 * wide - ((2 * before + 1) * target - (2 * after + 1) * source).abs()).clamp(min=0)
    total = overlap.sum(1, keepdim=True)
    weights = (overlap * 2 ** (_BITS + 1) + total) // (2 * total)
    coarse = weights // 2**_HALF
    return coarse.float() / 2 ** (_BITS - _HALF), (weights - coarse * 2**_HALF).float() / 2**_BITS


def _half_up(coarse: Tensor, fine: Tensor) -> Tensor:
    """The sum of two tensors of equal shape, rounded to whole numbers from 0 to 255."""
    whole = coarse.floor()  # apart from the rest, whose sum then is exact too
    return (whole + (coarse - whole + fine + 0.5).floor()).clamp(0, 255)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What the exporter says that nobody can act on."""
    with warnings.catch_warnings(), contextlib.ExitStack() as undo:
        undo.enter_context(contextlib.redirect_stderr(io.StringIO()))  # the whole graph, where it gives up
        warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\).*")  # torch's own use of torch
        for name, level in _LOUD.items():
            logger = logging.getLogger(name)
            undo.callback(logger.setLevel, logger.level)
            logger.setLevel(level)
        yield


def _why_not(net: nn.Module, error: Exception, place: str) -> str:
    cause = error.__cause__ or error
    reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0][:160]
    return (
        f"{place}: its net {type(net).__name__} cannot be written as ONNX ({reason}). A net of one's own says with "
        f"`stride` what its sizes are multiples of, and decides nothing by the values that it computes."
    )


def _forget(graph: "GraphProto") -> None:
    """Take out what the exporter noted of this machine: paths and lines of source code."""
    named: list[Any] = [*graph.input, *graph.output, *graph.value_info, *graph.initializer]
    for part in (graph, *graph.node, *named):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _forget(attribute.g)
