"""The colors of every part, and the light that falls on them.

Colors are linear light, the square of sRGB, channel first: (3, H, W) float32.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from facesegl.synthetic.features import Outlines, beard_cover, lids, lip_line
from facesegl.synthetic.person import Color, Person
from facesegl.synthetic.shapes import Field, Points, Vector, angle, bell, bump, noise, ramp, ripple
from facesegl.synthetic.solids import Rows, turn

RED_REACH = np.array((0.50, 0.38, 0.34), dtype=np.float32)[:, None, None]
"""Red light travels far in skin and hair, and reaches furthest around the edge of a shadow."""


def linear(color: Color) -> Field:
    """Linear light of an sRGB color, (3, 1, 1) float32."""
    return np.square(np.array(color, dtype=np.float32))[:, None, None]


def mix(under: Field, over: Field, weight: "Field | float") -> Field:
    """Lay `over` on `under`, (3, H, W) or (3, 1, 1), with (H, W) weights."""
    mixed: Field = under + (over - under) * weight
    return mixed


@dataclass(frozen=True)
class Surface:
    """A surface as the camera sees it, in the coordinates of its solid: (H, W) float32 each.

    Attributes:
        at: the points where the rays meet it.
        normal: the direction that it faces.
        view: the direction of the rays.
    """

    at: Points
    normal: Points
    view: Points

    def bent(self, x: Field, y: Field) -> "Surface":
        """The same surface with small bumps: what is added to its normals."""
        nx, ny, nz = self.normal
        return Surface(self.at, (nx + x, ny + y, nz), self.view)


@dataclass(frozen=True)
class Lamps:
    """The lights of a photo in the coordinates of a solid."""

    person: Person
    key: Vector
    fill: Vector
    rim: Vector
    up: Vector

    @classmethod
    def of(cls, person: Person, rows: Rows) -> "Lamps":
        """The lights as seen from a rotated solid."""
        light = person.light
        turned = [turn(rows, way) for way in (light.key_at, light.fill_at, light.rim_at, (0.0, -1.0, 0.0))]
        key, fill, rim, up = ((float(x), float(y), float(z)) for x, y, z in turned)
        return cls(person, key, fill, rim, up)

    def on(self, surface: Surface, pigment: Field, gloss: "float | Field", open_to_key: "Field | float" = 1.0) -> Field:
        """Light a surface: pigment (3, H, W), and the share of the key light that reaches it."""
        light = self.person.light
        facing = _dot(surface.normal, self.key)
        reach = RED_REACH * (1.15 - light.hardness)
        key = np.square(np.maximum((facing + reach) * (1 / (1 + reach)), 0))
        sky = 0.78 + 0.30 * _dot(surface.normal, self.up)
        edge = np.square(np.square(1 - np.abs(_dot(surface.normal, surface.view))))
        rim = light.rim * np.maximum(_dot(surface.normal, self.rim) + 0.2, 0) * (0.2 + edge)
        fill = light.fill * np.maximum(_dot(surface.normal, self.fill) + 0.3, 0)
        warm = np.array(light.key_color, dtype=np.float32)[:, None, None] * light.key
        cool = np.array(light.ambient_color, dtype=np.float32)[:, None, None] * light.ambient
        away = 1 - light.falloff * edge
        seen: Field = pigment * away * (warm * (key * open_to_key) + cool * sky + (fill + rim))
        return seen + self.shine(surface, 5) * (gloss * light.key) * open_to_key

    def shine(self, surface: Surface, squarings: int) -> Field:
        """The highlight of the key light, 0 to 1, (H, W)."""
        half = [way - axis for way, axis in zip(self.key, surface.view, strict=True)]
        length = np.sqrt(half[0] * half[0] + half[1] * half[1] + half[2] * half[2] + np.float32(1e-6))
        shine: Field = np.maximum(_dot(surface.normal, (half[0], half[1], half[2])) / length, 0)
        shine = np.minimum(shine, 1)
        for _ in range(squarings):
            shine = np.square(shine)
        return shine


def _dot(one: Points, other: "Points | Vector") -> Field:
    product: Field = one[0] * other[0] + one[1] * other[1] + one[2] * other[2]
    return product


def paint_skin(person: Person, surface: Surface) -> Field:
    """The pigment of the face without its features, (3, H, W)."""
    tones, features, table = person.tones, person.features, person.noise
    x, y, _ = surface.at
    side = np.abs(x)
    mottled = noise(table, 9 * x + 7, 9 * y + 3) - 0.5
    fine = noise(table, 70 * x, 70 * y) - 0.5
    skin = linear(tones.skin) * (1 + 0.10 * mottled + 0.16 * tones.pores * fine)
    red = tones.blush * (bump(side, y, (0.40, 0.36), (0.22, 0.22)) + 0.8 * bump(x, y, (0, 0.36), (0.13, 0.13)))
    red = red + 0.5 * np.maximum(mottled, 0) * tones.blush
    skin = skin * (1 - np.array((0.0, 0.22, 0.22), dtype=np.float32)[:, None, None] * red)
    across, down, upper, _ = lids(features, x, y)
    near = ramp(1.35 - np.abs(across) / features.eye_width, 0, 0.5)
    lid = ramp(-down, -0.02, 0.02) * ramp(upper + 0.09 + down, 0, 0.08) * near
    below = bump(np.abs(across), down, (0.0, 0.085), (0.15, 0.045))
    shade = (0.15 + 0.6 * tones.makeup) * lid + tones.rings * below
    skin = skin * (1 - np.array((0.55, 0.70, 0.65), dtype=np.float32)[:, None, None] * np.minimum(shade, 1))
    if tones.freckles:
        dots = ramp(noise(table, 34 * x + 20, 34 * y + 11), 0.72, 0.85) * bump(x, y, (0, 0.25), (0.55, 0.28))
        skin = skin * (1 - np.array((0.25, 0.45, 0.55), dtype=np.float32)[:, None, None] * (tones.freckles * dots))
    for across_spot, down_spot, size, depth in tones.spots:
        spot = depth * bump(x, y, (across_spot, down_spot), (size, size))
        skin = skin * (1 - np.array((0.5, 0.7, 0.7), dtype=np.float32)[:, None, None] * spot)
    if person.beard.stubble:
        cover = beard_cover(person, x, y, stubble=True) * person.beard.stubble
        grain = noise(table, 95 * x + 40, 80 * y)
        skin = mix(skin, linear(person.hair_color) * 0.8, cover * (0.10 + 0.5 * np.maximum(grain - 0.35, 0)))
    return skin


def darken(person: Person, outlines: Outlines, x: Field, y: Field) -> Field:
    """The share of light that creases, lashes and nostrils leave, (H, W)."""
    features, tones = person.features, person.tones
    tip, wing = features.nose_tip, features.nose_wing
    side = np.abs(x)
    across, down, upper, lower = lids(features, x, y)
    along = ramp(1.25 - np.abs(across) / features.eye_width, 0, 0.3)
    wings = ramp(y, tip - 0.16, tip - 0.06) * ramp(side, 0.5 * wing, wing)
    shades = (
        features.crease * bell(down + 1.15 * upper + 0.03, 0.013) * along,
        0.85 * features.lashes * bell(down + upper, 0.016 + 0.010 * tones.makeup) * along,  # lashes
        (0.20 + 0.3 * tones.makeup) * bell(down - lower, 0.010) * along,
        0.92 * bump(side, y, (0.47 * wing, tip - 0.012), (0.046, 0.020)),  # nostrils
        0.30 * bell(outlines.nose, 0.016) * wings,
        0.35 * bump(side, y, (features.mouth_width, features.mouth_down - features.smile), (0.03, 0.025)),
        0.25 * bump(x, y, (0, features.mouth_down + features.lower_lip + features.gap + 0.045), (0.12, 0.035)),
    )
    left: Field = np.ones_like(x)
    for shade in shades:
        left = left * (1 - shade)
    return left


def paint_eyes(person: Person, x: Field, y: Field) -> Field:
    """Pigment of white, iris, pupil and highlight, (3, H, W)."""
    features, table = person.features, person.hair.table
    across, down, upper, lower = lids(features, x, y)
    sign = np.sign(x)
    gaze_x, gaze_y = across - features.gaze * sign, y + 0.010 - features.gaze_down
    radius = np.sqrt(np.square(gaze_x) + np.square(gaze_y)) * (0.070 / features.iris)
    white = mix(linear((0.86, 0.83, 0.81)), linear((0.78, 0.55, 0.52)), ramp(np.abs(across), 0.07, 0.15))
    white = white * person.tones.white
    rays = 0.75 + 0.5 * ripple(table, 40 * gaze_x / (radius + np.float32(0.02)) + 128)
    iris = linear(person.tones.iris) * (rays * ramp(radius, 0.085, 0.05) * 1.5 + 0.15)
    eyes = mix(white, iris, ramp(radius, 0.074, 0.062))
    eyes = mix(eyes, linear((0.03, 0.03, 0.03)), ramp(radius, 0.034, 0.025))
    eyes = eyes * ((1 - 0.60 * bell(down + upper, 0.040)) * (1 - 0.30 * bell(down - lower, 0.012)))
    lash = features.lashes * bell(down + upper, 0.012 + 0.008 * person.tones.makeup) + 0.25 * bell(down - lower, 0.007)
    return mix(eyes, linear((0.08, 0.06, 0.06)), np.minimum(0.9 * lash, 1))


def paint_glint(person: Person, x: Field, y: Field) -> Field:
    """The lamp's reflection in both eyes, (H, W)."""
    features = person.features
    key = person.light.key_at
    across = np.abs(x) - features.eye_spacing - (features.gaze + 0.04 * key[0]) * np.sign(x)
    return bump(across, y, (0.0, -0.010 + features.gaze_down + 0.04 * key[1]), (0.013, 0.013))


def paint_lips(person: Person, outlines: Outlines, skin: Field, x: Field, y: Field) -> Field:
    """Pigment of the lips, the line between them, teeth and tongue, (3, H, W)."""
    features, tones = person.features, person.tones
    lips = lip_line(features, x, y)
    lines = 0.85 + 0.3 * ripple(person.hair.table, 60 * x + 128)
    tint = linear(tones.lips) / linear(tones.skin)
    mouth: Field = skin * mix(np.ones_like(tint), tint, ramp(-outlines.mouth, -0.014, 0.014)) * lines
    mouth = mouth * (1 - 0.70 * bell(np.maximum(outlines.gap if features.gap else np.abs(lips), 0), 0.011))
    if not features.gap:
        return mouth
    rows = 0.9 + 0.1 * ramp(ripple(person.hair.table, 26 * np.abs(x) + 3), 0.1, 0.4)
    teeth = linear((0.88, 0.85, 0.78)) * (rows * (0.60 * ramp(np.abs(x), 0.24, 0.02) + 0.15))
    dark = linear((0.20, 0.06, 0.06))
    tongue = mix(dark, linear((0.62, 0.30, 0.30)), bump(x, lips, (0, features.gap), (0.14, 0.06)))
    inside = mix(teeth, tongue, ramp(lips, min(0.0, 0.06 - features.gap), min(0.02, 0.10 - features.gap) + 0.02))
    return mix(mouth, inside, ramp(-outlines.gap, 0, 0.012))


def paint_brows(person: Person, under: Field, level: Field, x: Field, y: Field) -> Field:
    """Brows, whose skin shows between the hairs, (3, H, W)."""
    hairs = noise(person.noise, 60 * np.abs(x) + 26 * y, 12 * y - 9 * np.abs(x))
    cover = ramp(-level, -0.012, 0.022) * (0.55 + 0.6 * (hairs - 0.3)) * person.features.brow_density
    return mix(under, linear(person.hair_color) * 0.55, np.clip(cover, 0, 0.95))


def paint_beard(person: Person, under: Field, x: Field, y: Field) -> Field:
    """A beard over the skin, (3, H, W)."""
    cover = beard_cover(person, x, y)
    hairs = noise(person.noise, 58 * x, 14 * y) * 0.6 + noise(person.noise, 120 * x, 40 * y) * 0.4
    tone = linear(person.hair_color) * (0.35 + 1.0 * hairs)
    return mix(under, tone, ramp(cover + 0.55 * (hairs - 0.5), 0.25, 0.62))


def paint_hair(person: Person, surface: Surface, lamps: Lamps, open_to_key: "Field | float", thin: Field) -> Field:
    """Strands that fall from the parting or curl, with a sheen, lit: (3, H, W); skin shows where hair is `thin`."""
    hair, table = person.hair, person.noise
    x, y, z = surface.at
    around = angle(x - 0.6 * hair.part, z + 0.2)
    wave = 0.06 * hair.wave * ripple(hair.table, 3.5 * y + 16)
    along = around + wave
    if hair.frizz > 0.4:
        curl = noise(table, 9 * x + 5 * z, 9 * y + 5 * z)
        strands = 0.55 * noise(table, 24 * x + 6 * curl, 24 * y + 17 * z) + 0.45 * noise(table, 60 * along, 20 * y)
    else:
        coarse = noise(table, 15 * along + 31, 1.5 * y)
        strands = 0.45 * coarse + 0.35 * noise(table, 42 * along, 3.0 * y) + 0.3 * noise(table, 110 * along, 7 * y)
    strands = 0.5 + hair.contrast * (strands - 0.5)
    pigment = linear(person.hair_color) * np.maximum(0.45 + 1.0 * strands, 0.1)
    gaps = ramp(noise(table, 75 * along + 9, 2.5 * y), 0.75 - 0.5 * hair.sparse, 0.9 - 0.4 * hair.sparse) * thin
    pigment = mix(pigment, linear(person.tones.skin) * 0.7, np.minimum(gaps, 0.85))
    tilt = 1.2 * (strands - 0.5)
    bent = surface.bent(tilt * surface.normal[2], 0.3 * tilt)
    lit = lamps.on(bent, pigment, 0.0, open_to_key)
    sheen = lamps.shine(surface, 3) * np.square(strands) * (hair.gloss * person.light.key) * open_to_key
    return lit + (hair.white + 0.6 * linear(person.hair_color)) * sheen


def paint_cloth(person: Person, surface: Surface, hem: Field) -> Field:
    """Pigment of clothes with pattern, folds and hem, (3, H, W)."""
    clothes, table = person.clothes, person.noise
    x, y, z = surface.at
    size = clothes.scale
    flat: dict[str, Callable[[], Field]] = {
        "stripes": lambda: ramp(np.abs((x * size) % 1 - 0.5), 0.2, 0.26),
        "rows": lambda: ramp(np.abs((y * size) % 1 - 0.5), 0.2, 0.26),
        "checks": lambda: (
            0.5 * ramp(np.abs((x * size) % 1 - 0.5), 0.2, 0.26) + 0.5 * ramp(np.abs((y * size) % 1 - 0.5), 0.2, 0.26)
        ),
        "blotches": lambda: ramp(noise(table, x * size, y * size), 0.45, 0.55),
    }
    color = linear(clothes.color)
    if clothes.pattern in flat:
        color = mix(color, linear(clothes.other), flat[clothes.pattern]())
    weave = 0.9 + 0.2 * noise(table, 80 * x, 80 * y)
    folds = 0.75 + 0.5 * noise(table, 3 * x + 2 * y, 2.2 * y - 1.5 * x + z)
    edge = bell(hem + 0.04, 0.008) + ramp(-hem, 0.02, 0.0)
    if clothes.collar:
        color = mix(color, linear(clothes.other), ramp(-hem, 0.16, 0.14) * (1 - ramp(-hem, 0.0, -0.01)))
        edge = edge + bell(hem + 0.15, 0.012)
    return color * (weave * folds * (1 - 0.3 * np.minimum(edge, 1)))


def paint_backdrop(person: Person, x: Field, y: Field) -> Field:
    """What is behind: a wall, textures, shapes, and heads out of focus, (3, H, W)."""
    backdrop, table = person.backdrop, person.noise
    right, below = backdrop.gradient
    turned = x + backdrop.turn * y, y - backdrop.turn * x
    scale, (shift_x, shift_y) = backdrop.scale, backdrop.offset
    cloud = noise(table, scale * turned[0] + shift_x, scale * turned[1] + shift_y)
    cloud = 0.6 * cloud + 0.4 * noise(table, 3.1 * scale * turned[0], 2.7 * scale * turned[1] + shift_x)
    color: Field = mix(linear(person.wall), linear(backdrop.other), np.minimum(backdrop.texture * cloud * 1.4, 1))
    for center, radii, round_one, soft, tone in backdrop.shapes:
        over_x, over_y = np.abs(x - center[0]) / radii[0], np.abs(y - center[1]) / radii[1]
        level = np.sqrt(np.square(over_x) + np.square(over_y)) if round_one else np.maximum(over_x, over_y)
        color = mix(color, linear(tone), ramp(level, 1 + soft, 1))
    for (across, down), size, skin, hair, soft in backdrop.heads:
        far_x, far_y = (x - across) / size, (y - down) / size
        shoulders = np.maximum(np.abs(far_x) - 1.3 - 0.3 * far_y, 1.3 - far_y + 0.3 * np.abs(far_x))
        color = mix(color, linear(backdrop.other), ramp(shoulders, soft, -soft))
        crown = np.square(far_x / 0.85) + np.square((far_y + 0.2) / 1.0)
        face = np.square(far_x / 0.66) + np.square((far_y - 0.1) / 0.95)
        color = mix(color, linear(hair), ramp(crown, 1 + soft, 1 - soft))
        color = mix(color, linear(skin), ramp(face, 1 + soft, 1 - soft))
    grade: Field = 0.85 + right * x * 0.6 + below * y * 0.6 + backdrop.glow * bump(x, y, (0, 0), (0.9, 0.9))
    return color * np.clip(grade, 0.2, 1.4)
