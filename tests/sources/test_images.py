"""Every photo that Pillow opens becomes upright R-G-B, whatever the format of its file."""

import os

import numpy as np
import pytest
from PIL import Image

from facesegl.errors import DataError
from facesegl.sources import open_photo, resize_photo


@pytest.fixture
def pixels():
    """(6, 9, 3): every pixel has another color, so that a rotation or a swap of channels shows."""
    return np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def saved(image, name, **options):
    image.save(name, **options)
    return open_photo(name)


def assert_is(photo, expected):
    assert photo.dtype == np.uint8
    assert photo.shape == expected.shape
    assert (photo == expected).all()


@pytest.mark.parametrize("ending", ["png", "bmp", "tiff", "ppm"])
def test_plain_photos_keep_every_pixel_in_red_green_blue(pixels, ending):
    assert_is(saved(Image.fromarray(pixels), f"photo.{ending}"), pixels)


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda stored: stored),
        (2, np.fliplr),
        (3, lambda stored: np.rot90(stored, 2)),
        (4, np.flipud),
        (5, lambda stored: stored.transpose(1, 0, 2)),
        (6, lambda stored: np.rot90(stored, -1)),
        (7, lambda stored: np.rot90(stored.transpose(1, 0, 2), 2)),
        (8, lambda stored: np.rot90(stored, 1)),
    ],
)
def test_a_rotated_photo_is_turned_upright(pixels, orientation, upright):
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert_is(saved(Image.fromarray(pixels), "phone.png", exif=exif), upright(pixels))


def test_grey_photos_have_three_equal_channels_and_1_bit_ones_are_black_and_white(pixels):
    grey, dots = pixels[..., 0], pixels[..., 0] > 127
    assert_is(saved(Image.fromarray(grey), "grey.png"), np.repeat(grey[..., None], 3, 2))
    assert_is(saved(Image.fromarray(dots), "fax.png"), np.repeat(dots[..., None], 3, 2) * np.uint8(255))


def test_palette_photos_have_their_colors_not_their_indices(pixels):
    few = np.uint8([[10, 20, 30], [200, 100, 0], [0, 0, 255]])[pixels[..., 0] % 3]
    paletted = Image.fromarray(few).convert("P", palette=Image.Palette.ADAPTIVE, colors=3)
    assert_is(saved(paletted, "few.png"), few)
    assert_is(saved(paletted, "few.gif"), few)


@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_16_bit_photos_keep_their_brightness(ending):
    levels = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    photo = saved(Image.fromarray(levels), f"deep.{ending}")
    assert_is(photo, np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16)[..., None], 3, 2))


def test_cmyk_photos_become_red_green_blue():
    red = Image.new("CMYK", (5, 4), (0, 255, 255, 0))
    assert_is(saved(red, "print.tiff"), np.full((4, 5, 3), (255, 0, 0), np.uint8))


def test_transparent_parts_are_white_and_half_transparent_ones_blend():
    colours = np.uint8([[[200, 0, 0, 255], [200, 0, 0, 0], [0, 0, 0, 128]]])
    photo = saved(Image.fromarray(colours), "cut out.png")
    assert_is(photo[:, :2], np.uint8([[[200, 0, 0], [255, 255, 255]]]))
    assert np.abs(photo[0, 2].astype(int) - 127).max() <= 1


def test_transparent_parts_of_grey_and_palette_photos_are_white(pixels):
    grey = np.dstack([np.full((2, 2), 40, np.uint8), np.uint8([[255, 0], [0, 255]])])
    expected = np.repeat(np.uint8([[40, 255], [255, 40]])[..., None], 3, 2)
    assert_is(saved(Image.fromarray(grey), "grey.png"), expected)
    paletted = Image.fromarray(np.uint8([[0, 1]])).convert("P")
    paletted.putpalette([40, 40, 40, 90, 90, 90])
    assert_is(saved(paletted, "palette.png", transparency=1), np.uint8([[[40] * 3, [255] * 3]]))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 700), (700, 1), (3, 2000), (2000, 3)])
def test_photos_of_any_shape_open_and_resize(height, width):
    photo = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    opened = saved(Image.fromarray(photo), "odd.png")
    assert_is(opened, photo)
    small = resize_photo(opened, 16, 24)
    assert small.shape == (16, 24, 3)
    assert small.dtype == np.uint8


def test_resizing_keeps_a_plain_color_and_neither_aliases_nor_rings():
    assert (resize_photo(np.full((1, 1, 3), (1, 128, 255), np.uint8), 33, 7) == (1, 128, 255)).all()
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(resize_photo(stripes, 16, 16)[:, 2:-2].astype(int) - 128).max() <= 2
    edge = np.full((64, 64, 3), 40, np.uint8)
    edge[:, 32:] = 200
    assert (resize_photo(edge, 16, 16).min(), resize_photo(edge, 16, 16).max()) == (40, 200)


@pytest.mark.parametrize("ending", ["jpg", "png", "bmp", "tiff"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_truncated_photo_is_an_error(ending, share, tmp_path):
    path = tmp_path / f"cut.{ending}"
    Image.fromarray(np.random.default_rng(2).integers(0, 256, (50, 60, 3), dtype=np.uint8)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match=f"cut.{ending}") as caught:
        open_photo(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        *(
            (b"", "empty"),
            (b"GIF, says the text", "not an image"),
            (b"\x00" * 99, "not an image"),
            (None, "no such file"),
        ),
        ("folder", ""),
    ],
)
def test_a_file_that_is_not_an_image_is_reported(content, message, tmp_path):
    if content == "folder":
        (tmp_path / "odd.jpg").mkdir()
    elif content is not None:
        (tmp_path / "odd.jpg").write_bytes(content)
    with pytest.raises(DataError, match=f"odd.jpg: {message}"):
        open_photo(tmp_path / "odd.jpg")


def test_postscript_is_rejected_and_runs_no_program(tmp_path, monkeypatch):
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path / 'started'}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    path = tmp_path / "anna.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    with pytest.raises(DataError, match=r"anna.png: not an image"):
        open_photo(path)
    assert not (tmp_path / "started").exists()
