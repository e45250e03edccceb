"""The command line: one parser with all verbs; help and Tab completion come from it."""

import contextlib
import os
import re
import sys
from argparse import Action, ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Collection, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NoReturn

from facesegl.errors import ConfigError
from facesegl.pretrained import FACES, NAMES, model_path


class Parser(ArgumentParser):
    """An argparse parser that raises our errors and knows its verbs and long options.

    Attributes:
        verbs: the parsers of the verbs below this one.
        options: its long options, e.g. `--json`.
        needed: what a command line needs at least, e.g. `CKPT` and `-o FILE`.
        config: the config of conf/ whose keys it takes (`train` or `evaluate`), for completion, or None.
        takes_models: whether a model may be an argument.
    """

    def __init__(self, config: str | None = None, **given: Any) -> None:
        self.verbs: Mapping[str, Parser] = {}
        self.options: list[str] = []
        self.needed: list[str] = []
        self.config = config
        self.takes_models = False
        super().__init__(allow_abbrev=False, formatter_class=RawDescriptionHelpFormatter, **given)

    def add_argument(self, *names: str, **given: Any) -> Action:
        """Add an argument and keep its long options."""
        self.options += [name for name in names if name.startswith("--")]
        self.takes_models |= "CKPT" in (given.get("metavar") or "")
        action = super().add_argument(*names, **given)
        if action.required and action.nargs != "*":
            self.needed.append(" ".join([*action.option_strings[:1], str(action.metavar)]))
        return action

    def print_help(self, file: Any = None) -> None:
        """Print the help; unlike argparse's, this raises if the output is full."""
        print(self.format_help(), end="", file=file)

    def error(self, message: str) -> NoReturn:
        """Raise the message as one line, without the usage."""
        message = message.removesuffix(", key=value")  # argparse reports it as required, but it is optional
        if message.startswith("the following arguments are required"):
            message = f"expected {' '.join([self.prog, *self.needed])}"
        raise ConfigError(f"{self.prog.partition(' ')[2]}: {message}. See {self.prog} --help.")


def parse(arguments: Sequence[str]) -> Namespace | None:
    """Parse a command line.

    Returns:
        The values of the verb's arguments, with the verb itself (`data check`) as `verb` and everything after it as
        `typed`; the verb `--version` if any verb was asked for it; None if help was asked for and printed.

    Raises:
        ConfigError: no such verb or option, a missing argument, spaces around a `=`.
    """
    parser, typed = build_parser(), list(arguments)
    while parser.verbs:
        verb, typed = (typed[0], typed[1:]) if typed else ("--help", [])
        if verb == "--version":
            return Namespace(verb=verb)
        if verb in ("-h", "--help", "help"):
            parser.print_help()
            return None
        if verb not in parser.verbs:
            from facesegl.text import suggestion

            above = parser.prog.partition(" ")[2]
            name = f"{above} {verb}".strip()
            raise ConfigError(f"{name}: no such verb (see {parser.prog} --help); {suggestion(verb, parser.verbs)}")
        parser = parser.verbs[verb]
    if "--version" in typed and "--version" not in parser.options:
        return Namespace(verb="--version")
    try:
        given, unknown = parser.parse_known_intermixed_args(typed)
    except SystemExit:  # argparse printed the verb's help
        return None
    given.verb, given.typed = parser.prog.partition(" ")[2], typed
    _require_known(given, unknown, parser)
    return given


def _require_known(given: Namespace, unknown: Sequence[str], parser: Parser) -> None:
    words = getattr(given, "words", [])
    for before, word, after in zip(words, words[1:], words[2:], strict=False):
        if word == "=":
            raise ConfigError(f"{before} = {after}: write it without spaces: {before}={after}")
    for i, word in enumerate(words):
        rest = [*takewhile(lambda other: "=" not in other, words[i + 1 :])]
        if "=" in word and rest and (word.endswith(",") or rest[0].startswith(",")):
            raise ConfigError(f"{' '.join([word, *rest])}: write it without spaces: {word}{''.join(rest)}")
        if rest and any("=" in word and word.count(bracket) > word.count(end) for bracket, end in ("[]", "{}")):
            text = " ".join([word, *rest])
            raise ConfigError(f"{text}: the shell splits it at its spaces; write it in quotes: '{text}'")
    if flags := [word for word in unknown if word.startswith("-")]:  # the other words are their values
        problems = [_unknown_option(flag, given, parser) for flag in flags]
    else:
        expected = " ".join([parser.prog, *parser.needed])
        problems = [f"{word}: one argument too many; expected {expected}." for word in unknown]
    for path in map(str, getattr(given, "paths", ())):
        key, equals, value = path.partition("=")
        if equals and f"--{key}" in parser.options and not _exists(path):
            problems.append(f"{path}: {given.verb} has options, not keys; write --{key} {value}")
    problems += [
        f"{flag}: the verb already chooses the config; add your config groups with --config-dir FOLDER."
        for flag in ("--config-name", "--config-path")
        if getattr(given, flag[2:].replace("-", "_"), None)
    ]
    modes = [f"--{mode}" for mode in ("run", "multirun", "cfg", "info") if getattr(given, mode, None)]
    if len(modes) > 1 and "hydra_help" in given:
        problems.append(f"{' and '.join(modes)}: expected one of them.")
    if problems:
        raise ConfigError(*problems)


def _unknown_option(flag: str, given: Namespace, parser: Parser) -> str:
    from facesegl.text import nearest

    takes_keys = "hydra_help" in given
    dashed, _, value = flag.partition("=")
    name = dashed.lstrip("-")
    if meant := _keys_meant(name.replace("-", "_"), given.verb) if takes_keys else []:
        keys = " or ".join(key if "=" in key.split()[-1] else f"{key}={value or 'VALUE'}" for key in meant)
        hint = f"; did you mean {keys}?"
    elif similar := nearest(name, [option.lstrip("-") for option in parser.options]):
        hint = f"; did you mean --{similar}?"
    else:
        hint = "; keys are given as key=value, e.g. trainer.max_epochs=5." if takes_keys else "."
    return f"{flag}: no such option{hint} See facesegl {given.verb} --help."


def _keys_meant(name: str, verb: str) -> list[str]:
    from omegaconf import OmegaConf

    from facesegl.config.compose import compose
    from facesegl.config.key_names import keys_meant

    config: Any = OmegaConf.to_container(compose(config_name=verb))
    return [name] if name in config else keys_meant(name, config)


def paths_and_keys(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate paths from keys, which are key=value or ~key. A path may contain `=` too."""
    paths = [word for word in words if _is_path(word)]
    return paths, [word for word in words if word not in paths]


_GROUP = re.compile(r"\+{0,2}data/\w+(@[\w.]+)?")
"""Hydra's nested groups, which are not folders: `data/taxonomy=fasseg`."""


def _is_path(word: str) -> bool:
    from facesegl.prediction.model import SUFFIXES

    key, equals, _ = word.partition("=")
    if not (equals or word.startswith("~")) or _exists(word) or word.endswith(SUFFIXES):
        return True
    return "/" in key and not _GROUP.fullmatch(key)


def _exists(word: str) -> bool:
    try:
        return Path(word).is_file() or (Path(word) / "result.json").is_file()
    except (OSError, ValueError):  # the name is too long
        return False


def build_parser() -> Parser:
    """The parser of the whole command."""
    parser = Parser(prog="facesegl", description=_DESCRIPTION, epilog=_EPILOG, usage="facesegl VERB ...")
    parser.add_argument("--version", action="store_true", help="print the version")
    verbs = parser.add_subparsers(title="verbs (facesegl VERB --help shows each)", metavar="VERB", prog="facesegl")
    parser.verbs = verbs.choices

    def verb(name: str, summary: str, *, more: str = "", to: Any = verbs, **given: Any) -> Parser:
        added: Parser = to.add_parser(name, help=summary, description=f"{summary}.\n{more}".strip(), **given)
        return added

    # --help of these two prints the composed config
    _train(verb("train", "Train a model and score it, or with -m many", config="train", add_help=False))
    _tune(verb("tune", "Search for the best hyperparameters", more=_TUNE, config="train"))
    _evaluate(verb("evaluate", "Score a checkpoint, or an ensemble of several", config="evaluate", add_help=False))
    _predict(verb("predict", "Segment your own photos", more=_PREDICT))
    _compare(verb("compare", "Compare models on the same photos", more=_COMPARE, config="evaluate"))
    _report(verb("report", "Write one HTML page about a run or sweep", more=_REPORT, config="evaluate"))
    _export(
        verb("export", "Write a checkpoint, or an ensemble, as ONNX or safetensors", more=_EXPORT, config="evaluate")
    )
    _info(verb("info", "Print what a model file contains"))
    data = verb("data", "Describe, check, preview or download data", usage="facesegl data VERB ...")
    below = data.add_subparsers(
        title="verbs (facesegl data VERB --help shows each)", metavar="VERB", prog="facesegl data"
    )
    data.verbs = below.choices
    _init(
        verb("init", "Write the classes of your masks in a file, to train with", more=_INIT, to=below, config="train")
    )
    _check(verb("check", "Check every photo and mask, worst problems first", more=_CHECK, to=below, config="train"))
    _preview(verb("preview", "Draw photos, masks and overlays on a contact sheet", to=below, config="train"))
    _download(verb("download", "Download FASSEG and verify every file", more=_DOWNLOAD, to=below))
    return parser


_DESCRIPTION = "facesegl trains, monitors and evaluates face segmentation models from a few labelled photos."
_EPILOG = """\
First steps without any data:  facesegl train data=synthetic trainer.max_epochs=160 data.image_size=128
Tab completion:                eval "$(facesegl -sc install=bash)"
"""
_TUNE = """\
Keys with several values are searched, in Hydra's sweep grammar; quote them for the shell:
  'optimizer.lr=tag(log,interval(1e-4,1e-1))' 'model.channels=int(interval(8,24))' augment=none,face
Several processes work on one study: start the same command again with resume=auto, or with --study."""
_PREDICT = """\
Writes an index mask, a colour mask and an overlay of each photo, and predictions.csv.
Several models, or the folder of a sweep, are an ensemble: the mean of their probabilities."""
_COMPARE = """\
Each difference has a confidence interval. The first model is the baseline."""
_REPORT = "report.html is self-contained: it opens without a server and can be sent to others."
_INIT = """\
Finds numbers, palettes, colours (also with blended edges), layers, one file per part, and exports of CVAT and Label
Studio. Prints the commands to check, preview and train, and what the files do not say."""
_CHECK = "The exit code is 1 if you should not train on the data yet."
_EXPORT = """\
The export is verified to predict the same as the checkpoint, and comes with a certificate.
Several models, or the folder of a sweep, become one ONNX graph that averages their probabilities."""
_DOWNLOAD = """\
FASSEG is three sets of labelled faces, for research. Existing files are verified and not downloaded again."""


def _train(parser: Parser) -> None:
    _add_hydra(parser)
    parser.add_argument("-m", "--multirun", action="store_true", help="train one for each combination of values")
    parser.add_argument("words", nargs="*", metavar="key=value", help="keys and choices of conf/train.yaml")


def _tune(parser: Parser) -> None:
    parser.add_argument("words", nargs="*", metavar="key=value", help="keys and choices of conf/train.yaml")
    parser.add_argument(
        "--trials", type=_count, default=30, metavar="N", help="of the study, over all processes (default 30)"
    )
    parser.add_argument(
        "--study", type=_path, metavar="FOLDER", help="the study's folder, new or to join (default: a new one by date)"
    )
    parser.add_argument(
        "--storage",
        metavar="URL|FILE",
        help="a database or a journal file of Optuna (default: a journal in the folder)",
    )
    parser.add_argument("--no-prune", action="store_true", help="train every trial to its end")
    parser.add_argument(
        "--test", action="store_true", help="then train the best config on all photos, and score it on test, once"
    )
    _add_config_dir(parser)


def _evaluate(parser: Parser) -> None:
    _add_hydra(parser)
    parser.add_argument("-m", "--multirun", action="store_true", help="refused: evaluate has no sweeps")
    parser.add_argument(
        "words", nargs="*", metavar="CKPT|key=value", help="checkpoints, folders of runs or sweeps, and keys"
    )


def _add_hydra(parser: Parser) -> None:
    parser.add_argument("-h", "--help", action="store_true", help="show choices and keys with their current values")
    parser.add_argument("--hydra-help", action="store_true", help="show Hydra's own flags")
    parser.add_argument("-c", "--cfg", choices=("job", "hydra", "all"), help="print the config and exit")
    parser.add_argument("-r", "--run", action="store_true", help="run once, the default")
    parser.add_argument("--resolve", action="store_true", help="with --cfg: resolve interpolations")
    parser.add_argument("-p", "--package", help="with --cfg: the part to print")
    parser.add_argument("-i", "--info", nargs="?", const="all", help="print what Hydra knows")
    for flag in ("--config-name", "--config-path"):
        parser.add_argument(flag, help="refused: the verb already chooses the config")
    _add_config_dir(parser)


def _predict(parser: Parser) -> None:
    parser.add_argument(
        "paths", nargs="+", type=_path, metavar="CKPT|photo|folder/", help=f"models (default {FACES}), then photos"
    )
    parser.add_argument("-o", "--output", type=_path, required=True, metavar="FOLDER", help="where the masks go")
    parser.add_argument("--tta", action="store_true", help="test-time augmentation: average with the mirrored photo")
    parser.add_argument("--probabilities", action="store_true", help="also save all classes' probabilities (.npy)")
    parser.add_argument("--palette", action="store_true", help="index masks as palette PNGs: index and colour in one")
    parser.add_argument("--batch-size", type=_count, default=4, metavar="N", help="photos per forward pass (default 4)")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cpu, cuda or mps")
    _add_trust(parser)


def _compare(parser: Parser) -> None:
    parser.add_argument("words", nargs="*", metavar="RUN|CKPT|counts.npz", help="two or more, and keys of the data")
    parser.add_argument("--set", metavar="NAME", help="the set of photos (default: test_clean, or a set that all have)")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    _add_config_dir(parser)


def _report(parser: Parser) -> None:
    parser.add_argument("run", type=_path, metavar="RUN", help="the folder of a run or of a sweep")
    parser.add_argument(
        "--baseline",
        type=_path,
        action="append",
        default=[],
        metavar="RUN",
        help="a run whose score is a line in a chart over the number of masks, e.g. of evaluate",
    )
    _add_keys(parser, "of the data, for the photos in the report")


def _export(parser: Parser) -> None:
    parser.add_argument("model", type=_path, metavar="CKPT", help="a checkpoint, or the folder of a run or sweep")
    more = "more models, and keys of the data that the export is verified on, e.g. paths.data=FOLDER"
    parser.add_argument("words", nargs="*", metavar="CKPT|key=value", help=more)
    parser.add_argument(
        "-o", "--output", type=_path, required=True, metavar="FILE", help="model.onnx or model.safetensors"
    )
    parser.add_argument("--whole", action="store_true", help="resizing, upscaling and argmax inside the ONNX graph too")
    parser.add_argument("--int8", action="store_true", help="8-bit integers, calibrated on training photos")
    parser.add_argument("--half", action="store_true", help="half-precision weights, for safetensors")
    parser.add_argument(
        "--warn-unlike", action="store_true", help="predict warns of images unlike the synthetic faces trained on"
    )
    parser.add_argument("--photos", type=_path, metavar="FOLDER", help="photos to verify it on, instead of the data")
    parser.add_argument("--force", action="store_true", help="replace an existing file")
    _add_trust(parser)
    _add_config_dir(parser)


def _info(parser: Parser) -> None:
    parser.add_argument("model", type=_path, metavar="CKPT", help="a model file, or the folder of its run")
    parser.add_argument("--json", action="store_true", help="print the whole card as JSON")


def _init(parser: Parser) -> None:
    what = "the folder of the photos, that of the masks or an export (or one for both), and keys of data.source"
    parser.add_argument("words", nargs="+", metavar="IMAGES|MASKS|key=value", help=what)
    parser.add_argument(
        "-o", "--output", type=_path, default=Path("my.yaml"), metavar="FILE", help="the file (default my.yaml)"
    )
    parser.add_argument("--force", action="store_true", help="overwrite the file")


def _check(parser: Parser) -> None:
    parser.add_argument("words", nargs="*", metavar="FOLDER|key=value", help="FASSEG's folder, or keys of the data")
    parser.add_argument("--version", metavar="V2", help="one version in the folder (default: all of them)")
    parser.add_argument("--json", action="store_true", help="print every case, split and photo as JSON")
    _add_config_dir(parser)


def _preview(parser: Parser) -> None:
    parser.add_argument("-o", "--output", type=_path, default=Path("preview.png"), metavar="FILE", help="the picture")
    parser.add_argument("--count", type=_count, default=12, metavar="N", help="samples, evenly spaced (default 12)")
    parser.add_argument("--split", default="train", metavar="NAME", help="train (default), val or test")
    parser.add_argument("--augmented", action="store_true", help="show the net's input, after augmentation")
    parser.add_argument("--inexact", action="store_true", help="mark pixels whose class was guessed")
    _add_keys(parser, "of the data, e.g. data=synthetic")


def _download(parser: Parser) -> None:
    parser.add_argument("words", nargs="*", metavar="FOLDER", help="where V1, V2 and V3 go (default: data/fasseg)")
    parser.add_argument("--archive", type=_path, metavar="FILE", help="a zip file that you have already")
    parser.add_argument("--url", metavar="URL", help="a mirror of the archive")
    parser.add_argument("--force", action="store_true", help="replace files that differ from FASSEG's")


def _add_keys(parser: Parser, what: str) -> None:
    parser.add_argument("keys", nargs="*", type=_key, metavar="key=value", help=f"keys {what}, e.g. paths.data=FOLDER")
    _add_config_dir(parser)


def _add_config_dir(parser: Parser) -> None:
    parser.add_argument(
        "--config-dir",
        type=_path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="a folder with your config groups",
    )


def _add_trust(parser: Parser) -> None:
    parser.add_argument(
        "--trust", action="append", default=[], metavar="PACKAGE", help="a package whose net the checkpoint may build"
    )


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise ArgumentTypeError(f"{text} is not a positive integer")
    return int(text)


def _path(text: str) -> Path:
    if not text:
        raise ConfigError("an empty path: expected the name of a file or folder.")
    return model_path(text)


def _key(text: str) -> str:
    if "=" not in text:
        from facesegl.config.compose import OWN_FACES

        example = OWN_FACES if Path(text).is_dir() else "data=fasseg_v2 or paths.data=FOLDER"
        raise ConfigError(f"{text}: expected key=value here, e.g. {example}.")
    return text


def complete(arguments: Sequence[str]) -> None:
    """Complete the line in COMP_LINE: verbs, then the options of a verb, or keys as Hydra completes them.

    Args:
        arguments: what Hydra's shell script passes (`query=bash`).
    """
    if asked := [word for word in arguments if "install=" in word]:  # or uninstall=
        if asked[0].rpartition("=")[2] not in ("bash", "fish", "zsh"):
            raise ConfigError(f"-sc {asked[0]}: expected bash, fish or zsh, e.g. -sc install=bash.")
        return hand_to_hydra("train", ["-sc", *arguments])  # the script itself
    words = os.environ.get("COMP_LINE", "").split(" ")
    if len(words) < 2:
        return None
    parser, typed, last = build_parser(), words[1:-1], words[-1]
    while parser.verbs and typed:
        if typed[0] not in parser.verbs:
            return None
        parser, typed = parser.verbs[typed[0]], typed[1:]
    if parser.verbs:
        return _offer(last, parser.verbs)
    if last.startswith("-") and parser.options:
        return _offer(last, parser.options)
    # bash splits words at a colon, so that only what is before it can be completed
    if parser.takes_models and last and ":" not in last and any(name.startswith(last) for name in NAMES):
        return _offer(last, NAMES)
    if parser.config is None:
        return None
    keys = [word for word in typed if "=" in word]  # Hydra cannot read a checkpoint's path
    os.environ["COMP_LINE"] = " ".join([words[0], *keys, last])
    with contextlib.suppress(Exception):  # a line that Hydra cannot read yet has no completion
        hand_to_hydra(parser.config, ["-sc", *arguments])
    return None


def _offer(start: str, words: Collection[str]) -> None:
    print(" ".join(word for word in words if word.startswith(start)))


def answer(given: Namespace, words: Sequence[str]) -> bool:
    """Handle flags that only print something: --help, --cfg job, --info, --hydra-help.

    Args:
        given: the parsed command line of train or evaluate.
        words: its keys and choices, without paths.

    Returns:
        Whether there was such a flag.
    """
    if not (given.help or given.hydra_help or given.cfg or given.info):
        return False
    from facesegl.config.compose import compose, help_text, loosen

    dirs = given.config_dir
    if given.help:
        print(help_text(given.verb, words, dirs, resolve=given.resolve))
        return True
    compose(words, config_name=given.verb, config_dirs=dirs)  # reports errors as facesegl's own messages
    flags = [word for word in given.typed if word not in given.words]
    hand_to_hydra(given.verb, [*flags, *loosen(words, config_dirs=dirs)])
    return True


def hand_to_hydra(config_name: str, arguments: Sequence[str]) -> None:
    """Run Hydra on these arguments with an app that does nothing."""
    import hydra

    from facesegl.config.compose import conf_dir
    from facesegl.config.hydra_versions import version_base

    sys.argv = [sys.argv[0], *arguments]
    hydra.main(**version_base(), config_path=str(conf_dir()), config_name=config_name)(lambda config: None)()
