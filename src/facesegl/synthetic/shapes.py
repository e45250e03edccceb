"""The plane of a face, and the fields that make up its outlines and its shading.

Only operations that IEEE 754 rounds alike on every machine are used (+, -, *, /, square root, floor): no
exponential, sine, power or matrix product. That is why a seed gives the same bytes everywhere.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.floating[Any]]  # float32 always; the type checker loses that in float32 * float


class Plane(NamedTuple):
    """Coordinates of each pixel on the face, each (H, W) float32, and its size: the crown is at -1, the chin at 1."""

    across: Field
    down: Field
    pixel: float

    def moved(self, across: float, down: float) -> "Plane":
        """Put the origin at (across, down)."""
        return Plane(self.across - across, self.down - down, self.pixel)

    def mirrored(self, crease: float = 0.0) -> "Plane":
        """Fold the plane at the middle of the face, so that one shape is drawn on both sides; `crease` rounds it."""
        return self._replace(across=np.sqrt(np.square(self.across) + crease * crease))


def ellipse(plane: Plane, radii: tuple[float, float]) -> Field:
    """Level of an ellipse around the origin: about the distance to its border, (H, W) float32, negative inside."""
    wide, tall = np.square(plane.across / radii[0]), np.square(plane.down / radii[1])
    slope = 2 * np.sqrt(wide / (radii[0] * radii[0]) + tall / (radii[1] * radii[1]))
    level: Field = (wide + tall - 1) / (slope + 0.1)
    return level


def egg(plane: Plane, half_width: float, heights: tuple[float, float], squares: tuple[float, float]) -> Field:
    """Level of an egg, (H, W) float32, whose upper and lower half each have a height and a squareness.

    Smooth inside, so that its root is a round head; the distance to its border is about half of it. A square of 0
    is an ellipse, 1 fills its box.
    """
    up = plane.down < 0
    wide = np.square(plane.across / half_width)
    tall = np.square(plane.down * np.where(up, np.float32(1 / heights[0]), np.float32(1 / heights[1])))
    square = np.where(up, np.float32(squares[0]), np.float32(squares[1]))
    level: Field = half_width * (wide + tall - square * np.minimum(wide, 1) * np.minimum(tall, 1) - 1)
    return level


def blend_union(one: Field, other: Field, width: float) -> Field:
    """Union of two levels, (H, W) float32, whose seam is rounded over `width`."""
    near = np.maximum(width - np.abs(one - other), 0)
    return np.minimum(one, other) - np.square(near) / (4 * width)


def bell(distance: Field, width: float) -> Field:
    """Like a Gaussian, without the exponential: (H, W) float32, 1 at zero, a third at `width`."""
    square: Field = np.square(distance / width)
    return 1 / (1 + square + 0.5 * np.square(square))


def bump(plane: Plane, across: float, down: float, radii: tuple[float, float]) -> Field:
    """A round bell at (across, down), (H, W) float32."""
    square: Field = np.square((plane.across - across) / radii[0]) + np.square((plane.down - down) / radii[1])
    return 1 / (1 + square + 0.5 * np.square(square))


def ramp(value: Field, start: float, stop: float) -> Field:
    """Smooth step: (H, W) float32, 0 before `start`, 1 after `stop`; `start` may be above `stop`."""
    part: Field = np.clip((value - start) / (stop - start), 0, 1)
    return part * part * (3 - 2 * part)


def ripple(table: Field, position: Field) -> Field:
    """Smooth noise along a line: (H, W) float32 in 0..1, one value of `table` (256,) at each integer position."""
    floor = np.floor(position)
    index = floor.astype(np.int32)
    part = ramp(position - floor, 0, 1)
    start = table[index & 255]
    noise: Field = start + (table[(index + 1) & 255] - start) * part
    return noise
