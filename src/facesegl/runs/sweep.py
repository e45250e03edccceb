"""Many trainings from one command: Hydra makes the jobs, each leaves a note, and the notes make the table.

A job leaves job.json beside its run's files, whatever its end was and whatever launcher ran it: the command reads them
when all jobs are over, and names those that failed.
"""

import logging
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, open_dict

from facesegl.config import compose, conf_dir, loosen
from facesegl.errors import FaceseglError, Stopped
from facesegl.files import write_json
from facesegl.runs.folder import make_folder
from facesegl.runs.train import train

if TYPE_CHECKING:
    pass

log = logging.getLogger(__name__)


def sweep(first: DictConfig, overrides: Sequence[str], config_dirs: Sequence[Path]) -> Path:
    """Train one model for each combination of values, each in a numbered folder of one sweep folder.

    Args:
        first: the config of a first job, which names the sweep.
        overrides: as typed; checked before.
        config_dirs: folders with a person's own groups.

    Returns:
        The sweep's folder.

    Raises:
        Stopped: a signal ended the sweep.
    """
    import hydra

    folder = make_folder(Path(first.paths.runs) / first.name).absolute()
    loosened = loosen(overrides, config_dirs=config_dirs)
    places = [argument for place in config_dirs for argument in ("--config-dir", str(place))]
    typed, sys.argv = sys.argv, [sys.argv[0], "-m", *places, *loosened, f"hydra.sweep.dir={_quoted(folder)}"]
    job = partial(_job, command=Path(typed[0]).name, typed=list(overrides), config_dirs=config_dirs)
    try:
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="train")(job)()
    finally:
        sys.argv = typed
    return folder


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
        config = compose(overrides, config_dirs=config_dirs)
        with open_dict(config):
            config.paths.run = str(folder)
        result = train(config)
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


def _quoted(path: Path) -> str:
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(str(path), Quote.single).with_quotes()
