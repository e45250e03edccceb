"""Render a portrait: its photo, and the share of each part in each pixel."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facesegl.synthetic import paint
from facesegl.synthetic.camera import photograph
from facesegl.synthetic.features import lock_level, outline
from facesegl.synthetic.parts import PARTS
from facesegl.synthetic.person import KINDS, Person
from facesegl.synthetic.shapes import Field, Points, bell, bump, noise, ramp, ripple
from facesegl.synthetic.solids import (
    Bust,
    Hat,
    Head,
    Hit,
    Level,
    Mane,
    Rays,
    SolidPose,
    at_pixels,
    hit_ellipsoid,
    march,
    normals,
    rotation,
    shift,
    turn,
    unit,
)


class Borders(NamedTuple):
    """Where the masks of a data set draw the line, in head units.

    Attributes:
        nose_top: where the nose begins, below the eyes.
        eye_rim: how far eyes reach beyond their opening, over lids and lashes.
        glasses: whether glasses are a part, all of the lenses included; otherwise masks show what is behind them.
    """

    nose_top: float
    eye_rim: float
    glasses: bool


BORDERS = {
    "fasseg": Borders(-0.03, 0.010, False),
    "celebamask_hq": Borders(-0.10, 0.0, True),
    "lapa": Borders(0.0, 0.0, False),
    "helen": Borders(0.0, 0.0, False),
}
"""Those of each convention; FASSEG's follow V2's training masks."""

_INDEX = {part: index for index, part in enumerate(PARTS)}
_PIVOT = (0.0, 0.15, -0.15)  # the point around which a head turns
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
    masked: Field | None = None  # the coverage in masks, where that differs from the photo


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

    Raises:
        ValueError: an unknown convention or kind of variety.

    Example:
        >>> face = draw_face(seed=3, height=64, width=50)
        >>> face.photo.shape, face.coverage.shape
        ((64, 50, 3), (64, 50, 19))
    """
    for given, known in (((convention,), BORDERS), (without, KINDS)):
        if unknown := [name for name in given if name not in known]:
            raise ValueError(f"draw_face: unknown {', '.join(unknown)}; expected {', '.join(known)}")
    person = Person(seed, without)
    scene = _Scene(person, height, width, convention)
    light, coverage = _composed(scene.layers(), paint.paint_backdrop(person, scene.across, scene.down))
    rng = np.random.Generator(np.random.PCG64([seed, 99]))
    return Face(photograph(light, person.camera, rng), np.ascontiguousarray(coverage.transpose(1, 2, 0)))


def _composed(layers: list[Layer], backdrop: Field) -> tuple[Field, Field]:
    """Light (3, H, W) and coverage (P, H, W): at each pixel the nearest layer hides what is behind it."""
    coverage = np.zeros((len(PARTS), *backdrop.shape[1:]), dtype=np.float32)
    *shares, coverage[0] = _shares(layers)
    light = backdrop * coverage[0]
    for layer, share in zip(layers, shares, strict=True):
        light = light + layer.color * share
    if any(layer.masked is not None for layer in layers):
        *shares, coverage[0] = _shares(
            [layer if layer.masked is None else layer._replace(cover=layer.masked) for layer in layers]
        )
    for layer, share in zip(layers, shares, strict=True):
        for part, fraction in layer.parts.items():
            coverage[_INDEX[part]] += share * fraction
    return light, coverage


def _shares(layers: list[Layer]) -> list[Field]:
    """The share of each layer in each pixel, (H, W), then the share of what is behind them all."""
    shares, free = [], np.ones_like(layers[0].cover)
    for one, layer in enumerate(layers):
        share = layer.cover
        for other, hiding in enumerate(layers):
            if other < one:
                share = share * (1 - hiding.cover * ramp(layer.reach - hiding.reach, -0.012, 0.012))
            elif other > one:  # the two weights of a pair of layers add up to 1
                share = share * (1 - hiding.cover * (1 - ramp(hiding.reach - layer.reach, -0.012, 0.012)))
        shares.append(share)
        free = free * (1 - layer.cover)
    whole: Field = 1 / (sum(shares) + free)
    return [share * whole for share in (*shares, free)]


Paint = Callable[[paint.Surface, Field], tuple[Field, dict[str, Field]]]
"""Gives color (3, 1, N) and parts (1, N) of a surface at distances (1, N)."""


@dataclass(frozen=True)
class _Solid:
    """A turned solid: its pose, and the rays and lamps in its coordinates."""

    pose: SolidPose
    rays: Rays
    lamps: paint.Lamps

    @classmethod
    def of(cls, person: Person, rays: Rays, pose: SolidPose) -> "_Solid":
        return cls(pose, pose.rays(rays), paint.Lamps.of(person, pose.rows))


class _Scene:
    """A person in front of the camera."""

    def __init__(self, person: Person, height: int, width: int, convention: str) -> None:
        self.person, self.borders = person, BORDERS[convention]
        frame, pose = person.frame, person.pose
        pixel = frame.height / min(height, 1.45 * width)
        down, across = np.indices((height, width), dtype=np.float32)
        self.across = (across - np.float32(0.5 * (width - 1))) * np.float32(pixel) - np.float32(frame.shift[0])
        self.down = (down - np.float32(0.5 * (height - 1))) * np.float32(pixel) - np.float32(frame.shift[1] - 0.04)
        distance = np.float32(frame.distance)
        scale = 1 / np.sqrt(np.square(self.across) + np.square(self.down) + distance * distance)
        rays = Rays((0.0, 0.0, frame.distance), (self.across * scale, self.down * scale, -distance * scale))
        self.footprint = pixel / frame.distance  # of a pixel at distance 1
        self.start = frame.distance - 1.9
        upright = SolidPose(rotation(pose.yaw, pose.pitch, pose.roll), (0.0, 0.15, 0.0), _PIVOT)
        self.in_head = _Solid.of(person, rays, upright)
        x, y, z = turn(upright.columns, shift(_NECK, _PIVOT, -1))
        bust = SolidPose(rotation(pose.yaw * pose.body, 0.0, 0.3 * pose.roll), (x, y + 0.15, z), _NECK)
        self.in_bust = _Solid.of(person, rays, bust)
        self.head, self.bust = Head(person), Bust(person)
        self.mane = Mane(person, self.head)
        self.haired = self.mane.worn or self.mane.covers

    def layers(self) -> list[Layer]:
        """All solids, in any order."""
        hat = Hat(self.person, self.head, self.mane)
        layers = [
            self._layer(self.in_bust, self.bust, self.start, self._paint_body),
            self._layer(self.in_head, self.head, self.start + 0.4, self._paint_face),
            *(self._ear(side, name) for side, name in _SIDES),
        ]
        if self.haired:
            layers.append(self._layer(self.in_head, self.mane, self.start, self._paint_hair))
        if hat.worn:
            layers.append(self._layer(self.in_head, hat, self.start, self._paint_hat))
        if self.person.glasses.worn:
            layers += [self._glasses(), *(self._temple(side) for side, _ in _SIDES)]
        if self.person.headwear.earrings:
            layers += [self._earring(side) for side, _ in _SIDES]
        return layers

    def _layer(self, solid: _Solid, surface: Level, start: float, paint_at: Paint) -> Layer:
        hit = march(surface, solid.rays, start)
        cover = self._cover(hit)
        seen = cover > 0
        at = solid.rays.at(hit.reach)
        chosen = paint.Surface(*(at_pixels(axes, seen) for axes in (at, normals(at), solid.rays.directions)))
        color, parts = paint_at(chosen, hit.reach[seen][None])
        whole = np.zeros((3, *seen.shape), dtype=np.float32)
        whole[:, seen] = color[:, 0]
        return Layer(hit.reach, cover, whole, {name: _scattered(share, seen) for name, share in parts.items()})

    def _cover(self, hit: Hit) -> Field:
        """The share of each pixel inside a silhouette."""
        cover: Field = np.clip(1 - hit.level / (hit.reach * np.float32(self.footprint)), 0, 1)
        return cover

    def _within(self, level: Field, reach: Field) -> Field:
        """The share of each pixel inside an outline on a surface."""
        inside: Field = np.clip(0.5 - level / (reach * np.float32(self.footprint)), 0, 1)
        return inside

    def _open(self, surface: Level, at: Points, steps: tuple[float, ...]) -> Field:
        """The share of the key light that a solid in the head's coordinates lets through to points."""
        free: Field = np.ones_like(at[0])
        for step in steps:
            x, y, z = (axis + step * way for axis, way in zip(at, self.in_head.lamps.key, strict=True))
            free = np.minimum(free, ramp(surface((x, y, z)), -0.10 * step - 0.01, 0.40 * step))
        return free

    def _paint_body(self, surface: paint.Surface, reach: Field) -> tuple[Field, dict[str, Field]]:
        person, at, hem = self.person, surface.at, self.bust.dressed(surface.at)
        in_head = self.in_head.pose.inside(self.in_bust.pose.outside(at))
        free = 0.25 + 0.75 * self._open(self.head.skull, in_head, (0.15, 0.4, 0.8))
        near_chin = 1 - 0.45 * ramp(self.head.skull(in_head), 0.25, 0.0)
        pigment = paint.linear(person.tones.skin) * (
            0.95 + 0.1 * ripple(person.hair.table, 20 * at[0] + 13 * at[1] + 128)
        )
        pigment = paint.mix(pigment, paint.paint_cloth(person, surface, hem), ramp(-hem, -0.006, 0.006))
        cloth = self._within(hem, reach)
        color = self.in_bust.lamps.on(surface, pigment, 0.02, free) * near_chin
        return color, {"cloth": cloth, "neck": 1 - cloth}

    def _paint_face(self, surface: paint.Surface, reach: Field) -> tuple[Field, dict[str, Field]]:
        person, lamps = self.person, self.in_head.lamps
        x, y, z = surface.at
        x = x + person.build.skew * y
        front = ramp(z, -0.10, 0.10)
        shapes = outline(person, x, y, self.borders.nose_top)
        locks = front * (0.9 * self._within(lock_level(person.hair, x, y), reach) if self.mane.loose else 0.0)
        free = self._open(self.head, surface.at, (0.06, 0.13, 0.24))
        if self.haired:
            free = free * (0.25 + 0.75 * self._open(self.mane, surface.at, (0.10, 0.3)))
        skin = paint.paint_skin(person, surface)
        skin = paint.mix(skin, paint.paint_brows(person, skin, shapes.brows, x, y), front)
        lips = paint.paint_lips(person, shapes, skin, x, y)
        mouth = self._within(shapes.mouth, reach) * front
        skin = paint.mix(skin, lips, np.minimum(ramp(-shapes.mouth, -0.014, 0.014), front))
        if person.beard.worn:
            skin = paint.mix(skin, paint.paint_beard(person, skin, x, y), front * (1 - mouth))
        eyes = self._within(shapes.eyes, reach) * front
        skin = paint.mix(skin, paint.paint_eyes(person, x, y), eyes)
        skin = skin * (1 - front * (1 - paint.darken(person, shapes, x, y)))
        skin = paint.mix(skin, paint.linear(person.hair_color) * (0.5 + noise(person.noise, 90 * x, 6 * y)), locks)
        gloss = person.tones.gloss * (0.4 + 0.6 * (1 - mouth) + 0.6 * mouth * person.tones.makeup)
        color = lamps.on(surface, skin, gloss * (1 - eyes) * (1 - locks), free)
        color = paint.mix(
            color, paint.linear((1.0, 1.0, 1.0)), 0.9 * eyes * (1 - locks) * paint.paint_glint(person, x, y)
        )
        # later parts are where earlier ones are not
        left = self._within(-x, reach)
        brows = self._within(shapes.brows, reach) * front
        parts: dict[str, Field] = {}
        rest: Field = np.ones_like(x)
        for share, names in (
            (locks, {"hair": 1}),
            (mouth * self._within(shapes.gap, reach), {"inner mouth": 1}),
            (mouth * self._within(shapes.upper_lip, reach), {"upper lip": 1}),
            (mouth, {"lower lip": 1}),
            (
                self._within(shapes.eyes - self.borders.eye_rim, reach) * front,
                {"left eye": left, "right eye": 1 - left},
            ),
            (brows, {"left brow": left, "right brow": 1 - left}),
            (self._within(shapes.nose, reach) * front, {"nose": 1}),
            (self._within(0.2 * shapes.beard, reach) * front, {"beard": 1}),
        ):
            parts |= {name: share * rest * half for name, half in names.items()}
            rest = rest * (1 - share)
        return color, parts | {"skin": rest}

    def _paint_hair(self, surface: paint.Surface, reach: Field) -> tuple[Field, dict[str, Field]]:
        person, lamps = self.person, self.in_head.lamps
        free = 0.3 + 0.7 * self._open(self.mane, surface.at, (0.25, 0.6))
        if not self.mane.covers:
            thin = ramp(self.mane.free(surface.at), 0.30, 0.0) * ramp(surface.at[1], 0.1, -0.15)
            return paint.paint_hair(person, surface, lamps, free, thin), {"hair": np.ones_like(reach)}
        x, y, z = surface.at
        folds = 0.7 + 0.6 * ripple(person.hair.table, 5 * y + 3 * np.abs(x) + 2 * z + 20)
        color = lamps.on(surface, paint.linear(person.headwear.color) * folds, 0.02, free)
        return color, {"hat": np.ones_like(reach)}

    def _paint_hat(self, surface: paint.Surface, reach: Field) -> tuple[Field, dict[str, Field]]:
        weave = 0.85 + 0.3 * ripple(self.person.hair.table, 40 * surface.at[0] + 33 * surface.at[1] + 64)
        color = self.in_head.lamps.on(surface, paint.linear(self.person.headwear.color) * weave, 0.02)
        return color, {"hat": np.ones_like(reach)}

    def _ear(self, side: int, name: str) -> Layer:
        person, build, lamps = self.person, self.person.build, self.in_head.lamps
        rows = rotation(side * 0.5 * build.ear_out, 0.0, side * 0.08)
        center = (side * (build.cranium[0] - 0.01), 0.13, -0.14)
        rays = SolidPose(rows, center, (0.0, 0.0, 0.0)).rays(self.in_head.rays)
        hit = hit_ellipsoid(rays, (side * 0.05, 0.0, 0.0), (0.055, build.ear, 0.13))
        x, y, z = rays.at(hit.reach)
        normal = unit(((x - side * 0.05) / 0.12, y / (2 * build.ear), z / 0.26 + 0.3))
        ring = np.sqrt(np.square(y / build.ear) + np.square((z - 0.02) / 0.13))
        shell = bell(ring - 0.60, 0.16) + 1.1 * bump(z, y, (0.05, 0.03), (0.035, 0.05))
        lamps = paint.Lamps(person, *(turn(rows, way) for way in (lamps.key, lamps.fill, lamps.rim, lamps.up)))
        skin = paint.linear(person.tones.skin) * paint.linear((1.0, 0.93, 0.92)) * (1.0 - 0.45 * shell)
        color = lamps.on(paint.Surface((x, y, z), normal, rays.directions), skin, 0.03)
        return Layer(hit.reach, self._cover(hit), color, {f"{name} ear": np.ones_like(hit.reach)})

    def _earring(self, side: int) -> Layer:
        build, wear = self.person.build, self.person.headwear
        center = (side * (build.cranium[0] + 0.06), 0.16 + build.ear + wear.ring, -0.12)
        hit = hit_ellipsoid(self.in_head.rays, center, (0.6 * wear.ring, wear.ring, wear.ring))
        color = paint.linear(wear.metal) * (0.3 + 0.9 * np.square(bell(hit.level, 0.5 * wear.ring)))
        return Layer(hit.reach, self._cover(hit), color, {"earring": np.ones_like(hit.reach)})

    def _glasses(self) -> Layer:
        person, glasses = self.person, self.person.glasses
        start, (dx, dy, dz) = self.in_head.rays
        reach = np.clip((0.80 - start[2]) / np.where(np.abs(dz) < 0.02, np.float32(-0.02), dz), 0.5, 40.0)
        x, y = np.clip(start[0] + reach * dx, -4, 4), np.clip(start[1] + reach * dy, -4, 4) - glasses.down
        wide = np.square(np.abs(np.abs(x) - person.features.eye_spacing - 0.01) / glasses.half_width)
        tall = np.square(y / glasses.half_height)
        round_off = wide + tall - glasses.square * np.minimum(wide, 1) * np.minimum(tall, 1)
        level = (np.sqrt(round_off) - 1) * glasses.half_height
        bridge = np.maximum(np.abs(y + 0.4 * glasses.half_height) - 0.6 * glasses.frame, np.abs(x) - 0.09)
        rim = self._within(np.minimum(np.abs(level) - glasses.frame, bridge), reach)
        lens = self._within(level, reach) * (1 - rim)
        haze = lens * np.minimum(glasses.dark + glasses.glare * ramp(x + y, -0.2, 0.2), 1)
        cover = np.maximum(rim, haze) * ramp(-dz, 0.05, 0.15)
        shine = paint.linear((0.75, 0.8, 0.85)) * (glasses.glare > glasses.dark)
        color = paint.mix(paint.linear(glasses.color) * 0.6 + shine * haze, paint.linear(glasses.color) * 0.8, rim)
        return self._worn(reach, cover, color, np.maximum(rim, lens) * ramp(-dz, 0.05, 0.15))

    def _temple(self, side: int) -> Layer:
        """One arm of the glasses, a strip in a plane that passes the temple outside the head."""
        glasses, hinge = self.person.glasses, self.person.features.eye_spacing + self.person.glasses.half_width
        start, way = self.in_head.rays
        lean = (self.person.build.cranium[0] + 0.04 - hinge) / 0.95
        slope = side * way[0] + lean * way[2]
        reach = (hinge + 0.80 * lean - side * start[0] - lean * start[2]) / np.where(
            np.abs(slope) < 1e-3, np.float32(1e-3), slope
        )
        _, y, z = self.in_head.rays.at(np.clip(reach, 0.5, 40.0))
        level = np.maximum(np.abs(y - 0.6 * glasses.down) - 0.7 * glasses.frame - 0.005, np.abs(z - 0.33) - 0.47)
        cover = self._within(level, np.clip(reach, 0.5, 40.0)) * (reach > 0.5) * (reach < 40.0)
        return self._worn(np.clip(reach, 0.5, 40.0), cover, paint.linear(glasses.color) * 0.7, cover)

    def _worn(self, reach: Field, cover: Field, color: Field, masked: Field) -> Layer:
        whole = np.broadcast_to(color, (3, *reach.shape))
        masked = masked if self.borders.glasses else np.zeros_like(cover)
        return Layer(reach, cover, whole, {"glasses": np.ones_like(reach)}, masked)


def _scattered(values: Field, chosen: npt.NDArray[np.bool]) -> Field:
    whole = np.zeros(chosen.shape, dtype=np.float32)
    whole[chosen] = values[0]
    return whole
