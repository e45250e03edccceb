"""The notebooks are committed as they ran, without traces of the machine, and run from top to bottom anywhere."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
OF_A_MACHINE = re.compile(r"/(home|root|tmp|work|Users|usr|var|opt)\b|[A-Z]:\\|\.venv|site-packages")


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def cells(notebook, kind):
    return [cell for cell in notebook.cells if cell.cell_type == kind]


def outputs(notebook):
    return [output for cell in cells(notebook, "code") for output in cell.outputs]


def kinds(notebook):
    """The outputs of each code cell, by its id: names of streams, MIME types of pictures."""
    return {
        cell.id: [output.get("name") or sorted(output.get("data", [])) for output in cell.outputs]
        for cell in cells(notebook, "code")
    }


def words(notebook):
    """All texts, metadata included."""
    yield from (cell.source for cell in notebook.cells)
    yield from (str(cell.metadata) for cell in notebook.cells)
    for output in outputs(notebook):
        yield from output.get("data", {"text/plain": output.get("text", "")}).get("text/plain", "").splitlines()
        yield str(output.get("metadata", ""))
    yield str(notebook.metadata)


def test_there_are_three_small_ones():
    assert [path.stem for path in PATHS] == ["01_data", "02_train", "03_evaluate_and_predict"]
    assert all(path.stat().st_size < 1e6 for path in PATHS)


def test_they_are_committed_as_they_ran(notebook):
    counts = [cell.execution_count for cell in cells(notebook, "code")]
    assert counts == list(range(1, len(counts) + 1))
    assert sum("image/png" in output.get("data", {}) for output in outputs(notebook)) >= 3
    assert not [output for output in outputs(notebook) if output.output_type == "error"]


def test_they_show_no_warnings_and_no_bars(notebook):
    for output in outputs(notebook):
        assert output.get("name") != "stderr", output
        assert "text/html" not in output.get("data", {}), output
    assert not [line for line in words(notebook) if "\r" in line or "\x1b" in line]


def test_they_have_no_traces_of_the_machine_that_ran_them(notebook):
    assert not [line for line in words(notebook) if OF_A_MACHINE.search(line)]
    assert not [cell.id for cell in notebook.cells if "execution" in cell.metadata], "times of execution"
    assert notebook.metadata.kernelspec.name == "python3"


def test_they_use_synthetic_faces_only(notebook):
    code = "\n".join(cell.source for cell in cells(notebook, "code"))
    assert set(re.findall(r"\bdata=(\w+)", code)) == {"synthetic"}
    assert "fasseg" not in code.replace("facesegl", "")


def test_their_cells_have_readable_ids(notebook):
    names = [cell.id for cell in notebook.cells]
    assert len({*names}) == len(names)
    assert not [name for name in names if not re.fullmatch(r"[a-z]+(-[a-z]+)*", name)]


def test_what_they_link_to_is_there(notebook):
    prose = "\n".join(cell.source for cell in cells(notebook, "markdown"))
    links = re.findall(r"\]\(([^)h#][^)]*)\)", prose)
    assert links
    assert not [link for link in links if not (FOLDER / link).exists()]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_they_run_from_top_to_bottom_and_leave_nothing_behind(notebook, tmp_path, monkeypatch):
    here, theirs, temporary = tmp_path / "here", tmp_path / "photos", tmp_path / "tmp"
    for folder in (here, theirs, temporary):
        folder.mkdir()
    monkeypatch.setenv("FACESEGL_DATA", str(theirs))  # where the user has photos
    monkeypatch.setenv("FACESEGL_CACHE", str(theirs))
    monkeypatch.setenv("TMPDIR", str(temporary))
    committed = kinds(notebook)
    how = {"timeout": 600, "kernel_name": "python3", "coalesce_streams": True}
    run = NotebookClient(notebook, resources={"metadata": {"path": str(here)}}, **how).execute()
    assert kinds(run) == committed
    left = [path for folder in (here, theirs, temporary) for path in folder.rglob("*")]
    assert not left, "a notebook writes into a temporary folder and removes it"
