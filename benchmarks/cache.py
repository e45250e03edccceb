"""CPU time of preparing a mask for the cache (shrink, then pack), compared with a plain implementation.

    python benchmarks/cache.py [--rounds 5] [--size 256] [--faces 5]

The plain one averages the one-hot mask by matrix products and takes the argmax. Both run alternately in this process,
on one thread, on masks of synthetic faces. Prints a row for each number of classes: milliseconds per mask, plain and
with facesegl, and the speed-up, the median over the rounds of plain / facesegl.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from facesegl.labels import VOID, pack_onehot, shrink_mask
from facesegl.synthetic.conventions import CONVENTIONS
from facesegl.synthetic.parts import PARTS
from facesegl.synthetic.render import draw_face


def main() -> None:
    """Time both implementations alternately and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--faces", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    fasseg = [[part in parts for parts in CONVENTIONS["fasseg"].values()].index(True) for part in PARTS]
    classes = np.array(fasseg, dtype=np.uint8)
    faces = [classes[draw_face(seed, 512, 400).coverage.argmax(axis=-1)] for seed in range(args.faces)]
    thirds = np.arange(400, dtype=np.uint8)[None] // 134
    print(f"{'classes':>8} {'plain':>8} {'facesegl':>9} {'ratio':>6}   milliseconds per mask")
    for num_classes, masks in ((6, faces), (18, [face + 6 * thirds for face in faces])):
        seconds(shrink_mask, masks, args.size, num_classes), seconds(plain, masks, args.size, num_classes)  # warm-up
        times = [
            [seconds(shrink, masks, args.size, num_classes) for shrink in (plain, shrink_mask)]
            for _ in range(args.rounds)
        ]
        slow, quick = (statistics.median(column) * 1000 for column in zip(*times, strict=True))
        ratio = statistics.median(slow / quick for slow, quick in times)
        print(f"{num_classes:>8} {slow:>8.2f} {quick:>9.2f} {ratio:>6.2f}")


def seconds(shrink: Callable[..., np.ndarray], masks: list[np.ndarray], size: int, num_classes: int) -> float:
    """CPU-seconds per mask."""
    start = time.process_time()
    for mask in masks:
        pack_onehot(shrink(mask, size, size, num_classes), num_classes)
    return (time.process_time() - start) / len(masks)


def plain(mask: np.ndarray, height: int, width: int, num_classes: int) -> np.ndarray:
    """The class with the largest area in each pixel: a minimal `shrink_mask`, except for ties."""
    values = torch.tensor([*range(num_classes), VOID], dtype=torch.uint8)
    rows, columns = _overlap(mask.shape[0], height), _overlap(mask.shape[1], width)
    areas = torch.stack([rows @ (torch.from_numpy(mask) == value).float() @ columns.T for value in values])
    return values[areas.argmax(dim=0)].numpy()


def _overlap(source: int, target: int) -> torch.Tensor:
    """(target, source): the share of each target cell that each source cell covers."""
    edges, cells = torch.arange(target + 1) * (source / target), torch.arange(source)
    overlap = torch.minimum(edges[1:, None], cells + 1) - torch.maximum(edges[:-1, None], cells)
    return overlap.clamp(min=0) * (target / source)


if __name__ == "__main__":
    main()
