"""Render a portrait: its photo, and the share of each part in each pixel."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facesegl.synthetic import paint
from facesegl.synthetic.camera import photograph
from facesegl.synthetic.features import outline
from facesegl.synthetic.parts import PARTS
from facesegl.synthetic.person import Person
from facesegl.synthetic.shapes import Field, Points, bell, bump, ramp, ripple
from facesegl.synthetic.solids import (
    Bust,
    Hat,
    Head,
    Hit,
    Mane,
    Rays,
    Rows,
    Surface,
    back,
    hit_ellipsoid,
    march,
    rotation,
)  # fmt: skip

NOSE_TOPS = {"fasseg": -0.03, "celebamask_hq": -0.10, "lapa": 0.0, "helen": 0.0}
"""Where the nose begins in the masks of each data set, in head units below the eyes."""

SEEN_THROUGH = {"fasseg": ("glasses",), "lapa": ("glasses",), "helen": ("glasses",)}
"""Parts that the painters of a data set see through."""

_INDEX = {part: index for index, part in enumerate(PARTS)}
_HEAD = (0.0, 0.15, -0.15)  # the point around which a head turns
_NECK = (0.0, 0.95, -0.20)
_SIDES = ((-1, "right"), (1, "left"))


@dataclass(frozen=True)
class Face:
    """A synthetic portrait.

    Attributes:
        photo: (H, W, 3) uint8, RGB.
        coverage: (H, W, P) float32, the share of a pixel that each of `PARTS` fills. Sums to 1.
    """

    photo: npt.NDArray[np.uint8]
    coverage: npt.NDArray[np.float32]


class Layer(NamedTuple):
    """What the rays see of one solid: distance, coverage, color (3, H, W), and the share of each of its parts."""

    reach: Field
    cover: Field
    color: Field
    parts: dict[str, Field]


def draw_face(
    seed: int, height: int = 256, width: int = 200, convention: str = "fasseg", without: Collection[str] = ()
) -> Face:
    """Render the portrait of a synthetic person.

    Args:
        seed: determines person, pose and light, the same at every size.
        height: height of the photo in pixels.
        width: width of the photo in pixels.
        convention: the data set whose masks are imitated: fasseg, celebamask_hq, lapa or helen.
        without: kinds of variety to switch off, of `person.KINDS`.

    Returns:
        The photo and its parts: the same bytes for a seed and a size on every machine.

    Example:
        >>> face = draw_face(seed=3, height=64, width=50)
        >>> face.photo.shape, face.coverage.shape
        ((64, 50, 3), (64, 50, 19))
    """
    person = Person(seed, without)
    scene = _Scene(person, height, width, convention)
    light, coverage = _composed(scene.layers(), paint.paint_backdrop(person, scene.across, scene.down))
    rng = np.random.Generator(np.random.PCG64([seed, 99]))
    return Face(photograph(light, person.camera, rng), np.ascontiguousarray(coverage.transpose(1, 2, 0)))


def _composed(layers: list[Layer], backdrop: Field) -> tuple[Field, Field]:
    """Light (3, H, W) and coverage (P, H, W): at each pixel the nearest layer hides what is behind it."""
    size = backdrop.shape[1:]
    coverage = np.zeros((len(PARTS), *size), dtype=np.float32)
    light = np.zeros(backdrop.shape, dtype=np.float32)
    shares, free = [], np.ones(size, dtype=np.float32)
    for one, layer in enumerate(layers):
        share = layer.cover
        for other, hiding in enumerate(layers):
            if other != one:
                nearer = ramp(layer.reach - hiding.reach, -0.012, 0.012) if other < one else \
                    1 - ramp(hiding.reach - layer.reach, -0.012, 0.012)
                share = share * (1 - hiding.cover * nearer)
        shares.append(share)
        free = free * (1 - layer.cover)
    whole = 1 / (sum(shares) + free)
    coverage[0] = free * whole
    light = backdrop * coverage[0]
    for layer, share in zip(layers, shares, strict=True):
        visible = share * whole
        light = light + layer.color * visible
        for part, fraction in layer.parts.items():
            coverage[_INDEX[part]] += visible * fraction
    return light, coverage


class _Scene:
    """A person in front of the camera."""

    def __init__(self, person: Person, height: int, width: int, convention: str) -> None:
        self.person, self.convention = person, convention
        self.seen_through = SEEN_THROUGH.get(convention, ())
        frame, pose = person.frame, person.pose
        pixel = frame.height / min(height, 1.45 * width)
        down, across = np.indices((height, width), dtype=np.float32)
        self.across = (across - np.float32(0.5 * (width - 1))) * np.float32(pixel) - np.float32(frame.shift[0])
        self.down = (down - np.float32(0.5 * (height - 1))) * np.float32(pixel) - np.float32(frame.shift[1] - 0.04)
        distance = np.float32(frame.distance)
        scale = 1 / np.sqrt(np.square(self.across) + np.square(self.down) + distance * distance)
        directions = (self.across * scale, self.down * scale, -distance * scale)
        self.rays = Rays((0.0, 0.0, frame.distance), directions)
        self.pixel = pixel
        self.rows = rotation(pose.yaw, pose.pitch, pose.roll)
        self.lamps = paint.Lamps.of(person, self.rows)
        self.head, self.in_head = Head(person), self._in_head()
        self.mane = Mane(person, self.head)

    def _in_head(self) -> Rays:
        moved = Rays(tuple(a - b for a, b in zip(self.rays.start, (0.0, 0.15, 0.0), strict=True)), self.rays.directions)  # type: ignore[arg-type]
        turned = moved.turned(self.rows, (0.0, 0.0, 0.0))
        start = tuple(a + b for a, b in zip(turned.start, _HEAD, strict=True))
        return Rays(start, turned.directions)  # type: ignore[arg-type]

    def layers(self) -> list[Layer]:
        """All solids, in any order."""
        person, start = self.person, self.person.frame.distance - 1.9
        head = march(self.head, self.in_head, start + 0.4)
        mane = march(self.mane, self.in_head, start) if self.mane.worn or self.mane.covers else None
        layers = [self._body(), self._face(head, mane), *self._ears()]
        if mane:
            layers.append(self._hair(mane))
        hat = Hat(person, self.head, self.mane)
        if hat.worn:
            layers.append(self._layer(march(hat, self.in_head, start), self.in_head, self._paint_hat))
        if person.glasses.worn:
            layers.append(self._glasses())
        if person.headwear.earrings:
            layers += self._earrings()
        return layers

    def _cover(self, hit: Hit) -> Field:
        """The share of each pixel inside a silhouette."""
        footprint = hit.reach * np.float32(self.pixel / self.person.frame.distance)
        cover: Field = np.clip(1 - hit.level / footprint, 0, 1)
        return cover

    def _within(self, level: Field, reach: Field) -> Field:
        """The share of each pixel inside an outline on a surface."""
        footprint = reach * np.float32(self.pixel / self.person.frame.distance)
        inside: Field = np.clip(0.5 - level / footprint, 0, 1)
        return inside

    def _open(self, surface: Surface, at: Points, key: "tuple[float, float, float]", steps: tuple[float, ...]) -> Field:
        """The share of the key light that a solid lets through to points."""
        free: Field = np.ones_like(at[0])
        for step in steps:
            x, y, z = (axis + step * way for axis, way in zip(at, key, strict=True))
            free = np.minimum(free, ramp(surface((x, y, z)), -0.10 * step - 0.01, 0.40 * step))
        return free

    def _layer(self, hit: Hit, rays: Rays, paint_at: "Callable[[paint.Surface, Field], tuple[Field, dict[str, Field]]]") -> Layer:
        """Paint the pixels that a solid covers; `paint_at` gives the color (3, 1, N) and parts (1, N) of a surface."""
        cover = self._cover(hit)
        seen = cover > 0
        surface = paint.Surface.seen(rays.at(hit.reach), rays.directions).only(seen)
        color, parts = paint_at(surface, hit.reach[seen][None])
        whole = np.zeros((3, *seen.shape), dtype=np.float32)
        whole[:, seen] = color[:, 0]
        return Layer(hit.reach, cover, whole, {name: _scattered(share, seen) for name, share in parts.items()})

    def _face(self, hit: Hit, mane: "Hit | None") -> Layer:
        return self._layer(hit, self.in_head, lambda surface, reach: self._paint_face(surface, reach, mane is not None))

    def _paint_face(self, surface: paint.Surface, reach: Field, haired: bool) -> tuple[Field, dict[str, Field]]:
        person, at = self.person, surface.at
        x, y, z = at
        x = x + person.build.skew * y
        front = ramp(z, -0.10, 0.10)
        shapes = outline(person, x, y, NOSE_TOPS[self.convention])
        open_to_key = self._open(self.head, at, self.lamps.key, (0.06, 0.13, 0.24))
        if haired:
            open_to_key = open_to_key * (0.25 + 0.75 * self._open(self.mane, at, self.lamps.key, (0.10, 0.3)))
        skin = paint.paint_skin(person, surface)
        skin = paint.mix(skin, paint.paint_brows(person, skin, shapes.brows, x, y), front)
        lips = paint.paint_lips(person, shapes, skin, x, y)
        mouth = self._within(shapes.mouth, reach) * front
        skin = paint.mix(skin, lips, np.minimum(ramp(-shapes.mouth, -0.014, 0.014), front))
        if person.beard.cheeks or person.beard.chin or person.beard.moustache:
            bearded = paint.paint_beard(person, skin, x, y)
            skin = paint.mix(skin, bearded, front * (1 - mouth))
        eyes = self._within(shapes.eyes, reach) * front
        skin = paint.mix(skin, paint.paint_eyes(person, x, y), eyes)
        skin = skin * (1 - front * (1 - paint.darken(person, shapes, x, y)))
        gloss = person.tones.gloss * (0.4 + 0.6 * (1 - mouth) + 0.6 * mouth * person.tones.makeup)
        color = self.lamps.on(surface, skin, gloss * (1 - eyes), open_to_key)
        color = paint.mix(color, paint.linear((1.0, 1.0, 1.0)), 0.9 * eyes * paint.paint_glint(person, x, y))
        return color, self._face_parts(shapes, x, y, reach, eyes, mouth, front)

    def _face_parts(self, shapes, x, y, reach, eyes, mouth, front) -> dict[str, Field]:  # type: ignore[no-untyped-def]
        upper, gap = self._within(shapes.upper_lip, reach), self._within(shapes.gap, reach)
        nose, brows = self._within(shapes.nose, reach) * front, self._within(shapes.brows, reach) * front
        beard = self._within(0.2 * shapes.beard, reach) * front
        left = self._within(-x, reach)
        parts: dict[str, Field] = {}
        rest: Field = np.ones_like(x)
        for name, share in (("inner mouth", mouth * gap), ("upper lip", mouth * upper), ("lower lip", mouth)):
            parts[name] = share * rest
            rest = rest * (1 - share)
        for name, share in (("eye", eyes), ("brow", brows)):
            for side, half in (("left", left), ("right", 1 - left)):
                parts[f"{side} {name}"] = share * rest * half
            rest = rest * (1 - share)
        for name, share in (("nose", nose), ("beard", beard)):
            parts[name] = share * rest
            rest = rest * (1 - share)
        parts["skin"] = rest
        return parts

    def _hair(self, hit: Hit) -> Layer:
        return self._layer(hit, self.in_head, self._paint_hair)

    def _paint_hair(self, surface: paint.Surface, reach: Field) -> tuple[Field, dict[str, Field]]:
        person = self.person
        free = 0.3 + 0.7 * self._open(self.mane, surface.at, self.lamps.key, (0.25, 0.6))
        if not self.mane.covers:
            thin = ramp(self.mane.free(surface.at), 0.30, 0.0) * ramp(surface.at[1], 0.1, -0.15)
            return paint.paint_hair(person, surface, self.lamps, free, thin), {"hair": np.ones_like(reach)}
        x, y, z = surface.at
        folds = 0.7 + 0.6 * ripple(person.hair.table, 5 * y + 3 * np.abs(x) + 2 * z + 20)
        color = self.lamps.on(surface, paint.linear(person.headwear.color) * folds, 0.02, free)
        return color, {"hat": np.ones_like(reach)}

    def _paint_hat(self, surface: paint.Surface, reach: Field) -> tuple[Field, dict[str, Field]]:
        weave = 0.85 + 0.3 * ripple(self.person.hair.table, 40 * surface.at[0] + 33 * surface.at[1] + 64)
        color = self.lamps.on(surface, paint.linear(self.person.headwear.color) * weave, 0.02)
        return color, {"hat": np.ones_like(reach)}

    def _ears(self) -> list[Layer]:
        build, layers = self.person.build, []
        for side, name in _SIDES:
            turned = rotation(side * 0.5 * build.ear_out, 0.0, side * 0.08)
            center = (side * (build.cranium[0] - 0.01), 0.13, -0.14)
            rays = self.in_head.turned(turned, center)
            hit = hit_ellipsoid(rays, (side * 0.05, 0.0, 0.0), (0.055, build.ear, 0.13))
            x, y, z = rays.at(hit.reach)
            view = rays.directions
            normal = _unit((x - side * 0.05) / 0.12, y / (2 * build.ear), z / 0.26 + 0.3)
            ring = np.sqrt(np.square(y / build.ear) + np.square((z - 0.02) / 0.13))
            shell = bell(ring - 0.60, 0.16) + 1.1 * bump(z, y, (0.05, 0.03), (0.035, 0.05))
            lamps = paint.Lamps(self.person, *(tuple(float(v) for v in _turned(turned, way)) for way in
                                (self.lamps.key, self.lamps.fill, self.lamps.rim, self.lamps.up)))  # type: ignore[arg-type]
            skin = paint.linear(self.person.tones.skin) * paint.linear((1.0, 0.93, 0.92)) * (1.0 - 0.45 * shell)
            color = lamps.on(paint.Surface((x, y, z), normal, view), skin, 0.03)
            layers.append(Layer(hit.reach, self._cover(hit), color, {f"{name} ear": np.ones_like(hit.reach)}))
        return layers

    def _earrings(self) -> list[Layer]:
        layers, ring = [], self.person.headwear.ring
        for side, _ in _SIDES:
            center = (side * (self.person.build.cranium[0] + 0.06), 0.16 + self.person.build.ear + ring, -0.12)
            hit = hit_ellipsoid(self.in_head, center, (0.6 * ring, ring, ring))
            color = paint.linear(self.person.headwear.metal) * (0.3 + 0.9 * np.square(bell(hit.level, 0.5 * ring)))
            layers.append(Layer(hit.reach, self._cover(hit), color, {"earring": np.ones_like(hit.reach)}))
        return layers

    def _body(self) -> Layer:
        person, pose = self.person, self.person.pose
        base = back(self.rows, tuple(a - b for a, b in zip(_NECK, _HEAD, strict=True)))  # type: ignore[arg-type]
        center = (float(base[0]), float(base[1]) + 0.15, float(base[2]))
        rows = rotation(pose.yaw * pose.body, 0.0, 0.3 * pose.roll)
        rays = self.rays.turned(rows, center)
        rays = Rays(tuple(a + b for a, b in zip(rays.start, _NECK, strict=True)), rays.directions)  # type: ignore[arg-type]
        bust, lamps = Bust(person), paint.Lamps.of(person, rows)

        def paint_at(surface: paint.Surface, reach: Field) -> tuple[Field, dict[str, Field]]:
            at, hem = surface.at, bust.dressed(surface.at)
            x, y, z = back(rows, tuple(axis - middle for axis, middle in zip(at, _NECK, strict=True)))  # type: ignore[arg-type]
            head_points = self._head_points((x + center[0], y + center[1], z + center[2]))
            free = 0.25 + 0.75 * self._open(self.head.skull, head_points, self.lamps.key, (0.15, 0.4, 0.8))
            near_chin = 1 - 0.45 * ramp(self.head.skull(head_points), 0.25, 0.0)
            tone = 0.95 + 0.1 * ripple(person.hair.table, 20 * at[0] + 13 * at[1] + 128)
            pigment = paint.linear(person.tones.skin) * tone
            pigment = paint.mix(pigment, paint.paint_cloth(person, surface, hem), ramp(-hem, -0.006, 0.006))
            cloth = self._within(hem, reach)
            return lamps.on(surface, pigment, 0.02, free) * near_chin, {"cloth": cloth, "neck": 1 - cloth}

        return self._layer(march(bust, rays, person.frame.distance - 1.9), rays, paint_at)

    def _head_points(self, points: Points) -> Points:
        x, y, z = points
        x, y, z = _turned(self.rows, (x, y - np.float32(0.15), z))
        return x + _HEAD[0], y + np.float32(_HEAD[1]), z + np.float32(_HEAD[2])

    def _glasses(self) -> Layer:
        person, glasses = self.person, self.person.glasses
        start, (dx, dy, dz) = self.in_head.start, self.in_head.directions
        plane = 0.80
        reach = np.clip((plane - start[2]) / np.where(np.abs(dz) < 0.02, np.float32(-0.02), dz), 0.5, 40.0)
        x, y = start[0] + reach * dx, start[1] + reach * dy
        x, y = np.clip(x, -4, 4), np.clip(y, -4, 4)
        wide, tall = np.abs(np.abs(x) - person.features.eye_spacing - 0.01) / glasses.half_width, (y - glasses.down) / glasses.half_height
        square = np.square(wide) + np.square(tall)
        square = square - glasses.square * np.minimum(np.square(wide), 1) * np.minimum(np.square(tall), 1)
        level = (np.sqrt(square) - 1) * glasses.half_height
        bridge = np.maximum(np.abs(y - glasses.down + 0.4 * glasses.half_height) - 0.6 * glasses.frame, np.abs(x) - 0.09)
        frame = np.minimum(np.abs(level) - glasses.frame, bridge)
        rim = self._within(frame, reach)
        lens = self._within(level, reach) * (1 - rim)
        haze = lens * np.minimum(glasses.dark + glasses.glare * ramp(x + y, -0.2, 0.2), 1)
        cover = np.maximum(rim, haze) * ramp(-dz, 0.05, 0.15)
        shine = paint.linear((0.75, 0.8, 0.85)) * (glasses.glare > glasses.dark)
        color = paint.mix(paint.linear(glasses.color) * 0.6 + shine * haze, paint.linear(glasses.color) * 0.8, rim)
        return Layer(reach, cover, np.broadcast_to(color, (3, *reach.shape)), {"glasses": np.ones_like(reach)})


def _scattered(values: Field, chosen: Field) -> Field:
    whole = np.zeros(chosen.shape, dtype=np.float32)
    whole[chosen] = values[0]
    return whole


def _turned(rows: Rows, vector):  # type: ignore[no-untyped-def]
    x, y, z = vector
    return tuple(row[0] * x + row[1] * y + row[2] * z for row in rows)


def _unit(x: Field, y: Field, z: Field) -> Points:
    scale = 1 / np.sqrt(x * x + y * y + z * z + np.float32(1e-9))
    return x * scale, y * scale, z * scale
