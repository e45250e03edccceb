"""Render a photo, and the share of every class in every pixel, from a seed."""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facesegl.synthetic import paint
from facesegl.synthetic.outlines import outline
from facesegl.synthetic.person import Person, Studio
from facesegl.synthetic.shapes import Field, Plane

BACKGROUND, SKIN, HAIR, NOSE, EYES, MOUTH = range(6)  # the order of `coverage`
SUBSAMPLES = 4  # along each side of a pixel


@dataclass(frozen=True)
class Face:
    """A synthetic portrait.

    Attributes:
        photo: (H, W, 3) uint8, RGB.
        coverage: (H, W, 6) float32, the share of a pixel that each class fills: background, skin, hair, nose,
            eyes, mouth. Sums to 1; a multiple of 1/16.
    """

    photo: npt.NDArray[np.uint8]
    coverage: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Layer:
    """One part of the picture: its class, its level field (H, W) and its colour (3, H, W), both float32."""

    label: int
    level: Field
    colour: Field


def draw_face(seed: int, height: int = 256, width: int = 200) -> Face:
    """Render the portrait of a synthetic person.

    Args:
        seed: determines person and light, the same at every size.
        height: height of the photo in pixels.
        width: width of the photo in pixels.

    Returns:
        The photo and its classes: the same bytes for a seed and a size on every machine.

    Example:
        >>> face = draw_face(seed=3, height=64, width=50)
        >>> face.photo.shape, face.coverage.shape
        ((64, 50, 3), (64, 50, 6))
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    person = Person(rng)
    layers = _layers(person, _plane(person.studio, height, width))
    shares = _visible_shares([layer.level for layer in layers])
    light = np.zeros((3, height, width), dtype=np.float32)
    coverage = np.zeros((6, height, width), dtype=np.float32)
    for layer, share in zip(layers, shares, strict=True):
        light += layer.colour * share
        coverage[layer.label] += share
    photo = _photograph(light, person.studio, rng)
    return Face(np.ascontiguousarray(photo.transpose(1, 2, 0)), np.ascontiguousarray(coverage.transpose(1, 2, 0)))


def _plane(studio: Studio, height: int, width: int) -> Plane:
    """Lay the face's plane over the pixels: zoomed to the tighter side, shifted and rolled."""
    pixel = 1 / (studio.zoom * min(height, 1.28 * width))
    down, across = np.indices((height, width), dtype=np.float32)
    across = (across - 0.5 * (width - 1)) * np.float32(pixel) - studio.shift[0]
    down = (down - 0.5 * (height - 1)) * np.float32(pixel) - studio.shift[1]
    square = studio.tilt * studio.tilt
    cosine, sine = (1 - square) / (1 + square), 2 * studio.tilt / (1 + square)
    return Plane(across * cosine + down * sine, down * cosine - across * sine, pixel)


def _layers(person: Person, plane: Plane) -> tuple[Layer, ...]:
    """All parts of the picture, from back to front."""
    parts = outline(person, plane)
    head = paint.paint_head(person, parts)
    hair = paint.paint_hair(person, parts, plane)
    everywhere = np.full_like(plane.across, -1)
    return (
        Layer(BACKGROUND, everywhere, paint.paint_backdrop(person, plane)),
        Layer(HAIR, parts.hair_behind, hair * np.float32(0.35)),
        Layer(SKIN, parts.neck, paint.paint_neck(person, parts)),
        Layer(BACKGROUND, parts.clothes, paint.paint_clothes(person, parts, plane)),
        Layer(SKIN, parts.ears, paint.paint_ears(person, parts)),
        Layer(SKIN, parts.head, head),
        Layer(HAIR, parts.brows, paint.paint_brows(person, parts, head)),
        Layer(NOSE, parts.nose, head),
        Layer(EYES, parts.eyes, paint.paint_eyes(person, parts)),
        Layer(MOUTH, parts.mouth, paint.paint_mouth(person, parts, head)),
        Layer(HAIR, parts.hair, hair),
    )


def _visible_shares(levels: list[Field]) -> Field:
    """The share of each pixel in which each layer is in front, (L, H, W) float32 multiples of 1/16.

    A level is linear within a pixel. Where its sign may change, `SUBSAMPLES` x `SUBSAMPLES` points are counted.
    """
    slopes: list[tuple[Field, Field, Field]] = [(level, *np.gradient(level)) for level in levels]
    near = np.any([2 * np.abs(level) <= np.abs(down) + np.abs(across) for level, down, across in slopes], axis=0)
    edges = [(level[near], down[near], across[near]) for level, down, across in slopes]
    order = np.arange(len(levels))[:, None]
    counts = np.zeros((len(levels), np.count_nonzero(near)), dtype=np.uint8)
    steps = [(step + 0.5) / SUBSAMPLES - 0.5 for step in range(SUBSAMPLES)]
    for y, x in itertools.product(steps, steps):
        counts += order == _foremost([level + (y * down + x * across) for level, down, across in edges])
    shares: Field = (order[..., None] == _foremost(levels)).astype(np.float32)
    shares[:, near] = counts / np.float32(SUBSAMPLES**2)
    return shares


def _foremost(levels: list[Field]) -> npt.NDArray[np.uint8]:
    """Index of the last layer that covers each point."""
    front = np.zeros(levels[0].shape, dtype=np.uint8)
    for index, level in enumerate(levels):
        front[level < 0] = index
    return front


def _photograph(light: Field, studio: Studio, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Simulate lens and sensor on linear light: blur, vignette, tint, noise; (3, H, W) uint8."""
    _, height, width = light.shape
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    across = np.linspace(-1, 1, width, dtype=np.float32)
    tint = np.array((1 + studio.warmth, 1, 1 - studio.warmth), dtype=np.float32)[:, None, None]
    light = light * tint * (1 - studio.vignette * (np.square(down) + np.square(across)) / 2)
    padded = np.pad(light, ((0, 0), (1, 1), (1, 1)), mode="edge")
    middle, side = 1 - 0.5 * studio.blur, 0.25 * studio.blur
    rows = padded[:, 1:-1] * middle + (padded[:, :-2] + padded[:, 2:]) * side
    blurred = rows[..., 1:-1] * middle + (rows[..., :-2] + rows[..., 2:]) * side
    noise = rng.random(light.shape, dtype=np.float32) - rng.random(light.shape, dtype=np.float32)
    shot: Field = np.sqrt(np.maximum(blurred, 0)) + studio.noise * noise
    return (shot.clip(0, 1) * 255 + 0.5).astype(np.uint8)
