"""Many trainings from one command: Hydra makes the jobs, each leaves a note, and the notes make the table.

A job leaves job.json beside its run's files, whatever its end was and whatever launcher ran it: the command reads them
when all jobs are over, and names those that failed. What was typed stands in sweep.json, so that `resume=auto` finds a
sweep that was stopped, and goes on in its folder.
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
from facesegl.runs.folder import is_live, locked, make_folder
from facesegl.runs.sweep_jobs import read_notes

log = logging.getLogger(__name__)

_ABOUT = "sweep.json"


def sweep(configs: Sequence[Composed], overrides: Sequence[str], config_dirs: Sequence[Path]) -> Path:
    """Train one model for each combination of values, each in a numbered folder of one sweep folder.

    Args:
        configs: those of its jobs; the first one names the sweep.
        overrides: as typed; checked before.
        config_dirs: folders with a person's own groups.

    Returns:
        The sweep's folder.

    Raises:
        Stopped: a signal ended the sweep.
    """
    import hydra

    first = configs[0].config
    sweeps = Path(first.paths.runs) / first.name
    about = {"jobs": len(configs), "overrides": [text for text in overrides if not text.startswith("resume=")]}
    unfinished = _unfinished(sweeps, about) if str(first.resume).casefold() == "auto" else None
    folder = (unfinished or make_folder(sweeps)).absolute()
    write_json(folder / _ABOUT, about)
    loosened = loosen(overrides, config_dirs=config_dirs)
    places = [argument for place in config_dirs for argument in ("--config-dir", str(place))]
    typed, sys.argv = sys.argv, [sys.argv[0], "-m", *places, *loosened, f"hydra.sweep.dir={quoted(str(folder))}"]
    job = partial(_job, command=Path(typed[0]).name, typed=list(overrides), config_dirs=config_dirs)
    try:
        with locked(folder):
            hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="train")(job)()
    finally:
        sys.argv = typed
    return folder


def _unfinished(sweeps: Path, about: Mapping[str, Any]) -> Path | None:
    """The newest sweep of the same jobs that has one to be done, and is not running."""
    for path in sorted(sweeps.glob(f"*/{_ABOUT}"), reverse=True):
        folder = path.parent
        with contextlib.suppress(OSError, ValueError, RecursionError):
            done = sum(note["state"] == "done" for note in read_notes(folder))
            same = json.loads(path.read_text(encoding="utf-8")) == about
            if same and done < about["jobs"] and not is_live(folder):
                log.info("resume=auto: going on with %s, of whose %d jobs %d are done", folder, about["jobs"], done)
                return folder
    log.info("resume=auto: no unfinished sweep of these jobs in %s; a new one starts", sweeps)
    return None


def _job(_config: DictConfig, *, command: str, typed: Sequence[str], config_dirs: Sequence[Path]) -> None:
    """One job. What it raises Hydra tells at its end; a signal ends the whole sweep."""
    from hydra.core.hydra_config import HydraConfig

    job = HydraConfig.get()
    folder = Path(job.runtime.output_dir)
    overrides = [text if text in typed else text.removeprefix("++") for text in job.overrides.task]
    swept = [text for text in overrides if text not in typed]
    note: dict[str, Any] = {"job": job.job.num, "overrides": swept, "run": str(folder), "set": None, "miou": None}
    sys.argv = [command, "train", *overrides]  # what repeats this job alone; other ranks are started from it
    log.info("job %s: %s", job.job.num, shlex.join(swept))
    try:
        composed = Composed.of(overrides, config_dirs=config_dirs)
        with open_dict(composed.config):
            composed.config.paths.run = str(folder)
        result = train(composed)
        headline = next(iter(result.scores), None)
        miou = result.scores[headline]["scores"]["miou"] if headline else None
        note |= {"state": "done", "run": str(result.folder), "set": headline, "miou": miou}
    except Stopped as error:
        note |= {"state": "stopped", "exit_code": error.exit_code, "messages": list(error.problems)}
        raise
    except FaceseglError as error:
        note |= {"state": "failed", "exit_code": error.exit_code, "messages": list(error.problems)}
        for problem in error.problems:
            log.error("job %s: %s", job.job.num, problem)
        # told above and in the note: raised on, it would only be told again
    except BaseException as error:
        note |= {"state": "failed", "exit_code": FaceseglError.exit_code, "messages": [repr(error)]}
        raise
    finally:
        write_json(folder / "job.json", note)
