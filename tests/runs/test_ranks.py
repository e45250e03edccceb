"""Several processes train one model, whatever has started them."""

import signal
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from facesegl import cli
from facesegl.commands.train import train
from facesegl.config.compose import Composed
from facesegl.runs import ranks
from helpers.calling import SMALL_UNET, assert_reported, call, runs, succeed
from helpers.launchers import TWO_RANKS, killed, launch, slurm
from helpers.records import record_of

EPOCHS = ["trainer.max_epochs=3", "callbacks.checkpoint.every_s=0"]
TRAIN = ["train", *SMALL_UNET, *TWO_RANKS, *EPOCHS]
ON_ONE = [*SMALL_UNET, *EPOCHS, "data.batch_size=2"]
LOST = "another rank of this training has ended"


@pytest.fixture
def task(monkeypatch):
    """Make this process one of SLURM's tasks, without any other."""

    def become(rank, tasks):
        for name, value in slurm(rank, "77", tasks).items():
            monkeypatch.setenv(name, value)

    monkeypatch.setattr(ranks, "_FAREWELL_S", 0.0)
    ranks._launched.cache_clear()
    yield become
    ranks._launched.cache_clear()


@pytest.mark.parametrize("launcher", ["Lightning", "srun"])
@pytest.mark.usefixtures("fasseg")
def test_two_ranks_train_and_score_one_run(launcher):
    ended = launch(launcher, *TRAIN, "paths.run=run").end()
    assert_trained(ended, Path("run"))
    assert ended.err.count("cached 9 samples") == 1


def assert_trained(ended, folder):
    assert ended.code == 0, ended.err
    assert record_of(folder)["state"] == "done"
    assert ended.out.count("run folder: ") == 1
    assert ended.err.count("training on") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "rank", "message"), [("Lightning", 1, LOST), ("torchrun", 0, LOST), ("srun", 0, "rank 0 has ended")]
)
@pytest.mark.usefixtures("fasseg")
def test_a_killed_rank_ends_the_others(launcher, rank, message):
    assert_lost(launch(launcher, *TRAIN, *killed(rank, 4)).end(), message)


@pytest.mark.slow
@pytest.mark.usefixtures("fasseg")
def test_ranks_resume_after_one_was_killed():
    words = [*TRAIN, *killed(1, 4), "resume=auto"]
    assert_lost(launch("torchrun", *words).end(), LOST)
    again = launch("torchrun", *words).end()
    (folder,) = runs()
    assert_trained(again, folder)
    assert again.err.count("resuming") == 1


def assert_lost(ended, message):
    assert ended.code != 0
    (error,) = ended.lines("error")
    assert message in error
    assert "frame #" not in ended.err  # of C++


@pytest.mark.slow
@pytest.mark.usefixtures("fasseg")
def test_sigterm_of_one_rank_ends_all_after_the_same_step():
    ended = launch("srun", *TRAIN, "paths.run=run", *killed(1, 2, signal.SIGTERM)).end()
    assert_stopped(ended)


def assert_stopped(ended):
    assert_reported(ended, 143, ["by SIGTERM after a step, with a checkpoint of it", "resume=auto"])
    assert record_of(Path("run"))["state"] == "stopped"


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["Lightning", "torchrun"])
@pytest.mark.usefixtures("fasseg")
def test_an_error_of_one_rank_in_training_ends_all_with_its_exit_code(launcher):
    fail = ["+callbacks.fail._target_=helpers.launchers.Fail", "+callbacks.fail.rank=1"]
    ended = launch(launcher, *TRAIN, "paths.run=run", *fail).end()
    assert ended.code == (1 if launcher == "torchrun" else 6)  # torchrun's own, after a traceback of its own
    assert ended.lines("error") == ["error: rank 1: step 2: the loss is not finite."]
    assert record_of(Path("run"))["failure"]["exit_code"] == 6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signum", "code", "message"),
    [(signal.SIGINT, 130, "by SIGINT"), (0, 3, "a.png: it is gone")],
)
@pytest.mark.usefixtures("fasseg")
def test_the_end_of_a_rank_before_all_have_started_is_reported_once(signum, code, message):
    fail = ["+callbacks.fail._target_=helpers.launchers.FailBefore", f"+callbacks.fail.signum={int(signum)}"]
    assert_reported(launch("Lightning", *TRAIN, *fail).end(), code, message)


class Remember(pl.Callback):
    def on_train_start(self, trainer, pl_module):
        self.step, self.weights = trainer.global_step, {k: v.clone() for k, v in pl_module.state_dict().items()}


@pytest.mark.usefixtures("fasseg")
def test_a_run_of_two_ranks_resumes_on_one_with_its_weights(caplog):
    two = [word for word in TRAIN if word != "train"]
    stopped = launch("Lightning", "train", *two, *killed(1, 4, signal.SIGTERM), "paths.run=run").end()
    assert_stopped(stopped)
    saved = torch.load("run/checkpoints/last.ckpt", weights_only=True)
    remember = Remember()
    with caplog.at_level("INFO", logger="facesegl"):
        words = [*ON_ONE, *killed(1, 4, signal.SIGTERM), "paths.run=run", "resume=auto"]
        result = train(Composed.of(words), callbacks=[remember])
    assert (result.state, remember.step) == ("done", saved["global_step"])
    current = saved.get("current_model_state", saved["state_dict"])  # without averaging
    assert all(torch.equal(current[name], weight) for name, weight in remember.weights.items())
    assert caplog.text.count("resuming on 1 rank what was trained on 2 ranks") == 1


@pytest.mark.usefixtures("fasseg")
def test_ranks_that_disagree_train_nothing():
    by_rank = ([], ["optimizer.lr=0.5"])
    ended = launch("srun", *TRAIN, "paths.run=run", by_rank=by_rank).end()
    assert_reported(ended, 2, ["rank 1 has another config: optimizer.lr=0.5 (rank 0: ", "the same command"])
    assert not Path("run").exists()


def test_an_error_of_one_rank_alone_ends_all(fasseg):
    ended = launch("srun", *TRAIN, by_rank=([], ["optimizer.lr=abc"])).end()
    assert_reported(ended, 2, "rank 1: optimizer.lr: 'abc' is not a number")
    assert not Path("runs").exists()


@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_that_reaches_all_ranks_is_printed_once(monkeypatch, rank):
    def interrupt(_words):
        raise KeyboardInterrupt

    monkeypatch.setenv("LOCAL_RANK", str(rank))
    monkeypatch.setattr(cli, "_run", interrupt)
    ended = call("train")
    assert (ended.code, len(ended.lines("stopped"))) == (130, 1 - rank)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*SMALL_UNET], ["SLURM has started 2 processes, 2 on this node", "trainer=ddp trainer.devices=2"]),
        (
            ["-m", *SMALL_UNET, *TWO_RANKS, "seed=0,1"],
            ["-m: SLURM has started 2 processes", "without torchrun or srun"],
        ),
    ],
)
def test_ranks_are_refused_where_they_do_not_fit(fasseg, task, words, message):
    task(rank=0, tasks=2)
    assert_reported(call("train", *words), 2, message)
    assert not Path("runs").exists()


def test_several_nodes_need_a_launcher(fasseg):
    ended = call("train", *SMALL_UNET, *TWO_RANKS, "+trainer.num_nodes=2")
    assert_reported(ended, 2, ["trainer.num_nodes=2: this process is alone", "torchrun or srun"])


def test_a_slurm_job_of_one_task_is_a_single_run(fasseg, task):
    task(rank=0, tasks=1)
    succeed("train", *SMALL_UNET, "paths.run=run")
    assert record_of(Path("run"))["state"] == "done"
