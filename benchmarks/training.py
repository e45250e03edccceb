"""CPU-seconds of `facesegl train` compared with a bare PyTorch loop over the same net and the same batches.

    python benchmarks/training.py [--rounds 3] [--epochs 20] [KEY=VALUE ...]

Both train alternately in this process, on one thread: by default the reference experiment on synthetic faces. The time
of a run is that of its training phase, with logging, counting, progress and panels, without imports, cache,
checkpoints and scoring. The time of the bare loop is the cost of the net alone.
"""

import argparse
import logging
import statistics
import tempfile
import time

import numpy as np
import torch
from omegaconf import DictConfig
from torch.nn import functional

import facesegl
from facesegl.commands.build import GIVEN
from facesegl.config.check import check
from facesegl.config.compose import Composed
from facesegl.config.instantiate import build


def main() -> None:
    """Train both ways alternately and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("keys", nargs="*", default=["data=synthetic"])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("facesegl").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        keys = [
            *("experiment=reference", "data.fold=null", "trainer=cpu", *asked.keys),
            *(f"paths.runs={folder}", "callbacks.checkpoint=null", f"trainer.max_epochs={asked.epochs}"),
        ]
        warm = [*keys, "trainer.max_epochs=1"]
        with_facesegl(warm), bare(warm)  # imports, caches and the allocator's first pages
        times = [(with_facesegl(keys), bare(keys)) for _ in range(asked.rounds)]
    print(f"{'round':>8} {'facesegl':>10} {'bare loop':>10} {'ratio':>7}   CPU-seconds")
    for number, (ours, theirs) in enumerate(times, start=1):
        print(f"{number:>8} {ours:>10.2f} {theirs:>10.2f} {ours / theirs:>7.3f}")
    print(f"{'median':>8} {'':>10} {'':>10} {statistics.median(ours / theirs for ours, theirs in times):>7.3f}")


def with_facesegl(keys: list[str]) -> float:
    """CPU-seconds of the training phase that the run itself records."""
    return facesegl.train(*keys).seconds["training"]["cpu"]


def bare(keys: list[str]) -> float:
    """CPU-seconds of a minimal training loop."""
    plan = check(Composed.of(keys), given=GIVEN)
    photos, targets, mean, std = _arrays(plan)
    torch.manual_seed(plan.seed)
    net = build(plan.model, num_classes=6).to(memory_format=torch.channels_last)
    optimizer = build(plan.optimizer)(net.parameters())
    start = time.process_time()
    for epoch in range(plan.trainer.max_epochs):
        order = np.random.default_rng(epoch).permutation(len(photos))
        for batch in np.split(order, range(plan.data.batch_size, len(order), plan.data.batch_size)):
            images = (torch.from_numpy(photos[batch]).permute(0, 3, 1, 2) - mean) / std
            loss = functional.cross_entropy(net(images), torch.from_numpy(targets[batch]).long(), ignore_index=255)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return time.process_time() - start


def _arrays(plan: DictConfig) -> tuple[np.ndarray, np.ndarray, torch.Tensor, torch.Tensor]:
    """Photos (N, S, S, 3) uint8 and index masks (N, S, S) uint8 of the training set, and its normalisation."""
    faces = build(plan.data)
    faces.setup("fit")
    masks = np.stack(list(faces.training_masks()))
    normalisation = faces.normalisation()
    mean, std = (torch.tensor(normalisation[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    return faces.cache.read(faces.train)[0], masks, mean, std


if __name__ == "__main__":
    main()
