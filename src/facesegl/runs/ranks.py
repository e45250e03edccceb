"""The ranks of one training: which one this process is, what they agree on before it, and how they end together.

torchrun and srun start all ranks at once; they exchange a few lines of JSON through the store at
MASTER_ADDR:MASTER_PORT that torch.distributed uses later: this needs no shared file system, backend or device, and a
signal ends the wait.
Lightning's own start is another one: rank 0 starts the command again for the others, with its run in their environment
(run_folder.py).
"""

import contextlib
import functools
import json
import logging
import os
import re
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from facesegl.console import print_errors
from facesegl.errors import ConfigError, FaceseglError, MachineError, Stopped, error_class
from facesegl.runs.signals import handlers
from facesegl.runs.slurm import SIGNALS

if TYPE_CHECKING:
    from pytorch_lightning import Trainer
    from torch.distributed import Store  # type: ignore[attr-defined]

log = logging.getLogger(__name__)

RUN_FOLDER, RUN_CHECKPOINT = "FACESEGL_RUN_FOLDER", "FACESEGL_RUN_CHECKPOINT"
"""Where rank 0 puts its run for the ranks that Lightning starts; every child of rank 0 inherits them."""

_START_S, _FAREWELL_S, _POLL_S = 300.0, 10.0, 0.1
_PATIENCE_S = 1800.0  # as torch.distributed's own for a collective
_HANGING_S, _NEAR_S = 20.0, 3.0
_LOST = re.compile(
    r"(closed|reset) by peer|broken pipe|socket closed|timed out waiting|remote process exited", re.IGNORECASE
)
_trainings = 0  # by this process: the store is that of all its trainings
_started: "Ranks | None" = None  # by this process, through Lightning
_parted = True  # rank 0 scores alone


@dataclass(frozen=True)
class Ranks:
    """The processes of one training.

    Attributes:
        rank: of this process.
        size: the number of processes.
        per_node: the number of processes on this node.
        launcher: torchrun, SLURM or Lightning.
        hosts: whether this process is the one to host the store.
    """

    rank: int
    size: int
    per_node: int
    launcher: str
    hosts: bool

    @functools.cached_property
    def _store(self) -> "Store":
        return self._connect(_START_S)

    def _connect(self, patience_s: float) -> "Store":
        from torch.distributed import TCPStore  # type: ignore[attr-defined]

        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        if self.launcher == "Lightning":
            patience_s = _NEAR_S  # rank 0 of this machine answers at once, or has died
        until = time.monotonic() + patience_s
        while True:  # short attempts: no signal interrupts one
            try:
                return TCPStore(
                    host, port, None, self.hosts, timedelta(seconds=2), wait_for_workers=False, multi_tenant=self.hosts
                )
            except RuntimeError as error:
                if self.hosts or time.monotonic() > until:
                    reason = str(error).partition("\n")[0]
                    raise MachineError(
                        f"rank {self.rank}: no connection at {host}:{port} ({reason:.200}). Check MASTER_ADDR and "
                        f"MASTER_PORT, that the port is free, and that rank 0 has started."
                    ) from error

    def gather(self, topic: str, value: Any, patience_s: float) -> list[Any]:
        """Exchange JSON values with all ranks: that of each, by rank.

        Raises:
            FaceseglError: the error with which another rank ended.
            MachineError: another rank does not answer.
        """
        self.send(topic, value)
        return [self.receive(topic, rank, patience_s) for rank in range(self.size)]

    def send(self, topic: str, value: Any) -> None:
        """Send a JSON value to all ranks."""
        with self._reached():
            self._store.set(_key(topic, self.rank), json.dumps(value))

    def receive(self, topic: str, rank: int = 0, patience_s: float = float("inf")) -> Any:
        """Wait for a rank's value; raises as `gather` does."""
        until = time.monotonic() + patience_s
        while (sent := self._sent(topic, rank)) is None:
            self.raise_failure()
            if time.monotonic() > until:
                raise MachineError(
                    f"rank {rank} of {self.size} did not answer within {patience_s / 60:.0f} minutes. Was it started? "
                    f"In a batch script of SLURM, srun starts all."
                )
            time.sleep(_POLL_S)
        return sent

    def _sent(self, topic: str, rank: int) -> Any:
        key = _key(topic, rank)
        with self._reached():
            return json.loads(self._store.get(key)) if self._store.check([key]) else None

    @contextlib.contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:  # of the store
            raise MachineError(
                f"rank 0 has ended, and rank {self.rank} with it. The same command with resume=auto resumes the run."
            ) from error

    def raise_failure(self) -> None:
        """Raise the error of a rank that has ended with one, if there is one."""
        for rank in range(self.size):
            if rank != self.rank and (failure := self._sent("failure", rank)):
                raise _error_of(rank, failure)

    def farewell(self, error: "FaceseglError | Stopped") -> bool:
        """Report the error to the other ranks, and wait a moment for theirs; whether this rank is to print it.

        torchrun ends all ranks as soon as one has ended, and the first is to print the error before.
        """
        try:
            if "_store" not in self.__dict__:
                self.__dict__["_store"] = self._connect(_FAREWELL_S)
            self.send("failure", {"exit_code": error.exit_code, "problems": list(error.problems)})
            _close_collectives()  # or another rank would wait for this one
            until = time.monotonic() + _FAREWELL_S
            # a signal reaches all ranks, and only rank 0 prints it
            others = self.size if isinstance(error, FaceseglError) else 1
            while None in (failed := [self._sent("failure", rank) for rank in range(others)]):
                if time.monotonic() > until:
                    break
                time.sleep(_POLL_S)
        except (KeyError, MachineError):  # rank 0 has not started the others yet, or was killed
            return self.rank < 2 and (self.rank == 0 or isinstance(error, FaceseglError))
        if self.rank:
            time.sleep(5 * _POLL_S)
        return not any(failed[: self.rank])


def _key(topic: str, rank: int) -> str:
    return f"facesegl/{_trainings}/{topic}/{rank}"


def _error_of(rank: int, failure: Mapping[str, Any]) -> "FaceseglError | Stopped":
    code, problems = failure["exit_code"], failure["problems"]
    if code == 0 or code > 128:
        return Stopped(problems[0], max(code - 128, 0))
    return error_class(code)(*(f"rank {rank}: {problem}" if rank else problem for problem in problems))


def _close_collectives() -> None:
    import torch.distributed as dist

    if dist.is_initialized() and dist.get_backend() == "gloo":
        with contextlib.suppress(RuntimeError):
            dist.destroy_process_group()


def launched() -> Ranks | None:
    """The ranks, if torchrun or srun has started this process as one of several; read as Lightning reads them.

    Raises:
        ConfigError: SLURM's tasks are not those that Lightning supports.
    """
    # torchrun and srun set these; Lightning takes seconds to import
    return _launched() if {"TORCHELASTIC_RUN_ID", "SLURM_NTASKS"} & os.environ.keys() else None


@functools.cache
def _launched() -> Ranks | None:
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    try:
        if TorchElasticEnvironment.detect():
            found: Any = TorchElasticEnvironment()
            launcher, per_node = "torchrun", int(os.environ["LOCAL_WORLD_SIZE"])
            hosts = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True" and found.global_rank() == 0
        elif SLURMEnvironment.detect() and int(os.environ["SLURM_NTASKS"]) > 1:
            found = SLURMEnvironment()
            launcher, per_node = "SLURM", int(os.environ["SLURM_NTASKS_PER_NODE"])
            hosts = found.global_rank() == 0
        else:
            return None
    except RuntimeError as error:
        raise ConfigError(f"SLURM: {error}") from error
    if found.world_size() == 1:
        return None
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = found.main_address, str(found.main_port)
    return Ranks(found.global_rank(), found.world_size(), per_node, launcher, hosts)


def current() -> Ranks | None:
    """The ranks that this process is one of, whatever has started it; None if it is alone."""
    return launched() or _started or _child_of_lightning()


@functools.cache  # Lightning removes WORLD_SIZE
def _child_of_lightning() -> Ranks | None:
    if not os.environ.get(RUN_FOLDER) or not (rank := int(os.environ.get("LOCAL_RANK", 0))):
        return None
    size = int(os.environ["WORLD_SIZE"])
    return Ranks(rank, size, size, "Lightning", hosts=False)


def is_first() -> bool:
    """Whether this process is rank 0, which prints and writes for all; a process alone is."""
    ranks = current()
    return ranks is None or ranks.rank == 0


def require_devices(trainer: "Trainer") -> None:
    """Check that the trainer has as many devices and nodes as torchrun or srun has started processes.

    Raises:
        ConfigError: it has not.
    """
    ranks = launched()
    devices, nodes = trainer.num_devices, trainer.num_nodes
    if ranks is None and nodes > 1:
        raise ConfigError(
            f"trainer.num_nodes={nodes}: this process is alone; expected one for each device of each node, started by "
            f"torchrun or srun."
        )
    if ranks and (devices, nodes) != (ranks.per_node, ranks.size // ranks.per_node):
        needed = f"trainer=ddp trainer.devices={ranks.per_node}"
        if (expected := ranks.size // ranks.per_node) > 1 or nodes > 1:
            needed += f" +trainer.num_nodes={expected}"
        raise ConfigError(
            f"trainer.devices={devices}, trainer.num_nodes={nodes}: {ranks.launcher} has started {ranks.size} "
            f"processes, {ranks.per_node} on this node; expected {needed}, or another number of processes."
        )


def require_no_sweep() -> None:
    """Refuse a sweep in several ranks, with a ConfigError."""
    if ranks := launched():
        raise ConfigError(
            f"-m: {ranks.launcher} has started {ranks.size} processes of this command, and each would run the whole "
            f"sweep; start it without torchrun or srun, and trainer=ddp starts the ranks of each job."
        )


@contextlib.contextmanager
def ending_together() -> Iterator[None]:
    """Wrap a training: the error of one rank ends all of them, and one rank prints it, rank 0 if it can.

    Raises:
        FaceseglError, Stopped: as the block, also those of other ranks; without problems if another rank prints them.
    """
    global _trainings, _started, _parted
    if not _parted:  # within such a block
        yield
        return
    _trainings, _started, _parted = _trainings + 1, None, False
    try:
        yield
    except KeyboardInterrupt:
        if is_first():
            raise
        stopped = Stopped("", signal.SIGINT)
        stopped.problems = ()
        raise stopped from None
    except (FaceseglError, Stopped) as error:
        if (ranks := current()) is None or _parted:
            raise
        with handlers({signal.SIGTERM: signal.SIG_IGN}):  # torchrun's, for the end of another rank
            error = _error_behind(error, ranks)
            if not ranks.farewell(error):
                error.problems = ()
        raise error from error.__cause__
    finally:
        _parted = True


def _error_behind(error: "FaceseglError | Stopped", ranks: Ranks) -> "FaceseglError | Stopped":
    """The end of another rank, if torchrun's SIGTERM came while it was handled; otherwise the error itself."""
    behind = error.__context__ if isinstance(error, Stopped) else None
    while behind is not None and not _LOST.search(str(behind)):
        behind = behind.__context__
    try:
        if behind is not None:
            ranks.raise_failure()
    except (FaceseglError, Stopped) as failure:
        return failure
    return error if behind is None else MachineError(f"{_DEAD}.")


@contextlib.contextmanager
def training_together(trainer: "Trainer") -> Iterator[None]:
    """Wrap `trainer.fit`: a rank that dies ends the others.

    Raises:
        FaceseglError: the error with which another rank ended.
        MachineError: another rank ended without one.
    """
    global _started, _parted
    if trainer.world_size > 1 and is_first() and not launched():
        _started = Ranks(0, trainer.world_size, trainer.num_devices, "Lightning", hosts=True)
        _report_before_killing()
    try:
        yield
    except RuntimeError as error:
        if (ranks := current()) is None or not _LOST.search(str(error)):
            raise
        ranks.raise_failure()
        raise MachineError(f"{_DEAD} ({' '.join(str(error).split())[-100:]}).") from error
    _parted = True


_DEAD = (
    "another rank of this training has ended without a message; the log of the system may say why (out of memory?). "
    "The same command with resume=auto resumes it"
)


def _report_before_killing() -> None:
    """Lightning kills all ranks, this one included, as soon as one has ended: before any can say why.

    Until all have started, this one waits in a call that no signal interrupts.
    """
    import torch.distributed as dist
    from lightning_fabric.strategies.launchers.subprocess_script import _ChildProcessObserver

    def terminate_all(observer: Any) -> None:
        # gloo's collectives fail at once, and are closed then; this thread ends with the process
        time.sleep(_HANGING_S if dist.is_initialized() else _NEAR_S)
        if not _parted:
            code = next(process.returncode for process in observer._child_processes if process.returncode)
            if (signum := code - 128 if code > 0 else -code) in (signal.SIGINT, signal.SIGTERM, *SIGNALS):
                name, code = signal.Signals(signum).name, 128 + signum
                print_errors(f"stopped: by {name}. The same command with resume=auto resumes it.")
            elif code < 0:
                print_errors(f"error: {_DEAD}.")  # otherwise the rank has printed its error
            for process in observer._child_processes:
                process.kill()
            os._exit(code if code > 0 else MachineError.exit_code)

    _ChildProcessObserver._terminate_all = terminate_all  # type: ignore[method-assign, assignment]


def require_same(ranks: Ranks, config: Mapping[str, Any]) -> None:
    """Compare the config of all ranks.

    Raises:
        ConfigError: they differ; each key.
    """
    mine = dict(_leaves(config))
    if ranks.rank:
        ranks.send("config", mine)  # rank 0 compares
        return
    for rank, theirs in enumerate(ranks.gather("config", mine, _START_S)):
        different = [key for key in mine | theirs if mine.get(key) != theirs.get(key)]
        if different:
            values = ", ".join(f"{key}={theirs.get(key)} (rank 0: {mine.get(key)})" for key in different[:5])
            raise ConfigError(f"rank {rank} has another config: {values}; start all ranks with the same command.")


def require_same_data(ranks: Ranks, identity: str) -> None:
    """Wait until all ranks are ready to train, and compare the identities that they give to the run.

    Raises:
        ConfigError: they differ.
    """
    for rank, theirs in enumerate(ranks.gather("identity", identity, _PATIENCE_S)):
        if theirs != identity:
            raise ConfigError(
                f"rank {rank} and rank {ranks.rank} have other data or weights to start from; expected the same files "
                f"on every machine."
            )


def _leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for name, inner in node.items():
            yield from _leaves(inner, f"{key}.{name}" if key else str(name))
    else:
        yield key, node
