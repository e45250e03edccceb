"""The curves of a training, read from TensorBoard's event files or the CSV logger's table."""

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from facesegl.monitoring.tags import to_name
from facesegl.text import finite


class Curve(NamedTuple):
    """The values logged under one name.

    Attributes:
        epochs: the logged epochs, counted from 1.
        values: one value per logged epoch.
    """

    epochs: list[int]
    values: list[float]

    def describe(self) -> str:
        """Alt text for screen readers.

        Example:
            >>> Curve([1, 2, 3], [2.5, 0.9, 1.0]).describe()
            'from 2.5 to 1 in 3 epochs, between 0.9 and 2.5'
        """
        ends = f"from {self.values[0]:.3g} to {self.values[-1]:.3g} in {self.epochs[-1]} epochs"
        return f"{ends}, between {min(self.values):.3g} and {max(self.values):.3g}"


def read_history(folder: Path) -> dict[str, Curve]:
    """Read the curves of a run by name, e.g. `train/loss`; empty if nothing was logged.

    If a resumed run logged an epoch twice, the later value counts. Each start has a table: csv_1, csv_2, ..., and csv
    is the last. Incomplete rows and events of a killed run are skipped.

    Args:
        folder: the run's folder.
    """
    points: dict[str, dict[int, float]] = {}
    earlier = sorted(folder.glob("csv_*"), key=lambda path: (len(path.name), path.name))
    tables = (point for each in (*earlier, folder / "csv") for point in _from_csv(each / "metrics.csv"))
    for name, epoch, value in [*tables, *_from_events(folder / "tensorboard")]:
        points.setdefault(name, {})[epoch] = value
    return {name: Curve(sorted(found), [found[epoch] for epoch in sorted(found)]) for name, found in points.items()}


def _from_events(folder: Path) -> Iterator[tuple[str, int, float]]:
    """Name, epoch and value of every scalar, oldest first; the epoch of a step is logged with it."""
    if not any(folder.glob("events.out.tfevents.*")):
        return
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 1})
    events.Reload()
    tags = events.Tags()["scalars"]
    epochs = (event for tag in tags if to_name(tag) == "epoch" for event in events.Scalars(tag))
    epoch_of = {event.step: int(event.value) + 1 for event in epochs if math.isfinite(event.value)}
    for tag in tags:
        for event in events.Scalars(tag):
            if to_name(tag) != "epoch" and event.step in epoch_of and math.isfinite(event.value):
                yield to_name(tag), epoch_of[event.step], event.value


def _from_csv(file: Path) -> Iterator[tuple[str, int, float]]:
    """The same from Lightning's CSV logger, which writes one row per step."""
    if not file.is_file():
        return
    with file.open(newline="", encoding="utf-8", errors="replace") as rows:
        for row in csv.DictReader(rows, restval="", restkey=""):
            epoch = finite(row.pop("epoch", ""))
            for name, text in row.items():
                value = finite(text)
                if name not in ("step", "") and epoch is not None and value is not None:
                    yield name, int(epoch) + 1, value
