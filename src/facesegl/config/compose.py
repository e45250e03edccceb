"""Compose a config from `conf/` and overrides with Hydra, reporting every problem where Hydra stops at the first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from facesegl.config.hydra_versions import register_resolver, version_base
from facesegl.errors import ConfigError
from facesegl.text import nearest, suggestion

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig


ConfigDirs = Sequence[Path | str]

OWN_FACES = "data=folder data.source.images=FOLDER data.source.masks=FOLDER data.taxonomy=FILE.yaml"


@dataclass(frozen=True)
class Composed:
    """A composed config, and the keys that overrides added.

    Attributes:
        config: not yet checked, its interpolations not yet resolved.
        added: keys given with Hydra's `+` or `++`; a `**kwargs` may take them unchecked.
        unknown: keys given by a plain override that no config file has.
        typed: keys and groups of all overrides.
    """

    config: DictConfig
    added: frozenset[str]
    unknown: frozenset[str]
    typed: frozenset[str] = frozenset()

    @classmethod
    def of(cls, overrides: Sequence[str] = (), config_name: str = "train", config_dirs: ConfigDirs = ()) -> Composed:
        """Compose as `compose` does, for the check."""
        composed, problems = try_compose(overrides, config_name, config_dirs)
        if composed is None or problems:
            raise ConfigError(*problems)
        return composed


def conf_dir() -> Path:
    """The folder of the configs: inside the installed package, or next to `src/` in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parents[1] / "conf"


def compose(overrides: Sequence[str] = (), *, config_name: str = "train", config_dirs: ConfigDirs = ()) -> DictConfig:
    """Compose a config as the command line does; safe in a notebook and inside a running Hydra job.

    Args:
        overrides: as on the command line: `data=folder`, `optimizer.lr=3e-3`, `+trainer.max_steps=5`, `~logger`.
        config_name: the file in `conf/` to start from.
        config_dirs: folders with custom config groups, searched after `conf/`.

    Returns:
        The config, not yet checked, its interpolations not yet resolved.

    Raises:
        ConfigError: every override that cannot be parsed, or names something that does not exist.
    """
    return Composed.of(overrides, config_name, config_dirs).config


def try_compose(
    overrides: Sequence[str], config_name: str = "train", config_dirs: ConfigDirs = ()
) -> tuple[Composed | None, list[str]]:
    """Compose from the valid overrides, and list the problems of the others."""
    conf = _Conf.of(config_name, config_dirs)
    config, accepted, problems = conf.compose(overrides)
    return (None if config is None else conf.tracked(config, accepted)), problems


def help_text(config_name: str, overrides: Sequence[str], config_dirs: ConfigDirs, *, resolve: bool = False) -> str:
    """The `hydra.help.template` of a config, filled from one composition: Hydra lists its groups slowly.

    Raises:
        ConfigError: as in `compose`.
    """
    from omegaconf import OmegaConf

    conf = _Conf.of(config_name, config_dirs)
    config, _, problems = conf.compose(overrides)
    if config is None or problems:
        raise ConfigError(*problems)
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    groups = "".join(f"{group}: {', '.join(conf.options(group))}\n" for group in conf.groups())
    keys = OmegaConf.to_yaml(own, resolve=resolve)
    return Template(config.hydra.help.template).safe_substitute(APP_CONFIG_GROUPS=groups, CONFIG=keys)


def loosen(overrides: Sequence[str], *, config_dirs: ConfigDirs = ()) -> list[str]:
    """The overrides with `++` before plain values, so that Hydra accepts keys that no config file has.

    Keys of `hydra.sweeper.params` stay as they are: otherwise Hydra would sweep the values of the file too.
    """
    conf = _Conf.of("train", config_dirs)
    parsed = [_parse(text) for text in overrides]
    swept = conf.sweeper_params([override for override in parsed if override])
    return [
        text if override is None or override.key_or_group in swept else conf.loosened(override)
        for text, override in zip(overrides, parsed, strict=True)
    ]


def sweep(overrides: Sequence[str], *, config_dirs: ConfigDirs = ()) -> list[list[str]]:
    """The jobs that cover every value of a sweep once: each value of one key, with the first values of the others.

    An interval is covered by its two ends. Values in `hydra.sweeper.params` of a config file count too.
    """
    choices = _Conf.of("train", config_dirs).choices(overrides)
    first = [values[0] for values in choices]
    others = [[*first[:i], value, *first[i + 1 :]] for i, values in enumerate(choices) for value in values[1:]]
    return [first, *others]


def literal(text: str) -> str:
    r"""Text from outside the config, escaped so that OmegaConf does not resolve a `${...}` in it; the check refuses it.

    Example:
        >>> print(literal("runs/${oc.env:HOME}"))
        runs/\${oc.env:HOME}
    """
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)


def swept(overrides: Sequence[str], *, config_dirs: ConfigDirs = ()) -> dict[str, int]:
    """The number of values of each swept key; their product is the number of jobs of Hydra's basic sweeper."""
    conf = _Conf.of("train", config_dirs)
    parsed = {key_of(text): _parse(text) for text in [*conf.swept_by_files(overrides), *overrides]}
    return {
        key: len(conf.swept_values(override))
        for key, override in parsed.items()
        if override and override.is_sweep_override()
    }


def expand_folds(overrides: Sequence[str], *, config_dirs: ConfigDirs = ()) -> list[str]:
    """The overrides with `data.fold=all` as a sweep over the folds, which vary fastest; any others as they are.

    Example:
        >>> expand_folds(["data.fold=all", "data.folds=3", "seed=0,1"])
        ['data.folds=3', 'seed=0,1', 'data.fold=0,1,2']

    Raises:
        ConfigError: the jobs of the sweep have different numbers of folds.
    """
    from omegaconf import OmegaConf

    typed = [text for text in overrides if name_of(text) == "data.fold"]
    if not typed or typed[-1].partition("=")[2].strip("'\"").casefold() != "all":  # the last one counts, as in Hydra
        return list(overrides)
    others = [text for text in overrides if text not in typed]
    composed = [try_compose(job, config_dirs=config_dirs)[0] for job in sweep(others, config_dirs=config_dirs)]
    configs = [each.config for each in composed if each]
    numbers = {OmegaConf.select(one, "data.folds", throw_on_resolution_failure=False) for one in configs}
    if len(numbers) > 1:
        raise ConfigError(
            f"{typed[-1]}: the jobs differ in data.folds ({', '.join(map(str, numbers))}); expected one number of "
            f"folds. Cross-validate each in a separate sweep."
        )
    folds = next(iter(numbers), None)  # anything but a number is reported by the check
    every = range(folds) if isinstance(folds, int) else range(1)
    return [*others, f"{key_of(typed[-1])}={','.join(map(str, every)) or 0}"]


def searched(overrides: Sequence[str], *, config_dirs: ConfigDirs = ()) -> dict[str, tuple[Any, list[str]]]:
    """The keys with several values, also those in `hydra.sweeper.params`, for a search.

    Returns:
        For each key, with its `+`, the sweep as Hydra's parser reads it, and its values as text (of an interval both
        ends). Of several overrides with one key the last counts, as in Hydra.
    """
    conf = _Conf.of("train", config_dirs)
    parsed = {key_of(text): _parse(text) for text in [*conf.swept_by_files(overrides), *overrides]}
    return {
        key: (override.value(), [text.partition("=")[2] for text in conf.swept_values(override)])
        for key, override in parsed.items()
        if override and override.is_sweep_override()
    }


def sweep_problems(overrides: Sequence[str], *, config_dirs: ConfigDirs = ()) -> list[str]:
    """What no sweep can run with: folders that facesegl chooses, and intervals for Hydra's basic sweeper."""
    conf = _Conf.of("train", config_dirs)
    parsed = [override for override in map(_parse, [*conf.swept_by_files(overrides), *overrides]) if override]
    basic = conf.sweeper(parsed).get("_target_", "").endswith(".BasicSweeper")
    return [problem for override in parsed if (problem := _sweep_problem(override, basic=basic))]


def key_of(text: str) -> str:
    """The key of an override, with its `+` or `++`."""
    return text.partition("=")[0]


def name_of(text: str) -> str:
    """The key of an override, without its `+` or `++`."""
    return key_of(text).lstrip("+")


def quoted(text: str) -> str:
    """Any text as a quoted value in Hydra's override grammar, in which nothing is resolved."""
    from hydra.core.override_parser.types import Quote, QuotedString

    return str(QuotedString(literal(text), Quote.single).with_quotes())


def assignment(key: str, text: str) -> str:
    """An override that sets a key to any text, quoted only where Hydra would read the plain text as something else.

    Example:
        >>> assignment("paths.data", "faces"), assignment("paths.data", " faces"), assignment("paths.data", "null")
        ('paths.data=faces', "paths.data=' faces'", "paths.data='null'")
    """
    override = _parse(f"{key}={text}")
    plain = override is not None and "${" not in text and override.value() == text
    return f"{key}={text if plain else quoted(text)}"


@dataclass(frozen=True)
class _Conf:
    """The file to start from, and the folders to search: `conf/`, then the user's."""

    name: str
    folders: list[Path]

    @classmethod
    def of(cls, name: str, config_dirs: ConfigDirs) -> _Conf:
        if missing := [str(folder) for folder in config_dirs if not Path(folder).is_dir()]:
            raise ConfigError(*(f"--config-dir {folder}: there is no such folder" for folder in missing))
        folders = [conf_dir(), *(Path(folder).resolve() for folder in config_dirs)]
        hidden = [
            file
            for folder in folders[1:]
            for file in folder.rglob("*.yaml")
            if (ours := folders[0] / file.relative_to(folder)).is_file() and ours.read_bytes() != file.read_bytes()
        ]
        if hidden:  # Hydra would take ours in silence
            raise ConfigError(
                *(f"{file}: facesegl has a file of this name, which hides it; rename it" for file in hidden)
            )
        return cls(name, folders)

    def compose(self, texts: Sequence[str]) -> tuple[DictConfig | None, list[Override], list[str]]:
        """Compose; return the config with Hydra's node, the overrides in it, and the problems of the others."""
        problems, overrides = [], []
        for text in texts:
            override = _parse(text)
            found = [_unreadable(text)] if override is None else self._problems(override)
            problems += found
            overrides += [override] if override and not found else []
        config = self._try(overrides)
        if isinstance(config, str):
            plugins = [o for o in overrides if o.is_hydra_override() and "/" in o.key_or_group]  # bring keys of theirs
            alone = [(o, self._try([*(other for other in plugins if other is not o), o])) for o in overrides]
            refusals = [(o, refusal) for o, refusal in alone if isinstance(refusal, str)]
            problems += [f"{o.input_line}: {self._reason(o, refusal)}" for o, refusal in refusals]
            overrides = [o for o in overrides if o not in [refused for refused, _ in refusals]]
            config = self._try(overrides)
        return (None, [], [*problems, config]) if isinstance(config, str) else (config, overrides, problems)

    def tracked(self, config: DictConfig, overrides: Sequence[Override]) -> Composed:
        """Replace Hydra's node by the choices of the groups, which also name the run; note which keys are new."""
        from omegaconf import OmegaConf, open_dict

        plain = [o for o in overrides if self._sets_value(o)]
        before = self._try([o for o in overrides if o not in plain and not o.is_delete()]) if plain else None
        added = (o.key_or_group for o in overrides if o.is_add() or o.is_force_add())
        unknown = filter(None, (_first_unknown(before, o.key_or_group) for o in plain))
        with open_dict(config):
            choices = {str(group): name for group, name in config.pop("hydra").runtime.choices.items()}
            config.choices = {group: name for group, name in choices.items() if not group.startswith("hydra/")}
            if not OmegaConf.is_interpolation(config, "name") and config.get("name", "") is None:
                config.name = f"{choices.get('data')}-{choices.get('model')}"
        typed = (o.key_or_group for o in overrides)
        return Composed(config, frozenset(added), frozenset(unknown), frozenset(typed))

    def loosened(self, override: Override) -> str:
        return f"++{override.input_line}" if self._sets_value(override) else str(override.input_line)

    def choices(self, texts: Sequence[str]) -> list[list[str]]:
        """Each override once for each value that it sweeps; of several with one key the last counts, as in Hydra."""
        last = {key_of(text): text for text in [*self.swept_by_files(texts), *texts]}
        parsed = [(text, _parse(text)) for text in last.values()]
        return [
            (self.swept_values(override) if override and override.is_sweep_override() else []) or [text]
            for text, override in parsed
        ]

    def swept_values(self, override: Override) -> list[str]:
        """A sweep's override once for each value."""
        from hydra.core.override_parser.types import Glob, IntervalSweep

        match override.value():
            case Glob() as glob:
                values = glob.filter(self.options(override.key_or_group))
            case IntervalSweep(start=start, end=end):
                values = [str(start), str(end)]
            case _:
                values = list(override.sweep_string_iterator())
        return [f"{override.get_key_element()}={value}" for value in values]

    def swept_by_files(self, texts: Sequence[str]) -> list[str]:
        """The sweeps in config files, except those of keys that the command line sets."""
        overrides = [o for o in map(_parse, texts) if o]
        typed = {o.key_or_group for o in overrides}
        return [f"{key}={value}" for key, value in self.sweeper_params(overrides).items() if key not in typed]

    def sweeper_params(self, overrides: Sequence[Override]) -> dict[str, Any]:
        """What the config files sweep, by key."""
        return dict(self.sweeper(overrides).get("params") or {})

    def sweeper(self, overrides: Sequence[Override]) -> Mapping[str, Any]:
        """Hydra's node of the sweeper; empty if the config does not compose."""
        config = self._try([o for o in overrides if not o.is_sweep_override()])
        return {} if isinstance(config, str) else config.hydra.sweeper

    def groups(self) -> list[str]:
        files = (file.relative_to(folder) for folder in self.folders for file in folder.glob("*/**/*.yaml"))
        return sorted({file.parent.as_posix() for file in files if file.parts[0] != "hydra"})

    def options(self, group: str) -> list[str]:
        return sorted({file.stem for folder in self.folders for file in (folder / group).glob("*.yaml")})

    def _try(self, overrides: Sequence[Override]) -> DictConfig | str:
        """The config with these overrides and with Hydra's node, or why Hydra does not compose it."""
        import yaml
        from hydra import compose
        from hydra.errors import HydraException
        from omegaconf.errors import OmegaConfBaseException

        search = ",".join(quoted(f"file://{folder}") for folder in self.folders[1:])
        texts = [f"hydra.searchpath=[{search}]"] if search else []
        try:
            with _initialized(self.folders[0]):
                return compose(self.name, [*texts, *map(self.loosened, overrides)], return_hydra_config=True)
        except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError, AssertionError) as error:
            cause = error.__cause__
            reason = str(cause).splitlines()[0] if isinstance(cause, OmegaConfBaseException) else str(error)
            return " ".join(reason.split())

    def _reason(self, override: Override, refusal: str) -> str:
        """Hydra's refusal of one override, reworded where only its `+` is wrong."""
        bare = _parse(str(override.input_line).removeprefix("+")) if override.is_add() else None
        known = bare is not None and not isinstance(self._try([bare]), str)
        return f"{override.key_or_group} is already in the config; write it without the +" if known else refusal

    def _problems(self, override: Override) -> list[str]:
        from hydra.core.override_parser.types import IntervalSweep

        key, text = override.key_or_group, override.input_line
        if override.is_sweep_override():
            if isinstance(override.value(), IntervalSweep):
                return [f"{text}: an interval where one value is expected; facesegl tune searches it"]
            return [f"{text}: several values where one is expected; sweep with -m, or write a list as {key}=[a,b]"]
        if self._is_choice(override):
            if (value := override.value()) is None:
                options = ", ".join(self.options(key))
                return [f"{text}: null is not a choice; take one of {options}, or remove the group with ~{key}"]
            choices = [str(choice) for choice in (value if isinstance(value, list) else [value])]
            return [problem for choice in choices if (problem := self._wrong_choice(key, choice))]
        if override.is_hydra_override():
            return self._wrong_plugin(override) if "/" in key else []
        if "/" in key and not override.is_delete() and not self.options(key):
            return [f"{text}: there is no group {key}; {suggestion(key, self.groups())}"]
        return []

    def _wrong_choice(self, group: str, choice: str) -> str:
        parent, _, name = f"{group}/{choice.removesuffix('.yaml')}".rpartition("/")
        options = self.options(parent)
        if name in options:
            return ""
        usual = self._default(parent)
        found = usual if usual.startswith(name) else nearest(name, options)
        hint = f"did you mean {found}? There" if found else "there"
        if group == "data" and Path(choice).is_dir():
            hint = f"your own faces are {OWN_FACES}; there"
        return f"{group}={choice}: no such {group}; {hint} are: {', '.join(options)}"

    def _default(self, group: str) -> str:
        config = self._try([])
        return "" if isinstance(config, str) else str(config.hydra.runtime.choices.get(group) or "")

    def _wrong_plugin(self, override: Override) -> list[str]:
        """The problem with a choice of Hydra's groups: launchers and sweepers come from installed plugins."""
        from hydra.core.global_hydra import GlobalHydra

        with _initialized(self.folders[0]):
            options = GlobalHydra.instance().config_loader().get_group_options(override.key_or_group)
        if override.value() in options or not options:
            return []
        hint = ""
        if "launcher" in override.key_or_group:
            extra = "pip install 'facesegl[launchers]' adds joblib, submitit_local and submitit_slurm"
            hint = "; others are packages, plugins of Hydra" if "joblib" in options else f"; {extra}"
        return [f"{override.input_line}: none of that name is installed; there are: {', '.join(options)}{hint}"]

    def _is_choice(self, override: Override) -> bool:
        """Whether it chooses a file of a group; a dictionary for a group's key is a value."""
        other = override.is_delete() or override.is_hydra_override() or isinstance(override.value(), dict)
        return not other and bool(self.options(override.key_or_group))

    def _sets_value(self, override: Override) -> bool:
        if override.is_delete() or override.is_add() or override.is_force_add() or override.is_hydra_override():
            return False
        return override.package is None and not self._is_choice(override)


@contextmanager
def preserved_hydra() -> Iterator[None]:
    """Hide an initialized Hydra, of a sweep or of a notebook, and restore it afterwards."""
    from hydra import version
    from hydra.core.global_hydra import GlobalHydra
    from hydra.version import VersionBase

    running, base = GlobalHydra.instance().hydra, version.getbase()
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.instance().hydra = running
        VersionBase.instance().version_base = base


@contextmanager
def _initialized(folder: Path) -> Iterator[None]:
    """Initialize Hydra with a folder of configs."""
    from hydra import initialize_config_dir
    from hydra.core.utils import JobRuntime
    from platformdirs import user_cache_dir

    register_resolver("user_cache", lambda: user_cache_dir("facesegl"))
    job = JobRuntime.instance().get("name")
    with preserved_hydra(), initialize_config_dir(str(folder), job_name=job, **version_base()):
        yield


def _parse(text: str) -> Override | None:
    """An override; None where Hydra's grammar cannot read it.

    A value that is not in the grammar, or means several values, but names an existing file or folder is that path:
    names of folders have blanks, commas and umlauts. So is a number where files are expected.
    """
    key, _, value = text.partition("=")
    if key != key.strip() or not key.strip("+~"):
        return None
    override = _by_grammar(text)
    doubtful = override is None or override.is_sweep_override()
    if override and key.startswith(("data.source.", "paths.")):
        doubtful |= isinstance(override.value(), int | float)
    return _by_grammar(f"{key}={quoted(value)}") if doubtful and path_exists(value) else override


def _by_grammar(text: str) -> Override | None:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    with suppress(HydraException):
        return OverridesParser.create().parse_override(text)
    return None


def path_exists(value: str) -> bool:
    """Whether a file or folder has this name; for a pattern like `faces/{split}`, the folder before it."""
    start, pattern, _ = value.partition("{split}")
    try:
        path = Path(start + "." if pattern else start).expanduser()
        return bool(value) and (path.parent.is_dir() if pattern else path.exists())
    except (OSError, ValueError, RuntimeError):  # not a path: too long, bad characters, unknown ~user
        return False


def _unreadable(text: str) -> str:
    key, equals, value = text.partition("=")
    if equals and key.strip() and key != key.strip():
        return f"{text}: there is a blank before the =; write key=value without blanks"
    if not equals or not key.strip():
        own = f"; your own faces are {OWN_FACES}" if Path(text).is_dir() else ""
        return f"{text}: not an override; write it as key=value{own}"
    if value.endswith(","):
        return f"{text}: there is no value after its comma; write several values without spaces, as in {key}=1,2"
    of_files = key.partition(".")[0] in ("data", "paths")
    if re.search(r"\s\w+\.[\w.]+=" if of_files else r"\s[\w.]+=", value):
        return f"{text}: several overrides in one pair of quotes; write them apart"
    no_path = ", and no file or folder has that name" if of_files else ""
    return f"""{text}: its value cannot be parsed{no_path}; put it in quotes, as in '{key}="{value}"'"""


def _sweep_problem(override: Override, *, basic: bool) -> str:
    from hydra.core.override_parser.types import IntervalSweep

    key, value = override.key_or_group, override.value()
    if key.startswith("hydra.sweep."):
        return f"{override.input_line}: facesegl chooses the folder; name it with name=NAME and paths.runs=FOLDER"
    if basic and isinstance(value, IntervalSweep):
        return (
            f"{override.input_line}: an interval needs facesegl tune, or an optimizing sweeper (hydra/sweeper=NAME, "
            f"from a plugin of Hydra); list the values, as in {key}={value.start:g},{value.end:g}"
        )
    return ""


def _first_unknown(config: Any, key: str) -> str:
    """The key up to the first name that a config does not have; empty if it has them all."""
    from omegaconf import DictConfig, OmegaConf

    node = OmegaConf.to_container(config) if isinstance(config, DictConfig) else None
    names = key.split(".")
    for i, name in enumerate(names, start=1):
        if isinstance(node, dict) and name not in node:
            return ".".join(names[:i])
        node = node[name] if isinstance(node, dict) else None
    return ""
