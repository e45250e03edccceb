"""CPU-seconds of whole commands compared with `python -c "import torch"`: the cost of start-up.

    python benchmarks/startup.py [--rounds 5]

Each command is a new process on one thread. They run alternately; the ratios are medians over the rounds.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from facesegl.nets import UNet

COMMANDS = {
    'python -c "import torch"': ["-c", "import torch"],
    "facesegl --help": ["-m", "facesegl", "--help"],
    "facesegl train --help": ["-m", "facesegl", "train", "--help"],
    "facesegl info CKPT": ["-m", "facesegl", "info", "last.ckpt"],
    "facesegl predict CKPT": ["-m", "facesegl", "predict", "last.ckpt", "photo.png", "-o", "out", "--device", "cpu"],
}


def main() -> None:
    """Run the commands alternately and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    asked, _ = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        _write_inputs(Path(folder))
        rounds = [[cpu_seconds(words, folder) for words in COMMANDS.values()] for _ in range(asked.rounds + 1)][1:]
    print(f"{'CPU-seconds':>11} {'ratio':>6} {'more':>6}   median of {asked.rounds}, compared with import torch")
    for index, name in enumerate(COMMANDS):
        seconds, ratio, more = (
            statistics.median(values)
            for values in zip(*((row[index], row[index] / row[0], row[index] - row[0]) for row in rounds), strict=True)
        )
        print(f"{seconds:>11.2f} {ratio:>6.2f} {more:>+6.2f}   {name}")


def cpu_seconds(words: list[str], folder: str) -> float:
    """CPU-seconds of Python with these arguments, from its start to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *words], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _write_inputs(folder: Path) -> None:
    net = {"num_classes": 3, "channels": 8, "depth": 3}
    card = {
        "format": 1,
        "net": {"_target_": "facesegl.nets.UNet", **net},
        "taxonomy": {"classes": {"background": [0, 0, 0], "skin": [255, 0, 0], "hair": [0, 0, 255]}},
        "normalisation": {"mean": [120.0, 110.0, 100.0], "std": [50.0, 40.0, 30.0]},
        "image_size": 64,
        "data": {"choice": "synthetic", "name": "synthetic", "fingerprint": "0" * 12, "values": {}},
        "config": "",
        "versions": {},
    }
    state = {f"net.{name}": value for name, value in UNet(**net).state_dict().items()}
    torch.save({"state_dict": state, "hyper_parameters": card}, folder / "last.ckpt")
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(folder / "photo.png")


if __name__ == "__main__":
    main()
