"""One training of a sweep: a run in a numbered folder, with a job.json that is written however it ends."""

import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, open_dict

from facesegl.commands.train import train
from facesegl.commands.train_process import train_in_process
from facesegl.config.compose import Composed, assignment, literal
from facesegl.errors import ConfigError, FaceseglError, Stopped
from facesegl.files import write_json
from facesegl.provenance import replaced_argv
from facesegl.runs.ranks import is_first
from facesegl.runs.result import SCHEMA, Result, Run, read_result

if TYPE_CHECKING:
    from pytorch_lightning import Callback

log = logging.getLogger(__name__)


def run_job(
    folder: Path,
    overrides: Sequence[str],
    values: Sequence[str],
    *,
    program: str,
    config_dirs: Sequence[Path] = (),
    callbacks: "Sequence[Callback]" = (),
) -> float | None:
    """Train and score one job of a sweep. A failure is recorded in its job.json; a signal ends the whole sweep.

    A job on several devices has a separate process. A job that a cluster starts a second time resumes in its folder.

    Args:
        folder: the run folder; its name is the job's number.
        overrides: all overrides of the job.
        values: those of the swept keys, for the table.
        program: `sys.argv[0]` of the command line that repeats the job.
        config_dirs: folders with custom config groups.
        callbacks: callbacks that are added to those of the config.

    Returns:
        Its headline score; None if it failed or has none.

    Raises:
        Stopped: a signal ended it.
    """
    number = int(folder.name)
    note: dict[str, Any] = {
        "schema": SCHEMA,
        "job": number,
        "overrides": list(values),
        "run": str(folder),
        "set": None,
        "miou": None,
    }
    log.info("job %s: %s", number, shlex.join(values))
    try:
        composed = Composed.of(overrides, config_dirs=config_dirs)
        with open_dict(composed.config):
            composed.config.paths.run = literal(str(folder))
            if read_result(folder):  # a cluster, or a process of a search that was killed, has started it before
                composed.config.resume = "auto"
        with replaced_argv([program, "train", *overrides]):  # repeats this job alone
            if starts_processes(composed.config):
                result = _train_in_process(composed, overrides, config_dirs, callbacks)
            else:
                result = train(composed, callbacks=callbacks)
        headline = next(iter(result.scores), None)
        miou: float | None = result.scores[headline]["scores"]["miou"] if headline else None
        note |= {"state": result.state, "set": headline, "miou": miou}
        note |= result.failure or {}  # the time limit of a job
        return miou
    except Stopped as error:
        note |= {"state": "stopped", "exit_code": error.exit_code, "messages": list(error.problems)}
        raise
    except KeyboardInterrupt:  # before or after the training, which turns it into Stopped
        note |= {"state": "stopped", "exit_code": 130, "messages": ["by SIGINT"]}
        raise
    except FaceseglError as error:
        note |= {"state": "failed", "exit_code": error.exit_code, "messages": list(error.problems)}
        for problem in error.problems:
            log.error("job %s: %s", number, problem)
    except BaseException as error:
        note |= {"state": "failed", "exit_code": FaceseglError.exit_code, "messages": [repr(error)]}
        error.add_note(f"in job {number} of the sweep in {folder.parent}")
        raise
    finally:
        if is_first():
            write_json(folder / "job.json", note)
    return None


def starts_processes(config: DictConfig) -> bool:
    """Whether Lightning may train a config in several processes; it starts them from the command line."""
    trainer = config.trainer
    alone = {"devices": (1, "1"), "num_nodes": (1,), "strategy": ("auto",)}
    return any(trainer.get(key, values[0]) not in values for key, values in alone.items())


def _train_in_process(
    composed: Composed, overrides: Sequence[str], config_dirs: Sequence[Path], callbacks: "Sequence[Callback]"
) -> Result:
    config = composed.config
    if callbacks:
        raise ConfigError(
            f"trainer.devices={config.trainer.devices}: a job in several processes takes no callbacks from code, which "
            f"pruning needs; use one device, or do not prune."
        )
    folder = Path(config.paths.run)
    dirs = [word for path in config_dirs for word in ("--config-dir", str(path))]
    resume = ["resume=auto"] if config.resume else []
    train_in_process([*overrides, assignment("paths.run", str(folder)), *resume, *dirs])
    return Result.of(Run(folder, record=read_result(folder) or {}))
