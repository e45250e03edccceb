"""One net or several as an ONNX graph: with normalisation, on request also with resizing, upsampling and argmax."""

import contextlib
import io
import logging
import math
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from facesegl.errors import CheckpointError, ConfigError, is_out_of_memory
from facesegl.learning.normalized_net import EnsembleNet, NormalizedNet
from facesegl.nets.fcn import stride_of

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

OPSET = 20
KINDS = {"logits": ["logits"], "whole": ["mask", "logits"]}
"""The kinds of graphs, and the outputs of each, in order; an ensemble also has `members`, the logits of each."""

_MIN_SIDE = 128  # least height for tracing: no feature map may have a side of 1, which tracing treats specially
_BITS = 22  # in a weight of Pillow's resizing
_HALF = 11  # in each of its two parts, whose sums are exact in float32

_NOISY_LOGGERS = {
    "torch.onnx._internal.exporter._registration": logging.ERROR,  # torchvision is not installed
    "torch._guards": logging.CRITICAL,  # also raised
    "torch.fx.experimental.symbolic_shapes": logging.ERROR,  # the same
}


class WholeGraph(NormalizedNet):
    """Photos of any size in, masks of that size out, as from `Predictor`.

    Shape: uint8 (B, 3, H, W), R-G-B -> mask (B, H, W) uint8, and logits (B, classes, S, S) float32 at the net's size.
    """

    def __init__(self, net: NormalizedNet) -> None:
        super().__init__(net.net, net.card)

    def forward(self, photo: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override] # it returns the mask as well
        """Mask (B, H, W) uint8 and logits (B, classes, S, S) of photos (B, 3, H, W) uint8."""
        height, width = photo.shape[-2:]
        logits = super().forward(shrink(photo.float(), self.image_size))
        native = functional.interpolate(logits, size=(height, width), mode="bilinear", align_corners=False)
        return native.argmax(1).to(torch.uint8), logits


class EnsembleGraph(nn.Module):
    """The graph of an ensemble: one that takes photos of any size, or the nets alone.

    Shape: as of `WholeGraph`, or of `NormalizedNet`; a further output has the logits of each member (B, members,
    classes, S, S). The mask is that of the members' mean probability at the photo's size, as from `Predictor`, and
    `logits` are the logarithm of their mean probability at the net's size.
    """

    def __init__(self, net: EnsembleNet, *, whole: bool) -> None:
        super().__init__()
        self.net, self.whole = net, whole

    def forward(self, photo: Tensor) -> tuple[Tensor, ...]:
        """(mask,) logits and members of photos (B, 3, H, W)."""
        members = self.net(shrink(photo.float(), self.net.image_size) if self.whole else photo)
        logits = members.log_softmax(2).logsumexp(1) - math.log(members.shape[1])
        if not self.whole:
            return logits, members
        total = torch.zeros((), dtype=logits.dtype)
        for member in members.unbind(1):  # one by one, since photos may be large
            native = functional.interpolate(member, size=photo.shape[-2:], mode="bilinear", align_corners=False)
            total = total + native.softmax(1)
        return total.argmax(1).to(torch.uint8), logits, members


def make_graph(net: NormalizedNet, *, whole: bool, name: str) -> "ModelProto":
    """Export a net as a graph with dynamic batch, height and width.

    Height and width are multiples of the net's `stride`; a whole graph takes any size.

    Args:
        net: in eval mode, on the CPU.
        whole: whether resizing, upsampling and argmax are part of the graph.
        name: the model's name in messages.

    Raises:
        CheckpointError: the net cannot be expressed in ONNX.
        ConfigError: a package is missing.
    """
    require_packages(name)
    outputs, stride = KINDS["whole" if whole else "logits"], 1 if whole else net_stride(net)
    graph: nn.Module
    if isinstance(net, EnsembleNet):
        graph, outputs = EnsembleGraph(net, whole=whole), [*outputs, "members"]
    else:
        graph = WholeGraph(net) if whole else net
    side = -(-max(net.image_size, _MIN_SIDE) // stride) * stride
    photo = torch.zeros(2, 3, side, side + stride, dtype=torch.uint8 if whole else torch.float32)
    height, width = (_dynamic(axis, side, stride) for axis in ("height", "width"))
    try:
        with _quiet():
            program = torch.onnx.export(
                graph.eval(),
                (photo,),
                dynamo=True,
                opset_version=OPSET,
                input_names=["photo"],
                output_names=outputs,
                dynamic_shapes=[{0: torch.export.Dim("batch"), 2: height, 3: width}],
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # the exporter lets any exception of its steps through
        if is_out_of_memory(error):
            raise
        raise CheckpointError(_export_failure(net, error, name)) from error
    assert program is not None
    model: ModelProto = program.model_proto
    _strip_debug_info(model.graph)
    return model


def net_stride(net: NormalizedNet) -> int:
    """The least stride that all members of a model take."""
    return math.lcm(*map(stride_of, _nets(net)))


def shrink(photo: Tensor, size: int) -> Tensor:
    """Resize photos bit for bit as `resize_photo` does, with operators that every runtime has.

    The antialiased Resize of ONNX Runtime 1.32 differs by 13 of 255 at the edges, and by 1 elsewhere.

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


def require_packages(name: str) -> None:
    """Raise a ConfigError if a package for ONNX export is missing."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        try:
            __import__(package)
        except ImportError:
            raise ConfigError(
                f"{name}: an ONNX model needs {package}; install it with pip install 'facesegl[export]'."
            ) from None


def _dynamic(axis: str, side: int, stride: int) -> Any:
    """Any multiple of `stride`; the minimum is for tracing, the graph has none."""
    steps = torch.export.Dim(axis, min=side // stride)
    return stride * steps if stride > 1 else steps


def _weights(source: int, target: int) -> tuple[Tensor, Tensor]:
    """The weights of source pixels in a target pixel: two parts of (target, source) float32, whose sum has 22 bits.

    A triangle filter as wide as the reduction, at least two pixels, in integer arithmetic. Each part has so few bits
    that sums of up to 32 pixels are exact (of more, nearly always), so that halves are rounded as in Pillow.
    """
    before, after = torch.arange(source), torch.arange(target)[:, None]
    wide = (before[-1:] + 1).clamp(min=target)  # the larger, as a tensor: comparing sizes would make them static
    overlap = (2 * wide - ((2 * before + 1) * target - (2 * after + 1) * source).abs()).clamp(min=0)
    total = overlap.sum(1, keepdim=True)
    weights = (overlap * 2 ** (_BITS + 1) + total) // (2 * total)
    coarse = weights // 2**_HALF
    return coarse.float() / 2 ** (_BITS - _HALF), (weights - coarse * 2**_HALF).float() / 2**_BITS


def _half_up(coarse: Tensor, fine: Tensor) -> Tensor:
    """The sum of two tensors, rounded half up to whole numbers from 0 to 255."""
    whole = coarse.floor()  # separate from the rest, whose sum is then exact too
    return (whole + (coarse - whole + fine + 0.5).floor()).clamp(0, 255)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress messages of the exporter that a user cannot act on."""
    with warnings.catch_warnings(), contextlib.ExitStack() as undo:
        undo.enter_context(contextlib.redirect_stderr(io.StringIO()))  # on failure it prints the whole graph
        warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\).*")  # torch's use of its own API
        for logger_name, level in _NOISY_LOGGERS.items():
            logger = logging.getLogger(logger_name)
            undo.callback(logger.setLevel, logger.level)
            logger.setLevel(level)
        yield


def _nets(net: NormalizedNet) -> list[Any]:
    return [member.net for member in net.net] if isinstance(net, EnsembleNet) else [net.net]


def _export_failure(net: NormalizedNet, error: Exception, name: str) -> str:
    cause = error.__cause__ or error
    reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0][:160]
    return (
        f"{name}: its net {type(_nets(net)[0]).__name__} cannot be exported to ONNX ({reason}). A custom net must "
        f"declare the `stride` of its input sizes, and have no control flow that depends on computed values."
    )


def _strip_debug_info(graph: "GraphProto") -> None:
    """Remove what the exporter recorded about this machine: paths and lines of source code."""
    named: list[Any] = [*graph.input, *graph.output, *graph.value_info, *graph.initializer]
    for part in (graph, *graph.node, *named):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _strip_debug_info(attribute.g)
