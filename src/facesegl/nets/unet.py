"""A U-Net of any width and depth, for images of any size."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from facesegl.errors import ConfigError

_MAX_DEPTH = 13


class UNet(nn.Module):
    """The U-Net of Ronneberger, Fischer and Brox (MICCAI 2015), with same padding and batch norm.

    Each level has two 3x3 convolutions; the channels double and the size halves from level to level. Transposed
    convolutions lead back up, with skip connections by concatenation at each level, full resolution included. With 16
    channels, 5 levels and six classes it has 1 942 662 parameters; the paper's has 64 channels and 31 million.

    Odd sizes are halved rounding up, and upsampled features are cropped to their level's size, so that no image needs
    padding. To train with batch norm the deepest level needs more than one value per channel: with a batch of one, an
    image larger than 2 ** (depth - 1).

    Shape: float images (B, 3, H, W) -> logits (B, num_classes, H, W), any H and W.

    Args:
        num_classes: number of classes.
        channels: channels of the first level.
        depth: number of levels.

    Raises:
        ConfigError: `channels` or `depth` is below 1, or `depth` is above 13.
    """

    stride = 1

    def __init__(self, num_classes: int, channels: int, depth: int) -> None:
        super().__init__()
        _check_positive(channels=channels, depth=depth)
        if depth > _MAX_DEPTH:
            raise ConfigError(f"model.depth={depth}: expected at most {_MAX_DEPTH}, which halves 8192 pixels to 2.")
        widths = [channels * 2**level for level in range(depth)]
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.down = nn.ModuleList(map(_two_convolutions, [3, *widths], widths))
        widths.reverse()
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * width, width, kernel_size=2, stride=2) for width in widths[1:])
        self.join = nn.ModuleList(_two_convolutions(2 * width, width) for width in widths[1:])
        self.head = nn.Conv2d(channels, num_classes, kernel_size=1)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits.

        Args:
            images: (B, 3, H, W) float, standardised.

        Returns:
            (B, num_classes, H, W) float logits.
        """
        levels = [self.down[0](images)]
        for down in self.down[1:]:
            levels.append(down(self.pool(levels[-1])))  # (B, 2c, ceil(h/2), ceil(w/2)) from (B, c, h, w)
        features = levels.pop()
        for up, join in zip(self.up, self.join, strict=True):
            level = levels.pop()
            features = join(torch.cat((level, _crop(up(features), level)), dim=1))
        logits: Tensor = self.head(features)
        return logits


def _crop(features: Tensor, level: Tensor) -> Tensor:
    """Crop features (B, C, h, w) to the height and width of the level."""
    height, width = level.shape[-2:]
    if torch.compiler.is_compiling():
        # an exported slice takes only odd or only even sizes; this drops the same row, but costs 5 % of an eager step
        return functional.interpolate(features, size=(height, width), mode="nearest")
    return features[..., :height, :width]


def _check_positive(**arguments: int) -> None:
    problems = [
        f"model.{name}={value}: expected a whole number from 1; the default net has channels=16, depth=5."
        for name, value in arguments.items()
        if value < 1
    ]
    if problems:
        raise ConfigError(*problems)


def _two_convolutions(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(*_convolution(in_channels, out_channels), *_convolution(out_channels, out_channels))


def _convolution(in_channels: int, out_channels: int) -> tuple[nn.Module, ...]:
    # no bias: the batch norm after it has one
    conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)
    return conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)
