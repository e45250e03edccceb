"""Start one training as several ranks: by torchrun, by a stub of SLURM's srun, or by Lightning itself."""

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytorch_lightning as pl

from facesegl.errors import DataError, TrainingError
from helpers.calling import TESTS, Ended

TWO_RANKS = ["data.batch_size=1", "trainer=ddp", "trainer.accelerator=cpu"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
_jobs = itertools.count(os.getpid() % 5000)


class Launched:
    """The running ranks, their process ids if we have started them, and how all of them end."""

    def __init__(self, processes):
        self.processes = processes

    def end(self, timeout=300):
        """The first exit code that is not 0, and what all ranks have printed."""
        try:
            printed = [process.communicate(timeout=timeout) for process in self.processes]
        finally:
            for process in self.processes:
                process.kill()
        out, err = ("".join(texts) for texts in zip(*printed, strict=True))
        return Ended(next((one.returncode for one in self.processes if one.returncode), 0), out, err)


def launch(launcher, *words, options=(), by_rank=((), ())):
    """Start the command as two ranks; `by_rank` are further words of each rank, where srun starts it."""
    module = ["-m", "facesegl", *map(str, words)]
    if launcher == "srun":
        job = str(next(_jobs))
        return Launched([_start([sys.executable, *module, *by_rank[rank]], slurm(rank, job)) for rank in range(2)])
    command = [*TORCHRUN, *options] if launcher == "torchrun" else [sys.executable]
    return Launched([_start([*command, *module])])


def slurm(rank, job, tasks=2):
    """What `srun --ntasks-per-node TASKS` sets for a task."""
    return {
        "SLURM_JOB_ID": job,
        "SLURM_JOB_NAME": "faces",
        "SLURM_NTASKS": str(tasks),
        "SLURM_NTASKS_PER_NODE": str(tasks),
        "SLURM_NNODES": "1",
        "SLURM_NODELIST": "127.0.0.1",
        "SLURM_NODEID": "0",
        "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": str(rank),
    }


def _start(command, environment=()):
    return subprocess.Popen(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS), **dict(environment)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


class Kill(pl.Callback):
    """Sends one rank a signal after a step, once: then the file `killed` exists."""

    def __init__(self, rank: int, after_step: int, signum: int = signal.SIGKILL) -> None:
        self.rank, self.after_step, self.signum, self.marker = rank, after_step, signum, Path("killed")

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        mine = trainer.global_rank == self.rank and trainer.global_step == self.after_step
        if mine and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), self.signum)


class Fail(pl.Callback):
    """Raises an error of one rank in its second step."""

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_rank == self.rank and trainer.global_step == 2:
            raise TrainingError("step 2: the loss is not finite.")


class FailBefore(pl.Callback):
    """Ends rank 1 before the ranks have met: by a signal, or with an error if that is 0."""

    def __init__(self, signum: int) -> None:
        if os.environ.get("LOCAL_RANK") == "1":
            if signum:
                os.kill(os.getpid(), signum)
            raise DataError("a.png: it is gone.")


def killed(rank, after_step, signum=signal.SIGKILL):
    return [
        "+callbacks.kill._target_=helpers.launchers.Kill",
        f"+callbacks.kill.rank={rank}",
        f"+callbacks.kill.after_step={after_step}",
        f"+callbacks.kill.signum={int(signum)}",
    ]
