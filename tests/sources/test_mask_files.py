"""Masks of every kind are read, and ambiguous ones are errors."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facesegl.errors import ConfigError, DataError
from facesegl.labels import VOID, Taxonomy, mask_to_colours
from facesegl.sources import read_rgb
from facesegl.sources.mask_files import read_mask_file, read_mask_parts

FOUR = Taxonomy.from_mapping(
    {"classes": {"background": [0, 0, 0], "skin": [255, 204, 51], "hair": [127, 0, 0], "teeth": [255, 255, 255]}}
)
MASK = np.random.default_rng(0).integers(0, 4, (6, 5), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
COLOURS = mask_to_colours(MASK, FOUR)


def read(name, image, kind="auto", taxonomy=FOUR, **options):
    if name.endswith(".npy"):
        np.save(name, image)
    else:
        (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(name, **options)
    return read_mask_file(Path(name), kind, taxonomy)


def paletted(numbers, colours):
    image = Image.fromarray(numbers, "L").copy()
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette([channel for colour in colours for channel in colour])
    return image


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "webp"])
def test_color_masks(ending):
    decoded = read(f"mask.{ending}", COLOURS, **({"lossless": True} if ending == "webp" else {}))
    assert (decoded.mask == MASK).all()
    assert not decoded.inexact.any()


def test_color_masks_with_blended_edges_and_jpeg_noise():
    decoded = read("mask.jpg", COLOURS.repeat(4, 0).repeat(4, 1), quality=95)
    assert (decoded.mask == MASK.repeat(4, 0).repeat(4, 1)).mean() > 0.98
    assert decoded.inexact.any()


@pytest.mark.parametrize("kind", ["auto", "colour"])
def test_an_unknown_class_is_reported_by_its_color_and_never_guessed(kind):
    colours = COLOURS.copy()
    colours[4:10, 4:10] = (0, 200, 0)
    message = r"mask.png: holds \(0, 200, 0\), which is not the colour of a class: .* \(7.5% of the pixels\)"
    with pytest.raises(DataError, match=message) as caught:
        read("mask.png", colours, kind)
    assert '`remap: {"0, 200, 0": CLASS or void, ...}`' in str(caught.value)
    void = Taxonomy.from_mapping({**FOUR.to_mapping(), "void": [0, 200, 0]})
    assert (read("mask.png", colours, kind, void).mask[4:10, 4:10] == VOID).all()


@pytest.mark.parametrize("filter", ["BILINEAR", "BICUBIC", "LANCZOS", "BOX"])
@pytest.mark.parametrize("size", [(50, 60), (13, 16), (200, 240)])
def test_edges_blended_by_any_filter_are_no_unknown_class(filter, size):
    blended = Image.fromarray(COLOURS.repeat(4, 0).repeat(4, 1)).resize(size, Image.Resampling[filter])
    assert set(np.unique(read("mask.png", blended, "colour").mask)) <= {0, 1, 2, 3}


@pytest.mark.parametrize("kind", ["auto", "index"])
@pytest.mark.parametrize(("ending", "channels"), [("png", 1), ("tif", 1), ("bmp", 1), ("png", 3)])
def test_grey_masks_contain_numbers(ending, channels, kind):
    grey = MASK if channels == 1 else np.repeat(MASK[..., None], 3, 2)
    assert (read(f"mask.{ending}", grey, kind).mask == MASK).all()


@pytest.mark.parametrize("kind", ["auto", "index"])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bit_grey_masks_contain_numbers_above_255(ending, kind):
    far = Taxonomy.from_mapping(
        {**FOUR.to_mapping(), "remap": {0: "background", 300: "skin", 9999: "hair", 65535: "void"}}
    )
    raw = np.uint16([0, 300, 9999, 65535])[MASK]
    assert (read(f"mask.{ending}", raw, kind, far).mask == np.uint8([0, 1, 2, VOID])[MASK]).all()


@pytest.mark.parametrize("kind", ["auto", "index"])
def test_an_unrelated_palette_is_ignored_in_favor_of_the_numbers(kind):
    voc = [(0, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128)]
    assert (read("mask.png", paletted(MASK, voc), kind).mask == MASK).all()
    ramp = [(value, value, value) for value in range(256)]  # 0 to 3 are all nearly black, which is background
    assert (read("ramp.png", paletted(MASK, ramp), kind).mask == MASK).all()


def test_a_palette_of_class_colors_wins_over_its_order():
    order = [2, 0, 3, 1]
    numbers = np.uint8(np.argsort(order))[MASK]
    image = paletted(numbers, [FOUR.colours[index] for index in order])
    assert (read("mask.png", image).mask == MASK).all()
    assert (read("mask.png", image, "colour").mask == MASK).all()
    near = [tuple(min(channel + 2, 255) for channel in FOUR.colours[index]) for index in order]
    assert (read("near.png", paletted(numbers, near)).mask == MASK).all()


def test_an_ambiguous_palette_is_reported_with_numbers_and_colors():
    image = paletted(MASK + 100, [(0, 0, 0)] * 100 + [(9, 99, 9), (99, 9, 9), (9, 9, 99), (99, 99, 9)])
    with pytest.raises(DataError, match=r"mask.png: a palette image .*100: 9, 99, 9; 101: 99, 9, 9") as caught:
        read("mask.png", image)
    assert "data.source.kind=colour" in str(caught.value)


def test_black_and_white_are_colors_unless_they_are_numbers():
    two = Taxonomy.from_mapping({"classes": {"rest": [0, 0, 0], "face": [255, 255, 255]}})
    face = MASK > 1
    assert (read("mask.png", np.uint8(255) * face, taxonomy=two).mask == face).all()
    assert (read("bits.png", face, taxonomy=two).mask == face).all()
    assert (read("numbers.png", np.uint8(face), taxonomy=two).mask == face).all()
    soft = np.uint8(Image.fromarray(np.uint8(255) * face).resize((40, 48), Image.Resampling.BILINEAR))
    assert set(np.unique(read("soft.png", soft, taxonomy=two).mask)) == {0, 1}


def test_black_is_a_color_in_a_color_image_and_number_0_in_a_grey_one():
    other = Taxonomy.from_mapping({"classes": {"skin": [255, 204, 51], "background": [0, 0, 0]}})
    black = np.zeros((4, 4, 3), np.uint8)
    assert (read("colour.png", black, taxonomy=other).mask == 1).all()
    assert (read("grey.png", black[..., 0], taxonomy=other).mask == 0).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_an_unknown_number_is_an_error_and_does_not_turn_numbers_into_colors(channels):
    raw = MASK.copy()
    raw[0, 0] = 17
    raw = np.repeat(raw[..., None], 3, 2) if channels == 3 else raw
    with pytest.raises(DataError, match=r"mask.png: holds 17, which is no class: .*0.21% of the pixels.* 0 to 3"):
        read("mask.png", raw)


def test_a_color_image_contains_no_numbers():
    with pytest.raises(DataError, match=r"mask.png: a colour image .mode RGB.; expected numbers"):
        read("mask.png", COLOURS, "index")


@pytest.mark.parametrize("kind", ["auto", "index"])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64"])
def test_arrays_contain_numbers(dtype, kind):
    mask = MASK % 2 if dtype == "bool" else MASK
    assert (read("mask.npy", mask.astype(dtype), kind).mask == mask).all()


@pytest.mark.parametrize("first", [True, False])
def test_arrays_contain_one_hot_layers(first):
    layers = np.arange(4)[:, None, None] == MASK
    assert (read("mask.npy", layers if first else np.moveaxis(layers, 0, -1)).mask == MASK).all()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 4), np.float32), r"shape \(4, 4\) and type float32; expected integers"),
        (np.zeros(4, np.uint8), r"shape \(4,\)"),
        (np.array([["a"]]), "expected integers"),
        (np.full((4, 4), 9), "holds 9, which is no class: .*100.00% of"),
        *((np.zeros(shape, np.uint8), "expected pixels") for shape in ((0, 0), (0, 5), (3, 0, 0))),
    ],
)
def test_other_arrays_are_reported(array, message):
    with pytest.raises(DataError, match=f"mask.npy: .*{message}"):
        read("mask.npy", array)


def test_an_array_of_objects_is_never_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("sprung").touch, ())

    with pytest.raises(DataError, match=r"mask.npy: not a readable NumPy array"):
        read("mask.npy", np.array([Trap()], dtype=object))
    assert not (tmp_path / "sprung").exists()


def npy_with_shape(shape):
    file = io.BytesIO()
    np.save(file, MASK)
    return file.getvalue().replace(b"(24, 20)", shape)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"no array", b"\x93NUMPY\x01\x00\xff\xff{"),
        *map(npy_with_shape, (b"(99, 99)", b"(10**9, ", b"(-4, 20)")),
    ],
)
def test_a_file_that_is_not_an_array_is_reported(content):
    Path("mask.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"mask.npy: not a readable NumPy array"):
        read_mask_file(Path("mask.npy"), "auto", FOUR)


def test_a_mask_is_rotated_by_its_own_exif_orientation():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert (read("mask.png", MASK, exif=exif).mask == np.rot90(MASK, -1)).all()


# one file a part


def parts_of(tmp_path, kind="parts", rest="background", taxonomy=FOUR, overlap="order", **pictures):
    parts = []
    for name, picture in pictures.items():
        path = tmp_path / f"1_{name}.png"
        (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(path)
        parts.append((name, path))
    return read_mask_parts(parts, kind, overlap, rest, taxonomy)


def white(index):
    return np.uint8(255) * (index == MASK)


def test_parts_overlap_in_the_order_of_the_classes(tmp_path):
    everything = np.full(MASK.shape, 255, np.uint8)
    decoded = parts_of(tmp_path, teeth=white(3), hair=white(2), skin=everything)
    assert (decoded.mask == np.uint8([1, 1, 2, 3])[MASK]).all()


def test_parts_overlap_in_the_order_of_the_remap_if_there_is_one(tmp_path):
    remapped = Taxonomy.from_mapping({**FOUR.to_mapping(), "remap": {"lips": "teeth", "face": "skin", "cap": "void"}})
    everything = np.full(MASK.shape, 255, np.uint8)
    decoded = parts_of(tmp_path, taxonomy=remapped, cap=white(2), lips=everything, face=white(1))
    assert (decoded.mask == np.uint8([3, 1, VOID, 3])[MASK]).all()


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P", "RGBA", "LA"])
def test_parts_may_be_images_of_any_mode(tmp_path, mode):
    decoded = parts_of(tmp_path, skin=Image.fromarray(white(1)).convert(mode))
    assert (decoded.mask == (MASK == 1)).all()


def test_the_rest_may_be_any_class_or_void(tmp_path):
    assert (parts_of(tmp_path, rest="hair", skin=white(1)).mask == np.where(MASK == 1, 1, 2)).all()
    assert (parts_of(tmp_path, rest="void", skin=white(1)).mask == np.where(MASK == 1, 1, VOID)).all()
    with pytest.raises(ConfigError, match=r"data.source.rest=wall: no class of that name; expected one of background"):
        parts_of(tmp_path, rest="wall", skin=white(1))


@pytest.mark.parametrize(
    ("kind", "hair", "name", "message"),
    [
        ("parts", white(2), "beard", r"1_beard.png: the taxonomy has no part beard; .*`remap: {beard: CLASS or void, "),
        ("probabilities", white(2), "hair", "has no file for background, teeth; expected one per part"),
        ("parts", white(2)[:3, :3], "hair", "1_skin.png: its parts are 20x24 and 3x3; expected one size"),
    ],
)
def test_unknown_missing_and_differently_sized_parts_are_reported(tmp_path, kind, hair, name, message):
    with pytest.raises(DataError, match=message):
        parts_of(tmp_path, kind, skin=white(1), **{name: hair})


def test_a_broken_part_is_reported_by_its_own_file(tmp_path):
    parts = [(name, tmp_path / f"1_{name}.png") for name in ("skin", "hair")]
    Image.fromarray(white(1)).save(parts[0][1])
    parts[1][1].write_bytes(b"no picture")
    with pytest.raises(DataError) as caught:
        read_mask_parts(parts, "parts", "order", "background", FOUR)
    assert str(caught.value).startswith(f"{tmp_path / '1_hair.png'}: not an image")


@pytest.mark.parametrize("kind", ["auto", "index"])
def test_floating_point_images_are_rejected(tmp_path, kind):
    path = tmp_path / "1.tif"
    Image.fromarray(np.float32([[0.3, 0.9], [1.5, 70000]])).save(path)
    with pytest.raises(DataError, match=r"1.tif: .*mode F"):
        read_mask_file(path, kind, FOUR)
    Image.fromarray(np.float32([[0.3, 0.9]])).save(tmp_path / "1_skin.tif")
    with pytest.raises(DataError, match=r"1_skin.tif: a floating-point image"):
        read_mask_parts([("skin", tmp_path / "1_skin.tif")], "parts", "order", "background", FOUR)


def with_alpha(colour, alpha, hidden=(0, 0, 0)):
    """One color where alpha is positive, another color where it is 0."""
    pixels = np.where(alpha[..., None] > 0, np.uint8(colour), np.uint8(hidden))
    return Image.fromarray(np.dstack([pixels, alpha]))


@pytest.mark.parametrize("kind", ["parts", "probabilities"])
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (200, 30, 40)])
def test_a_part_in_one_color_is_read_from_its_alpha(tmp_path, colour, kind):
    taxonomy = Taxonomy(("background", "skin"), ((0, 0, 0), (9, 9, 9)))
    alpha = white(1)
    alpha[MASK == 2] = 60  # a soft rim
    pictures = {"skin": with_alpha(colour, alpha), "background": with_alpha(colour, np.uint8(255) - alpha, colour)}
    if kind == "parts":
        del pictures["background"]
    assert (parts_of(tmp_path, kind, taxonomy=taxonomy, **pictures).mask == (MASK == 1)).all()


def test_a_part_whose_colors_and_alpha_agree_is_read(tmp_path):
    striped = np.where(np.arange(MASK.shape[1]) % 2, 255, 240)[None, :, None]
    pixels = np.where((MASK == 1)[..., None], striped, 10).repeat(3, axis=2).astype(np.uint8)
    decoded = parts_of(tmp_path, skin=Image.fromarray(np.dstack([pixels, white(1)])))
    assert (decoded.mask == (MASK == 1)).all()


def test_an_alpha_of_0_everywhere_is_ignored(tmp_path):
    padded = np.dstack([white(1)] * 3 + [np.zeros(MASK.shape, np.uint8)])
    assert (parts_of(tmp_path, skin=Image.fromarray(padded)).mask == (MASK == 1)).all()


@pytest.mark.parametrize(
    "picture",
    [
        with_alpha((0, 0, 0), white(1), hidden=(255, 255, 255)),  # black paint on white that is not there
        with_alpha((255, 255, 255), np.zeros(MASK.shape, np.uint8), hidden=(255, 255, 255)),  # all white, all unseen
        Image.merge("LA", [Image.fromarray(white(1)), Image.fromarray(white(2))]),
    ],
    ids=["black on nothing", "unseen white", "two parts"],
)
def test_a_part_whose_colors_and_alpha_disagree_is_an_error(tmp_path, picture):
    with pytest.raises(DataError, match=r"1_skin.png: its alpha channel and its colours disagree"):
        parts_of(tmp_path, skin=picture)


@pytest.mark.parametrize("ending", [".tif", ".gif", ".png", ".webp"])
def test_a_mask_with_several_frames_is_reported_with_their_number(tmp_path, ending):
    pictures = [Image.fromarray(white(index)) for index in (1, 2, 3)]
    path = tmp_path / f"1_skin{ending}"
    pictures[0].save(path, save_all=True, append_images=pictures[1:])
    message = rf"1_skin{ending}: has 3 frames or pages; expected one"
    with pytest.raises(DataError, match=message):
        read_mask_file(path, "auto", FOUR)
    with pytest.raises(DataError, match=message):
        read_mask_parts([("skin", path)], "parts", "order", "background", FOUR)
    with pytest.raises(DataError, match=message):
        read_rgb(path)


def test_smaller_copies_of_a_page_are_not_counted(tmp_path):
    picture, small = Image.fromarray(MASK), Image.fromarray(MASK[::2, ::2].copy())
    small.encoderinfo = {"tiffinfo": {254: 1}}
    picture.save(tmp_path / "1.tif", save_all=True, append_images=[small])
    with Image.open(tmp_path / "1.tif") as written:
        assert written.n_frames == 2
    assert (read_mask_file(tmp_path / "1.tif", "auto", FOUR).mask == MASK).all()


def test_counting_pages_stops_at_a_thousand(tmp_path):
    picture = Image.fromarray(MASK[:2, :2].copy())
    picture.save(tmp_path / "1.tif", save_all=True, append_images=[picture] * 1100)
    with pytest.raises(DataError, match=r"1.tif: has 1000 or more frames or pages"):
        read_mask_file(tmp_path / "1.tif", "auto", FOUR)
