"""Photos in HEIC, with and without pillow-heif."""

from pathlib import Path

import pytest
from PIL import Image

from facesegl.sources import images, listing


def require_heif():
    """Skip the test unless pillow-heif is installed."""
    if not listing.reads_heic():
        pytest.skip("pillow-heif is not installed: pip install 'facesegl[heic]'")


def hide_heif(monkeypatch):
    """As if pillow-heif were not installed."""
    formats = [name for name in images._formats() if name != "HEIF"]
    monkeypatch.setattr("facesegl.sources.images._formats", lambda: formats)
    for room in ("sources.listing", "sources.images", "prediction.photo_files"):
        monkeypatch.setattr(f"facesegl.{room}.reads_heic", lambda: False)


def save_heic(pixels, path, orientation=1):
    """Save (H, W, 3) uint8 as an iPhone does, with an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, format="HEIF", quality=95, exif=exif.tobytes())
