"""Whatever a photo's file says of itself, its mask lies where a viewer shows the face."""

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
"""How a camera stores an upright photo when it says that orientation."""


def brightness(photos):
    """Class 1 where it is bright, background elsewhere."""
    bright = photos.mean(axis=1) - 130
    return np.stack([-bright, bright, np.full_like(bright, -999)], axis=1)


def assert_found(source):
    """The bright part, and nothing else, is class 1; only its rim may be off, since the model sees fewer pixels."""
    found = Predictor(Painter(brightness, image_size=24))(source).index
    expected = (GREY == BRIGHT).astype(np.uint8)
    assert found.shape == expected.shape
    rim = np.zeros_like(expected, dtype=bool)
    rim[3:21, 4:20] = True
    rim[5:19, 8:16] = False
    assert (found[~rim] == expected[~rim]).all()


def with_alpha(colours, transparent):
    """Dark parts that are transparent where they stand in for white."""
    alpha = np.full(colours.shape[:2], 255, np.uint8)
    alpha[transparent] = 0
    return np.dstack([colours, alpha])


def palette(transparent=None):
    image = Image.fromarray((GREY == BRIGHT).astype(np.uint8))
    image.putpalette([DARK] * 3 + ([DARK] * 3 if transparent == 1 else [BRIGHT] * 3))
    return image


WHITE_WHERE_BRIGHT = np.full_like(RGB, DARK)
FILES = {
    "grey.png": (Image.fromarray(GREY), {}),
    "grey.jpg": (Image.fromarray(GREY), {}),
    "black and white.png": (Image.fromarray(GREY == BRIGHT), {}),
    "black and white.tif": (Image.fromarray(GREY == BRIGHT), {}),
    "plain.jpg": (Image.fromarray(RGB), {}),
    "progressive.jpg": (Image.fromarray(RGB), {"progressive": True}),
    "plain.webp": (Image.fromarray(RGB), {}),
    "plain.tga": (Image.fromarray(RGB), {}),
    "palette.png": (palette(), {}),
    "palette.gif": (palette(), {}),
    "palette with a transparent colour.png": (palette(1), {"transparency": 1}),
    "grey with alpha.png": (Image.fromarray(with_alpha(GREY, GREY == BRIGHT)), {}),
    "alpha.png": (Image.fromarray(with_alpha(WHITE_WHERE_BRIGHT, GREY == BRIGHT)), {}),
    "alpha.webp": (Image.fromarray(with_alpha(WHITE_WHERE_BRIGHT, GREY == BRIGHT)), {"lossless": True}),
    "16 bits.png": (Image.fromarray(GREY.astype(np.uint16) * 257), {}),
    "16 bits.tif": (Image.fromarray(GREY.astype(np.uint16) * 257), {}),
    "32 bits.tif": (Image.fromarray(GREY.astype(np.int32) << 23), {}),
    "8 of 32 bits.tif": (Image.fromarray(GREY.astype(np.int32)), {}),
    "float to 1.tif": (Image.fromarray(GREY.astype(np.float32) / 255), {}),
    "float to 255.tif": (Image.fromarray(GREY.astype(np.float32)), {}),
    "float to 65535.tif": (Image.fromarray(GREY.astype(np.float32) * 257), {}),
    "print.jpg": (Image.fromarray(RGB).convert("CMYK"), {}),
    "print.tif": (Image.fromarray(RGB).convert("CMYK"), {}),
    "luma.tif": (Image.fromarray(RGB).convert("YCbCr"), {}),
    "lab.tif": (Image.fromarray(RGB).convert("LAB"), {}),
}


@pytest.mark.parametrize("name", FILES)
def test_photos_of_every_kind_are_seen_as_they_look(name):
    image, options = FILES[name]
    image.save(name, **options)
    assert_found(name)


@pytest.mark.parametrize(("colours", "mode"), [(GREY, "La"), (RGB, "RGBA")])
def test_photos_whose_colours_were_multiplied_by_alpha_are_seen_as_they_look(colours, mode):
    Image.fromarray(with_alpha(colours, np.s_[:0])).save("film.tif")
    extra_samples = struct.Struct("<HHI")
    content = bytearray(Path("film.tif").read_bytes())
    content[content.index(extra_samples.pack(338, 3, 1)) + extra_samples.size] = 1  # alpha that is multiplied in
    Path("film.tif").write_bytes(content)
    with Image.open("film.tif") as image:
        assert image.mode == mode
    assert_found("film.tif")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "La", "P", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "I", "F"])
def test_pillow_images_of_every_mode_are_seen_as_they_look(mode):
    steps = {"La": ("LA", "La"), "RGBa": ("RGBA", "RGBa"), "1": ("L", "1")}.get(mode, (mode,))
    image = Image.fromarray(np.where(RGB == BRIGHT, 255, 0).astype(np.uint8) if mode == "1" else RGB)
    for step in steps:
        image = image.convert(step)
    assert_found(image)


def test_numbers_that_are_none_leave_the_rest_as_it_is():
    odd = GREY.astype(np.float32) / 255
    odd[0, 0], odd[0, 1], odd[0, 2] = np.nan, np.inf, -np.inf
    Image.fromarray(odd).save("odd.tif")
    assert_found("odd.tif")


def test_of_several_pictures_in_a_file_the_first_is_taken():
    others = [Image.fromarray(255 - RGB), Image.fromarray(np.zeros_like(RGB))]
    for name in ("animated.gif", "animated.webp", "animated.png", "pages.tif"):
        Image.fromarray(RGB).save(name, save_all=True, append_images=others)
        assert_found(name)
    Image.fromarray(RGB).save("two lenses.mpo", save_all=True, append_images=others)
    assert_found("two lenses.mpo")


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("name", ["phone.jpg", "phone.png", "phone.webp", "phone.tif"])
def test_masks_lie_on_the_upright_photo(name, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(TURNS[orientation](RGB))).save(name, exif=exif)
    assert_found(name)


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "I;16"])
def test_photos_of_other_modes_are_turned_as_well(mode):
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.ascontiguousarray(TURNS[6](RGB))
    deep = Image.fromarray(stored[..., 0].astype(np.uint16) * 257)
    image = deep if mode == "I;16" else Image.fromarray(stored).convert(mode)
    name = "phone.jpg" if mode == "CMYK" else "phone.png"
    image.save(name, exif=exif)
    assert_found(name)


def exif_of(*entries):
    """EXIF data of tag, type, count and four bytes each."""
    fields = b"".join(struct.pack(">HHI", *entry[:3]) + entry[3] for entry in entries)
    return b"Exif\0\0MM\0*" + struct.pack(">IH", 8, len(entries)) + fields + bytes(4)


TURNED = (0x0112, 3, 1, b"\0\6\0\0")
NO_NUMBER = (0x0100, 2, 4, b"abc\0")  # a width that is a text: Pillow cannot write it anew


@pytest.mark.parametrize("name", ["phone.jpg", "phone.png", "phone.webp"])
def test_an_odd_tag_beside_it_does_not_keep_a_photo_from_being_turned(name):
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
def test_photos_with_broken_exif_data_are_taken_as_they_lie(name, exif):
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
