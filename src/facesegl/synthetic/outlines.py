"""The outlines of a portrait: one level field for each part, negative inside."""

from dataclasses import dataclass

import numpy as np

from facesegl.synthetic.person import Build, Features, Hair, Person
from facesegl.synthetic.shapes import Field, Plane, bell, blend_union, egg, ellipse, ramp, ripple

TEMPLE = -0.1  # where a head is widest


@dataclass(frozen=True)
class Outlines:
    """Level fields, (H, W) float32, and the plane of the face's features, which turns with the head."""

    inner: Plane
    head: Field
    ears: Field
    neck: Field
    clothes: Field
    brows: Field
    eyes: Field
    nose: Field
    mouth: Field
    gap: Field
    hair: Field
    hair_behind: Field


def outline(person: Person, plane: Plane) -> Outlines:
    """Outline every part of a person on a plane of (H, W) points."""
    build, features, hair = person.build, person.features, person.hair
    width, yaw = build.half_width, person.studio.yaw
    # A turn moves the middle of the face but not its contour: the far cheek narrows, the near one widens.
    turn = yaw * np.maximum(1 - np.square(plane.across / width), 0)
    inner = plane._replace(across=plane.across - turn)
    mouth, gap = _mouth(features, inner)
    mane = _mane(hair, width, plane)
    ears = ellipse(plane.moved(-0.4 * yaw, 0.10).mirrored().moved(width + 0.01, 0), (0.075, build.ear))
    neck, clothes = _bust(build.neck, plane)
    return Outlines(
        inner=inner,
        head=_skull(build, plane),
        ears=ears,
        neck=neck,
        clothes=clothes,
        brows=_brows(features, inner),
        eyes=_eyes(features, inner),
        nose=_nose(features, inner.moved(0.5 * yaw, 0)),
        mouth=mouth,
        gap=gap,
        hair=np.maximum(mane, _off_the_face(hair, width, plane)),
        hair_behind=mane if hair.length > 0.5 else np.ones_like(mane),
    )


def _skull(build: Build, plane: Plane) -> Field:
    about = plane.moved(0, TEMPLE)
    taper = 1 + build.taper * np.square(np.maximum(about.down - 0.25, 0))
    return egg(about._replace(across=about.across * taper), build.half_width, (0.88, build.chin), (0.35, build.square))


def _bust(half_width: float, plane: Plane) -> tuple[Field, Field]:
    """Neck, and clothes that leave a round neckline free."""
    spread = half_width + 0.25 * np.square(np.maximum(plane.down - 0.85, 0)) / 0.3
    neck = np.maximum(np.abs(plane.across) - spread, 0.5 - plane.down)
    shoulders = 1.0 + 0.22 * np.maximum(np.abs(plane.across) - half_width, 0) - plane.down
    neckline = ellipse(plane.moved(0, 0.95), (half_width + 0.05, 0.26))
    return neck, np.maximum(shoulders, -neckline)


def lids(features: Features, inner: Plane) -> tuple[Plane, Field, Field]:
    """The plane around an eye, both sides at once, and how high the upper and how low the lower lid reaches."""
    eye = inner.mirrored().moved(features.eye_spacing, 0)
    eye = eye._replace(down=eye.down + features.slant * eye.across)
    along = eye.across / features.eye_width
    arc = 1 - np.square(along)
    return eye, features.upper_lid * arc * (1 - 0.25 * along), features.lower_lid * arc * (1 + 0.35 * along)


def _eyes(features: Features, inner: Plane) -> Field:
    eye, upper, lower = lids(features, inner)
    return np.maximum(-eye.down - upper, eye.down - lower)


def _brows(features: Features, inner: Plane) -> Field:
    brow = inner.mirrored().moved(features.eye_spacing, -features.brow_lift)
    along = brow.across / features.brow_width
    bend = features.brow_arch * np.square(along - 0.1) - 0.2 * features.slant * brow.across
    # Thick near the nose, pointed at the temple.
    thickness = features.brow_thickness * (1 - 0.45 * along) * ramp(1 - np.square(along), -0.05, 0.45)
    level: Field = np.maximum(np.abs(brow.down - bend) - thickness, np.abs(along) - 1)
    return level


def _nose(features: Features, inner: Plane) -> Field:
    tip, wing = features.nose_tip, features.nose_wing
    along = np.clip((inner.down + 0.02) / tip, 0, 1)
    rounding = np.minimum(along * 7, 1)
    half_width = features.nose_bridge * np.sqrt(rounding) + 0.62 * (wing - features.nose_bridge) * np.square(along)
    wedge = np.maximum(np.abs(inner.across) - half_width, np.maximum(-0.02 - inner.down, inner.down - tip + 0.02))
    wings = ellipse(inner.mirrored().moved(0.62 * wing, tip - 0.065), (0.38 * wing, 0.06))
    point = ellipse(inner.moved(0, tip - 0.05), (0.5 * wing, 0.07))
    return blend_union(wedge, blend_union(wings, point, 0.03), 0.05)


def _mouth(features: Features, inner: Plane) -> tuple[Field, Field]:
    """Lips including the opening between them, and the opening alone."""
    lips = lip_line(features, inner)
    along = lips.across / features.mouth_width
    arc = 1 - np.square(along)
    bow = 1 - 0.28 * bell(along, 0.16)
    upper = (features.upper_lip * bow + features.gap) * arc
    lower = (features.lower_lip + features.gap) * arc * (0.8 + 0.25 * arc)
    lips_level = np.maximum(np.maximum(-lips.down - upper, lips.down - lower), np.abs(along) - 1)
    return lips_level, np.abs(lips.down) - features.gap * (1 - np.square(along / 0.85))


def lip_line(features: Features, inner: Plane) -> Plane:
    """The plane in which the line between the lips is at down = 0."""
    along = inner.across / features.mouth_width
    return inner._replace(down=inner.down - features.mouth_down + features.smile * np.square(along))


def _mane(hair: Hair, width: float, plane: Plane) -> Field:
    """The hair's outer border: a dome over the head, hanging down to the hair's length."""
    if hair.style == "bald":
        return np.ones_like(plane.across)
    about = plane.moved(0, TEMPLE)
    # The diamond angle: grows once around the head as an angle does.
    angle = about.across / (np.abs(about.across) + np.abs(about.down) + np.float32(1e-6))
    angle = np.where(about.down < 0, angle, 2 * np.sign(about.across) - angle)
    curls = ripple(hair.table, angle * 11 + 64) + 0.5 * ripple(hair.table, angle * 29 + 128)
    noise = hair.frizz * 0.055 * (curls - 0.75)
    waves = hair.wave * 0.05 * (ripple(hair.table, plane.down * 3 + 32) - 0.5) * ramp(plane.down, 0, 0.6)
    dome = 0.5 * egg(about, width + hair.side, (0.88 + hair.volume, 1.0), (0.35, 0.0))
    hanging = np.abs(about.across) - (width + hair.side) - 0.06 * np.maximum(about.down, 0) + waves
    ends = plane.down - hair.length - 0.10 * ripple(hair.table, plane.across * 22 + 40) * hair.frizz
    mane = np.maximum(np.where(about.down < 0, dome, hanging) - noise, ends)
    if hair.style == "bun":
        mane = np.minimum(mane, ellipse(plane.moved(0.3 * hair.part, -1.03), (0.27, 0.17)) - noise)
    return mane


def _off_the_face(hair: Hair, width: float, plane: Plane) -> Field:
    """Negative where hair may be: above the hairline and outside the cheeks."""
    reach = 0.88 if hair.length > 0.5 else 0.95
    aside = plane.across - hair.part
    strands = 0.05 * hair.frizz * (ripple(hair.table, plane.across * 24 + 90) - 0.5)
    line = hair.line + hair.slope * aside + hair.tent * np.abs(aside) + hair.arch * np.square(plane.across) + strands
    cheeks = 0.5 * egg(plane.moved(0, 0.25), width * reach, (1.05, 1.6), (0.1, 0.1))
    free: Field = np.maximum(cheeks, line - plane.down)
    return -free
