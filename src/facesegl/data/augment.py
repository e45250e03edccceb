"""Random geometric and color augmentation of training batches, on the batch's device."""

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the usual alias
from torch import Tensor

from facesegl.errors import ConfigError
from facesegl.labels.onehot import class_of_byte

_LIMITS = {
    "flip": (1.0, "the share of images that are flipped"),
    "rotate": (180.0, "degrees to either side"),
    "scale": (3.0, "0.2 draws factors from 1/1.2 to 1.2"),
    "shift": (1.0, "a share of the image's width and height"),
    "shear": (60.0, "degrees to either side"),
    "elastic": (0.1, "a share of the image's shorter side"),
    "brightness": (1.0, "a share of full white"),
    "contrast": (9.0, "0.2 draws factors from 1/1.2 to 1.2"),
    "saturation": (9.0, "0.2 draws factors from 1/1.2 to 1.2"),
    "gamma": (9.0, "0.2 draws exponents from 1/1.2 to 1.2"),
}
_DRAWS = 10  # random numbers per image: one for the flip, five for the affine part, four for the colors
_KNOTS = 6  # control points per side of the elastic grid: it bends parts of a face, not single pixels
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Random augmentation of training images; a strength of 0 switches a part off.

    All geometric parts share one resampling, in pixels, so that rotating an image that is not square does not shear it.
    A flip alone needs no resampling and keeps pixels exact.

    Args:
        flip: probability of a horizontal flip, 0 to 1.
        rotate: maximum angle in degrees.
        scale: maximum zoom factor minus one: the factor is log-uniform between 1/(1 + scale) and 1 + scale.
        shift: maximum translation along each axis, as a share of that axis.
        shear: maximum shear angle in degrees.
        elastic: standard deviation of a smooth displacement at its control points, as a share of the shorter side.
        brightness: maximum change, as a share of full white.
        contrast: maximum factor minus one around the image's mean grey; drawn like `scale`.
        saturation: maximum factor minus one around each pixel's grey; drawn like `scale`.
        gamma: maximum exponent minus one; drawn like `scale`.

    Raises:
        ConfigError: every strength that is out of range.
    """

    flip: float
    rotate: float
    scale: float
    shift: float
    shear: float
    elastic: float
    brightness: float
    contrast: float
    saturation: float
    gamma: float

    def __post_init__(self) -> None:
        problems = [
            f"augment.{name}: {getattr(self, name)} is out of range; expected 0 (off) to {limit:g} ({unit})."
            for name, (limit, unit) in _LIMITS.items()
            if not 0 <= getattr(self, name) <= limit
        ]
        if problems:
            raise ConfigError(*problems)

    def __call__(
        self, image: Tensor, mask: Tensor, *, mirror: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Augment a batch. The result depends only on the generator's state, not on the device.

        The number of random draws does not depend on the strengths: switching one part off does not change the others.

        Args:
            image: (B, 3, H, W) uint8, on any device.
            mask: (B, H, W) uint8, class indices or VOID, on the same device.
            mirror: (256,) uint8, the class that each class becomes in a flipped image (`Taxonomy.mirrored`).
            generator: the only source of random numbers, on the CPU.

        Returns:
            The image, (B, 3, H, W) float32 in 0..255, in the same memory format, and the mask, (B, H, W) uint8, VOID
            outside the original image.
        """
        chances = torch.rand(_DRAWS, len(image), generator=generator)
        knots = torch.randn(len(image), 2, _KNOTS, _KNOTS, generator=generator)
        flipped = chances[0] < self.flip
        spread = 2 * chances - 1
        mask = _swap_classes(mask, mirror, flipped)
        if self.rotate or self.scale or self.shift or self.shear or self.elastic:
            image, mask = _resample(image, mask, *self._maps(spread[1:6], knots, flipped, image.shape[-2:]))
        else:
            image, mask = _flip(image, mask, flipped)
        return self._recolor(image.to(torch.float32), spread[6:]), mask

    def _maps(self, chances: Tensor, knots: Tensor, flipped: Tensor, size: torch.Size) -> tuple[Tensor, Tensor | None]:
        """The maps from output to input pixels: affine, and the control points of a smooth displacement if any.

        Both map pixels counted from the image's center to the coordinates of `grid_sample` (-1 to 1 from edge to edge).

        Args:
            chances: (5, B) float32 in -1..1: rotate, shear, scale, shift along x and along y.
            knots: (B, 2, k, k) float32, standard normal.
            flipped: (B,) bool.
            size: H and W.

        Returns:
            (B, 2, 3) float32, a row for x and y each, and (B, 2, k, k) float32 or None.
        """
        height, width = size
        angle, slant = math.radians(self.rotate) * chances[0], math.radians(self.shear) * chances[1]
        cos, sin, tan = angle.cos(), angle.sin(), slant.tan()
        move_x, move_y = self.shift * width * chances[3], self.shift * height * chances[4]
        zoom = _factor(self.scale, chances[2])
        rows = [cos * zoom, (cos * tan - sin) * zoom, move_x, sin * zoom, (sin * tan + cos) * zoom, move_y]
        # A flip negates the x of the input pixel, and with it the whole map to x.
        to_grid = torch.stack([(1 - 2 * flipped.float()) * 2 / width, torch.full_like(angle, 2 / height)], dim=1)
        affine = torch.stack(rows, dim=1).view(-1, 2, 3) * to_grid[:, :, None]
        bends = knots * self.elastic * min(size) * to_grid[:, :, None, None] if self.elastic else None
        return affine, bends

    def _recolor(self, image: Tensor, chances: Tensor) -> Tensor:
        """Change the colors of (B, 3, H, W) float32 in 0..255, in place: allocation costs more than arithmetic.

        `chances` is (4, B) float32 in -1..1: brightness, contrast, saturation, gamma.
        """
        chances = _send(chances[:, :, None, None, None], image.device)
        if self.gamma:
            image.div_(255).pow_(_factor(self.gamma, chances[3])).mul_(255)
        if not (self.brightness or self.contrast or self.saturation):
            return image
        contrast, saturation = _factor(self.contrast, chances[1]), _factor(self.saturation, chances[2])
        red, green, blue = image.chunk(3, dim=1)
        grey = (_LUMA[0] * red).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2])
        offset = grey.mean(dim=(1, 2, 3), keepdim=True) * (1 - contrast) + 255 * self.brightness * chances[0]
        # contrast * (grey + saturation * (image - grey) - mean) + mean + brightness, in as few passes as possible
        grey.mul_(contrast * (1 - saturation)).add_(offset)
        return image.mul_(contrast * saturation).add_(grey).clamp_(0, 255)


def unpack_masks(packed: Tensor) -> Tensor:
    """Unpack bit-packed one-hot masks to class indices on their device, as `labels.unpack_onehot` does in NumPy.

    Args:
        packed: (B, H, W, K) uint8, eight classes per byte, at most one bit per pixel.

    Returns:
        (B, H, W) uint8, class indices, VOID where no bit is set.
    """
    tables = torch.from_numpy(np.stack([class_of_byte(byte) for byte in range(packed.shape[-1])]))
    layers = [
        _look_up(table, layer) for table, layer in zip(_send(tables, packed.device), packed.unbind(-1), strict=True)
    ]
    return functools.reduce(torch.minimum, layers)


def _factor(strength: float, chance: Tensor) -> Tensor:
    """Factors from 1/(1 + strength) to 1 + strength for chances in -1..1: doubling is as likely as halving."""
    return torch.exp(math.log1p(strength) * chance)


def _send(small: Tensor, device: torch.device) -> Tensor:
    """A small tensor of any shape on the batch's device, without waiting for the GPU as a plain `to` does."""
    # safe: CUDA has copied pageable memory before a non-blocking copy returns
    return small.to(device, non_blocking=device.type == "cuda")


def _look_up(table: Tensor, mask: Tensor) -> Tensor:
    """table[mask] for a (256,) uint8 table and a uint8 mask of any shape."""
    return table.index_select(0, mask.flatten().int()).view(mask.shape)  # three times as fast as table[mask]


def _swap_classes(mask: Tensor, mirror: Tensor, flipped: Tensor) -> Tensor:
    """Swap left and right classes in the flipped ones of (B, H, W) uint8 masks; `flipped` is (B,) bool on the CPU."""
    which = _send(flipped.nonzero().flatten(), mask.device)
    if not len(which):
        return mask
    return mask.index_copy(0, which, _look_up(_send(mirror, mask.device), mask[which]))


def _flip(image: Tensor, mask: Tensor, flipped: Tensor) -> tuple[Tensor, Tensor]:
    """Flip some of (B, 3, H, W) images and (B, H, W) masks, pixel for pixel; `flipped` is (B,) bool on the CPU."""
    which = _send(flipped.nonzero().flatten(), image.device)
    image, mask = image.clone(), mask.clone()
    image[which], mask[which] = image[which].flip(-1), mask[which].flip(-1)
    return image, mask


def _resample(image: Tensor, mask: Tensor, affine: Tensor, bends: Tensor | None) -> tuple[Tensor, Tensor]:
    """Sample image and mask by the maps `affine` and `bends` of `Augment._maps`.

    The image is sampled bilinearly and continues outside as its reflection: the loss ignores these pixels, but a black
    border would enter the statistics of normalization layers and the receptive field of neighbors. The mask is sampled
    at the nearest pixel, so that no new class appears.

    Args:
        image: (B, 3, H, W) uint8.
        mask: (B, H, W) uint8.
        affine: (B, 2, 3) float32, on the CPU.
        bends: (B, 2, k, k) float32, on the CPU, or None.

    Returns:
        (B, 3, H, W) float32 and (B, H, W) uint8, VOID outside.
    """
    sent = None if bends is None else _send(bends, image.device)
    grid = _grid(_send(affine, image.device), sent, image.shape[-2:])
    moved = F.grid_sample(image.to(torch.float32), grid, "bilinear", "reflection", align_corners=False)
    if image.is_contiguous(memory_format=torch.channels_last):
        moved = moved.contiguous(memory_format=torch.channels_last)  # grid_sample does not keep it
    # adding 1 modulo 256 maps VOID to 0, the value that grid_sample gives outside
    classes = F.grid_sample((mask + 1)[:, None].to(torch.float32), grid, "nearest", "zeros", align_corners=False)
    return moved, classes[:, 0].to(torch.uint8) - 1


def _grid(affine: Tensor, bends: Tensor | None, size: torch.Size) -> Tensor:
    """The (B, H, W, 2) float32 grid of (B, 2, 3) affine maps and (B, 2, k, k) control points of pixel-sized bends.

    Not a matrix product, since TF32 and autocast would round it to tenths of a pixel.
    """
    height, width = size
    x = torch.arange(width, device=affine.device) - (width - 1) / 2
    y = torch.arange(height, device=affine.device)[:, None] - (height - 1) / 2
    along_x, along_y, start = affine[..., None, None].unbind(2)
    grid = along_x * x + (along_y * y + start)
    if bends is not None:
        # cubic to a quarter of the size, linear from there: visually as smooth, four times as fast
        coarse = F.interpolate(bends, (-(-height // 4), -(-width // 4)), mode="bicubic", align_corners=True)
        grid += F.interpolate(coarse, (height, width), mode="bilinear", align_corners=True)
    return grid.permute(0, 2, 3, 1)
