"""Export a checkpoint, or an ensemble of several, and certify on real photos that the export predicts the same.

model.onnx, model.parity.json                                 a graph and its certificate
model.safetensors, model.safetensors.parity.json              weights and their certificate
"""

import copy
import functools
import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from facesegl.commands.datasets import open_faces, warn_of_other_data
from facesegl.data.datamodule import FaceDataModule
from facesegl.errors import CheckpointError, ConfigError, DataError
from facesegl.exporting.certificate import Certificate
from facesegl.exporting.ensemble import EnsembleModel, require_one_net
from facesegl.exporting.graph import make_graph, net_stride, require_packages
from facesegl.exporting.metadata import describe
from facesegl.exporting.parity import Parity, Sample, compare, problems_of, sizes_to_try
from facesegl.exporting.quantize import quantize
from facesegl.exporting.unlike import unlike_below
from facesegl.files import replacing, write_json
from facesegl.learning.checkpoint import read_weights, write_weights
from facesegl.prediction.checkpoint_model import CheckpointModel
from facesegl.prediction.members import member_files
from facesegl.prediction.onnx_model import OnnxModel
from facesegl.prediction.photo_files import list_photos
from facesegl.pretrained import on_disk
from facesegl.provenance import machine, versions
from facesegl.runs.result import warn_of_unfinished
from facesegl.sources.images import open_photo, resize_photo
from facesegl.user_modules import require_packages_exist

log = logging.getLogger(__name__)
T = TypeVar("T")

MOST_PHOTOS = 50
"""The most photos to compare on for a certificate, evenly spaced among all."""
MOST_CALIBRATION = 100
"""The most training photos to calibrate int8 on."""


class _Job(NamedTuple):
    """An export to make.

    Attributes:
        files: the checkpoint, or those of an ensemble.
        model: the same, opened on the CPU.
        target: the file to write.
        kind: logits, whole or weights.
        int8: whether to quantize.
        half: whether to round the weights to half precision.
    """

    files: Sequence[Path]
    model: CheckpointModel
    target: Path
    kind: str
    int8: bool
    half: bool

    @property
    def precision(self) -> str:
        return "int8" if self.int8 else "float16" if self.half else "float32"


class _Photos(NamedTuple):
    """Lazily loaded photos: a description of their data, how many exist, and a loader for each one in use."""

    of: str
    there: int
    loaders: Sequence[Callable[[], Sample]]

    def __str__(self) -> str:
        return f"{len(self.loaders)} {self.of}"


def export(
    checkpoint: "str | Path | Sequence[str | Path]",
    target: Path,
    *,
    int8: bool,
    whole: bool,
    half: bool = False,
    warn_unlike: bool = False,
    photos: Path | None,
    force: bool = False,
    trust: Sequence[str] = (),
    overrides: Sequence[str] = (),
    config_dirs: Sequence["str | Path"] = (),
) -> Certificate:
    """Export a model to ONNX or safetensors, by the suffix of `target`, with a certificate that it predicts the same.

    Several models become one ONNX graph, an ensemble that averages their probabilities.

    The export gets its name only after it was compared with the checkpoint, on held-out photos, or on training photos
    if none were held out; never on test photos. A failed export changes no file.

    Args:
        checkpoint: a checkpoint, weights, or the folder of a run or sweep; or several.
        target: `.onnx` or `.safetensors`.
        int8: quantize to int8, calibrated on training photos; for ONNX.
        whole: include resizing, upsampling and argmax in the graph; for ONNX.
        half: write the weights in half precision; for safetensors.
        warn_unlike: write the threshold of `predict`'s warning into the card; for weights trained on synthetic faces.
        photos: a folder of photos to compare on instead; they have no masks, hence no IoU. Those that cannot be opened
            are left out.
        force: replace an existing file.
        trust: packages other than facesegl whose classes the checkpoint may name.
        overrides: keys and groups of conf/evaluate.yaml, e.g. `paths.data=FOLDER`.
        config_dirs: folders with custom config groups.

    Raises:
        ConfigError: another suffix, an existing file, incompatible options, a package that is not installed,
            members of an ensemble that do not fit together, or `warn_unlike` for other weights.
        CheckpointError: the checkpoint is wrong, or the export's predictions differ.
        DataError: there are no photos to compare on.
        MachineError: the target cannot be written.
    """
    require_packages_exist(trust)
    given = [checkpoint] if isinstance(checkpoint, str | Path) else checkpoint
    files = [file for each in given for file in member_files(each)]
    _require_possible(files, target, int8=int8, whole=whole, half=half, force=force)
    kind = "weights" if target.suffix == ".safetensors" else "whole" if whole else "logits"
    name = " + ".join(map(str, given))
    model = EnsembleModel(name, files, trust) if len(files) > 1 else CheckpointModel(files[0], "cpu", trust)
    if int8 and isinstance(model, EnsembleModel):
        require_one_net(model)
    job = _Job(files, model, target, kind, int8, half)
    for file in files:
        warn_of_unfinished(file)
    compared, calibration = _photos(job, photos, lambda: _faces(job, overrides, config_dirs, photos))
    with replacing(target) as part:
        part.touch()  # fail now if the target cannot be written
        if warn_unlike:
            job.model.card["unlike_below"] = unlike_below(job.model)
        exported = _write_weights(job, part) if kind == "weights" else _write_graph(job, part, calibration)
        sizes = sizes_to_try(kind, job.model.image_size, net_stride(job.model.net))
        masker = exported.masks if isinstance(exported, OnnxModel) and whole else None
        averager = exported.averaged if isinstance(exported, OnnxModel) and len(files) > 1 else None
        parity = compare(job.model, exported, compared.loaders, sizes, masker, averager)
        _require_parity(job, parity)
        certificate = _certify(job, part, parity, compared, calibration)
        write_json(certificate_path(target), certificate.to_dict())
    return certificate


def certificate_path(target: Path) -> Path:
    """The certificate of an export, next to it; a model in both formats has two.

    Example:
        >>> certificate_path(Path("out/model.onnx")).name, certificate_path(Path("model.safetensors")).name
        ('model.parity.json', 'model.safetensors.parity.json')
    """
    return target.with_name(f"{target.stem if target.suffix == '.onnx' else target.name}.parity.json")


def _require_possible(files: Sequence[Path], target: Path, *, int8: bool, whole: bool, half: bool, force: bool) -> None:
    problems = []
    if target.suffix not in (".onnx", ".safetensors"):
        problems.append(
            f"{target}: cannot export to this format; expected a name like model.onnx or model.safetensors."
        )
    if target.suffix == ".safetensors":
        problems += [
            f"--{name}: {target.name} holds plain weights; {name} is for .onnx."
            for name, given in (("int8", int8), ("whole", whole))
            if given
        ]
        if len(files) > 1:
            problems.append(
                f"{target}: {len(files)} models have no single weights; expected a name like model.onnx for a graph "
                f"that averages their probabilities, or one model, such as {files[0]}."
            )
    if target.suffix == ".onnx" and half:
        problems.append(f"--half: {target.name} keeps its weights in float32; half is for .safetensors.")
    if target.is_dir():
        problems.append(f"{target}: a folder; expected the name of a file in it.")
    elif target.exists() and not force:
        problems.append(f"{target}: it exists already; choose another name, or replace it with --force.")
    problems += [
        f"{file}: an exported model; expected the checkpoint it was exported from."
        for file in files
        if file.suffix == ".onnx"
    ]
    if problems:
        raise ConfigError(*problems)
    if target.suffix == ".onnx":
        require_packages(str(target))


def _photos(job: _Job, folder: Path | None, open_data: Callable[[], FaceDataModule]) -> tuple[_Photos, _Photos | None]:
    """The photos to compare on and, for int8, to calibrate on; data are opened only if needed."""
    of_folder = _of_folder(folder, job.target) if folder else None
    if of_folder and not job.int8:
        return of_folder, None
    faces = open_data()
    return of_folder or _held_out(faces), _calibration(faces) if job.int8 else None


def _faces(
    job: _Job, overrides: Sequence[str], config_dirs: Sequence["str | Path"], photos: Path | None
) -> FaceDataModule:
    """The data that the checkpoint was trained on, or the data of the overrides."""
    try:
        faces = open_faces(job.model.card, job.files[0], overrides, config_dirs)
        faces.setup("test")
    except DataError as error:
        remedy = "or omit --int8" if photos else "or --photos FOLDER with any photos"
        why = (
            "int8 is calibrated on training photos" if photos else "an export is compared with its checkpoint on photos"
        )
        raise DataError(
            *error.problems, f"{job.target}: {why}; give paths.data=FOLDER with the data of {job.model.name}, {remedy}."
        ) from error
    warn_of_other_data(job.model.card, faces)
    return faces


def _of_folder(folder: Path, target: Path) -> _Photos:
    if not folder.is_dir():
        raise DataError(f"--photos {folder}: no such folder; expected one with photos.")
    found = [photo.path for photo in list_photos([folder], target)]
    problems: list[str] = []
    loaders = [functools.partial(_unlabelled, path) for path in _spread(found, MOST_PHOTOS) if _opens(path, problems)]
    if not loaders:
        raise DataError(*problems)
    for problem in problems:
        log.warning("left out: %s", problem)
    return _Photos(f"photos without masks, from {folder.resolve().name}", len(found), loaders)


def _held_out(faces: FaceDataModule) -> _Photos:
    split, indices = ("held-out", faces.val) if faces.val.size else ("training", faces.train)
    loaders = [functools.partial(_labelled, faces, index) for index in _spread(indices.tolist(), MOST_PHOTOS)]
    return _Photos(f"{split} photos of {faces.source.title}, {faces.cache.fingerprint}", len(indices), loaders)


def _calibration(faces: FaceDataModule) -> _Photos:
    paths = [faces.cache.samples[index].photo for index in _spread(faces.train.tolist(), MOST_CALIBRATION)]
    loaders = [functools.partial(_unlabelled, path) for path in paths]
    return _Photos(f"training photos of {faces.source.title}, {faces.cache.fingerprint}", len(faces.train), loaders)


def _spread(items: Sequence[T], most: int) -> list[T]:
    """At most `most` items, evenly spaced from the first to the last."""
    return [items[int(index)] for index in np.linspace(0, len(items) - 1, min(most, len(items)))]


def _opens(path: Path, problems: list[str]) -> bool:
    try:
        return open_photo(path).size > 0
    except DataError as error:
        problems.extend(error.problems)
        return False


def _unlabelled(path: Path) -> Sample:
    return Sample(open_photo(path), None)


def _labelled(faces: FaceDataModule, index: int) -> Sample:
    return Sample(*faces.native(index))


def _write_graph(job: _Job, part: Path, calibration: _Photos | None) -> OnnxModel:
    graph = make_graph(job.model.net, whole=job.kind == "whole", name=job.model.name)
    if calibration:
        graph = quantize(graph, _inputs(job, calibration), job.model.name, len(job.files))
    calibrated_on = str(calibration) if calibration else None
    describe(graph, job.model.card, kind=job.kind, calibrated_on=calibrated_on, versions=_versions(job.kind))
    part.write_bytes(graph.SerializeToString())
    try:
        exported = OnnxModel(part, "cpu", torch.get_num_threads())
    except CheckpointError as error:
        raise CheckpointError(*(problem.replace(str(part), str(job.target)) for problem in error.problems)) from error
    exported.name = str(job.target)
    _require_card(job, exported.card)
    return exported


def _write_weights(job: _Job, part: Path) -> CheckpointModel:
    """Write the weights, read them back, check that they are bit-identical, and load them into a copy of the net."""
    ours = {name: _rounded(weight) if job.half else weight for name, weight in job.model.net.state_dict().items()}
    write_weights(part, ours, job.model.card, half=job.half)
    read = read_weights(part)
    theirs = read["state_dict"]
    other = sorted(ours.keys() ^ theirs.keys()) or [
        name for name, weight in ours.items() if weight.dtype != theirs[name].dtype or not weight.equal(theirs[name])
    ]
    if other:
        raise CheckpointError(f"{job.target}: {', '.join(other)} differ when read back; nothing was exported.")
    _require_card(job, read["hyper_parameters"])
    exported = copy.deepcopy(job.model)
    exported.net.load_state_dict(theirs)
    return exported


def _rounded(weight: Tensor) -> Tensor:
    return weight.half().to(weight.dtype) if weight.is_floating_point() else weight


def _require_card(job: _Job, card: Any) -> None:
    if card != json.loads(json.dumps(job.model.card)):
        raise CheckpointError(f"{job.target}: its card differs when read back; nothing was exported.")


def _inputs(job: _Job, photos: _Photos) -> Iterator[np.ndarray]:
    """Photos as the graph's input: (1, 3, H, W) uint8, or (1, 3, S, S) float32."""
    size = job.model.image_size
    for load in photos.loaders:
        photo = load().photo
        if job.kind == "whole":
            yield photo.transpose(2, 0, 1)[None]
        else:
            yield resize_photo(photo, size, size).transpose(2, 0, 1)[None].astype(np.float32)


def _require_parity(job: _Job, parity: Parity) -> None:
    exact = job.kind == "weights" and not job.half
    lossy = "int8" if job.int8 else "half" if job.half else ""
    remedy = f"Export without --{lossy}." if lossy else "Please report it, with the versions of torch and onnxruntime."
    if problems := problems_of(parity, job.model.taxonomy.names, "exact" if exact else job.precision):
        fact = f"{job.target}: not written, since its predictions differ from those of {job.model.name}"
        raise CheckpointError(*(f"{fact}: {problem}. {remedy}" for problem in problems))


def _certify(job: _Job, part: Path, parity: Parity, compared: _Photos, calibration: _Photos | None) -> Certificate:
    ours, theirs = parity.medians()
    size = job.model.image_size
    timed = "from the photo to its mask" if job.kind == "whole" else f"the net alone, {size}x{size}"
    return Certificate(
        checkpoint=_about_all(job),
        model=_about(part, job.target.name),
        kind=job.kind,
        precision=job.precision,
        calibrated_on=str(calibration) if calibration else None,
        photos={"of": compared.of, "count": len(compared.loaders), "there": compared.there},
        pixels=parity.pixels,
        same=parity.same,
        difference=parity.difference,
        largest=parity.largest,
        sizes=[shape._asdict() for shape in parity.sizes],
        iou=parity.ious(job.model.taxonomy.names),
        milliseconds={"pytorch": ours, "export": theirs, "threads": torch.get_num_threads(), "of": timed},
        versions=_versions(job.kind),
        machine=machine(),
    )


def _about_all(job: _Job) -> dict[str, Any]:
    every = [_about(on_disk(file), file.name) for file in job.files]
    if len(every) == 1:
        return every[0]
    total = sum(about["bytes"] for about in every)
    return {"file": Path(job.model.name).name, "bytes": total, "members": job.model.card["members"]}


def _about(file: Path, name: str) -> dict[str, Any]:
    with file.open("rb") as content:
        return {
            "file": name,
            "bytes": file.stat().st_size,
            "sha256": hashlib.file_digest(content, "sha256").hexdigest(),
        }


def _versions(kind: str) -> dict[str, str]:
    packages = ("safetensors",) if kind == "weights" else ("onnx", "onnxscript", "onnxruntime")
    return {**versions(), **{package: version(package) for package in packages}}
