import unicodedata
from pathlib import Path

import pytest

from facesegl.errors import ConfigError
from facesegl.sources.listing import Found
from facesegl.sources.pairing import MaskName, are_masks, pair


def found(*names):
    """Files, whose name is the path without the suffix."""
    return [Found(Path(name), name.rpartition(".")[0]) for name in names]


def paired(photos, masks, template=None):
    """The names of each photo's masks, and all pairs."""
    listed = found(*photos)
    pairs = pair(listed, found(*masks), MaskName(template))
    together = {
        listed[place].path.as_posix(): [str(mask.file.path) for mask in masks] for place, masks in pairs.masks.items()
    }
    return together, pairs


@pytest.mark.parametrize(
    "mask",
    [
        *("anna.png", "anna_mask.png", "anna-label.png", "anna.seg.png", "anna_gt.png", "anna mask.png"),
        *("anna_SEGMENTATION.png", "mask_anna.png", "label-anna.npy", "Anna.PNG", "anna_labels.tif"),
    ],
)
def test_a_mask_has_its_photos_name_with_or_without_a_word_like_mask(mask):
    assert paired(["anna.JPG", "bob.jpg"], [mask])[0] == {"anna.JPG": [mask]}


@pytest.mark.parametrize("photo", ["anna_image.jpg", "anna-rgb.png", "anna.img.jpg", "ANNA photo.jpg"])
def test_a_photos_name_may_contain_a_word_like_image(photo):
    assert paired([photo, "bob_image.jpg"], ["anna_label.png", "bob.png"])[0] == {
        photo: ["anna_label.png"],
        "bob_image.jpg": ["bob.png"],
    }


def test_a_photo_named_like_a_mask_keeps_its_own_mask():
    together, pairs = paired(["face_mask.jpg", "face.jpg"], ["face_mask.png", "face_mask_mask.png"])
    assert together == {"face_mask.jpg": ["face_mask.png", "face_mask_mask.png"]}
    assert (len(pairs.ambiguous), len(pairs.without_mask)) == (1, 1)


def test_composed_and_decomposed_letters_are_the_same():
    decomposed = unicodedata.normalize("NFD", "Zoë.jpg")
    assert decomposed != "Zoë.jpg"
    assert paired([decomposed], ["Zoë.png"])[0] == {decomposed: ["Zoë.png"]}


@pytest.mark.parametrize(
    ("photos", "masks", "by_path"),
    [
        (["a/1.jpg", "b/1.jpg"], ["a/1_mask.png", "b/1.png"], True),
        (["1.jpg", "x/2.jpg"], ["0/1.png", "0/2.png"], False),
    ],
)
def test_folders_count_unless_they_yield_no_pair(photos, masks, by_path):
    together, pairs = paired(photos, masks[::-1])
    assert together == {photo: [mask] for photo, mask in zip(photos, masks, strict=True)}
    assert pairs.by_path is by_path


def test_ambiguous_names_and_unpaired_files_are_kept_apart():
    _, pairs = paired(["1.jpg", "1.png", "2.jpg", "3.jpg"], ["1.png", "2.png", "2_mask.png", "4.png"])
    assert pairs.same_name == [[0, 1]]
    assert pairs.ambiguous == [2]
    assert pairs.without_mask == [3]
    assert [mask.name for mask in pairs.without_photo] == ["4"]


@pytest.mark.parametrize(
    ("template", "mask"),
    [
        *(("{stem}_seg", "anna_seg.png"), ("{stem}", "anna.png")),
        *(("m.{stem}.v2", "m.anna.v2.png"), ("({stem})", "(anna).png")),
    ],
)
def test_a_template_defines_how_masks_are_named(template, mask):
    together, pairs = paired(["anna.jpg"], [mask, "anna_other.png"], template)
    assert together == {"anna.jpg": [mask]}
    assert len(pairs.without_photo) == 1


def test_numbers_may_be_padded_with_zeros():
    masks = {"0.jpg": "00000.png", "12.jpg": "00012.png", "123456.jpg": "123456.png"}
    together, pairs = paired([*masks], [*masks.values()], "{stem:05}")
    assert {photo: mask[0] for photo, mask in together.items()} == masks
    assert not pairs.without_photo


def test_part_names_may_contain_the_separator_and_come_first():
    photos = found("anna.jpg", "anna_left.jpg", "bob_2.jpg")
    masks = found("anna_left_eye.png", "anna_skin.png", "bob_2_left_eye.png", "bob_2_hair.png")
    pairs = pair(photos, masks, MaskName("{stem}_{part}"))
    parts = {photos[place].name: sorted(mask.part for mask in found) for place, found in pairs.masks.items()}
    assert parts == {"anna": ["skin"], "anna_left": ["eye"], "bob_2": ["hair", "left_eye"]}
    assert not pairs.ambiguous
    pairs = pair(found("anna 1.jpg"), found("left eye of anna 1.png"), MaskName("{part} of {stem}"))
    assert pairs.masks[0][0].part == "left eye"


@pytest.mark.parametrize(
    "template", ["mask", "{stem}{stem}", "{stem}_{prt}", "{stem:x}", "{part}", "{stem}_{part}_{part}"]
)
def test_an_invalid_template_is_an_error(template):
    with pytest.raises(ConfigError, match=r"data\.source\.mask_name=.*expected one \{stem\}"):
        MaskName(template)


def test_in_a_shared_folder_masks_are_named_after_another_file():
    files = found("anna.jpg", "anna_mask.png", "bob.jpg", "mask_bob.png", "face_mask.jpg", "eve.npy")
    assert {path.name for path in are_masks(files, MaskName(None))} == {"anna_mask.png", "mask_bob.png", "eve.npy"}


def test_in_a_shared_folder_of_jpeg_and_png_twins_the_pngs_are_masks():
    twins = found("anna.JPG", "anna.png", "b.c.jpeg", "b.c.png")
    assert {path.name for path in are_masks(twins, MaskName(None))} == {"anna.png", "b.c.png"}
    assert are_masks(found("anna.jpg", "anna.png", "bob.jpg"), MaskName(None)) == set()
    assert are_masks(found("anna.png", "bob.png"), MaskName(None)) == set()
