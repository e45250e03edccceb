"""Masks match photos as a viewer shows them, for every format, mode and orientation."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facesegl.prediction import Predictor
from facesegl.sources import open_photo
from helpers.models import Painter

HEIGHT, WIDTH = 24, 36
DARK, BRIGHT, PART = 40, 220, np.s_[4:20, 6:18]  # a bright part up and left of the middle
GREY = np.full((HEIGHT, WIDTH), DARK, dtype=np.uint8)
GREY[PART] = BRIGHT
RGB = np.repeat(GREY[..., None], 3, axis=2)
TURNS = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(upright, 2).transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}
"""How an upright photo is stored for each EXIF orientation."""


def brightness(photos):
    """Class 1 where it is bright, background elsewhere."""
    bright = photos.mean(axis=1) - 130
    return np.stack([-bright, bright, np.full_like(bright, -999)], axis=1)


def assert_found(source):
    """Exactly the bright part is class 1, except at its rim, since the model's input is smaller."""
    found = Predictor(Painter(brightness, image_size=24))(source).index
    expected = (GREY == BRIGHT).astype(np.uint8)
    assert found.shape == expected.shape
    rim = np.zeros_like(expected, dtype=bool)
    rim[3:21, 4:20] = True
    rim[5:19, 8:16] = False
    assert (found[~rim] == expected[~rim]).all()


def with_alpha(colours, transparent):
    """Transparent parts, which a viewer shows as white."""
    alpha = np.full(colours.shape[:2], 255, np.uint8)
    alpha[transparent] = 0
    return np.dstack([colours, alpha])


def palette(transparent=None):
    image = Image.fromarray((GREY == BRIGHT).astype(np.uint8))
    image.putpalette([DARK] * 3 + ([DARK] * 3 if transparent == 1 else [BRIGHT] * 3))
    return image


WHITE_WHERE_BRIGHT = np.full_like(RGB, DARK)
PLAIN = Image.fromarray(RGB)
ALPHA = Image.fromarray(with_alpha(WHITE_WHERE_BRIGHT, GREY == BRIGHT))
FILES = {
    **{f"grey.{suffix}": (Image.fromarray(GREY), {}) for suffix in ("png", "jpg")},
    **{f"black and white.{suffix}": (Image.fromarray(GREY == BRIGHT), {}) for suffix in ("png", "tif")},
    **{f"plain.{suffix}": (PLAIN, {}) for suffix in ("jpg", "webp", "tga")},
    "progressive.jpg": (PLAIN, {"progressive": True}),
    **{f"palette.{suffix}": (palette(), {}) for suffix in ("png", "gif")},
    "palette with a transparent colour.png": (palette(1), {"transparency": 1}),
    "grey with alpha.png": (Image.fromarray(with_alpha(GREY, GREY == BRIGHT)), {}),
    "alpha.png": (ALPHA, {}),
    "alpha.webp": (ALPHA, {"lossless": True}),
    **{f"16 bits.{suffix}": (Image.fromarray(GREY.astype(np.uint16) * 257), {}) for suffix in ("png", "tif")},
    "32 bits.tif": (Image.fromarray(GREY.astype(np.int32) << 23), {}),
    "8 of 32 bits.tif": (Image.fromarray(GREY.astype(np.int32)), {}),
    **{f"float to {top}.tif": (Image.fromarray(GREY.astype(np.float32) / 255 * top), {}) for top in (1, 255)},
    "float to 65535.tif": (Image.fromarray(GREY.astype(np.float32) * 257), {}),
    **{f"print.{suffix}": (PLAIN.convert("CMYK"), {}) for suffix in ("jpg", "tif")},
    "luma.tif": (PLAIN.convert("YCbCr"), {}),
    "lab.tif": (PLAIN.convert("LAB"), {}),
}


@pytest.mark.parametrize("name", FILES)
def test_photos_of_every_format_are_read_as_a_viewer_shows_them(name):
    image, options = FILES[name]
    image.save(name, **options)
    assert_found(name)


@pytest.mark.parametrize(("colours", "mode"), [(GREY, "La"), (RGB, "RGBA")])
def test_photos_with_premultiplied_alpha_are_read_as_a_viewer_shows_them(colours, mode):
    Image.fromarray(with_alpha(colours, np.s_[:0])).save("film.tif")
    extra_samples = struct.Struct("<HHI")
    content = bytearray(Path("film.tif").read_bytes())
    content[content.index(extra_samples.pack(338, 3, 1)) + extra_samples.size] = 1  # alpha that is multiplied in
    Path("film.tif").write_bytes(content)
    with Image.open("film.tif") as image:
        assert image.mode == mode
    assert_found("film.tif")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "La", "P", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "I", "F"])
def test_pillow_images_of_every_mode_are_read_as_a_viewer_shows_them(mode):
    steps = {"La": ("LA", "La"), "RGBa": ("RGBA", "RGBa"), "1": ("L", "1")}.get(mode, (mode,))
    image = Image.fromarray(np.where(RGB == BRIGHT, 255, 0).astype(np.uint8) if mode == "1" else RGB)
    for step in steps:
        image = image.convert(step)
    assert_found(image)


def test_nan_and_inf_do_not_change_other_pixels():
    odd = GREY.astype(np.float32) / 255
    odd[0, 0], odd[0, 1], odd[0, 2] = np.nan, np.inf, -np.inf
    Image.fromarray(odd).save("odd.tif")
    assert_found("odd.tif")


def test_the_first_of_several_pictures_in_a_file_is_used():
    others = [Image.fromarray(255 - RGB), Image.fromarray(np.zeros_like(RGB))]
    for name in ("animated.gif", "animated.webp", "animated.png", "pages.tif", "two lenses.mpo"):
        Image.fromarray(RGB).save(name, save_all=True, append_images=others)
        assert_found(name)


def exif_of(*entries):
    """EXIF data of tag, type, count and four bytes each."""
    fields = b"".join(struct.pack(">HHI", *entry[:3]) + entry[3] for entry in entries)
    return b"Exif\0\0MM\0*" + struct.pack(">IH", 8, len(entries)) + fields + bytes(4)


TURNED = (0x0112, 3, 1, b"\0\6\0\0")


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("name", ["phone.jpg", "phone.png", "phone.webp", "phone.tif"])
def test_masks_are_upright(name, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(TURNS[orientation](RGB))).save(name, exif=exif)
    assert_found(name)


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "I;16"])
def test_photos_of_other_modes_are_rotated_as_well(mode):
    stored = np.ascontiguousarray(TURNS[6](RGB))
    deep = Image.fromarray(stored[..., 0].astype(np.uint16) * 257)
    image = deep if mode == "I;16" else Image.fromarray(stored).convert(mode)
    name = "phone.jpg" if mode == "CMYK" else "phone.png"
    image.save(name, exif=exif_of(TURNED))
    assert_found(name)


NO_NUMBER = (0x0100, 2, 4, b"abc\0")  # a width that is text, which Pillow cannot write


@pytest.mark.parametrize("name", ["phone.jpg", "phone.png", "phone.webp"])
def test_a_photo_with_a_malformed_tag_is_still_rotated(name):
    stored = np.ascontiguousarray(TURNS[6](RGB))
    Image.fromarray(stored).save(name, exif=exif_of(NO_NUMBER, TURNED))
    assert_found(name)


@pytest.mark.parametrize("name", ["broken.jpg", "broken.png", "broken.webp"])
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0garbage garbage",
        b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01",
        b"Exif\0\0II*\0\xff\xff\xff\x00",
        exif_of((0x0112, 2, 4, b"abc\0")),
        exif_of((0x0112, 3, 1, b"\0\x63\0\0")),
        exif_of((0x0112, 5, 1, b"\0\0\0\x08")),
    ],
)
def test_photos_with_broken_exif_data_are_not_rotated(name, exif):
    Image.fromarray(RGB).save(name, exif=exif)
    assert_found(name)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 4000), (4000, 1), (2, 3)])
def test_photos_of_any_shape_have_a_mask_of_their_size(height, width):
    Image.fromarray(np.full((height, width), BRIGHT, np.uint8)).save("odd.png")
    found = Predictor(Painter(brightness))("odd.png").index
    assert found.shape == (height, width)
    assert (found == 1).all()


def test_colours_are_not_swapped():
    Image.new("RGB", (5, 4), (10, 20, 200)).save("blue.png")
    assert (open_photo("blue.png") == (10, 20, 200)).all()
