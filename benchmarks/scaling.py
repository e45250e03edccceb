"""Memory and CPU time of `data check`, cache building, an epoch and `predict`, from few photos to many.

    python benchmarks/scaling.py [--photos 300 3000 10000 30000] [--folder FOLDER] [--json found.json]

Makes small photos with index masks, then runs each command on the first N of them in a new process on one thread, with
a small net. A first table has, for each number of photos, CPU-seconds and the peak of anonymous memory (no pages of
files), in MiB, over the process and its children. A second one has the exponents of CPU-seconds over the number of
photos, over the side of photos and net, and over the net's width: the slopes of log-log least squares, each after the
seconds of the smallest run, which are mostly start-up, were subtracted. 1 is linear. With --folder, photos and finished
measurements are kept there, and a second start continues. Linux only: memory is read from /proc.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

WRITES = {"data check": "cache", "cache": "cache", "epoch": "run", "predict": "masks"}
"""The commands, each with the folder that it writes."""

COMMANDS = [*WRITES]
CLASSES = "classes: {background: [0, 0, 0], skin: [255, 200, 150], hair: [90, 60, 30]}\n"
BUILD_CACHE = """
import sys
from facesegl.commands.build import GIVEN
from facesegl.config.check import check
from facesegl.config.compose import Composed
from facesegl.config.instantiate import build
build(check(Composed.of(sys.argv[1:]), given=GIVEN).data, augment=None).setup()
"""


class Case(NamedTuple):
    """What one row of measurements runs on."""

    photos: int
    side: int = 32
    width: int = 4


class Cost(NamedTuple):
    """CPU-seconds and peak anonymous memory, in MiB, of a process and its children."""

    seconds: float
    memory: float


def main() -> None:
    """Measure every case and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, nargs="+", default=[300, 3000, 10000, 30000])
    parser.add_argument("--sides", type=int, nargs="+", default=[32, 64, 128, 256])
    parser.add_argument("--widths", type=int, nargs="+", default=[4, 16, 32, 64])
    parser.add_argument("--folder", type=Path, help="keep photos and measurements here")
    parser.add_argument("--json", type=Path, help="write the measurements here")
    asked = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = asked.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        fewest = min(asked.photos)
        by = {
            "photos": [Case(photos) for photos in asked.photos],
            "side": [Case(fewest, side=side) for side in asked.sides],
            "width": [Case(fewest, side=max(asked.sides), width=width) for width in asked.widths],
        }
        found = {
            name: {getattr(case, name): measured(case, folder.resolve()) for case in cases}
            for name, cases in by.items()
        }
    print(f"{'photos':>8}" + "".join(f"{name + ', s':>15}{'MiB':>6}" for name in COMMANDS))
    for photos, costs in found["photos"].items():
        print(f"{photos:>8}" + "".join(f"{seconds:>15.1f}{memory:>6.0f}" for seconds, memory in costs.values()))
    print(f"\n{'exponent':>8}" + "".join(f"{name:>12}" for name in COMMANDS))
    for name, rows in found.items():
        slopes = (exponent([*rows], [row[command][0] for row in rows.values()]) for command in COMMANDS)
        print(f"{name:>8}" + "".join(f"{slope:>12.2f}" for slope in slopes))
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2), encoding="utf-8")


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """The slope of log(seconds) over log(size), both without those of the smallest size; NaN where nothing is added."""
    x, y = np.array(sizes[1:]) - sizes[0], np.array(seconds[1:]) - seconds[0]
    return float(np.polyfit(np.log(x), np.log(y), 1)[0]) if len(x) > 1 and (y > 0).all() else float("nan")


def measured(case: Case, folder: Path) -> dict[str, Cost]:
    """The cost of each command, run in a new process unless the folder has its cost already."""
    photos, work = make_photos(folder, case.photos, case.side), folder / "-".join(map(str, case))
    facesegl = [sys.executable, "-m", "facesegl"]
    data = [
        *("data=folder", f"data.source.images={photos}/images", f"data.source.masks={photos}/masks"),
        *(f"data.taxonomy={photos}/classes.yaml", f"data.image_size={case.side}", f"paths.cache={work}/cache"),
    ]
    train = [
        *("data.batch_size=16", "model.depth=3", f"model.channels={case.width}", f"paths.run={work}/run"),
        *("trainer=cpu", "trainer.max_epochs=1", "callbacks.panels=null"),
    ]
    words = {
        "data check": [*facesegl, "data", "check", *data],
        "cache": [sys.executable, "-c", BUILD_CACHE, *data],
        "epoch": [*facesegl, "train", *data, *train],
        "predict": [*facesegl, "predict", f"{work}/run", f"{photos}/images", "-o", f"{work}/masks", "--device", "cpu"],
    }
    work.mkdir(parents=True, exist_ok=True)
    costs = {}
    for name in COMMANDS:
        record = work / f"{name.replace(' ', '_')}.json"
        if not record.is_file():
            shutil.rmtree(work / WRITES[name], ignore_errors=True)  # by a measurement that was stopped
            record.write_text(json.dumps(cost(words[name], record.with_suffix(".txt"))), encoding="utf-8")
        costs[name] = Cost(*json.loads(record.read_text(encoding="utf-8")))
    return costs


def cost(words: Sequence[str], log: Path) -> Cost:
    """Run a command to its end."""
    with log.open("w") as out:
        process = subprocess.Popen(
            words, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        peak = 0.0
        while True:
            peak = max(peak, anonymous(process.pid))
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            time.sleep(0.02)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):  # `data check` ends with 1 if it finds an error
        raise SystemExit(f"{' '.join(words)}\nended with {process.returncode}: {log.read_text()}")
    return Cost(usage.ru_utime + usage.ru_stime, peak / 1024)


def anonymous(pid: int) -> float:
    """The anonymous memory of a process and its children now, in KiB; 0 where it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0.0
    own = next((float(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")), 0.0)
    return own + sum(anonymous(int(child)) for child in children)


def make_photos(folder: Path, photos: int, side: int) -> Path:
    """Photos and index masks, complete once `classes.yaml` is there: a tenth of them are for testing."""
    target = folder / f"photos-{photos}-{side}"
    if (target / "classes.yaml").is_file():
        return target
    rows, columns = np.mgrid[:side, :side] / side - 0.5
    for number in range(photos):
        split, name = "test" if number % 10 == 9 else "train", f"{number:06}"
        for kind in ("images", "masks"):
            (target / kind / split).mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(number)
        colors = Image.fromarray(random.integers(0, 256, (9, 9, 3), dtype=np.uint8))
        colors.resize((side, side), Image.Resampling.BICUBIC).save(target / "images" / split / f"{name}.jpg")
        radius = np.hypot(rows - random.uniform(-0.1, 0.1), columns - random.uniform(-0.1, 0.1))
        mask = (radius < 0.35).astype(np.uint8) + (radius < 0.2)
        Image.fromarray(mask).save(target / "masks" / split / f"{name}.png")
    (target / "classes.yaml").write_text(CLASSES, encoding="utf-8")
    return target


if __name__ == "__main__":
    main()
