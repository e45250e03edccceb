"""`facesegl train -m`: Hydra runs the jobs, and each writes a job.json.

Every job writes its job.json however it ends, under any launcher; when all jobs have ended, the command reads them and
reports those that failed. The command line is kept in sweep.json, for `resume=auto`.
"""

import contextlib
import json
import logging
import shlex
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict

from facesegl.commands.train import train
from facesegl.config.compose import Composed, conf_dir, loosen, quoted
from facesegl.errors import FaceseglError, Stopped
from facesegl.files import write_json
from facesegl.provenance import replaced_argv
from facesegl.runs.run_folder import is_live, locked, make_folder
from facesegl.runs.sweep_jobs import read_notes

log = logging.getLogger(__name__)

_ABOUT = "sweep.json"


def sweep(configs: Sequence[Composed], overrides: Sequence[str], config_dirs: Sequence[Path]) -> Path:
    """Train one model for each combination of values, each in a numbered folder of one sweep folder.

    Args:
        configs: one for each job; the first one names the sweep.
        overrides: the overrides of the command line, already checked.
        config_dirs: folders with custom config groups.

    Returns:
        The sweep's folder.

    Raises:
        Stopped: a signal ended the sweep.
    """
    import hydra

    first = configs[0].config
    sweeps = Path(first.paths.runs) / first.name
    about = {"jobs": len(configs), "overrides": [text for text in overrides if not _is_of_one_start(text)]}
    unfinished = _unfinished(sweeps, about) if str(first.resume).casefold() == "auto" else None
    folder = (unfinished or make_folder(sweeps)).absolute()
    write_json(folder / _ABOUT, about)
    loosened = loosen(overrides, config_dirs=config_dirs)
    dirs = [argument for path in config_dirs for argument in ("--config-dir", str(path))]
    arguments = ["-m", *dirs, *loosened, f"hydra.sweep.dir={quoted(str(folder))}"]
    job = partial(_job, program=sys.argv[0], typed=list(overrides), config_dirs=config_dirs)
    with locked(folder), replaced_argv([sys.argv[0], *arguments]):
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="train")(job)()
    return folder


def _is_of_one_start(override: str) -> bool:
    return override.lstrip("+").startswith(("resume=", "trainer.max_time="))


def _unfinished(sweeps: Path, about: Mapping[str, Any]) -> Path | None:
    for path in sorted(sweeps.glob(f"*/{_ABOUT}"), reverse=True):
        folder = path.parent
        with contextlib.suppress(OSError, ValueError, RecursionError):
            done = sum(note["state"] == "done" for note in read_notes(folder))
            same = json.loads(path.read_text(encoding="utf-8")) == about
            if same and done < about["jobs"] and not is_live(folder):
                log.info("resume=auto: resuming %s: %d of %d jobs are done", folder, done, about["jobs"])
                return folder
    log.info("resume=auto: no unfinished sweep of these jobs in %s; a new one starts", sweeps)
    return None


def _job(_config: DictConfig, *, program: str, typed: Sequence[str], config_dirs: Sequence[Path]) -> None:
    """Run one job. A failure is recorded in its job.json; a signal ends the whole sweep."""
    from hydra.core.hydra_config import HydraConfig

    job = HydraConfig.get()
    folder = Path(job.runtime.output_dir)
    overrides = [text if text in typed else text.removeprefix("++") for text in job.overrides.task]
    swept = [text for text in overrides if text not in typed]
    note: dict[str, Any] = {"job": job.job.num, "overrides": swept, "run": str(folder), "set": None, "miou": None}
    log.info("job %s: %s", job.job.num, shlex.join(swept))
    try:
        composed = Composed.of(overrides, config_dirs=config_dirs)
        with open_dict(composed.config):
            composed.config.paths.run = str(folder)
        with replaced_argv([program, "train", *overrides]):  # repeats this job alone
            result = train(composed)
        headline = next(iter(result.scores), None)
        miou = result.scores[headline]["scores"]["miou"] if headline else None
        note |= {"state": result.state, "run": str(result.folder), "set": headline, "miou": miou}
        note |= result.failure or {}  # the time limit of a job
    except Stopped as error:
        note |= {"state": "stopped", "exit_code": error.exit_code, "messages": list(error.problems)}
        raise
    except FaceseglError as error:
        note |= {"state": "failed", "exit_code": error.exit_code, "messages": list(error.problems)}
        for problem in error.problems:
            log.error("job %s: %s", job.job.num, problem)
    except BaseException as error:
        note |= {"state": "failed", "exit_code": FaceseglError.exit_code, "messages": [repr(error)]}
        raise
    finally:
        write_json(folder / "job.json", note)
