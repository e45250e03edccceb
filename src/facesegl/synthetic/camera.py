"""What a lens, a sensor and a file format do to linear light."""

import numpy as np
import numpy.typing as npt

from facesegl.synthetic.person import Camera
from facesegl.synthetic.shapes import Field


def photograph(light: Field, camera: Camera, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Expose (3, H, W) float32 linear light: a photo (H, W, 3) uint8."""
    _, height, width = light.shape
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    across = np.linspace(-1, 1, width, dtype=np.float32)
    tint = np.array(camera.tint, dtype=np.float32)[:, None, None] * camera.exposure
    light = light * (tint * (1 - camera.vignette * (np.square(down) + np.square(across)) / 2))
    if camera.coarse:
        light = _coarse(light)
    for _ in range(camera.passes):
        light = _blurred(light, camera.blur)
    for step in range(1, camera.motion):
        light = light + (np.roll(light, 1, axis=2) - light) * (0.5 / step)
    noise = rng.random(light.shape, dtype=np.float32) - rng.random(light.shape, dtype=np.float32)
    if camera.grain > 0.5:  # a sensor whose noise spans more than a pixel
        noise = _blurred(noise, 0.8) * 1.6
    shot = np.sqrt(np.maximum(light, 0))
    shot = shot + camera.contrast * (shot - 0.5) * shot * (1 - np.minimum(shot, 1)) * 2
    grey = 0.3 * shot[0] + 0.59 * shot[1] + 0.11 * shot[2]
    shot = grey + camera.saturation * (shot - grey) + camera.noise * noise
    if camera.blocks:
        shot = _blocked(shot, camera.blocks)
    pixels: npt.NDArray[np.uint8] = (shot.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(1, 2, 0))


def _blurred(light: Field, strength: float) -> Field:
    middle, side = 1 - 0.5 * strength, 0.25 * strength
    padded = np.pad(light, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, 1:-1] * middle + (padded[:, :-2] + padded[:, 2:]) * side
    blurred: Field = rows[..., 1:-1] * middle + (rows[..., :-2] + rows[..., 2:]) * side
    return blurred


def _coarse(light: Field) -> Field:
    """Halve the resolution and double it again, smoothly."""
    _, height, width = light.shape
    padded = np.pad(light, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    small = 0.25 * (padded[:, ::2, ::2] + padded[:, 1::2, ::2] + padded[:, ::2, 1::2] + padded[:, 1::2, 1::2])
    large = np.repeat(np.repeat(small, 2, axis=1), 2, axis=2)[:, :height, :width]
    return _blurred(large, 1.0)


def _blocked(shot: Field, step: float) -> Field:
    """What coarse quantization leaves of a file: means and slopes of blocks of eight pixels, details in steps."""
    _, height, width = shot.shape
    padded = np.pad(shot, ((0, 0), (0, -height % 8), (0, -width % 8)), mode="edge")
    blocks = padded.reshape(3, padded.shape[1] // 8, 8, padded.shape[2] // 8, 8)
    total = np.zeros_like(blocks[:, :, 0, :, 0])
    for row in range(8):
        for column in range(8):
            total = total + blocks[:, :, row, :, column]
    means = (total * np.float32(1 / 64))[:, :, None, :, None]
    detail = (blocks - means) * (1 / step)
    kept: Field = means + np.where(detail < 0, -1, 1) * np.floor(np.abs(detail) + 0.4) * np.float32(step)
    return kept.reshape(padded.shape)[:, :height, :width]
