"""Masks are read as they were painted, whatever their file format does with alpha, compression and bits."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facesegl.errors import ConfigError, DataError
from facesegl.labels import VOID, Taxonomy, mask_to_colours
from facesegl.sources.mask_files import read_mask_file, read_mask_parts

THREE = Taxonomy.from_mapping(
    {"classes": {"background": [255, 0, 0], "skin": [255, 204, 51], "hair": [127, 0, 0]}}  # black is no class
)
MASK = np.random.default_rng(0).integers(0, 3, (6, 5), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
COLOURS = mask_to_colours(MASK, THREE)
OPAQUE = np.uint8(255) * (MASK != 0)


def read(image, name="mask.png", kind="auto", taxonomy=THREE, rest="background", **options):
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(name, **options)
    return read_mask_file(Path(name), kind, taxonomy, rest)


def rgba(colours, alpha):
    return Image.fromarray(np.dstack([colours, alpha]))


# alpha


@pytest.mark.parametrize("kind", ["auto", "colour"])
@pytest.mark.parametrize("hidden", ["white", "hair", "noise"])
@pytest.mark.parametrize(("name", "options"), [("m.png", {}), ("m.tif", {}), ("m.webp", {"lossless": True})])
def test_transparent_pixels_of_a_color_mask_are_the_rest(kind, hidden, name, options):
    noise = np.random.default_rng(1).integers(0, 256, COLOURS.shape, dtype=np.uint8)
    under = {"white": np.full_like(COLOURS, 255), "hair": np.full_like(COLOURS, (127, 0, 0)), "noise": noise}[hidden]
    image = rgba(np.where(OPAQUE[..., None] > 0, COLOURS, under), OPAQUE)
    decoded = read(image, name, kind, **options)
    assert (decoded.mask == MASK).all()
    assert not decoded.inexact.any()
    assert (read(image, name, kind, rest="void", **options).mask == np.where(MASK == 0, VOID, MASK)).all()


def test_the_rest_of_a_transparent_mask_must_be_a_class():
    with pytest.raises(ConfigError, match=r"data.source.rest=wall: no class .* or are transparent"):
        read(rgba(COLOURS, OPAQUE), rest="wall")
    assert (read(COLOURS, rest="wall").mask == MASK).all()


def test_a_palette_with_transparent_colors_is_read_like_the_colors():
    palette = [(255, 255, 255), THREE.colours[1], THREE.colours[2]]
    image = Image.fromarray(MASK).convert("P")
    image.putpalette([channel for colour in palette for channel in colour])
    decoded = read(image, transparency=0, kind="colour")
    assert (decoded.mask == MASK).all()
    shuffled = Image.fromarray(np.uint8([2, 0, 1])[MASK]).convert("P")
    shuffled.putpalette([channel for index in (1, 2) for channel in THREE.colours[index]] + [9, 9, 9])
    assert (read(shuffled, transparency=2).mask == MASK).all()


def test_a_transparent_entry_of_a_palette_is_a_number_where_the_mask_holds_numbers():
    image = Image.fromarray(MASK).convert("P")
    image.putpalette([9, 9, 9, 0, 99, 0, 0, 0, 99])
    for kind in ("auto", "index"):
        assert (read(image, kind=kind, transparency=2).mask == MASK).all()


@pytest.mark.parametrize("kind", ["auto", "index"])
def test_transparent_numbers_are_the_rest(kind):
    image = Image.merge("LA", [Image.fromarray(np.where(OPAQUE > 0, MASK, 77)), Image.fromarray(OPAQUE)])
    assert (read(image, kind=kind).mask == MASK).all()


@pytest.mark.parametrize("premultiplied", [False, True])
def test_soft_edges_are_painted_where_more_than_half_opaque(premultiplied):
    alpha = np.array(Image.fromarray(OPAQUE).resize((400, 480), Image.Resampling.BICUBIC))
    colours, mask = (a.repeat(10, 0).repeat(10, 1) for a in (COLOURS, MASK))
    if premultiplied:
        colours = np.uint8(colours * (alpha[..., None] / 255))
    decoded = read(rgba(colours, alpha))
    assert (decoded.mask[alpha <= 127] == 0).all()
    painted = (alpha > 127) & (mask > 0)
    assert (decoded.mask[painted] == mask[painted]).mean() > (0.98 if premultiplied else 0.9999)
    assert decoded.inexact[(alpha > 0) & (alpha < 255)].all()


def test_associated_alpha_of_a_tiff_is_divided_out():
    alpha = np.where(OPAQUE > 0, 200, 0).astype(np.uint8)
    rgba(np.uint8(COLOURS * (alpha[..., None] / 255)), alpha).save("m.tif")
    unassociated = b"\x52\x01\x03\x00\x01\x00\x00\x00\x02\x00"  # the tag ExtraSamples
    Path("m.tif").write_bytes(Path("m.tif").read_bytes().replace(unassociated, unassociated[:-2] + b"\x01\x00"))
    with Image.open("m.tif") as written:
        assert written.tag_v2[338] == (1,)
    assert (read_mask_file(Path("m.tif"), "auto", THREE).mask == MASK).all()


def test_a_faint_area_is_an_error_and_never_guessed():
    faint = np.where(MASK == 2, 100, OPAQUE).astype(np.uint8)
    with pytest.raises(DataError, match=r"mask.png: painted with an opacity of 39% in .*% of its pixels; expected"):
        read(rgba(COLOURS, faint))


def test_an_alpha_of_0_everywhere_is_padding_unless_the_mask_has_one_color():
    assert (read(rgba(COLOURS, np.zeros_like(OPAQUE))).mask == MASK).all()
    assert (read(rgba(np.full_like(COLOURS, 255), np.zeros_like(OPAQUE))).mask == 0).all()


def test_a_white_mask_with_its_shape_in_alpha_is_read_if_white_is_a_class():
    face = Taxonomy.from_mapping({"classes": {"background": [255, 0, 0], "face": [255, 255, 255]}})
    white = rgba(np.full_like(COLOURS, 255), OPAQUE)
    assert (read(white, taxonomy=face).mask == (MASK > 0)).all()
    with pytest.raises(DataError, match=r"mask.png: holds 255, which is no class"):
        read(white)


# compression


def as_jpeg_2000(reversible):
    return {"irreversible": not reversible, "quality_mode": "rates", "quality_layers": [1 if reversible else 8]}


LOSSY = [
    *(("m.jpg", {"quality": 95}, "JPEG"), ("m.webp", {"quality": 90}, "lossy WebP"), ("m.avif", {}, "AVIF")),
    *(("m.jp2", as_jpeg_2000(False), "lossy JPEG 2000"), ("m.tif", {"compression": "jpeg"}, "JPEG in a TIFF")),
    ("m.png", {"format": "JPEG"}, "JPEG"),
]
LOSSLESS = [
    *(("m.webp", {"lossless": True}), ("m.jp2", as_jpeg_2000(True)), ("m.tif", {"compression": "tiff_lzw"})),
    *(("m.gif", {}), ("m.bmp", {}), ("m.png", {}), ("m.tga", {})),
]


@pytest.mark.parametrize("kind", ["auto", "index"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("name", "options", "what"), LOSSY)
def test_numbers_in_a_lossy_format_are_refused(name, options, what, channels, kind):
    many = Taxonomy.from_mapping({"classes": {f"c{k}": [k * 13, 255 - k * 9, k * 7] for k in range(19)}})
    numbers = np.uint8([0, 5, 13])[MASK]
    image = numbers if channels == 1 else np.repeat(numbers[..., None], 3, 2)
    with pytest.raises(DataError, match=f"^{name}: class numbers saved as {what}; export as PNG"):
        read(image, name, kind, many, **options)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(("name", "options"), LOSSLESS)
def test_numbers_in_a_lossless_format_are_read(name, options, channels):
    image = MASK if channels == 1 else np.repeat(MASK[..., None], channels, 2)
    if name == "m.gif" and channels == 3:
        pytest.skip("Pillow renumbers the greys")
    if channels == 4:
        image[..., 3] = np.where(MASK == 0, 0, 255)  # in WebP: a VP8X chunk and ALPH
        if name.endswith((".gif", ".jp2")):
            pytest.skip("Pillow writes no such file")
    assert (read(image, name, **options).mask == MASK).all()


@pytest.mark.parametrize(("name", "options", "what"), LOSSY)
def test_colors_in_a_lossy_format_are_read_by_the_nearest_color(name, options, what):
    large = COLOURS.repeat(4, 0).repeat(4, 1)
    assert (read(large, name, **options).mask == MASK.repeat(4, 0).repeat(4, 1)).mean() > 0.97


@pytest.mark.parametrize(("name", "options", "what"), LOSSY)
@pytest.mark.parametrize(("step", "channels"), [(1, 1), (1, 3), (20, 1), (31, 3)])
def test_similar_colors_in_a_lossy_format_are_refused(name, options, what, step, channels):
    close = Taxonomy.from_mapping({"classes": {part: [step * k] * 3 for k, part in enumerate(("bg", "skin", "hair"))}})
    greys = MASK * np.uint8(step)
    with pytest.raises(DataError, match=rf"{name}: (saved as {what}, .* bg \(0, 0, 0\) and skin|class numbers saved)"):
        read(greys if channels == 1 else np.repeat(greys[..., None], channels, 2), name, taxonomy=close, **options)


def test_similar_colors_of_one_class_are_read_from_a_lossy_format():
    one = Taxonomy.from_mapping({**THREE.to_mapping(), "remap": {"255, 0, 0": "skin", "250, 0, 0": "skin"}})
    assert (read(np.full_like(COLOURS, (255, 0, 0)), "m.jpg", taxonomy=one).mask == 1).all()


def test_a_lossy_webp_with_alpha_is_lossy():
    image = np.dstack([MASK] * 3 + [np.where(MASK == 0, 0, 255).astype(np.uint8)])
    with pytest.raises(DataError, match="class numbers saved as lossy WebP"):
        read(image, "m.webp", quality=90)


def test_black_and_white_in_a_jpeg_are_colors_also_where_all_is_black():
    two = Taxonomy.from_mapping({"classes": {"rest": [0, 0, 0], "face": [255, 255, 255]}})
    face = np.uint8(255) * (MASK > 0)
    assert (read(face, "m.jpg", taxonomy=two, quality=95).mask == (MASK > 0)).mean() > 0.97
    assert (read(np.zeros_like(face), "m.jpg", taxonomy=two).mask == 0).all()


def test_parts_in_a_jpeg_are_black_and_white_and_not_0_and_1(tmp_path):
    path = tmp_path / "1_skin.jpg"
    Image.fromarray(np.uint8(255) * (MASK == 1)).save(path)
    assert (read_mask_parts([("skin", path)], "parts", "order", "background", THREE).mask == (MASK == 1)).mean() > 0.97
    Image.fromarray(np.uint8(MASK == 1)).save(path, quality=100)
    with pytest.raises(DataError, match=r"1_skin.jpg: "):
        read_mask_parts([("skin", path)], "parts", "order", "background", THREE)


# bits


def png(bits, kind, rows):
    """A PNG with any bit depth; `rows` are its packed bytes, (H, bytes)."""
    height, width = MASK.shape

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + bytes(row) for row in rows)))
    Path("mask.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b""))


@pytest.mark.parametrize("bits", [2, 4])
def test_numbers_in_2_or_4_bits_are_read_as_they_were_written(bits):
    packed = np.packbits(np.unpackbits(MASK[..., None], axis=-1)[..., 8 - bits :].reshape(len(MASK), -1), axis=-1)
    png(bits, 0, packed)
    for kind in ("auto", "index"):
        assert (read_mask_file(Path("mask.png"), kind, THREE).mask == MASK).all()


@pytest.mark.parametrize(("largest", "dtype"), [(2, "u1"), (4, "u1"), (100, "u1"), (255, "u1"), (700, ">u2")])
def test_numbers_in_a_pgm_are_read_as_they_were_written(largest, dtype):
    header = f"P5\n# a comment\n{MASK.shape[1]} {MASK.shape[0]}\n{largest}\n".encode()
    Path("mask.pgm").write_bytes(header + MASK.astype(dtype).tobytes())
    assert (read_mask_file(Path("mask.pgm"), "auto", THREE).mask == MASK).all()


@pytest.mark.parametrize(("kind", "channels"), [(2, 3), (4, 2), (6, 4)], ids=["RGB", "LA", "RGBA"])
def test_numbers_in_16_bits_per_channel_are_refused(kind, channels):
    deep = np.repeat(MASK[..., None], channels, 2).astype(">u2")
    if channels != 3:
        deep[..., -1] = 65535
    png(16, kind, [row.tobytes() for row in deep])
    with pytest.raises(DataError, match=r"mask.png: 16 bits per channel, of which the upper 8 are read"):
        read_mask_file(Path("mask.png"), "auto", THREE)


@pytest.mark.parametrize("channels", [3, 4])
def test_colors_in_16_bits_per_channel_are_read(channels):
    deep = np.dstack([COLOURS, OPAQUE])[..., :channels].astype(">u2") * 257
    png(16, 2 if channels == 3 else 6, [row.astype(">u2").tobytes() for row in deep])
    assert (read_mask_file(Path("mask.png"), "auto", THREE).mask == MASK).all()


def test_a_number_of_no_class_is_named_with_its_color_in_the_palette():
    numbers = MASK.copy()
    numbers[:4, :4] = 5
    image = Image.fromarray(numbers).convert("P")
    image.putpalette([0, 0, 0, 0, 99, 0, 0, 0, 99, 1, 1, 1, 2, 2, 2, 200, 40, 40])
    for kind in ("auto", "index"):
        with pytest.raises(DataError, match=r"mask.png: holds 5 \(200, 40, 40\), which is no class: add it to `cl"):
            read(image, kind=kind)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr"])
def test_colors_in_other_modes_are_read(mode):
    assert (read(Image.fromarray(COLOURS).convert(mode), "m.tif").mask == MASK).all()


def test_renumbered_greys_of_a_palette_are_never_guessed():
    many = Taxonomy.from_mapping({"classes": {f"c{k}": [k * 13, 255 - k * 9, k * 7] for k in range(19)}})
    image = Image.fromarray(MASK).convert("P")
    image.putpalette([0, 0, 0, 4, 4, 4, 17, 17, 17])
    with pytest.raises(
        DataError, match=r"mask.png: a palette image in which both the greys and the numbers .*kind=index"
    ):
        read(image, taxonomy=many)
    assert (read(image, kind="index", taxonomy=many).mask == MASK).all()


def test_a_grey_image_of_16_bits_may_hold_the_greys_of_classes():
    two = Taxonomy.from_mapping({"classes": {"rest": [0, 0, 0], "face": [255, 255, 255]}})
    for kind in ("auto", "colour"):
        assert (read(np.uint16(255) * (MASK > 0), kind=kind, taxonomy=two).mask == (MASK > 0)).all()
    with pytest.raises(DataError, match=r"mask.png: holds values above 255, which are no colours"):
        read(np.uint16(65535) * (MASK > 0), kind="colour", taxonomy=two)
