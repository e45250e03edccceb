"""Kill trainings at any moment, resume them, and compare them with undisturbed ones, bit for bit.

    python benchmarks/kill_loop.py [--trials 150] [--seed 0] [--folder kills] [--recipe NAME ...]
    python benchmarks/kill_loop.py --each-checkpoint

A trial trains with one recipe, sends SIGKILL, SIGTERM or SIGINT at random moments, and resumes with `resume=auto` until
it is done. Then weights (last and best), optimizer, curves and scores must be those of the undisturbed run. With
`--each-checkpoint` a training is killed once, right after a checkpoint, for each checkpoint that it writes.

The trials are numbered, each follows from the seed and its number, and those in FOLDER/trials.jsonl are not repeated.
The exit code is 1 if a trial failed; its folder is kept.

Each start is a fork of this process, which has imported everything, so that it takes a second. It needs Linux or macOS.
"""

import argparse
import itertools
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra.core.global_hydra
import torch
from torch.utils import tensorboard  # noqa: F401 - imported before the fork

from facesegl import cli
from facesegl.commands import sweep as _sweep  # noqa: F401 - so are these
from facesegl.learning.callbacks import EarlyStopping, WholeCheckpointIO  # noqa: F401
from facesegl.monitoring import Charts  # noqa: F401
from facesegl.reporting import terminal as _terminal  # noqa: F401
from facesegl.reporting.history import read_history

SMALL = [
    *("data=synthetic", "data.source.train=6", "data.source.test=2", "data.source.height=32", "data.folds=3"),
    *("data.image_size=16", "data.batch_size=2", "trainer=cpu", "trainer.max_epochs=8"),
    *("callbacks.panels=null", "callbacks.checkpoint.every_s=0", "optimizer.lr=1e-3"),
]
UNET = ["model.channels=4", "model.depth=3"]
STOPS_EARLY = ["trainer.max_epochs=30", "callbacks.early_stopping.patience=4"]
ONE_BY_ONE = ["data.batch_size=1"]  # four batches in an epoch

RECIPES = {
    "default": [],
    "early stopping": STOPS_EARLY,
    "max_steps": ["+trainer.max_steps=11"],  # ends within an epoch
    "max_steps at an end": ["+trainer.max_steps=12", "trainer.max_epochs=-1"],
    "max_time": ["+trainer.max_time={milliseconds:400}", *STOPS_EARLY],
    "accumulation": [*ONE_BY_ONE, "trainer.accumulate_grad_batches=3"],
    "accumulation and max_steps": [*ONE_BY_ONE, "trainer.accumulate_grad_batches=3", "+trainer.max_steps=9"],
    "workers": ["data.workers=2", *STOPS_EARLY],
    "validates twice an epoch": [*ONE_BY_ONE, "trainer.val_check_interval=0.5", *STOPS_EARLY],
    "validates every three batches": [
        *(*ONE_BY_ONE, "trainer.val_check_interval=3", "trainer.check_val_every_n_epoch=null", *STOPS_EARLY),
    ],
    "validates every other epoch": ["trainer.check_val_every_n_epoch=2", *STOPS_EARLY],
    "rare checkpoints": ["callbacks.checkpoint.every_s=1", *STOPS_EARLY],
    "reference": ["experiment=reference", "logger=csv", "+trainer.max_steps=7"],
    "mixed": ["data.synthetic_share=0.5", "data.synthetic_faces=4", "+trainer.max_steps=13"],
    "sweep": ["-m", "seed=0,1", *STOPS_EARLY],
}
SIGNALS = [signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT]
ENDS = (0, 128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGKILL)
TIMEOUT_S = 300


class DifferentError(Exception):
    """A trial that did not end as the undisturbed run."""


def main() -> int:
    """Run the trials that have not been run yet, and count the failed ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("kills"))
    parser.add_argument("--recipe", action="append", choices=[*RECIPES], help="only these")
    parser.add_argument("--each-checkpoint", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    names = asked.recipe or [*RECIPES]
    folder = asked.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if asked.each_checkpoint:
        trials = [(f"checkpoints {name}", name, kill_after_each_checkpoint) for name in names]
    else:
        trials = [
            (f"{asked.seed}-{number}", names[number % len(names)], kill_at_random) for number in range(asked.trials)
        ]
    results = [one_trial(folder, *trial) for trial in trials]
    failed = [result for result in results if result["failure"]]
    print(f"{len(results)} trials, {sum(result['kills'] for result in results)} kills, {len(failed)} failed")
    return 1 if failed else 0


def one_trial(folder: Path, name: str, recipe: str, disturb: Callable[..., int]) -> dict[str, Any]:
    """Run a trial, or return its result from an earlier start; a line is printed and kept for each."""
    kept = folder / "trials.jsonl"
    lines = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    if before := [line for line in lines if line["trial"] == name and line["recipe"] == recipe]:
        return before[-1]
    undisturbed, work = folder / "undisturbed" / recipe, folder / "trial"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    failure, kills, began = "", 0, time.monotonic()
    took = train_undisturbed(undisturbed, recipe)
    try:
        kills = disturb(work, recipe, took, random.Random(f"{name} {recipe}"))
        compare_all(work, undisturbed)
    except Exception as error:
        failure = f"{type(error).__name__}: {error}" if isinstance(error, DifferentError) else traceback.format_exc()
        shutil.rmtree(folder / f"failed {name}", ignore_errors=True)
        work.rename(folder / f"failed {name}")
    result = {"trial": name, "recipe": recipe, "kills": kills, "failure": failure}
    with kept.open("a") as file:
        file.write(json.dumps(result) + "\n")
    print(
        f"{name:>8}  {recipe:<30} {kills:>2} kills  {time.monotonic() - began:5.1f} s  {failure or 'same'}", flush=True
    )
    return result


def train_undisturbed(folder: Path, recipe: str) -> float:
    """Train without a kill, unless that was done before; returns the seconds it took."""
    if not (folder / "seconds").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        began = time.monotonic()
        finish(folder, without_time_limit(recipe))
        (folder / "seconds").write_text(str(time.monotonic() - began))
    return float((folder / "seconds").read_text())


def without_time_limit(recipe: str) -> list[str]:
    return [word for word in RECIPES[recipe] if not word.startswith("+trainer.max_time")]


def kill_at_random(folder: Path, recipe: str, took: float, rng: random.Random) -> int:
    """Kill a training up to five times, at any moment, and resume it to its end; returns the number of kills."""
    kills = 0
    for start in range(rng.randint(1, 5)):
        if is_done(folder, recipe):
            return kills
        child = fork(folder, [*RECIPES[recipe], *(["resume=auto"] if start else [])])
        moment, signum = rng.uniform(0, 1.1 * took), rng.choice(SIGNALS)
        twice = signum == signal.SIGINT and rng.random() < 0.3
        if ended(child, moment) is None:
            os.kill(child, signum)
            kills += 1
            code = ended(child, rng.uniform(0, 0.3)) if twice else None
            if twice and code is None:
                os.kill(child, signum)
            require_end(folder, ended(child, TIMEOUT_S) if code is None else code)
    finish(folder, [*without_time_limit(recipe), "resume=auto"], recipe)
    return kills


def kill_after_each_checkpoint(folder: Path, recipe: str, _took: float, _rng: random.Random) -> int:
    """Kill one training after its first checkpoint, the next one after its second, ...; returns the number of kills."""
    for number in itertools.count(1):
        shutil.rmtree(folder)
        folder.mkdir()
        code = ended(fork(folder, without_time_limit(recipe), kill_after=number), TIMEOUT_S)
        require_end(folder, code)
        if code == 0:
            return number - 1
        finish(folder, [*without_time_limit(recipe), "resume=auto"], recipe)
        compare_all(folder, folder.with_name("undisturbed") / recipe)
    raise AssertionError


def finish(folder: Path, words: list[str], recipe: str = "") -> None:
    """Train to the end; a time limit may stop it on the way."""
    if recipe and is_done(folder, recipe):
        return
    code = ended(fork(folder, words), TIMEOUT_S)
    if code != 0:
        raise DifferentError(f"exit code {code}: {(folder / 'log').read_text()[-2000:]}")


def fork(folder: Path, words: list[str], kill_after: int = 0) -> int:
    """Start `facesegl train` in a fork of this process; returns its process id."""
    sys.stdout.flush()
    if child := os.fork():
        return child
    try:
        os.chdir(folder)
        log = os.open("log", os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)
        for stream in (1, 2):
            os.dup2(log, stream)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ |= {"FACESEGL_CACHE": "cache", "FACESEGL_DATA": str(folder.parent / "data")}
        multirun = ["-m"] if "-m" in words else []
        sys.argv = [
            "facesegl",
            "train",
            *multirun,
            *SMALL,
            *([] if "experiment=reference" in words else UNET),
            *(word for word in words if word != "-m"),
        ]
        if kill_after:
            die_after_checkpoint(kill_after)
        os._exit(cli.main())
    finally:
        traceback.print_exc()
        os._exit(70)


def die_after_checkpoint(number: int) -> None:
    """Let this process kill itself after its n-th checkpoint."""
    save, written = WholeCheckpointIO.save_checkpoint, itertools.count(1)

    def save_and_die(*arguments: Any, **options: Any) -> None:
        save(*arguments, **options)
        if next(written) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    WholeCheckpointIO.save_checkpoint = save_and_die


def ended(child: int, seconds: float) -> int | None:
    """The exit code of a child, negative for a signal; None if it has not ended after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.005)


def require_end(folder: Path, code: int | None) -> None:
    text = (folder / "log").read_text() if (folder / "log").exists() else ""
    if code not in ENDS or "Traceback" in text:
        raise DifferentError(f"exit code {code}: {text[-2000:]}")


def records(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    paths = sorted(folder.glob("runs/**/result.json"))
    return [(path.parent, json.loads(path.read_text())) for path in paths]


def done_runs(folder: Path) -> list[Path]:
    """The run folders of a finished training; all must be done."""
    if open_ones := [str(path) for path, record in records(folder) if record["state"] != "done"]:
        raise DifferentError(f"not done: {', '.join(open_ones)}")
    return [path for path, _ in records(folder)]


def is_done(folder: Path, recipe: str) -> bool:
    states = [record["state"] for _, record in records(folder)]
    return states == ["done"] * (2 if "-m" in RECIPES[recipe] else 1)


def compare_all(folder: Path, undisturbed: Path) -> None:
    """Compare the runs of two finished trainings."""
    for one, other in zip(done_runs(folder), done_runs(undisturbed), strict=True):
        compare(one, other)


def compare(one: Path, other: Path) -> None:
    """Compare two finished runs, bit for bit; `last.ckpt` with optimizer and schedule, `best.ckpt`, curves, scores."""
    for name in ("last.ckpt", "best.ckpt"):
        first, second = (torch.load(run / "checkpoints" / name, weights_only=True) for run in (one, other))
        for key in ("state_dict", "current_model_state", "optimizer_states", "lr_schedulers", "epoch", "global_step"):
            if not equal(first.get(key), second.get(key)):
                raise DifferentError(f"{name}: {key} differs in {one}")
        if name == "last.ckpt" and first.get("trained") != second.get("trained"):
            raise DifferentError(f"{name}: trained differs in {one}")
    first, second = (json.loads((run / "result.json").read_text())["scores"] for run in (one, other))
    if first != second or (one / "per_image.csv").read_bytes() != (other / "per_image.csv").read_bytes():
        raise DifferentError(f"scores differ in {one}")
    first, second = read_history(one), read_history(other)
    if wrong := [name for name in {*first, *second} if first.get(name) != second.get(name)]:
        name = min(wrong)
        raise DifferentError(f"curves differ in {one}: {name}: {first.get(name)} instead of {second.get(name)}")


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


if __name__ == "__main__":
    assert not hydra.core.global_hydra.GlobalHydra.instance().is_initialized()
    sys.exit(main())
