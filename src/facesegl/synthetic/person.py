"""One person in front of one camera: every parameter of a photo, drawn from a seeded generator.

Lengths are in head units: the eyes are at y = 0 and about 0.65 apart, the crown is near y = -1.05 and the chin near
1.15. Colors are sRGB from 0 to 1.
"""

from collections.abc import Collection
from typing import TypeVar

import numpy as np

from facesegl.synthetic.shapes import make_noise

T = TypeVar("T")
Color = tuple[float, float, float]

KINDS = (
    "shape", "pose", "crop", "expression", "hair", "facial_hair", "glasses", "headwear", "skin", "light", "camera",
    "backdrop", "clothes",
)  # fmt: skip
"""The kinds of variety, each of which `draw_face` can switch off."""

SKIN_TONES: tuple[Color, ...] = (
    (0.97, 0.85, 0.78), (0.94, 0.78, 0.68), (0.89, 0.71, 0.58), (0.81, 0.61, 0.46),
    (0.69, 0.48, 0.34), (0.55, 0.37, 0.26), (0.41, 0.27, 0.19), (0.31, 0.20, 0.15),
)  # fmt: skip
DARK_HAIR: tuple[Color, ...] = ((0.10, 0.09, 0.09), (0.14, 0.11, 0.10), (0.22, 0.15, 0.11))
ANY_HAIR: tuple[Color, ...] = (
    *DARK_HAIR, (0.34, 0.23, 0.15), (0.48, 0.34, 0.22), (0.58, 0.44, 0.30), (0.74, 0.58, 0.37), (0.84, 0.72, 0.52),
    (0.55, 0.27, 0.14), (0.72, 0.43, 0.27), (0.62, 0.61, 0.60), (0.83, 0.82, 0.81),
)  # fmt: skip
IRISES: tuple[Color, ...] = ((0.20, 0.12, 0.07), (0.34, 0.21, 0.11), (0.35, 0.38, 0.22), (0.36, 0.48, 0.60))
ROUGES: tuple[Color, ...] = ((0.72, 0.16, 0.20), (0.78, 0.36, 0.38), (0.55, 0.16, 0.24))
# Thickness over the skull, sides, frizz; whether it hangs; how often, with short and with long hair.
STYLES: dict[str, tuple[float, float, float, bool, int, int]] = {
    "bald": (0.0, 0.0, 0.0, False, 2, 0),
    "buzz": (0.025, 0.01, 0.1, False, 3, 0),
    "short": (0.09, 0.03, 0.3, False, 8, 1),
    "receding": (0.06, 0.03, 0.3, False, 2, 0),
    "curly": (0.14, 0.12, 1.0, False, 2, 2),
    "afro": (0.30, 0.28, 1.0, False, 1, 1),
    "tied": (0.04, 0.015, 0.15, False, 1, 4),
    "bob": (0.09, 0.08, 0.3, True, 1, 4),
    "long": (0.08, 0.07, 0.3, True, 2, 9),
    "wavy": (0.11, 0.14, 0.8, True, 1, 4),
    "braids": (0.06, 0.02, 0.3, False, 0, 1),
}


class Dice:
    """Draws that use one operation of the generator only, so that a seed gives the same in every version of NumPy.

    Without a generator it always gives the middle: a kind of variety that is switched off.
    """

    def __init__(self, rng: "np.random.Generator | None") -> None:
        self.rng = rng

    def within(self, low: float, high: float) -> float:
        """A number between two bounds."""
        return low + (high - low) * (float(self.rng.random()) if self.rng else 0.5)

    def around(self, middle: float, deviation: float) -> float:
        """A number near `middle`: the mean of three draws, with about this standard deviation."""
        return middle + deviation * (self.within(-1, 1) + self.within(-1, 1) + self.within(-1, 1))

    def chance(self, probability: float) -> bool:
        """True with a probability below one half; never if switched off."""
        return self.within(0, 1) > 1 - probability

    def pick(self, choices: tuple[T, ...]) -> T:
        """One of the choices."""
        return choices[int(self.within(0, len(choices)))]

    def color(self) -> Color:
        """Any color, dull ones more often."""
        grey, strength = self.within(0.04, 0.96), self.within(0, 0.5) * self.within(0, 1)
        red, green, blue = (min(max(grey + strength * self.within(-1, 1), 0.01), 1.0) for _ in range(3))
        return red, green, blue

    def shade(self, colors: tuple[Color, ...]) -> Color:
        """One of the colors, shifted a little in brightness and warmth."""
        red, green, blue = self.pick(colors)
        light, warm = self.within(-0.04, 0.04), self.within(-0.02, 0.02)
        return max(red + light + warm, 0.02), max(green + light, 0.02), max(blue + light - warm, 0.02)

    def table(self) -> np.ndarray:
        """A table for `shapes.ripple`, (256,) float32."""
        return (self.rng or np.random.Generator(np.random.PCG64(0))).random(256, dtype=np.float32)


class Person:
    """Everything about a photo except its size in pixels.

    Args:
        seed: determines everything; each kind has a separate generator, so that switching one off leaves the others.
        without: the kinds of variety that are switched off.
    """

    def __init__(self, seed: int, without: Collection[str] = ()) -> None:
        def dice(kind: str) -> Dice:
            seeds = [seed, KINDS.index(kind)]
            return Dice(None if kind in without else np.random.Generator(np.random.PCG64(seeds)))

        rng = np.random.Generator(np.random.PCG64([seed, len(KINDS)]))
        # goes with fuller lips, thinner brows, a pointed chin, make-up and longer hair
        self.softness = float(rng.random())
        self.noise = make_noise(rng)
        shape = dice("shape")
        self.build = Build(shape, self.softness)
        self.features = Features(shape, dice("expression"), self.softness)
        self.tones = Tones(dice("skin"), self.softness)
        self.headwear = Headwear(dice("headwear"), self.softness)
        self.hair = Hair(dice("hair"), self.softness, self.headwear)
        self.beard = Beard(dice("facial_hair"), self.softness)
        self.glasses = Glasses(dice("glasses"))
        self.pose = Pose(dice("pose"))
        self.frame = Frame(dice("crop"))
        self.light = Light(dice("light"))
        self.camera = Camera(dice("camera"))
        self.backdrop = Backdrop(dice("backdrop"))
        self.clothes = Clothes(dice("clothes"), self.softness)
        hair = DARK_HAIR if self.tones.depth > 3.5 or self.hair.dark else ANY_HAIR
        self.hair_color = self.hair.dice.shade(hair)
        self.wall = self.backdrop.color
        if self.backdrop.like:
            red, green, blue = self.tones.skin if self.backdrop.like == "skin" else self.hair_color
            value = self.backdrop.value
            self.wall = (red * value, green * value, blue * value)


class Build:
    """Head, ears and neck."""

    def __init__(self, dice: Dice, softness: float) -> None:
        child = dice.within(0, 1) * (dice.within(0, 1) > 0.75)  # larger cranium, shorter and rounder jaw
        self.cranium = (dice.around(0.715, 0.022) + 0.02 * child, dice.around(0.80, 0.035) + 0.06 * child, 0.90)
        self.jaw = dice.around(0.695, 0.03) + 0.02 * child
        self.chin = dice.around(1.17, 0.045) - 0.12 * child
        self.taper = dice.within(0.05, 0.35) + 0.20 * softness - 0.2 * child
        self.depth = dice.around(0.63, 0.02)
        self.chin_out = dice.within(0.20, 0.38)
        self.ear = dice.within(0.17, 0.22)
        self.ear_out = dice.within(0.25, 0.8)
        self.neck = dice.within(0.42, 0.51) + 0.08 * (1 - softness) - 0.08 * child
        self.skew = dice.around(0.0, 0.012)  # how much the two sides differ


class Features:
    """Eyes, brows, nose and mouth."""

    def __init__(self, dice: Dice, face: Dice, softness: float) -> None:
        self.eye_spacing = dice.around(0.322, 0.008)
        self.eye_width = dice.around(0.153, 0.007)
        self.upper_lid = dice.around(0.078, 0.011) + 0.006 * softness
        self.lower_lid = dice.around(0.045, 0.005)
        self.slant = dice.within(-0.05, 0.12)
        self.crease = dice.within(0.0, 0.6)
        self.iris = dice.around(0.064, 0.004)
        self.lashes = dice.within(0.4, 1.0)
        self.brow_lift = dice.around(0.185, 0.015) + 0.02 * (softness - 0.5)
        self.brow_width = dice.around(0.215, 0.014)
        self.brow_thickness = dice.around(0.027, 0.004) + 0.010 * (0.5 - softness)
        self.brow_arch = dice.within(0.01, 0.07)
        self.brow_density = dice.within(0.55, 1.25)
        self.nose_tip = dice.around(0.415, 0.026)
        self.nose_bridge = dice.around(0.060, 0.008)
        self.nose_wing = dice.around(0.160, 0.013)
        self.nose_height = dice.around(0.25, 0.03)
        self.mouth_down = dice.around(0.635, 0.024)
        self.mouth_width = dice.around(0.243, 0.017)
        self.upper_lip = dice.around(0.066, 0.011) + 0.014 * (softness - 0.5)
        self.lower_lip = dice.around(0.090, 0.013) + 0.016 * (softness - 0.5)
        # expression
        self.smile = dice.within(-0.01, 0.02) + max(face.within(-0.08, 0.09), 0.0)
        self.gap = max(face.within(-0.16, 0.05), 0.0)  # half height of the opening between the lips
        if face.chance(0.07):
            self.gap = face.within(0.05, 0.16)
        self.mouth_down += 0.4 * self.gap
        self.mouth_width += 0.7 * max(self.smile, 0) - 0.25 * self.gap
        self.upper_lip *= 1 - 2.5 * max(self.smile, 0)
        squint = face.within(0.70, 1.10)
        if face.chance(0.10):
            squint = face.within(0.03, 0.6)
        self.upper_lid *= squint
        self.lower_lid *= 0.6 + 0.4 * squint
        self.gaze = face.around(0.0, 0.018)
        self.gaze_down = face.around(0.0, 0.008)
        self.brow_lift += max(face.within(-0.08, 0.04), 0.0)
        self.frown = face.within(-0.03, 0.03)


class Tones:
    """Colors and marks of the skin, irises and lips."""

    def __init__(self, dice: Dice, softness: float) -> None:
        self.depth = (len(SKIN_TONES) - 1.001) * dice.within(0, 1) * (0.45 + 0.55 * dice.within(0, 1))
        warm, value = dice.within(-0.04, 0.05), dice.within(0.92, 1.06)
        flush = dice.within(0.90, 1.02)
        one, other, part = SKIN_TONES[int(self.depth)], SKIN_TONES[int(self.depth) + 1], self.depth % 1
        red, green, blue = between(one, other, part)
        self.skin: Color = ((red + warm) * value, green * value * flush, (blue - warm) * value * flush)
        self.iris = dice.shade(IRISES[:2] if self.depth > 3 else IRISES)
        self.makeup = dice.within(0, 1) * softness
        pink = dice.within(-0.02, 0.20)
        self.white = dice.within(0.55, 0.95)
        natural = (self.skin[0] * dice.within(0.82, 0.96), self.skin[1] * (0.84 - pink), self.skin[2] * (0.90 - pink))
        self.lips = between(natural, dice.shade(ROUGES), 0.8 * self.makeup)
        self.blush = dice.within(0, 1.5) * dice.within(0.3, 1)
        self.pores = dice.within(0.2, 1.0)
        self.freckles = dice.within(0.3, 1) if self.depth < 3 and dice.chance(0.15) else 0.0
        self.spots = tuple(
            (dice.within(-0.55, 0.55), dice.within(-0.7, 1.0), dice.within(0.008, 0.022), dice.within(0.2, 0.8))
            for _ in range(int(dice.within(0, 7)))
        )
        self.age = max(dice.within(-0.6, 1.0), 0.0)  # depth of wrinkles
        self.rings = dice.within(0, 0.5)
        self.gloss = dice.within(0.02, 0.16)


class Hair:
    """The hair's shape and flow."""

    def __init__(self, dice: Dice, softness: float, headwear: "Headwear") -> None:
        self.dice = dice
        longer = dice.within(0, 1) < softness
        weights = {name: int(style[5 if longer else 4]) for name, style in STYLES.items()}
        self.style = dice.pick(tuple(name for name, weight in weights.items() for _ in range(weight)))
        volume, side, frizz, hangs, _, _ = STYLES[self.style]
        self.hangs = hangs
        scale = 0.5 if headwear.kind else 1.0
        self.volume = volume * dice.within(0.6, 1.5) * scale
        self.side = side * dice.within(0.5, 1.5)
        self.frizz = frizz * dice.within(0.5, 1.3)
        self.length = {"bob": dice.within(0.55, 1.15), "curly": 0.6}.get(self.style, dice.within(1.2, 2.4))
        fringe = self.style in ("short", "bob", "long", "wavy", "curly") and dice.chance(0.25)
        line = dice.within(-0.50, -0.22) if fringe else dice.within(-0.86, -0.60)
        self.line = line if self.style != "receding" else dice.within(-0.98, -0.85)
        self.fringe = fringe
        parted = self.style in ("bob", "long", "wavy", "tied") and not fringe
        self.tent = dice.within(0.05, 0.65) if parted else dice.within(-0.05, 0.08)  # falls from the parting
        self.arch = dice.within(0.0, 0.3) if parted or fringe else dice.within(0.1, 0.9)
        self.temples = dice.within(-0.35, -0.1) if self.style == "receding" else dice.within(-0.08, 0.02)
        self.slope = dice.within(-0.15, 0.15)
        self.part = dice.within(-0.3, 0.3)
        # half width of the opening for the face
        self.opening = dice.within(0.50, 0.66) if hangs and dice.within(0, 1) > 0.4 else dice.within(0.66, 0.78)
        self.front = dice.within(-0.25, 0.15)  # how far forward it hangs
        self.sideburn = dice.within(-0.15, 0.45) if softness < 0.6 else dice.within(-0.2, 0.1)
        self.nape = dice.within(0.45, 0.85)
        self.wave = dice.within(0, 1)
        self.gloss = dice.within(0.1, 1.6)
        self.contrast = dice.within(0.4, 1.3) + 0.5 * (self.frizz > 0.4)
        self.white = dice.within(0.02, 0.30)  # how white the highlights are
        self.sparse = max(dice.within(-0.6, 1.0), 0.0)  # how much skin shows through near the hairline
        self.bun = self.style == "tied" and dice.chance(0.4)
        self.dark = dice.within(0, 1) < 0.3
        self.table = dice.table()
        self.locks = tuple(
            (dice.within(-0.6, 0.6), dice.within(-0.5, 0.5), dice.within(0.2, 1.0), dice.within(0.006, 0.022))
            for _ in range(int(dice.within(0, 4)) if dice.rng and self.style not in ("bald", "buzz", "receding") else 0)
        )


class Beard:
    """Stubble, moustache and beard: how densely they cover their regions."""

    def __init__(self, dice: Dice, softness: float) -> None:
        bearded = softness < 0.45
        self.stubble = max(dice.within(-0.3, 1.0), 0.0) if bearded else 0.0
        kind = dice.within(0, 1) if bearded else 0.0
        self.moustache = dice.within(0.6, 1) if kind > 0.70 else 0.0
        self.chin = dice.within(0.6, 1) if kind > 0.76 else 0.0
        self.cheeks = dice.within(0.6, 1) if kind > 0.82 else 0.0
        self.line = dice.within(0.30, 0.55)
        self.worn = bool(self.moustache or self.chin or self.cheeks)


class Glasses:
    """Frames, lenses and their reflections."""

    def __init__(self, dice: Dice) -> None:
        self.worn = dice.chance(0.16)
        self.half_width = dice.within(0.22, 0.28)
        self.half_height = dice.within(0.13, 0.22)
        self.square = dice.within(0.0, 0.9)
        self.frame = dice.within(0.008, 0.035)
        self.down = dice.within(0.0, 0.07)
        self.color = dice.pick(((0.06, 0.05, 0.05), (0.25, 0.16, 0.10), (0.6, 0.58, 0.55), (0.5, 0.12, 0.12)))
        self.dark = dice.within(0.5, 0.95) if dice.chance(0.12) else dice.within(0, 0.08)
        self.glare = max(dice.within(-0.8, 0.5), 0.0)


class Headwear:
    """Hats, caps, beanies and headscarves."""

    def __init__(self, dice: Dice, softness: float) -> None:
        self.kind = dice.pick(("cap", "hat", "beanie", "band")) if dice.chance(0.03) else ""
        if softness > 0.5 and dice.chance(0.04):
            self.kind = "scarf"
        self.color = dice.color()
        self.line = dice.within(-0.70, -0.35)
        self.earrings = softness > 0.4 and dice.within(0, 1) > 0.65
        self.ring = dice.within(0.02, 0.06)
        self.metal = dice.pick(((0.85, 0.68, 0.30), (0.75, 0.75, 0.78), (0.95, 0.94, 0.92)))


class Pose:
    """Rotation of head and body, as tangents of half the angles."""

    def __init__(self, dice: Dice) -> None:
        wide = dice.within(0, 1)
        yaw = dice.around(0.0, 0.05)
        if wide > 0.45:
            yaw = dice.within(-1.0, 1.0) * dice.within(0.35, 1.0)
        self.yaw = yaw
        self.pitch = dice.around(0.0, 0.035) if wide < 0.6 else dice.within(-0.27, 0.27) * dice.within(0.2, 1)
        self.roll = dice.around(0.0, 0.02) if wide < 0.6 else dice.within(-0.22, 0.22) * dice.within(0.2, 1)
        self.body = dice.within(0.3, 1.0)


class Frame:
    """Where the face is in the photo, and how large."""

    def __init__(self, dice: Dice) -> None:
        self.distance = dice.within(5.0, 16.0)
        wide = dice.within(0, 1)
        # head units per photo height
        self.height = dice.within(2.15, 2.95) if wide < 0.7 else dice.within(1.7, 5.5)
        loose = 0.07 if wide < 0.7 else 0.2
        self.shift = (
            dice.within(-loose, loose),
            dice.around(0.0, 0.02) + (dice.within(-0.1, 0.06) if wide > 0.7 else 0),
        )


class Light:
    """Key light, fill and rim, as directions towards them, and their strengths and colors."""

    def __init__(self, dice: Dice) -> None:
        aside = dice.within(-1.1, 1.1) * dice.within(0.2, 1)
        above = dice.within(-0.9, 0.1)
        front = dice.within(0.35, 1.2)
        self.key_at = _unit(aside, above, front)
        self.key = dice.within(0.45, 0.95)
        self.ambient = dice.within(0.15, 0.50)
        self.fill = dice.within(0, 0.35)
        self.fill_at = _unit(-aside - 0.3, dice.within(-0.4, 0.2), 0.8)
        self.falloff = max(dice.within(-0.4, 0.6), 0.0)  # how much darker faces turn towards their outline
        self.rim = max(dice.within(-0.6, 0.8), 0.0)
        self.rim_at = _unit(dice.within(-1, 1), dice.within(-0.8, 0.2), -0.7)
        self.key_color = _tint(dice, 0.10)
        self.ambient_color = _tint(dice, 0.12)
        self.hardness = dice.within(0.15, 1.0)


class Camera:
    """Lens, sensor and file."""

    def __init__(self, dice: Dice) -> None:
        self.exposure = dice.within(0.75, 1.45)
        self.tint = _tint(dice, 0.13)
        self.contrast = dice.within(-0.2, 0.35)
        self.saturation = dice.within(0.65, 1.2) if not dice.chance(0.22) else max(dice.within(-0.2, 0.6), 0.0)
        self.vignette = max(dice.within(-0.2, 0.35), 0.0)
        self.blur = dice.within(0, 1.0)
        self.passes = 1 + int(dice.within(0, 1) > 0.7) + 2 * int(dice.within(0, 1) > 0.92)
        self.motion = int(dice.within(2, 6)) if dice.chance(0.06) else 0
        self.noise = dice.within(0.004, 0.03) if dice.within(0, 1) < 0.85 else dice.within(0.03, 0.08)
        self.grain = dice.within(0, 1)
        self.coarse = dice.chance(0.08)
        self.blocks = dice.within(0.004, 0.02) if dice.chance(0.25) else 0.0


class Backdrop:
    """What is behind the person."""

    def __init__(self, dice: Dice) -> None:
        kind = dice.within(0, 1)
        self.color, self.other = dice.color(), dice.color()
        self.like = dice.pick(("skin", "hair")) if dice.chance(0.16) else ""  # a color that alone tells nothing
        self.value = dice.within(0.8, 1.2)
        grey = dice.within(0.45, 0.97)
        warm = dice.within(-0.04, 0.06)
        if kind < 0.45:  # a studio wall
            self.color = (grey + warm, grey, grey - warm)
        self.gradient = (dice.within(-0.35, 0.35), dice.within(-0.35, 0.2))
        self.glow = dice.within(0, 0.35)
        self.texture = dice.within(0, 0.9) if kind > 0.45 else dice.within(0, 0.06)
        self.scale = dice.within(1.0, 8.0)
        self.turn = dice.within(-1.0, 1.0)
        self.offset = (dice.within(0, 64), dice.within(0, 64))
        shapes = int(dice.within(3, 14)) if kind > 0.6 else 0
        self.shapes = tuple(
            (
                (dice.within(-2.5, 2.5), dice.within(-2.0, 2.0)),
                (dice.within(0.05, 0.9), dice.within(0.05, 1.4)),
                dice.within(0, 1) > 0.5,
                dice.within(0.02, 0.3),
                dice.color(),
            )
            for _ in range(shapes)
        )
        self.heads = tuple(
            ((dice.within(1.0, 2.4) * (1 if dice.within(0, 1) > 0.5 else -1), dice.within(-0.5, 0.5)),
             dice.within(0.35, 0.8), dice.shade(SKIN_TONES), dice.shade(ANY_HAIR), dice.within(0.06, 0.3))
            for _ in range(1 + int(dice.within(0, 2)) if dice.chance(0.08) else 0)
        )  # fmt: skip


class Clothes:
    """Cut, color and pattern."""

    def __init__(self, dice: Dice, softness: float) -> None:
        self.color, self.other = dice.color(), dice.color()
        self.neckline = dice.within(0.98, 1.32)
        self.depth = dice.within(0.0, 0.5) + 0.3 * softness * dice.within(0, 1)
        self.pointed = dice.within(0, 1) > 0.6
        self.collar = dice.within(0, 1) > 0.6
        self.pattern = dice.pick(("plain", "plain", "plain", "stripes", "checks", "blotches", "rows"))
        self.scale = dice.within(3.0, 14.0)
        self.shoulders = dice.within(1.45, 1.95)
        self.high = dice.within(0, 1) > 0.9  # a turtleneck


def between(one: Color, other: Color, part: float) -> Color:
    """A color on the way from one to another."""
    red, green, blue = (start + (stop - start) * part for start, stop in zip(one, other, strict=True))
    return red, green, blue


def _unit(x: float, y: float, z: float) -> tuple[float, float, float]:
    length = float(np.sqrt(x * x + y * y + z * z))
    return x / length, y / length, z / length


def _tint(dice: Dice, strength: float) -> Color:
    warm, green = dice.within(-strength, strength), dice.within(-strength, strength) * 0.4
    return 1 + warm, 1 + green, 1 - warm
