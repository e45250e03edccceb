"""Tiny photos and masks in FASSEG's layout, and a data module over them."""

from pathlib import Path

import numpy as np
from PIL import Image

from facesegl.data import FaceDataModule
from facesegl.labels import Taxonomy
from facesegl.sources import FASSEG

CLASSES = {
    "background": [255, 0, 0],
    "skin": [255, 255, 0],
    "hair": [127, 0, 0],
    "nose": [0, 255, 255],
    "eyes": [0, 0, 255],
    "mouth": [0, 255, 0],
}
FASSEG6 = Taxonomy.from_mapping({"classes": CLASSES})


def draw_mask(seed, height=40, width=32):
    """A head of rings and dots with every class, in a different position for each seed."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    y0, x0 = height / 2 + rng.uniform(-2, 2), width / 2 + rng.uniform(-2, 2)
    radius = np.hypot((y - y0) / height, (x - x0) / width)
    mask = np.where(radius < 0.42, 2, 0)
    mask[(radius < 0.33) & (y > y0 - height * 0.2)] = 1
    for cls, dy, dx in ((4, -0.08, -0.12), (4, -0.08, 0.12), (3, 0.03, 0.0), (5, 0.16, 0.0)):
        mask[(abs(y - y0 - dy * height) < height * 0.05) & (abs(x - x0 - dx * width) < width * 0.07)] = cls
    return mask.astype(np.uint8)


def draw_photo(mask, seed):
    """Colours that follow the mask, with noise."""
    rng = np.random.default_rng([7, seed])
    colours = np.array([[90, 120, 160], [220, 170, 140], [70, 50, 40], [200, 140, 110], [40, 60, 120], [180, 60, 70]])
    noisy = colours[mask] + rng.normal(0, 12, (*mask.shape, 3)) + rng.uniform(-20, 20, 3)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def write_pair(folder, split, name, seed, **size):
    mask = draw_mask(seed, **size)
    for kind, pixels in (("RGB", draw_photo(mask, seed)), ("Labels", np.array(FASSEG6.colours, np.uint8)[mask])):
        path = Path(folder) / f"{split}_{kind}" / f"{name}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def write_faces(folder, train=6, test=3, **size):
    """FASSEG's layout below `folder`: Train_RGB/1.bmp, Train_Labels/1.bmp, ..."""
    for number in range(train):
        write_pair(folder, "Train", number + 1, number, **size)
    for number in range(test):
        write_pair(folder, "Test", number + 1, 100 + number, **size)
    return Path(folder)


def face_module(**changes):
    """A small data module over `data/fasseg/V2` in the test's folder, with one of three folds held out."""
    given = {
        **{"source": FASSEG("data/fasseg", "V2"), "taxonomy": FASSEG6, "cache": "cache", "strict": False},
        **{"image_size": 16, "batch_size": 2, "workers": 0, "seed": 0, "fold": 0, "folds": 3, "fold_seed": 0},
    }
    return FaceDataModule(**{**given, **changes})
