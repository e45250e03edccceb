"""The options of the verbs that compose no config of their own: predict, compare, report, export, info, data."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from facesegl.errors import ConfigError


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """What is wrong is told as every other error is, without the usage."""
        message = message.removesuffix(", key=value")  # of which there may be none, whatever argparse says
        raise ConfigError(f"{self.prog.partition(' ')[2]}: {message}. See {self.prog} --help.")


def parse_options(verb: str, arguments: Sequence[str]) -> Namespace:
    """Read the command line after one of these verbs, such as `data check`; `--help` prints and ends the process.

    Raises:
        ConfigError: an option that is none, or an argument that is missing.
    """
    return _parser(verb).parse_intermixed_args(list(arguments))


def options_of(verb: str) -> list[str]:
    """The options of one of these verbs, such as `--json`; none of any other verb."""
    return [name for name in _parser(verb)._option_string_actions if name.startswith("--")] if verb in _VERBS else []


def _parser(verb: str) -> _Parser:
    words, describe = _VERBS[verb]
    parser = _Parser(
        prog=f"facesegl {verb}", description=words, allow_abbrev=False, formatter_class=RawDescriptionHelpFormatter
    )
    describe(parser)
    return parser


def _predict(parser: ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", type=_path, metavar="CKPT|photo|folder/", help="models, then photos")
    parser.add_argument("-o", "--output", type=_path, required=True, metavar="FOLDER", help="takes the masks")
    parser.add_argument("--tta", action="store_true", help="look at each photo mirrored as well, and average")
    parser.add_argument(
        "--probabilities", action="store_true", help="leave the probabilities of all classes too (.npy)"
    )
    parser.add_argument("--batch-size", type=_count, default=4, metavar="N", help="photos at once (default 4)")
    _add_device_and_trust(parser)


def _compare(parser: ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar="RUN|CKPT|counts.npz", help="two or more, and keys of the data")
    parser.add_argument("--set", metavar="NAME", help="the set of photos (default: test_clean, or what all have)")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    _add_config_dir(parser)


def _report(parser: ArgumentParser) -> None:
    parser.add_argument("run", type=_path, metavar="RUN", help="the folder of a run or of a sweep")
    _add_keys(parser, "of the data, for the photos that are shown")


def _export(parser: ArgumentParser) -> None:
    parser.add_argument("model", type=_path, metavar="CKPT", help="a checkpoint, or the folder of its run")
    parser.add_argument(
        "-o", "--output", type=_path, required=True, metavar="FILE", help="model.onnx or model.safetensors"
    )
    parser.add_argument("--whole", action="store_true", help="resizing, upscaling and argmax inside the ONNX graph too")
    parser.add_argument("--int8", action="store_true", help="8-bit integers, calibrated on training photos")
    parser.add_argument(
        "--photos", type=_path, metavar="FOLDER", help="photos to try the export on, instead of the data"
    )
    _add_trust(parser)
    _add_keys(parser, "of the data that the export is tried on")


def _info(parser: ArgumentParser) -> None:
    parser.add_argument("model", type=_path, metavar="CKPT", help="a model's file, or the folder of its run")
    parser.add_argument("--json", action="store_true", help="print the whole card as JSON")


def _check(parser: ArgumentParser) -> None:
    parser.add_argument(
        "words",
        nargs="*",
        metavar="FOLDER|key=value",
        help="FASSEG's folder, or the keys of other data: data=folder ...",
    )
    parser.add_argument("--version", metavar="V2", help="one version in FASSEG's folder (default: all that lie there)")
    parser.add_argument("--json", action="store_true", help="print every case, split and photo as JSON")
    _add_config_dir(parser)


def _preview(parser: ArgumentParser) -> None:
    parser.add_argument("-o", "--output", type=_path, default=Path("preview.png"), metavar="FILE", help="the picture")
    parser.add_argument("--count", type=_count, default=12, metavar="N", help="samples, evenly from all (default 12)")
    parser.add_argument("--split", default="train", metavar="NAME", help="train (default), val or test")
    parser.add_argument("--augmented", action="store_true", help="what the net really sees, and what it learns from it")
    parser.add_argument("--inexact", action="store_true", help="where a mask's classes were guessed")
    _add_keys(parser, "of the data, such as data=synthetic")


def _download(parser: ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar="FOLDER", help="takes V1, V2 and V3 (default: data/fasseg)")
    parser.add_argument("--archive", type=_path, metavar="FILE", help="a zip that is here already")
    parser.add_argument("--url", metavar="URL", help="a mirror of the archive")
    parser.add_argument("--force", action="store_true", help="replace files that are not as they should be")


_VERBS: dict[str, tuple[str, Callable[[ArgumentParser], None]]] = {
    "predict": (
        "Segment photos: an index mask, a colour mask and an overlay each, and predictions.csv.\n"
        "Several models are an ensemble: the mean of their probabilities.",
        _predict,
    ),
    "compare": (
        "Hold models against each other on the same photos, with an interval for each difference.\n"
        "The first one is what the others are held against.",
        _compare,
    ),
    "report": ("Write report.html, one file that shows a run or a sweep; it opens from the disk.", _report),
    "export": (
        "Write a checkpoint as an ONNX model or as safetensors, and certify that it predicts the same.",
        _export,
    ),
    "info": ("Print what a model's file carries. Nothing of it is run.", _info),
    "data check": (
        "Look at every photo and mask, and tell what is wrong with them, worst first.\n"
        "Ends with 1 where training would be wrong.",
        _check,
    ),
    "data preview": ("Draw photos, masks and overlays on a sheet.", _preview),
    "data download": (
        "Bring FASSEG (three sets of labelled faces, for research) from GitHub, and check every file.\n"
        "What is there already is checked, and not fetched again.",
        _download,
    ),
}


def _add_keys(parser: ArgumentParser, what: str) -> None:
    parser.add_argument(
        "keys", nargs="*", type=_key, metavar="key=value", help=f"keys {what}, such as paths.data=FOLDER"
    )
    _add_config_dir(parser)


def _add_config_dir(parser: ArgumentParser) -> None:
    parser.add_argument("--config-dir", type=_path, action="append", default=[], metavar="FOLDER", help="own groups")


def _add_device_and_trust(parser: ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cpu, cuda or mps")
    _add_trust(parser)


def _add_trust(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--trust", action="append", default=[], metavar="PACKAGE", help="a package whose net the checkpoint may build"
    )


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise ArgumentTypeError(f"{text} is no whole number from 1")
    return int(text)


def _path(text: str) -> Path:
    if not text:
        raise ConfigError("an empty path: expected the name of a file or folder.")
    return Path(text)


def _key(text: str) -> str:
    if "=" not in text:
        raise ConfigError(f"{text}: expected key=value here, such as data=fasseg_v2 or paths.data=FOLDER.")
    return text
