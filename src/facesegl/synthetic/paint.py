"""The colour of every part: a relief of the face, lit by one lamp, then pigment, make-up and shadow.

Colours are linear light, the square of sRGB, channel first: (3, H, W) float32.
"""

import numpy as np

from facesegl.synthetic.outlines import Outlines, lids, lip_line
from facesegl.synthetic.person import Colour, Person, Studio
from facesegl.synthetic.shapes import Field, Plane, bell, bump, ramp, ripple


def linear(colour: Colour) -> Field:
    """Linear light of an sRGB colour, (3, 1, 1) float32."""
    return np.square(np.array(colour, dtype=np.float32))[:, None, None]


def mix(under: Field, over: Field, weight: Field) -> Field:
    """Lay `over` on `under`, (3, H, W) or (3, 1, 1), with (H, W) weights."""
    return under + (over - under) * weight


def lit(pigment: Field, height: Field, plane: Plane, studio: Studio, gloss: float) -> Field:
    """Light a relief of (H, W) heights; returns (3, H, W) float32.

    Red light travels far in skin and hair, so it reaches furthest around the edge of a shadow.
    """
    down, across = np.gradient(height / plane.pixel)
    front = 1 / np.sqrt(np.square(across) + np.square(down) + 1)
    facing = (studio.light[2] - studio.light[0] * across - studio.light[1] * down) * front
    reach = np.array((0.52, 0.40, 0.36), dtype=np.float32)[:, None, None]
    key: Field = np.square(np.maximum((facing + reach) / (1 + reach), 0))
    sky = studio.ambient * (0.8 + 0.35 * down * front)
    shine: Field = np.maximum(facing * front * 1.08 - 0.08, 0)
    for _ in range(3):  # to the eighth power
        shine = np.square(shine)
    seen: Field = pigment * (studio.key * key + sky) + gloss * studio.key * shine
    return seen


def paint_head(person: Person, parts: Outlines) -> Field:
    """Skin of head and nose with make-up and all shadows, (3, H, W) float32."""
    colours, features, inner = person.colours, person.features, parts.inner
    skin = np.broadcast_to(linear(colours.skin), (3, *inner.across.shape))
    skin = skin * (0.96 + 0.08 * _speckle(person, inner))
    cheeks = bump(inner.mirrored(), 0.38, 0.32, (0.22, 0.20)) + 0.7 * bump(inner, 0, 0.34, (0.12, 0.10))
    skin = mix(skin, skin * linear((1.0, 0.82, 0.80)), colours.blush * cheeks)
    beard = colours.stubble * ramp(inner.down + 0.5 * np.square(inner.across), 0.45, 0.75)
    skin = mix(skin, linear(colours.hair), beard * (0.12 + 0.25 * _speckle(person, inner.moved(0.5, 0.3))))
    eye, upper, _ = lids(features, inner)
    lid = ramp(-eye.down, -0.02, 0.02) * ramp(upper + 0.08 + eye.down, 0, 0.08)
    lid = lid * ramp(1.3 - np.abs(eye.across) / features.eye_width, 0, 0.5)
    skin = mix(skin, skin * linear((0.62, 0.50, 0.50)), (0.25 + 0.6 * colours.makeup) * lid)
    return lit(skin, _relief(person, parts), inner, person.studio, gloss=0.10) * _shadows(person, parts)


def _speckle(person: Person, plane: Plane) -> Field:
    table = person.hair.table
    slanted = ripple(table, 53 * plane.across + 31 * plane.down + 128)
    return ripple(table, 47 * plane.down - 29 * plane.across + 4 * slanted + 128)


def _relief(person: Person, parts: Outlines) -> Field:
    """Height of the face, (H, W) float32: an egg, the skull's hollows and bulges, a nose, lips and a chin."""
    features, inner = person.features, parts.inner
    both, tip, mouth = inner.mirrored(crease=0.10), features.nose_tip, features.mouth_down
    bulges = (
        (both, features.eye_spacing, -0.21, (0.26, 0.09), 0.035),
        (both, features.eye_spacing - 0.02, 0.0, (0.20, 0.11), -0.070),
        (both, features.eye_spacing, 0.0, (0.12, 0.07), 0.040),
        (both, 0.42, 0.20, (0.16, 0.12), 0.030),
        (both, 0.40, 0.50, (0.14, 0.16), -0.020),
        (inner, 0.0, 0.12, (0.075, 0.26), 0.085),
        (inner, 0.0, tip - 0.07, (0.085, 0.085), 0.110),
        (both, 0.66 * features.nose_wing, tip - 0.06, (0.055, 0.055), 0.045),
        (inner, 0.0, mouth, (0.24, 0.14), 0.050),
        (inner, 0.0, mouth - 0.125, (0.030, 0.06), -0.014),
        (inner, 0.0, mouth + 0.16, (0.16, 0.045), -0.030),
        (inner, 0.0, 0.90, (0.15, 0.10), 0.045),
    )
    height = 0.62 * np.sqrt(np.maximum(-parts.head, 0) + 0.01)
    for plane, across, down, radii, lift in bulges:
        height = height + lift * bump(plane, across, down, radii)
    lips = lip_line(features, inner).down
    rolls = bell(lips + 0.5 * features.upper_lip, 0.5 * features.upper_lip)
    rolls = rolls + 1.3 * bell(lips - 0.5 * features.lower_lip, 0.5 * features.lower_lip)
    return height + 0.022 * rolls * ramp(-parts.mouth, -0.03, 0.03)


def _shadows(person: Person, parts: Outlines) -> Field:
    """The share of light that shadows of hair, lids and nose leave, (H, W) float32."""
    features, inner = person.features, parts.inner
    light, tip, wing = person.studio.light, features.nose_tip, features.nose_wing
    both, side = inner.mirrored(), np.abs(inner.across)
    eye, upper, lower = lids(features, inner)
    along = ramp(1.25 - np.abs(eye.across) / features.eye_width, 0, 0.3)
    wings = ramp(inner.down, tip - 0.16, tip - 0.06) * ramp(side, 0.5 * wing, wing)
    shades = (
        0.38 * bell(eye.down + 1.15 * upper + 0.028, 0.012) * along,  # crease of the lid
        0.80 * bell(eye.down + upper, 0.013 + 0.008 * person.colours.makeup) * along,  # lashes
        0.30 * bell(eye.down - lower, 0.010) * along,
        0.30 * bump(inner, -0.18 * light[0], tip + 0.055, (0.13, 0.055)),  # cast by the nose
        0.90 * bump(both, 0.47 * wing, tip - 0.028, (0.042, 0.018)),  # nostrils
        0.30 * bell(parts.nose, 0.016) * wings,
        0.30 * bump(both, features.mouth_width, features.mouth_down - features.smile, (0.03, 0.025)),
        0.40 * bell(np.maximum(parts.hair, 0), 0.05),
        0.25 * ramp(-parts.head, 0.07, 0.0),
    )
    remaining: Field = np.ones_like(side)
    for shade in shades:
        remaining = remaining * (1 - shade)
    return remaining


def paint_neck(person: Person, parts: Outlines) -> Field:
    """Skin of the neck in the shadow of the chin, (3, H, W) float32."""
    plane = parts.inner
    height = 0.50 * np.sqrt(np.maximum(1 - np.square(plane.across / (person.build.neck + 0.03)), 0) + 0.1)
    muscle = bell(plane.mirrored().across - 0.30 + 0.5 * (plane.down - 0.9), 0.05)
    skin = lit(linear(person.colours.skin), height + 0.012 * muscle, plane, person.studio, gloss=0.02)
    shadow: Field = 0.68 * ramp(parts.head, 0.30, 0.0) + 0.25 * ramp(-parts.neck, 0.08, 0.0)
    return skin * (1 - shadow)


def paint_ears(person: Person, parts: Outlines) -> Field:
    """Skin of both ears, redder than the face, (3, H, W) float32."""
    shell = bump(parts.inner.mirrored(), person.build.half_width, 0.10, (0.045, 0.11))
    skin = linear(person.colours.skin) * linear((1.0, 0.90, 0.88))
    lobes = lit(skin, 0.10 * bell(parts.ears + 0.02, 0.02), parts.inner, person.studio, gloss=0.05)
    return lobes * (0.90 - 0.50 * shell)


def paint_eyes(person: Person, parts: Outlines) -> Field:
    """White, iris, pupil and highlight, (3, H, W) float32."""
    features, studio, inner = person.features, person.studio, parts.inner
    eye, upper, lower = lids(features, inner)
    sign = np.sign(inner.across)
    gazed = eye._replace(across=eye.across - features.gaze * sign, down=inner.down + 0.008)
    radius = np.sqrt(np.square(gazed.across) + np.square(gazed.down))
    white = mix(linear((0.88, 0.86, 0.84)), linear((0.80, 0.58, 0.54)), ramp(np.abs(eye.across), 0.08, 0.17))
    rays = 0.75 + 0.5 * ripple(person.hair.table, 40 * gazed.across / (radius + np.float32(0.02)) + 128)
    iris = linear(person.colours.iris) * (rays * ramp(radius, 0.085, 0.05) * 1.5 + 0.15)
    eyes = mix(white, iris, ramp(radius, 0.078, 0.066))
    eyes = mix(eyes, linear((0.03, 0.03, 0.03)), ramp(radius, 0.036, 0.026))
    shade = (1 - 0.55 * bell(eye.down + upper, 0.030)) * (1 - 0.35 * bell(eye.down - lower, 0.012))
    lash = bell(eye.down + upper, 0.012 + 0.006 * person.colours.makeup)
    eyes = mix(eyes * (shade * (studio.ambient + 0.6 * studio.key)), linear((0.08, 0.06, 0.06)), 0.9 * lash)
    glint = gazed.moved(0, -0.026)._replace(across=gazed.across * sign - 0.04 * studio.light[0])
    return mix(eyes, linear((1.0, 1.0, 1.0)), 0.95 * bump(glint, 0, 0, (0.014, 0.014)))


def paint_mouth(person: Person, parts: Outlines, head: Field) -> Field:
    """Lips, the line between them and, in an open mouth, teeth; (3, H, W) float32."""
    colours, features, studio = person.colours, person.features, person.studio
    lips = lip_line(features, parts.inner)
    # The head's own light on the lips: paint over it by the ratio of the pigments.
    tint = linear(colours.lips) / linear(colours.skin)
    mouth: Field = head * mix(np.ones_like(tint), tint, ramp(-parts.mouth, -0.012, 0.012))
    gloss = (0.05 + 0.10 * colours.makeup) * bump(lips, 0.10 * studio.light[0], 0.5 * features.lower_lip, (0.09, 0.016))
    mouth = (mouth + gloss) * (1 - 0.65 * bell(np.maximum(parts.gap, 0), 0.010))
    if not features.gap:
        return mouth
    teeth = linear((0.90, 0.87, 0.82)) * (0.55 * ramp(np.abs(lips.across), 0.20, 0.02) + 0.15)
    inside = mix(teeth, linear((0.22, 0.07, 0.07)), ramp(lips.down, 0.2 * features.gap, 0.7 * features.gap))
    return mix(mouth, inside, ramp(-parts.gap, 0, 0.012))


def paint_brows(person: Person, parts: Outlines, head: Field) -> Field:
    """Brows, whose skin shows between the hairs, (3, H, W) float32."""
    inner = parts.inner.mirrored()
    hairs = ripple(person.hair.table, 75 * inner.across + 45 * inner.down)
    cover = ramp(-parts.brows, -0.006, 0.022) * (0.65 + 0.35 * hairs)
    brow = linear(person.colours.hair) * 0.6 * (person.studio.ambient + 0.5 * person.studio.key)
    return mix(head, brow, 0.92 * cover)


def paint_hair(person: Person, parts: Outlines, plane: Plane) -> Field:
    """Strands that fall from the parting, with a sheen where the dome faces the lamp; (3, H, W) float32."""
    hair, width = person.hair, person.build.half_width + person.hair.side
    fall = np.sqrt(np.maximum(1 - np.square(np.minimum(plane.down + 0.1, 0) / (0.95 + hair.volume)), 0.02))
    waves = 0.10 * hair.wave * ripple(hair.table, 4 * plane.down + 16)
    along = (plane.across - 0.5 * hair.part * (1 - fall)) / fall + waves
    if hair.style in ("short", "bun"):  # combed back: strands fan out from the brow
        along = (plane.across + (hair.slope - hair.part) * (plane.down + 0.5)) / np.maximum(0.45 - plane.down, 0.4)
    fine = ripple(hair.table, 70 * along + 128 + 3 * ripple(hair.table, 5 * plane.down + 3))
    strands = 0.6 * ripple(hair.table, 18 * along + 128 + ripple(hair.table, 3 * plane.down)) + 0.4 * fine
    if hair.style == "curly":
        curl = ripple(hair.table, 26 * plane.down + 4 * ripple(hair.table, 17 * plane.across + 128))
        strands = ripple(hair.table, 24 * plane.across + 4 * curl + 128) * (0.4 + 0.6 * curl)
    round_off = 1 - np.square(np.clip(plane.across / (width + 0.1), -1, 1))
    height = 0.5 * np.sqrt(round_off * 0.8 + 0.02) + 0.5 * np.minimum(fall, 1)
    pigment = linear(person.colours.hair) * (0.35 + 1.0 * strands)
    sheen = bell(plane.down + 0.72 + 0.3 * np.square(plane.across) + 0.06 * fine, 0.14) * np.square(strands)
    pigment = pigment + (0.10 + 0.5 * linear(person.colours.hair)) * sheen * 0.7
    deep = ramp(-parts.hair, 0.0, 0.05)
    return lit(pigment, height, plane, person.studio, gloss=0.0) * (0.7 + 0.3 * deep)


def paint_clothes(person: Person, parts: Outlines, plane: Plane) -> Field:
    """Plain cloth with folds and a hem at the neckline, (3, H, W) float32."""
    folds = ripple(person.hair.table, 7 * plane.across + 9 * plane.down + 128)
    hem = bell(parts.clothes + 0.035, 0.006) + ramp(-parts.clothes, 0.02, 0.0)
    cloth = linear(person.colours.clothes) * ((0.75 + 0.25 * folds) * (1 - 0.25 * hem))
    return lit(cloth, -0.25 * np.square(plane.across), plane, person.studio, gloss=0.0)


def paint_backdrop(person: Person, plane: Plane) -> Field:
    """A studio wall, softly graded, (3, H, W) float32."""
    right, below = person.studio.gradient
    grade: Field = 0.85 + right * plane.across + below * plane.down + 0.2 * bump(plane, 0, 0, (0.9, 0.9))
    return mix(np.zeros_like(grade), linear(person.colours.backdrop), np.clip(grade, 0.3, 1.2))
