"""`facesegl train -m`: Hydra runs the jobs, and each writes a job.json.

Every job writes its job.json however it ends, under any launcher; when all jobs have ended, the command reads them and
reports those that failed. The command line is kept in sweep.json, for `resume=auto`.
"""

import contextlib
import logging
import math
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from facesegl.commands.build import GIVEN, problems_of_parts, require_folds
from facesegl.commands.job import run_job
from facesegl.config.check import rehearse
from facesegl.config.compose import (
    Composed,
    conf_dir,
    expand_folds,
    key_of,
    loosen,
    name_of,
    preserved_hydra,
    quoted,
    swept,
)
from facesegl.config.hydra_versions import version_base
from facesegl.console import configure_logging, print_errors
from facesegl.errors import ConfigError, MachineError, Stopped
from facesegl.files import write_json
from facesegl.provenance import replaced_argv
from facesegl.runs.locks import is_live, locked
from facesegl.runs.result import SCHEMA, read_record
from facesegl.runs.run_folder import make_folder
from facesegl.runs.slurm import SIGNALS
from facesegl.runs.sweep_jobs import read_notes

log = logging.getLogger(__name__)

_ABOUT = "sweep.json"


def rehearse_jobs(overrides: Sequence[str], config_dirs: Sequence["str | Path"] = ()) -> list[Composed]:
    """Compose and check every value of every swept key, before the first job starts.

    Raises:
        ConfigError: every problem of any job, or a folder for one run.
        MachineError: as in `facesegl.config.check.check`.
    """
    expanded = expand_folds(overrides, config_dirs=config_dirs)
    configs = rehearse(expanded, multirun=True, config_dirs=config_dirs, given=GIVEN, construct=problems_of_parts)
    if run := configs[0].config.paths.run:
        raise ConfigError(
            f"paths.run={run}: a sweep has many runs, each in its own folder; choose where with name=NAME and "
            f"paths.runs=FOLDER."
        )
    return configs


def sweep(
    configs: Sequence[Composed],
    overrides: Sequence[str],
    config_dirs: Sequence["str | Path"] = (),
    *,
    program: str | None = None,
) -> Path:
    """Train one model for each combination of values, each in a numbered folder of one sweep folder.

    Args:
        configs: those of `rehearse_jobs`; the first one names the sweep.
        overrides: the overrides of the command line, already checked.
        config_dirs: folders with custom config groups.
        program: the program that repeats a job, for its record and for other ranks; None for that of this process.

    Returns:
        The sweep's folder.

    Raises:
        ConfigError: `resume` names no sweep of these overrides, the data have no folds, or Hydra refuses the sweep.
        MachineError: another process runs this sweep, or a launcher does not work on this machine.
        Stopped: a signal ended the sweep.
    """
    first = configs[0].config
    sweeps = Path(first.paths.runs) / first.name
    typed = [text for text in overrides if name_of(text) != "resume"]
    lasting = [text for text in typed if name_of(text) != "trainer.max_time"]  # which counts from each start
    typed = expand_folds(asked := typed, config_dirs=config_dirs)
    if typed != asked:
        require_folds(configs[0])
    counts = swept(typed, config_dirs=config_dirs)
    jobs = math.prod(counts.values())
    found = _find(str(first.resume), sweeps, lasting, jobs) if first.resume else None
    folder = (found or make_folder(sweeps)).absolute()
    given = [*typed, "resume=auto"] if first.resume else typed  # each job resumes in its own folder
    dirs = [argument for path in config_dirs for argument in ("--config-dir", str(path))]
    arguments = ["-m", *dirs, *loosen(given, config_dirs=config_dirs), f"hydra.sweep.dir={quoted(str(folder))}"]
    program = program or sys.argv[0]
    dirs_of_jobs = [Path(path) for path in config_dirs]
    job = partial(_job, pid=os.getpid(), program=program, typed=given, swept_keys=[*counts], config_dirs=dirs_of_jobs)
    with locked(folder) as free, replaced_argv([program, *arguments]):
        if not free:
            raise MachineError(f"{folder}: another process is running this sweep; wait for it, or stop it first.")
        write_json(folder / _ABOUT, {"schema": SCHEMA, "jobs": jobs, "overrides": lasting})
        _run(job, folder)
    return folder


def _find(resume: str, sweeps: Path, typed: Sequence[str], jobs: int) -> Path | None:
    """The sweep that `resume` names, or for `auto` the newest of these overrides, unfinished ones first."""
    same = _same(sweeps, typed) if resume.casefold() == "auto" else [_named(resume, typed)]
    done = {folder: sum(note["state"] == "done" for note in read_notes(folder)) for folder in same}
    found = max(same, key=lambda folder: done[folder] < jobs, default=None)  # of equal ones the first, the newest
    if found:
        log.info("resume=%s: resuming %s: %d of %d jobs are done", resume, found, done[found], jobs)
    return found


def _same(sweeps: Path, typed: Sequence[str]) -> list[Path]:
    """The sweeps of these overrides that no process runs, newest first."""
    overrides: dict[Path, list[str]] = {}
    for path in sweeps.glob(f"*/{_ABOUT}"):
        try:
            overrides[path.parent] = _overrides_of(path.parent) or []
        except ConfigError as error:  # of another version
            log.warning("resume=auto: %s", error)
    newest = sorted(overrides, key=lambda folder: ((folder / _ABOUT).stat().st_mtime_ns, folder), reverse=True)
    same = [folder for folder in newest if overrides[folder] == typed and not is_live(folder)]
    if not same:
        other = "".join(_difference(folder, overrides[folder], typed) for folder in newest[:1])
        log.info("resume=auto: no sweep of %s in %s%s; a new one starts", shlex.join(typed), sweeps, other)
    return same


def _difference(folder: Path, overrides: Sequence[str], typed: Sequence[str]) -> str:
    if overrides == typed:
        return f" ({folder.name} has them, but another process is running it)"
    other = [text for text in overrides if text not in typed]
    return f" (the newest there, {folder.name}, has {shlex.join(other) or 'fewer of them, or another order'})"


def _named(resume: str, typed: Sequence[str]) -> Path:
    folder = Path(resume)
    overrides = _overrides_of(folder)
    if overrides is None:
        raise ConfigError(f"resume={resume}: not the folder of a sweep; expected e.g. runs/NAME/DATE, or resume=auto.")
    if overrides != typed:
        raise ConfigError(
            f"resume={resume}: that sweep has other overrides, {shlex.join(overrides)}. A sweep is resumed only with "
            f"its own; to start a new one leave out resume."
        )
    return folder


def _overrides_of(folder: Path) -> list[str] | None:
    overrides = (read_record(folder / _ABOUT) or {}).get("overrides")
    return overrides if isinstance(overrides, list) else None


def _run(job: Callable[[DictConfig], float | None], folder: Path) -> None:
    """Let Hydra run the jobs; what it, its sweeper or its launcher refuses is not a bug of facesegl."""
    import hydra
    from hydra.errors import HydraException

    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises the original error
    try:
        with preserved_hydra():
            hydra.main(**version_base(), config_path=str(conf_dir()), config_name="train")(job)()
    except Exception as error:
        if getattr(error, "__notes__", None):  # raised in a job
            raise
        reason = next(filter(None, map(str.strip, str(error).splitlines())), type(error).__name__)
        if not isinstance(error, RuntimeError | OSError) or isinstance(error, HydraException):
            raise ConfigError(f"Hydra refuses this sweep: {' '.join(str(error).split()) or reason}") from error
        if not any(path.name.isdecimal() for path in folder.iterdir()):
            raise MachineError(f"Hydra's launcher cannot run the jobs on this machine: {reason}") from error
        raise MachineError(
            f"Hydra's launcher has lost a job: {reason} Once no other job of it runs, the same command with "
            f"resume=auto runs what is missing in {folder}."
        ) from error


def _job(
    _config: DictConfig,
    *,
    pid: int,
    program: str,
    typed: Sequence[str],
    swept_keys: Collection[str],
    config_dirs: Sequence[Path],
) -> float | None:
    """Run the job that Hydra calls this for; returns its headline score, for an optimizing sweeper."""
    from hydra.core.hydra_config import HydraConfig

    job = HydraConfig.get()
    runtime: Any = OmegaConf.to_container(job.runtime)  # unresolved: Hydra does not escape the path
    keys = {key_of(text) for text in typed}
    overrides = [text if key_of(text) in keys else text.removeprefix("++") for text in job.overrides.task]
    values = [text for text in overrides if key_of(text) in swept_keys]
    launched = os.getpid() != pid
    if launched:  # several jobs may write to one terminal: lines, and no bars
        os.environ["TERM"] = "dumb"
        configure_logging(f"job {job.job.num}: ")
    try:
        return run_job(Path(runtime["output_dir"]), overrides, values, program=program, config_dirs=config_dirs)
    except Stopped as error:
        signum = error.exit_code - 128
        if signum not in SIGNALS:
            raise
        with contextlib.suppress(Exception):  # submitit raises if it does not requeue the job
            signal.raise_signal(signum)  # submitit, or the command in a SLURM job, requeues it and exits
    except Exception:
        if not launched:
            raise
        print_errors(*traceback.format_exc().splitlines())  # the other jobs continue
    return None
