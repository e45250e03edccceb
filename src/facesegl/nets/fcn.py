"""The net of the original FASSEG script, and the size check for nets with a stride."""

import torch
from torch import Tensor, nn

from facesegl.errors import ConfigError


class FCN(nn.Module):
    """The U-Net-style fully convolutional net of the original FASSEG script: the reference, unchanged.

    Four stages of convolution, batch norm and pooling reduce to 1/16 of the size, four transposed convolutions restore
    it, with skip connections by concatenation. The skip connection of the second stage is taken after its dropout, as
    in the original. It has 2 098 770 parameters with six classes.

    Shape: float images (B, 3, H, W) -> logits (B, num_classes, H, W); H and W multiples of `stride`.

    Args:
        num_classes: number of classes.
    """

    stride = 16

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.down1 = nn.Sequential(*_halving(3, 12, kernel=7), nn.ReLU(inplace=True))
        self.down2 = nn.Sequential(*_halving(12, 48, kernel=5), nn.ReLU(inplace=True), nn.Dropout(0.5))
        self.down3 = nn.Sequential(*_halving(48, 192, kernel=3), nn.ReLU(inplace=True))
        self.down4 = nn.Sequential(*_halving(192, 768, kernel=3), nn.ReLU(inplace=True), nn.Dropout(0.5))
        self.up3 = _doubling(768, 192)
        self.up2 = _doubling(2 * 192, 48)
        self.up1 = _doubling(2 * 48, 12)
        self.head = nn.ConvTranspose2d(2 * 12, num_classes, kernel_size=2, stride=2)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits.

        Args:
            images: (B, 3, H, W) float, standardised.

        Returns:
            (B, num_classes, H, W) float logits.

        Raises:
            ConfigError: H or W is not a multiple of `stride`.
        """
        check_size(images.shape[-2], images.shape[-1], self.stride, "FCN")
        half = self.down1(images)  # (B, 12, H/2, W/2)
        quarter = self.down2(half)  # (B, 48, H/4, W/4)
        eighth = self.down3(quarter)  # (B, 192, H/8, W/8)
        features = self.up3(self.down4(eighth))
        features = self.up2(torch.cat((features, eighth), dim=1))
        features = self.up1(torch.cat((features, quarter), dim=1))
        logits: Tensor = self.head(torch.cat((features, half), dim=1))
        return logits


def stride_of(net: nn.Module) -> int:
    """The number that height and width must be multiples of: the net's `stride`, or 1."""
    stride = getattr(net, "stride", 1)
    return stride if isinstance(stride, int) else 1


def check_size(height: int, width: int, stride: int, name: str) -> None:
    """Check that a net can take images of a size.

    Args:
        height: rows of the images.
        width: columns of the images.
        stride: the net's `stride`: height and width must be multiples of it.
        name: the net's name, for the message.

    Raises:
        ConfigError: the size is not a multiple; the message gives the nearest multiples.

    Example:
        >>> check_size(250, 250, stride=16, name="FCN")
        Traceback (most recent call last):
            ...
        facesegl.errors.ConfigError: data.image_size=250: FCN downsamples images 16-fold, so height and width must be \
multiples of 16; use 240 or 256.
    """
    if height > 0 and width > 0 and height % stride == 0 and width % stride == 0:
        return
    below = [max(side // stride, 1) * stride for side in (height, width)]
    above = [max(-(-side // stride), 1) * stride for side in (height, width)]
    nearest = dict.fromkeys((_size(*below), _size(*above)))  # only one if the size is below the stride
    raise ConfigError(
        f"data.image_size={_size(height, width)}: {name} downsamples images {stride}-fold, so height and width "
        f"must be multiples of {stride}; use {' or '.join(nearest)}."
    )


def _halving(in_channels: int, out_channels: int, kernel: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)
    return conv, nn.BatchNorm2d(out_channels), nn.MaxPool2d(2)


def _doubling(in_channels: int, out_channels: int) -> nn.Sequential:
    conv = nn.ConvTranspose2d(in_channels, out_channels, kernel_size=2, stride=2)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.LeakyReLU(0.01, inplace=True))


def _size(height: int, width: int) -> str:
    return f"{height}" if height == width else f"{height}x{width}"
