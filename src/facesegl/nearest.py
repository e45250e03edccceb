"""The right name for a wrong one."""

import difflib
import textwrap
from collections.abc import Collection

_ALIKE = 0.6  # as difflib.get_close_matches has it


def nearest(name: str, options: Collection[str]) -> str | None:
    """The option that most resembles `name`, whatever its case, if any does.

    Example:
        >>> nearest("max_epoch", ["max_steps", "max_epochs"])
        'max_epochs'
        >>> nearest("UNET", ["FPN", "Unet"])
        'Unet'
    """
    alike = {option: difflib.SequenceMatcher(None, option.casefold(), name.casefold()).ratio() for option in options}
    found = max(alike, key=alike.__getitem__, default=None)  # of several the first
    return found if found is not None and alike[found] >= _ALIKE else None


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
