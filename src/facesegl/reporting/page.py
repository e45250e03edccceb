"""The page itself: templates filled with plain values, self-contained."""

import base64
import hashlib
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from facesegl.errors import ConfigError
from facesegl.reporting.scored_sets import cell
from facesegl.text import spaced

_TEMPLATES = Path(__file__).with_name("templates")
_NEEDS = ("jinja2", "matplotlib")


def require_extras() -> None:
    """Check that the packages that make the page are installed.

    Raises:
        ConfigError: one is not.
    """
    if missing := [name for name in _NEEDS if find_spec(name) is None]:
        raise ConfigError(f"report: needs {' and '.join(missing)}; install with pip install 'facesegl[report]'.")


def render(template: str, **values: Any) -> str:
    """Fill a template; every value is escaped unless it is markup that was made here.

    Args:
        template: `run` or `sweep`.
        values: the variables of the template; a missing one is an error.

    Returns:
        A self-contained HTML page that opens from the disk without a network. A browser runs no script in it but ours,
        known by its hash: neither one injected by a value, nor one behind a link.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"score": cell, "thousands": spaced}
    environment.tests |= {"page_of_a_job": _is_page_of_a_job}
    style, script = ((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment.get_template(f"{template}.html.j2")
    return page.render(style=style, script=script, script_digest=digest, **values)


def _is_page_of_a_job(link: str) -> bool:
    """Whether a link leads to the page of a numbered folder next to this page, and nowhere else."""
    return re.fullmatch(r"\d+/report\.html", link) is not None
