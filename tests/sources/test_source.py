import numpy as np
import pytest
from PIL import Image

from facesegl.errors import DataError
from facesegl.sources import FASSEG, join_groups, read_rgb
from helpers.faces import FASSEG6, write_pair


def test_groups_join_along_chains():
    groups = {name: name for name in "abcdef"}
    joined = join_groups(groups, [("b", "c"), ("c", "e"), ("f", "e"), ("a", "x")])
    assert joined == {"a": "a", "b": "b", "c": "b", "d": "d", "e": "b", "f": "b"}


@pytest.mark.timeout(20)
def test_groups_of_many_identical_photos_join_in_linear_time():
    names = [str(number) for number in range(40_000)]
    joined = join_groups({name: name for name in names}, [("0", name) for name in names[1:]])
    assert {*joined.values()} == {"0"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "1.bmp: empty"),
        (b"this is no picture", "1.bmp: not an image .it begins with 'this is no p'"),
        (None, "1.bmp: cannot be read as an image .*cut off"),
        (Image.new("RGB", (32, 40), (12, 90, 40)), r"Train_Labels/1\.bmp: 100% of the pixels are far"),
    ],
)
def test_an_unusable_mask_is_reported_by_name_with_the_reason(tmp_path, content, message):
    write_pair(tmp_path / "V2", "Train", "1", 0)
    mask = tmp_path / "V2" / "Train_Labels" / "1.bmp"
    if isinstance(content, Image.Image):
        content.save(mask)
    else:
        mask.write_bytes(mask.read_bytes()[:1000] if content is None else content)
    source = FASSEG(str(tmp_path), "V2")
    with pytest.raises(DataError, match=message):
        source.read_mask(source.samples()[0], FASSEG6)


def test_the_fourth_byte_of_a_bmp_is_padding_not_alpha(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8)
    pixels[..., 3] = 0
    header = b"BM" + (54 + 140).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little")
    info = (40).to_bytes(4, "little") + (7).to_bytes(4, "little") + (5).to_bytes(4, "little")
    info += (1).to_bytes(2, "little") + (32).to_bytes(2, "little") + bytes(24)
    (tmp_path / "x.bmp").write_bytes(header + info + pixels[::-1].tobytes())
    assert (read_rgb(tmp_path / "x.bmp") == pixels[..., 2::-1]).all()


def test_a_color_mask_with_transparent_pixels_is_an_error_for_a_custom_source(tmp_path):
    pixels = np.full((4, 5, 4), 255, np.uint8)
    Image.fromarray(pixels).save(tmp_path / "1.png")
    assert (read_rgb(tmp_path / "1.png") == 255).all()
    pixels[0, 0, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "2.png")
    with pytest.raises(DataError, match=r"2.png: has transparent pixels"):
        read_rgb(tmp_path / "2.png")
