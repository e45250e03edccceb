"""Photos and masks of a training batch, moved, bent and recoloured by chance: whole batches on the batch's device."""

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom
from torch import Tensor

from facesegl.errors import ConfigError
from facesegl.labels.onehot import class_of_byte

_LIMITS = {
    "flip": (1.0, "the share of photos that are flipped"),
    "rotate": (180.0, "degrees to either side"),
    "scale": (3.0, "0.2 draws factors from 1/1.2 to 1.2"),
    "shift": (1.0, "a share of the photo's width and height"),
    "shear": (60.0, "degrees to either side"),
    "elastic": (0.1, "a share of the photo's shorter side"),
    "brightness": (1.0, "a share of full white"),
    "contrast": (9.0, "0.2 draws factors from 1/1.2 to 1.2"),
    "saturation": (9.0, "0.2 draws factors from 1/1.2 to 1.2"),
    "gamma": (9.0, "0.2 draws exponents from 1/1.2 to 1.2"),
}
_DRAWS = 10  # numbers a photo: one for the flip, five for the affine part, four for the colours
_KNOTS = 6  # a side of the elastic part's control grid: bends of a face's parts, not of single pixels
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True, kw_only=True)
class Augment:
    """What may happen to a training photo, and how strongly; 0 switches a part off.

    All geometric parts share one resampling, in pixels, so that a rotation of a photo that is not square does not shear
    it. Without any but the flip nothing is resampled and pixels stay exact.

    Args:
        flip: probability of a mirror flip, 0 to 1.
        rotate: greatest angle in degrees.
        scale: greatest zoom, minus one: the factor is drawn log-uniformly from 1/(1 + scale) to 1 + scale.
        shift: greatest move along each axis, as a share of that axis.
        shear: greatest slant in degrees.
        elastic: standard deviation of a smooth displacement at its control points, as a share of the shorter side.
        brightness: greatest change, as a share of full white.
        contrast: greatest spread around the photo's mean grey, minus one; drawn as `scale` is.
        saturation: greatest spread around each pixel's own grey, minus one; drawn as `scale` is.
        gamma: greatest exponent, minus one; drawn as `scale` is.

    Raises:
        ConfigError: a strength is out of its range; all of them are told at once.
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
        self, photo: Tensor, mask: Tensor, *, mirror: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Augment a batch; what happens follows from the generator's state alone, on every device.

        As much is drawn whatever the strengths are: switching one part off leaves the others as they were.

        Args:
            photo: (B, 3, H, W) uint8, on any device.
            mask: (B, H, W) uint8, class indices or VOID, on the photo's device.
            mirror: (256,) uint8, the class that each class becomes in a flipped photo (`Taxonomy.mirrored`).
            generator: on the CPU; every random number comes from it.

        Returns:
            The photo, (B, 3, H, W) float32 in 0..255 in the memory format that it had, and the mask, (B, H, W) uint8,
            VOID where the photo did not reach.
        """
        chances = torch.rand(_DRAWS, len(photo), generator=generator)
        knots = torch.randn(len(photo), 2, _KNOTS, _KNOTS, generator=generator)
        turned = chances[0] < self.flip
        spread = 2 * chances - 1
        mask = _trade_classes(mask, mirror, turned)
        if self.rotate or self.scale or self.shift or self.shear or self.elastic:
            photo, mask = _resample(photo, mask, *self._places(spread[1:6], knots, turned, photo.shape[-2:]))
        else:
            photo, mask = _flip(photo, mask, turned)
        return self._recolour(photo.to(torch.float32), spread[6:]), mask

    def _places(self, chances: Tensor, knots: Tensor, turned: Tensor, size: torch.Size) -> tuple[Tensor, Tensor | None]:
        """Where each pixel comes from: an affine part, and control points of a smooth displacement where there is one.

        Both map pixels counted from the photo's centre to the coordinates of `grid_sample` (-1 to 1 from edge to edge).

        Args:
            chances: (5, B) float32 in -1..1: rotate, shear, scale, shift along x and along y.
            knots: (B, 2, k, k) float32, standard normal.
            turned: (B,) bool, which photos are flipped.
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
        # A flip turns round the x that a pixel comes from, and with it everything that leads there.
        to_grid = torch.stack([(1 - 2 * turned.float()) * 2 / width, torch.full_like(angle, 2 / height)], dim=1)
        affine = torch.stack(rows, dim=1).view(-1, 2, 3) * to_grid[:, :, None]
        bends = knots * self.elastic * min(size) * to_grid[:, :, None, None] if self.elastic else None
        return affine, bends

    def _recolour(self, photo: Tensor, chances: Tensor) -> Tensor:
        """Change the colours of (B, 3, H, W) float32 photos in 0..255, in place: fresh memory costs more than sums.

        `chances` is (4, B) float32 in -1..1: brightness, contrast, saturation, gamma.
        """
        chances = _send(chances[:, :, None, None, None], photo.device)
        if self.gamma:
            photo.div_(255).pow_(_factor(self.gamma, chances[3])).mul_(255)
        if not (self.brightness or self.contrast or self.saturation):
            return photo
        contrast, saturation = _factor(self.contrast, chances[1]), _factor(self.saturation, chances[2])
        red, green, blue = photo.chunk(3, dim=1)
        grey = (_LUMA[0] * red).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2])
        offset = grey.mean(dim=(1, 2, 3), keepdim=True) * (1 - contrast) + 255 * self.brightness * chances[0]
        # contrast * (grey + saturation * (photo - grey) - mean) + mean + brightness, in as few passes as it takes.
        grey.mul_(contrast * (1 - saturation)).add_(offset)
        return photo.mul_(contrast * saturation).add_(grey).clamp_(0, 255)


def unpack_masks(packed: Tensor) -> Tensor:
    """The class of each pixel of bit-packed one-hot masks, as `labels.unpack_onehot` gives it, on the masks' device.

    Args:
        packed: (B, H, W, K) uint8, eight classes a byte, at most one bit a pixel.

    Returns:
        (B, H, W) uint8, class indices, VOID where no bit is set.
    """
    tables = torch.from_numpy(np.stack([class_of_byte(byte) for byte in range(packed.shape[-1])]))
    layers = [
        _look_up(table, layer) for table, layer in zip(_send(tables, packed.device), packed.unbind(-1), strict=True)
    ]
    return functools.reduce(torch.minimum, layers)


def _factor(strength: float, chance: Tensor) -> Tensor:
    """Factors from 1/(1 + strength) to 1 + strength for chances in -1..1, so that doubling is as likely as halving."""
    return torch.exp(math.log1p(strength) * chance)


def _send(small: Tensor, device: torch.device) -> Tensor:
    """A small tensor of any shape, on the batch's device.

    A plain `to` would wait until a GPU has done all that it was given; CUDA copies pageable memory before it returns.
    """
    return small.to(device, non_blocking=device.type == "cuda")


def _look_up(table: Tensor, mask: Tensor) -> Tensor:
    """Replace every value of a uint8 mask of any shape by the table's, (256,) uint8; same shape."""
    return table.index_select(0, mask.flatten().int()).view(mask.shape)  # thrice as quick as table[mask]


def _trade_classes(mask: Tensor, mirror: Tensor, turned: Tensor) -> Tensor:
    """Give the flipped ones of (B, H, W) uint8 masks the classes of a mirror image; `turned` is a (B,) bool.

    Which ones these are is counted on the CPU, where `turned` lies: the device is not waited for.
    """
    which = _send(turned.nonzero().flatten(), mask.device)
    if not len(which):
        return mask
    return mask.index_copy(0, which, _look_up(_send(mirror, mask.device), mask[which]))


def _flip(photo: Tensor, mask: Tensor, turned: Tensor) -> tuple[Tensor, Tensor]:
    """Flip some of (B, 3, H, W) photos and (B, H, W) masks, pixel for pixel; `turned` is a (B,) bool on the CPU."""
    which = _send(turned.nonzero().flatten(), photo.device)
    photo, mask = photo.clone(), mask.clone()
    photo[which], mask[which] = photo[which].flip(-1), mask[which].flip(-1)
    return photo, mask


def _resample(photo: Tensor, mask: Tensor, affine: Tensor, bends: Tensor | None) -> tuple[Tensor, Tensor]:
    """Take every pixel from where `affine` and `bends` (see `Augment._places`) say it comes from.

    The photo is read bilinearly and goes on as its own reflection: nothing is learnt there, but a black rim would be in
    every normalisation layer's statistics, and in sight of the pixels beside it. The mask is read at the nearest pixel,
    so that it holds no class which was not there.

    Args:
        photo: (B, 3, H, W) uint8.
        mask: (B, H, W) uint8.
        affine: (B, 2, 3) float32, on the CPU.
        bends: (B, 2, k, k) float32, on the CPU, or None.

    Returns:
        (B, 3, H, W) float32 and (B, H, W) uint8, VOID outside.
    """
    sent = None if bends is None else _send(bends, photo.device)
    grid = _grid(_send(affine, photo.device), sent, photo.shape[-2:])
    moved = F.grid_sample(photo.to(torch.float32), grid, "bilinear", "reflection", align_corners=False)
    if photo.is_contiguous(memory_format=torch.channels_last):
        moved = moved.contiguous(memory_format=torch.channels_last)  # grid_sample does not keep it
    # One more, modulo 256, makes VOID and the zeros that stand for "outside" the same.
    classes = F.grid_sample((mask + 1)[:, None].to(torch.float32), grid, "nearest", "zeros", align_corners=False)
    return moved, classes[:, 0].to(torch.uint8) - 1


def _grid(affine: Tensor, bends: Tensor | None, size: torch.Size) -> Tensor:
    """The (B, H, W, 2) float32 grid of (B, 2, 3) affine maps and (B, 2, k, k) control points of pixel-sized bends.

    Written out rather than as a matrix product, which TF32 and autocast would round to tenths of a pixel.
    """
    height, width = size
    x = torch.arange(width, device=affine.device) - (width - 1) / 2
    y = torch.arange(height, device=affine.device)[:, None] - (height - 1) / 2
    along_x, along_y, start = affine[..., None, None].unbind(2)
    grid = along_x * x + (along_y * y + start)
    if bends is not None:
        # Cubic to a quarter of the size, linear from there: as smooth to the eye, in a quarter of the time.
        coarse = F.interpolate(bends, (-(-height // 4), -(-width // 4)), mode="bicubic", align_corners=True)
        grid += F.interpolate(coarse, (height, width), mode="bilinear", align_corners=True)
    return grid.permute(0, 2, 3, 1)
