"""The solids of a portrait: implicit surfaces of head, hair, hat and body, and where rays hit them.

A level field gives about the distance of points to a surface, negative inside. Head, hair and hat are in the head's
coordinates, the body in those of the upper body.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from facesegl.synthetic.person import Person
from facesegl.synthetic.shapes import (
    Field,
    Points,
    Vector,
    angle,
    bell,
    blend,
    bump,
    ellipsoid,
    ramp,
    ripple,
    sample,
)  # fmt: skip

Level = Callable[[Points], Field]
Rows = tuple[Vector, Vector, Vector]
Coordinate = TypeVar("Coordinate", float, Field)
T = TypeVar("T", bound=np.generic)

_SIDE, _LEFT, _TOP = 150, -0.95, -0.75
"""Resolution of the relief per head unit, and its upper left corner."""


class Rays(NamedTuple):
    """A ray through each pixel: points start + t * direction for t > 0."""

    start: Vector
    directions: Points

    def at(self, reach: Field) -> Points:
        """The points at distances (H, W)."""
        x, y, z = (origin + reach * axis for origin, axis in zip(self.start, self.directions, strict=True))
        return x, y, z

    def only(self, chosen: Any) -> "Rays":
        """Some of the rays: those of a slice of both axes, or of a mask, (1, N)."""
        x, y, z = (np.atleast_2d(axis[chosen]) for axis in self.directions)
        return Rays(self.start, (x, y, z))


class Hit(NamedTuple):
    """Where the rays meet a surface, or come closest to it: distance along the ray, and to the surface."""

    reach: Field
    level: Field


def rotation(yaw: float, pitch: float, roll: float) -> Rows:
    """Rows that turn coordinates of the camera into those of a rotated solid; arguments are tangents of half angles."""
    (cy, sy), (cp, sp), (cr, sr) = (((1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)) for t in (yaw, pitch, roll))
    # roll, then pitch, then yaw, inverted
    return (
        (cy * cr + sy * sp * sr, cy * sr - sy * sp * cr, -sy * cp),
        (-cp * sr, cp * cr, -sp),
        (sy * cr - cy * sp * sr, sy * sr + cy * sp * cr, cy * cp),
    )


def turn(rows: Rows, vector: tuple[Coordinate, Coordinate, Coordinate]) -> tuple[Coordinate, Coordinate, Coordinate]:
    """Vectors in the coordinates of `rows`."""
    x, y, z = vector
    one, two, three = (row[0] * x + row[1] * y + row[2] * z for row in rows)
    return one, two, three


def shift(
    vector: tuple[Coordinate, Coordinate, Coordinate], by: Vector, sign: int = 1
) -> tuple[Coordinate, Coordinate, Coordinate]:
    """Vectors plus `by`, or minus it."""
    x, y, z = (axis + sign * step for axis, step in zip(vector, by, strict=True))
    return x, y, z


class SolidPose(NamedTuple):
    """A solid that is rotated by `rows` around `pivot`, a point in its coordinates, which is at `center` outside."""

    rows: Rows
    center: Vector
    pivot: Vector

    @property
    def columns(self) -> Rows:
        """Rows that turn coordinates of the solid into those outside."""
        one, two, three = zip(*self.rows, strict=True)
        return one, two, three

    def inside(self, points: tuple[Coordinate, Coordinate, Coordinate]) -> tuple[Coordinate, Coordinate, Coordinate]:
        """Points in the coordinates of the solid."""
        return shift(turn(self.rows, shift(points, self.center, -1)), self.pivot)

    def outside(self, points: tuple[Coordinate, Coordinate, Coordinate]) -> tuple[Coordinate, Coordinate, Coordinate]:
        """Points of the solid in the coordinates outside."""
        return shift(turn(self.columns, shift(points, self.pivot, -1)), self.center)

    def rays(self, rays: Rays) -> Rays:
        """Rays in the coordinates of the solid."""
        return Rays(self.inside(rays.start), turn(self.rows, rays.directions))


def unit(points: Points) -> Points:
    """Vectors of length 1 in the same directions."""
    x, y, z = points
    scale = 1 / np.sqrt(x * x + y * y + z * z + np.float32(1e-12))
    return x * scale, y * scale, z * scale


def normals(at: Points) -> Points:
    """The directions that a surface faces, from the points (H, W) where the rays meet it."""
    (x, y, z), (right, below, front) = _slopes(at, 0), _slopes(at, 1)
    return unit((below * z - front * y, front * x - right * z, right * y - below * x))


def _slopes(at: Points, axis: int) -> Points:
    """Differences to the nearer neighbour in space along an axis, so that none crosses a silhouette."""
    steps = [np.diff(values, axis=axis) for values in at]
    far = np.square(steps[0]) + np.square(steps[1]) + np.square(steps[2])
    before, after = (
        [(1, 0) if side == axis else (0, 0) for side in (0, 1)],
        [(0, 1) if side == axis else (0, 0) for side in (0, 1)],
    )
    last, following = (np.pad(far, edge, constant_values=1e6) for edge in (before, after))
    x, y, z = (np.where(last < following, np.pad(step, before), np.pad(step, after)) for step in steps)
    return x, y, z


def at_pixels(axes: Points, chosen: npt.NDArray[np.bool]) -> Points:
    """Vectors at some pixels, (1, N)."""
    x, y, z = (axis[chosen][None] for axis in axes)
    return x, y, z


def march(surface: Level, rays: Rays, start: float) -> Hit:
    """Sphere tracing on every second pixel and wherever depth changes suddenly, then refinement near the surface."""
    coarse = _trace(surface, rays.only((slice(None, None, 2), slice(None, None, 2))), start)
    shape = rays.directions[0].shape
    near, far = _pooled(coarse.reach, np.minimum), _pooled(coarse.reach, np.maximum)
    level = _doubled(_pooled(coarse.level, np.minimum), shape)
    reach, steep = _doubled(near, shape), _doubled(far - near > 0.12, shape) & (level < 0.15)
    reach[steep] = _trace(surface, rays.only(steep), reach[steep][None] - np.float32(0.05)).reach[0]
    close = level < 0.08
    refined = _refine(surface, rays.only(close), reach[close][None])
    reach[close], level[close] = refined.reach[0], refined.level[0]
    return Hit(reach, level)


def _pooled(field: Field, over: np.ufunc) -> Field:
    padded = np.pad(field, 1, mode="edge")
    rows = over(over(padded[:-2], padded[1:-1]), padded[2:])
    pooled: Field = over(over(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
    return pooled


def _doubled(field: npt.NDArray[T], shape: tuple[int, ...]) -> npt.NDArray[T]:
    return np.repeat(np.repeat(field, 2, axis=0), 2, axis=1)[: shape[0], : shape[1]].copy()


def _trace(surface: Level, rays: Rays, start: "float | Field") -> Hit:
    """Where rays come closest to a surface, or just before they meet it."""
    reach = np.full(rays.directions[0].shape, start, dtype=np.float32)
    level: Field = np.full(reach.shape, np.float32(1e3))
    closest, found = level.copy(), reach.copy()
    active, behind = np.ones(reach.shape, dtype=np.bool), start + np.float32(2.8)
    for steps in (5, 4, 3, 3, 8, 16):
        some = rays.only(active)
        far: Field = reach[active][None]
        near, at = closest[active][None], found[active][None]
        for _ in range(steps):
            now = surface(some.at(far))
            nearer = now < near
            near, at = np.where(nearer, now, near), np.where(nearer, far, at)
            far = far + np.float32(0.9) * np.minimum(now, 2)  # far behind, levels explode
        level[active], reach[active], closest[active], found[active] = now[0], far[0], near[0], at[0]
        active &= (level > 0.03) & (reach < behind)
        if not active.any():
            break
    arrived = level < 0.03  # it may have passed another part more closely before
    return Hit(np.where(arrived, reach, found), np.where(arrived, np.minimum(level, 0), closest))


def _refine(surface: Level, rays: Rays, reach: Field) -> Hit:
    """Follow the slope along the ray where it enters the surface, which converges at grazing angles too."""
    level = surface(rays.at(reach))
    closest, found = level, reach
    before, reach = reach, reach + np.float32(0.9) * level
    for _ in range(4):
        last, level = level, surface(rays.at(reach))
        nearer = level < closest
        closest, found = np.where(nearer, level, closest), np.where(nearer, reach, found)
        slope = (level - last) / np.where(reach == before, np.float32(1), reach - before)
        step = np.where(slope < -0.05, np.clip(-level / np.minimum(slope, -0.05), -0.15, 0.06), 0.9 * level)
        before, reach = reach, reach + step
    arrived = (level < 0.004) & (level > -0.03)
    reach, level = np.where(arrived, before, found), np.where(arrived, np.minimum(level, 0), closest)
    grazing = ~arrived
    settled = _settle(surface, rays.only(grazing), Hit(reach[grazing][None], level[grazing][None]))
    reach[grazing], level[grazing] = settled.reach[0], settled.level[0]
    return Hit(reach, level)


def _settle(surface: Level, rays: Rays, hit: Hit) -> Hit:
    """Search in halved steps for where rays that pass a silhouette come closest to it."""
    reach, level = hit
    for step in (0.3, 0.15, 0.08, 0.04, 0.02, 0.01):
        for way in (-step, step):
            other = reach + np.float32(way)
            tried = surface(rays.at(other))
            nearer = (tried < level) & (level > 0)
            reach, level = np.where(nearer, other, reach), np.where(nearer, tried, level)
    return Hit(reach, level)


def hit_ellipsoid(rays: Rays, center: Vector, radii: Vector) -> Hit:
    """Exact intersection with an ellipsoid."""
    starts = [(origin - middle) / radius for origin, middle, radius in zip(rays.start, center, radii, strict=True)]
    axes = [axis * (1 / radius) for axis, radius in zip(rays.directions, radii, strict=True)]
    square = axes[0] * axes[0] + axes[1] * axes[1] + axes[2] * axes[2]
    along = (starts[0] * axes[0] + starts[1] * axes[1] + starts[2] * axes[2]) / square
    apart = sum(start * start for start in starts) - along * along * square  # squared distance to the center
    inside = np.sqrt(np.maximum(1 - apart, 0) / square)
    level: Field = (np.sqrt(np.maximum(apart, 0)) - 1) * min(radii)
    return Hit(-along - inside, level)


class Head:
    """Skull, jaw and the relief of the face."""

    def __init__(self, person: Person) -> None:
        self.build = person.build
        self.relief = relief(person)

    def __call__(self, points: Points) -> Field:
        """Level of the head's surface."""
        x, y, z = points
        x = x + self.build.skew * y
        height = sample(self.relief, (x - _LEFT) * _SIDE, (y - _TOP) * _SIDE)
        level = self.skull((x, y, z - height * ramp(z, 0.0, 0.35)))
        return level * (1 - 0.5 * ramp(z, 0.62, 0.74))  # the nose is steep: shorter steps around it

    def skull(self, points: Points) -> Field:
        """Level of the head without its face."""
        x, y, z = points
        build = self.build
        wide, tall, deep = build.cranium
        middle = 0.5 * (build.chin - 1.06) + tall - build.chin + 0.03
        cranium = ellipsoid(points, (0.0, middle, -0.22), (wide, tall, deep))
        below = np.square(np.maximum(y - 0.15, 0))
        narrow = x * (1 + build.taper * below)
        jaw = ellipsoid(
            (narrow, y, z - build.chin_out * below),
            (0.0, 0.25, 0.02),
            (build.jaw, build.chin - 0.25, build.depth),
        )
        return blend(cranium, jaw, 0.22)


def relief(person: Person) -> Field:
    """Height of the face over the skull, (R, C) float32: sockets, brows, cheeks, nose, lips, chin and folds."""
    features, tones = person.features, person.tones
    x = (np.arange(int(-2 * _LEFT * _SIDE) + 1, dtype=np.float32) / _SIDE + np.float32(_LEFT))[None]
    y = (np.arange(int((1.3 - _TOP) * _SIDE) + 1, dtype=np.float32) / _SIDE + np.float32(_TOP))[:, None]
    side = np.sqrt(np.square(x) + np.float32(0.004))
    spacing, tip, wing, mouth = features.eye_spacing, features.nose_tip, features.nose_wing, features.mouth_down
    bulges = (
        (side, spacing - 0.04, -0.20, (0.24, 0.08), 0.035),
        (side, spacing - 0.04, -0.01, (0.20, 0.13), -0.085),
        (side, spacing, 0.0, (0.11, 0.075), 0.045),
        (side, 0.42, 0.28, (0.17, 0.14), 0.035),
        (side, 0.42, 0.62, (0.14, 0.18), -0.03),
        (side, 0.66 * wing, tip - 0.035, (0.055, 0.06), 0.075),
        (x, 0.0, mouth, (0.24, 0.15), 0.045),
        (x, 0.0, mouth - 0.12, (0.035, 0.06), -0.008),
        (x, 0.0, mouth + 0.19, (0.16, 0.05), -0.035),
        (x, 0.0, 0.98, (0.16, 0.12), 0.05),
    )
    height: Field = np.zeros((y.size, x.size), dtype=np.float32)
    for across, middle, down, radii, lift in bulges:
        height = height + lift * bump(across, y, (middle, down), radii)
    along = np.clip((y + 0.10) / (tip + 0.10), 0, 1)
    ridge = features.nose_height * along * (0.45 + 0.55 * along) * ramp(y, tip + 0.065, tip - 0.05)
    height = height + ridge * bell(x, features.nose_bridge + 0.045 * along * along)
    height = height + 0.03 * bump(x, y, (0.0, tip - 0.05), (0.07, 0.06))
    height = height - 0.06 * bump(side, y, (0.45 * wing, tip + 0.035), (0.04, 0.022))  # nostrils
    lips = y - mouth + features.smile * np.square(x / features.mouth_width)
    inside = ramp(np.abs(x), features.mouth_width + 0.03, features.mouth_width - 0.08)
    upper, lower = 0.5 * features.upper_lip + features.gap, 0.5 * features.lower_lip + features.gap
    rolls = bell(lips + upper, 0.6 * features.upper_lip) + 1.2 * bell(lips - lower, 0.5 * features.lower_lip)
    height = height + 0.022 * rolls * inside
    if features.gap > 0:
        height = height - 0.08 * ramp(np.abs(lips), features.gap, 0.5 * features.gap) * inside
    # folds from the wings of the nose to the mouth's corners, deeper with age and smile
    fold = side - wing - 0.02 - (y - tip) * (features.mouth_width + 0.06 - wing) / (mouth - tip)
    depth = 0.006 + 0.02 * tones.age + 0.1 * max(features.smile, 0)
    height = height - depth * bell(fold, 0.03) * ramp(y, tip - 0.08, tip + 0.02) * ramp(y, mouth + 0.1, mouth - 0.05)
    if tones.age > 0.1:
        waves = ripple(person.hair.table, 14 * y + 0.8 * ripple(person.hair.table, 3 * x + 50) + 128) - 0.5
        height = height + 0.012 * tones.age * waves * ramp(y, -0.25, -0.4) * ramp(side, 0.6, 0.3)
    return height


class Mane:
    """The hair: a cap over the skull, what hangs from it, buns and braids, less the opening for the face."""

    def __init__(self, person: Person, head: Head) -> None:
        self.hair, self.head, self.build = person.hair, head, person.build
        self.worn = person.hair.style != "bald"
        self.covers = person.headwear.kind == "scarf"
        self.loose = person.hair.hangs and not self.covers  # strands fall over the face
        self.hatted = person.headwear.line if person.headwear.kind in ("cap", "hat", "beanie") else 0.0

    def __call__(self, points: Points) -> Field:
        """Level of the hair."""
        hair = self.hair
        x, y, z = points
        around = angle(x - hair.part, z + 0.2)
        lumps = self._lumps(around, points)
        level: Field = self.head.skull(points) - hair.volume * ramp(y, 0.3, -0.5) - hair.side + lumps
        if hair.hangs:
            wide, deep = self.build.cranium[0] + 0.02 + hair.side + 0.06 * np.maximum(y, 0), 0.80 + hair.side
            reach = np.sqrt(np.square(x / wide) + np.square((z + 0.22) * (1 / deep)))
            hanging = (reach - 1) * (0.7 + hair.side) + lumps
            ends = y - hair.length - 0.12 * (ripple(hair.table, 7 * around + 40) - 0.5)
            hanging = np.maximum(np.maximum(hanging, ends), np.maximum(-0.45 - y, z - hair.front - 0.25 - 0.15 * y))
            level = blend(level, hanging, 0.15)
        level = np.maximum(level, -self.free(points))
        if self.hatted:
            level = np.maximum(level, self.hatted + 0.18 * (0.6 - z) - 0.03 - y)
        if hair.bun:
            level = blend(level, ellipsoid(points, (0.3 * hair.part, -0.98, -0.55), (0.32, 0.28, 0.30)) + lumps, 0.05)
        elif hair.style == "tied":
            level = blend(level, ellipsoid(points, (0.2 * hair.part, 0.3, -1.25), (0.20, 0.95, 0.22)) + lumps, 0.05)
        elif hair.style == "braids":
            knots = 0.03 * ripple(hair.table, 9 * y + 64)
            braid = ellipsoid((np.abs(x), y, z), (0.70, 1.05, -0.05), (0.13, 0.95, 0.14)) + knots
            level = np.minimum(level, braid)
        return level

    def _lumps(self, around: Field, points: Points) -> Field:
        hair = self.hair
        curls = ripple(hair.table, 7 * around + 3 * points[1] + 64)
        if hair.frizz > 0.4:
            curls = curls * 0.5 + ripple(hair.table, 6.5 * points[1] + 2.5 * around + 128) - 0.2
        lumps: Field = (-0.14 * hair.frizz) * (curls - 0.5)
        return lumps

    def free(self, points: Points) -> Field:
        """Negative where no hair grows: the face, the ears of short hair, the nape."""
        hair = self.hair
        x, y, z = points
        aside = x - hair.part
        strands = ripple(hair.table, 26 * x + 90) + 0.6 * ripple(hair.table, 61 * x + 3 * y + 30)
        line = hair.line + hair.slope * aside + hair.tent * np.abs(aside) + hair.arch * x * x
        line = line + hair.temples * bell(np.abs(x) - 0.42, 0.16) + (0.02 + 0.06 * hair.fringe) * (strands - 0.8)
        if self.covers:
            free: Field = np.maximum(ellipsoid((x, y, x * 0), (0.0, 0.15, 0.0), (0.60, 1.02, 1.0)), -0.2 - z)
            return free
        reach = hair.opening + 0.03 * (strands - 0.8) - 0.10 * np.square(np.minimum(y, 0.0))
        face = _rounded(line - y, np.abs(x) - reach, 0.45)
        free = np.maximum(face, (hair.front - 0.1 if hair.hangs else 0.1) - z)
        if not hair.hangs:  # a sideburn in front of the ear, and an edge from there to the nape
            edge = hair.sideburn + (hair.nape - hair.sideburn) * ramp(z, -0.25, -0.75)
            edge = edge - 0.32 * bell(z + 0.12, 0.16) * (1 if hair.sideburn < 0.4 else 0.6)
            free = np.minimum(free, edge - y + 0.05 * (strands - 0.8))
        return free


def _rounded(one: Field, other: Field, width: float) -> Field:
    """Intersection of two levels whose corner is rounded over `width`."""
    return -blend(-one, -other, width)


class Hat:
    """A hat, cap, beanie or hair band."""

    def __init__(self, person: Person, head: Head, mane: Mane) -> None:
        self.wear, self.head, self.mane = person.headwear, head, mane
        self.worn = person.headwear.kind in ("cap", "hat", "beanie", "band")

    def __call__(self, points: Points) -> Field:
        """Level of the hat."""
        x, y, z = points
        line, kind = self.wear.line, self.wear.kind
        below = y - line - 0.18 * (0.6 - z) - 0.12 * np.minimum(x * x, 1.5)
        hair = self.mane.hair
        level: Field = self.head.skull(points) - 0.07 * (1 + hair.frizz) - hair.volume - hair.side
        if kind == "band":
            level = np.maximum(level, np.abs(below + 0.15) - 0.09)
        elif kind == "beanie":
            level = np.maximum(level - 0.05 * ramp(y, -0.6, -1.0), below)
        else:
            radii = (0.56, 0.045, 0.62) if kind == "cap" else (1.15, 0.045, 1.25)
            brim = ellipsoid((x, below, z), (0.0, 0.0, 0.62 if kind == "cap" else -0.15), radii)
            level = blend(np.maximum(level - 0.10 * ramp(y, -0.6, -0.9), below - 0.03), brim, 0.08)
        return level


class Bust:
    """Neck and shoulders, in the coordinates of the upper body."""

    def __init__(self, person: Person) -> None:
        self.neck, self.clothes = person.build.neck, person.clothes

    def __call__(self, points: Points) -> Field:
        """Level of neck and torso."""
        x, y, z = points
        lean = z + 0.22 - 0.18 * (y - 0.9)
        spread = self.neck + 0.10 * np.square(np.maximum(y - 0.7, 0))
        neck = np.maximum(np.sqrt(x * x + np.square(lean * 1.05)) - spread, 0.25 - y)
        torso = ellipsoid(points, (0.0, 2.75, -0.30), (self.clothes.shoulders, 1.25, 0.85))
        return blend(neck, torso, 0.35)

    def dressed(self, points: Points) -> Field:
        """Negative where clothes cover the body."""
        cut, (x, y, _) = self.clothes, points
        if cut.high:
            return 0.98 - y
        wide = np.abs(x) if cut.pointed else np.square(x) * 1.6
        level: Field = np.maximum(cut.neckline + cut.depth - 1.3 * wide, cut.neckline - 0.1) - y
        return level
