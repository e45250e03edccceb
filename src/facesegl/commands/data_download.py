"""`facesegl data download`: download FASSEG to the folder where `data=fasseg_v2` expects it."""

from collections.abc import Sequence
from pathlib import Path

from facesegl.config.compose import compose
from facesegl.download.fetch import Outcome, download
from facesegl.errors import ConfigError


def data_download(
    folder: Path | None,
    overrides: Sequence[str] = (),
    *,
    url: str | None = None,
    archive: Path | None = None,
    force: bool = False,
) -> Outcome:
    """Download FASSEG, or verify the existing files.

    Args:
        folder: the target of V1, V2 and V3; None for `fasseg` below `paths.data`.
        overrides: `paths.data=FOLDER`, instead of `folder`.
        url: a mirror of the archive; None for GitHub.
        archive: a local zip; nothing is downloaded then.
        force: whether to replace files with other content.

    Raises:
        ConfigError: the command line contradicts itself.
        DataError, MachineError, Stopped: as `facesegl.download.fetch.download`.
    """
    if folder is not None and overrides:
        raise ConfigError(f"{overrides[0]}: the folder is already given as {folder}; give one of the two.")
    if url is not None and archive is not None:
        raise ConfigError(f"--url {url}: nothing is downloaded with --archive {archive}; give one of the two.")
    target = _default_folder(overrides) if folder is None else folder
    return download(target, url=url, archive=archive, force=force)


def _default_folder(overrides: Sequence[str]) -> Path:
    if foreign := [text for text in overrides if not text.startswith("paths.data=")]:
        raise ConfigError(*(f"{text}: data download takes no key but paths.data=FOLDER." for text in foreign))
    data = compose(overrides).paths.data
    if not data:
        raise ConfigError("paths.data: expected a folder; FASSEG is in `fasseg` below it.")
    return Path(data) / "fasseg"
