"""One person in front of one camera: every parameter of a portrait, drawn from a seeded generator.

Lengths are in half head heights, colours are sRGB from 0 to 1.
"""

from typing import TypeVar

import numpy as np

T = TypeVar("T")
Colour = tuple[float, float, float]

SKIN_TONES: tuple[Colour, ...] = (
    (0.97, 0.85, 0.78), (0.94, 0.78, 0.68), (0.89, 0.71, 0.58), (0.81, 0.61, 0.46),
    (0.69, 0.48, 0.34), (0.55, 0.37, 0.26), (0.41, 0.27, 0.19), (0.31, 0.20, 0.15),
)  # fmt: skip
DARK_HAIR: tuple[Colour, ...] = ((0.10, 0.09, 0.09), (0.14, 0.11, 0.10), (0.22, 0.15, 0.11))
ANY_HAIR: tuple[Colour, ...] = (
    *DARK_HAIR, (0.34, 0.23, 0.15), (0.48, 0.34, 0.22), (0.74, 0.58, 0.37), (0.84, 0.72, 0.52),
    (0.55, 0.27, 0.14), (0.62, 0.61, 0.60), (0.83, 0.82, 0.81),
)  # fmt: skip
IRISES: tuple[Colour, ...] = ((0.20, 0.12, 0.07), (0.34, 0.21, 0.11), (0.35, 0.38, 0.22), (0.36, 0.48, 0.60))
BACKDROPS: tuple[Colour, ...] = (
    (0.80, 0.80, 0.78), (0.88, 0.82, 0.74), (0.62, 0.68, 0.75), (0.55, 0.55, 0.54), (0.70, 0.60, 0.50),
    (0.42, 0.50, 0.50), (0.32, 0.27, 0.25), (0.20, 0.20, 0.22),
)  # fmt: skip
CLOTHES: tuple[Colour, ...] = (
    (0.93, 0.93, 0.92), (0.12, 0.12, 0.14), (0.20, 0.28, 0.42), (0.55, 0.20, 0.22), (0.30, 0.42, 0.36),
    (0.62, 0.52, 0.42), (0.70, 0.72, 0.76), (0.78, 0.62, 0.30),
)  # fmt: skip
ROUGES: tuple[Colour, ...] = ((0.72, 0.16, 0.20), (0.78, 0.36, 0.38), (0.55, 0.16, 0.24))
# Volume at the crown, at the sides, frizz, and where the hair ends if it falls.
HAIR_STYLES = {
    "bald": (0.0, 0.0, 0.0, 0.0),
    "short": (0.075, 0.03, 0.3, 0.0),
    "fringe": (0.075, 0.02, 0.3, 1.4),
    "curly": (0.10, 0.10, 1.0, 0.75),
    "long": (0.075, 0.07, 0.3, 1.4),
    "bob": (0.075, 0.07, 0.3, 0.75),
    "bun": (0.04, 0.01, 0.15, 0.0),
}
HAIR_SHORT = ("short", "short", "short", "fringe", "curly", "bald")
HAIR_FALLING = ("long", "long", "long", "bob", "fringe", "curly", "bun")


class Dice:
    """Draws that use one operation of the generator only, so that a seed gives the same in every version of NumPy."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def within(self, low: float, high: float) -> float:
        """A number between two bounds."""
        return low + (high - low) * float(self.rng.random())

    def pick(self, choices: tuple[T, ...]) -> T:
        """One of the choices."""
        return choices[int(self.within(0, len(choices)))]

    def shade(self, colours: tuple[Colour, ...]) -> Colour:
        """One of the colours, shifted a little in brightness and warmth."""
        red, green, blue = self.pick(colours)
        light, warm = self.within(-0.04, 0.04), self.within(-0.02, 0.02)
        return max(red + light + warm, 0.02), max(green + light, 0.02), max(blue + light - warm, 0.02)


class Person:
    """Everything about a portrait except its size in pixels."""

    def __init__(self, rng: np.random.Generator) -> None:
        dice = Dice(rng)
        softness = dice.within(0, 1)  # goes with fuller lips, thinner brows, a pointed chin, make-up and longer hair
        self.build = Build(dice, softness)
        self.features = Features(dice, softness)
        self.hair = Hair(dice, softness)
        self.colours = Colours(dice, softness)
        self.studio = Studio(dice)


class Build:
    """Head, ears and neck."""

    def __init__(self, dice: Dice, softness: float) -> None:
        self.half_width = dice.within(0.645, 0.71)
        self.chin = dice.within(1.03, 1.13)
        self.square = dice.within(0.05, 0.25)  # 0 is an egg, 0.3 a square face
        self.taper = dice.within(0.05, 0.25) + 0.20 * softness  # 0 is a broad chin, 0.5 a pointed one
        self.ear = dice.within(0.17, 0.21)
        self.neck = dice.within(0.39, 0.44) + 0.06 * (1 - softness)


class Features:
    """Eyes, brows, nose and mouth."""

    def __init__(self, dice: Dice, softness: float) -> None:
        self.eye_spacing = dice.within(0.305, 0.34)
        self.eye_width = dice.within(0.145, 0.17)
        self.upper_lid = dice.within(0.048, 0.070) + 0.010 * softness
        self.lower_lid = dice.within(0.028, 0.040)
        self.slant = dice.within(-0.04, 0.09)
        self.gaze = dice.within(-0.02, 0.02)
        self.brow_lift = dice.within(0.155, 0.185) + 0.025 * softness
        self.brow_width = dice.within(0.20, 0.235)
        self.brow_thickness = dice.within(0.020, 0.028) + 0.012 * (1 - softness)
        self.brow_arch = dice.within(0.02, 0.06)
        self.nose_tip = dice.within(0.36, 0.43)
        self.nose_bridge = dice.within(0.055, 0.075)
        self.nose_wing = dice.within(0.145, 0.195)
        self.smile = dice.within(-0.005, 0.05)
        self.mouth_down = dice.within(0.585, 0.625)
        self.mouth_width = dice.within(0.22, 0.26) + 0.6 * self.smile
        self.upper_lip = dice.within(0.038, 0.060) + 0.012 * softness
        self.lower_lip = dice.within(0.058, 0.078) + 0.016 * softness
        self.gap = max(dice.within(-0.07, 0.034), 0.0)  # half height of the opening between the lips
        self.gap += 0.012 * (self.gap > 0)


class Hair:
    """The hair's outline and flow; `table`, (256,) float32, is the noise of all its strands."""

    def __init__(self, dice: Dice, softness: float) -> None:
        falls = dice.within(0, 1) < softness
        self.style = dice.pick(HAIR_FALLING if falls else HAIR_SHORT)
        volume, side, frizz, length = HAIR_STYLES[self.style]
        hangs = falls and self.style != "bun"
        parted = self.style in ("long", "bob")
        self.volume = volume * dice.within(0.8, 1.3)
        self.side = (max(side, 0.07) if hangs else side) * dice.within(0.7, 1.3)
        self.frizz = frizz * dice.within(0.7, 1.2)
        self.length = length + dice.within(0, 0.2) if hangs else dice.within(-0.02, 0.10)  # where it ends
        self.line = dice.within(-0.42, -0.34) if self.style == "fringe" else dice.within(-0.68, -0.54)
        self.tent = dice.within(0.2, 0.5) if parted else 0.0  # how steeply it falls on both sides of the parting
        self.arch = dice.within(0.0, 0.2) if parted or self.style == "fringe" else dice.within(0.1, 0.9)
        self.slope = dice.within(-0.12, 0.12)
        self.part = dice.within(-0.25, 0.25)
        self.wave = dice.within(0, 1)
        self.table = dice.rng.random(256, dtype=np.float32)


class Colours:
    """Colours of skin, hair, eyes, make-up, clothes and backdrop."""

    def __init__(self, dice: Dice, softness: float) -> None:
        depth = dice.within(0, len(SKIN_TONES) - 1.001)
        warm = dice.within(-0.02, 0.02)
        red, green, blue = _between(SKIN_TONES[int(depth)], SKIN_TONES[int(depth) + 1], depth % 1)
        self.skin = (red + warm, green, blue - warm)
        self.hair = dice.shade(DARK_HAIR if depth > 3.5 or dice.within(0, 1) < 0.25 else ANY_HAIR)
        self.iris = dice.shade(IRISES[:2] if depth > 3 else IRISES)
        self.backdrop = dice.shade(BACKDROPS)
        self.clothes = dice.shade(CLOTHES)
        self.makeup = dice.within(0, 1) * softness
        pink = dice.within(0.10, 0.25)
        natural = (self.skin[0] * 0.90, self.skin[1] * (0.84 - pink), self.skin[2] * (0.92 - pink))
        self.lips = _between(natural, dice.shade(ROUGES), 0.8 * self.makeup)
        self.blush = dice.within(0.2, 1)
        self.stubble = dice.within(0, 1) * (1 - softness)


def _between(one: Colour, other: Colour, part: float) -> Colour:
    red, green, blue = (start + (stop - start) * part for start, stop in zip(one, other, strict=True))
    return red, green, blue


class Studio:
    """Camera and lamp: pose, light, and the effects of lens and sensor."""

    def __init__(self, dice: Dice) -> None:
        self.shift = (dice.within(-0.05, 0.05), dice.within(-0.01, 0.05))
        self.tilt = dice.within(-0.07, 0.07) * dice.within(0.3, 1)  # tangent of half the roll: 8 degrees at most
        self.yaw = dice.within(-0.09, 0.09)
        self.zoom = dice.within(0.455, 0.485)
        aside, above = dice.within(-0.8, 0.8), dice.within(-0.6, -0.2)
        length = float(np.sqrt(aside * aside + above * above + 1))
        self.light = (aside / length, above / length, 1 / length)
        self.key = dice.within(0.75, 1.05)
        self.ambient = dice.within(0.26, 0.44)
        self.warmth = dice.within(-0.05, 0.05)
        self.gradient = (dice.within(-0.15, 0.15), dice.within(-0.2, 0.05))
        self.vignette = dice.within(0, 0.2)
        self.blur = dice.within(0, 0.6)
        self.noise = dice.within(0.008, 0.028)
