"""From real photos to a score, masks, a page and an export: the commands of the README, checked from outside."""

import json

import numpy as np
import pytest
from PIL import Image

from helpers.calling import call
from helpers.faces import FASSEG6

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

COLOURS = np.array(FASSEG6.colours, dtype=int)
DOUBLED = {13, 17, 20, 23, 26, 44}  # test photos that also stand in training, docs/fasseg.md
SAME_PERSON = {1, 3, 5, 6, 7, 8}


def decode(colours):
    """The decoding rule of docs/architecture.md once more, pixel by pixel: (H, W, 3) to class indices."""
    distance = ((colours[:, :, None].astype(int) - COLOURS) ** 2).sum(-1)
    near = distance.min(-1) <= 32**2
    certain = np.where(near, distance.argmin(-1), -1)
    mask = certain.copy()
    for y, x in np.argwhere(~near):
        reach, around = 2, set()
        while not around:
            window = certain[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
            around, reach = set(window[window >= 0].tolist()), 2 * reach
        mask[y, x] = min(sorted(around), key=lambda label: distance[y, x, label])
    return mask


def score(masks, labels):
    """The mIoU of index masks by set, with nothing of facesegl."""
    counts = {}
    for number in range(1, 51):
        truth = decode(np.asarray(Image.open(labels / f"{number}.bmp").convert("RGB")))
        mask = np.asarray(Image.open(masks / f"{number}.png")).astype(int)
        counts[number] = np.bincount((6 * truth + mask).ravel(), minlength=36).reshape(6, 6)
    left_out = {"test": set(), "test_clean": DOUBLED, "test_strict": DOUBLED | SAME_PERSON}
    pooled = {name: sum(counts[number] for number in counts if number not in out) for name, out in left_out.items()}
    return {
        name: (found.diagonal() / (found.sum(0) + found.sum(1) - found.diagonal())).mean()
        for name, found in pooled.items()
    }


def run(*arguments):
    ended = call(*arguments)
    assert ended.code == 0, ended.err
    return ended.out


def mious(folder):
    scores = json.loads((folder / "result.json").read_text())["scores"]
    return {name: found["scores"]["miou"] for name, found in scores.items()}


def test_what_is_predicted_is_what_is_scored_by_the_checkpoint_and_by_its_export(real_fasseg, tmp_path, all_threads):
    photos = f"paths.data={real_fasseg.parent}"
    small = ["data.image_size=128", "trainer.max_epochs=8", "model.channels=8"]
    run("train", "data=fasseg_v2", "data.fold=null", photos, "paths.run=runs/final", *small)
    run("evaluate", "runs/final", photos, "name=again")
    (again,) = (tmp_path / "runs" / "again").iterdir()
    run("predict", "runs/final", real_fasseg / "V2" / "Test_RGB", "-o", "masks")
    by_hand = score(tmp_path / "masks", real_fasseg / "V2" / "Test_Labels")
    assert mious(again) == pytest.approx(by_hand, abs=1e-9)
    assert mious(again) == mious(tmp_path / "runs" / "final")

    run("report", "runs/final")
    assert (tmp_path / "runs" / "final" / "report.html").read_text().count("<figcaption>") == 9

    run("export", "runs/final", "-o", "model.onnx")
    certificate = json.loads((tmp_path / "model.parity.json").read_text())
    assert certificate
    run("evaluate", "model.onnx", photos, "name=exported")
    (exported,) = (tmp_path / "runs" / "exported").iterdir()
    assert mious(exported) == pytest.approx(by_hand, abs=1e-4)
