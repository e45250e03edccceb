"""`facesegl report`: one self-contained HTML page for a run or a sweep."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from facesegl.commands.gallery import find_suspects, gallery
from facesegl.errors import ConfigError
from facesegl.files import write_text
from facesegl.reporting.page import require_extras
from facesegl.reporting.run_page import run_page
from facesegl.reporting.sweep_page import sweep_page
from facesegl.runs.result import read_result
from facesegl.runs.sweep_jobs import PHOTOS

_MALFORMED = (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError)
"""Errors from reading records that facesegl did not write."""


def report(
    folder: Path,
    overrides: Sequence[str] = (),
    config_dirs: Sequence["str | Path"] = (),
    baselines: Sequence[Path] = (),
) -> Path:
    """Write `report.html` into the folder of a run or a sweep, and the charts as PNG into its `figures/`.

    No code in the folder is run: its files are read as plain data. The page says what is missing.

    Args:
        folder: the folder of a training, an evaluation or a sweep.
        overrides: keys of conf/evaluate.yaml for the photos in the report, e.g. `paths.data=FOLDER`.
        config_dirs: folders with custom config groups.
        baselines: runs whose scores are lines in the chart of a sweep over the number of masks.

    Returns:
        The page's file.

    Raises:
        ConfigError: no such folder, one without results, a baseline that does not fit, or jinja2 or matplotlib are not
            installed.
        MachineError: the page cannot be written.
    """
    if not folder.is_dir():
        fact = "not a folder" if folder.exists() else "no such folder"
        raise ConfigError(f"{folder}: {fact}; expected that of a run or a sweep, as in runs/NAME/DATE.")
    require_extras()
    if (record := read_result(folder)) is not None:
        if baselines:
            raise ConfigError(f"--baseline: {folder} is a run; expected the folder of a sweep over {PHOTOS}.")
        with _well_formed(f"{folder / 'result.json'}: not as facesegl writes it"):
            pictures = gallery(folder, record, overrides, config_dirs) if record["scores"] else None
            page = run_page(folder, record, pictures)
    elif any((job / "job.json").is_file() for job in folder.iterdir() if job.name.isdecimal()):
        what = f"{folder}: a job.json or result.json of its jobs is not as facesegl writes it"
        with _well_formed(what, " Move that job's folder away."):
            folder = folder.resolve()  # `.` has no name
            page = sweep_page(folder, baselines, find_suspects(folder, overrides, config_dirs))
    else:
        raise ConfigError(
            f"{folder}: a folder without results: no readable result.json, no jobs of a sweep. Expected runs/NAME/DATE "
            f"as train and evaluate print it."
        )
    write_text(folder / "report.html", page)
    return folder / "report.html"


@contextmanager
def _well_formed(what: str, remedy: str = "") -> Iterator[None]:
    try:
        yield
    except _MALFORMED as error:
        cause = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ConfigError(f"{what} ({cause}); was it edited, or written by another version?{remedy}") from error
