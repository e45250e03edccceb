"""The check before anything runs: every key against a signature, every value against a type, all problems at once."""

from __future__ import annotations

import copy
import dataclasses
import logging
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facesegl.config.compose import Composed, ConfigDirs, path_exists, sweep, sweep_problems, try_compose
from facesegl.config.key_names import MEANT, keys_meant
from facesegl.config.machine import auto_precision, resolve_accelerator
from facesegl.config.schema import Node, Nodes, TrainKeys
from facesegl.config.signatures import Signature, locate, path_keys
from facesegl.config.values import fit
from facesegl.errors import ConfigError, MachineError
from facesegl.files import require_writable
from facesegl.labels.taxonomy import NODE_KEYS
from facesegl.labels.taxonomy_file import read_taxonomy_file
from facesegl.text import nearest, suggestion

if TYPE_CHECKING:
    from omegaconf import DictConfig, ListConfig

log = logging.getLogger("facesegl")

Given = Mapping[str, Collection[str]]
"""Parameters that the code passes later, by the key of their node: `{"model": {"num_classes"}}`."""

_KIND_OF = {"taxonomy": "FILE.yaml", "images": "FOLDER", "masks": "FOLDER", "root": "FOLDER"}
_UNRESOLVED = object()  # in place of a value that cannot be resolved, which is reported already


def check(
    composed: Composed, *, roots: type = TrainKeys, given: Given | None = None, again: bool = False
) -> DictConfig:
    """Check a config against the signatures of what it configures; nothing is built.

    Args:
        composed: the config, and the keys that overrides added.
        roots: a dataclass whose fields are the keys at the root.
        given: parameters that the code passes later.
        again: whether it was checked before; unchecked keys are then not logged again.

    Returns:
        The plan: a resolved copy with the values that were checked (`1` for a float is `1.0`), and with the device and
        precision that this machine gives for `auto`.

    Raises:
        ConfigError: every problem, one line each.
        MachineError: the config is valid, but the device is missing or a path cannot be written.
    """
    from omegaconf import OmegaConf

    walk = _Walk(composed, given or {})
    plan = walk.check(roots)
    _raise(walk.problems, walk.machine_problems)
    for line in () if again else walk.notes:
        log.info(line)
    return OmegaConf.create(plan)


def _raise(problems: Sequence[str], machine_problems: Sequence[str]) -> None:
    if problems:
        raise ConfigError(*dict.fromkeys([*problems, *machine_problems]))
    if machine_problems:
        raise MachineError(*dict.fromkeys(machine_problems))


def read_taxonomy(config: DictConfig) -> DictConfig:
    """Replace the path of a taxonomy file by the file's content.

    Returns:
        A copy whose `data.taxonomy` is the file's content; `config` itself if `data.taxonomy` is not a path.

    Raises:
        ConfigError: the file cannot be read, or is not a plain YAML mapping.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    with suppress(OmegaConfBaseException):  # an interpolation that does not resolve: the check reports all of them
        if isinstance(file := OmegaConf.select(config, "data.taxonomy"), str):
            config = copy.deepcopy(config)
            OmegaConf.update(config, "data.taxonomy", read_taxonomy_file(file), merge=False)
    return config


def rehearse(
    overrides: Sequence[str],
    *,
    multirun: bool = False,
    config_dirs: ConfigDirs = (),
    given: Given | None = None,
    construct: Callable[[DictConfig], list[str]] = lambda plan: [],
) -> list[Composed]:
    """Compose and check what `facesegl train` would run, a sweep with every value of every swept key.

    Args:
        overrides: as on the command line.
        multirun: whether it is a sweep.
        config_dirs: folders with custom config groups.
        given: parameters that the code passes later.
        construct: builds the nodes of a plan that passed the check, and returns their problems.

    Returns:
        The config of each job that was checked, as composed.

    Raises:
        ConfigError: every problem of the overrides, the choices and the values of any job, once.
        MachineError: as in `check`.
    """
    from omegaconf import OmegaConf

    jobs = sweep(overrides, config_dirs=config_dirs) if multirun else [list(overrides)]
    configs: list[Composed] = []
    problems = sweep_problems(overrides, config_dirs=config_dirs) if multirun else []
    machine_problems: list[str] = []
    for job in jobs:
        composed, found = try_compose(job, config_dirs=config_dirs)
        if composed:
            configs.append(composed)
            walk = _Walk(composed, given or {})
            plan = walk.check(TrainKeys)
            wrong = {problem.partition(":")[0].partition("=")[0].partition(".")[0] for problem in walk.problems}
            sound = {name: value for name, value in plan.items() if name not in wrong}
            found += [*walk.problems, *construct(OmegaConf.create(sound))]
            found += walk.missing_data() if found else []  # alone, the source reports it, and knows the remedy
            machine_problems += walk.machine_problems
        problems += found
    _raise([_without_brackets(problem, overrides) for problem in problems] if multirun else problems, machine_problems)
    return configs


def _without_brackets(problem: str, overrides: Sequence[str]) -> str:
    """A problem of a key that has a list, with how to write the values of a sweep."""
    key = problem.partition(":")[0]
    listed = next((text for text in overrides if text.startswith(f"{key}=[") and text.endswith("]")), None)
    return (
        f"{problem}; a sweep has its values without brackets: {key}={listed[len(key) + 2 : -1]}" if listed else problem
    )


class _Walk:
    """A walk through a config that collects its problems, one line each."""

    def __init__(self, composed: Composed, given: Given) -> None:
        self.composed = composed
        self.given = given
        self.plain: dict[str, Any] = {}  # the config in builtin containers
        self.interpolated: set[str] = set()  # keys with the value of another key, where a wrong value is reported
        self.problems: list[str] = []
        self.machine_problems: list[str] = []  # what this machine does not have
        self.notes: list[str] = []  # what passes unchecked

    def check(self, roots: type) -> dict[str, Any]:
        """Check the whole config; return the plan in builtin containers."""
        defaults = {f.name: f.default for f in dataclasses.fields(roots) if f.default is not dataclasses.MISSING}
        try:
            self.plain = defaults | self._read(read_taxonomy(self.composed.config), "")
        except ConfigError as error:
            self.problems += error.problems
            self.plain = defaults | self._read(self.composed.config, "")
            self.plain["data"]["taxonomy"] = _UNRESOLVED
        self._check_machine()
        return self._arguments(self.plain, roots, "", "")

    def _check_machine(self) -> None:
        """Resolve the trainer's device and precision, and check that the folders of a run can be written."""
        trainer, paths = self.plain.get("trainer"), self.plain.get("paths")
        if isinstance(trainer, dict):
            precision = trainer.get("precision")
            try:
                if isinstance(accelerator := trainer.get("accelerator"), str):
                    is_choice = (self.plain.get("choices") or {}).get("trainer") == accelerator
                    key = "trainer" if is_choice else "trainer.accelerator"
                    trainer["accelerator"] = resolve_accelerator(accelerator, key)
                if precision == "auto":
                    trainer["precision"] = auto_precision(trainer.get("accelerator", "cpu"))
            except MachineError as error:
                self.machine_problems += error.problems
                trainer |= {"accelerator": "cpu", "precision": None if precision == "auto" else precision}
        for name, path in paths.items() if isinstance(paths, dict) else ():
            try:
                if name == "cache" and isinstance(path, str) and Path(path).expanduser().is_dir():
                    continue  # a complete cache is only read, and may be shared
                if name != "data" and isinstance(path, str):
                    require_writable(Path(path).expanduser(), f"paths.{name}={path}")
            except MachineError as error:
                self.machine_problems += error.problems

    def missing_data(self) -> list[str]:
        """Report each path of the data that was typed and does not exist."""
        data, paths = self.plain.get("data"), self.plain.get("paths")
        source = data.get("source") if isinstance(data, dict) else None
        given = {"paths.data": paths.get("data") if isinstance(paths, dict) else None}
        if isinstance(source, dict):
            given |= {f"data.source.{name}": source[name] for name in path_keys(source)}
        return [
            f"{key}={path}: no such file or folder."
            for key, path in given.items()
            if key in self.composed.typed and isinstance(path, str) and path and not path_exists(path)
        ]

    def _read(self, config: DictConfig | ListConfig, key: str) -> Any:
        """The values of a config in builtin containers, its interpolations resolved."""
        from omegaconf import OmegaConf

        written: Any = OmegaConf.to_container(config)
        if isinstance(written, dict):
            self.problems += [
                f"{_join(key, name)}: the name {name!r} is not text; put it in quotes, or use data.taxonomy=FILE.yaml, "
                f"which is read as it is written"
                for name in written
                if isinstance(name, bool) or not isinstance(name, str | int)
            ]
            return {str(name): self._read_one(config, name, text, _join(key, name)) for name, text in written.items()}
        return [self._read_one(config, i, text, _join(key, i)) for i, text in enumerate(written)]

    def _read_one(self, config: Any, name: Any, written: Any, key: str) -> Any:
        from omegaconf import OmegaConf
        from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

        if isinstance(written, str) and re.fullmatch(r"\$\{[\w.]+\}", written):
            self.interpolated.add(key)
        try:
            value = config[name]
        except MissingMandatoryValue:
            self.problems.append(f"{key}: has no value yet; give one with {key}={_KIND_OF.get(name, 'VALUE')}")
            return _UNRESOLVED
        except OmegaConfBaseException as error:
            self.problems.append(f"{key}: {written} does not resolve: {str(error).splitlines()[0]}")
            return _UNRESOLVED
        if isinstance(value, str) and "${" in value:  # Hydra would resolve it a second time
            self.problems.append(
                f"{key}: {value} contains an interpolation, which is not resolved here; rename that file or folder"
            )
            return _UNRESOLVED
        return self._read(value, key) if OmegaConf.is_config(value) else value

    def _value(self, value: Any, hint: Any, key: str) -> Any:
        if isinstance(value, dict) and "_target_" in value:
            return self._node(value, key)
        if isinstance(value, dict) and isinstance(hint, type) and dataclasses.is_dataclass(hint):
            return self._arguments(value, hint, key, "")
        if isinstance(value, dict) and hint == Nodes | None:
            return self._check_inside(value, key, Node | None)
        if _is_open(value):
            return self._check_inside(value, key)
        if value is not None and (hint is Node or (hint == Node | None and value != {})):
            self.problems.append(f"{key}: {value!r} has no _target_; give it one that names a class or function")
            return value
        self._check_unknown_names(value, key)
        fitted, wrong = fit(value, hint)
        if key not in self.interpolated:
            self.problems += [key + problem + _hint(key, value) for problem in wrong]
        return fitted

    def _node(self, node: dict[str, Any], key: str) -> dict[str, Any]:
        target = node["_target_"]
        try:
            function = locate(target)
        except Exception as error:  # an import runs foreign code, which may raise anything
            reason = " ".join(str(error).split()) or type(error).__name__
            self.problems.append(f"{_join(key, '_target_')}: {target} does not import: {reason}")
            return node
        return self._arguments(node, function, key, str(target))

    def _arguments(self, values: dict[str, Any], function: Any, key: str, target: str) -> dict[str, Any]:
        """Check a mapping against the parameters of its function; keys that build nothing have no `target`."""
        signature = Signature.of(function)
        if signature is None:
            return dict(self._check_inside(values, key))
        late = {*self.given.get(key, ()), *signature.positional[: len(values.get("_args_") or ())]}
        if not values.get("_partial_"):
            self.problems += [
                f"{key or name}: {target or 'the config'} needs {name}; give it with {_join(key, name)}=VALUE"
                for name in signature.required
                if name not in {*values, *late}
            ]
        return {name: self._argument(name, value, signature, key, target) for name, value in values.items()}

    def _argument(self, name: str, value: Any, signature: Signature, key: str, target: str) -> Any:
        full = _join(key, name)
        if name in signature.hints:
            return self._value(value, signature.hints[name], full)
        if not (name in NODE_KEYS and target):
            self._check_unknown_key(name, signature, key, target)
        return self._check_inside(value, full)

    def _check_unknown_key(self, name: str, signature: Signature, key: str, target: str) -> None:
        """Report a key that is not a parameter, unless it was added for a `**kwargs` to take."""
        full, found = _join(key, name), nearest(name, signature.hints)
        if not signature.open:
            fact = f"{target} has no such parameter" if target else "there is no such key"
            elsewhere = keys_meant(name, self.plain) if not key and (not found or name in MEANT) else []
            remedy = f"did you mean {' or '.join(elsewhere)}?" if elsewhere else suggestion(name, signature.hints)
            if key == "data.source" and "data" not in self.composed.typed:
                remedy += "; your own faces are data=folder"
            self.problems.append(f"{full}: {fact}; {remedy}")
        elif _is_in(full, self.composed.added):
            self.notes.append(f"{full} is not checked: {target} takes it through its **kwargs")
        else:
            guess = f"did you mean {found}? If not, " if found else ""
            fact = f"{target} names no such parameter"
            self.problems.append(f"{full}: {fact}; {guess}+{full}=VALUE on the command line passes it unchecked")

    def _check_inside(self, value: Any, key: str, hint: Any = Any) -> Any:
        """Check the nodes inside a value that has no signature; `hint` is the type of each part."""
        self._check_unknown_names(value, key)
        if isinstance(value, dict):
            return {name: self._value(inner, hint, _join(key, name)) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._value(inner, hint, _join(key, i)) for i, inner in enumerate(value)]
        return value

    def _check_unknown_names(self, value: Any, key: str) -> None:
        """Report names that no config file has, in a mapping that has no signature."""
        unknown = self.composed.unknown
        if not isinstance(value, dict) or _is_in(key, unknown):
            return
        others = [name for name in value if _join(key, name) not in unknown]
        for full, name in ((_join(key, name), name) for name in value if name not in others):
            hint = suggestion(name, others)
            self.problems.append(f"{full}: there is no such key; {hint}, or add it with +{full}=VALUE")


def _hint(key: str, value: object) -> str:
    if key == "data.fold" and isinstance(value, str):
        if value.casefold() == "all":
            return (
                "; data.fold=all is for facesegl train alone, one run per fold, without other values of data.fold; in "
                "Python for facesegl.sweep"
            )
        return "; did you mean data.fold=all?"
    return "; did you mean resume=auto?" if key == "resume" else ""


def _join(key: str, name: object) -> str:
    return f"{key}.{name}" if key else str(name)


def _is_in(key: str, keys: Collection[str]) -> bool:
    return any(key == other or key.startswith(f"{other}.") for other in keys)


def _is_open(value: Any) -> bool:
    """Whether a value cannot be checked against a type yet: a part is still to be built, or did not resolve."""
    if isinstance(value, dict):
        return "_target_" in value or any(map(_is_open, value.values()))
    return value is _UNRESOLVED or (isinstance(value, list) and any(map(_is_open, value)))
