import json
import shlex
import signal
import subprocess
import time
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from facesegl.errors import MachineError
from facesegl.tuning.study import Study
from helpers.calling import assert_reported, call, start, succeed
from helpers.records import page, record_of
from helpers.trainings import SMALL_UNET, disturbed

QUICK = [*SMALL_UNET, "trainer.max_epochs=2", "logger=none"]
RATE = "optimizer.lr=tag(log,interval(1e-4,1e-1))"


def tune(*arguments):
    return call("tune", *QUICK, *arguments)


def studies():
    return sorted(path.parent for path in Path().glob("**/study.json"))


def notes(folder):
    files = sorted(Path(folder).glob("*/job.json"), key=lambda file: int(file.parent.name))
    return [json.loads(file.read_text()) for file in files]


def trials(folder, storage=None):
    storage = storage or JournalStorage(JournalFileBackend(str(Path(folder, "journal.log"))))
    (study,) = optuna.get_all_study_summaries(storage)
    return optuna.load_study(study_name=study.study_name, storage=storage).get_trials()


def test_each_trial_is_a_run_of_the_study_and_the_best_is_a_command(fasseg):
    ended = tune("loss=ce", "model.depth=3,4", RATE, "loss=ce,ce_dice", "model.depth=3", "--trials", 3)
    assert ended.code == 0, ended.err
    (folder,) = studies()
    assert [(note["state"], note["set"]) for note in notes(folder)] == [("done", "val")] * 3
    assert [trial.value for trial in trials(folder)] == [note["miou"] for note in notes(folder)]
    assert all(len(note["overrides"]) == 2 for note in notes(folder))  # of several values for one key the last counts
    best = max(notes(folder), key=lambda note: note["miou"])
    assert f"selected:    val mIoU {best['miou']:.3f}, trial {best['job']} of 3" in ended.out
    (command,) = (line.partition(":")[2] for line in ended.out.splitlines() if line.startswith("train it:"))
    again = succeed(*shlex.split(command)[1:], f"paths.run={Path('again').absolute()}")
    assert again.code == 0
    assert record_of(Path("again"))["scores"] == record_of(folder / str(best["job"]))["scores"]


def test_a_finished_study_is_shown_and_more_trials_continue_it(fasseg):
    first = tune(RATE, "--trials", 1)
    again = tune(RATE, "--trials", 1, "resume=auto")
    assert (again.code, again.out) == (0, first.out)
    more = tune(RATE, "--trials", 2, "resume=auto")
    assert more.out.count(" done ") == 2, more.err
    assert len(studies()) == 1


def test_trials_have_the_same_values_whoever_runs_them(fasseg):
    tune(RATE, "--trials", 2, "--study", "one")
    for count in (1, 2):
        tune(RATE, "--trials", count, "--study", "two")
    assert [note["overrides"] for note in notes("one")] == [note["overrides"] for note in notes("two")]
    assert notes("one")[0]["overrides"] != notes("one")[1]["overrides"]


def test_a_stopped_trial_resumes_in_its_folder_with_its_values(fasseg):
    command = [RATE, "--trials", 2, "--study", "study", *disturbed(3, signal.SIGTERM)]
    stopped = tune(*command)
    assert_reported(stopped, 143, "with a checkpoint of it. The same command with resume=auto resumes it")
    (before,) = notes("study")
    again = tune(*command)
    assert again.code == 0, again.err
    assert "trial 0: no process works on it any more; resuming it" in again.err
    assert "study/0 from" in again.err  # its checkpoint
    assert Path("study/0/log.txt").read_text().count("training on") == 2
    assert [note["state"] for note in notes("study")] == ["done", "done"]
    assert notes("study")[0]["overrides"] == before["overrides"]
    assert [trial.value for trial in trials("study")] == [note["miou"] for note in notes("study")]


def test_a_hopeless_trial_is_pruned_with_its_checkpoint_and_not_scored(fasseg, monkeypatch):
    monkeypatch.setattr(Study, "report", lambda study, claim, step, miou: claim.trial.number > 0 and step == 0)
    ended = tune(RATE, "--trials", 2, "--study", "study")
    assert ended.code == 0, ended.err
    assert [note["state"] for note in notes("study")] == ["done", "pruned"]
    assert [trial.state.name for trial in trials("study")] == ["COMPLETE", "PRUNED"]
    assert (record_of(Path("study/1"))["state"], record_of(Path("study/1"))["scores"]) == ("pruned", {})
    assert Path("study/1/checkpoints/last.ckpt").is_file()
    assert "pruned" in ended.out
    tune(RATE, "--trials", 3, "--study", "study", "--no-prune")
    assert [note["state"] for note in notes("study")] == ["done", "pruned", "done"]


def test_the_median_of_finished_trials_prunes(tmp_path):
    def study_of(folder):
        folder.mkdir()
        space = {"lr": optuna.distributions.FloatDistribution(0, 1)}
        about = {"overrides": [], "space": {}}
        return Study(folder, "study", str(folder / "journal.log"), space, about, seed=0, warm_up=1)

    study = study_of(tmp_path / "study")
    for _ in range(5):
        with study.claim(6) as claim:
            assert not any(study.report(claim, epoch, 0.5) for epoch in range(3))
            study.end(claim, optuna.trial.TrialState.COMPLETE, 0.5)
    with study.claim(6) as claim:
        assert [study.report(claim, epoch, 0.1) for epoch in range(2)] == [False, True]
        with study.claim(6) as other:
            assert other is None  # this process still works on the last one
    with study.claim(6) as left:  # as if killed: it was not ended
        assert (left.trial.number, left.reported, left.overrides) == (5, {0, 1}, claim.overrides)


def test_failed_trials_are_reported_and_three_alike_end_the_study(fasseg):
    failing = ["data.photos=7", "loss=ce,ce_dice"]  # there are fewer photos, which only the data show
    ended = tune(*failing, "--trials", 9)
    (folder,) = studies()
    assert ended.code == 1, ended.err
    assert [note["state"] for note in notes(folder)] == ["failed"] * 3
    assert "the first 3 trials failed alike, so the search ends: data.photos=7" in ended.err


def test_one_failed_trial_does_not_end_the_study(fasseg):
    ended = tune("data.photos=1,1000000", "--trials", 4, "--no-prune")
    states = [note["state"] for note in notes(studies()[0])]
    assert (ended.code, len(states), {*states}) == (1, 4, {"done", "failed"})
    assert [trial.state.name == "FAIL" for trial in trials(studies()[0])] == [state == "failed" for state in states]


WRONG = {
    "optimizer.lrr=interval(1e-4,1e-1)": "has no such parameter; did you mean lr?",
    "optimizer.weight_decay=interval(1e-1,1e-4)": "its start, 0.1, is above its end, 0.0001",
    "optimizer.lr=tag(log,interval(0,1))": "tag(log,...) needs a start above 0, not 0",
    "data.batch_size=tag(slow,range(2,4))": "tag(slow) means nothing in a search",
    "data.photos=tag(log,range(2,9,2))": "tag(log,...) needs a range with step 1, not 2",
    "data.image_size=tag(log,choice(16,32))": "choices have no scale",
    "seed=shuffle(1,2)": "a search has no order to shuffle",
    "loss=ce,ce_dic": "no such loss; did you mean ce_dice?",
    "model.channels=int(interval(0,8))": "model.channels=0: expected a whole number from 1",
    "model.depth=range(9,1)": "there are no values",
    "trainer.precision=interval(1,2)": "trainer.precision",
    "data.fold=0,1": "data.fold=all validates on all photos",
    "trainer.max_time=00:01:00:00": "a trial that is stopped has no score",
    "hydra/launcher=basic": "a search starts no launcher",
    "paths.run=x": "each trial has its own folder",
}


def test_everything_wrong_with_a_search_is_reported_before_the_first_trial():
    ended = tune("augment=none,flip", *WRONG)
    assert ended.code == 2, ended.err
    missing = [message for message in WRONG.values() if not any(message in line for line in ended.lines("error"))]
    assert not missing, ended.err
    unscored = ["data.fold=null holds out no photo", "a trial without last.ckpt has no score"]
    assert_reported(tune("augment=none,flip", "data.fold=null", "callbacks.checkpoint=null"), 2, *unscored)
    assert_reported(tune(), 2, "no key to search over")
    assert_reported(tune(RATE, "resume=x"), 2, "a study is continued with resume=auto, or with --study FOLDER")
    assert not Path("runs").exists()


def test_without_optuna_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr("facesegl.tuning.find_spec", lambda name: None)
    assert_reported(call("tune", RATE), 2, "needs optuna; install with pip install 'facesegl[tune]'")


@pytest.mark.parametrize(
    ("storage", "code", "message"),
    [
        ("foo://a", 2, "there is no storage of this kind"),
        ("redis://h", 2, "Optuna unpickles"),
        (
            "postgresql+pg8000://u:pw@h/db",
            2,
            "u:***@h/db: its driver is not installed; install it with pip install pg8000",
        ),
        ("no/such.log", 5, "there is no folder"),
        ("sqlite:///no/such.db", 5, "there is no folder no"),
        ("text.log", 2, "text.log: not a storage of this version of Optuna"),
        ("sqlite:///text.log", 5, "it cannot be reached: (sqlite3.DatabaseError) file is not a database"),
    ],
)
def test_an_unknown_or_unusable_storage_is_refused(storage, code, message):
    Path("text.log").write_text("no journal\n")
    assert_reported(tune("loss=ce,ce_dice", "--storage", storage), code, message)
    assert not studies()
    assert Path("text.log").read_text() == "no journal\n"


@pytest.mark.parametrize("storage", ["all.log", "sqlite:///all.db"])
def test_another_search_under_the_name_of_a_study_is_refused(fasseg, storage):
    assert tune(RATE, "--trials", 1, "--study", "study", "--storage", storage).code == 0
    other = ["optimizer.lr=interval(1e-4,1e-2)", "--study", "study"]
    differs = ["searches", RATE, "this command optimizer.lr=interval(1e-4,1e-2)"]
    assert_reported(tune(*other), 2, ["--study study", *differs])
    Path("study").rename("elsewhere")
    assert_reported(tune(*other, "--storage", storage), 2, ["study fasseg_v2-unet/study", *differs])
    assert not Path("study/study.json").exists()


@pytest.mark.parametrize("storage", ["journal.log", "sqlite:///all.db"])
def test_a_storage_that_vanishes_ends_the_search_and_the_run_survives(fasseg, monkeypatch, storage):
    report = Study.report

    def vanish(study, *given):
        file = study._file
        file.unlink(missing_ok=True)
        return report(study, *given)

    monkeypatch.setattr(Study, "report", vanish)
    arguments = [] if storage == "journal.log" else ["--storage", storage]
    ended = tune(RATE, "--trials", 3, "--study", "study", *arguments)
    assert ended.code == 5, ended.err
    (line,) = ended.lines("error")
    assert "the storage of this study was deleted or replaced" in line
    assert "Trial 0 is done with mIoU" in line
    assert record_of(Path("study/0"))["scores"]["val"]


def test_trials_of_all_folds_have_the_pooled_score(fasseg):
    ended = tune("data.fold=all", "data.folds=2", "optimizer.lr=1e-2,3e-3", "--trials", 2, "--study", "study")
    assert ended.code == 0, ended.err
    assert [note["state"] for note in notes("study")] == ["done", "done"]
    assert sorted(path.parent.name for path in Path("study/0").glob("*/result.json")) == ["0", "1"]
    assert [trial.intermediate_values.keys() for trial in trials("study")] == [{0}, {0}]
    assert "data.fold=all" in ended.out.partition("train it:")[2]
    shown = page(Path("study"))
    assert "cross-validated over 6 photos" in shown
    assert "Masks to check" in shown
    assert '<th scope="col"><button type="button">mouth</button></th>' in shown


def test_test_photos_are_scored_once_for_the_selected_config_alone(fasseg):
    command = [RATE, "--trials", 1, "--study", "study"]
    first = tune(*command, "--test")
    assert first.code == 0, first.err
    record = record_of(Path("study/test"))
    assert (record["config"]["data"]["fold"], "test_clean" in record["scores"]) == (None, True)
    modified = Path("study/test/scores.csv").stat().st_mtime_ns
    again = tune(*command, "--test")
    assert again.code == 0, again.err
    assert Path("study/test/scores.csv").stat().st_mtime_ns == modified


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("storage", [[], ["--storage", "sqlite:///study.db"]], ids=["journal", "sqlite"])
def test_four_processes_work_on_one_study_and_a_killed_one_loses_nothing(fasseg, storage):
    command = ["tune", *QUICK, "trainer.max_epochs=6", RATE, "--trials", 12, "--study", "study", "--no-prune", *storage]
    how = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes = [start(*command, **how) for _ in range(4)]
    while len([*Path("study").glob("*/checkpoints/last.ckpt")]) < 3:
        assert None in [process.poll() for process in processes]
        time.sleep(0.05)
    processes[0].kill()
    processes.append(start(*command, **how))
    codes = [process.wait() for process in processes]
    assert codes == [-signal.SIGKILL, 0, 0, 0, 0]
    ended = call(*command)  # finds nothing to do, or what was left when all others had claimed their last trial
    assert ended.code == 0, ended.err
    found = trials("study", RDBStorage("sqlite:///study.db") if storage else None)
    assert [trial.number for trial in found] == [*range(12)]
    assert {trial.state.name for trial in found} == {"COMPLETE"}
    assert sorted(int(path.parent.name) for path in Path("study").glob("*/result.json")) == [*range(12)]
    assert [trial.value for trial in found] == [note["miou"] for note in notes("study")]
    assert len({tuple(note["overrides"]) for note in notes("study")}) == 12
    logs = [path.read_text() for path in Path("study").glob("*/log.txt")]
    assert sum(text.count("training on") for text in logs) in (12, 13)  # 12 if it was killed between two trainings


def test_a_deleted_journal_is_not_made_again(tmp_path):
    space = {"lr": optuna.distributions.FloatDistribution(0, 1)}
    journal = tmp_path / "journal.log"
    study = Study(tmp_path, "study", str(journal), space, {"overrides": [], "space": {}}, seed=0, warm_up=0)
    journal.unlink()
    with pytest.raises(MachineError, match="deleted or replaced"), study.claim(1):
        pass
    assert not journal.exists()
