"""The notebooks: committed with their outputs, and they run from top to bottom."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_three():
    assert [path.stem for path in NOTEBOOKS] == ["01_data", "02_train", "03_evaluate_and_predict"]


def test_they_are_committed_as_they_ran(notebook):
    assert [cell.execution_count for cell in code(notebook)] == list(range(1, len(code(notebook)) + 1))
    outputs = [output for cell in code(notebook) for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_they_are_small_and_know_nothing_of_the_machine_that_ran_them(path):
    text = path.read_text(encoding="utf-8")
    assert len(text) < 1e6
    assert not [place for place in ("/home/", "/root", "/tmp/", "/work", "/Users/") if place in text]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_they_run_from_top_to_bottom(notebook, tmp_path):
    here = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=here).execute()
    assert list(tmp_path.iterdir()) == [], "a notebook writes below a temporary folder of its own"
