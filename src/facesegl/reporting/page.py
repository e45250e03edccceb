"""The page itself: templates filled with plain values, and everything that it needs put inside."""

import base64
import hashlib
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from facesegl.errors import ConfigError

_TEMPLATES = Path(__file__).with_name("templates")
_NEEDS = ("jinja2", "matplotlib")


def require_extras() -> None:
    """Refuse to begin without what the page is made with.

    Raises:
        ConfigError: it is not installed.
    """
    if missing := [name for name in _NEEDS if find_spec(name) is None]:
        raise ConfigError(f"report: it needs {' and '.join(missing)}; install it with pip install 'facesegl[report]'.")


def render(template: str, **values: Any) -> str:
    """Fill a template; every value is escaped unless it is markup that was made here.

    Args:
        template: `run` or `sweep`.
        values: what the template names; a missing one is an error.

    Returns:
        HTML in one piece, which opens from the disk without a network. The one script that a browser runs in it is
        ours, known by its hash: neither one that a value smuggles in, nor one behind a link.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"score": _score, "thousands": _thousands}
    environment.tests |= {"page_of_a_job": _is_page_of_a_job}
    style, script = ((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment.get_template(f"{template}.html.j2")
    return page.render(style=style, script=script, script_digest=digest, **values)


def _score(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.3f}"


def _thousands(count: int) -> str:
    """A count in groups of three digits, which do not break."""
    return f"{count:,}".replace(",", "\u202f")


def _is_page_of_a_job(link: str) -> bool:
    """Whether a link leads into a numbered folder beside the page, and nowhere else."""
    return re.fullmatch(r"\d+/report\.html", link) is not None
