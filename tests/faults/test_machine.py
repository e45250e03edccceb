"""What the machine refuses: exit code 5, one line, the old file or the new one, never half a file."""

import contextlib
import json
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import filelock
import pytest
import torch

from facesegl.files import _remove_parts_of_the_dead, replacing
from helpers.calling import SMALL_UNET, assert_reported, call, half_files, run, runs, start, train
from helpers.faces import write_faces
from helpers.records import record_of
from helpers.trainings import disturbed


@contextlib.contextmanager
def small_disk(folder, size):
    """A disk of a few kilobytes; only root may make one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextlib.contextmanager
def read_only(*folders):
    """Folders that cannot be written, not even by root."""
    bound = []
    try:
        for folder in folders:
            bind = ["mount", "--bind", folder, folder]
            if subprocess.run(bind, capture_output=True, check=False).returncode:
                pytest.skip("mounting a folder read-only needs root")
            bound.append(folder)
            subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        yield
    finally:
        for folder in bound:
            subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize(
    ("size", "keys"),
    [
        ("64k", ["paths.cache=disk", "data.image_size=64"]),
        ("64k", ["paths.data=disk", "data=synthetic", "data.source.height=64"]),
        ("4k", ["paths.runs=disk"]),
    ],
    ids=["while caching", "while drawing faces", "when a run starts"],
)
def test_disk_full(fasseg, size, keys):
    with small_disk(Path("disk"), size) as disk:
        assert_reported(train(*keys), 5, ["disk", "the disk is full"])
        assert not half_files(disk)
    assert not Path("runs").exists()


@pytest.mark.parametrize("logger", ["none", "csv", "tensorboard"])
@pytest.mark.parametrize("room", [0, 32768], ids=["full", "room for all but a checkpoint"])
def test_disk_full_while_writing_a_checkpoint_leaves_the_old_one(fasseg, tmp_path, logger, room):
    with small_disk(tmp_path / "disk", "4m") as disk:
        filling = [
            *("trainer.max_epochs=3", "callbacks.checkpoint.every_s=0", f"logger={logger}", f"paths.runs={disk}"),
            *("+callbacks.fill._target_=helpers.faulty.FillDisk", f"+callbacks.fill.folder={disk}"),
            *("+callbacks.fill.at_step=3", f"+callbacks.fill.room={room}"),
        ]
        assert_reported(train(*filling), 5, [str(disk), "the disk is full"])
        (checkpoint,) = disk.glob("*/*/checkpoints/last.ckpt")
        assert torch.load(checkpoint, weights_only=True)["global_step"] == 2
        assert not half_files(disk)
        state = record_of(checkpoint.parents[1])["state"]
        assert state == ("failed" if room else "running")  # with no room at all the old file is left


@pytest.mark.slow
def test_file_over_the_size_limit_is_reported(fasseg):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    ended = run("train", *SMALL_UNET, preexec_fn=limit)
    assert_reported(ended, 5, "cannot write")
    assert not half_files(".")


@pytest.mark.parametrize(
    "keys",
    [
        ["data=fasseg_v2", "data.synthetic_share=0.5", "data.synthetic_faces=2"],
        ["data=synthetic", "data.source.train=5", "data.source.test=2", "data.source.height=64"],
    ],
)
def test_complete_caches_and_written_synthetic_faces_are_used_where_nothing_can_be_written(fasseg, keys):
    assert train(*keys).code == 0
    for path in Path("data").rglob("*.bmp"):
        path.touch()  # as a copy to another machine does: they are read again, and the cache is still theirs
    with read_only("cache", "data"):
        ended = train(*keys)
        assert_reported(train(*keys, "data.image_size=24"), 5, ["cache/", "below paths.cache", "it is read-only"])
    assert (ended.code, ended.lines("warning")) == (0, [])


@pytest.mark.parametrize("key", ["runs", "cache", "run"])
def test_file_in_the_way_of_a_folder(fasseg, key):
    Path("taken").write_text("")
    for path in ("taken", "taken/below"):
        assert_reported(train(f"paths.{key}={path}"), 5, [f"paths.{key}={path}", "is a file, not a folder"])
    assert not Path("runs").exists()


@pytest.mark.parametrize("key", ["runs", "cache", "run"])
@pytest.mark.parametrize("place", ["/proc/x", "/sys/x"])
def test_folder_that_cannot_be_made(fasseg, key, place):
    assert_reported(train(f"paths.{key}={place}"), 5, place)
    assert not Path("runs").exists()


def test_file_in_the_way_of_the_runs_of_a_name(fasseg):
    Path("runs").mkdir()
    Path("runs/fasseg_v2-unet").write_text("")
    assert_reported(train(), 5, "runs/fasseg_v2-unet")


def test_folder_that_holds_a_run_is_not_overwritten(fasseg):
    assert train("paths.run=mine").code == 0
    before = Path("mine/result.json").read_bytes()
    shutil.rmtree("cache")
    assert_reported(train("paths.run=mine"), 2, ["paths.run=mine: it contains a run already", "Name another folder"])
    assert Path("mine/result.json").read_bytes() == before
    assert not Path("cache").exists(), "refused before the cache was built"


def test_a_folder_with_checkpoints_and_a_damaged_record_is_not_overwritten(fasseg):
    assert train("paths.run=mine").code == 0
    for content, keys in (('{"sch', []), (None, ["resume=auto"])):
        Path("mine/result.json").write_text(content) if content else Path("mine/result.json").unlink()
        ended = train("paths.run=mine", *keys)
        assert_reported(
            ended, 2, ["paths.run=mine: it contains checkpoints/best.ckpt", "init=mine/checkpoints/best.ckpt"]
        )


SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
FIRST_SCORED = 10  # of the masks that are read: nine are read for the cache


def signalling(signum, at):
    return [
        *("data.source._target_=helpers.faulty.SignallingFASSEG", f"+data.source.signum={int(signum)}"),
        f"+data.source.at={at}",
    ]


@pytest.mark.parametrize(("signum", "code"), SIGNALS)
def test_signal_while_caching_leaves_nothing_half_done(fasseg, signum, code):
    assert_reported(train(*signalling(signum, 3)), code, signum.name)
    assert not half_files(".")
    assert not Path("runs").exists()
    assert train().code == 0


@pytest.mark.parametrize(("signum", "code"), SIGNALS)
def test_signal_during_a_foreign_import_is_not_an_error_of_that_import(fasseg, signum, code):
    Path(f"loud_{signum.name}.py").write_text(f"import os\nos.kill(os.getpid(), {int(signum)})\nclass Loss:\n    ...\n")
    assert_reported(train(f"loss._target_=loud_{signum.name}.Loss"), code, signum.name)
    assert not Path("runs").exists()


@pytest.mark.parametrize(("signum", "code"), SIGNALS)
def test_signal_before_the_first_step_ends_it_too(fasseg, signum, code):
    early = ["+callbacks.early._target_=helpers.faulty.SignalAtSetup", f"+callbacks.early.signum={int(signum)}"]
    assert_reported(train(*early), code, [signum.name, "before a step", "resume=auto"])
    (folder,) = runs()
    result = record_of(folder)
    assert (result["state"], result["failure"]["exit_code"]) == ("stopped", code)


def test_signal_that_a_destructor_swallows_is_sent_again(fasseg):
    words = ["+callbacks.early._target_=helpers.faulty.SignalInDestructor", "+callbacks.early.signum=15"]
    assert_reported(run("train", *SMALL_UNET, *words), 143, ["SIGTERM", "before a step", "resume=auto"])


@pytest.mark.parametrize(("signum", "code"), SIGNALS)
def test_signal_while_training_keeps_a_checkpoint(fasseg, signum, code):
    ended = train("trainer.max_epochs=5", *disturbed(3, signum))
    assert_reported(ended, code, [signum.name, "checkpoint", "resume=auto"])
    assert "stopped: stopped" not in ended.err
    (folder,) = runs()
    assert record_of(folder)["state"] == "stopped"
    assert torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 3


@pytest.mark.parametrize(("signum", "code"), SIGNALS)
def test_signal_while_scoring_says_how_to_score_again(fasseg, signum, code):
    ended = train("data.fold=null", *signalling(signum, FIRST_SCORED))
    assert_reported(ended, code, [f"by {signum.name} while it was scored; it is trained", "resume=auto"])
    (folder,) = runs()
    result = record_of(folder)
    assert (result["state"], result["scores"]) == ("stopped", {})
    assert result["failure"]["messages"][0], "what ended it is written down too"
    assert not half_files(".")
    assert call("evaluate", folder / "checkpoints" / "last.ckpt", "data=fasseg_v2").code == 0


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "code"), SIGNALS)
def test_signal_from_outside_while_caching(signum, code):
    write_faces(Path("data/fasseg/V2"), train=40, height=600, width=500)
    process = start("train", *SMALL_UNET, "data.image_size=512")
    while process.poll() is None and not list(Path().glob("cache/.*.part/photos.npy")):
        pass
    process.send_signal(signum)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert not half_files(".")
    assert not Path("runs").exists()


def greedy(*, training, cuda):
    return ["model._target_=helpers.faulty.Greedy", f"+model.training={training}", f"+model.cuda={cuda}"]


@pytest.mark.parametrize("training", [True, False], ids=["in a step", "in validation"])
@pytest.mark.parametrize(("cuda", "amount"), [(False, "1125899906842624 bytes"), (True, "20.00 GiB")])
def test_out_of_memory_says_what_was_tried_and_what_to_change(fasseg, training, cuda, amount):
    tried = ["data.batch_size=2, data.image_size=16, trainer.precision=32-true, trainer.accelerator=cpu", amount]
    remedy = ["Lower data.batch_size", "set trainer.precision=bf16-mixed", "another run"]
    ended = train("trainer.precision=32-true", *greedy(training=training, cuda=cuda))
    assert_reported(ended, 5, ["training with", "out of memory", *tried, *remedy])
    (folder,) = runs()
    result = record_of(folder)
    assert (result["state"], result["failure"]["exit_code"]) == ("failed", 5)


def test_out_of_memory_while_scoring_says_that_it_is_trained(fasseg):
    ended = train("data.fold=null", *greedy(training=False, cuda=True))
    assert_reported(ended, 5, ["not enough memory for", "lower the batch size"])
    assert (runs()[0] / "checkpoints" / "last.ckpt").is_file()


def test_out_of_memory_in_one_job_does_not_end_the_sweep(fasseg):
    words = [word for word in greedy(training=True, cuda=False) if "training" not in word]
    ended = call("train", "-m", *SMALL_UNET, *words, "+model.training=true,false")
    assert ended.code == 1, ended.err
    notes = [json.loads(path.read_text()) for path in Path("runs").rglob("job.json")]
    assert [(note["state"], note["exit_code"]) for note in notes] == [("failed", 5)] * 2


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("std::bad_alloc"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        OSError(12, "Cannot allocate memory"),
        RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
    ],
    ids=lambda error: str(error)[:20],
)
def test_out_of_memory_while_caching_is_the_machine(fasseg, monkeypatch, error):
    def fail(*_args):
        raise error

    monkeypatch.setattr("facesegl.data.cache.FaceCache._prepare", fail)
    assert_reported(train(), 5, ["train: out of memory", "batch size"])
    assert not runs()


KILLED = """
import os, signal, sys
from pathlib import Path
from facesegl.files import replacing
with replacing(Path(sys.argv[1])) as part:
    part.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_next_writer_removes_what_a_killed_one_left_and_nothing_of_a_living_one(tmp_path):
    killed = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "a.png"], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(half_files(tmp_path)) == 1
    with replacing(tmp_path / "c.png") as part:
        part.write_bytes(b"whole")
        _remove_parts_of_the_dead.cache_clear()  # as in another process
        with replacing(tmp_path / "d.png") as other:
            other.write_bytes(b"whole")
        assert half_files(tmp_path) == [part]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.png", "d.png"]


def test_a_build_removes_what_killed_builds_of_other_data_left(fasseg):
    for name in ("dead", "live"):
        Path(f"cache/.{name}.part").mkdir(parents=True)
        Path(f"cache/{name}.lock").touch()
    with filelock.FileLock("cache/live.lock"):
        assert train().code == 0
    assert half_files("cache") == [Path("cache/.live.part")]
