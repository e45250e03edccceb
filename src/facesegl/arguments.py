"""What a command line says: keys, paths and Hydra's own flags; and what Hydra answers by itself (help, completion)."""

import contextlib
import os
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from facesegl.errors import ConfigError
from facesegl.options import options_of

if TYPE_CHECKING:
    from argparse import Namespace


@dataclass(frozen=True)
class Asked:
    """A command line after its verb.

    Attributes:
        words: keys, choices and paths, in order.
        config_dirs: folders with groups of the person's own.
        multirun: whether it is a sweep.
        of_hydra: whether Hydra answers it: help, the config, completion.
        help: --help, which is answered from one composition.
        resolve: --resolve: show the values of interpolations.
    """

    words: list[str]
    config_dirs: list[Path]
    multirun: bool
    of_hydra: bool
    help: bool
    resolve: bool


def paths_and_keys(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell paths from keys, which are given as key=value, or ~key: a path may hold `=` too."""
    paths = [word for word in words if _is_path(word)]
    return paths, [word for word in words if word not in paths]


def _is_there(word: str) -> bool:
    """Whether it is a file or a run's folder, whatever it looks like."""
    try:
        return Path(word).is_file() or (Path(word) / "result.json").is_file()
    except (OSError, ValueError):  # longer than any name can be
        return False


_GROUP = re.compile(r"\+{0,2}data/\w+(@[\w.]+)?")
"""Hydra's groups below groups, which are no folders: `data/taxonomy=fasseg`."""


def _is_path(word: str) -> bool:
    from facesegl.prediction.model import SUFFIXES

    looks_like_one = "=" not in word and not word.startswith("~")
    if looks_like_one or _is_there(word) or word.endswith(SUFFIXES):
        return True
    key = word.partition("=")[0]
    return "/" in key and not _GROUP.fullmatch(key)


def parse(arguments: Sequence[str]) -> Asked:
    """Tell Hydra's flags, wherever they stand, from everything else.

    Raises:
        ConfigError: an option that is none, or blanks around a `=`.
    """
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()
    setattr(parser, "error", _refuse)  # noqa: B010 - argparse would print its usage and leave
    parsed, unknown = parser.parse_known_intermixed_args(list(arguments))
    _refuse_blanks(parsed.overrides)
    problems = [
        f"{flag}: no such option; keys are given as key=value, such as trainer.max_epochs=5." for flag in unknown
    ]
    problems += [
        f"{flag}: the verb says which config it is; for groups of your own use --config-dir FOLDER."
        for flag, value in (("--config-name", parsed.config_name), ("--config-path", parsed.config_path))
        if value
    ]
    if problems:
        raise ConfigError(*problems)
    return Asked(
        words=parsed.overrides,
        config_dirs=[Path(parsed.config_dir)] if parsed.config_dir else [],
        multirun=bool(parsed.multirun),
        of_hydra=_is_of_hydra(parsed),
        help=bool(parsed.help),
        resolve=bool(parsed.resolve),
    )


def answer(config_name: str, arguments: Sequence[str]) -> None:
    """Print --help; let Hydra answer --cfg job, --info."""
    from facesegl.config.compose import compose, help_text, loosen

    asked = parse(arguments)
    if asked.help:
        print(help_text(config_name, asked.words, asked.config_dirs, resolve=asked.resolve))
        return
    compose(asked.words, config_name=config_name, config_dirs=asked.config_dirs)  # our message for what is wrong
    loosened = loosen(asked.words, config_dirs=asked.config_dirs)
    _hand_to_hydra(config_name, [*(word for word in arguments if word not in asked.words), *loosened])


def complete(arguments: Sequence[str], verbs: Mapping[str, Collection[str]]) -> None:
    """Complete a line: a verb, a verb of `data`, then keys as Hydra does, or the options of a verb without keys.

    Args:
        arguments: what Hydra's script asks (`query=bash`).
        verbs: the verbs, and the verbs below each.
    """
    words = os.environ.get("COMP_LINE", "").split(" ")
    if len(words) < 2:
        return _hand_to_hydra("train", ["-sc", *arguments])  # the script itself
    verb, below, rest = _verb_of(words[1:-1], verbs)
    if verb not in verbs:
        return _offer(words[-1], verbs if len(words) == 2 else ())
    if verbs[verb] and below not in verbs[verb]:
        return _offer(words[-1], verbs[verb] if not rest and not below else ())
    asked = f"{verb} {below}".strip()
    if words[-1].startswith("-") and (options := options_of(asked)):
        return _offer(words[-1], options)
    if asked not in _CONFIG_OF:
        return None
    typed = [word for word in rest if "=" in word]  # a checkpoint's path is nothing that Hydra could read
    os.environ["COMP_LINE"] = " ".join([words[0], *typed, words[-1]])
    with contextlib.suppress(Exception):  # a line that Hydra cannot read yet has nothing to be completed by
        _hand_to_hydra(_CONFIG_OF[asked], ["-sc", *arguments])
    return None


_CONFIG_OF = {
    "train": "train",
    "evaluate": "evaluate",
    "compare": "evaluate",
    "report": "evaluate",
    "export": "evaluate",
    "data check": "train",
    "data preview": "train",
}


def _verb_of(words: Sequence[str], verbs: Mapping[str, Collection[str]]) -> tuple[str, str, Sequence[str]]:
    """The verb, the verb below it or nothing, and what follows."""
    verb, rest = (words[0], words[1:]) if words else ("", words)
    return (verb, rest[0], rest[1:]) if verbs.get(verb) and rest else (verb, "", rest)


def _offer(start: str, words: Iterable[str]) -> None:
    print(" ".join(word for word in words if word.startswith(start)))


def _hand_to_hydra(config_name: str, arguments: Sequence[str]) -> None:
    import hydra

    from facesegl.config.compose import conf_dir

    sys.argv = [sys.argv[0], *arguments]
    hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)(lambda config: None)()


def _is_of_hydra(parsed: "Namespace") -> bool:
    return bool(parsed.help or parsed.hydra_help or parsed.cfg or parsed.info or parsed.shell_completion)


def _refuse_blanks(words: Sequence[str]) -> None:
    for before, word, after in zip(words, words[1:], words[2:], strict=False):
        if word == "=":
            raise ConfigError(f"{before} = {after}: write it without blanks: {before}={after}")


def _refuse(message: str) -> NoReturn:
    raise ConfigError(f"{message}. See --help.")
