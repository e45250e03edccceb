import subprocess
import sys
from pathlib import Path

import pytest

START = "import pickle, sys; from facesegl.user_modules import current_folder, import_named; "


def python(code):
    command = [sys.executable, "-P", "-c", START + code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return (done.stdout + done.stderr).strip()


@pytest.fixture(autouse=True)
def _modules():
    Path("mine.py").write_text("import near\n\nclass Thing:\n    def late(self):\n        import far; return far.x\n")
    Path("near.py").write_text("import colorsys\n")
    Path("far.py").write_text("x = 'found'\n")
    Path("colorsys.py").write_text("raise SystemExit('hidden')\n")
    Path("optional.py").write_text("raise SystemExit('imported')\n")
    Path("package").mkdir()
    Path("package/inner.py").write_text("import near\n")


TRY = "\ntry:\n    import optional\nexcept ImportError:\n    print('not found')\n"


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        (TRY, "not found"),
        (f"import_named('mine'){TRY}", "not found"),
        ("import_named('mine'); print('near' in sys.modules)", "True"),
        ("print(import_named('mine').Thing().late())", "found"),
        ("import_named('package'); import package.inner; print('near' in sys.modules)", "True"),
        ("import_named('optional')", "imported"),
        ("print(import_named('colorsys').ONE_THIRD > 0)", "True"),
        ("import os; os.mkdir('d'); os.chdir('d'); os.rmdir('../d'); import_named('mine')", "No module named 'mine'"),
    ],
)
def test_only_a_named_module_and_what_it_imports_come_from_the_folder(code, printed):
    assert python(code).endswith(printed)


def test_another_process_finds_the_module_of_an_object():
    python("thing = import_named('mine').Thing(); pickle.dump([current_folder, thing], open('thing', 'wb'))")
    assert python("print(pickle.load(open('thing', 'rb'))[1].late())") == "found"
    python("thing = import_named('mine').Thing(); pickle.dump(thing, open('thing', 'wb'))")
    assert "No module named 'mine'" in python("pickle.load(open('thing', 'rb'))")
