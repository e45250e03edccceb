"""The check before anything runs: every key against a signature, every value against a type, all problems at once."""

from __future__ import annotations

import copy
import dataclasses
import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facesegl.config.compose import ADDED, UNKNOWN, sweep, try_compose
from facesegl.config.machine import require_writable, settle
from facesegl.config.schema import Node, Nodes, TrainKeys
from facesegl.config.signatures import Signature, locate
from facesegl.config.values import fit
from facesegl.errors import ConfigError, MachineError
from facesegl.labels.taxonomy import RESERVED
from facesegl.labels.taxonomy_file import read_taxonomy_file
from facesegl.text import nearest, suggestion

if TYPE_CHECKING:
    from omegaconf import DictConfig, ListConfig

log = logging.getLogger("facesegl")

_PLACES = {"taxonomy": "FILE.yaml", "images": "FOLDER", "masks": "FOLDER", "root": "FOLDER"}
_UNREAD = object()  # stands for a value that could not be resolved; that it could not is told already


def check(
    config: DictConfig,
    *,
    roots: type = TrainKeys,
    given: Mapping[str, Collection[str]] | None = None,
    again: bool = False,
) -> DictConfig:
    """Hold a config against what it configures; nothing is built.

    Args:
        config: as composed.
        roots: a dataclass whose fields are the keys at the root.
        given: parameters that the code gives later, by the key of their node: `{"model": {"num_classes"}}`.
        again: whether the same has been checked before, so that what passed unchecked is told already.

    Returns:
        The plan: a resolved copy whose values are those that were checked (`1` for a float is `1.0`), with the
        device and precision that this machine gives for `auto`.

    Raises:
        ConfigError: all that is wrong, one line each.
        MachineError: nothing else is wrong, but the device is not there or a path cannot be written.
    """
    from omegaconf import OmegaConf

    walk = _Walk(given or {})
    plan = walk.over(config, roots)
    _raise(walk.problems, walk.lacks)
    for line in () if again else walk.notes:
        log.info(line)
    return OmegaConf.create(plan)


def read_taxonomy(config: DictConfig) -> DictConfig:
    """Replace the path of a taxonomy's file by its content.

    Args:
        config: a composed config; it is not changed.

    Returns:
        A copy whose `data.taxonomy` is the file's content; `config` itself where `data.taxonomy` names no file.

    Raises:
        ConfigError: the file cannot be read, or is not a plain YAML mapping.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        file = OmegaConf.select(config, "data.taxonomy")
    except OmegaConfBaseException:  # an interpolation that does not resolve: the check reports all of them
        return config
    if not isinstance(file, str):
        return config
    taken = copy.deepcopy(config)
    OmegaConf.update(taken, "data.taxonomy", read_taxonomy_file(file), merge=False)
    return taken


def rehearse(
    overrides: Sequence[str],
    *,
    multirun: bool = False,
    config_name: str = "train",
    config_dirs: Sequence[Path | str] = (),
    roots: type = TrainKeys,
    given: Mapping[str, Collection[str]] | None = None,
) -> list[DictConfig]:
    """Compose and check what a command line asks for, a sweep with every value of every swept key.

    Returns:
        The config of each job that was looked at, as composed.

    Raises:
        ConfigError: all that is wrong with the overrides, the choices and the values of any job, each told once.
        MachineError: as in `check`.
    """
    jobs = [list(overrides)]
    if multirun:
        jobs = sweep(overrides, config_name=config_name, config_dirs=config_dirs)
    configs: list[DictConfig] = []
    problems: list[str] = []
    lacks: list[str] = []
    for job in jobs:
        config, wrong = try_compose(job, config_name, config_dirs)
        problems += wrong
        if config is not None:
            walk = _Walk(given or {})
            walk.over(config, roots)
            problems += walk.problems
            lacks += walk.lacks
            configs.append(config)
    _raise(problems, lacks)
    return configs


def _raise(problems: list[str], lacks: list[str]) -> None:
    """Tell of every problem once; of what the machine lacks where the config itself is right."""
    if problems:
        raise ConfigError(*dict.fromkeys(problems))
    if lacks:
        raise MachineError(*dict.fromkeys(lacks))


class _Walk:
    """One walk through a config.

    Attributes:
        given: parameters that come later, by the key of their node.
        plain: the config as builtin values.
        flags: the keys that were added, and those that no file knows, by the flag's name.
        borrowed: the keys whose value is that of another key, where it is told if it is wrong.
        problems: what is wrong, one line each.
        lacks: what this machine cannot give, one line each.
        notes: what passed without a check, one line each.
    """

    def __init__(self, given: Mapping[str, Collection[str]]) -> None:
        self.given = given
        self.plain: dict[str, Any] = {}
        self.flags: dict[str, set[str]] = {ADDED: set(), UNKNOWN: set()}
        self.borrowed: set[str] = set()
        self.problems: list[str] = []
        self.lacks: list[str] = []
        self.notes: list[str] = []

    def over(self, config: DictConfig, roots: type) -> dict[str, Any]:
        """Walk the whole of a config; what comes back is the plan as builtin values."""
        unread = False
        try:
            config = read_taxonomy(config)
        except ConfigError as error:
            self.problems += error.problems
            unread = True
        absent = {f.name: f.default for f in dataclasses.fields(roots) if f.default is not dataclasses.MISSING}
        self.plain = absent | {key: value for key, value in self.read(config, "").items() if key != "hydra"}
        if unread:
            self.plain["data"]["taxonomy"] = _UNREAD
        self._ask_machine()
        return self.arguments(self.plain, roots, "", "")

    def _ask_machine(self) -> None:
        """Settle the trainer's device and precision, and ask whether the folders that a run writes can be written."""
        trainer, paths = self.plain.get("trainer"), self.plain.get("paths")
        if isinstance(trainer, dict):
            if trainer.get("precision") == "auto":  # which is ours: told of a device that lacks, not of its precision
                self.plain["trainer"] = {**trainer, "precision": None}
            with self._lacking():
                self.plain["trainer"] = settle(trainer)
        for name, path in paths.items() if isinstance(paths, dict) else ():
            if name != "data" and isinstance(path, str):
                with self._lacking():
                    require_writable(f"paths.{name}", path)

    @contextmanager
    def _lacking(self) -> Iterator[None]:
        try:
            yield
        except MachineError as error:
            self.lacks += error.problems

    def read(self, config: DictConfig | ListConfig, key: str) -> Any:
        """A config's values with interpolations resolved, as builtin containers; takes note of flags on the way."""
        from omegaconf import DictConfig

        if isinstance(config, DictConfig):
            return {str(name): self._read(config, name, _join(key, name)) for name in config}
        return [self._read(config, place, _join(key, place)) for place in range(len(config))]

    def _read(self, config: Any, name: Any, key: str) -> Any:
        from omegaconf import OmegaConf
        from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

        for flag, keys in self.flags.items():
            if config._get_node(name)._get_flag(flag):
                keys.add(key)
        if _is_borrowed(config._get_node(name)):
            self.borrowed.add(key)
        try:
            value = config[name]
        except MissingMandatoryValue:
            kind = _PLACES.get(name, "VALUE")
            self.problems.append(f"{key}: has no value yet; give one with {key}={kind}")
            return _UNREAD
        except OmegaConfBaseException as error:
            self.problems.append(f"{key}: {config._get_node(name)} does not resolve: {str(error).splitlines()[0]}")
            return _UNREAD
        return self.read(value, key) if OmegaConf.is_config(value) else value

    def value(self, value: Any, hint: Any, key: str) -> Any:
        """Check whatever may stand at a key."""
        if isinstance(value, dict) and "_target_" in value:
            return self.node(value, key)
        if isinstance(value, dict) and isinstance(hint, type) and dataclasses.is_dataclass(hint):
            return self.arguments(value, hint, key, "")
        if isinstance(value, dict) and hint == Nodes | None:
            return self._inside(value, key, Node | None)
        if _is_open(value):
            return self._inside(value, key)
        if value is not None and (hint is Node or (hint == Node | None and value != {})):
            self.problems.append(f"{key}: {value!r} names nothing to build; give it a _target_")
            return value
        self._tell_unknown(value, key)
        fitted, wrong = fit(value, hint)
        if key not in self.borrowed:
            self.problems += [key + half for half in wrong]
        return fitted

    def node(self, node: dict[str, Any], key: str) -> dict[str, Any]:
        """Check a node with a `_target_`."""
        target = node["_target_"]
        try:
            function = locate(target)
        except Exception as error:  # an import runs foreign code, which may raise anything
            reason = " ".join(str(error).split()) or type(error).__name__
            self.problems.append(f"{_join(key, '_target_')}: {target} does not import: {reason}")
            return node
        return self.arguments(node, function, key, str(target))

    def arguments(self, values: dict[str, Any], function: Any, key: str, target: str) -> dict[str, Any]:
        """Check a mapping against the parameters of what takes it; keys that build nothing come without a `target`."""
        signature = Signature.of(function)
        if signature is None:
            return dict(self._inside(values, key))
        late = {*self.given.get(key, ()), *signature.positional[: len(values.get("_args_") or ())]}
        if not values.get("_partial_"):
            absent = [name for name in signature.required if name not in {*values, *late}]
            self.problems += [
                f"{key or name}: {target or 'the config'} needs {name}; give it with {_join(key, name)}=VALUE"
                for name in absent
            ]
        return {name: self._argument(name, value, signature, key, target) for name, value in values.items()}

    def _argument(self, name: str, value: Any, signature: Signature, key: str, target: str) -> Any:
        full = _join(key, name)
        if name in signature.hints:
            return self.value(value, signature.hints[name], full)
        if not (name in RESERVED and target):
            self._judge_stranger(name, signature, key, target)
        return self._inside(value, full)

    def _judge_stranger(self, name: str, signature: Signature, key: str, target: str) -> None:
        """Tell of a key that is no parameter's name, unless it was added for a `**kwargs` to take."""
        full, found = _join(key, name), nearest(name, signature.hints)
        if not signature.open:
            lack = f"{target} has no such parameter" if target else "there is no such key"
            places = self._elsewhere(name) if not key and not found else []
            remedy = f"did you mean {' or '.join(places)}?" if places else suggestion(name, signature.hints)
            self.problems.append(f"{full}: {lack}; {remedy}")
        elif full in self.flags[ADDED]:
            self.notes.append(f"{full} goes on unchecked: {target} takes it by its **kwargs")
        else:
            guess = f"did you mean {found}? If not, " if found else ""
            self.problems.append(
                f"{full}: {target} names no such parameter; {guess}+{full}=VALUE on the command line goes on unchecked"
            )

    def _elsewhere(self, name: str) -> list[str]:
        """Where in the groups a name stands that is none at the root, or one that is like it."""
        groups = {group: node for group, node in self.plain.items() if isinstance(node, dict)}
        right = name if any(name in node for node in groups.values()) else nearest(name, {*chain(*groups.values())})
        return [f"{group}.{right}" for group, node in groups.items() if right in node]

    def _inside(self, value: Any, key: str, hint: Any = Any) -> Any:
        """Check the nodes inside a value that no type judges as a whole; `hint` is the type of each part."""
        self._tell_unknown(value, key)
        if isinstance(value, dict):
            return {name: self.value(inner, hint, _join(key, name)) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.value(inner, hint, _join(key, place)) for place, inner in enumerate(value)]
        return value

    def _tell_unknown(self, value: Any, key: str) -> None:
        """Tell of names that no file has, in a mapping whose names no signature knows."""
        unknown = self.flags[UNKNOWN]
        if not isinstance(value, dict) or key in unknown:
            return
        for name in value:
            if (full := _join(key, name)) in unknown:
                others = [other for other in value if _join(key, other) not in unknown]
                hint = suggestion(name, others)
                self.problems.append(f"{full}: there is no such key; {hint}, or add it with +{full}=VALUE")


def _join(key: str, name: object) -> str:
    return f"{key}.{name}" if key else str(name)


def _is_borrowed(node: Any) -> bool:
    """Whether a node is nothing but another key's value, such as `${seed}`."""
    from omegaconf import DictConfig, ListConfig

    written = None if isinstance(node, DictConfig | ListConfig) else node._value()
    return isinstance(written, str) and re.fullmatch(r"\$\{[\w.]+\}", written) is not None


def _is_open(value: Any) -> bool:
    """Whether no type can judge a value yet: something in it is still to be built, or did not resolve."""
    if isinstance(value, dict):
        return "_target_" in value or any(map(_is_open, value.values()))
    return value is _UNREAD or (isinstance(value, list) and any(map(_is_open, value)))
