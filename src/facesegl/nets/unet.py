"""A U-Net of any width and depth, for images of any size."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from facesegl.errors import ConfigError

_DEEPEST = 13


class UNet(nn.Module):
    """The U-Net of Ronneberger, Fischer and Brox (MICCAI 2015), with same padding and batch norm.

    Each level has two 3x3 convolutions; the channels double and the size halves from level to level. Transposed
    convolutions lead back up and join the features of each level by concatenation, full resolution included. With 16
    channels, 5 levels and six classes it has 1 942 662 parameters; the paper's own has 64 channels and 31 million.

    Odd sizes are halved upwards, and what comes back a row or a column too large is cut to its level's size, so that
    no image needs padding. To train with batch norm the deepest level needs more than one value a channel: with a
    batch of one, an image larger than 2 ** (depth - 1).

    Shape: float images (B, 3, H, W) -> logits (B, num_classes, H, W), any H and W.

    Args:
        num_classes: how many classes there are.
        channels: channels of the first level.
        depth: number of levels.

    Raises:
        ConfigError: `channels` or `depth` is below one, or `depth` is more than any photo can be halved.
    """

    stride = 1

    def __init__(self, num_classes: int, channels: int, depth: int) -> None:
        super().__init__()
        _check_positive(channels=channels, depth=depth)
        if depth > _DEEPEST:
            raise ConfigError(f"model.depth={depth}: expected {_DEEPEST} at most, where 8192 pixels are halved to 2.")
        widths = [channels * 2**level for level in range(depth)]
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.down = nn.ModuleList(map(_two_convolutions, [3, *widths], widths))
        widths.reverse()
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * width, width, kernel_size=2, stride=2) for width in widths[1:])
        self.join = nn.ModuleList(_two_convolutions(2 * width, width) for width in widths[1:])
        self.head = nn.Conv2d(channels, num_classes, kernel_size=1)

    def forward(self, images: Tensor) -> Tensor:
        """Score every class at every pixel.

        Args:
            images: (B, 3, H, W) float, normalised.

        Returns:
            (B, num_classes, H, W) float logits.
        """
        levels = [self.down[0](images)]
        for down in self.down[1:]:
            levels.append(down(self.pool(levels[-1])))  # (B, 2c, ceil(h/2), ceil(w/2)) from (B, c, h, w)
        features = levels.pop()
        for up, join in zip(self.up, self.join, strict=True):
            level = levels.pop()
            features = join(torch.cat((level, _cut(up(features), level)), dim=1))
        logits: Tensor = self.head(features)
        return logits


def _cut(features: Tensor, level: Tensor) -> Tensor:
    """Drop the last row and column of features (B, C, h, w) where they go beyond those of the level."""
    height, width = level.shape[-2:]
    if torch.compiler.is_compiling():
        # an exported slice is tied to odd or to even sizes; this drops the same row, but costs 5 % of an eager step
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


def _two_convolutions(entering: int, leaving: int) -> nn.Sequential:
    return nn.Sequential(*_convolution(entering, leaving), *_convolution(leaving, leaving))


def _convolution(entering: int, leaving: int) -> tuple[nn.Module, ...]:
    # without a bias: the batch norm behind it has one
    conv = nn.Conv2d(entering, leaving, kernel_size=3, padding=1, bias=False)
    return conv, nn.BatchNorm2d(leaving), nn.ReLU(inplace=True)
