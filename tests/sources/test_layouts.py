"""Data sets and exports are read in their own layouts, each from a small tree."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import facesegl
from facesegl.config.check import read_taxonomy
from facesegl.config.compose import compose
from facesegl.config.instantiate import build
from facesegl.errors import ConfigError, DataError
from facesegl.labels import VOID
from helpers.trainings import SMALL_UNET
from helpers.trees import (
    CELEBAMASK,
    CVAT_LABELS,
    LAPA,
    draw_parts,
    five_classes,
    lapa_mask,
    overlay,
    soft,
    write_celebamask,
    write_cvat,
    write_helen,
    write_label_studio,
    write_lapa,
)


def faces(*overrides):
    return build(compose(overrides).data, augment=None)


def samples(module):
    return {sample.id: sample for sample in module.source.samples()}


def mask(module, name):
    return module.source.read_mask(samples(module)[name], module.taxonomy).mask


def problems(*overrides):
    with pytest.raises((DataError, ConfigError)) as caught:
        faces(*overrides).source.samples()
    return [*caught.value.problems]


def fasseg_of(indices, *classes):
    """Masks of other classes in FASSEG's classes, or VOID."""
    return np.uint8([VOID if name == "void" else FASSEG.index(name) for name in classes])[indices]


FASSEG = ("background", "skin", "hair", "nose", "eyes", "mouth")


# CelebAMask-HQ


@pytest.fixture
def celebamask():
    return write_celebamask("data/CelebAMask-HQ", photos=6, val=1, test=2)


def test_celebamask_has_one_file_per_part_at_half_the_photos_size(celebamask):
    module = faces("data=celebamask_hq")
    assert module.taxonomy.names == CELEBAMASK
    assert [*samples(module)] == ["train/0", "train/1", "train/2", "val/3", "test/4", "test/5"]
    for name in samples(module):
        expected = overlay(draw_parts(int(name.split("/")[1]), 32, 32), CELEBAMASK)
        assert (mask(module, name) == expected.repeat(2, 0).repeat(2, 1)).all()


def test_celebamask_is_cached_at_native_size_with_a_fingerprint_of_every_part(celebamask):
    module = faces("data=celebamask_hq", "data.image_size=32")
    module.setup("fit")
    assert not module.cache.left_out
    photos, masks = module.cache.read(np.arange(6))
    assert (photos.shape, masks.shape) == ((6, 32, 32, 3), (6, 32, 32, 3)), "19 classes take three bytes"
    assert module.cache.rows[0].height == 64
    part = celebamask / "CelebAMask-HQ-mask-anno" / "0" / "00002_nose.png"
    shutil.copy(part.with_name("00001_nose.png"), part)
    changed = faces("data=celebamask_hq", "data.image_size=32").cache
    part.rename(part.with_name("00002_hat.png"))
    renamed = faces("data=celebamask_hq", "data.image_size=32").cache
    assert len({module.cache.fingerprint, changed.fingerprint, renamed.fingerprint}) == 3


def test_celebamask_as_fasseg(celebamask):
    module = faces("data=celebamask_hq", "data/taxonomy=celebamask_hq_as_fasseg")
    as_fasseg = ("background", "skin", "nose", "void", "eyes", "eyes", "hair", "hair", "skin", "skin")
    as_fasseg += ("mouth", "mouth", "mouth", "hair", "void", "skin", "skin", "skin", "background")
    for number in (0, 1):
        expected = fasseg_of(overlay(draw_parts(number, 32, 32), CELEBAMASK), *as_fasseg)
        assert (mask(module, f"train/{number}")[::2, ::2] == expected).all()


def test_celebamasks_mapping_is_required_unless_disabled(celebamask):
    file = celebamask / "CelebA-HQ-to-CelebA-mapping.txt"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:-1]))
    assert problems("data=celebamask_hq") == [
        f"{celebamask}/CelebA-HQ-img/5.jpg: not in {file}; expected every photo there."
    ]
    file.write_text("something else\nlike this\n")
    assert "expected a header, then lines of idx, orig_idx and orig_file" in problems("data=celebamask_hq")[0]
    file.unlink()
    assert "Without splits: data.source.mapping=null" in problems("data=celebamask_hq")[0]
    assert len(samples(faces("data=celebamask_hq", "data.source.mapping=null"))) == 6


def test_parts_are_found_in_any_numbered_folder(celebamask):
    for old, new in (("CelebA-HQ-img/5.jpg", "CelebA-HQ-img/2003.jpg"), ("0/00005_skin.png", "1/02003_skin.png")):
        folder = celebamask / ("" if old.startswith("C") else "CelebAMask-HQ-mask-anno")
        (folder / new).parent.mkdir(exist_ok=True)
        (folder / old).rename(folder / new)
    for path in celebamask.rglob("00005_*.png"):
        path.unlink()
    sample = samples(faces("data=celebamask_hq", "data.source.mapping=null"))["train/2003"]
    assert [name for name, _path in sample.parts] == ["skin"]


# LaPa and Helen


AS_FASSEG = ("background", "skin", "hair", "hair", "eyes", "eyes", "nose", "mouth", "mouth", "mouth", "hair")


def test_lapa_has_its_splits_and_numbers():
    write_lapa("data/LaPa", train=3, val=1, test=2)
    module, as_fasseg = faces("data=lapa"), faces("data=lapa", "data/taxonomy=lapa_as_fasseg")
    assert module.taxonomy.names == LAPA
    assert [name.split("/")[0] for name in samples(module)] == ["train"] * 3 + ["val"] + ["test"] * 2
    for seed, name in enumerate(samples(module)):
        assert (mask(module, name) == lapa_mask(seed, 48, 40)).all()
        assert (mask(as_fasseg, name) == fasseg_of(lapa_mask(seed, 48, 40), *AS_FASSEG)).all()


def test_an_unknown_number_in_lapa_is_reported_with_its_file():
    write_lapa("data/LaPa", train=3, val=0, test=0)
    path = sorted(Path("data/LaPa/train/labels").iterdir())[1]
    pixels = np.array(Image.open(path))
    pixels[0, 0] = 11
    Image.fromarray(pixels).save(path)
    with pytest.raises(DataError) as caught:
        faces("data=lapa", "data.image_size=16").setup("fit")
    assert str(caught.value).startswith(
        f"{path}: holds 11, which is no class: add it to `classes`, or to `remap` with every other number"
    )


@pytest.fixture
def helen():
    return write_helen("data/SmithCVPR2013_dataset_resized", train=2, val=1, test=1)


def test_helen_has_probabilities_of_eleven_parts_and_three_lists(helen):
    module = faces("data=helen")
    assert module.taxonomy.names == LAPA
    assert [*samples(module)] == ["train/100032540_1", "train/100032541_1", "val/100032542_1", "test/100032543_1"]
    for seed, name in enumerate(samples(module)):
        assert (mask(module, name) == soft(lapa_mask(seed, 48, 40), 11).argmax(0)).all()
        assert (mask(module, name) == lapa_mask(seed, 48, 40)).mean() > 0.97


def test_helen_as_fasseg_sums_the_probabilities_of_merged_classes(helen):
    module = faces("data=helen", "data/taxonomy=helen_as_fasseg")
    probabilities = soft(lapa_mask(0, 48, 40), 11).astype(int)
    sums = [sum(probabilities[np.array(AS_FASSEG) == name]) for name in FASSEG]
    assert (mask(module, "train/100032540_1") == np.argmax(sums, axis=0)).all()


def test_a_missing_list_of_helen_is_reported(helen):
    (helen / "tuning.txt").unlink()
    assert problems("data=helen") == [
        f"{helen}/tuning.txt: no such file; expected a text file with one photo name per line."
    ]


@pytest.mark.parametrize("name", ["celebamask_hq", "lapa", "helen"])
def test_missing_data_name_the_config_key_of_their_folder(name):
    assert "say where" in problems(f"data={name}")[0].casefold()
    assert "data.source.images=FOLDER" in problems(f"data={name}")[0]


# CVAT


CVAT = ("data=cvat", "data.source.root=export")


def test_a_cvat_export_defines_classes_and_pairs():
    write_cvat("export")
    module = faces(*CVAT)
    assert module.taxonomy.to_mapping()["classes"] == {name: [*colour] for name, colour in CVAT_LABELS.items()}
    assert module.taxonomy.pairs == (("left eye", "right eye"),)
    assert [*samples(module)] == [f"train/frame_{number:06}" for number in range(5)]
    for number, name in enumerate(samples(module)):
        assert (mask(module, name) == five_classes(number)).all()


def test_cvats_subsets_are_splits_and_unlabelled_frames_are_left_out(caplog):
    write_cvat("export", subsets={"Train": [0, 1], "Validation": [2], "TEST": [4], "more": [3]})
    found = [f"{split}/frame_00000{n}" for n, split in enumerate(("train", "train", "val", "train", "test"))]
    assert [*samples(faces(*CVAT))] == found
    Path("export/SegmentationClass/frame_000003.png").unlink()
    with caplog.at_level(logging.INFO):
        assert [*samples(faces(*CVAT))] == [*found[:3], found[4]]
    assert "1 photos have no mask and are left out: frame_000003.jpg" in caplog.text


def test_a_cvat_export_without_images_uses_another_folder():
    write_cvat("export")
    Path("export/JPEGImages").rename("frames")
    (problem,) = problems(*CVAT)
    assert "export again with images, or say where the photos are with data.source.images=FOLDER" in problem
    assert len(samples(faces(*CVAT, "data.source.images=frames"))) == 5


def test_masks_of_one_channel_hold_the_labels_numbers():
    write_cvat("export", photos=2)
    for number in range(2):
        Image.fromarray(five_classes(number)).save(f"export/SegmentationClass/frame_{number:06}.png")
    module = faces(*CVAT)
    assert (mask(module, "train/frame_000001") == five_classes(1)).all()


def test_cvats_labels_may_be_merged_by_color():
    write_cvat("export", photos=1)
    colours = {"0, 0, 0": "rest", "255, 204, 51": "face", "51,221,255": "face", "42, 125, 209": "face"}
    classes = {"rest": [0, 0, 0], "face": [255, 200, 150]}
    Path("merged.yaml").write_text(json.dumps({"classes": classes, "remap": {**colours, "61, 61, 245": "void"}}))
    config = read_taxonomy(compose([*CVAT, "data.taxonomy=merged.yaml"]))
    module = build(config.data, augment=None)
    assert (mask(module, "train/frame_000000") == np.uint8([0, 1, 1, 1, VOID])[five_classes(0)]).all()


def test_a_labelmap_without_a_background_gets_a_black_one_first():
    write_cvat("export", photos=1)
    file = Path("export/labelmap.txt")
    lines = [line for line in file.read_text().splitlines() if not line.startswith("background")]
    file.write_text("\n".join([*lines, "odd: name,x:1,2,3:hand,foot:jump,run"]))
    module = faces(*CVAT)
    assert module.taxonomy.names == ("background", "skin", "left eye", "right eye", "hair", "odd: name,x")
    assert (mask(module, "train/frame_000000") == five_classes(0)).all()


def test_cvats_own_background_next_to_a_label_of_that_name_gets_a_hint(caplog):
    write_cvat("export", photos=1)
    file = Path("export/labelmap.txt")
    file.write_text("Background:0,215,255::\n" + file.read_text())
    assert "Background" in faces(*CVAT).taxonomy.names
    (hint,) = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
    assert "labelmap.txt: Background and background are two classes. If they are one, merge them with `remap`" in hint
    assert "CVAT's background is everything without a label" in hint


LABELMAP = Path("export/labelmap.txt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (LABELMAP.unlink, "labelmap.txt: cannot be read; expected it in an export of CVAT"),
        (lambda: LABELMAP.write_text("skin\n"), "labelmap.txt: skin; expected label:red,green,blue::"),
        (lambda: LABELMAP.write_text("a:1,2,3::\nb:1,2,3::\n"), "labelmap.txt: in its labels, a and b have the same"),
        (lambda: shutil.rmtree("export"), "export: no such folder"),
        (lambda: Path("export").rename("e") and Path("export").write_bytes(b"PK"), "export: a file; expected a folder"),
    ],
)
def test_an_invalid_cvat_export_is_reported(change, message):
    write_cvat("export", photos=1)
    change()
    assert message in problems(*CVAT)[0]


# Label Studio


STUDIO = ("data=label_studio", "data.source.root=export", "data.source.images=photos")


def five_of(number):
    """The classes of the export in alphabetical order, smaller parts on top of larger ones."""
    parts = draw_parts(number, 48, 40)
    found = np.zeros((48, 40), np.uint8)
    named = {"hair": parts["hair"], "left eye": parts["l_eye"], "right eye": parts["r_eye"], "skin": parts["skin"]}
    for name in sorted(named, key=lambda name: -named[name].sum()):
        found[named[name]] = 1 + [*named].index(name)
    return found


def test_a_label_studio_export_defines_classes_and_the_photos_of_tasks():
    write_label_studio(".")
    module = faces(*STUDIO)
    assert module.taxonomy.names == ("background", "hair", "left eye", "right eye", "skin")
    assert module.taxonomy.pairs == (("left eye", "right eye"),)
    assert [*samples(module)] == [f"train/Anna Ö {number}" for number in range(5)]
    for number, name in enumerate(samples(module)):
        assert (mask(module, name) == five_of(number)).all()
        assert (mask(module, name) == 2).any(), "the eye is not painted over by the skin around it"
    without_rest = faces(*STUDIO, "data.source.rest=void")
    assert without_rest.taxonomy.names == module.taxonomy.names[1:]
    for number, name in enumerate(samples(module)):
        expected = five_of(number).astype(int) - 1
        assert (mask(without_rest, name) == np.where(expected < 0, VOID, expected)).all()


def test_without_a_json_export_photos_may_be_named_after_their_tasks():
    write_label_studio(".", tasks=False)
    assert problems(*STUDIO) == [
        "export: no file says which photos its tasks have; put the project's JSON export next to the masks, or set it "
        "with data.source.tasks=FILE."
    ]
    for number in range(5):
        name = f"task-{number + 11}.jpg" if number % 2 else f"{number + 11}.jpg"
        Path(f"photos/Anna Ö {number}.jpg").rename(f"photos/{name}")
    assert len(samples(faces(*STUDIO))) == 5


@pytest.mark.parametrize(
    "url",
    [
        *("/data/local-files/?d=faces/Anna%20%C3%96%20{}.jpg", "https://example.org/a/Anna%20%C3%96%20{}.jpg?token=1"),
        *("s3://bucket/x/Anna Ö {}.jpg", "Anna Ö {}.jpg"),
    ],
)
@pytest.mark.parametrize("small", [False, True])
def test_tasks_name_their_photos_in_any_usual_way(url, small):
    write_label_studio(".", photos=2)
    (file,) = Path("export").glob("*.json")
    names = [{"image": url.format(number)} for number in range(2)]
    tasks = [{"id": 11 + number, **({**one} if small else {"data": one})} for number, one in enumerate(names)]
    file.unlink()
    Path("tasks.json").write_text(json.dumps(tasks))
    assert len(samples(faces(*STUDIO, "data.source.tasks=tasks.json"))) == 2


def test_unlabelled_photos_are_left_out_and_the_latest_annotation_counts(caplog):
    write_label_studio(".", photos=3)
    for path in Path("export").glob("task-12-*"):
        path.unlink()
    for path in Path("export").glob("task-11-*"):
        shutil.copy(path, path.with_name(path.name.replace("annotation-40", "annotation-39").replace("skin", "chin")))
    with caplog.at_level(logging.INFO):
        found = samples(faces(*STUDIO))
    assert [*found] == ["train/Anna Ö 0", "train/Anna Ö 2"]
    assert {name for name, _ in found["train/Anna Ö 0"].parts} == {"skin", "left eye", "right eye", "hair"}
    assert "1 photos have no mask and are left out: Anna Ö 1.jpg" in caplog.text
    assert "tasks with several annotations: 11; of each the ground truth is used, else the last one upd" in caplog.text


def test_a_brush_may_have_any_name_and_the_masks_may_be_numpy_files():
    write_label_studio(".", photos=1)
    (file,) = Path("export").glob("*.json")
    file.write_text(file.read_text().replace('"tag"', '"my-brush"'))
    for path in Path("export").glob("*.png"):
        path.rename(path.with_name(path.name.replace("-tag-", "-my-brush-").replace("by-1", "by-ann@example.org")))
    assert faces(*STUDIO).taxonomy.names == ("background", "hair", "left eye", "right eye", "skin")
    for path in [*Path("export").glob("*.png")]:
        np.save(path.with_suffix(".npy"), np.array(Image.open(path)))
        path.unlink()
    assert (mask(faces(*STUDIO), "train/Anna Ö 0") == five_of(0)).all()


def edited(change):
    """Write two tasks; `change(task, first, second)` edits task 11, whose second annotation lacks the hair."""
    write_label_studio(".", photos=2)
    (file,) = Path("export").glob("*.json")
    tasks = json.loads(file.read_text())
    (first,) = tasks[0]["annotations"]
    first["updated_at"] = "2026-11-20T10:00:00.500000Z"
    second = {**first, "id": 45, "updated_at": "2026-11-21T10:00:00Z", "result": first["result"][:-1]}
    tasks[0]["annotations"] = [second, first]  # the converter lists the newest first
    for path in Path("export").glob("task-11-*"):
        if "hair" not in path.name:
            shutil.copy(path, path.with_name(path.name.replace("annotation-40", "annotation-45")))
    change(tasks[0], first, second)
    file.write_text(json.dumps(tasks))
    return file


@pytest.mark.parametrize(
    ("change", "number"),
    [
        (lambda task, first, second: None, 45),
        (lambda task, first, second: first.update(updated_at="2026-11-21T10:00:00.100000Z"), 40),
        (lambda task, first, second: first.update(ground_truth=True), 40),
        (lambda task, first, second: second.update(was_cancelled=True), 40),
        (lambda task, first, second: task.update(predictions=[{"id": 99, "result": []}], drafts=[{"id": 98}]), 45),
        (lambda task, first, second: (first.pop("updated_at"), second.pop("updated_at")), 45),
    ],
    ids=["newest", "updated later", "ground truth", "cancelled", "predictions", "no times"],
)
@pytest.mark.parametrize("minimal", [False, True])
def test_the_corrected_annotation_counts_or_the_ground_truth(change, number, minimal, caplog):
    file = edited(change)
    if minimal:
        to_minimal(file)
        if "ground_truth" in file.read_text() or number == 40:
            pytest.skip("JSON-MIN has neither ground truth nor cancelled annotations")
    with caplog.at_level(logging.INFO):
        parts = samples(faces(*STUDIO))["train/Anna Ö 0"].parts
    assert {path.name.split("-by-")[0] for _, path in parts} == {f"task-11-annotation-{number}"}
    assert ("hair" in dict(parts)) == (number == 40)
    assert "tasks with several annotations: 11; of each the ground" in caplog.text or "cancel" in file.read_text()


def to_minimal(file):
    """Rewrite a JSON export as JSON-MIN, with its real keys."""
    records = []
    for task in json.loads(file.read_text()):
        for one in task["annotations"]:
            brushes = {}
            for region in one["result"]:
                brushes.setdefault(region["from_name"], []).append({"format": "rle", "rle": [0], **region["value"]})
            facts = {"annotator": 1, "annotation_id": one["id"], "updated_at": one.get("updated_at"), "lead_time": 3.5}
            records.append({**task["data"], "id": task["id"], **brushes, **facts})
    file.write_text(json.dumps(records))


def test_a_json_min_export_names_brushes_with_a_hyphen():
    write_label_studio(".", photos=2)
    (file,) = Path("export").glob("*.json")
    file.write_text(file.read_text().replace('"tag"', '"my-brush"'))
    to_minimal(file)
    for path in Path("export").glob("*.png"):
        path.rename(path.with_name(path.name.replace("-tag-", "-my-brush-")))
    assert faces(*STUDIO).taxonomy.names == ("background", "hair", "left eye", "right eye", "skin")


def test_a_submitted_empty_annotation_is_a_photo_without_labels(caplog):
    def empty(task, first, second):
        second["result"] = []

    edited(empty)
    with caplog.at_level(logging.INFO):
        module = faces(*STUDIO)
        assert len(samples(module)) == 2
    assert (mask(module, "train/Anna Ö 0") == 0).all()
    assert mask(module, "train/Anna Ö 1").any()
    assert "1 photos have an empty annotation; all their pixels are background" in caplog.text
    assert (mask(faces(*STUDIO, "data.source.rest=void"), "train/Anna Ö 0") == VOID).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda task, first, second: second.update(id=50),
            "task 11: annotation 50 in the JSON export has no masks; ex",
        ),
        (
            lambda task, first, second: task.update(annotations=[first]),
            "task 11: annotation 45 has masks, but is not in",
        ),
    ],
)
def test_masks_and_json_of_different_exports_are_reported(change, message):
    edited(change)
    assert problems(*STUDIO)[0].startswith(message)


def test_a_task_whose_annotations_are_all_cancelled_is_unlabelled():
    edited(lambda task, first, second: [one.update(was_cancelled=True) for one in (first, second)])
    assert [*samples(faces(*STUDIO))] == ["train/Anna Ö 1"]


@pytest.mark.parametrize("listed", [True, False])
def test_a_stroke_with_several_labels_is_reported_and_is_no_class(listed):
    write_label_studio(".", photos=2)
    (file,) = Path("export").glob("*.json")
    if listed:
        file.write_text(file.read_text().replace('["hair"]', '["hair", "skin"]'))
    for path in Path("export").glob("task-11-*hair-0*" if not listed else "*hair-*"):
        path.rename(path.with_name(path.name.replace("hair", "hair-skin")))
    module = faces(*STUDIO)
    assert "hair-skin" not in module.taxonomy.names
    (problem,) = module.source.survey().problems
    assert ": a stroke with several labels (hair-skin); give each stroke one label in Label Studio" in problem


def test_a_label_with_a_hyphen_or_a_slash_is_one_label():
    write_label_studio(".", photos=2)
    (file,) = Path("export").glob("*.json")
    file.write_text(file.read_text().replace('["hair"]', '["skin/left eye"]'))
    for path in Path("export").glob("*hair-*"):
        path.rename(path.with_name(path.name.replace("hair", "skin-left eye")))
    assert "skin-left eye" in faces(*STUDIO).taxonomy.names
    assert len(samples(faces(*STUDIO))) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: shutil.rmtree("photos"), "photos: no such folder"),
        (Path("photos/Anna Ö 0.jpg").unlink, "task 11: its photo is /data/upload/3/8df1a4cb-Anna Ö 0.jpg, which"),
        (lambda: Path("export/x.json").write_text("{}"), "x.json: has no tasks; expected Label Studio's JSON"),
        (lambda: Path("export/x.json").write_text("{"), "x.json: cannot be read"),
        (lambda: [path.unlink() for path in Path("export").glob("*.png")], "export: no file such as task-1-annotation"),
    ],
)
def test_an_invalid_label_studio_export_is_reported(change, message):
    write_label_studio(".", photos=2)
    change()
    assert message in problems(*STUDIO)[0]


NO_IDS = ("[1]", '{"a": 1}', '"11"', "NaN", "1" + "0" * 5000, "true")


@pytest.mark.parametrize(
    "content", ["[" * 100_000, "3", "[[1]]", *(f'[{{"id": {number}}}]' for number in NO_IDS), b"\xff\xfe["]
)
def test_json_of_another_form_is_reported_in_one_line(content):
    write_label_studio(".", photos=2)
    Path("export/x.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    for ask in (lambda: problems(*STUDIO), lambda: faces(*STUDIO)):
        try:
            (line,) = ask()
        except DataError as error:
            (line,) = error.problems
        assert line.startswith("export/x.json: ")


HOSTILE = (
    *(None, 3, -1.5, True, "http://[", "\x00", "\ud800.jpg", [], [[]], {}, {"result": 5}, [{"result": [None, 3]}]),
    {"rle": [255] * 9, "original_width": 10**12, "original_height": -1},
)


def task_with(key, value):
    """The task of the export whose `key` has another value, wherever it is."""
    (file,) = Path("export").glob("*.json")
    (task,) = json.loads(file.read_text(encoding="utf-8"))
    first = task["annotations"][0]["result"][0]
    inner = {"image": task["data"], "result": task["annotations"][0], "from_name": first, "value": first}
    inner.get(key, task)[key] = value
    return task


@pytest.mark.parametrize("key", ["data", "image", "annotations", "result", "from_name", "file_upload", "value"])
def test_other_contents_of_a_json_export_may_be_anything(key):
    write_label_studio(".", photos=1)
    source = faces(*STUDIO).source
    (file,) = Path("export").glob("*.json")
    written = [json.dumps([task_with(key, value)]) for value in HOSTILE]
    for content in written:
        file.write_text(content)
        source.own_taxonomy()
        survey = source.survey()
        assert all(problem.startswith(("task 11: ", f"{Path.cwd().name}: no photo")) for problem in survey.problems)
        assert survey.samples or survey.problems


def test_invalid_label_names_and_two_tasks_of_one_photo_are_reported():
    write_label_studio(".", photos=2)
    (file,) = Path("export").glob("*.json")
    file.write_text(file.read_text().replace("Anna \\u00d6 1", "Anna \\u00d6 0").replace("8df1a4cc", "8df1a4cb"))
    assert "task 12: has the photo photos/Anna Ö 0.jpg of another task" in problems(*STUDIO)[0]
    for path in Path("export").glob("*-tag-hair-0.png"):
        path.rename(path.with_name(path.name.replace("hair", "a\x1bb")))
    with pytest.raises(
        DataError, match=r"export: in its labels, the name .* contains characters that cannot be printed"
    ):
        faces(*STUDIO)


# all of them, as commands use them


@pytest.mark.parametrize(
    ("write", "overrides", "classes"),
    [
        (lambda: write_celebamask("data/CelebAMask-HQ"), ["data=celebamask_hq"], 19),
        (lambda: write_lapa("data/LaPa"), ["data=lapa"], 11),
        (lambda: write_helen("data/SmithCVPR2013_dataset_resized"), ["data=helen"], 11),
        (lambda: write_cvat("export"), [*CVAT], 5),
        (lambda: write_label_studio("."), [*STUDIO], 5),
    ],
    ids=["celebamask_hq", "lapa", "helen", "cvat", "label_studio"],
)
def test_each_layout_trains_and_evaluates_to_the_same_scores(write, overrides, classes, monkeypatch, tmp_path):
    write()
    result = facesegl.train(*overrides, *SMALL_UNET, "trainer.max_epochs=1", "logger=none")
    assert len(result.scores["val"]["scores"]["iou"]) == classes
    (tmp_path / "else").mkdir()
    last = (result.folder / "checkpoints" / "last.ckpt").absolute()
    monkeypatch.chdir(tmp_path / "else")
    again = facesegl.evaluate(last, "set=val", "panels=1", "device=cpu")
    assert again.scores == result.scores
