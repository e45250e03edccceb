"""Versions that several files name are the same in all of them."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import facesegl

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def read_yaml(name):
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_citation_has_the_package_s_version_licence_and_authors():
    citation = read_yaml("CITATION.cff")
    assert (citation["version"], citation["license"]) == (facesegl.__version__, PROJECT["license"])
    assert citation["authors"] == PROJECT["authors"]
    assert citation["keywords"] == PROJECT["keywords"]


def test_pre_commit_runs_the_ruff_of_constraints():
    (repository,) = read_yaml(".pre-commit-config.yaml")["repos"]
    pinned = re.search(r"^ruff==(.+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert repository["rev"] == f"v{pinned}"


def test_what_the_dev_extra_asks_for_is_pinned():
    pinned = {line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    asked = {re.split(r"[>=\[]", each)[0].lower() for each in PROJECT["optional-dependencies"]["dev"]}
    assert asked - {"facesegl"} <= pinned


def pins(name):
    """The version of each package that a constraints file pins, by its normalized name."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return {canonicalize_name(line.partition("==")[0]): line.partition("==")[2] for line in lines if "==" in line}


def test_the_lowest_versions_of_pyproject_are_those_that_make_test_versions_installs():
    extras = PROJECT["optional-dependencies"]
    users = [
        *PROJECT["dependencies"],
        *(text for name in extras.keys() - {"dev", "notebooks"} for text in extras[name]),
    ]
    floors = {
        canonicalize_name(required.name): spec.version
        for required in map(Requirement, users)
        for spec in required.specifier
        if spec.operator == ">="
    }
    del floors["torch"]  # as constraints.txt pins it
    assert floors.items() <= pins("constraints-lowest.txt").items()


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-next.txt"])
def test_pyproject_allows_the_versions_that_are_tested(name):
    pinned = pins(name)
    for required in map(Requirement, PROJECT["dependencies"]):
        version = pinned.get(canonicalize_name(required.name))
        assert version is None or required.specifier.contains(version, prereleases=True), required


def test_the_workflow_runs_what_make_offers_on_the_oldest_python_we_support():
    workflow = read_yaml(".github/workflows/test.yml")["jobs"]["test"]
    assert {"run": "make lint test"}.items() <= workflow["steps"][-1].items()
    assert PROJECT["requires-python"] == f">={min(workflow['strategy']['matrix']['python'])}"
