"""An Optuna study that several processes work on: each trial is claimed by one, also one that a killed process left.

The number of a trial is the name of its run folder. The process that works on trial N holds the lock `.N.lock` in the
study's folder, so a trial that is RUNNING in the storage and whose lock is free is that of a killed process: it is
claimed again, with its values, and resumes in its folder. Trials are claimed under the lock `.study.lock`.
"""

import contextlib
import hashlib
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import filelock
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from facesegl.errors import ConfigError, MachineError
from facesegl.files import machine_errors
from facesegl.runs.locks import locked
from facesegl.tuning.space import Space, overrides_of

log = logging.getLogger(__name__)

JOURNAL = "journal.log"
"""The journal in a study's folder, the default storage."""

_ABOUT = "facesegl"  # the attribute of a study in a storage that says what it searches


class Claim(NamedTuple):
    """A trial that this process works on.

    Attributes:
        trial: Optuna's trial.
        overrides: the overrides that set its values.
        reported: the steps that were reported before a killed process left it.
    """

    trial: optuna.Trial
    overrides: list[str]
    reported: frozenset[int]


class Study:
    """A study in a storage and a folder.

    Args:
        folder: the study's folder; processes on other machines share it, or have one of the same name.
        name: the study's name in the storage.
        storage: a URL of a database, or the path of a journal file.
        space: what is searched.
        about: what identifies the search, as plain data: other studies of the name are refused.
        seed: seed of the sampler; the values of a trial follow from it, from the trial's number and the trials before.

    Raises:
        ConfigError: no such kind of storage, its driver is missing, it is not one of Optuna, or it has a study of this
            name that searches something else.
        MachineError: the storage cannot be reached.
    """

    def __init__(
        self, folder: Path, name: str, storage: str, space: Space, about: Mapping[str, Any], seed: int, warm_up: int
    ) -> None:
        self.folder, self.space, self._seed = folder, space, seed
        self._storage, self._file = storage, _file_of(storage)
        self._is_here = self._file == folder / JOURNAL
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with self._lock(), _opening(storage, self._file):
            self._study = optuna.create_study(
                storage=_backend(storage),
                study_name=name,
                direction="maximize",
                load_if_exists=True,
                pruner=optuna.pruners.MedianPruner(n_warmup_steps=warm_up),
            )
            known = self._study.user_attrs.get(_ABOUT)
            if known is None:
                self._study.set_user_attr(_ABOUT, dict(about))
        self._inode = self._file.stat().st_ino if self._file else None
        if known not in (None, about):
            raise ConfigError(f"{hidden(storage)}: its study {name} {difference(known, about)}")

    @contextlib.contextmanager
    def claim(self, trials: int) -> Iterator[Claim | None]:
        """Claim a trial: one that a killed process left, or else a new one; None if there are `trials` of them."""
        with contextlib.ExitStack() as held:
            with self._lock(), self._reachable():
                claim = self._left(held) or self._new(trials, held)
            yield claim

    def report(self, claim: Claim, step: int, miou: float) -> bool:
        """Report the score of an epoch or fold; whether the trial is worse than the median of the others."""
        if step not in claim.reported:
            with self._reachable():
                claim.trial.report(miou, step)
        with self._reachable():
            return claim.trial.should_prune()

    def end(self, claim: Claim, state: TrialState, miou: float | None = None) -> None:
        """Record how a trial ended, with its score if it is complete."""
        with self._reachable():
            self._study.tell(claim.trial, miou, state=state)

    def states(self) -> list[TrialState]:
        """The states of all trials, by number."""
        with self._reachable():
            return [trial.state for trial in self._study.get_trials(deepcopy=False)]

    def _left(self, held: contextlib.ExitStack) -> Claim | None:
        for frozen in self._study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            here = self._is_here or (self.folder / str(frozen.number)).is_dir()
            if not here or not held.enter_context(locked(self.folder, f".{frozen.number}.lock")):
                continue
            now = self._study.get_trials(deepcopy=False)[frozen.number]  # it may have ended before we held the lock
            if now.state is TrialState.RUNNING:
                log.info("trial %d: no process works on it any more; resuming it", frozen.number)
                self._study.sampler = self._sampler(frozen.number)
                trial = optuna.Trial(self._study, frozen._trial_id)
                return self._claimed(trial, frozenset(frozen.intermediate_values))
        return None

    def _new(self, trials: int, held: contextlib.ExitStack) -> Claim | None:
        number = len(self._study.get_trials(deepcopy=False))
        if number >= trials:
            return None
        self._study.sampler = self._sampler(number)
        trial = self._study.ask()
        if trial.number >= trials:  # another machine, which shares the storage but not this folder, was faster
            self._study.tell(trial, state=TrialState.FAIL)
            return None
        assert held.enter_context(locked(self.folder, f".{trial.number}.lock"))
        return self._claimed(trial, frozenset())

    def _claimed(self, trial: optuna.Trial, reported: frozenset[int]) -> Claim:
        """Suggest the values that the trial does not have yet."""
        values = {key: _suggest(trial, key, distribution) for key, distribution in self.space.items()}
        return Claim(trial, overrides_of(self.space, values), reported)

    def _sampler(self, number: int) -> TPESampler:
        """A sampler per trial: processes with one seed would all begin with the same values."""
        digest = hashlib.blake2b(f"{self._seed} {number}".encode(), digest_size=4).digest()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return TPESampler(seed=int.from_bytes(digest, "big"), constant_liar=True)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        with machine_errors(self.folder), filelock.FileLock(self.folder / ".study.lock"):
            yield

    @contextlib.contextmanager
    def _reachable(self) -> Iterator[None]:
        """Turn the loss of the storage into one message; a deleted file would silently become an empty one."""
        remedy = f"The runs of its trials are in {self.folder}; restore it, and the same command continues the study."
        if self._file and (not self._file.is_file() or self._file.stat().st_ino != self._inode):
            raise MachineError(f"{self._file}: the storage of this study was deleted or replaced. {remedy}")
        try:
            yield
        except _errors_of(self._storage) as error:
            where = hidden(self._storage)
            raise MachineError(f"{where}: the storage of this study fails: {_one_line(error)}. {remedy}") from error


def _suggest(trial: optuna.Trial, key: str, distribution: BaseDistribution) -> Any:
    match distribution:
        case FloatDistribution(low=low, high=high, log=log_scale):
            return trial.suggest_float(key, low, high, log=log_scale)
        case IntDistribution(low=low, high=high, step=step, log=log_scale):
            return trial.suggest_int(key, low, high, step=step, log=log_scale)
        case CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(key, choices)
    raise TypeError(distribution)


def _file_of(storage: str) -> Path | None:
    """The file of a journal or of SQLite; None for a server."""
    if "://" not in storage:
        return Path(storage)
    from sqlalchemy.engine import make_url

    url = make_url(storage)
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def require_storage(storage: str) -> None:
    """Check the kind of a storage, and that its driver is installed, without opening it.

    Raises:
        ConfigError: every other kind, with what to install.
    """
    if "://" not in storage:
        return
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    kind = storage.partition("://")[0]
    expected = "expected the path of a journal file, or a URL, e.g. sqlite:///FILE.db, postgresql://... or mysql://..."
    if kind.startswith("redis"):
        raise ConfigError(
            "--storage redis://...: Optuna unpickles what it reads there, which may run code; " + expected
        )
    try:
        make_url(storage).get_dialect().import_dbapi()
    except ArgumentError:  # no such dialect, or no URL
        raise ConfigError(f"--storage {hidden(storage)}: there is no storage of this kind; {expected}.") from None
    except ImportError as error:
        package = _PACKAGES.get(str(error.name), error.name)
        raise ConfigError(
            f"--storage {hidden(storage)}: its driver is not installed; install it with pip install {package}."
        ) from None


_PACKAGES = {"MySQLdb": "mysqlclient", "psycopg": "'psycopg[binary]'", "psycopg2": "psycopg2-binary"}
"""Packages whose names differ from those of their modules."""


def _backend(storage: str) -> BaseStorage:
    if "://" not in storage:
        if (file := Path(storage)).is_file() and file.stat().st_size:
            with file.open(encoding="utf-8") as lines:
                json.loads(next(lines))["op_code"]  # Optuna would append to any file of one line
        return JournalStorage(JournalFileBackend(storage))
    # SQLite gives up on a lock after five seconds otherwise
    return RDBStorage(storage, engine_kwargs={"connect_args": {"timeout": 60}} if _file_of(storage) else {})


@contextlib.contextmanager
def _opening(storage: str, file: Path | None) -> Iterator[None]:
    if file and not file.parent.is_dir():
        raise MachineError(f"--storage {hidden(storage)}: there is no folder {file.parent}; make it first.")
    try:
        yield
    except OSError as error:
        raise MachineError(f"--storage {storage}: {error.strerror}; choose another file.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        reason = _one_line(error)
        raise ConfigError(
            f"--storage {hidden(storage)}: not a storage of this version of Optuna ({reason})."
        ) from error
    except _errors_of(storage) as error:
        raise MachineError(f"--storage {hidden(storage)}: it cannot be reached: {_one_line(error)}.") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).partition("\n[SQL")[0].partition("\n(Background")[0].split())


def _errors_of(storage: str) -> tuple[type[Exception], ...]:
    errors = (OSError, ValueError, KeyError, optuna.exceptions.StorageInternalError)
    if "://" not in storage:
        return errors
    from sqlalchemy.exc import SQLAlchemyError

    return (*errors, SQLAlchemyError)


def hidden(storage: str) -> str:
    """A storage without the password in its URL."""
    if "://" not in storage:
        return storage
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(storage).render_as_string(hide_password=True)
    except ArgumentError:
        return f"{storage.partition('://')[0]}://..."


def difference(known: Any, about: Mapping[str, Any]) -> str:
    """How another search differs from this one, and what to do, as the end of a message."""
    theirs, ours = known["overrides"], about["overrides"]
    if theirs == ours:  # the sweep of a config file has changed
        theirs, ours = ([f"{key} {value}" for key, value in each["space"].items()] for each in (known, about))
    other, own = (
        ", ".join(word for word in one if word not in another) for one, another in ((theirs, ours), (ours, theirs))
    )
    return (
        f"searches {other or 'less'}, this command {own or 'less'}. A study is continued with its own overrides; "
        f"start another one with --study FOLDER."
    )
