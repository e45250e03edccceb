"""The outlines of eyes, brows, nose, mouth and beard on the face, as levels: negative inside."""

import itertools
from dataclasses import dataclass

import numpy as np

from facesegl.synthetic.person import Features, Hair, Person
from facesegl.synthetic.shapes import Field, bell, bump, ramp, ripple

# half width of a nose, as a share of its wings, at shares of its height
_NOSE = ((0.0, 0.28), (0.1, 0.40), (0.3, 0.55), (0.5, 0.69), (0.7, 0.88), (0.85, 1.0), (0.95, 0.93), (1.0, 0.72))


@dataclass(frozen=True)
class Outlines:
    """Levels (H, W) float32 at the points where the rays meet the face."""

    brows: Field
    eyes: Field
    nose: Field
    mouth: Field
    upper_lip: Field
    gap: Field
    beard: Field


def lids(features: Features, x: Field, y: Field) -> tuple[Field, Field, Field, Field]:
    """Coordinates in both eyes at once, and how far the upper and the lower lid are from their middle."""
    across = np.abs(x) - features.eye_spacing
    down = y + features.slant * across
    along = across / features.eye_width
    arc = 1 - np.square(along)
    return across, down, features.upper_lid * arc * (1 - 0.25 * along), features.lower_lid * arc * (1 + 0.35 * along)


def lip_line(features: Features, x: Field, y: Field) -> Field:
    """The distance below the line between the lips."""
    along = np.minimum(np.abs(x) / features.mouth_width, 1.3)
    return y - features.mouth_down + features.smile * np.square(along) - 0.01 * bell(along, 0.2)


def outline(person: Person, x: Field, y: Field, nose_top: float) -> Outlines:
    """Outline all parts of a face; `nose_top` is where the nose begins."""
    features = person.features
    mouth, upper, gap = _mouth(features, x, y)
    return Outlines(_brows(features, x, y), _eyes(features, x, y), _nose(features, x, y, nose_top), mouth, upper, gap,
                    0.5 - beard_cover(person, x, y))  # fmt: skip


def _eyes(features: Features, x: Field, y: Field) -> Field:
    _, down, upper, lower = lids(features, x, y)
    return np.maximum(-down - upper, down - lower)


def _brows(features: Features, x: Field, y: Field) -> Field:
    across = np.abs(x) - features.eye_spacing - 0.01
    along = across / features.brow_width
    bend = features.brow_arch * np.square(along - 0.1) - 0.2 * features.slant * across + features.frown * along
    thickness = features.brow_thickness * (1 - 0.35 * along) * ramp(1 - np.square(along), -0.05, 0.45)
    return np.maximum(np.abs(y + features.brow_lift - bend) - thickness, (np.abs(along) - 1) * features.brow_width)


def _nose(features: Features, x: Field, y: Field, top: float) -> Field:
    bottom = features.nose_tip + 0.012
    along = (y - top) / (bottom - top)
    half = np.zeros_like(along)
    for (start, one), (stop, other) in itertools.pairwise(_NOSE):
        part = np.clip((along - start) / (stop - start), 0, 1)
        half = half + (other - one) * part * features.nose_wing
    half = half + np.float32(_NOSE[0][1] * features.nose_wing)
    septum = 0.02 * bell(x, 0.05)  # between the nostrils it reaches lower
    level: Field = np.maximum(np.abs(x) - half, np.maximum(top - y, y - bottom - septum + 0.15 * np.square(x)))
    return level


def _mouth(features: Features, x: Field, y: Field) -> tuple[Field, Field, Field]:
    lips = lip_line(features, x, y)
    along = x / features.mouth_width
    arc = 1 - np.square(along)
    bow = 1 - 0.28 * bell(along, 0.16)
    upper = (features.upper_lip * bow + features.gap) * arc
    lower = (features.lower_lip + features.gap) * arc * (0.8 + 0.25 * arc)
    level = np.maximum(np.maximum(-lips - upper, lips - lower), (np.abs(along) - 1) * features.mouth_width)
    gap = np.abs(lips) - features.gap * (1 - np.square(along / 0.85)) if features.gap else np.ones_like(level)
    return level, np.maximum(level, lips), np.maximum(gap, level)


def beard_cover(person: Person, x: Field, y: Field, stubble: bool = False) -> Field:
    """How densely a beard covers the skin, 0 to 1; of stubble, 1 in all regions that could have a beard."""
    beard, features = person.beard, person.features
    if not stubble and not beard.worn:
        return np.zeros_like(x)
    tip, mouth = features.nose_tip, features.mouth_down
    lip = bump(x, y, (0.0, 0.5 * (tip + mouth) + 0.02), (0.24, 0.08)) * ramp(y, tip, tip + 0.05)
    chin = bump(x, y, (0.0, 0.98), (0.26, 0.22))
    side = ramp(y + 0.35 * np.square(x) - 0.9 * np.maximum(np.abs(x) - 0.45, 0), beard.line, beard.line + 0.2)
    side = side * ramp(np.square(x / 0.33) + np.square((y - mouth) / 0.17), 0.7, 1.3)
    amounts = (1.0, 1.0, 1.0) if stubble else (beard.moustache, beard.chin, beard.cheeks)
    cover: Field = np.maximum(np.maximum(amounts[0] * np.minimum(1.7 * lip, 1), amounts[1] * np.minimum(1.7 * chin, 1)),
                              amounts[2] * side)  # fmt: skip
    return cover


def lock_level(hair: Hair, x: Field, y: Field) -> Field:
    """The level of single strands that fall over forehead and cheek."""
    level: Field = np.ones_like(x)
    for start, tilt, length, width in hair.locks:
        along = (y - hair.line) * (1 / length)
        sweep = (tilt + start) * length * along * (1 - 0.6 * along)  # aside, then down
        path = x - start - sweep - 0.05 * ripple(hair.table, 3 * along + 20 * start + 64)
        strand = np.abs(path) - width * (1 - np.square(along - 0.3))
        level = np.minimum(level, np.maximum(strand, np.maximum(-0.2 - along, along - 1) * length))
    return level
