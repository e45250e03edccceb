"""README.md and the pages of docs/: their blocks, their commands, and what each command writes."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
TASKS = [
    "README.md",
    *(f"docs/{name}.md" for name in ("data", "training", "sweeps", "search", "evaluation", "prediction")),
]


def text(page):
    return (ROOT / page).read_text(encoding="utf-8")


def section(page, title):
    return re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text(page), flags=re.DOTALL | re.MULTILINE)[1]


def blocks(source, language):
    return re.findall(rf"```{language}\n(.*?)```", source, flags=re.DOTALL)


def commands(source):
    """The facesegl commands of a text, as words, without comments."""
    return [words for line in _lines(source) if (words := shlex.split(line, comments=True))[:1] == ["facesegl"]]


def _lines(source):
    """The lines of the bash blocks of a text, those that continue joined."""
    return "\n".join(blocks(source, "bash")).replace("\\\n", " ").splitlines()


def output(words):
    """The file or folder that a command names for what it writes."""
    runs = [word.removeprefix("paths.run=") for word in words if word.startswith("paths.run=")]
    return runs[0] if runs else words[words.index("-o") + 1] if "-o" in words else None


def inputs(words):
    """What other commands of the pages have to write before this one."""
    return [word for word in words if word in WRITERS and word != output(words)]


WRITERS = {output(words): words for page in reversed(TASKS) for words in commands(text(page)) if output(words)}


def trainings(source):
    """All trainings in the bash blocks of a text, also those that torchrun or srun starts, as words after the verb."""
    return [shlex.split(words) for line in _lines(source) if (words := line.partition("facesegl train ")[2])]
