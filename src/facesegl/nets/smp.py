"""Nets of segmentation_models_pytorch, an optional package that is imported when such a net is built."""

import contextlib
import importlib
import re
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

from facesegl.errors import ConfigError, MachineError
from facesegl.text import suggestion

ARCHS = (
    *("Unet", "UnetPlusPlus", "MAnet", "Linknet", "FPN", "PSPNet"),
    *("DeepLabV3", "DeepLabV3Plus", "UPerNet", "Segformer"),
)
"""The supported architectures. PAN (no image below 128 pixels) and DPT (encoders of one fixed size) are left out."""

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, R-G-B from 0 to 1

_loading: ContextVar[bool] = ContextVar("loading", default=False)


@contextlib.contextmanager
def weights_follow() -> Iterator[None]:
    """Build nets without fetching pretrained weights in this context, since a checkpoint's are loaded next."""
    before = _loading.set(True)
    try:
        yield
    finally:
        _loading.reset(before)


class SMP(nn.Module):
    """A net of segmentation_models_pytorch: a decoder on an encoder that may be pretrained on ImageNet.

    Images may have any size: they are padded on the right and at the bottom, by replicating the last column and row, to
    a multiple of the encoder's output stride, and the logits are cropped.

    Images are standardised by the training set's mean and standard deviation, but pretrained encoders expect their own,
    mostly ImageNet's. Standardised images are taken as standardised by ImageNet's, and the buffers `scale` and `shift`
    of each channel convert them to the encoder's: 1 and 0 for most encoders, and without pretrained weights.

    Only names are accepted, never a path, a URL or a repository on a hub, since they may be from an untrusted card.
    Other parameters of an architecture keep the package's defaults.

    Shape: float images (B, 3, H, W) -> logits (B, num_classes, H, W), any H and W.

    Args:
        num_classes: number of classes.
        arch: one of `ARCHS`.
        encoder_name: an encoder of the package, e.g. `resnet34`, or `tu-` and a model of timm, e.g. `tu-resnet10t` or,
            with a tag for its weights, `tu-resnet10t.c3_in1k`.
        encoder_weights: the encoder's initial weights: `imagenet`, or another of its names; for `tu-`, `imagenet` means
            those of its tag, whatever they were trained on. They are from the Hugging Face Hub or its cache. None for
            random weights.

    Raises:
        ConfigError: the package is missing, or does not know a name.
        MachineError: the weights cannot be fetched.
    """

    stride = 1

    def __init__(self, num_classes: int, arch: str, encoder_name: str, encoder_weights: str | None) -> None:
        super().__init__()
        package = _package("segmentation_models_pytorch")
        if problems := _problems(package, arch, encoder_name, encoder_weights):
            raise ConfigError(*problems)
        self._keys = f"model.arch={arch} model.encoder_name={encoder_name}"
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", torch.ones(1, 3, 1, 1))
        self.register_buffer("shift", torch.zeros(1, 3, 1, 1))
        try:
            self.model = _build(package, num_classes, arch, encoder_name, None)
        except Exception as error:  # both names are valid; the package may raise anything
            raise ConfigError(f"{self._keys}: not compatible ({_reason(error)}); choose others.") from error
        if encoder_weights is not None and not _loading.get():
            self._load_pretrained(package, num_classes, arch, encoder_name, encoder_weights)

    def _load_pretrained(self, package: Any, num_classes: int, arch: str, encoder_name: str, weights: str) -> None:
        try:
            self.model = _build(package, num_classes, arch, encoder_name, weights)
            expected = package.encoders.get_preprocessing_params(encoder_name, pretrained=weights)
        except Exception as error:  # built without weights it worked: a hub, a disk or a damaged file raised this
            raise MachineError(
                f"model.encoder_weights={weights}: the weights of {encoder_name} could not be fetched "
                f"({_reason(error)}). Is this machine online? Without weights: model.encoder_weights=null. Or run "
                f"this once on an online machine, and copy the Hugging Face cache (~/.cache/huggingface, or HF_HOME)."
            ) from error
        if expected["input_space"] != "RGB":
            raise ConfigError(f"model.encoder_name={encoder_name}: its weights expect {expected['input_space']}.")
        mean, std, imagenet_mean, imagenet_std = (
            torch.tensor(values).view(1, 3, 1, 1) for values in (expected["mean"], expected["std"], _MEAN, _STD)
        )
        largest = expected["input_range"][1]
        self.scale = imagenet_std * largest / std
        self.shift = (imagenet_mean * largest - mean) / std

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits.

        Args:
            images: (B, 3, H, W) float, standardised.

        Returns:
            (B, num_classes, H, W) float logits.

        Raises:
            ConfigError: this architecture cannot be trained on a batch of one image of this size.
        """
        height, width = images.shape[-2:]
        step = int(self.model.encoder.output_stride)
        # not -(-height // step): an exported graph rounds negative quotients up
        above = [(side + step - 1) // step * step for side in (height, width)]
        images = _resize_edges(images * self.scale + self.shift, *above)
        try:
            logits: Tensor = self.model(images)
        except ValueError as error:
            if self.training and len(images) == 1:  # batch norm over features of one pixel
                raise ConfigError(
                    f"{self._keys}: cannot be trained on a batch of one photo of {width}x{height}; "
                    f"choose a data.batch_size that leaves no single photo for the last batch."
                ) from error
            raise
        return _resize_edges(logits, height, width)


def _resize_edges(images: Tensor, height: int, width: int) -> Tensor:
    """Crop images (B, C, h, w) to (B, C, height, width), or pad them by replicating the last row and column."""
    for dim, length in ((-2, height), (-1, width)):
        # always in an export, where sizes are symbols: a comparison would fix the graph to one branch
        if torch.compiler.is_compiling() or images.shape[dim] != length:
            indices = torch.arange(length, device=images.device).clamp(max=images.shape[dim] - 1)
            images = images.index_select(dim, indices)
    return images


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = (error.name or name).partition(".")[0]
        raise ConfigError(f"model=smp needs {missing}; {_installation()}.") from error
    except RuntimeError as error:  # operator torchvision::nms does not exist
        raise ConfigError(
            f"model=smp: torchvision was not built for torch {torch.__version__} ({_reason(error)}); {_installation()}."
        ) from error


def _installation() -> str:
    """How to install the packages here; pip alone could replace this torch by a build for another device."""
    _, _, build = torch.__version__.partition("+")
    known = re.fullmatch(r"cpu|xpu|cu\d+|rocm[\d.]+", build)
    index = f" --index-url https://download.pytorch.org/whl/{build}" if known else ""
    return (
        f"install it with pip install torchvision torch=={torch.__version__}{index} (torchvision for this torch), and "
        f"then pip install 'facesegl[smp]'"
    )


def _build(package: Any, num_classes: int, arch: str, encoder_name: str, weights: str | None) -> Any:
    # smp takes True for the weights of any timm model
    start = True if weights and encoder_name.startswith("tu-") else weights
    return getattr(package, arch)(encoder_name, encoder_weights=start, classes=num_classes)


def _problems(package: Any, arch: str, encoder_name: str, weights: str | None) -> list[str]:
    problems = [] if arch in ARCHS else [f"model.arch={arch}: not a supported arch; {suggestion(str(arch), ARCHS)}"]
    encoders = _encoders(package)
    if encoder_name not in encoders:
        hint = suggestion(str(encoder_name), encoders)
        return [*problems, f"model.encoder_name={encoder_name}: smp and timm have no such encoder; {hint}"]
    if size := _fixed_size(encoder_name):
        problems.append(
            f"model.encoder_name={encoder_name}: its images must be {size}; choose one for any size, e.g. resnet34."
        )
    known = _weights(package, encoder_name)
    if weights is not None and weights not in known:
        hint = suggestion(str(weights), known) if known else "use model.encoder_weights=null"
        problems.append(f"model.encoder_weights={weights}: {encoder_name} has no such weights; {hint}")
    return problems


def _encoders(package: Any) -> list[str]:
    """All valid names of encoders, so that no name can refer to a hub or a disk."""
    timm = _package("timm")
    own = [name for name in package.encoders.encoders if not name.startswith("timm-")]  # deprecated in smp
    return [*own, *(f"tu-{name}" for name in (*timm.list_models(), *timm.list_pretrained()))]


def _weights(package: Any, encoder_name: str) -> list[str]:
    if encoder_name.startswith("tu-"):
        return ["imagenet"] if _package("timm").models.is_model_pretrained(encoder_name[3:]) else []
    return list(package.encoders.encoders[encoder_name]["pretrained_settings"])


def _fixed_size(encoder_name: str) -> str | None:
    model = encoder_name.removeprefix("tu-").partition(".")[0]
    config = _package("timm").models.get_pretrained_cfg(model) if encoder_name.startswith("tu-") else None
    return f"{config.input_size[1]}x{config.input_size[2]}" if config and config.fixed_input_size else None


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
