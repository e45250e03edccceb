"""Small trees of files in the exact layouts of data sets and labelling tools, with synthetic faces."""

import functools
import json
from pathlib import Path

import numpy as np
from PIL import Image

from facesegl.synthetic.conventions import CONVENTIONS
from facesegl.synthetic.parts import PARTS
from facesegl.synthetic.render import draw_face

CELEBAMASK = (
    *("background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear", "mouth"),
    *("u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth"),
)
LAPA = (
    *("background", "skin", "left_eyebrow", "right_eyebrow", "left_eye", "right_eye", "nose", "upper_lip"),
    *("inner_mouth", "lower_lip", "hair"),
)
FROM_CELEBAMASK = ("", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "nose", "u_lip", "mouth", "l_lip", "hair")
WORN = {"eye_g": (60, 60, 60), "hat": (40, 90, 40), "ear_r": (240, 220, 90), "neck_l": (230, 230, 250)}


def draw_parts(seed, height=64, width=64):
    """The parts of a synthetic face, by CelebAMask-HQ's names: (H, W) bool each, overlapping as in CelebAMask-HQ."""
    face = _frontal(seed, height, width).coverage > 0.5
    parts = {
        name: face[..., [PARTS.index(part) for part in ones]].any(axis=-1)
        for name, ones in CONVENTIONS["celebamask_hq"].items()
    }
    del parts["background"]
    head = np.any([part for name, part in parts.items() if name not in ("hair", "neck", "cloth")], axis=0)
    down, across = np.indices((height, width)) / np.array([height, width])[:, None, None]
    glasses = np.square((np.abs(across - 0.5) - 0.18) / 0.12) + np.square((down - 0.42) / 0.07)
    neck_line = parts["neck"] & (down > 0.9)
    return parts | {
        "skin": head,
        "eye_g": (np.abs(glasses - 1) < 0.5) & (seed % 4 == 1),
        "hat": (head | parts["hair"]) & (down < 0.15) & (seed % 5 == 0),
        "ear_r": (np.abs(np.abs(across - 0.5) - 0.35) < 0.03) & (np.abs(down - 0.6) < 0.03) & (seed % 3 == 0),
        "neck_l": neck_line & (seed % 6 == 2),
    }


@functools.cache
def _frontal(seed, height, width):
    without = ("pose", "crop", "expression", "facial_hair", "glasses", "headwear", "light", "camera", "backdrop")
    return draw_face(seed, height, width, "celebamask_hq", without)


def draw_photo(seed, height=64, width=64):
    """The photo of the same face, (H, W, 3) uint8, with glasses, hat and jewellery."""
    photo = _frontal(seed, height, width).photo.copy()
    for name, colour in WORN.items():
        photo[draw_parts(seed, height, width)[name]] = colour
    return photo


def overlay(parts, names):
    """Overlay parts in the order of `names`, the first of which is the rest: (H, W) uint8 indices."""
    mask = np.zeros(next(iter(parts.values())).shape, np.uint8)
    for index, name in enumerate(names):
        if name in parts:
            mask[parts[name]] = index
    return mask


def lapa_mask(seed, height=64, width=64):
    """The 11 classes of LaPa and of Helen."""
    return overlay(draw_parts(seed, height, width), FROM_CELEBAMASK)


def save(pixels, path):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **({"quality": 95} if path.suffix.casefold() in (".jpg", ".jpeg") else {}))
    return path


def write_celebamask(root, photos=6, height=64, val=1, test=2):
    """`CelebA-HQ-img/0.jpg`, and masks at half its size: `CelebAMask-HQ-mask-anno/0/00000_skin.png`, ..."""
    root = Path(root)
    rows = ["idx   orig_idx  orig_file"]
    for number in range(photos):
        save(draw_photo(number, height, height), root / "CelebA-HQ-img" / f"{number}.jpg")
        for name, part in draw_parts(number, height // 2, height // 2).items():
            if part.any():
                white = np.repeat(np.uint8(255) * part[..., None], 3, axis=2)
                folder = root / "CelebAMask-HQ-mask-anno" / str(number // 2000)
                save(white, folder / f"{number:05}_{name}.png")
        left = photos - number
        original = (190_000 if left <= test else 170_000 if left <= test + val else 100_000) + number
        rows.append(f"{number:<6}{original:>8}  {original + 1:06}.jpg")
    (root / "CelebA-HQ-to-CelebA-mapping.txt").write_text("\n".join(rows) + "\n")
    (root / "CelebAMask-HQ-pose-anno.txt").write_text(f"{photos}\nYaw Pitch Raw\n0.jpg 0 0 0\n")
    return root


def write_lapa(root, train=4, val=2, test=2):
    """`train/images/NAME_0.jpg`, `train/labels/NAME_0.png`, `train/landmarks/NAME_0.txt`, and so on."""
    seed = 0
    for split, number in (("train", train), ("val", val), ("test", test)):
        for _ in range(number):
            folder, name = Path(root) / split, f"{10_009_865_324 + seed}_0"
            save(draw_photo(seed, 48, 40), folder / "images" / f"{name}.jpg")
            save(lapa_mask(seed, 48, 40), folder / "labels" / f"{name}.png")
            (folder / "landmarks").mkdir(exist_ok=True)
            (folder / "landmarks" / f"{name}.txt").write_text("106\n" + "1.0 2.0\n" * 106)
            seed += 1
    return Path(root)


def write_helen(root, train=4, val=2, test=2):
    """`images/NAME.jpg`, `labels/NAME/NAME_lbl00.png` to `..._lbl10.png`, and three lists of `number , name`."""
    root, seed = Path(root), 0
    for file, number in (("exemplars", train), ("tuning", val), ("testing", test)):
        lines = []
        for index in range(number):
            name = f"{100_032_540 + seed}_1"
            lines.append(f"{index + 1} , {name}")
            save(draw_photo(seed, 48, 40), root / "images" / f"{name}.jpg")
            for label, grey in enumerate(soft(lapa_mask(seed, 48, 40), 11)):
                save(grey, root / "labels" / name / f"{name}_lbl{label:02}.png")
            seed += 1
        (root / f"{file}.txt").write_text("\n".join(lines) + "\n")
    (root / "README.txt").write_text("SEGMENT LABEL FORMAT\n")
    return root


def soft(mask, classes):
    """Probabilities (C, H, W) uint8 whose argmax is the mask (H, W), uncertain at edges."""
    sure = (mask == np.arange(classes)[:, None, None]).astype(float)
    padded = np.pad(sure, ((0, 0), (1, 1), (1, 1)), mode="edge")
    around = sum(padded[:, y : y + mask.shape[0], x : x + mask.shape[1]] for y in range(3) for x in range(3)) / 9
    return np.rint((0.6 * sure + 0.4 * around) * 255).astype(np.uint8)


CVAT_LABELS = {
    "background": (0, 0, 0),
    "skin": (255, 204, 51),
    "left eye": (51, 221, 255),
    "right eye": (42, 125, 209),
    "hair": (61, 61, 245),
}


def five_classes(seed, height=48, width=40):
    """Background, skin, left eye, right eye, hair."""
    return overlay(draw_parts(seed, height, width), ("", "skin", "l_eye", "r_eye", "hair"))


def write_cvat(root, photos=5, images=True, subsets=None):
    """A "Segmentation mask 1.1" export; `subsets` has the frames of each; by default all are in `default`."""
    root = Path(root)
    colours = np.uint8([*CVAT_LABELS.values()])
    names = [f"frame_{number:06}" for number in range(photos)]
    for number, name in enumerate(names):
        mask = five_classes(number)
        save(colours[mask], root / "SegmentationClass" / f"{name}.png")
        save(colours[(mask > 0).astype(int)], root / "SegmentationObject" / f"{name}.png")
        if images:
            save(draw_photo(number, 48, 40), root / "JPEGImages" / f"{name}.jpg")
    lines = [f"{name}:{','.join(map(str, colour))}::" for name, colour in CVAT_LABELS.items()]
    (root / "labelmap.txt").write_text("\n".join(["# label:color_rgb:parts:actions", *lines]) + "\n")
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for subset, frames in (subsets or {"default": range(photos)}).items():
        (lists / f"{subset}.txt").write_text("".join(f"{names[frame]}\n" for frame in frames))
    return root


def write_label_studio(root, photos=5, tasks=True):
    """An export "Brush labels to PNG" in `root/export`, and the photos of its tasks in `root/photos`."""
    root, exported = Path(root), []
    for number in range(photos):
        task, annotation, name = number + 11, number + 40, f"Anna Ö {number}.jpg"
        save(draw_photo(number, 48, 40), root / "photos" / name)
        parts = draw_parts(number, 48, 40)
        strokes = {"skin": [parts["skin"]], "left eye": [parts["l_eye"]], "right eye": [parts["r_eye"]]}
        top = np.arange(48)[:, None] < 24
        strokes["hair"] = [parts["hair"] & top, parts["hair"] & ~top]
        for label, several in strokes.items():
            for stroke, part in enumerate(several):
                file = f"task-{task}-annotation-{annotation}-by-1-tag-{label}-{stroke}.png"
                save(np.uint8(255) * part, root / "export" / file)
        results = [{"from_name": "tag", "type": "brushlabels", "value": {"brushlabels": [label]}} for label in strokes]
        image = f"/data/upload/3/{0x8DF1A4CB + number:08x}-{name}"
        exported.append({"id": task, "data": {"image": image}, "annotations": [{"id": annotation, "result": results}]})
    if tasks:
        file = root / "export" / "project-3-at-2026-11-20-10-00-00.json"
        file.write_text(json.dumps(exported), encoding="utf-8")
    return root


def write_folders(
    root, names, images="photos", masks="masks", suffix="", ending=".jpg", mask_ending=".png", colours=None
):
    """One photo and one mask of five classes per name, as numbers or `colours`."""
    for seed, name in enumerate(names):
        save(draw_photo(seed, 48, 40), Path(root) / images / f"{name}{ending}")
        mask = five_classes(seed)
        path = Path(root) / masks / f"{name}{suffix}{mask_ending}"
        if mask_ending == ".npy":
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, mask)
        else:
            save(mask if colours is None else np.uint8(colours)[mask], path)
    return Path(root)


def write_many_classes(root, classes, photos=8, names=None):
    """Photos and masks with any number of classes in `root/photos` and `root/masks`, and `root/many.yaml`."""
    rng = np.random.default_rng(classes)
    colours = rng.permutation(216)[:classes]
    names = names or [f"class {index}" for index in range(classes)]
    painted = {
        name: [int(c % 6) * 51, int(c // 6 % 6) * 51, int(c // 36) * 51] for name, c in zip(names, colours, strict=True)
    }
    for number in range(photos):
        mask = rng.integers(0, classes, (8, 6), dtype=np.uint8).repeat(6, 0).repeat(6, 1)
        mask[:6, :6], mask[-6:, -6:] = 0, classes - 1
        save(mask, Path(root) / "masks" / f"{number}.png")
        shaded = np.uint8([*painted.values()])[mask] // 2 + 40  # a picture of the mask is refused
        save(shaded, Path(root) / "photos" / f"{number}.png")
    (Path(root) / "many.yaml").write_text(json.dumps({"classes": painted}, ensure_ascii=False), encoding="utf-8")
    return Path(root)
