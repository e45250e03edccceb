"""Memory and CPU time of synthetic faces: rendered into the cache, then trained on.

    python benchmarks/synthetic.py [--faces 10000] [--size 256] [--steps 100] [--seeds 40] [--json FILE] [KEY=VALUE ...]

Renders `--faces` faces, as `data.synthetic_faces` does, into a cache in a temporary folder (256 KiB a face at 256x256),
and trains on batches of them. Prints the resident memory, MiB, when parts of them are rendered and after the training:
what is allocated (freed memory is returned to the system first), the mapped pages of files, such as the cache, which
the system can take back, and the peak so far. Also prints CPU-milliseconds per face, with the cache and for `draw_face`
alone at 256x200 (one thread, mean over `--seeds` seeds). For Linux with glibc.
"""

import argparse
import ctypes
import itertools
import json
import logging
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import facesegl
from facesegl.commands.build import GIVEN
from facesegl.config.check import check
from facesegl.config.compose import Composed
from facesegl.config.instantiate import build
from facesegl.data.cache import FaceCache
from facesegl.labels.decode import Decoded
from facesegl.labels.taxonomy import Taxonomy
from facesegl.sources.drawn import DrawnFaces
from facesegl.sources.source import Sample
from facesegl.synthetic.render import draw_face

PARTS = (0.1, 0.25, 0.5, 1.0)
"""The parts of the faces after which memory is measured."""

Memory = dict[str, float]


def main() -> None:
    """Print the table, and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=256, help="height and width in the cache, pixels")
    parser.add_argument("--steps", type=int, default=100, help="training steps")
    parser.add_argument("--seeds", type=int, default=40, help="faces to time draw_face on")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    parser.add_argument("keys", nargs="*", help="keys of the training")
    args = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("facesegl").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        keys = [
            *("data=synthetic", "data.source.train=4", "data.source.test=1", "data.fold=null", "trainer=cpu"),
            *(f"data.image_size={args.size}", "data.synthetic_share=0.5", "callbacks.panels=null", *args.keys),
            *(f"paths.{name}={folder}/{name}" for name in ("data", "runs", "cache")),
        ]
        train(keys, faces=1, steps=1)  # imports and the allocator's first pages
        memory = {"start": resident()}
        rendering, at = render(keys, args.faces)
        memory |= {f"{done} faces": found for done, found in at.items()}
        training = train(keys, args.faces, args.steps)
        memory[f"{args.steps} training steps"] = resident()
    alone = milliseconds(args.seeds)
    print(f"{'after':>20} {'allocated':>10} {'mapped':>7} {'peak':>7}   resident MiB")
    for moment, found in memory.items():
        print(f"{moment:>20} {found['allocated']:>10.1f} {found['mapped']:>7.1f} {found['peak']:>7.1f}")
    print(f"{1000 * rendering / args.faces:.1f} CPU-ms per face rendered at {args.size} rows and cached")
    print(f"{alone:.1f} CPU-ms per face rendered at 256x200, mean over {args.seeds} seeds")
    if args.json:
        numbers = {
            **{"faces": args.faces, "size": args.size, "steps": args.steps, "memory_mib": memory},
            **{"cpu_ms_cached": 1000 * rendering / args.faces, "cpu_ms_256x200": alone, "cpu_s_training": training},
        }
        args.json.write_text(json.dumps(numbers, indent=2) + "\n")


class Watched(DrawnFaces):
    """The synthetic faces of `data.synthetic_faces`; notes the memory when parts of them are rendered.

    Args:
        count: the number of faces.
        height: rows of a photo.
    """

    def __init__(self, count: int, height: int) -> None:
        super().__init__(count, height)
        self.memory: dict[int, Memory] = {}
        self._done = itertools.count(1)
        self._moments = {round(part * count) for part in PARTS}

    def read(self, sample: Sample, taxonomy: Taxonomy) -> tuple[np.ndarray, Decoded]:
        """Render a face."""
        found = super().read(sample, taxonomy)
        if (done := next(self._done)) in self._moments:
            self.memory[done] = resident()
        return found


def render(keys: list[str], faces: int) -> tuple[float, dict[int, Memory]]:
    """CPU-seconds of rendering faces into the cache that the training then finds, and the memory meanwhile."""
    data = build(check(Composed.of(keys), given=GIVEN).data)
    watched = Watched(faces, data.image_size)
    start = time.process_time()
    FaceCache(watched, data.taxonomy, data.image_size, data.cache_root)
    return time.process_time() - start, dict(sorted(watched.memory.items()))


def train(keys: list[str], faces: int, steps: int) -> float:
    """CPU-seconds of training; an epoch is one step."""
    result = facesegl.train(*keys, f"data.synthetic_faces={faces}", f"trainer.max_epochs={steps}")
    return result.seconds["training"]["cpu"]


def milliseconds(seeds: int) -> float:
    """CPU-milliseconds per face of `draw_face` in this thread."""
    start = time.process_time()
    for seed in range(seeds):
        draw_face(seed, 256, 200)
    return 1000 * (time.process_time() - start) / max(seeds, 1)


def resident() -> Memory:
    """The resident memory of this process, MiB: allocated, mapped from files, and the peak of both together."""
    ctypes.CDLL(None).malloc_trim(0)  # otherwise a leak that fits into freed memory would not show
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    names = {"allocated": "RssAnon", "mapped": "RssFile", "peak": "VmHWM"}
    return {name: int(fields[field].split()[0]) / 1024 for name, field in names.items()}


if __name__ == "__main__":
    main()
