"""Records that a stranger or another version wrote, and variables that another process set."""

import json
import os
import shutil
import unicodedata
from pathlib import Path

import pytest

from helpers.calling import SMALL_UNET, assert_reported, call, run, runs, succeed
from helpers.faces import write_faces
from helpers.records import change, record_of, write_sweep

SECRET = "${oc.env:SECRET}"
TRAIN = ["train", *SMALL_UNET, "data.source.root=photos", "name=mine"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("FACESEGL_CACHE", str(folder / "cache"))
        write_faces(Path("photos/V2"))
        succeed(*TRAIN, "paths.run=run")
    return folder


@pytest.fixture
def moved(trained, tmp_path, monkeypatch):
    """A copy of a run, as from a stranger, in a folder without photos."""
    monkeypatch.setenv("SECRET", "s3cret")
    shutil.copytree(trained / "run", "run")
    return Path("run")


def texts():
    """What all files below the current folder hold."""
    return [path.read_bytes() for path in Path().rglob("*") if path.is_file()]


def assert_secret(ended):
    assert "s3cret" not in ended.out + ended.err
    assert not [text for text in texts() if b"s3cret" in text]


def with_interpolations(value, keys=()):
    if isinstance(value, dict):
        return {key: with_interpolations(inner, (*keys, key)) for key, inner in value.items()}
    return SECRET if isinstance(value, str) and keys[-1] != "state" else value


@pytest.mark.parametrize("keys", [[], ["data=fasseg_v2"], ["paths.data=elsewhere"]])
@pytest.mark.parametrize("verb", ["report", "evaluate", "export", "info", "compare"])
def test_nothing_in_a_strangers_record_is_resolved(moved, verb, keys):
    record = record_of(moved)
    config = with_interpolations({name: record["config"][name] for name in ("paths", "trainer")})
    config["data"] = record["config"]["data"]
    config["data"]["source"]["root"] = f"{SECRET}/photos"
    change(moved, config={**record["config"], **config}, started_in=f"/{SECRET}", command=SECRET, scored=[SECRET])
    rest = {"export": ["-o", "model.onnx"], "compare": [moved]}.get(verb, [])
    ended = call(verb, moved, *rest, *(keys if verb not in ("info", "compare") else []))
    assert_secret(ended)


def test_a_resumed_run_resolves_nothing_in_its_record_or_in_its_folders_name(trained, monkeypatch):
    monkeypatch.setenv("SECRET", "s3cret")
    write_faces(Path("photos/V2"))
    ended = run(*TRAIN, "paths.runs=runs", "trainer.max_epochs=2")
    assert ended.code == 0, ended.err
    (folder,) = runs()
    config = record_of(folder)["config"]
    changed = {**config, "trainer": {**config["trainer"], "precision": SECRET}}
    change(folder, state="stopped", scores={}, config=changed)
    ended = call(*TRAIN, "paths.runs=runs", "trainer.max_epochs=2", "resume=auto")
    assert_reported(ended, 2, ["trainer.precision", SECRET])
    assert_secret(ended)
    change(folder, config=config)
    folder.rename(folder.with_name(SECRET))
    ended = call(*TRAIN, "paths.runs=runs", "trainer.max_epochs=2", "resume=auto")
    assert ended.code == 2
    assert all(SECRET in line and "rename" in line for line in ended.lines("error"))
    assert_secret(ended)


def test_a_sweep_in_a_folder_with_an_interpolation_for_a_name_writes_nothing_elsewhere(monkeypatch, tmp_path):
    monkeypatch.setenv("SECRET", "s3cret")
    here = tmp_path / SECRET
    here.mkdir()
    monkeypatch.chdir(here)
    write_faces(Path("photos/V2"))
    ended = call(*TRAIN, "-m", "seed=0,1")
    assert ended.code == 1
    assert "paths.run" in ended.err
    assert "s3cret" not in ended.out + ended.err
    assert sorted(path.name for path in here.glob("runs/mine/*/[01]")) == ["0", "1"]
    assert not list(tmp_path.rglob("*s3cret*"))


def test_a_page_shows_no_control_character_and_reports_a_record_that_it_cannot_show(moved):
    record = record_of(moved)
    change(moved, command="train \x1b[2J\u202e", data={**record["data"], "name": "\x1b]0;x\x07"})
    succeed("report", moved)
    page = (moved / "report.html").read_text(encoding="utf-8")
    assert r"train \x1b[2J\u202e" in page
    assert not [char for char in page if unicodedata.category(char) in ("Cc", "Cf") and char not in "\n\t"]
    change(moved, scores={"val": {**record["scores"]["val"], "tags": "x"}})
    assert_reported(call("report", moved), 2, "run/result.json: not as facesegl writes it (ValueError: ")


@pytest.mark.parametrize("schema", [3, 0, "2", None, [2], 1.5])
def test_a_record_of_an_unknown_schema_is_refused(moved, schema):
    change(moved, schema=schema, state="stopped")
    words = ["run/result.json: schema ", "this facesegl reads 1 to 2", "Use the version that wrote it"]
    assert_reported(call("report", moved), 2, words)
    assert_reported(call("evaluate", moved), 2, words)
    write_faces(Path("photos/V2"))
    assert_reported(call(*TRAIN, "resume=run"), 2, words)
    assert_reported(call(*TRAIN, "paths.run=run"), 2, words)


def test_a_job_of_an_unknown_schema_is_refused(tmp_path):
    sweep = write_sweep(tmp_path / "sweep", [(["seed=0"], 0.5), (["seed=1"], 0.6)])
    note = json.loads((sweep / "1" / "job.json").read_text())
    (sweep / "1" / "job.json").write_text(json.dumps({**note, "schema": 9}))
    assert_reported(call("report", "sweep"), 2, ["sweep/1/job.json: schema 9", "reads 1 to 2"])


def test_resume_auto_passes_over_runs_of_another_version_and_says_so(moved, tmp_path):
    write_faces(Path("photos/V2"))
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    change(moved, schema=3, state="stopped")
    moved.rename(tmp_path / "runs" / "mine" / "old")
    ended = call(*TRAIN, "resume=auto")
    assert ended.code == 0, ended.err
    assert ["runs/mine/old/result.json: schema 3" in line for line in ended.lines("warning")] == [True]


def test_a_sweep_of_another_version_is_not_resumed(tmp_path):
    write_faces(Path("photos/V2"))
    old = tmp_path / "runs" / "mine" / "old"
    old.mkdir(parents=True)
    (old / "sweep.json").write_text(json.dumps({"schema": 3}))
    ended = call(*TRAIN, "-m", "seed=0,1", "resume=auto")
    assert ended.code == 0, ended.err
    assert "old/sweep.json: schema 3" in ended.err
    assert "no sweep of" in ended.err


@pytest.mark.parametrize("environment", [{}, {"LOCAL_RANK": "0"}])
def test_a_variable_alone_makes_no_process_a_rank(trained, environment):
    write_faces(Path("photos/V2"))
    before = record_of(trained / "run")
    environment = {
        "FACESEGL_RUN_FOLDER": str(trained / "run"),
        "FACESEGL_CACHE": os.environ["FACESEGL_CACHE"],
        **environment,
    }
    ended = run(*TRAIN, "paths.run=own", environment=environment)
    assert ended.code == 0, ended.err
    assert "run folder: own" in ended.out
    assert record_of(Path("own"))["state"] == "done"
    assert record_of(trained / "run") == before
