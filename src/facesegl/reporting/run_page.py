"""The page of a run: its scores, charts, pictures and facts as HTML."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from facesegl.console import duration
from facesegl.errors import DataError
from facesegl.evaluation.scoring import TOUCHES_TEST
from facesegl.provenance import versions
from facesegl.reporting.charts import Charts, bar_chart, confusion_chart, draw, iou_chart, loss_chart, save_png
from facesegl.reporting.history import Curve, read_history
from facesegl.reporting.html_tables import confusion_table, headline, other_sets_table, score_table, tag_table
from facesegl.reporting.images import Shown, file_as_data
from facesegl.reporting.page import render
from facesegl.reporting.score_tables import definition
from facesegl.runs.folder import is_live
from facesegl.text import spaced


class Gallery(NamedTuple):
    """Photos to look at.

    Attributes:
        worst: those of lowest mIoU, worst first.
        best: those of highest, best first.
        note: what to know about them, or why there are none.
    """

    worst: list[Shown]
    best: list[Shown]
    note: str


def run_page(folder: Path, record: Mapping[str, Any], pictures: Gallery | None) -> str:
    """The page of a run as HTML; its charts are written next to it, into `figures/`.

    Args:
        folder: the run's folder. Its files are read as plain data; what is missing is reported in its place.
        record: its result.json.
        pictures: some of its photos; None where there are no scores.
    """
    colours = _class_colours(record)
    scores: Mapping[str, Any] = record["scores"]
    curves = _curves(read_history(folder), colours)
    panels, unread = _panels(folder)
    return render(
        "run",
        **_about(folder, record),
        problems=list(_problems(folder, record)),
        headline=headline(scores, TOUCHES_TEST, record["data"].get("other_data", False)),
        table=score_table(scores, colours),
        others=other_sets_table(scores),
        confusion=confusion_table(scores),
        tags=tag_table(scores),
        definition=definition(scores),
        score_charts=draw(folder, _score_charts(folder, scores, colours)),
        curves=draw(folder, curves),
        curve_notes=list(_missing_curves(record, curves)),
        photos=pictures or Gallery([], [], ""),
        legend=list(colours.items()),
        panels=panels,
        panel_notes=unread,
        run_command=record["command"],
        facts=list(_facts(folder, record)),
        config=_text(folder / "config.yaml"),
    )


def _class_colours(record: Mapping[str, Any]) -> dict[str, str]:
    """Each class's colour as CSS has it: from a run's config, or where that leaves them to its data, from these."""
    classes = (record["config"]["data"]["taxonomy"] or record["data"])["classes"]
    return {name: "#{:02x}{:02x}{:02x}".format(*map(int, colour)) for name, colour in classes.items()}


def _about(folder: Path, record: Mapping[str, Any]) -> dict[str, str]:
    """The head of the page."""
    name, data = record["config"]["name"], record["data"]["name"]
    trained = _is_training(record)
    began = re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d", _text(folder / "log.txt"))
    words = [data if trained else name, folder.resolve().name, _state(folder, record)]
    words += [f"begun {began[0]}"] if began else []
    return {
        "title": name if trained else f"Evaluation on {data}",
        "eyebrow": f"facesegl · {'a training' if trained else 'an evaluation'}",
        "subtitle": " · ".join(dict.fromkeys(map(str, words))),
        "version": versions()["facesegl"],
    }


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


def _score_charts(folder: Path, scores: Mapping[str, Any], colours: Mapping[str, str]) -> Charts:
    """The IoU of each class; the confusion is a table in the page, and a picture beside it."""
    if not scores:
        return []
    name, found = next(iter(scores.items()))
    iou, floor, agreement = found["scores"]["iou"], found["floor"]["iou"], (found["agreement"] or {}).get("iou")
    if confusion := found["scores"].get("confusion"):
        save_png(confusion_chart(confusion, list(iou)), folder / "figures" / "confusion.png")
    beside = [f"{what} {_listed(values)}" for what, values in (("floor:", floor), ("agreement:", agreement)) if values]
    words = f"IoU of each class on {name}: {'; '.join([_listed(iou), *beside])}"
    return [("classes", words, bar_chart(iou, floor, agreement, colours))]


def _curves(history: Mapping[str, Curve], colours: Mapping[str, str]) -> Charts:
    """Of the training, over epochs."""
    charts: Charts = []
    if (figure := loss_chart(history)) is not None:
        told = [f"{name} {history[key].told()}" for key, name in _LOSSES.items() if key in history]
        charts.append(("loss", f"Loss: {'; '.join(told)}", figure))
    if (figure := iou_chart(history, colours)) is not None:
        told = [f"{name} {curve.told()}" for key, curve in history.items() if (name := _name_of_iou(key))]
        charts.append(("val_iou", f"Validation IoU: {'; '.join(told)}", figure))
    return charts


_LOSSES = {"train/loss": "training loss", "val/loss": "validation loss"}


def _name_of_iou(key: str) -> str:
    """What a curve of validation IoU is of; nothing for other curves."""
    return "mIoU" if key.startswith("val/miou") else key.removeprefix("val/iou/") if key.startswith("val/iou/") else ""


def _missing_curves(record: Mapping[str, Any], curves: Charts) -> Iterator[str]:
    there = {name for name, *_ in curves}
    if not _is_training(record):
        return
    if not there:
        yield "No curves: nothing was logged in this folder (logger=none, or it ended before its first epoch did)."
    elif "val_iou" not in there:
        yield "No validation curves: nothing was held out to validate on (data.fold=null)."


def _panels(folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """What the training saw, and its last panel; and which of these cannot be read."""
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
        words = "Some training photos as they are, as augmentation turned them, and the masks that went with them."
        yield "What it learnt from", words, augmented
    epochs = {int(file.stem[6:]): file for file in panels.glob("epoch_*.png") if file.stem[6:].isdecimal()}
    if epochs:
        words = f"Photo, truth, prediction and error after epoch {max(epochs)}, at the size that the net sees."
        yield "The last panel of the training", words, epochs[max(epochs)]


def _facts(folder: Path, record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What a run was, a line each."""
    yield from _facts_of_data(record["data"])
    if _is_training(record):
        yield "recipe", ", ".join(_recipe(record["config"]))
    if record.get("parameters"):
        yield "parameters", spaced(record["parameters"])
    if scored := record.get("scored"):
        yield "scored", scored if isinstance(scored, str) else " + ".join(scored)
    for phase, spent in record["seconds"].items():
        yield f"{phase} took", f"{duration(spent['wall'])} ({duration(spent['cpu'])} of CPU time)"
    yield "machine", _machine(record["machine"])
    yield "versions", ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    if git := record.get("git"):
        yield "commit", f"{git['commit']}{', with changes' if git['changes'] else ''}"
    if files := [*_beside(folder, "figures"), *_beside(folder, "panels")]:
        yield "pictures", ", ".join(files)


def _facts_of_data(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    photos = ", ".join(f"{count} {name}" for name, count in data["photos"].items())
    yield "data", f"{data['name']}, fingerprint {data['fingerprint']}"
    yield "photos", photos
    left_out = data.get("left_out") or {}
    for name in left_out:
        yield "left out", f"{name}: {left_out[name]}" if isinstance(left_out, Mapping) else str(name)


def _recipe(config: Mapping[str, Any]) -> Iterator[str]:
    """What was chosen, and the numbers that are asked for first."""
    choices = config.get("choices") or {}
    yield from (f"{choices[group]}" for group in ("model", "loss", "optimizer", "schedule") if choices.get(group))
    yield f"augmentation {choices.get('augment') or 'none'}"
    yield f"learning rate {config['optimizer'].get('lr')}"
    yield f"batches of {config['data'].get('batch_size')}"
    yield f"{config['data'].get('image_size')} pixels a side"
    yield f"{config['trainer'].get('max_epochs')} epochs at most"
    yield f"seed {config.get('seed')}"


def _machine(machine: Mapping[str, Any]) -> str:
    cores = f", {machine['cores']} cores" if machine.get("cores") else ""
    gpus = f", {', '.join(machine['gpus'])}" if machine.get("gpus") else ", no GPU"
    system = f"{machine.get('processor') or ''} {machine['system']}".strip()
    return f"{system}{cores}, threads used: {machine['threads']}{gpus}"


def _beside(folder: Path, name: str) -> list[str]:
    """The pictures beside the page; of many panels the first and the last."""
    files = sorted(f"{name}/{file.name}" for file in (folder / name).glob("*.png"))
    epochs = [file for file in files if file.startswith("panels/epoch_")]
    others = [file for file in files if file not in epochs]
    return [*others, *(epochs if len(epochs) < 3 else [f"{epochs[0]} to {epochs[-1]}"])]


def _is_training(record: Mapping[str, Any]) -> bool:
    return "optimizer" in record["config"]


def _listed(values: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name} {'-' if value is None else f'{value:.3f}'}" for name, value in values.items())


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else "(not there)"
