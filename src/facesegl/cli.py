"""The command `facesegl VERB ...`: one small function per verb, with heavy imports inside them."""

import logging
import os
import shlex
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from facesegl import __version__
from facesegl.errors import ConfigError, FaceseglError, PartlyFailed, Stopped

if TYPE_CHECKING:
    from argparse import Namespace

    from omegaconf import DictConfig

    from facesegl.runs import Result

USAGE = """\
facesegl: train, watch and score face segmentation models from a few labelled photos

  facesegl train [key=value ...]            train a model and score it
  facesegl train -m [key=value,value ...]   train one for each combination of values
  facesegl evaluate CKPT [key=value ...]    score a checkpoint
  facesegl VERB --help                      what can be chosen and set
  facesegl --version

First steps without any data: facesegl train data=synthetic trainer.max_epochs=30 data.image_size=128
Tab completion: eval "$(facesegl -sc install=bash)"
"""

log = logging.getLogger("facesegl")


def main() -> int:
    """Run the command line; what went wrong becomes one line each and an exit code (facesegl.errors lists them)."""
    _speak()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # what Hydra meets comes up to us as it is
    sys.path.append(str(Path.cwd()))  # where a class of one's own lies that a config names
    signal.signal(signal.SIGTERM, _stop)
    try:
        return _run(sys.argv[1:])
    except FaceseglError as error:
        word = "stopped" if isinstance(error, Stopped) else "error"
        for problem in error.problems:
            print(f"{word}: {problem}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped: by SIGINT; what is whole on the disk was kept", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output has had enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:
        traceback.print_exc()
        print("error: this is a bug of facesegl, not yours; please report it with the lines above.", file=sys.stderr)
        return FaceseglError.exit_code


def _run(arguments: Sequence[str]) -> int:
    verb, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if verb in ("-sc", "--shell-completion"):
        return _complete(rest)
    if verb in ("-h", "--help"):
        print(USAGE, end="")
        return 0
    if verb == "--version":
        print(f"facesegl {__version__}")
        return 0
    if verb not in VERBS:
        raise ConfigError(f"{verb}: no such verb; expected one of {', '.join(VERBS)}. See facesegl --help.")
    return VERBS[verb](rest)


def train(arguments: Sequence[str]) -> int:
    """Train one model, or with -m one for each combination of values."""
    asked = _parse(arguments)
    if _asks_hydra(asked):
        return _hydra("train", arguments)
    from facesegl.config import rehearse
    from facesegl.runs.parts import GIVEN
    from facesegl.runs.train import train

    folders = _config_dirs(asked)
    configs = rehearse(asked.overrides, multirun=asked.multirun, config_dirs=folders, given=GIVEN)
    if asked.multirun:
        _try_all(configs)
        return _sweep(configs[0], asked.overrides, folders)
    _show(train(configs[0]))
    return 0


def _try_all(configs: "Sequence[DictConfig]") -> None:
    """Tell what constructors refuse in any job before the first one starts."""
    from facesegl.config import check
    from facesegl.runs.parts import GIVEN, build_parts

    problems: list[str] = []
    for config in configs:
        try:
            build_parts(check(config, given=GIVEN, again=True))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(*dict.fromkeys(problems))


def _sweep(first: "DictConfig", overrides: Sequence[str], folders: Sequence[Path]) -> int:
    from rich.console import Console

    from facesegl.runs.sweep import failures, sweep, sweep_table

    folder = sweep(first, overrides, folders)
    Console().print(sweep_table(folder))
    print(f"run folders: {folder}")
    print(f"curves:      tensorboard --logdir {shlex.quote(str(folder))}")
    if failed := failures(folder):
        raise PartlyFailed(*failed)
    return 0


def evaluate(arguments: Sequence[str]) -> int:
    """Score a checkpoint."""
    asked = _parse(arguments)
    if _asks_hydra(asked):
        return _hydra("evaluate", [argument for argument in arguments if argument not in _positional(asked)[:1]])
    if asked.multirun:
        raise ConfigError("-m: evaluate has no sweeps; expected one checkpoint. Call it once for each.")
    from facesegl.runs.evaluate import evaluate

    checkpoint, overrides = _checkpoint_and_overrides(asked.overrides)
    _show(evaluate(checkpoint, overrides, _config_dirs(asked)))
    return 0


VERBS = {"train": train, "evaluate": evaluate}


def _parse(arguments: Sequence[str]) -> "Namespace":
    """Hydra's own flags, wherever they stand, and everything else as overrides."""
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()
    setattr(parser, "error", _refuse)  # noqa: B010 - argparse would print its usage and leave
    parsed, unknown = parser.parse_known_intermixed_args(list(arguments))
    problems = [
        f"{flag}: no such option; keys are given as key=value, such as trainer.max_epochs=5." for flag in unknown
    ]
    for before, word, after in zip(parsed.overrides, parsed.overrides[1:], parsed.overrides[2:], strict=False):
        if word == "=":
            raise ConfigError(f"{before} = {after}: write it without blanks: {before}={after}")
    for flag, value in (("--config-name", parsed.config_name), ("--config-path", parsed.config_path)):
        if value:
            problems.append(
                f"{flag}: the verb says which config it is; for groups of your own use --config-dir FOLDER."
            )
    if problems:
        raise ConfigError(*problems)
    return parsed


def _refuse(message: str) -> NoReturn:
    raise ConfigError(f"{message}. See --help.")


def _asks_hydra(asked: "Namespace") -> bool:
    return bool(asked.help or asked.hydra_help or asked.cfg or asked.info or asked.shell_completion)


def _config_dirs(asked: "Namespace") -> list[Path]:
    return [Path(asked.config_dir)] if asked.config_dir else []


def _positional(asked: "Namespace") -> list[str]:
    """What is a file, or looks like a path more than like key=value: a path may hold `=`."""
    files = [text for text in asked.overrides if Path(text).is_file()]
    paths = [text for text in asked.overrides if "/" in text.partition("=")[0] or text.endswith(".ckpt")]
    return files or [*paths, *(text for text in asked.overrides if "=" not in text.lstrip("+~"))]


def _checkpoint_and_overrides(arguments: Sequence[str]) -> tuple[str, list[str]]:
    from argparse import Namespace

    paths = _positional(Namespace(overrides=arguments))
    if not paths:
        raise ConfigError("evaluate: no checkpoint; expected facesegl evaluate CKPT [key=value ...].")
    rest = list(arguments)
    rest.remove(paths[0])
    return paths[0], rest


def _hydra(config_name: str, arguments: Sequence[str]) -> int:
    """Let Hydra answer: --help, --cfg job, --info, completion."""
    import hydra

    from facesegl.config import compose, conf_dir, loosen

    asked = _parse(arguments)
    compose(asked.overrides, config_name=config_name, config_dirs=_config_dirs(asked))  # our message for what is wrong
    loosened = loosen(asked.overrides, config_name=config_name, config_dirs=_config_dirs(asked))
    kept = [argument for argument in arguments if argument not in asked.overrides]
    sys.argv = [sys.argv[0], *kept, *loosened]
    hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)(lambda config: None)()
    return 0


def _complete(arguments: Sequence[str]) -> int:
    """Complete a line as Hydra does, with the verb taken out of it; before that, complete the verb."""
    line = os.environ.get("COMP_LINE", "")
    words = line.split(" ")
    verb = words[1] if len(words) > 2 else ""
    if line and verb not in VERBS:
        print(" ".join(name for name in VERBS if name.startswith(words[1] if len(words) > 1 else "")))
        return 0
    if line:
        typed = [word for word in words[2:-1] if "=" in word]  # a checkpoint's path is nothing that Hydra could read
        os.environ["COMP_LINE"] = " ".join([words[0], *typed, words[-1]])
    import hydra

    from facesegl.config import conf_dir

    sys.argv = [sys.argv[0], "-sc", *arguments]
    hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=verb or "train")(lambda config: None)()
    return 0


def _show(result: "Result") -> None:
    """The scores, and where to look next."""
    from rich.console import Console

    from facesegl.runs.tables import score_table

    if result.scores:
        Console().print(score_table(result.scores, result.data["name"]))
    print(f"run folder: {result.folder}")
    if (result.folder / "tensorboard").is_dir():
        print(f"curves:     tensorboard --logdir {shlex.quote(str(result.folder.parent))}")
    if (result.folder / "panels").is_dir():
        print(f"pictures:   {result.folder / 'panels'}")


def _speak() -> None:
    """What the command says goes to stderr, one plain line each; results go to stdout."""
    for name in ("facesegl", "py.warnings"):
        logging.getLogger(name).handlers[:] = [_Terminal()]
    log.setLevel(logging.INFO)
    logging.captureWarnings(True)
    warnings.formatwarning = lambda message, *_args, **_kwargs: str(message).splitlines()[0]


class _Terminal(logging.Handler):
    """Writes through the console, which keeps a live bar whole."""

    def emit(self, record: logging.LogRecord) -> None:
        from facesegl.console import console

        text = record.getMessage().rstrip()
        word = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        console().print(word + text, markup=False, soft_wrap=True)


def _stop(signum: int, _frame: Any) -> None:
    raise Stopped(f"by {signal.Signals(signum).name}; what is whole on the disk was kept", signum)
