"""The page of a run: its scores, charts, pictures and facts as HTML."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from facesegl.console import duration
from facesegl.errors import DataError
from facesegl.provenance import versions
from facesegl.reporting.charts import Charts, bar_chart, confusion_chart, draw, iou_chart, loss_chart, save_png
from facesegl.reporting.history import Curve, read_history
from facesegl.reporting.html_tables import confusion_table, headline
from facesegl.reporting.page import render
from facesegl.reporting.pictures import Shown, file_as_data
from facesegl.reporting.scored_sets import MEANS, Scores, cell, columns, definition
from facesegl.runs.locks import is_live
from facesegl.text import spaced


class Gallery(NamedTuple):
    """Some photos of a run.

    Attributes:
        worst: photos with the lowest mIoU, worst first.
        best: photos with the highest mIoU, best first.
        note: which photos these are, or why there are none.
    """

    worst: list[Shown]
    best: list[Shown]
    note: str


def run_page(folder: Path, record: Mapping[str, Any], pictures: Gallery | None) -> str:
    """The page of a run as HTML; its charts are written next to it, into `figures/`.

    Args:
        folder: the run's folder. Its files are read as plain data; the page says what is missing.
        record: its result.json.
        pictures: some of its photos; None if there are no scores.
    """
    colours = class_colours(record)
    scores: Scores = record["scores"]
    curves = _curves(read_history(folder), colours)
    panels, unread = _panels(folder)
    return render(
        "run",
        **_about(folder, record),
        problems=list(_problems(folder, record)),
        headline=headline(scores, record["data"].get("other_data", False)),
        columns=columns(scores) if scores else {},
        means=MEANS,
        colours=colours,
        sets={name: found["scores"] for name, found in scores.items()},
        tags=scores[next(iter(scores))]["tags"] if scores else None,
        confusion=confusion_table(scores),
        definition=definition(scores),
        score_charts=draw(folder, _score_charts(folder, scores, colours)),
        curves=draw(folder, curves),
        curve_notes=list(_missing_curves(record, curves)),
        photos=pictures or Gallery([], [], ""),
        panels=panels,
        panel_notes=unread,
        run_command=record["command"],
        facts=list(_facts(folder, record)),
        config=_text(folder / "config.yaml"),
    )


def class_colours(record: Mapping[str, Any]) -> dict[str, str]:
    """The CSS colour of each class: from the run's config, or from its data if the config has none."""
    classes = (record["config"]["data"]["taxonomy"] or record["data"])["classes"]
    return {name: "#{:02x}{:02x}{:02x}".format(*map(int, colour)) for name, colour in classes.items()}


def _about(folder: Path, record: Mapping[str, Any]) -> dict[str, str]:
    name, data = record["config"]["name"], record["data"]["name"]
    trained = _is_training(record)
    started = re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d", _text(folder / "log.txt"))
    words = [data if trained else name, folder.resolve().name, _state(folder, record)]
    words += [f"started {started[0]}"] if started else []
    return {
        "title": name if trained else f"Evaluation on {data}",
        "eyebrow": f"facesegl · {'training run' if trained else 'evaluation'}",
        "subtitle": " · ".join(dict.fromkeys(map(str, words))),
        "version": versions()["facesegl"],
    }


def _state(folder: Path, record: Mapping[str, Any]) -> str:
    if record["state"] != "running":
        return str(record["state"])
    return "running" if is_live(folder) else "died while running"


def _problems(folder: Path, record: Mapping[str, Any]) -> Iterator[str]:
    if record.get("failure"):
        ended = {"stopped": "was stopped", "pruned": "was pruned"}.get(record["state"], "failed")
        yield from (f"The run {ended}: {message}" for message in record["failure"]["messages"])
    if not record["scores"]:
        yield f"No scores (state of the run: {_state(folder, record)})."
    if record["data"].get("other_data"):
        trained_on = record["data"]["trained_on"]["name"]
        yield f"Scored on other data ({record['data']['name']}) than the model was trained on ({trained_on})."


def _score_charts(folder: Path, scores: Scores, colours: Mapping[str, str]) -> Charts:
    """The IoU of each class; the confusion matrix is a table in the page and a picture next to it."""
    if not scores:
        return []
    name, found = next(iter(scores.items()))
    iou, floor, agreement = found["scores"]["iou"], found["floor"]["iou"], (found["agreement"] or {}).get("iou")
    if confusion := found["scores"].get("confusion"):
        save_png(confusion_chart(confusion, list(iou)), folder / "figures" / "confusion.png")
    rows = {"": iou, "floor: ": floor, "agreement: ": agreement}
    words = "; ".join(label + _listed(values) for label, values in rows.items() if values)
    return [("classes", f"IoU of each class on {name}: {words}", bar_chart(iou, floor, agreement, colours))]


def _curves(history: Mapping[str, Curve], colours: Mapping[str, str]) -> Charts:
    charts: Charts = []
    if (figure := loss_chart(history)) is not None:
        words = [f"{name} {history[key].describe()}" for key, name in _LOSSES.items() if key in history]
        charts.append(("loss", f"Loss: {'; '.join(words)}", figure))
    if (figure := iou_chart(history, colours)) is not None:
        words = [f"{name} {curve.describe()}" for key, curve in history.items() if (name := _name_of_iou(key))]
        charts.append(("val_iou", f"Validation IoU: {'; '.join(words)}", figure))
    return charts


_LOSSES = {"train/loss": "training loss", "val/loss": "validation loss"}


def _name_of_iou(key: str) -> str:
    """The class of a curve of validation IoU, or mIoU; empty for other curves."""
    return "mIoU" if key.startswith("val/miou") else key.removeprefix("val/iou/") if key.startswith("val/iou/") else ""


def _missing_curves(record: Mapping[str, Any], curves: Charts) -> Iterator[str]:
    there = {name for name, *_ in curves}
    if not _is_training(record):
        return
    if not there:
        yield "No curves: nothing was logged in this folder (logger=none, or the run ended within its first epoch)."
    elif "val_iou" not in there:
        yield "No validation curves: no photos were held out for validation (data.fold=null)."


def _panels(folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The augmented photos and the last panel of the training, and notes about unreadable ones."""
    shown, unread = [], []
    for title, words, file in _panel_files(folder / "panels"):
        try:
            data, width, height = file_as_data(file)
            name = file.relative_to(folder).as_posix()
            shown.append({"title": title, "words": words, "name": name, "data": data, "width": width, "height": height})
        except DataError as error:
            unread.append(f"Not shown: {error.problems[0]}")
    return shown, unread


def _panel_files(panels: Path) -> Iterator[tuple[str, str, Path]]:
    if (augmented := panels / "augmented.png").is_file():
        yield "Augmented training photos", "Some training photos and masks before and after augmentation.", augmented
    epochs = {int(file.stem[6:]): file for file in panels.glob("epoch_*.png") if file.stem[6:].isdecimal()}
    if epochs:
        words = f"Photo, truth, prediction and errors after epoch {max(epochs)}, at the net's input size."
        yield "Last panel of the training", words, epochs[max(epochs)]


def _facts(folder: Path, record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    data, hardware = record["data"], record["machine"]
    yield "data", f"{data['name']}, fingerprint {data['fingerprint']}"
    yield "photos", ", ".join(f"{count} {name}" for name, count in data["photos"].items())
    left_out = data.get("left_out") or {}
    for name in left_out:
        yield "left out", f"{name}: {left_out[name]}" if isinstance(left_out, Mapping) else str(name)
    if _is_training(record):
        yield "recipe", ", ".join(_recipe(record["config"]))
    if record.get("parameters"):
        yield "parameters", spaced(record["parameters"])
    if scored := record.get("scored"):
        yield "scored", scored if isinstance(scored, str) else " + ".join(scored)
    for phase, spent in record["seconds"].items():
        yield f"{phase} took", f"{duration(spent['wall'])} ({duration(spent['cpu'])} of CPU time)"
    cores = f", {hardware['cores']} cores" if hardware.get("cores") else ""
    system = f"{hardware.get('processor') or ''} {hardware['system']}".strip()
    gpus = ", ".join(hardware.get("gpus") or ["no GPU"])
    yield "machine", f"{system}{cores}, threads used: {hardware['threads']}, {gpus}"
    yield "versions", ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    if git := record.get("git"):
        changes = (
            ", unknown whether with changes" if git["changes"] is None else ", with changes" if git["changes"] else ""
        )
        yield "commit", f"{git['commit']}{changes}"
    if files := [*_pictures(folder, "figures"), *_pictures(folder, "panels")]:
        yield "pictures", ", ".join(files)


def _recipe(config: Mapping[str, Any]) -> Iterator[str]:
    choices = config.get("choices") or {}
    yield from (f"{choices[group]}" for group in ("model", "loss", "optimizer", "schedule") if choices.get(group))
    yield f"augmentation {choices.get('augment') or 'none'}"
    yield f"learning rate {config['optimizer'].get('lr')}"
    yield f"batch size {config['data'].get('batch_size')}"
    yield f"image size {config['data'].get('image_size')}"
    yield from (
        f"at most {limit} {unit}"
        for unit in ("epochs", "steps")
        if (limit := config["trainer"].get(f"max_{unit}", -1)) != -1  # Lightning's -1 is "no limit"
    )
    yield f"seed {config.get('seed')}"


def _pictures(folder: Path, name: str) -> list[str]:
    """The pictures next to the page; of many panels the first and the last."""
    files = sorted(f"{name}/{file.name}" for file in (folder / name).glob("*.png"))
    epochs = [file for file in files if file.startswith("panels/epoch_")]
    others = [file for file in files if file not in epochs]
    return [*others, *(epochs if len(epochs) < 3 else [f"{epochs[0]} to {epochs[-1]}"])]


def _is_training(record: Mapping[str, Any]) -> bool:
    return "optimizer" in record["config"]


def _listed(values: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name} {cell(value)}" for name, value in values.items())


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else "(missing)"
