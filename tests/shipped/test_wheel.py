"""What a user installs: the wheel built from the sdist, in a clean environment and an empty folder."""

import email
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

import facesegl
from helpers.calling import SMALL, SMALL_UNET, assert_reported, tab
from helpers.clean import Environment, user_environ

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
ASKED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
KINDS = {".py", ".typed", ".yaml", ".txt", ".j2", ".css", ".js", ".safetensors"}
INFO = f"facesegl-{facesegl.__version__}.dist-info"
SMALL_DATA = ["data=synthetic", "data.source.train=4", "data.source.test=2", "data.source.height=48", "data.folds=2"]


def files(archive):
    """Every file of a wheel or an sdist, by name."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as opened:
            return {name: opened.read(name) for name in opened.namelist()}
    with tarfile.open(archive) as opened:
        return {each.name: opened.extractfile(each).read() for each in opened if each.isfile()}


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Build a `wheel` or an `sdist` of a folder with what pyproject.toml asks for to that end, and nothing else."""
    builder = Environment(tmp_path_factory.mktemp("builder"))
    done = builder.pip("install", "--quiet", "-c", ROOT / "constraints.txt", *ASKED["build-system"]["requires"])
    assert done.code == 0, done.err

    def build(kind, source):
        target = tmp_path_factory.mktemp(kind)
        done = builder.python("-m", "hatchling", "build", "-t", kind, "-d", target, cwd=source)
        assert done.code == 0, done.err
        (archive,) = target.iterdir()
        return archive

    return build


@pytest.fixture(scope="module")
def sdist(build):
    return build("sdist", ROOT)


@pytest.fixture(scope="module")
def unpack(sdist, tmp_path_factory):
    """Unpack the sdist into a new folder."""

    def unpack():
        folder = tmp_path_factory.mktemp("unpacked")
        with tarfile.open(sdist) as opened:
            opened.extractall(folder, filter="data")
        return folder / f"facesegl-{facesegl.__version__}"

    return unpack


@pytest.fixture(scope="module")
def wheel(build, unpack):
    return build("wheel", unpack())


@pytest.fixture(scope="module")
def clean(wheel, tmp_path_factory):
    """The wheel and what it asks for."""
    environment = Environment(tmp_path_factory.mktemp("clean"))
    environment.install(wheel)
    return environment


@pytest.fixture(scope="module")
def elsewhere(clean, tmp_path_factory):
    """A folder with nothing but a run of the clean environment on synthetic faces."""
    folder = tmp_path_factory.mktemp("elsewhere")
    trained = clean.facesegl("train", *SMALL_DATA, *SMALL_UNET, "paths.run=runs/first", cwd=folder)
    assert trained.code == 0, trained.err
    return SimpleNamespace(folder=folder, trained=trained, left={path.name for path in folder.iterdir()})


@pytest.fixture
def call(clean, elsewhere):
    """The command of the clean environment, which has to end well."""

    def call(*arguments, by=clean):
        ended = by.facesegl(*arguments, cwd=elsewhere.folder)
        assert (ended.code, ended.lines("warning")) == (0, []), ended.err
        return ended.out

    return call


def inside(folder, place):
    """What of a folder of the checkout should be where in the wheel."""
    paths = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {(place / path.relative_to(folder)).as_posix(): path.read_bytes() for path in paths}


def test_wheel_out_of_the_sdist_is_the_wheel_of_the_checkout(build, wheel):
    assert files(wheel) == files(build("wheel", ROOT))


def test_wheel_holds_the_package_its_configs_and_nothing_else(wheel):
    expected = inside(ROOT / "src" / "facesegl", Path("facesegl")) | inside(ROOT / "conf", Path("facesegl/conf"))
    about = {f"{INFO}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")}
    held = files(wheel)
    assert set(held) == set(expected) | about
    assert {name: content for name, content in held.items() if name not in about} == expected
    assert {Path(name).suffix for name in expected} == KINDS


def test_wheel_can_be_built_of_what_it_holds_alone(build, unpack, wheel):
    bare = unpack()
    for name in ("tests", "docs", "notebooks", "benchmarks"):
        shutil.rmtree(bare / name)
    assert files(build("wheel", bare)) == files(wheel)


def test_pip_makes_the_same_wheel_of_the_sdist(sdist, wheel, tmp_path):
    done = Environment(tmp_path / "any").pip("wheel", "--no-deps", "--wheel-dir", tmp_path, sdist)
    assert done.code == 0, done.err
    assert files(tmp_path / wheel.name) == files(wheel)


def test_other_files_in_the_project_folder_are_not_packed(build, unpack, sdist, wheel):
    used = unpack()
    for name in (
        *("env/lib/tests/a.py", "mine/src/anna.jpg", "mine/conf/a.yaml", "mine/Makefile", "anna.jpg", "a.ckpt"),
        *("data/fasseg/V2/Train_RGB/1.bmp", "runs/a/last.ckpt", "dist/a.whl", "src/facesegl/__pycache__/a.pyc"),
    ):
        (used / name).parent.mkdir(parents=True, exist_ok=True)
        (used / name).write_text("mine")
    assert files(build("sdist", used)) == files(sdist)
    assert files(build("wheel", used)) == files(wheel)


def test_sdist_has_what_make_needs(unpack):
    names = ["Makefile", "constraints.txt", "benchmarks", "tests/conftest.py", "notebooks", "LICENSE", "CHANGELOG.md"]
    folder = unpack()
    assert [name for name in (*names, ".github/workflows/test.yml") if not (folder / name).exists()] == []


def test_no_packed_file_names_a_path_of_this_machine(sdist, wheel):
    here = os.fsencode(ROOT)
    for archive in (sdist, wheel):
        assert [name for name, content in files(archive).items() if here in content] == []


def test_the_archives_could_be_uploaded(sdist, wheel):
    words = [sys.executable, "-m", "twine", "check", "--strict", sdist, wheel]
    checked = subprocess.run(words, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_metadata_say_what_the_project_says(wheel):
    held = files(wheel)
    about = email.message_from_bytes(held[f"{INFO}/METADATA"])
    assert (about["Name"], about["Version"]) == ("facesegl", facesegl.__version__)
    assert about["Requires-Python"] == ASKED["project"]["requires-python"]
    assert set(about.get_all("Provides-Extra")) == set(ASKED["project"]["optional-dependencies"])
    assert not [asked for asked in about.get_all("Requires-Dist") if "@" in asked or "facesegl" in asked]
    assert (about["License-Expression"], about["License-File"]) == ("Apache-2.0", "LICENSE")
    assert held[f"{INFO}/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    assert about["Description-Content-Type"] == "text/markdown"
    assert about.get_payload(decode=True).decode().strip() == (ROOT / "README.md").read_text(encoding="utf-8").strip()
    scripts = held[f"{INFO}/entry_points.txt"].decode().splitlines()
    assert scripts[:2] == ["[console_scripts]", "facesegl = facesegl.cli:main"]


LOOK = """
import sys
from importlib.util import find_spec
import facesegl, facesegl.config.compose, facesegl.download.manifest
print(facesegl.__file__)
print(facesegl.config.compose.conf_dir())
print(len(facesegl.download.manifest.fasseg_manifest()))
print([name for name in ("pytest", "matplotlib", "onnx", "pip") if find_spec(name)])
print(sys.path[1:])
"""


def test_environment_is_clean(clean, tmp_path):
    ended = clean.python("-c", LOOK, cwd=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    package, conf, listed, others, path = ended.out.splitlines()
    assert Path(package).parent == clean.packages / "facesegl"
    assert Path(conf) == clean.packages / "facesegl" / "conf"
    assert (listed, others) == ("948", "[]")
    assert str(ROOT) not in path


def choices(shown):
    """The models that a help names."""
    (line,) = [line for line in shown.splitlines() if line.startswith("model: ")]
    return set(line.removeprefix("model: ").split(", "))


def test_it_says_what_it_is(call):
    assert call("--version") == f"facesegl {facesegl.__version__}\n"
    assert all(verb in call("--help") for verb in ("train ", "evaluate ", "predict ", "data "))
    assert choices(call("train", "--help")) >= {"fcn", "unet"}


def test_it_trains_and_scores(elsewhere, call):
    assert "run folder: runs/first" in elsewhere.trained.out
    assert "mIoU" in call("evaluate", "runs/first/checkpoints/last.ckpt")
    assert elsewhere.left <= {"data", "runs", ".cache", "Library"}  # the latter two of a home, as the systems have it


def test_it_sweeps(call, elsewhere):
    shown = call("train", "-m", *SMALL_DATA, *SMALL_UNET, "sweep=seeds", "seed=0,1", "name=many")
    (folder,) = [line for line in shown.splitlines() if line.startswith("run folders: ")]
    assert (elsewhere.folder / folder.removeprefix("run folders: ")).parent == elsewhere.folder / "runs" / "many"


def test_it_shows_data(call, elsewhere):
    assert "synthetic" in call("data", "check", *SMALL_DATA)
    (line,) = call("data", "preview", *SMALL_DATA).splitlines()
    assert (elsewhere.folder / line.removeprefix("picture: ")).is_file()


def test_it_predicts_without_a_model_and_without_extras(clean, elsewhere):
    photo = next((elsewhere.folder / "data").rglob("Test_RGB/1.bmp"))
    ended = clean.facesegl("predict", photo, "-o", "faces", cwd=elsewhere.folder)  # so small that it may warn
    assert (ended.code, "1 segmented" in ended.out) == (0, True), ended.err
    assert (elsewhere.folder / "faces" / "1.png").is_file()


def test_what_an_extra_brings_is_asked_for_where_it_is_missing(clean, elsewhere):
    for extra, *more in (("report",), ("export", "-o", "model.onnx")):
        refused = clean.facesegl(extra, "runs/first", *more, cwd=elsewhere.folder)
        assert_reported(refused, 2, f"pip install 'facesegl[{extra}]'")


def test_with_its_extras_it_writes_the_page_and_an_onnx_model(wheel, call, elsewhere, tmp_path):
    full = Environment(tmp_path / "full")
    full.install(wheel, ["report", "export"])
    call("report", "runs/first", by=full)
    assert "<style>" in (elsewhere.folder / "runs" / "first" / "report.html").read_text(encoding="utf-8")
    call("export", "runs/first", "-o", "model.onnx", by=full)
    call("predict", "model.onnx", "data/synthetic", "-o", "masks", by=full)


def test_a_custom_net_comes_with_a_folder_of_groups(clean, call, elsewhere):
    folder = elsewhere.folder
    (folder / "mine" / "model").mkdir(parents=True)
    (folder / "mine" / "model" / "tiny.yaml").write_text("_target_: my_nets.Tiny\nwidth: 3\n")
    (folder / "my_nets.py").write_text(NET)
    assert choices(call("train", "--config-dir", "mine", "--help")) >= {"fcn", "tiny", "unet"}
    call("train", "--config-dir", "mine", "model=tiny", *SMALL_DATA, *SMALL, "paths.run=runs/tiny")
    refused = clean.facesegl("evaluate", "runs/tiny", "set=val", cwd=folder)
    assert_reported(refused, 4, ["my_nets.Tiny", "trust=[my_nets]"])
    assert "mIoU" in call("evaluate", "runs/tiny", "set=val", "trust=[my_nets]")


NET = """
from torch import nn

class Tiny(nn.Conv2d):
    def __init__(self, num_classes: int, width: int) -> None:
        super().__init__(3, num_classes, width, padding="same")
"""


def test_tab_completes_in_a_real_bash(clean, tmp_path):
    verbs, options, keys = tab(
        "facesegl ev",
        "facesegl train model=",
        "facesegl train trainer.max_",
        command=clean.scripts / "facesegl",
        environment=user_environ(tmp_path),
    )
    assert verbs == {"evaluate"}
    assert {"fcn", "unet"} <= {option.removeprefix("model=") for option in options}
    assert any(key.startswith("trainer.max_epochs") for key in keys)
