"""Hyperparameter search: the search space, and an Optuna study that several processes work on.

It needs Optuna (the extra `tune`), which only a search imports.
"""

from importlib.util import find_spec

from facesegl.errors import ConfigError


def require_optuna() -> None:
    """Check that Optuna is installed.

    Raises:
        ConfigError: it is not.
    """
    if find_spec("optuna") is None:
        raise ConfigError("tune: needs optuna; install with pip install 'facesegl[tune]'.")
