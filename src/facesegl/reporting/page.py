"""Render a self-contained HTML page from a template and plain values."""

import base64
import hashlib
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from facesegl.console import printable
from facesegl.errors import ConfigError
from facesegl.reporting.scored_sets import cell
from facesegl.text import spaced

_TEMPLATES = Path(__file__).with_name("templates")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # not newlines and tabs
_NEEDS = ("jinja2", "matplotlib")


def require_extras() -> None:
    """Check that the packages that make the page are installed.

    Raises:
        ConfigError: a package is missing.
    """
    if missing := [name for name in _NEEDS if find_spec(name) is None]:
        raise ConfigError(f"report: needs {' and '.join(missing)}; install with pip install 'facesegl[report]'.")


def render(template: str, **values: Any) -> str:
    """Fill a template; every value is escaped, except markup made by facesegl; control characters always are.

    Args:
        template: `run` or `sweep`.
        values: the variables of the template; a missing one is an error.

    Returns:
        A self-contained HTML page that opens without a network. Browsers run only our script, by its hash: none that
        a value injects or a link points to.

    Raises:
        ValueError: a value lacks what the template reads.
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
    try:
        text = page.render(style=style, script=script, script_digest=digest, **values)
    except jinja2.UndefinedError as error:
        raise ValueError(str(error)) from error
    return _CONTROLS.sub(lambda control: printable(control[0]), text)


def _is_page_of_a_job(link: str) -> bool:
    """Whether a link points to the report in a numbered folder next to this page."""
    return re.fullmatch(r"\d+/report\.html", link) is not None
