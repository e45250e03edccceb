"""Every command and Python block of README.md and of the pages of docs/ runs, with tiny photos and one epoch."""

import functools
import re
import shlex
import shutil
from pathlib import Path

import pytest

import facesegl
from docs.pages import ROOT, TASKS, WRITERS, blocks, commands, inputs, output, section, text, trainings
from facesegl.config.compose import Composed, sweep
from facesegl.download.fetch import Outcome
from helpers.calling import call, succeed
from helpers.faces import write_faces
from helpers.trainings import SMALL_UNET, net_of_faces
from helpers.trees import write_folders

SMALLER = [*SMALL_UNET, "trainer.max_epochs=1"]
LINES = {tuple(words): page for page in reversed(TASKS) for words in commands(text(page))}  # each once
OVERRIDES = re.findall(r"`([a-z_./]+=[^`\s]+)`", section("docs/training.md", "Choose and set"))
PYTHON = [(page, block) for page in TASKS for block in blocks(text(page), "python")]


@pytest.fixture
def run(monkeypatch):
    """A function that runs one command, which must succeed without a warning; trainings are made small."""
    monkeypatch.setattr("facesegl.commands.data_download.download", lambda folder, **how: Outcome(folder, 948, 948))

    def run(words):
        few = ["data.photos=1,2"] if "sweep=label_efficiency" in words else []  # the tiny set has no twenty photos
        deep = {"init=facesegl:faces", "experiment=quick"} & {*words}  # for one image of 16 pixels too deep
        net = [*net_of_faces(), "data.image_size=32"] if deep else []
        one = ["--trials", "1"] if words[1] == "tune" else []
        ended = succeed(*words[1:], *(SMALLER if words[1] in ("train", "tune") else []), *few, *net, *one)
        # the photos are cartoons
        assert not [line for line in ended.lines("warning") if "unlike the faces" not in line]

    return run


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Photos, masks, and what commands that others build on have written so far."""
    folder = tmp_path_factory.mktemp("pages")
    for version in ("V1", "V2"):
        write_faces(folder / "data" / "fasseg" / version)
    write_folders(folder, [f"person{number}" for number in range(10)])
    (folder / "my.yaml").write_text(blocks(text("docs/data.md"), "yaml")[0], encoding="utf-8")
    return folder


@pytest.fixture
def here(written, run, tmp_path, monkeypatch):
    """Go to a folder that has all that some words name."""

    def write(name):
        if not Path(name).exists():
            for each in inputs(WRITERS[name]):
                write(each)
            run(WRITERS[name])

    def here(words):
        with monkeypatch.context() as patch:
            patch.chdir(written)
            for name in inputs(words):
                write(name)
        shutil.copytree(written, tmp_path, dirs_exist_ok=True)

    return here


def marked(words, page):
    slow = [pytest.mark.slow] if "-m" in words or words[1] == "tune" else []  # several trainings
    return pytest.param(words, id=f"{page}: {' '.join(words[1:])}", marks=slow)


@pytest.mark.parametrize("words", [marked(words, page) for words, page in LINES.items()])
def test_every_command_runs(words, run, here):
    here(words)
    target = Path(output(words) or "none")
    shutil.rmtree(target, ignore_errors=True)
    target.unlink(missing_ok=True)
    run(words)


@pytest.mark.parametrize(("page", "block"), PYTHON, ids=[page for page, _ in PYTHON])
def test_every_python_block_runs(page, block, here, monkeypatch, capsys):
    for verb in ("train", "sweep", "tune"):
        real = getattr(facesegl, verb)
        small = functools.partial(lambda real, *given, **how: real(*given, *SMALLER, **how), real)
        monkeypatch.setattr(facesegl, verb, small, raising=False)
    here(re.findall(r'"(runs/\w+)"', block))
    exec(compile(block, page, "exec"), {})  # our own page, not a stranger's file
    printed = capsys.readouterr().out
    assert "runs/" in printed or "'mouth') (40, 32) (6, 40, 32)" in printed


@pytest.mark.parametrize("page", ["README.md", "docs/training.md"])
def test_mistakes_are_reported_as_the_page_says(page):
    (shown,) = [block for block in blocks(text(page), "console") if "error:" in block]
    command, *messages = shown.strip().splitlines()
    ended = call(*command.removeprefix("$ facesegl ").split())
    assert (ended.code, sorted(ended.err.strip().splitlines())) == (2, sorted(messages))


@pytest.mark.parametrize(
    "page", [*TASKS, *(f"docs/{name}.md" for name in ("extending", "fasseg", "reliability", "results", "scaling"))]
)
def test_what_a_page_links_to_is_there(page):
    for link in re.findall(r"\]\(([^)h][^)]*)\)", text(page)):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        titles = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), flags=re.MULTILINE) if anchor else []
        assert not anchor or anchor in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("words", trainings(text("docs/scaling.md")), ids=" ".join)
def test_every_training_of_the_page_on_clusters_composes(words):
    for job in sweep([word for word in words if word != "-m"]):
        trainer = Composed.of(job).config.trainer
        assert ("strategy" in trainer) == ("trainer=ddp" in words)


def test_the_arithmetic_of_the_page_on_clusters_is_right():
    (photos, held_out, batch, epochs), numbers = (24_000, 6_000, 16, 20), text("docs/scaling.md").replace("\u202f", " ")
    for gpus, slowdown in ((1, 1.0), (8, 1.1)):
        steps, batches = -(-photos // (gpus * batch)), -(-held_out // (gpus * batch))
        seconds = epochs * (steps * 0.25 * slowdown + batches * 0.08) + held_out * 0.3
        for number in (steps, batches, epochs * steps, round(seconds)):
            assert f"{number:,}".replace(",", " ") in numbers
    assert round(30_000 * (512 * 512 * 4) / 1e9, 1) == 31.5


def test_the_make_targets_of_readme_are_there():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    named = re.findall(r"\bmake ([a-z-]+)", text("README.md"))
    assert {"demo", "test"} <= {*named} <= {*targets}


def test_readme_lists_the_classes_that_its_page_explains():
    assert blocks(text("README.md"), "yaml") == blocks(text("docs/data.md"), "yaml")


def test_every_test_that_the_page_about_reliability_names_is_there():
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", text("docs/reliability.md"))
    assert len(named) > 30
    assert [name for name in named if f"def {name}(" not in tests] == []


def test_readme_is_short():
    assert len(text("README.md").split()) < 1800


def test_the_demo_prints_what_readme_shows():
    recipe = re.search(r"^demo:.*?\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[1]
    small = " ".join(["data.source.height=48", *SMALLER]).replace("callbacks.panels=null", "")
    line = recipe.replace("\\\n", " ").splitlines()[0].replace("$(BIN)/", "").replace("$(RUNS)", "runs")
    (shown,) = [block for block in blocks(text("README.md"), "console") if "make demo" in block]
    ended = succeed(*shlex.split(f"{line} {small}")[1:])
    assert plain(shown.split("...")[1]) in plain(ended.out)


def plain(table):
    """The words of a table, without its numbers and widths."""
    return re.sub(r"\d\.\d+|nan|─+", "0", " ".join(table.split()))


@pytest.mark.parametrize("override", [each for each in OVERRIDES if each not in ("group=option", "key=value")])
def test_every_choice_and_key_on_the_page_composes(override):
    assert len(OVERRIDES) > 12
    facesegl.compose([override])


@pytest.mark.slow
def test_the_check_of_fasseg_prints_what_its_page_shows(real_fasseg, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    (shown,) = blocks(text("docs/fasseg.md"), "console")
    command, _, expected = shown.partition("\n")
    words = [real_fasseg if word == "data/fasseg" else word for word in shlex.split(command)[2:]]
    assert [line.rstrip() for line in succeed(*words).out.rstrip().splitlines()] == expected.splitlines()
