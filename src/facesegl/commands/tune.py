"""`facesegl tune`: search hyperparameters with Optuna; each trial is a job with its own run folder.

The folder of a study is that of a sweep, with study.json: several processes work on it, and a killed one continues.
"""

import functools
import logging
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import filelock
from omegaconf import DictConfig, OmegaConf, open_dict
from optuna.trial import TrialState

from facesegl.commands.build import GIVEN, problems_of_parts, require_folds
from facesegl.commands.job import run_job, starts_processes
from facesegl.commands.train import train
from facesegl.config.check import rehearse
from facesegl.config.compose import Composed, assignment, key_of, literal, name_of
from facesegl.errors import ConfigError, MachineError, PartlyFailed
from facesegl.evaluation.cross_validation import pool_runs
from facesegl.files import machine_errors, write_json
from facesegl.learning.callbacks import Pruning
from facesegl.provenance import command_of
from facesegl.runs.result import SCHEMA, Result, read_record
from facesegl.runs.run_folder import make_folder
from facesegl.runs.sweep_jobs import best_first, read_notes
from facesegl.text import number
from facesegl.tuning.space import Space, read_space, require_keys, to_check, to_plain
from facesegl.tuning.study import JOURNAL, Claim, Study, difference, hidden, require_storage

log = logging.getLogger(__name__)

_ABOUT, _TESTED, _LOCK = "study.json", "test.json", ".studies.lock"
_ALIKE = 3  # trials that fail alike, from the first one on, end the search


class Search(NamedTuple):
    """A search as it was typed and checked.

    Attributes:
        space: what is searched.
        fixed: the overrides of all trials, without `resume` and `data.fold=all`.
        typed: all overrides, without `resume`.
        first: the config of one trial.
        folds: the number of folds that each trial is trained on; 0 for the one fold of `data.fold`.
        config_dirs: folders with custom config groups.
    """

    space: Space
    fixed: list[str]
    typed: list[str]
    first: Any
    folds: int
    config_dirs: Sequence[Path]

    @property
    def about(self) -> dict[str, Any]:
        """What identifies the search."""
        return {"overrides": sorted(self.typed), "space": to_plain(self.space)}

    def command(self, values: Sequence[str]) -> str:
        """The command that trains with these values."""
        fold = ["data.fold=all"] if self.folds else []
        return command_of("train", [*self.fixed, *values, *fold], self.config_dirs)


class Tuned(NamedTuple):
    """The outcome of a search.

    Attributes:
        folder: the study's folder.
        command: the command that trains the selected config; empty if no trial has a score.
        trial: the number of the selected trial.
        miou: its validation mIoU, the highest of all trials and therefore optimistic.
        trials: the number of trials with a score.
        test: the record of the run that was scored on the test photos, if asked.
    """

    folder: Path
    command: str = ""
    trial: int | None = None
    miou: float | None = None
    trials: int = 0
    test: Result | None = None

    def in_words(self) -> str:
        """The selected trial and its score; empty if no trial has one.

        Example:
            >>> Tuned(Path("runs/lr"), "facesegl train", 7, 0.8123, 30).in_words()
            'val mIoU 0.812, trial 7 of 30 (the best of many is optimistic: score it on test once, with --test)'
        """
        if self.trial is None or self.miou is None:
            return ""
        caution = "the best of many is optimistic" + (": score it on test once, with --test" if not self.test else "")
        return f"val mIoU {self.miou:.3f}, trial {self.trial} of {self.trials} ({caution})"


def tune(
    overrides: Sequence[str],
    *,
    trials: int,
    folder: Path | None = None,
    storage: str | None = None,
    prune: bool = True,
    test: bool = False,
    config_dirs: Sequence[Path] = (),
) -> Tuned:
    """Search for the config with the highest validation mIoU; several processes may work on one study.

    Args:
        overrides: as on the command line, with a search space in Hydra's sweep grammar; `resume=auto` joins or
            continues the newest study of these overrides.
        trials: the number of trials of the study, over all processes and starts.
        folder: the study's folder, new or to join or continue; None for a new one by date and time.
        storage: a URL of a database or the path of a journal file; None for a journal in the folder.
        prune: whether trials that are worse than the median of the others at the same epoch end early.
        test: whether the selected config is trained with `data.fold=null` and scored on the test photos, once.
        config_dirs: folders with custom config groups.

    Raises:
        ConfigError: every problem of the space and of what it would train, before the first trial; or the study in the
            folder or storage is another one.
        MachineError: the storage cannot be reached, or is lost.
        PartlyFailed: the first trials all failed alike.
        Stopped: a signal ended it.
    """
    if trials < 1:
        raise ConfigError(f"trials={trials}: expected 1 or more.")
    auto = _resume_of(overrides) == "auto"
    search = _read(overrides, config_dirs)
    if storage:
        require_storage(storage)
        storage = storage if "://" in storage else str(Path(storage).absolute())
    study = _open(search, folder, storage, auto=auto)
    where = study.folder
    while True:
        with study.claim(trials) as claim:
            if claim is None:
                break
            _run(claim, study, search, prune=prune)
        _require_not_all_alike(where)
    tuned = _selected(where, search)
    return tuned._replace(test=_score_on_test(where, search, study)) if test and tuned.command else tuned


def _read(overrides: Sequence[str], config_dirs: Sequence[Path]) -> Search:
    """Check the space, and what it would train with every category and the ends of all numbers."""
    last = {key_of(text): text for text in overrides if name_of(text) != "resume"}  # of one key, as in Hydra
    typed = [*last.values()]
    space, problems = read_space(typed, config_dirs)
    known = {*space, *(problem.partition(": ")[0] for problem in problems)}
    fixed = [text for text in typed if key_of(text) not in known and text.casefold() != "data.fold=all"]
    problems += [f"{text}: {reason}." for text in fixed if (reason := _refusal(name_of(text)))]
    if not known:
        require_keys(space)
    configs = []
    try:
        configs = rehearse(
            [*fixed, *to_check(space)],
            multirun=True,
            config_dirs=config_dirs,
            given=GIVEN,
            construct=problems_of_parts,
        )
    except ConfigError as error:
        problems += error.problems
    problems += dict.fromkeys(problem for each in configs for problem in _unscored(each.config))
    if problems:
        raise ConfigError(*problems)
    first = configs[0].config
    if pooled := any(text.casefold() == "data.fold=all" for text in typed):
        require_folds(configs[0])
    return Search(space, fixed, typed, first, int(first.data.folds) if pooled else 0, config_dirs)


def _refusal(key: str) -> str:
    if key.startswith(("hydra/", "hydra.")):
        return (
            "a search starts no launcher or sweeper; start the same command several times, with resume=auto or --study"
        )
    if key == "paths.run":
        return "each trial has its own folder; choose that of the study with --study FOLDER"
    return "a trial that is stopped has no score; limit trainer.max_epochs" if key == "trainer.max_time" else ""


def _unscored(config: DictConfig) -> Iterator[str]:
    """Why a trial of this config would have no validation score."""
    if OmegaConf.select(config, "data.fold", default=None) is None:
        yield (
            "tune: data.fold=null holds out no photo, so trials could only be compared on the test photos. Set "
            "data.fold=0, or data.fold=all for the cross-validated score."
        )
    if not OmegaConf.select(config, "callbacks.checkpoint", default=None):
        yield "callbacks.checkpoint=null: a trial without last.ckpt has no score; leave it out."


def _resume_of(overrides: Sequence[str]) -> str | None:
    given = [text.partition("=")[2] for text in overrides if name_of(text) == "resume"]
    if given and given[-1].casefold() not in ("auto", "null"):
        raise ConfigError(f"resume={given[-1]}: a study is continued with resume=auto, or with --study FOLDER.")
    return given[-1].casefold() if given else None


def _open(search: Search, folder: Path | None, storage: str | None, *, auto: bool) -> Study:
    """Open the study in its folder, or start it; processes that start at once find the same one."""
    parent = folder or Path(search.first.paths.runs) / search.first.name
    with machine_errors(parent):
        parent = parent.absolute()
        parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(parent / _LOCK):
            found = parent if folder else (_newest(parent, search) if auto else None) or make_folder(parent)
            about = read_record(found / _ABOUT)
            if about is None and any(path.name != _LOCK for path in found.iterdir()):
                raise ConfigError(f"--study {folder}: a folder with other files; expected a new one, or a study's.")
            if about and any(about.get(key) != value for key, value in search.about.items()):
                raise ConfigError(f"--study {folder}: it {difference(about, search.about)}")
            kept = about or {"storage": hidden(storage or JOURNAL), "study": f"{search.first.name}/{found.name}"}
            try:
                study = Study(
                    found,
                    kept["study"],
                    storage or _storage_of(found, kept["storage"]),
                    search.space,
                    search.about,
                    seed=int(search.first.seed),
                    warm_up=1 if search.folds else int(search.first.trainer.max_epochs or 0) // 5,
                )
            except (ConfigError, MachineError):
                if about is None:
                    shutil.rmtree(found)  # nothing ran
                raise
            if about is None:
                write_json(found / _ABOUT, {"schema": SCHEMA, **kept, "folds": search.folds, **search.about})
    return study


def _newest(parent: Path, search: Search) -> Path | None:
    """The newest study of this search, for `resume=auto`."""
    same = []
    for path in parent.glob(f"*/{_ABOUT}"):
        try:
            about = read_record(path) or {}
        except ConfigError as error:  # of another version
            log.warning("resume=auto: %s", error)
            continue
        if {key: about.get(key) for key in search.about} == search.about:
            same.append(path)
    newest = max(same, key=lambda path: (path.stat().st_mtime_ns, path), default=None)
    if newest is None:
        log.info("resume=auto: no study of this search in %s; a new one starts", parent)
        return None
    log.info("resume=auto: joining the study in %s", newest.parent)
    return newest.parent


def _storage_of(folder: Path, kept: str) -> str:
    if "***" in kept:
        raise ConfigError(f"--study {folder}: the password of its storage {kept} is not kept; give --storage again.")
    return str(folder / kept) if kept == JOURNAL else kept


def _run(claim: Claim, study: Study, search: Search, *, prune: bool) -> None:
    """Train and score one trial, and record how it ended."""
    folder = study.folder / str(claim.trial.number)
    run = _cross_validate if search.folds else _train
    try:
        note = run(folder, claim, study, search, prune=prune)
    except Exception:
        study.end(claim, TrialState.FAIL)
        raise
    complete = note["state"] == "done" and note["miou"] is not None
    other = TrialState.PRUNED if note["state"] == "pruned" else TrialState.FAIL
    try:
        study.end(claim, TrialState.COMPLETE if complete else other, note["miou"] if complete else None)
    except MachineError as error:
        score = f" with mIoU {note['miou']:.3f}" if note["miou"] is not None else ""
        raise MachineError(f"{error} Trial {claim.trial.number} is {note['state']}{score}, in {folder}.") from error
    _log(claim, note, study)


def _log(claim: Claim, note: dict[str, Any], study: Study) -> None:
    finished = sum(state.is_finished() for state in study.states())
    score = f", val mIoU {note['miou']:.3f}" if note["miou"] is not None else ""
    log.info("trial %d: %s%s (%s finished)", claim.trial.number, note["state"], score, number(finished, "trial"))


def _train(folder: Path, claim: Claim, study: Study, search: Search, *, prune: bool) -> dict[str, Any]:
    _start(folder, claim)
    overrides = [*search.fixed, *claim.overrides]
    run_job(
        folder,
        overrides,
        claim.overrides,
        program=sys.argv[0],
        config_dirs=search.config_dirs,
        # no callback reaches the other processes of a training on several devices
        callbacks=[] if starts_processes(search.first) else [Pruning(_reporter(claim, study, prune=prune))],
    )
    return _note(folder)


def _reporter(claim: Claim, study: Study, *, prune: bool) -> Callable[[int, float], bool]:
    """Reports a score at a step; a trial whose storage is lost is still trained for its result."""

    @functools.cache
    def warn(problem: str) -> None:
        log.warning("%s", problem)

    def is_hopeless(step: int, miou: float) -> bool:
        try:
            return study.report(claim, step, miou) and prune
        except MachineError as error:
            warn(str(error))
            return False

    return is_hopeless


def _start(folder: Path, claim: Claim, **facts: Any) -> dict[str, Any]:
    """Write the job.json of a trial that runs."""
    note = {"schema": SCHEMA, "job": claim.trial.number, "overrides": claim.overrides, "run": str(folder)}
    note |= {"set": None, "miou": None, "state": "running", **facts}
    write_json(folder / "job.json", note)
    return note


def _note(folder: Path) -> dict[str, Any]:
    note = read_record(folder / "job.json")
    if note is None:
        raise MachineError(f"{folder / 'job.json'}: it was deleted or cannot be read.")
    return note


def _cross_validate(folder: Path, claim: Claim, study: Study, search: Search, *, prune: bool) -> dict[str, Any]:
    """Train one fold after another, in numbered folders below the trial's; the score is pooled over their photos."""
    _start(folder, claim)
    ended: dict[str, Any] = {}
    is_hopeless = _reporter(claim, study, prune=prune)
    for fold in range(search.folds):
        run, choice = folder / str(fold), f"data.fold={fold}"
        overrides = [*search.fixed, *claim.overrides, choice]
        run_job(run, overrides, [*claim.overrides, choice], program=sys.argv[0], config_dirs=search.config_dirs)
        note = _note(run)
        if note["state"] != "done":
            ended = {key: note[key] for key in ("state", "exit_code", "messages")}
            break
        miou = pool_runs([folder / str(each) for each in range(fold + 1)]).miou.value
        last = fold + 1 == search.folds
        ended = {"state": "done", "set": "val", "miou": miou} if last else {}
        if not last and is_hopeless(fold, miou):
            message = f"by pruning after fold {fold}, at a pooled mIoU of {miou:.3f}"
            ended = {"state": "pruned", "exit_code": 0, "messages": [message]}
            break
    return _start(folder, claim, command=search.command(claim.overrides), **ended)


def _require_not_all_alike(folder: Path) -> None:
    ended = [note for note in read_notes(folder) if note["state"] not in ("running", "died")]
    messages = {tuple(note.get("messages") or ()) for note in ended}
    if len(ended) >= _ALIKE and len(messages) == 1 and all(note["state"] == "failed" for note in ended):
        raise PartlyFailed(
            f"the first {len(ended)} trials failed alike, so the search ends: {messages.pop()[0]} Their runs are in "
            f"{folder}."
        )


def _selected(folder: Path, search: Search) -> Tuned:
    notes = best_first(folder)
    scored = sum(note["miou"] is not None for note in notes)
    if not scored:
        return Tuned(folder)
    best = notes[0]
    return Tuned(folder, search.command(best["overrides"]), best["job"], best["miou"], scored)


def _score_on_test(folder: Path, search: Search, study: Study) -> Result:
    """Train the selected config on all training photos and score it on the test photos; a second time it is only read.

    Which config that is, is written before, so that another best one of later trials is not scored as well.
    """
    states = study.states()
    if running := sum(state is TrialState.RUNNING for state in states):
        raise PartlyFailed(f"--test: {number(running, 'trial')} still running; ask again when all have ended.")
    if elsewhere := len(states) - len(read_notes(folder)):
        raise PartlyFailed(f"--test: {number(elsewhere, 'trial')} not in {folder}; copy their folders there first.")
    best = best_first(folder)[0]
    asked = {"schema": SCHEMA, "trial": best["job"], "selected": best["miou"], "overrides": best["overrides"]}
    chosen = read_record(folder / _TESTED)
    if chosen is None:
        write_json(folder / _TESTED, chosen := asked)
    elif chosen["trial"] != best["job"]:
        log.warning(
            "--test: trial %d was selected and scored on the test photos before, and they are scored once; trial %d is "
            "better on the validation photos by now",
            *(chosen["trial"], best["job"]),
        )
    fixed = [text for text in search.fixed if name_of(text) != "data.fold"]
    overrides = [*fixed, *chosen["overrides"], "data.fold=null", "resume=auto"]
    composed = Composed.of(overrides, config_dirs=search.config_dirs)
    with open_dict(composed.config):
        composed.config.paths.run = literal(str(folder / "test"))
    return train(
        composed, command_of("train", [*overrides, assignment("paths.run", str(folder / "test"))], search.config_dirs)
    )
