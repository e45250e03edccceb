"""The page itself: templates filled with plain values, and everything that it needs put inside."""

from pathlib import Path
from typing import Any

from facesegl.errors import ConfigError

_TEMPLATES = Path(__file__).with_name("templates")


def render(template: str, **values: Any) -> str:
    """Fill a template; every value is escaped unless it is markup that was made here.

    Args:
        template: `run` or `sweep`.
        values: what the template names; a missing one is an error.

    Returns:
        HTML in one piece, which opens from the disk without a network.
    """
    try:
        import jinja2
    except ImportError:
        raise ConfigError("report: it needs jinja2; install it with pip install 'facesegl[report]'.") from None
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"score": _score}
    style, script = ((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return environment.get_template(f"{template}.html.j2").render(style=style, script=script, **values)


def _score(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.3f}"
