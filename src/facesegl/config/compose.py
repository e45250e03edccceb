"""From a command line to a config, by Hydra, with messages of our own where Hydra would stop at the first problem."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facesegl.errors import ConfigError
from facesegl.text import nearest, suggestion

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig

# Flags that a composed node carries, so that the check knows how it came in: they survive copies of the config.
ADDED = "facesegl_added"  # with Hydra's `+` or `++`: may pass where no signature knows it
UNKNOWN = "facesegl_unknown"  # by a plain override, and no file has it


def conf_dir() -> Path:
    """The folder of the configs: inside the installed package, or beside `src/` in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parents[1] / "conf"


def compose(
    overrides: Sequence[str] = (), *, config_name: str = "train", config_dirs: Sequence[Path | str] = ()
) -> DictConfig:
    """Compose a config as the command does; safe in a notebook and inside a running Hydra job.

    Args:
        overrides: as on the command line: `data=folder`, `optimizer.lr=3e-3`, `+trainer.max_steps=5`, `~logger`.
        config_name: the file of `conf/` to start from.
        config_dirs: folders with a person's own groups, searched after `conf/`.

    Returns:
        The config, not yet checked and with its interpolations still in it.

    Raises:
        ConfigError: every override that cannot be read, or names something that is not there.
    """
    config, problems = try_compose(overrides, config_name, config_dirs)
    if config is None or problems:
        raise ConfigError(*problems)
    return config


def loosen(
    overrides: Sequence[str], *, config_name: str = "train", config_dirs: Sequence[Path | str] = ()
) -> list[str]:
    """The same overrides as Hydra takes them for keys that no YAML file names: plain values forced with `++`."""
    with _opened(config_name, config_dirs) as conf:
        return [
            override if isinstance(override, str) else conf.loosened(override) for override in map(_parsed, overrides)
        ]


def sweep(
    overrides: Sequence[str], *, config_name: str = "train", config_dirs: Sequence[Path | str] = ()
) -> list[list[str]]:
    """The jobs that show every value of a sweep once: each value of one key, with the first values of the others.

    An interval, which has no end of values, shows its two ends. What a file puts into `hydra.sweeper.params` counts.
    """
    with _opened(config_name, config_dirs) as conf:
        choices = [conf.choices(text) for text in [*conf.swept_by_files(overrides), *overrides]]
    first = [values[0] for values in choices]
    others = [
        [*first[:place], value, *first[place + 1 :]] for place, values in enumerate(choices) for value in values[1:]
    ]
    return [first, *others]


def try_compose(
    overrides: Sequence[str], config_name: str, config_dirs: Sequence[Path | str]
) -> tuple[DictConfig | None, list[str]]:
    """Compose what can be composed, and say beside it what is wrong with the rest."""
    problems, sound = [], []
    with _opened(config_name, config_dirs) as conf:
        for override in map(_parsed, overrides):
            found = [_unreadable(override)] if isinstance(override, str) else conf.problems(override)
            problems += found
            if not found and not isinstance(override, str):
                sound.append(override)
        config, refused = conf.compose(sound)
    return config, [*problems, *refused]


@contextmanager
def _opened(config_name: str, config_dirs: Sequence[Path | str]) -> Iterator[_Conf]:
    """Hydra over `conf/` and a person's own folders; whatever Hydra ran before is put back afterwards."""
    from hydra import initialize_config_dir, version
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.utils import JobRuntime
    from hydra.version import VersionBase
    from omegaconf import OmegaConf

    OmegaConf.register_new_resolver("user_cache", _user_cache, replace=True)
    if absent := [str(folder) for folder in config_dirs if not Path(folder).is_dir()]:
        raise ConfigError(*(f"--config-dir {folder}: there is no such folder" for folder in absent))
    running, base, job = GlobalHydra.instance().hydra, version.getbase(), JobRuntime.instance().get("name")
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_dir()), job_name=job, version_base="1.3"):
            yield _Conf(GlobalHydra.instance().config_loader(), config_name, _search_path(config_dirs))
    finally:
        GlobalHydra.instance().hydra = running
        VersionBase.instance().version_base = base


def _user_cache() -> str:
    """Where this person's programs keep what can be made again."""
    import platformdirs

    return platformdirs.user_cache_dir("facesegl")


def _search_path(config_dirs: Sequence[Path | str]) -> list[str]:
    """Folders as an override for Hydra, quoted: a path may hold blanks, commas and equals signs."""
    if not config_dirs:
        return []
    folders = [quoted(f"file://{Path(folder).resolve()}") for folder in config_dirs]
    return [f"hydra.searchpath=[{','.join(folders)}]"]


def quoted(text: str) -> str:
    """A text as Hydra's grammar takes it whatever stands in it."""
    from hydra.core.override_parser.types import Quote, QuotedString

    return str(QuotedString(text, Quote.single).with_quotes())


@dataclass(frozen=True)
class _Conf:
    """The config files that Hydra sees, as long as it is opened.

    Attributes:
        loader: Hydra's own view of them.
        name: the file to start from.
        search: the override that names a person's folders, or nothing.
    """

    loader: ConfigLoader
    name: str
    search: list[str]

    def compose(self, overrides: Sequence[Override]) -> tuple[DictConfig | None, list[str]]:
        """Compose; where Hydra refuses, ask it about each override alone, and go on without those it refuses."""
        config = self._tried(overrides)
        if not isinstance(config, str):
            return self._marked(config, overrides), []
        if isinstance(refusal := self._tried([]), str):
            return None, [refusal]
        alone = [(override, self._tried([override])) for override in overrides]
        problems = [f"{o.input_line}: {self._reason(o, refusal)}" for o, refusal in alone if isinstance(refusal, str)]
        rest = [override for override, refusal in alone if not isinstance(refusal, str)]
        left = self._tried(rest)
        if isinstance(left, str):
            return None, [*problems, left]
        return self._marked(left, rest), problems

    def problems(self, override: Override) -> list[str]:
        """What is wrong with one override that Hydra can read."""
        key, text = override.key_or_group, override.input_line
        if override.is_sweep_override():
            return [f"{text}: several values where one is expected; sweep with -m, or write a list as {key}=[a,b]"]
        if self._chooses(override):
            if override.value() is None:
                return [
                    f"{text}: null chooses nothing; take one of {', '.join(self._options(key))}, or drop it with ~{key}"
                ]
            return [problem for choice in _choices(override) if (problem := self._wrong_choice(key, choice))]
        if "/" in key and not override.is_delete() and not self._options(key):
            folder = key.rpartition("/")[0]
            groups = [f"{folder}/{group}".lstrip("/") for group in self._options(folder, groups=True)]
            return [f"{text}: there is no group {key}; {suggestion(key, groups)}"]
        return []

    def loosened(self, override: Override) -> str:
        """An override's text, with `++` where it plainly sets a value: Hydra stops at a key it does not know."""
        return f"++{override.input_line}" if self._sets_value(override) else str(override.input_line)

    def choices(self, text: str) -> list[str]:
        """An override once for every value it sweeps; as it stands if it sweeps nothing, or cannot be read."""
        from hydra.core.override_parser.types import Glob, IntervalSweep

        override = _parsed(text)
        if isinstance(override, str) or not override.is_sweep_override():
            return [text]
        match override.value():
            case Glob() as glob:
                values = glob.filter(self._options(override.key_or_group))
            case IntervalSweep(start=start, end=end):
                values = [str(start), str(end)]
            case _:
                values = list(override.sweep_string_iterator())
        return [f"{override.get_key_element()}={value}" for value in values] or [text]

    def swept_by_files(self, overrides: Sequence[str]) -> list[str]:
        """The overrides that a config file gives Hydra's sweeper, without those that the command line gives anew."""
        readable = [override for override in map(_parsed, overrides) if not isinstance(override, str)]
        single = [override for override in readable if not override.is_sweep_override()]
        if isinstance(self._tried(single), str):
            return []
        params = self._composed(map(self.loosened, single), hydra=True).hydra.sweeper.get("params") or {}
        given = {override.key_or_group for override in readable}
        return [f"{key}={value}" for key, value in params.items() if key not in given]

    def _tried(self, overrides: Sequence[Override]) -> DictConfig | str:
        """The config with these overrides, or why Hydra does not compose it."""
        import yaml
        from hydra.errors import HydraException
        from omegaconf.errors import OmegaConfBaseException

        try:
            return self._composed(map(self.loosened, overrides))
        except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
            cause = error.__cause__
            told = str(cause).splitlines()[0] if isinstance(cause, OmegaConfBaseException) else str(error)
            return " ".join(told.split())

    def _reason(self, override: Override, refusal: str) -> str:
        """Hydra's refusal of one override, in our words where a `+` is all that is wrong with it."""
        bare = _parsed(str(override.input_line).removeprefix("+")) if override.is_add() else ""
        if isinstance(bare, str) or isinstance(self._tried([bare]), str):
            return refusal
        return f"{override.key_or_group} is there already; write it without the +"

    def _marked(self, config: DictConfig, overrides: Sequence[Override]) -> DictConfig:
        """A composed config whose nodes remember whether they were added, or set though no file has them."""
        plain = [override for override in overrides if self._sets_value(override)]
        if plain:
            rest = [override for override in overrides if override not in plain and not override.is_delete()]
            before = self._composed(str(override.input_line) for override in rest)
        for override in plain:
            _mark(config, _first_unknown(before, override.key_or_group.split(".")), UNKNOWN)
        for override in overrides:
            if override.is_add() or override.is_force_add():
                _mark(config, override.key_or_group.split("."), ADDED)
        return config

    def _composed(self, overrides: Iterator[str], hydra: bool = False) -> DictConfig:
        from hydra import compose

        config = compose(self.name, overrides=[*self.search, *overrides], return_hydra_config=True)
        return config if hydra else _told_its_choices(config)

    def _options(self, group: str, groups: bool = False) -> list[str]:
        from hydra.core.object_type import ObjectType

        kind = ObjectType.GROUP if groups else ObjectType.CONFIG
        return self.loader.get_group_options(group, kind, self.name, self.search)

    def _chooses(self, override: Override) -> bool:
        """Whether it chooses a file of a group; a dictionary for a group's key is a value."""
        kept = override.is_delete() or override.is_hydra_override() or isinstance(override.value(), dict)
        return not kept and bool(self._options(override.key_or_group))

    def _sets_value(self, override: Override) -> bool:
        marked = override.is_delete() or override.is_add() or override.is_force_add()
        plain = not marked and not override.is_hydra_override()
        return plain and override.package is None and not self._chooses(override)

    def _wrong_choice(self, group: str, choice: str) -> str:
        folder, _, name = f"{group}/{choice.removesuffix('.yaml')}".rpartition("/")
        options = self._options(folder)
        if name in options:
            return ""
        guess = f" did you mean {found}?" if (found := nearest(name, options)) else ""
        return f"{group}={choice}: no such {group};{guess} There are: {', '.join(options)}".replace(
            "; There", "; there"
        )


def _told_its_choices(config: DictConfig) -> DictConfig:
    """A config with the choices of its groups in place of Hydra's own node; a `name` of null becomes two of them."""
    from omegaconf import OmegaConf, open_dict

    with open_dict(config):
        choices = {str(group): name for group, name in config.pop("hydra").runtime.choices.items()}
        config.choices = {group: name for group, name in choices.items() if not group.startswith("hydra/")}
        if not OmegaConf.is_interpolation(config, "name") and config.get("name", "") is None:
            config.name = f"{choices.get('data')}-{choices.get('model')}"
    return config


def _parsed(text: str) -> Override | str:
    """An override, or the text itself where Hydra's grammar cannot read it.

    A value that is no grammar, or looks like several, but names something on the disk is that path: photos lie in
    folders with blanks, commas and umlauts. So is a number where files are named.
    """
    key, _, value = text.partition("=")
    if key != key.strip() or not key.strip("+~"):
        return text
    override = _by_grammar(text)
    strange = isinstance(override, str) or override.is_sweep_override()
    number = not isinstance(override, str) and isinstance(override.value(), int | float)
    if (strange or (number and key.startswith(("data.source.", "paths.")))) and _is_there(value):
        return _by_grammar(f"{key}={quoted(value)}")
    return override


def _by_grammar(text: str) -> Override | str:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(text)
    except HydraException:
        return text


def _is_there(value: str) -> bool:
    """Whether a value names something on the disk, up to a place that is still to be filled in: `faces/{split}`."""
    start, filled, _ = value.partition("{split}")
    try:
        there = Path(start + "." if filled else start).expanduser()
        return bool(value) and (there.parent.is_dir() if filled else there.exists())
    except (OSError, ValueError, RuntimeError):  # no path: too long, of letters that there are none of, of no person
        return False


def _unreadable(text: str) -> str:
    key, equals, value = text.partition("=")
    if equals and key.strip() and key != key.strip():
        return f"{text}: there is a blank before the =; write key=value without blanks"
    if not equals or not key.strip():
        return f"{text}: not an override; write it as key=value"
    lost = ", and no file or folder has that name" if key.partition(".")[0] in ("data", "paths") else ""
    return f"""{text}: its value cannot be read{lost}; put it in quotes, as in '{key}="{value}"'"""


def _choices(override: Override) -> list[str]:
    """The files that an override chooses: one, or several."""
    value = override.value()
    return [str(choice) for choice in (value if isinstance(value, list) else [value])]


def _first_unknown(config: DictConfig, parts: Sequence[str]) -> Sequence[str]:
    """The part of a key up to the first name that `config` does not have; nothing if it has them all."""
    from omegaconf import DictConfig

    node: Any = config
    for place, name in enumerate(parts, start=1):
        if not isinstance(node, DictConfig):
            return []
        if name not in node.keys():  # noqa: SIM118 - `in node` is false for a name that still misses its value
            return parts[:place]
        node = node._get_node(name)
    return []


def _mark(config: DictConfig, parts: Sequence[str], flag: str) -> None:
    """Set a flag on the node at a key; what is no path of names down from the root (a group) has no such node."""
    from omegaconf import DictConfig

    node: Any = config
    for name in parts:
        node = node._get_node(name) if isinstance(node, DictConfig) and name in node.keys() else None  # noqa: SIM118
    if node is not None and node is not config:
        node._set_flag(flag, True)
