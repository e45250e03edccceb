"""Jobs of SLURM: the signals that announce their end, the way back into the queue, and which processes are ranks."""

import os
import signal
import subprocess
from typing import TYPE_CHECKING

from facesegl.errors import MachineError
from facesegl.provenance import JOB_COMMAND

if TYPE_CHECKING:
    from lightning_fabric.plugins import ClusterEnvironment

SIGNALS = (signal.SIGUSR1, signal.SIGUSR2)
"""What `sbatch --signal` sends before the time limit: by convention SIGUSR1; submitit sends SIGUSR2."""


def handled() -> list[signal.Signals]:
    """Those of the signals that have a handler: submitit's, or that of the command in a SLURM job."""
    return [signum for signum in SIGNALS if callable(signal.getsignal(signum))]


def was_requeued() -> bool:
    """Whether SLURM has started this job before."""
    return os.environ.get("SLURM_RESTART_COUNT", "0") != "0"


def is_first_process() -> bool:
    """Whether this process is the first of its node or job, or alone; unlike `ranks.is_first` it imports nothing."""
    # of srun; of Lightning's own start or torchrun
    return {os.environ.get(name, "0") for name in ("SLURM_PROCID", "LOCAL_RANK")} == {"0"}


def requeue() -> str:
    """Put this job back into the queue, from its first process; returns its id, or an empty string.

    A sweep's jobs leave it to submitit or to the sweep.

    Raises:
        MachineError: SLURM refuses, for example since the job was submitted with --no-requeue.
    """
    if not is_first_process() or {"SUBMITIT_EXECUTOR", JOB_COMMAND} & os.environ.keys():
        return ""
    read = os.environ.get
    array = read("SLURM_ARRAY_JOB_ID")
    job = f"{array}_{read('SLURM_ARRAY_TASK_ID')}" if array else read("SLURM_JOB_ID", "")
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        reason = " ".join(str(getattr(error, "stderr", None) or error).split())
        raise MachineError(
            f"scontrol requeue {job}: {reason}. The same command with resume=auto resumes it."
        ) from error
    return job


def cluster_environments() -> "list[ClusterEnvironment]":
    """What Lightning should use instead of what it detects in a SLURM job.

    In a job of one task Lightning starts the processes of several devices. Its `auto_requeue` is off: it would save to
    and load from a file in the current folder, whatever the run.
    """
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    if "SLURM_NTASKS" not in os.environ or TorchElasticEnvironment.detect():
        return []
    if os.environ["SLURM_NTASKS"] == "1":
        return [LightningEnvironment()]
    return [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []
