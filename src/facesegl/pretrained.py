"""The weights that ship with facesegl, by name: `facesegl:faces` wherever a model file is taken."""

from pathlib import Path

from facesegl.errors import CheckpointError

FACES = "facesegl:faces"
"""Six FASSEG classes, trained on synthetic faces alone; docs/model_card.md describes it."""

NAMES = (FACES,)

REMEDY = "install facesegl again, or give another model."
"""The remedy in messages about a missing or damaged file."""

_PREFIX = "facesegl:"
_FOLDER = Path(__file__).parent / "weights"


def is_pretrained(path: "str | Path") -> bool:
    """Whether this is the name of shipped weights, known or not, and not a path.

    Example:
        >>> is_pretrained("facesegl:faces"), is_pretrained("./facesegl:faces")
        (True, False)
    """
    return str(path).startswith(_PREFIX)


def model_path(text: "str | Path") -> Path:
    """A model as a path; absolute for `./facesegl:faces`, which `Path` turns into the name of weights."""
    path = Path(text)
    return path.absolute() if is_pretrained(path) and not is_pretrained(text) else path


def on_disk(model: Path) -> Path:
    """The file with the weights of this name; any other path is returned as it is.

    Raises:
        CheckpointError: no weights of this name, or this installation lacks the file.
    """
    if not is_pretrained(model):
        return model
    if str(model) not in NAMES:
        raise CheckpointError(f"{model}: no such weights; expected {' or '.join(NAMES)}, or ./{model} for a file.")
    file = _FOLDER / f"{model.name.removeprefix(_PREFIX)}.safetensors"
    if not file.is_file():
        raise CheckpointError(f"{model}: this installation of facesegl lacks their file, {file.name}; {REMEDY}")
    return file
