"""The right name for a wrong one."""

import difflib
import textwrap
from collections.abc import Collection


def nearest(name: str, options: Collection[str]) -> str | None:
    """The option that most resembles `name`, whatever its case, if any does.

    Example:
        >>> nearest("max_epoch", ["max_steps", "max_epochs"])
        'max_epochs'
        >>> nearest("UNET", ["FPN", "Unet"])
        'Unet'
    """
    as_written = {option.casefold(): option for option in options}
    found = difflib.get_close_matches(name.casefold(), as_written, n=1)
    return as_written[found[0]] if found else None


def suggestion(name: str, options: Collection[str]) -> str:
    """The remedy's half of a message about an unknown name.

    Example:
        >>> suggestion("chanels", ["channels", "depth"])
        'did you mean channels?'
        >>> suggestion("zoom", ["channels", "depth"])
        'there are: channels, depth'
    """
    if found := nearest(name, options):
        return f"did you mean {found}?"
    return textwrap.shorten(f"there are: {', '.join(sorted(options)) or 'none'}", width=200, placeholder=" ...")
