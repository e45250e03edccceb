"""The curves of a training, read from what its logger left: TensorBoard's event files, or the CSV logger's table."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Curve(NamedTuple):
    """What was logged under one name.

    Attributes:
        epochs: how many epochs had passed, 1 after the first.
        values: one a logged epoch.
    """

    epochs: list[int]
    values: list[float]


def read_history(folder: Path) -> dict[str, Curve]:
    """The curves of a run by their names, such as `train/loss`; empty where no logger left any.

    A resumed run may have logged an epoch twice: the later value counts.

    Args:
        folder: the run's folder.
    """
    points: dict[str, dict[int, float]] = {}
    for name, epoch, value in [*_from_csv(folder / "csv" / "metrics.csv"), *_from_events(folder / "tensorboard")]:
        points.setdefault(name, {})[epoch] = value
    return {name: Curve(sorted(found), [found[epoch] for epoch in sorted(found)]) for name, found in points.items()}


def _from_events(folder: Path) -> Iterator[tuple[str, int, float]]:
    """Name, epoch and value of every scalar in TensorBoard's files, oldest first; a step's epoch is logged with it."""
    if not any(folder.glob("events.out.tfevents.*")):
        return
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    names = events.Tags()["scalars"]
    if "epoch" not in names:
        return
    epoch_of = {event.step: int(event.value) + 1 for event in events.Scalars("epoch")}
    for name in names:
        for event in events.Scalars(name):
            if name != "epoch" and event.step in epoch_of:
                yield name, epoch_of[event.step], event.value


def _from_csv(file: Path) -> Iterator[tuple[str, int, float]]:
    """The same from Lightning's CSV logger, whose rows hold what was logged at one time."""
    if not file.is_file():
        return
    with file.open(newline="", encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            for name, value in row.items():
                if name not in ("epoch", "step") and value and row.get("epoch"):
                    yield name, int(float(row["epoch"])) + 1, float(value)
