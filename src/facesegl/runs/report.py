"""Write the page of a run or of a sweep, `report.html`, and its charts as pictures."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facesegl.console import duration
from facesegl.errors import ConfigError
from facesegl.files import write_text
from facesegl.reporting import (
    as_svg,
    bar_chart,
    confusion_chart,
    file_as_data,
    iou_chart,
    loss_chart,
    read_history,
    render,
)
from facesegl.reporting.charts import save_png
from facesegl.runs.folder import is_live
from facesegl.runs.gallery import gallery
from facesegl.runs.result import read_result, versions
from facesegl.runs.scoring import TOUCHES_TEST
from facesegl.runs.tables import DEFINITION

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Charts = list[tuple[str, str, "Figure"]]
"""Of each chart its name, what it shows, and itself."""

_NOISE = 0.01  # a score as near as this below the agreement of two people is at the labels' own noise


def report(folder: Path, overrides: Sequence[str] = (), config_dirs: Sequence["str | Path"] = ()) -> Path:
    """Write `report.html` into the folder of a run or of a sweep, and the charts as PNG into its `figures/`.

    Nothing of the folder is run: its files are read as plain data. What is missing is said in its place.

    Args:
        folder: of a training, an evaluation, or a sweep.
        overrides: keys of conf/evaluate.yaml for the photos that are shown, such as `paths.data=FOLDER`.
        config_dirs: folders with a person's own groups.

    Returns:
        The page's file.

    Raises:
        ConfigError: no such folder, or one without results.
        MachineError: it cannot be written.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; expected that of a run or of a sweep, such as runs/NAME/DATE.")
    if (record := read_result(folder)) is not None:
        page = _run_page(folder, record, overrides, config_dirs)
    elif any((job / "job.json").is_file() for job in folder.iterdir() if job.name.isdigit()):
        from facesegl.runs.report_sweep import sweep_page

        page = sweep_page(folder)
    else:
        raise ConfigError(
            f"{folder}: a folder without results: it has no readable result.json, and no jobs of a sweep. Expected "
            f"runs/NAME/DATE, as train and evaluate print it."
        )
    write_text(folder / "report.html", page)
    return folder / "report.html"


def draw(folder: Path, charts: Charts) -> list[tuple[str, str]]:
    """Write charts as PNG into `figures/`; their titles, and themselves as SVG."""
    for name, _, figure in charts:
        save_png(figure, folder / "figures" / f"{name}.png")
    return [(words.partition(":")[0], as_svg(figure, words)) for _, words, figure in charts]


def _run_page(
    folder: Path, record: Mapping[str, Any], overrides: Sequence[str], config_dirs: Sequence["str | Path"]
) -> str:
    try:
        scores: Mapping[str, Any] = record["scores"]
        colours = class_colours(record)
        pictures = gallery(folder, record, overrides, config_dirs) if scores else None
        return render(
            "run",
            title=record["config"]["name"],
            eyebrow="facesegl · a run",
            subtitle=f"{folder.name} · {_state(folder, record)} · {record['data']['name']}",
            version=versions()["facesegl"],
            problems=list(_problems(folder, record)),
            headline=_headline(scores),
            table=_table(scores, colours),
            definition=" ".join(DEFINITION.split()),
            charts=draw(folder, _charts(folder, scores, colours)),
            chart_notes=[] if (folder / "tensorboard").is_dir() or (folder / "csv").is_dir() else [_NO_CURVES],
            tags=_tags(scores),
            photo_note=pictures.note if pictures else "",
            worst=pictures.worst if pictures else [],
            best=pictures.best if pictures else [],
            legend=list(colours.items()),
            pictures=list(_pictures(folder)),
            run_command=record["command"],
            facts=list(_facts(record)),
            config=_text(folder / "config.yaml"),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"{folder / 'result.json'}: not as facesegl writes it ({type(error).__name__}: {error}); was it changed by "
            f"hand, or written by another version?"
        ) from error


_NO_CURVES = "No curves: nothing was logged in this folder (logger=none, or an evaluation)."


def class_colours(record: Mapping[str, Any]) -> dict[str, str]:
    """Each class's colour as CSS has it, from a run's config."""
    classes = record["config"]["data"]["taxonomy"]["classes"]
    return {name: "#{:02x}{:02x}{:02x}".format(*map(int, colour)) for name, colour in classes.items()}


def _state(folder: Path, record: Mapping[str, Any]) -> str:
    if record["state"] != "running":
        return str(record["state"])
    return "running" if is_live(folder) else "died while it ran"


def _problems(folder: Path, record: Mapping[str, Any]) -> Iterator[str]:
    if record.get("failure"):
        yield from (f"The run ended with this: {message}" for message in record["failure"]["messages"])
    if not record["scores"]:
        yield f"There are no scores: the run is {_state(folder, record)}."
    if record["data"].get("other_data"):
        learnt = record["data"]["trained_on"]["name"]
        yield f"These are other data than the model learnt from: {record['data']['name']}, and not {learnt}."


def _headline(scores: Mapping[str, Any]) -> dict[str, Any] | None:
    """The first set's mIoU between its yardsticks, and what to make of it."""
    if not scores:
        return None
    name, found = next(iter(scores.items()))
    own, floor, agreement = found["scores"]["miou"], found["floor"]["miou"], (found["agreement"] or {}).get("miou")
    marks = [("floor", floor, "low", False), ("agreement", agreement, "low", False), ("this model", own, "high", True)]
    return {
        "set": name,
        "miou": own,
        "photos": found["scores"]["photos"],
        "marks": [
            {"name": label, "value": value, "row": row, "own": is_own, "at": 100 * value, "shown_at": _inside(value)}
            for label, value, row, is_own in marks
            if value is not None
        ],
        "words": ", ".join(f"{label} {value:.3f}" for label, value, *_ in marks if value is not None),
        "sentences": list(_sentences(name, own, floor, agreement)),
    }


def _inside(value: float) -> float:
    """Where a label of some width stands on a scale of 0 to 100 without hanging over its ends."""
    return min(max(100 * value, 12), 88)


def _sentences(name: str, own: float | None, floor: float | None, agreement: float | None) -> Iterator[str]:
    yield {
        "val": "Measured on training photos that were held out: this run did not learn from them.",
        "train": "Measured on the photos that it learnt from: this says nothing about others.",
    }.get(name, "Measured on test photos. Choose nothing by them, or they are test photos no longer.")
    if own is not None and floor is not None and own <= floor:
        yield "That is below the floor: a mask that is the same for every photo does better. It has learnt too little."
    if name in TOUCHES_TEST and own is not None and agreement is not None and own >= agreement - _NOISE:
        yield (
            f"This is at the noise of the labels themselves: two people's masks of the same photos agree at "
            f"{agreement:.3f}. A higher number would say nothing."
        )


def _table(scores: Mapping[str, Any], colours: Mapping[str, str]) -> dict[str, Any] | None:
    """Classes and means down, sets and yardsticks across; Dice and boundary F are those of the first set."""
    if not scores:
        return None
    sets = list(scores.values())
    first, floor, agreement = sets[0]["scores"], sets[0]["floor"], sets[0]["agreement"]
    beside = [floor, *([agreement] if agreement else [])]
    classes = [
        {
            "name": name,
            "colour": colours[name],
            "cells": [
                *(found["scores"]["iou"][name] for found in sets),
                first["dice"][name],
                first["boundary"][name],
                *(yardstick["iou"][name] for yardstick in beside),
            ],
        }
        for name in first["iou"]
    ]
    means = [
        {
            "name": label,
            "cells": [
                *(found["scores"][key] for found in sets),
                None,
                first["boundary_f"] if key == "miou" else None,
                *(yardstick[key] for yardstick in beside),
            ],
        }
        for label, key in (("mIoU", "miou"), ("mIoU per photo", "miou_per_photo"), ("accuracy", "accuracy"))
    ]
    yardsticks = ["floor", *(["agreement"] if agreement else [])]
    return {"columns": [*scores, "Dice", "boundary F", *yardsticks], "classes": classes, "means": means}


def _charts(folder: Path, scores: Mapping[str, Any], colours: Mapping[str, str]) -> Charts:
    history = read_history(folder)
    charts: Charts = []
    if (figure := loss_chart(history)) is not None:
        charts.append(("loss", "Loss: training and validation loss over epochs", figure))
    if (figure := iou_chart(history, colours)) is not None:
        charts.append(("val_iou", "Validation IoU: mean and each class over epochs", figure))
    if scores:
        name, found = next(iter(scores.items()))
        agreement = (found["agreement"] or {}).get("iou")
        figure = bar_chart(found["scores"]["iou"], found["floor"]["iou"], agreement, colours)
        charts.append(("classes", f"IoU of each class: on {name}, with floor and agreement", figure))
        if confusion := found["scores"].get("confusion"):
            figure = confusion_chart(confusion, list(found["scores"]["iou"]))
            words = f"Confusion: of each class's pixels on {name}, the percentage that was taken for each class"
            charts.append(("confusion", words, figure))
    return charts


def _tags(scores: Mapping[str, Any]) -> dict[str, Any] | None:
    """The headline set by tags, such as poses."""
    found = next(iter(scores.values()), None)
    if not found or not found.get("tags"):
        return None
    rows = [
        {"tag": tag, "photos": one["photos"], "miou": one["miou"], "cells": list(one["iou"].values())}
        for tag, one in found["tags"].items()
    ]
    return {"names": list(found["scores"]["iou"]), "rows": rows}


def _pictures(folder: Path) -> Iterator[dict[str, Any]]:
    """What the training saw, and its last panel."""
    augmented, panels = folder / "panels" / "augmented.png", sorted((folder / "panels").glob("epoch_*.png"))
    words = "Some training photos as they are, as augmentation turned them, and the masks that went with them."
    shown = [("What it learnt from", words, augmented)] if augmented.is_file() else []
    if panels:
        epoch = int(panels[-1].stem.partition("_")[2])
        words = f"Photo, truth, prediction and error after epoch {epoch}, at the size that the net sees."
        shown.append(("The last panel of the training", words, panels[-1]))
    for title, words, file in shown:
        data, width, height = file_as_data(file)
        yield {"title": title, "words": words, "data": data, "width": width, "height": height}


def _facts(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What a run was, a line each."""
    data, machine, git = record["data"], record["machine"], record.get("git")
    photos = ", ".join(f"{count} {name}" for name, count in data["photos"].items())
    yield "data", f"{data['name']}: {photos}; fingerprint {data['fingerprint']}"
    for name, why in (data.get("left_out") or {}).items():
        yield "left out", f"{name}: {why}"
    if record.get("scored"):
        scored = record["scored"]
        yield "scored", scored if isinstance(scored, str) else " + ".join(scored)
    if record.get("parameters"):
        yield "parameters", f"{record['parameters']:,}".replace(",", " ")
    for phase, spent in record["seconds"].items():
        yield f"{phase} took", f"{duration(spent['wall'])} ({duration(spent['cpu'])} of CPU time)"
    cores = f", {machine['cores']} cores" if machine.get("cores") else ""
    gpus = f", {', '.join(machine['gpus'])}" if machine.get("gpus") else ", no GPU"
    yield (
        "machine",
        f"{machine.get('processor') or ''} {machine['system']}{cores}, threads used: {machine['threads']}{gpus}",
    )
    yield "versions", ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    if git:
        yield "commit", f"{git['commit']}{', with changes' if git['changes'] else ''}"


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else "(not there)"
