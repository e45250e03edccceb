"""The command `facesegl VERB ...`: one small function per verb, with heavy imports inside them."""

import errno
import json
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facesegl import __version__
from facesegl.arguments import Asked, answer, complete, parse, paths_and_keys
from facesegl.console import configure_logging, printable
from facesegl.errors import ConfigError, FaceseglError, MachineError, PartlyFailed, Stopped
from facesegl.options import parse_options

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from facesegl.runs.result import Result

USAGE = """\
facesegl: train, watch and score face segmentation models from a few labelled photos

  facesegl train [key=value ...]            train a model and score it
  facesegl train -m [key=value,value ...]   train one for each combination of values
  facesegl evaluate CKPT [key=value ...]    score a checkpoint, or several as one ensemble
  facesegl predict CKPT PHOTO|FOLDER ... -o OUT   segment photos of your own
  facesegl compare RUN RUN ...              tell a better model from luck
  facesegl report RUN                       one page that shows a run or a sweep
  facesegl export CKPT -o model.onnx        an ONNX model that predicts the same
  facesegl info CKPT                        what a model's file carries
  facesegl data check|preview|download      look at data before anything learns from them; get FASSEG
  facesegl VERB --help                      what can be chosen and set
  facesegl --version

First steps without any data: facesegl train data=synthetic trainer.max_epochs=160 data.image_size=128
Tab completion: eval "$(facesegl -sc install=bash)"
"""

DATA_USAGE = """\
facesegl data: look at data before anything learns from them

  facesegl data check FOLDER|key=value ...   what is wrong with them, worst first
  facesegl data preview [key=value ...]      photos, masks and overlays on a sheet
  facesegl data download [FOLDER]            FASSEG, every file checked
  facesegl data VERB --help                  what can be chosen and set
"""


def main() -> int:
    """Run the command line; what went wrong becomes one line each and an exit code (facesegl.errors lists them)."""
    configure_logging()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # what Hydra meets comes up to us as it is
    sys.path.append(str(Path.cwd()))  # where a class of one's own lies that a config names
    signal.signal(signal.SIGTERM, _stop)
    try:
        _run(sys.argv[1:])
        sys.stdout.flush()
    except (FaceseglError, Stopped) as error:
        word = "stopped" if isinstance(error, Stopped) else "error"
        for problem in error.problems:
            print(f"{word}: {printable(problem)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped: by SIGINT; what is whole on the disk was kept", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output has had enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
            return _complain(error)
        traceback.print_exc()
        print("error: this is a bug of facesegl, not yours; please report it with the lines above.", file=sys.stderr)
        return FaceseglError.exit_code
    return 0


_OF_THE_MACHINE = {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}


def _complain(error: OSError) -> int:
    """Say what the machine refused, where nobody nearer to it has; an output that is full is not written to again."""
    place = printable(str(error.filename)) if error.filename else "the output"
    print(f"error: {place}: {error.strerror}; check its rights, its name, and the room on its disk.", file=sys.stderr)
    if error.filename is None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return MachineError.exit_code


def _run(arguments: Sequence[str]) -> None:
    verb = next(iter(arguments), "")
    if verb in ("-sc", "--shell-completion"):
        complete(arguments[1:], {name: DATA_VERBS if name == "data" else () for name in VERBS})
    elif verb == "--version":
        print(f"facesegl {__version__}")
    else:
        _run_one_of(VERBS, USAGE, arguments)


def _run_one_of(verbs: Mapping[str, Callable[[Sequence[str]], None]], usage: str, arguments: Sequence[str]) -> None:
    """Run the verb that the arguments begin with; without one, or for help, say what there is."""
    verb, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if verb in ("-h", "--help", "help"):
        print(usage, end="")
    elif verb in verbs:
        verbs[verb](rest)
    else:
        from facesegl.text import suggestion

        above = "data " if verbs is DATA_VERBS else ""
        raise ConfigError(f"{above}{verb}: no such verb; {suggestion(verb, verbs)}. See facesegl {above}--help.")


def train(arguments: Sequence[str]) -> None:
    """Train one model, or with -m one for each combination of values."""
    asked = parse(arguments)
    if asked.of_hydra:
        return answer("train", arguments)
    from facesegl.commands.build import GIVEN
    from facesegl.commands.train import train
    from facesegl.config.check import rehearse

    configs = rehearse(asked.words, multirun=asked.multirun, config_dirs=asked.config_dirs, given=GIVEN)
    if asked.multirun:
        if configs[0].paths.run:
            raise ConfigError(
                f"paths.run={configs[0].paths.run}: a sweep has many runs, in a folder of their own; choose its place "
                f"with name=NAME and paths.runs=FOLDER."
            )
        return _sweep(configs, asked)
    if configs[0].choices.sweep:
        raise ConfigError(f"sweep={configs[0].choices.sweep}: a sweep needs -m; type facesegl train -m ...")
    return _show(train(configs[0]))


def evaluate(arguments: Sequence[str]) -> None:
    """Score a checkpoint, or several as one ensemble."""
    asked = parse(arguments)
    models, keys = paths_and_keys(asked.words)
    if asked.of_hydra:
        return answer("evaluate", [word for word in arguments if word not in models])
    if asked.multirun:
        raise ConfigError("-m: evaluate has no sweeps; several checkpoints are one ensemble. Call it once for each.")
    if not models:
        raise ConfigError("evaluate: no checkpoint; expected facesegl evaluate CKPT [key=value ...].")
    from facesegl.commands.evaluate import evaluate

    return _show(evaluate(models, keys, asked.config_dirs))


def predict(arguments: Sequence[str]) -> None:
    """Segment photos."""
    given = parse_options("predict", arguments)
    from facesegl.commands.predict import predict
    from facesegl.prediction.photo_files import models_and_photos

    models, photos = models_and_photos(given.paths)
    done = predict(
        models,
        photos,
        given.output,
        device=given.device,
        tta=given.tta,
        probabilities=given.probabilities,
        batch_size=given.batch_size,
        trust=given.trust,
    )
    print(done)
    if done.failed:
        raise PartlyFailed(*done.failed)


def compare(arguments: Sequence[str]) -> None:
    """Hold models against each other."""
    given = parse_options("compare", arguments)
    from rich.console import Console

    from facesegl.commands.compare import compare
    from facesegl.reporting.comparison_table import comparison_table

    things, keys = paths_and_keys(given.words)
    comparison = compare([Path(thing) for thing in things], set=given.set, overrides=keys, config_dirs=given.config_dir)
    if given.json:
        print(json.dumps(comparison.to_dict(), indent=2, ensure_ascii=False))
    else:
        Console().print(comparison_table(comparison))


def report(arguments: Sequence[str]) -> None:
    """Write a page that shows a run or a sweep."""
    given = parse_options("report", arguments)
    from facesegl.commands.report import report

    print(f"report: {report(given.run, given.keys, given.config_dir)}")


def export(arguments: Sequence[str]) -> None:
    """Write a checkpoint in another form."""
    given = parse_options("export", arguments)
    from rich.console import Console

    from facesegl.commands.export import certificate_table, export

    certificate = export(
        given.model,
        given.output,
        int8=given.int8,
        whole=given.whole,
        photos=given.photos,
        trust=given.trust,
        overrides=given.keys,
        config_dirs=given.config_dir,
    )
    Console().print(certificate_table(certificate))
    print(f"model: {given.output}")


def info(arguments: Sequence[str]) -> None:
    """Print what a model's file carries."""
    given = parse_options("info", arguments)
    from rich.console import Console

    from facesegl.commands.info import info_table, read_info
    from facesegl.reporting.score_tables import definition, score_table

    about = read_info(given.model)
    if given.json:
        print(json.dumps(about, indent=2, ensure_ascii=False))
        return
    Console().print(info_table(about))
    if scores := about.get("scores"):
        Console().print("", score_table(scores, about["data"]["name"]))
        Console(highlight=False).print(definition(scores))


def data(arguments: Sequence[str]) -> None:
    """Look at data, or bring them."""
    _run_one_of(DATA_VERBS, DATA_USAGE, arguments)


def data_check(arguments: Sequence[str]) -> None:
    """Tell what is wrong with data."""
    given = parse_options("data check", arguments)
    from rich.console import Console

    from facesegl.commands.data_check import check_data, check_table, report_of, verdicts

    roots, keys = paths_and_keys(given.words)
    checkups = check_data(_only("data check", roots), keys, given.config_dir, version=given.version)
    if given.json:
        print(json.dumps(report_of(checkups), indent=2, ensure_ascii=False))
    else:
        Console().print(check_table(checkups))
    if wrong := verdicts(checkups):
        raise PartlyFailed(*wrong)


def data_preview(arguments: Sequence[str]) -> None:
    """Draw samples of data."""
    given = parse_options("data preview", arguments)
    from facesegl.commands.data_preview import preview_data

    sheets = preview_data(
        given.output,
        given.keys,
        given.config_dir,
        count=given.count,
        split=given.split,
        augmented=given.augmented,
        inexact=given.inexact,
    )
    for sheet in sheets:
        print(f"picture: {sheet}")


def data_download(arguments: Sequence[str]) -> None:
    """Bring FASSEG."""
    given = parse_options("data download", arguments)
    from facesegl.commands.data_download import data_download

    folders, keys = paths_and_keys(given.words)
    folder = _only("data download", folders)
    print(data_download(folder, keys, url=given.url, archive=given.archive, force=given.force))


VERBS = {
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "compare": compare,
    "report": report,
    "export": export,
    "info": info,
    "data": data,
}
DATA_VERBS = {"check": data_check, "preview": data_preview, "download": data_download}


def _only(verb: str, folders: Sequence[str]) -> Path | None:
    """The one folder that may be given, or none."""
    if len(folders) > 1:
        raise ConfigError(f"{verb}: {' and '.join(folders)}; expected one folder. Call it once for each.")
    return Path(folders[0]) if folders else None


def _sweep(configs: "Sequence[DictConfig]", asked: Asked) -> None:
    from rich.console import Console

    from facesegl.commands.build import try_all
    from facesegl.commands.sweep import sweep
    from facesegl.reporting.sweep_table import seeds_table, sweep_table
    from facesegl.runs.sweep_jobs import best_first, failures

    try_all(configs)  # what constructors refuse in any job, before the first one starts
    folder = sweep(configs, asked.words, asked.config_dirs)
    Console().print(sweep_table(folder), "")
    if over_seeds := seeds_table(folder):
        Console().print(over_seeds, "")
    best = best_first(folder)[0]
    if best["miou"] is not None:
        print(f"best:        {_from_here(Path(best['run']) / 'checkpoints' / 'last.ckpt')}")
    print(f"run folders: {_from_here(folder)}")
    print(f"curves:      tensorboard --logdir {shlex.quote(str(_from_here(folder)))}")
    print(f"page:        facesegl report {shlex.quote(str(_from_here(folder)))}")
    if failed := failures(folder):
        raise PartlyFailed(*failed)


def _from_here(path: Path) -> Path:
    """A path as a person would type it here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _show(result: "Result") -> None:
    """The scores, and where to look next; the other ranks of a training leave that to the first."""
    from facesegl.runs.folder import run_of_rank_zero

    if run_of_rank_zero():
        return
    from rich.console import Console

    from facesegl.reporting.score_tables import below_the_floor, definition, how_scored, score_table, tag_table

    if result.scores:
        other_data = result.data.get("other_data", False)
        Console().print(score_table(result.scores, result.data["name"], other_data))
        if by_tag := tag_table(result.scores):
            Console().print("", by_tag)
        print()
        words = [how_scored(result), definition(result.scores), below_the_floor(result.scores)]
        if words[-1] and not other_data:
            words[-1] += " Train it longer?"
        for paragraph in filter(None, words):
            Console(highlight=False).print(paragraph, markup=False)
            print()
    print(f"run folder: {result.folder}")
    if (result.folder / "tensorboard").is_dir():
        print(f"curves:     tensorboard --logdir {shlex.quote(str(result.folder.parent))}")
    if (result.folder / "panels").is_dir():
        print(f"pictures:   {result.folder / 'panels'}")
    print(f"page:       facesegl report {shlex.quote(str(result.folder))}")


def _stop(signum: int, _frame: Any) -> None:
    raise Stopped(f"by {signal.Signals(signum).name}; what is whole on the disk was kept", signum)
