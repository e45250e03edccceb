"""pyproject.toml requires everything that the package imports, and nothing else."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NOT_OF_A_USER = {"dev", "notebooks"}
UNSEEN = {"onnxscript", "segmentation-models-pytorch"}  # imported by torch.onnx.export, and by its name as a string
UNSEEN |= {"wandb", "mlflow-skinny", "alembic"}  # imported by Lightning's loggers, and by MLflow for a database
LAZY = {"space.py", "study.py", "tune.py"}  # imported by the verb alone, after it has checked that its extra is there
PLUGINS = {canonicalize_name(name) for name in packages_distributions()["hydra_plugins"]}  # imported by Hydra


def names(requirements):
    return {canonicalize_name(Requirement(text).name) for text in requirements}


NEEDED = names(PROJECT["dependencies"])
EXTRA = {extra: names(asked) for extra, asked in PROJECT["optional-dependencies"].items() if extra not in NOT_OF_A_USER}
OF_EXTRAS = set().union(*EXTRA.values())


def imports(node: ast.AST, *, inside: bool = False) -> Iterator[tuple[str, bool]]:
    """The modules that are imported when the program runs, each with whether a function does it."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        yield from ((alias.name, inside) for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.level == 0:
        yield str(node.module), inside
    within = inside or isinstance(node, ast.FunctionDef | ast.Lambda)
    for child in ast.iter_child_nodes(node):
        yield from imports(child, inside=within)


@cache
def used() -> set[tuple[str, str, bool]]:
    """Of the package and of conf/: file, distribution, and whether it is reached only when something is called."""
    found = set()
    for path in (ROOT / "src").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found |= {(path.name, module.partition(".")[0], inside) for module, inside in imports(tree)}
    for path in (ROOT / "conf").rglob("*.yaml"):
        targets = re.findall(r"_target_: (\w+)", path.read_text(encoding="utf-8"))
        found |= {(path.name, module, True) for module in targets}
    strange = [each for each in found if each[1] not in {*sys.stdlib_module_names, "facesegl"}]
    known = packages_distributions()
    return {
        (file, canonicalize_name(distribution), inside)
        for file, module, inside in strange
        for distribution in set(known.get(module, [module]))
    }


def test_every_import_is_required():
    assert {(file, name) for file, name, _ in used() if name not in NEEDED | OF_EXTRAS} == set()


def test_dependencies_of_extras_are_imported_only_when_needed():
    assert {
        (file, name) for file, name, inside in used() if name in OF_EXTRAS - NEEDED and not inside and file not in LAZY
    } == set()


def test_every_requirement_is_used():
    assert (NEEDED | OF_EXTRAS) - {name for _, name, _ in used()} - UNSEEN - PLUGINS == set()
