"""An environment that holds a wheel and what it asks for, and nothing of a developer's."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path, PurePath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from helpers.calling import Ended

DEVELOPERS = ("FACESEGL", "PYTHON", "PYTEST", "VIRTUAL_ENV", "XDG_", "COV_")


class Environment:
    """A virtual environment of its own, with a pip that lies outside it."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        self.scripts = folder / "bin"
        self.packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))

    def install(self, wheel: Path, extras: Sequence[str] = ()) -> None:
        """Install a wheel that asks for nothing that the environment of the tests does not have.

        What it asks for is not installed again (PyTorch alone would take minutes) but linked out of that environment:
        just what its metadata name, and what these need in turn. That this is enough is for pip to say.
        """
        (metadata,) = (each for each in distributions(path=[str(wheel)]) if each.name == "facesegl")
        for needed in closure(metadata.requires or (), extras):
            lend(needed, self.packages)
        asked = f"{wheel}[{','.join(extras)}]" if extras else wheel
        for told in (self.pip("install", "--no-index", asked), self.pip("check")):
            assert told.code == 0, told.out + told.err

    def pip(self, *arguments: object) -> Ended:
        """Our pip, working on this environment; there is no git."""
        pip = [sys.executable, "-m", "pip", "--python", self.scripts / "python", "--disable-pip-version-check"]
        return ended([*pip, *arguments], Path(), {**os.environ, "PATH": str(self.scripts)})

    def python(self, *arguments: object, cwd: Path) -> Ended:
        """Its interpreter, with nothing else on the path; there is no git."""
        return ended([self.scripts / "python", *arguments], cwd, {**stranger(cwd), "PATH": str(self.scripts)})

    def facesegl(self, *arguments: object, cwd: Path) -> Ended:
        """The command that was installed here, as somebody else calls it."""
        return ended([self.scripts / "facesegl", *arguments], cwd, stranger(cwd))


def stranger(home: Path) -> dict[str, str]:
    """What somebody has set who is not a developer: nothing that points here."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(DEVELOPERS)}
    return {**mine, "HOME": str(home), "OMP_NUM_THREADS": "1"}


def ended(command: Iterable[object], cwd: Path, environment: dict[str, str]) -> Ended:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def closure(requirements: Iterable[str], extras: Sequence[str]) -> list[Distribution]:
    """What meets all of these requirements, out of what is installed here."""
    waiting = [each for each in map(Requirement, requirements) if applies(each, extras)]
    met, found = set(), {}
    while waiting:
        asked = waiting.pop()
        met.add(str(asked))
        installed = found[canonicalize_name(asked.name)] = distribution(asked.name)
        inner = [each for each in map(Requirement, installed.requires or ()) if applies(each, asked.extras)]
        waiting += [each for each in inner if str(each) not in met]
    return list(found.values())


def applies(requirement: Requirement, extras: Iterable[str]) -> bool:
    """Whether it holds on this machine for somebody who asked for these extras."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


def lend(distribution: Distribution, packages: Path) -> None:
    """Link it into another environment, each package as a whole and all else file by file."""
    for inner in wholes(distribution):
        link = packages / inner
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(distribution.locate_file(inner))


def wholes(distribution: Distribution) -> Iterator[PurePath]:
    """The outermost packages of a distribution, and the files that lie in none (as where others share a namespace)."""
    files = [file for file in distribution.files or () if ".." not in file.parts]
    packages = {file.parent for file in files if file.name == "__init__.py"}
    yield from {next((each for each in reversed(file.parents) if each in packages), file) for file in files}
