"""How a file stores its pixels, as far as the opened image does not show it: lossy compression, bits per channel."""

import re
from pathlib import Path

from PIL import Image

_LOSSY = {
    "JPEG": "JPEG",
    "MPO": "JPEG",
    "AVIF": "AVIF",
    "HEIF": "HEIC",
}  # AVIF and HEIC do not say if they are lossless
_LOSSY_TIFF = {"jpeg": "JPEG in a TIFF", "tiff_jpeg": "JPEG in a TIFF", "webp": "WebP in a TIFF"}
_BITS_PER_SAMPLE = 258  # TIFF's tag
_HEADER = 4096  # bytes: JPEG 2000's coding style is among the first


def lossy_format(path: Path, image: Image.Image) -> str | None:
    """The name of the format if it may have changed pixels when the file was saved; None if it is lossless.

    Args:
        path: the file.
        image: the file as Pillow opened it, not a converted copy: that has no format.
    """
    if image.format == "TIFF":
        return _LOSSY_TIFF.get(image.info.get("compression", ""))
    if image.format == "WEBP":
        return "lossy WebP" if _is_lossy_webp(path) else None
    if image.format == "JPEG2000":
        return "lossy JPEG 2000" if _is_lossy_jpeg_2000(path) else None
    return _LOSSY.get(image.format or "")


def channel_bits(path: Path, image: Image.Image) -> int:
    """Bits per channel of a PNG or TIFF; Pillow cuts 16 bits of colour to 8."""
    if image.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[24]
    if image.format == "TIFF":
        return int(max(getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (8,))))
    return 8


def number_step(path: Path, image: Image.Image) -> float:
    """By what Pillow multiplies the numbers in a grey image: so that the largest that fits is 255, or 65535."""
    if image.format == "PPM" and image.mode in ("L", "I"):
        with path.open("rb") as file:
            words = re.sub(rb"#[^\n]*", b" ", file.read(_HEADER)).split()  # P5, width, height, largest number
        return (255 if image.mode == "L" else 65535) / int(words[3])
    return {2: 85, 4: 17}.get(channel_bits(path, image), 1) if image.mode == "L" else 1


def _is_lossy_webp(path: Path) -> bool:
    """Whether the first image in the file's chunks is `VP8 ` (lossy), not `VP8L` (lossless)."""
    with path.open("rb") as file:
        file.seek(12)  # RIFF, size, WEBP
        while head := file.read(8):
            name, size = head[:4], int.from_bytes(head[4:], "little")
            if name in (b"VP8 ", b"VP8L"):
                return name == b"VP8 "
            file.seek(16 if name == b"ANMF" else size + size % 2, 1)  # a frame contains chunks too
    return True


def _is_lossy_jpeg_2000(path: Path) -> bool:
    """Whether the wavelet in the COD segment is 9/7 (0, irreversible), not 5/3 (1)."""
    with path.open("rb") as file:
        head = file.read(_HEADER)
    start = head.find(b"\xff\x52", head.find(b"\xff\x4f\xff\x51"))
    return head[start + 13 : start + 14] != b"\x01"
