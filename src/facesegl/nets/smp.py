"""The nets of segmentation_models_pytorch, an optional package that is imported when a net of it is built."""

import contextlib
import importlib
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
"""What can be chosen. PAN (no image below 128 pixels) and DPT (for encoders that see one size only) are left out."""

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's photos, R-G-B in 0 to 1

_loading: ContextVar[bool] = ContextVar("loading", default=False)


@contextlib.contextmanager
def weights_follow() -> Iterator[None]:
    """Around what builds a net whose weights are loaded next: no pretrained ones are fetched for it meanwhile."""
    before = _loading.set(True)
    try:
        yield
    finally:
        _loading.reset(before)


class SMP(nn.Module):
    """A net of segmentation_models_pytorch: a decoder on an encoder that may have learnt from ImageNet before.

    Images of any size: they are extended to the right and downwards by their last column and row to a multiple of what
    the encoder reduces, and the logits are cut.

    Photos reach a net standardised by the training photos' own mean and standard deviation. Pretrained weights have
    seen photos standardised in their encoder's way, most by ImageNet's mean and standard deviation. So one standard
    deviation here is made one of ImageNet there: `scale` and `shift`, of each channel, lead from one to the other (1
    and 0 for most encoders, and without pretrained weights). They are kept with the weights.

    Names alone can be given, never a path, an address or another's place on a hub, since a card that travelled names
    a net too. The archs' further parameters stay as the package has them.

    Shape: float images (B, 3, H, W) -> logits (B, num_classes, H, W), any H and W.

    Args:
        num_classes: how many classes there are.
        arch: one of `ARCHS`.
        encoder_name: an encoder of the package, such as `resnet34`, or `tu-` and a model of timm, such as
            `tu-resnet10t` or, with a tag that says which weights, `tu-resnet10t.c3_in1k`.
        encoder_weights: what the encoder starts from: `imagenet`, or another of its names; for `tu-` those of its tag,
            which are not ImageNet's alone for every one. They come from the Hugging Face Hub or its cache. None for
            random weights.

    Raises:
        ConfigError: the package is missing, or does not know what it is asked for.
        MachineError: the weights cannot be fetched.
    """

    stride = 1

    def __init__(self, num_classes: int, arch: str, encoder_name: str, encoder_weights: str | None) -> None:
        super().__init__()
        package = _package("segmentation_models_pytorch")
        if problems := _problems(package, arch, encoder_name, encoder_weights):
            raise ConfigError(*problems)
        self._place = f"model.arch={arch} model.encoder_name={encoder_name}"
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", torch.ones(1, 3, 1, 1))
        self.register_buffer("shift", torch.zeros(1, 3, 1, 1))
        try:
            self.model = _build(package, num_classes, arch, encoder_name, None)
        except Exception as error:  # both are known, but what they raise at each other is theirs
            raise ConfigError(f"{self._place}: the two do not go together ({_reason(error)}); take others.") from error
        if encoder_weights is not None and not _loading.get():
            self._start_from(package, num_classes, arch, encoder_name, encoder_weights)

    def _start_from(self, package: Any, num_classes: int, arch: str, encoder_name: str, weights: str) -> None:
        """Take pretrained weights, from the cache or from where the package has them."""
        try:
            self.model = _build(package, num_classes, arch, encoder_name, weights)
            expected = package.encoders.get_preprocessing_params(encoder_name, pretrained=weights)
        except Exception as error:  # without weights it could be built: what a hub, a disk or a damaged file raises
            raise MachineError(
                f"model.encoder_weights={weights}: the weights of {encoder_name} could not be fetched "
                f"({_reason(error)}). Is this machine online? Without them: model.encoder_weights=null. Or run this "
                f"once where there is a network, and copy the Hugging Face cache (~/.cache/huggingface, or HF_HOME)."
            ) from error
        if expected["input_space"] != "RGB":
            raise ConfigError(f"model.encoder_name={encoder_name}: its weights expect {expected['input_space']}.")
        mean, std, seen_mean, seen_std = (
            torch.tensor(values).view(1, 3, 1, 1) for values in (expected["mean"], expected["std"], _MEAN, _STD)
        )
        largest = expected["input_range"][1]
        self.scale, self.shift = seen_std * largest / std, (seen_mean * largest - mean) / std

    def forward(self, images: Tensor) -> Tensor:
        """Score every class at every pixel.

        Args:
            images: (B, 3, H, W) float, normalised.

        Returns:
            (B, num_classes, H, W) float logits.

        Raises:
            ConfigError: one image is a batch too small for this arch to learn from.
        """
        height, width = images.shape[-2:]
        step = int(self.model.encoder.output_stride)
        # not -(-height // step): an exported graph rounds what is negative upwards
        above = [(side + step - 1) // step * step for side in (height, width)]
        images = _sized(images * self.scale + self.shift, *above)
        try:
            logits: Tensor = self.model(images)
        except ValueError as error:
            if self.training and len(images) == 1:  # batch norm over features of one pixel
                raise ConfigError(
                    f"{self._place}: it cannot learn from a batch of one photo of {width}x{height}; take a "
                    f"data.batch_size that leaves no single photo over."
                ) from error
            raise
        return _sized(logits, height, width)


def _sized(images: Tensor, height: int, width: int) -> Tensor:
    """Cut images (B, C, h, w) to (B, C, height, width), or extend them by their last row and column."""
    for dim, length in ((-2, height), (-1, width)):
        # an export, which has no numbers yet, does it always: a comparison would tie its graph to one of both
        if torch.compiler.is_compiling() or images.shape[dim] != length:
            places = torch.arange(length, device=images.device).clamp(max=images.shape[dim] - 1)
            images = images.index_select(dim, places)
    return images


def _package(name: str) -> Any:
    """An optional package, imported.

    Raises:
        ConfigError: it is not installed, or lacks one that it needs.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        lacking = (error.name or name).partition(".")[0]
        raise ConfigError(f"model=smp needs {lacking}; install it with pip install 'facesegl[smp]'.") from error


def _build(package: Any, num_classes: int, arch: str, encoder_name: str, weights: str | None) -> Any:
    # the package asks for True for all the weights of timm
    start = True if weights and encoder_name.startswith("tu-") else weights
    return getattr(package, arch)(encoder_name, encoder_weights=start, classes=num_classes)


def _problems(package: Any, arch: str, encoder_name: str, weights: str | None) -> list[str]:
    """What the package does not know, one line each."""
    problems = (
        [] if arch in ARCHS else [f"model.arch={arch}: no arch that facesegl offers; {suggestion(str(arch), ARCHS)}"]
    )
    encoders = _encoders(package)
    if encoder_name not in encoders:
        hint = suggestion(str(encoder_name), encoders)
        return [*problems, f"model.encoder_name={encoder_name}: smp and timm have no such encoder; {hint}"]
    if size := _only_size(encoder_name):
        problems.append(
            f"model.encoder_name={encoder_name}: it sees images of {size} alone; take one for any size, such as "
            f"resnet34."
        )
    known = _weights(package, encoder_name)
    if weights is not None and weights not in known:
        hint = suggestion(str(weights), known) if known else "take model.encoder_weights=null"
        problems.append(f"model.encoder_weights={weights}: {encoder_name} has no such weights; {hint}")
    return problems


def _encoders(package: Any) -> list[str]:
    """The encoders' names: a list that is complete, so that nothing that a hub or a disk has can be named."""
    timm = _package("timm")
    own = [name for name in package.encoders.encoders if not name.startswith("timm-")]  # which smp calls deprecated
    return [*own, *(f"tu-{name}" for name in (*timm.list_models(), *timm.list_pretrained()))]


def _weights(package: Any, encoder_name: str) -> list[str]:
    """The names of the weights that a known encoder has."""
    if encoder_name.startswith("tu-"):
        return ["imagenet"] if _package("timm").models.is_model_pretrained(encoder_name[3:]) else []
    return list(package.encoders.encoders[encoder_name]["pretrained_settings"])


def _only_size(encoder_name: str) -> str | None:
    """The one size that a known encoder takes; None for one that takes many."""
    model = encoder_name.removeprefix("tu-").partition(".")[0]
    about = _package("timm").models.get_pretrained_cfg(model) if encoder_name.startswith("tu-") else None
    return f"{about.input_size[1]}x{about.input_size[2]}" if about and about.fixed_input_size else None


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
