"""A command in a folder full of hostile modules: none is imported unless the user names it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.calling import SMALL_UNET, TESTS, script
from helpers.faces import write_faces

OPTIONAL = (  # imports that libraries try; those that were missing in a trace of every verb, and some more
    *("botocore", "coloredlogs", "colorama", "comet_ml", "cuda", "deepspeed", "dill", "envwrap", "flint", "gmpy2"),
    *("hpu", "intel_extension_for_pytorch", "ipykernel", "isal", "lz4", "msvcrt", "neptune", "nt", "olefile"),
    *("opt_einsum", "org", "pynvml", "pydot", "redis", "snappy", "tabulate", "tensorboardX", "tensorflow"),
    *("torch_xla", "torchcomms", "torchdistx", "torchvision_extra", "triton", "wandb", "winreg", "z3", "zstandard"),
    *("hydra_plugins/evil", "hydra_plugins/hydra_evil/plugin", "sitecustomize", "usercustomize"),
)
INSTALLED = ("hydra", "numpy", "omegaconf", "onnxruntime", "PIL", "pytorch_lightning", "rich", "torch", "yaml")
STANDARD = ("argparse", "json", "logging", "multiprocessing", "random", "secrets", "signal", "typing")
EVIL = "import os\nopen(os.path.join({folder!r}, 'RAN'), 'a').write(__name__ + ' ')\nraise ImportError(__name__)\n"
WATCH = """
import os, sys
def watch(event, args):
    if event == "import" and {{"", {folder!r}}} & {{*(args[2] or ())}}:
        open(os.path.join({folder!r}, "SEEN"), "a").write(args[0] + " ")
if os.environ.get("WATCH"):
    sys.addaudithook(watch)
"""


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """A folder with photos and a trained run."""
    folder = tmp_path_factory.mktemp("hostile").resolve()
    write_faces(folder / "data" / "fasseg" / "V2")
    (folder / "my_net.py").write_text("import my_layers\n\nclass Tiny(my_layers.Base):\n    pass\n")
    (folder / "my_layers.py").write_text("from facesegl.nets import UNet as Base\n")
    (folder / "my_package").mkdir()
    (folder / "my_package" / "__init__.py").write_text("")
    (folder / "my_package" / "nets.py").write_text(
        "import my_layers\n\nclass Tiny(my_layers.Base):\n    def forward(self, images):\n        import my_late\n"
        "        return super().forward(images)\n"
    )
    (folder / "my_late.py").write_text("import rich.markdown, torch.utils.data.datapipes\n")
    done = start(folder, [script()], ["train", *SMALL_UNET, "paths.run=run"])
    assert done.returncode == 0, done.stderr
    done = start(folder, [script()], ["train", *SMALL_UNET, "model._target_=my_package.nets.Tiny", "paths.run=mine"])
    assert done.returncode == 0, done.stderr
    for name in (*OPTIONAL, *INSTALLED, *STANDARD):
        file = folder / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(EVIL.format(folder=str(folder)))
    info = folder / "evil-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    groups = ("torch.backends", "pydantic", "lightning.pytorch.callbacks_factory", "tensorboard_plugins")
    (info / "entry_points.txt").write_text("".join(f"[{group}]\nevil = wandb:run\n" for group in groups))
    (folder / "matplotlibrc").write_text("backend: module://wandb\n")
    hook = folder / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(WATCH.format(folder=str(folder)))
    return folder


def start(folder, command, words, **environment):
    paths = os.pathsep.join([str(folder / "hook"), str(TESTS)])
    given = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths, "FACESEGL_CACHE": str(folder / "cache")}
    return subprocess.run(
        [*command, *words],
        cwd=folder,
        env={**given, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def assert_nothing_ran(folder, command, words, **environment):
    for name in ("RAN", "SEEN"):
        (folder / name).unlink(missing_ok=True)
    done = start(folder, command, words, WATCH="1", **environment)
    assert done.returncode == 0, done.stderr
    ran = {name: (folder / name).read_text() for name in ("RAN", "SEEN") if (folder / name).exists()}
    assert not ran
    return done


PREDICT = ["predict", "run", "data/fasseg/V2/Test_RGB", "-o", "masks"]
VERBS = [
    ["train", "--help"],
    ["train", *SMALL_UNET],
    ["train", *SMALL_UNET, "init=run", "data.workers=1", "logger=csv"],
    ["train", "-m", *SMALL_UNET, "seed=0,1"],
    ["train", *SMALL_UNET, "data.batch_size=1", "trainer=ddp", "trainer.accelerator=cpu"],
    ["evaluate", "run", "set=val"],
    ["compare", "run", "mine", "--set", "val"],
    ["report", "run"],
    ["export", "run", "-o", "model.onnx"],
    ["export", "run", "-o", "int8.onnx", "--int8"],
    ["data", "check"],
    ["data", "preview"],
]


@pytest.mark.parametrize("words", [["info", "run"], ["info", "run/checkpoints/last.ckpt", "--json"], PREDICT], ids=str)
def test_a_model_is_opened_without_importing_anything_from_the_folder(ready, words):
    assert_nothing_ran(ready, [script()], words)


@pytest.mark.slow
@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_no_verb_imports_anything_from_the_folder(ready, words):
    assert_nothing_ran(ready, [script()], words)


@pytest.fixture
def without_the_standard_library(ready):
    """`python -m` itself imports some modules of the standard library, before facesegl starts."""
    aside = [ready / f"{name}.py" for name in STANDARD]
    for file in aside:
        file.rename(file.with_suffix(".aside"))
    yield
    for file in aside:
        file.with_suffix(".aside").rename(file)


MODULE = [sys.executable, "-m", "facesegl"]


@pytest.mark.usefixtures("without_the_standard_library")
@pytest.mark.parametrize("command", [MODULE, [sys.executable, "-u", "-mfacesegl"], [sys.executable, "-P", *MODULE[1:]]])
def test_python_m_imports_nothing_from_the_folder(ready, command):
    (ready / "SEEN").unlink(missing_ok=True)
    done = start(ready, command, ["info", "run"])
    assert done.returncode == 0, done.stderr
    assert not (ready / "RAN").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("without_the_standard_library")
def test_the_ranks_of_python_m_import_nothing_from_the_folder(ready):
    (ready / "RAN").unlink(missing_ok=True)
    words = ["train", *SMALL_UNET, "data.batch_size=1", "trainer=ddp", "trainer.accelerator=cpu"]
    assert start(ready, MODULE, words).returncode == 0
    assert not (ready / "RAN").exists()


def test_a_path_that_the_user_gives_stays_on_the_path(ready):
    words = ["info", "run"]
    done = start(ready, [sys.executable, "-P", "-m", "facesegl"], words, PYTHONPATH=str(ready))
    assert "ImportError" in done.stderr  # the user's own choice


def test_a_named_module_imports_its_neighbours_and_nothing_hostile(ready):
    words = ["predict", "mine", "data/fasseg/V2/Test_RGB", "-o", "masks", "--trust", "my_package"]
    assert_nothing_ran(ready, [script()], words)
    assert "not trusted" in start(ready, [script()], words[:-2]).stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["train", *SMALL_UNET, "model._target_=my_net.Tiny", "trainer=ddp", "trainer.accelerator=cpu"],
        ["report", "mine", "trust=[my_package]"],
    ],
    ids=["train", "report"],
)
def test_a_named_module_is_found_in_every_process(ready, words):
    assert_nothing_ran(ready, [script()], words)


def test_the_folder_does_not_hide_an_installed_module_of_that_name(ready, monkeypatch):
    monkeypatch.chdir(ready)
    code = "from facesegl.user_modules import import_named; print(import_named('yaml').__file__)"
    done = start(ready, [sys.executable, "-P", "-c", code], [])
    assert Path(done.stdout.strip()).name == "__init__.py", done.stderr
