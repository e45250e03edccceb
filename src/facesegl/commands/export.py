"""Write a checkpoint in another form, and certify on real photos that it predicts the same.

model.onnx, model.parity.json                                 a graph and its certificate
model.safetensors, model.safetensors.parity.json              weights and theirs
"""

import contextlib
import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

from facesegl.card import Card
from facesegl.commands.datasets import open_faces, warn_of_other_data
from facesegl.data.datamodule import FaceDataModule
from facesegl.errors import CheckpointError, ConfigError, DataError
from facesegl.export.certificate import Certificate, certificate_table
from facesegl.export.graph import make_graph, require_packages
from facesegl.export.metadata import describe
from facesegl.export.parity import OnnxRuntime, Parity, PyTorch, Sample, Side, compare, problems_of, sizes_to_try
from facesegl.export.quantise import quantise
from facesegl.files import replacing, write_json
from facesegl.learning.checkpoint import build_net
from facesegl.learning.module import SegmentationModule
from facesegl.learning.weights import read_weights, require_safetensors, write_weights
from facesegl.nets.fcn import stride_of
from facesegl.prediction.model import model_file
from facesegl.prediction.onnx_model import OnnxModel
from facesegl.prediction.photo_files import list_photos
from facesegl.provenance import machine, versions
from facesegl.sources.photo import open_photo, resize_photo

T = TypeVar("T")

__all__ = ["certificate_path", "certificate_table", "export"]

MOST_PHOTOS = 50
"""How many photos a certificate is made on at most, spread evenly over those that there are."""
MOST_CALIBRATION = 100
"""How many training photos int8 is calibrated on at most."""


class _Asked(NamedTuple):
    """What is to be exported, and how.

    Attributes:
        file: the checkpoint.
        module: what is in it, on the CPU.
        card: its card.
        target: where the export goes.
        kind: logits, whole or weights.
        trust: packages beside facesegl whose classes the card may name.
    """

    file: Path
    module: SegmentationModule
    card: Card
    target: Path
    kind: str
    trust: Sequence[str]


class _Photos(NamedTuple):
    """Photos to compare on, opened when they are asked for, and what they are."""

    of: str
    there: int
    loaders: Sequence[Callable[[], Sample]]


def export(
    checkpoint: Path,
    target: Path,
    *,
    int8: bool,
    whole: bool,
    photos: Path | None,
    trust: Sequence[str] = (),
    overrides: Sequence[str] = (),
    config_dirs: Sequence["str | Path"] = (),
) -> Certificate:
    """Write a model as ONNX or as safetensors, whichever `target` ends with, beside a certificate that it is the same.

    The export is tried before it gets its name: on the photos that its training held out, or on the training photos
    where nothing was held out; never on test photos, which are for scores. What fails leaves everything as it was.

    Args:
        checkpoint: a checkpoint, weights, or a run's folder.
        target: `.onnx` or `.safetensors`.
        int8: 8-bit integers, calibrated on training photos; for ONNX.
        whole: resizing, upscaling and argmax in the graph too; for ONNX.
        photos: a folder of photos to try the export on instead; without masks there is no IoU.
        trust: packages beside facesegl whose classes the checkpoint may name.
        overrides: keys and groups of conf/evaluate.yaml, such as `paths.data=FOLDER`.
        config_dirs: folders with a person's own groups.

    Raises:
        ConfigError: another ending, what does not go together, or a package that is not installed.
        CheckpointError: the checkpoint is wrong, or the export does not predict the same.
        DataError: there are no photos to try it on.
        MachineError: it cannot be written there.
    """
    file = model_file(checkpoint)
    _require_possible(file, target, int8, whole)
    module = SegmentationModule.load_from_checkpoint(file, "cpu", trust=trust)
    kind = "weights" if target.suffix == ".safetensors" else "whole" if whole else "logits"
    asked = _Asked(file, module, dict(module.hparams), target, kind, trust)
    tried_on, learnt_from = _photos(asked, photos, int8, lambda: _faces(asked, overrides, config_dirs, photos))
    with replacing(target) as part:
        part.touch()  # where it cannot be written, that is told now
        candidate = _write(asked, part, learnt_from)
        sizes = sizes_to_try(kind, module.image_size, stride_of(module.net))
        parity = compare(PyTorch(module, str(file)), candidate, tried_on.loaders, module.image_size, kind, sizes)
        _require_parity(asked, parity, int8)
        certificate = _certify(asked, part, parity, tried_on, learnt_from)
        write_json(certificate_path(target), certificate.to_dict())
    return certificate


def certificate_path(target: Path) -> Path:
    """Where the certificate of an export lies: beside it, and apart for a model in both forms.

    Example:
        >>> certificate_path(Path("out/model.onnx")).name, certificate_path(Path("model.safetensors")).name
        ('model.parity.json', 'model.safetensors.parity.json')
    """
    return target.with_name(f"{target.stem if target.suffix == '.onnx' else target.name}.parity.json")


def _require_possible(file: Path, target: Path, int8: bool, whole: bool) -> None:
    problems = []
    if target.suffix not in (".onnx", ".safetensors"):
        problems.append(
            f"{target}: no form that a model can be exported to; expected a name like model.onnx or model.safetensors."
        )
    if target.suffix == ".safetensors":
        problems += [
            f"--{name}: {target.name} holds plain weights; {name} is for .onnx."
            for name, given in (("int8", int8), ("whole", whole))
            if given
        ]
    if target.is_dir():
        problems.append(f"{target}: a folder; expected the name of a file in it.")
    if file.suffix == ".onnx":
        problems.append(f"{file}: an export already; expected the checkpoint that it came from.")
    if problems:
        raise ConfigError(*problems)
    if target.suffix == ".onnx":
        require_packages(str(target))
    else:
        require_safetensors(target)


def _photos(
    asked: _Asked, folder: Path | None, int8: bool, open_data: Callable[[], FaceDataModule]
) -> tuple[_Photos, _Photos | None]:
    """What the export is tried on, and what int8 is calibrated on; the data are only opened where they are needed."""
    of_folder = _of_folder(folder, asked.target) if folder else None
    if of_folder and not int8:
        return of_folder, None
    faces = open_data()
    return of_folder or _held_out(faces), _learnt_from(faces) if int8 else None


def _faces(
    asked: _Asked, overrides: Sequence[str], config_dirs: Sequence["str | Path"], photos: Path | None
) -> FaceDataModule:
    """The data that the checkpoint was trained on, or those that the person names instead."""
    try:
        faces = open_faces(asked.card, asked.file, overrides, config_dirs)
    except DataError as error:
        remedy = "or leave out --int8" if photos else "or --photos FOLDER with photos of any kind"
        why = "calibrated on training photos" if photos else "tried on real photos before it gets its name"
        raise DataError(
            *error.problems,
            f"{asked.target}: an export is {why}; give paths.data=FOLDER with those of {asked.file}, {remedy}.",
        ) from error
    warn_of_other_data(asked.card, faces)
    return faces


def _of_folder(folder: Path, target: Path) -> _Photos:
    if not folder.is_dir():
        raise DataError(f"--photos {folder}: no such folder; expected one with photos.")
    found = [photo.path for photo in list_photos([folder], target)]
    loaders = [functools.partial(_unlabelled, path) for path in _spread(found, MOST_PHOTOS)]
    return _Photos(f"photos without masks, from {folder.resolve().name}", len(found), loaders)


def _held_out(faces: FaceDataModule) -> _Photos:
    what, places = ("held-out", faces.val) if faces.val.size else ("training", faces.train)
    loaders = [functools.partial(_labelled, faces, place) for place in _spread(places.tolist(), MOST_PHOTOS)]
    return _Photos(f"{what} photos of {faces.source.name}, {faces.cache.fingerprint}", len(places), loaders)


def _learnt_from(faces: FaceDataModule) -> _Photos:
    paths = [faces.cache.samples[place].photo for place in _spread(faces.train.tolist(), MOST_CALIBRATION)]
    loaders = [functools.partial(_unlabelled, path) for path in paths]
    return _Photos(f"training photos of {faces.source.name}, {faces.cache.fingerprint}", len(faces.train), loaders)


def _spread(things: Sequence[T], most: int) -> list[T]:
    """Some of many, from the first to the last at even distances."""
    return [things[int(place)] for place in np.linspace(0, len(things) - 1, min(most, len(things)))]


def _unlabelled(path: Path) -> Sample:
    return Sample(open_photo(path), None)


def _labelled(faces: FaceDataModule, place: int) -> Sample:
    return Sample(*faces.native(place))


def _write(asked: _Asked, part: Path, learnt_from: _Photos | None) -> Side:
    """Write the export, read it back as others will, and return it ready to run."""
    if asked.kind == "weights":
        write_weights(part, asked.module.state_dict(), asked.card)
        return _reloaded(asked, part)
    model = make_graph(asked.module, whole=asked.kind == "whole", place=str(asked.file))
    if learnt_from:
        inputs = (_input(asked, load().photo) for load in learnt_from.loaders)
        model = quantise(model, inputs, str(asked.file))
    describe(
        model,
        asked.card,
        kind=asked.kind,
        calibrated_on=_named(learnt_from) if learnt_from else None,
        versions=_versions(asked.kind),
    )
    part.write_bytes(model.SerializeToString())
    with _named_by_target(asked, part):
        if OnnxModel(part, "cpu").card != json.loads(json.dumps(asked.card)):
            raise CheckpointError(f"{asked.target}: its card is not read as it was written; nothing was exported.")
        return OnnxRuntime(part.read_bytes(), torch.get_num_threads(), str(asked.target))


def _reloaded(asked: _Asked, part: Path) -> Side:
    """The module that weights make, which are those of the checkpoint to the bit."""
    with _named_by_target(asked, part):
        read = read_weights(part)
    ours, theirs = asked.module.state_dict(), read["state_dict"]
    other = sorted(ours.keys() ^ theirs.keys()) or [
        name for name, weight in ours.items() if weight.dtype != theirs[name].dtype or not weight.equal(theirs[name])
    ]
    if other:
        raise CheckpointError(
            f"{asked.target}: {', '.join(other)} are not read as they were written; nothing was exported."
        )
    module = SegmentationModule(build_net(read["hyper_parameters"], asked.trust), card=read["hyper_parameters"])
    module.load_state_dict(theirs)
    return PyTorch(module.eval(), str(asked.target))


def _input(asked: _Asked, photo: np.ndarray) -> np.ndarray:
    """A photo (H, W, 3) uint8 as the graph takes it: (1, 3, H, W) uint8, or (1, 3, S, S) float32."""
    if asked.kind == "whole":
        return photo.transpose(2, 0, 1)[None]
    size = asked.module.image_size
    return resize_photo(photo, size, size).transpose(2, 0, 1)[None].astype(np.float32)


def _require_parity(asked: _Asked, parity: Parity, int8: bool) -> None:
    precision = "exact" if asked.kind == "weights" else "int8" if int8 else "float32"
    problems = problems_of(parity, asked.module.taxonomy.names, precision)
    remedy = "Export without --int8." if int8 else "Please report it, with the versions of torch and onnxruntime."
    if problems:
        raise CheckpointError(
            *(
                f"{asked.target}: not written, since it does not predict what {asked.file} does: {problem}. {remedy}"
                for problem in problems
            )
        )


def _certify(asked: _Asked, part: Path, parity: Parity, tried_on: _Photos, learnt_from: _Photos | None) -> Certificate:
    ours, theirs = parity.medians()
    what = (
        "from the photo to its mask"
        if asked.kind == "whole"
        else f"the net alone, {asked.module.image_size}x{asked.module.image_size}"
    )
    return Certificate(
        checkpoint=_about(asked.file, asked.file.name),
        model=_about(part, asked.target.name),
        kind=asked.kind,
        precision="int8" if learnt_from else "float32",
        calibrated_on=_named(learnt_from) if learnt_from else None,
        photos={"of": tried_on.of, "count": len(tried_on.loaders), "there": tried_on.there},
        pixels=parity.pixels,
        same=parity.same,
        difference=parity.difference,
        largest=parity.largest,
        sizes=[size._asdict() for size in parity.sizes],
        iou=parity.ious(asked.module.taxonomy.names),
        milliseconds={"pytorch": ours, "export": theirs, "threads": torch.get_num_threads(), "of": what},
        versions=_versions(asked.kind),
        machine=machine(),
    )


def _named(photos: _Photos) -> str:
    return f"{len(photos.loaders)} {photos.of}"


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


@contextlib.contextmanager
def _named_by_target(asked: _Asked, part: Path) -> Iterator[None]:
    """Messages about a file that has no name yet name the one that it was to get."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(*(problem.replace(str(part), str(asked.target)) for problem in error.problems)) from error
