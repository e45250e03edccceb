"""Fields over the pixels: profiles, noise, and solids in space.

Only operations that IEEE 754 rounds alike on every machine are used (+, -, *, /, square root, floor): no
exponential, sine, power or matrix product. That is why a seed gives the same bytes everywhere.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.floating[Any]]  # float32 always; the type checker loses that in float32 * float
Vector = tuple[float, float, float]
Points = tuple[Field, Field, Field]
"""Coordinates of points, each (H, W) float32: to the right, down, and towards the camera."""

_NOISE = 64
"""Side of a table of noise, a power of two."""


def bell(distance: Field, width: "float | Field") -> Field:
    """Like a Gaussian, without the exponential: 1 at zero, two fifths at `width`."""
    square: Field = np.square(distance / width)
    return 1 / (1 + square + 0.5 * np.square(square))


def bump(x: Field, y: Field, center: tuple[float, float], radii: tuple[float, float]) -> Field:
    """A round bell at `center`."""
    square: Field = np.square((x - center[0]) / radii[0]) + np.square((y - center[1]) / radii[1])
    return 1 / (1 + square + 0.5 * np.square(square))


def ramp(value: Field, start: float, stop: float) -> Field:
    """Smooth step: 0 before `start`, 1 after `stop`; `start` may be above `stop`."""
    part: Field = np.clip((value - start) * (1 / (stop - start)), 0, 1)
    return part * part * (3 - 2 * part)


def ripple(table: Field, position: Field) -> Field:
    """Smooth noise along a line: 0 to 1, one value of `table` (256,) at each integer position."""
    floor = np.floor(position)
    index = floor.astype(np.int32)
    part = position - floor
    part = part * part * (3 - 2 * part)
    start = table.take(index & 255)
    noise: Field = start + (table.take((index + 1) & 255) - start) * part
    return noise


def make_noise(rng: np.random.Generator) -> Field:
    """A table for `noise`, (64 * 64,) float32, uniform in 0..1."""
    return rng.random(_NOISE * _NOISE, dtype=np.float32)


def noise(table: Field, x: Field, y: Field) -> Field:
    """Smooth noise over a plane: 0 to 1, one value of `table` at each point of a grid of integers."""
    left, top = np.floor(x), np.floor(y)
    column, row = left.astype(np.int32), top.astype(np.int32)
    across, down = x - left, y - top
    across, down = across * across * (3 - 2 * across), down * down * (3 - 2 * down)
    column, right = column & (_NOISE - 1), (column + 1) & (_NOISE - 1)
    row, below = (row & (_NOISE - 1)) * _NOISE, ((row + 1) & (_NOISE - 1)) * _NOISE
    upper = table.take(row + column)
    upper = upper + (table.take(row + right) - upper) * across
    lower = table.take(below + column)
    lower = lower + (table.take(below + right) - lower) * across
    values: Field = upper + (lower - upper) * down
    return values


def sample(table: Field, x: Field, y: Field) -> Field:
    """Bilinear values of a table (R, C) at columns x and rows y; outside, those of its border."""
    rows, columns = table.shape
    x, y = np.clip(x, 0, columns - 1.001), np.clip(y, 0, rows - 1.001)
    column, row = x.astype(np.int32), y.astype(np.int32)
    across, down = x - column.astype(np.float32), y - row.astype(np.float32)
    flat, index = table.reshape(-1), row * columns + column
    upper = flat.take(index)
    upper = upper + (flat.take(index + 1) - upper) * across
    lower = flat.take(index + columns)
    lower = lower + (flat.take(index + columns + 1) - lower) * across
    values: Field = upper + (lower - upper) * down
    return values


def ellipsoid(points: Points, center: Vector, radii: Vector) -> Field:
    """About the distance to an ellipsoid's surface, negative inside."""
    x, y, z = (np.square((axis - at) * (1 / radius)) for axis, at, radius in zip(points, center, radii, strict=True))
    reach = np.sqrt(x + y + z)
    slope = np.sqrt(x * (1 / (radii[0] * radii[0])) + y * (1 / (radii[1] * radii[1])) + z * (1 / (radii[2] * radii[2])))
    level: Field = reach * (reach - 1) / (slope + np.float32(1e-3))
    return level


def blend(one: Field, other: Field, width: float) -> Field:
    """Union of two levels whose seam is rounded over `width`."""
    near = np.maximum(width - np.abs(one - other), 0)
    union: Field = np.minimum(one, other) - np.square(near) * (1 / (4 * width))
    return union


def angle(x: Field, y: Field) -> Field:
    """The direction of (x, y): -2 to 2, growing once around the origin as an angle does, 0 upwards."""
    part = x / (np.abs(x) + np.abs(y) + np.float32(1e-6))
    around: Field = np.where(y < 0, part, 2 * np.sign(x) - part)
    return around
