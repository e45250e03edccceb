"""The command `facesegl VERB ...`: one small function per verb, with heavy imports inside them."""

import errno
import os
import shlex
import signal
import sys
import threading
import traceback
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facesegl import __version__
from facesegl.command_line import answer, complete, parse, paths_and_keys
from facesegl.console import configure_logging, open_closed_streams, print_errors, show, show_json
from facesegl.errors import ConfigError, FaceseglError, MachineError, PartlyFailed, Stopped, memory_errors
from facesegl.runs import slurm

if TYPE_CHECKING:
    from facesegl.runs.result import Result


def main() -> int:
    """Run the command line; each problem is printed as one line and sets the exit code (see facesegl.errors)."""
    open_closed_streams()
    configure_logging()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises the original error
    os.environ.setdefault("PYTHONSAFEPATH", "1")  # other ranks and workers do not import from the current folder either
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # no stack of C++ where another rank has ended
    for signum in [signal.SIGTERM, *(slurm.SIGNALS if "SLURM_JOB_ID" in os.environ else ())]:
        signal.signal(signum, _stop)
    sys.unraisablehook = _resend_signal
    try:
        with memory_errors(" ".join(sys.argv[1:2]), _LESS_MEMORY):
            _run(sys.argv[1:])
        sys.stdout.flush()
    except (FaceseglError, Stopped) as error:
        if isinstance(error, FaceseglError):
            print_errors(*(f"error: {problem}" for problem in error.problems))
        else:
            _report_stop(*error.problems)
        if error.exit_code - 128 in slurm.SIGNALS:
            _requeue()
        return error.exit_code
    except KeyboardInterrupt:
        _report_stop(f"by SIGINT; {_kept()}")
        return 130
    except BrokenPipeError:  # the reader closed the pipe, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if stop := _signal_behind(error):
            _report_stop(f"by a signal; {_kept()}")
            return getattr(stop, "exit_code", 130)
        if isinstance(error, OSError) and error.errno in _MACHINE_ERRNOS:
            return _report_machine_error(error)
        print_errors(*traceback.format_exc().splitlines())
        print_errors("error: this is a bug of facesegl, not yours; please report it with the lines above.")
        return FaceseglError.exit_code
    return 0


def _report_stop(*reasons: str) -> None:
    if slurm.is_first_process():  # a signal reaches all ranks
        print_errors(*(f"stopped: {reason}" for reason in reasons))


def _requeue() -> None:
    """SLURM has announced the end of this job."""
    try:
        if job := slurm.requeue():
            print_errors(f"SLURM job {job} is requeued, and resumes by itself")
    except MachineError as error:
        print_errors(f"error: {error}")


def _kept() -> str:
    resumes = ". The same command with resume=auto resumes it." if sys.argv[1:2] in (["train"], ["tune"]) else ""
    return f"finished files on the disk were kept{resumes}"


def _signal_behind(error: BaseException | None) -> BaseException | None:
    """The signal that interrupted a library, whose clean-up then failed on something half built."""
    while error is not None and not isinstance(error, Stopped | KeyboardInterrupt):
        error = error.__context__
    return error


_LESS_MEMORY = "Lower the batch size, the image size or the size of the model, or use a machine with more memory."
_MACHINE_ERRNOS = {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}


def _report_machine_error(error: OSError) -> int:
    """Report an OSError that no caller has handled; after an error of stdout nothing more is written to it."""
    path = error.filename or "the output"
    print_errors(f"error: {path}: {error.strerror}; check its permissions, its name, and the free space on its disk.")
    if error.filename is None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return MachineError.exit_code


def _require_current_folder() -> None:
    try:
        Path.cwd()
    except FileNotFoundError:
        raise MachineError("the current folder does not exist any more; cd to another one.") from None


def _run(arguments: Sequence[str]) -> None:
    if arguments[:1] in (["-sc"], ["--shell-completion"]):
        _require_current_folder()
        complete(arguments[1:])
    elif (given := parse(arguments)) is not None:
        if given.verb != "--version":
            _require_current_folder()
        _VERBS[given.verb](given)


def _train(given: Namespace) -> None:
    if answer(given, given.words):
        return
    if slurm.was_requeued() and not any(word.lstrip("+").startswith("resume=") for word in given.words):
        given.words = [*given.words, "resume=auto"]
    from facesegl.config.compose import expand_folds
    from facesegl.runs.ranks import ending_together, require_no_sweep

    with ending_together():
        if given.multirun or expand_folds(given.words, config_dirs=given.config_dir) != given.words:
            require_no_sweep()
            _sweep(given)
        else:
            _check_and_train(given)


def _check_and_train(given: Namespace) -> None:
    from facesegl.commands.build import GIVEN, problems_of_parts
    from facesegl.commands.train import train
    from facesegl.config.check import rehearse
    from facesegl.config.compose import swept
    from facesegl.runs.ranks import is_first

    (composed,) = rehearse(given.words, config_dirs=given.config_dir, given=GIVEN, construct=problems_of_parts)
    if keys := swept(given.words, config_dirs=given.config_dir):  # a job of a sweep sets them all
        chosen = composed.config.choices.sweep
        raise ConfigError(f"sweep={chosen}: a sweep over {', '.join(keys)} needs -m; type facesegl train -m ...")
    result = train(composed)
    if is_first():
        _show(result)


def _sweep(given: Namespace) -> None:
    from facesegl.commands.sweep import rehearse_jobs, sweep
    from facesegl.reporting.terminal import show_sweep
    from facesegl.runs.sweep_jobs import failures, out_of_time

    folder = sweep(rehearse_jobs(given.words, given.config_dir), given.words, given.config_dir)
    show_sweep(folder)
    if failed := failures(folder):
        raise PartlyFailed(*failed)
    if stopped := out_of_time(folder):
        raise Stopped(stopped, 0)


def _tune(given: Namespace) -> None:
    from facesegl.tuning import require_optuna

    require_optuna()
    from facesegl.commands.tune import tune
    from facesegl.reporting.terminal import show_result, show_study
    from facesegl.runs.sweep_jobs import failures

    tuned = tune(
        given.words,
        trials=given.trials,
        folder=given.study,
        storage=given.storage,
        prune=not given.no_prune,
        test=given.test,
        config_dirs=given.config_dir,
    )
    show_study(tuned.folder, tuned.in_words(), tuned.command)
    if tuned.test:
        show("")
        show_result(tuned.test)
    if failed := failures(tuned.folder):
        raise PartlyFailed(*failed)


def _show(result: "Result") -> None:
    from facesegl.reporting.terminal import show_result

    show_result(result)


def _evaluate(given: Namespace) -> None:
    models, keys = paths_and_keys(given.words)
    if answer(given, keys):
        return
    if given.multirun:
        raise ConfigError("-m: evaluate has no sweeps; several checkpoints are one ensemble. Call it once for each.")
    if not models:
        raise ConfigError("evaluate: no checkpoint; expected facesegl evaluate CKPT [key=value ...].")
    from facesegl.commands.evaluate import evaluate

    _show(evaluate(models, keys, given.config_dir))


def _predict(given: Namespace) -> None:
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
        palette=given.palette,
        batch_size=given.batch_size,
        trust=given.trust,
    )
    show(*str(done).splitlines())
    if done.failed:
        raise PartlyFailed(*done.failed)


def _compare(given: Namespace) -> None:
    from facesegl.commands.compare import compare
    from facesegl.reporting.comparison_table import comparison_table

    models, keys = paths_and_keys(given.words)
    comparison = compare(models, set=given.set, overrides=keys, config_dirs=given.config_dir)
    if given.json:
        show_json(comparison.to_dict())
    else:
        show(comparison_table(comparison))


def _report(given: Namespace) -> None:
    from facesegl.commands.report import report

    show(f"report: {report(given.run, given.keys, given.config_dir, given.baseline)}")


def _export(given: Namespace) -> None:
    from facesegl.commands.export import export
    from facesegl.reporting.certificate_table import certificate_table

    models, keys = paths_and_keys(given.words)
    certificate = export(
        [given.model, *models],
        given.output,
        int8=given.int8,
        whole=given.whole,
        half=given.half,
        warn_unlike=given.warn_unlike,
        photos=given.photos,
        force=given.force,
        trust=given.trust,
        overrides=keys,
        config_dirs=given.config_dir,
    )
    show(certificate_table(certificate))
    show(f"model: {given.output}")


def _info(given: Namespace) -> None:
    from rich.text import Text

    from facesegl.commands.info import read_info
    from facesegl.reporting.info_table import info_table
    from facesegl.reporting.score_tables import score_table
    from facesegl.reporting.scored_sets import definition

    about = read_info(given.model)
    if given.json:
        show_json(about)
        return
    show(info_table(about))
    if scores := about.get("scores"):
        show("", score_table(scores, about["data"]["name"]))
        show(Text(definition(scores)))


def _data_init(given: Namespace) -> None:
    from facesegl.commands.data_init import init_data

    folders, keys = paths_and_keys(given.words)
    if not 0 < len(folders) < 3:
        raise ConfigError(f"data init: {' '.join(folders) or 'no folder'}; expected facesegl data init IMAGES MASKS.")
    images, *masks = map(Path, folders)
    found = init_data(images, masks[0] if masks else None, given.output, keys, force=given.force)
    show(*str(found).split("\n"))


def _data_check(given: Namespace) -> None:
    from facesegl.commands.data_check import check_data, report_of, verdicts
    from facesegl.reporting.checkup_table import check_table

    roots, keys = paths_and_keys(given.words)
    if len(roots) == 2:
        photos, masks = map(shlex.quote, roots)
        raise ConfigError(
            f"data check: {photos} and {masks}; expected one folder, of FASSEG. For your photos and masks: facesegl "
            f"data check data=folder data.source.images={photos} data.source.masks={masks} data.taxonomy=FILE.yaml."
        )
    checkups = check_data(_only("data check", roots), keys, given.config_dir, version=given.version)
    if given.json:
        show_json(report_of(checkups))
    else:
        show(check_table(checkups))
    if wrong := verdicts(checkups):
        raise PartlyFailed(*wrong)


def _data_preview(given: Namespace) -> None:
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
        show(f"picture: {sheet}")


def _data_download(given: Namespace) -> None:
    from facesegl.commands.data_download import data_download

    folders, keys = paths_and_keys(given.words)
    folder = _only("data download", folders)
    done = data_download(folder, keys, url=given.url, archive=given.archive, force=given.force)
    show(*str(done).splitlines())


def _only(verb: str, folders: Sequence[str]) -> Path | None:
    if len(folders) > 1:
        raise ConfigError(f"{verb}: {' and '.join(folders)}; expected one folder. Call it once for each.")
    return Path(folders[0]) if folders else None


def _stop(signum: int, _frame: Any) -> None:
    raise Stopped(f"by {signal.Signals(signum).name}; {_kept()}", signum)


def _resend_signal(unraisable: "sys.UnraisableHookArgs") -> None:
    """Send a signal again if a destructor that it interrupted has swallowed its exception."""
    if isinstance(unraisable.exc_value, Stopped):
        threading.Timer(0.05, os.kill, (os.getpid(), unraisable.exc_value.exit_code - 128)).start()
    else:
        sys.__unraisablehook__(unraisable)


_VERBS = {
    "--version": lambda _: print(f"facesegl {__version__}"),
    "train": _train,
    "tune": _tune,
    "evaluate": _evaluate,
    "predict": _predict,
    "compare": _compare,
    "report": _report,
    "export": _export,
    "info": _info,
    "data init": _data_init,
    "data check": _data_check,
    "data preview": _data_preview,
    "data download": _data_download,
}
