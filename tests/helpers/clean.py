"""A virtual environment with a wheel and its dependencies, and nothing of the development environment."""

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
    """A new virtual environment, managed by a pip outside it."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        self.scripts = folder / "bin"
        self.packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))

    def install(self, wheel: Path, extras: Sequence[str] = ()) -> None:
        """Install a wheel whose dependencies are installed in the environment of the tests.

        They are not installed again (PyTorch alone would take minutes) but linked: exactly those that its metadata
        name, and their dependencies. `pip check` verifies that nothing is missing.
        """
        (metadata,) = (each for each in distributions(path=[str(wheel)]) if each.name == "facesegl")
        for needed in closure(metadata.requires or (), extras):
            lend(needed, self.packages)
        asked = f"{wheel}[{','.join(extras)}]" if extras else wheel
        for done in (self.pip("install", "--no-index", asked), self.pip("check")):
            assert done.code == 0, done.out + done.err

    def pip(self, *arguments: object) -> Ended:
        """Run the tests' pip on this environment, without git."""
        pip = [sys.executable, "-m", "pip", "--python", self.scripts / "python", "--disable-pip-version-check"]
        return ended([*pip, *arguments], Path(), {**os.environ, "PATH": str(self.scripts)})

    def python(self, *arguments: object, cwd: Path) -> Ended:
        """Run its interpreter, without git."""
        return ended([self.scripts / "python", *arguments], cwd, {**user_environ(cwd), "PATH": str(self.scripts)})

    def facesegl(self, *arguments: object, cwd: Path) -> Ended:
        """Run its facesegl command, as a user does."""
        return ended([self.scripts / "facesegl", *arguments], cwd, user_environ(cwd))


def user_environ(home: Path) -> dict[str, str]:
    """Return the environment variables of a user: none that point to this checkout."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(DEVELOPERS)}
    return {**kept, "HOME": str(home), "OMP_NUM_THREADS": "1"}


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
    """Return the installed distributions that meet these requirements, recursively."""
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
    """Return whether a requirement applies on this machine with these extras."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


def lend(distribution: Distribution, packages: Path) -> None:
    """Link a distribution into another environment: packages as a whole, other files one by one."""
    for inner in wholes(distribution):
        link = packages / inner
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(distribution.locate_file(inner))


def wholes(distribution: Distribution) -> Iterator[PurePath]:
    """Yield the outermost packages of a distribution, and its files outside of packages (or in namespace packages)."""
    files = [file for file in distribution.files or () if ".." not in file.parts]
    packages = {file.parent for file in files if file.name == "__init__.py"}
    yield from {next((each for each in reversed(file.parents) if each in packages), file) for file in files}
