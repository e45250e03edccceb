"""The search space of a study: sweeps in Hydra's grammar as Optuna distributions."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, RangeSweep
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from facesegl.config.compose import ConfigDirs, searched
from facesegl.errors import ConfigError

Space = dict[str, BaseDistribution]
"""Maps a key, with its `+` if it has one, to the distribution of its values; categories are text."""

_UNSEARCHABLE = dict.fromkeys(
    ("data.fold", "data.folds", "data.fold_seed"),
    "it chooses the validation photos, which are the same for all trials; data.fold=all validates on all photos",
)


def read_space(overrides: Sequence[str], config_dirs: ConfigDirs = ()) -> tuple[Space, list[str]]:
    """The search space of a command line and of `hydra.sweeper.params` in its config files.

    `interval(a,b)` is a float between both, `int(interval(a,b))` an integer, `range(a,b,step)` an integer below b,
    `a,b`, `choice(a,b)` and `glob(*)` are categories; `tag(log,...)` samples numbers on a logarithmic scale.

    Returns:
        The space, and the problems of sweeps that are none.
    """
    space: Space = {}
    problems: list[str] = []
    for key, (sweep, values) in searched(overrides, config_dirs=config_dirs).items():
        try:
            if unsearchable := _UNSEARCHABLE.get(key.lstrip("+")):
                raise ValueError(unsearchable)
            space[key] = _distribution(sweep, values)
        except ValueError as error:
            problems.append(f"{key}: {error}.")
    return space, problems


def _distribution(sweep: Any, values: Sequence[str]) -> BaseDistribution:
    """Raises a ValueError for a sweep that is no search space."""
    log = "log" in getattr(sweep, "tags", ())
    if other := sorted({*getattr(sweep, "tags", ())} - {"log"}):
        raise ValueError(f"tag({other[0]}) means nothing in a search; expected tag(log,...)")
    if getattr(sweep, "shuffle", False):
        raise ValueError("a search has no order to shuffle; leave shuffle out")
    match sweep:
        case IntervalSweep(start=int(low), end=int(high)):
            return _numbers(IntDistribution, low, high, log=log)
        case IntervalSweep(start=float(low), end=float(high)):
            return _numbers(FloatDistribution, low, high, log=log)
        case RangeSweep() if {type(number) for number in sweep.range()} == {int}:
            numbers, step = list(sweep.range()), abs(int(sweep.step))
            if log and step != 1:
                raise ValueError(f"tag(log,...) needs a range with step 1, not {step}")
            return _numbers(IntDistribution, min(numbers), max(numbers), log=log, step=step)
    if log:
        what = "choices" if isinstance(sweep, ChoiceSweep) else "values"
        raise ValueError(f"tag(log,...) needs an interval or a range of integers; {what} have no scale")
    if not values:
        raise ValueError("there are no values")
    return CategoricalDistribution([*dict.fromkeys(values)])


def _numbers(kind: Any, low: float, high: float, *, log: bool, **given: int) -> BaseDistribution:
    if low > high:
        raise ValueError(f"its start, {low:g}, is above its end, {high:g}; expected interval(START,END)")
    if log and low <= 0:
        raise ValueError(f"tag(log,...) needs a start above 0, not {low:g}")
    distribution: BaseDistribution = kind(low, high, log=log, **given)
    return distribution


def written(distribution: BaseDistribution, value: Any) -> str:
    """A value as in an override: a float is rounded to four significant digits, within its interval.

    Example:
        >>> written(FloatDistribution(1e-4, 1e-1), 0.00123456789), written(FloatDistribution(0, 0.99999), 0.99998)
        ('0.001235', '0.99999')
    """
    if isinstance(distribution, FloatDistribution):
        return repr(min(max(float(f"{value:.4g}"), distribution.low), distribution.high))
    return str(value)


def overrides_of(space: Mapping[str, BaseDistribution], values: Mapping[str, Any]) -> list[str]:
    """The overrides that set the keys of a space to values of it."""
    return [f"{key}={written(distribution, values[key])}" for key, distribution in space.items()]


def to_check(space: Mapping[str, BaseDistribution]) -> list[str]:
    """Sweeps in Hydra's grammar over every category and both ends of all numbers, to check before the first trial."""
    return [f"{key}={','.join(_ends(distribution))}" for key, distribution in space.items()]


def _ends(distribution: BaseDistribution) -> list[str]:
    if isinstance(distribution, CategoricalDistribution):
        return [str(choice) for choice in distribution.choices]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return [*dict.fromkeys(written(distribution, end) for end in (distribution.low, distribution.high))]


def to_plain(space: Mapping[str, BaseDistribution]) -> dict[str, str]:
    """A space in builtin values, for JSON; Optuna's `json_to_distribution` reads them."""
    return {key: distribution_to_json(distribution) for key, distribution in space.items()}


def require_keys(space: Space) -> None:
    """Refuse a search over nothing, with a ConfigError."""
    if not space:
        raise ConfigError(
            "tune: no key to search over; give at least one several values, e.g. "
            "'optimizer.lr=tag(log,interval(1e-4,1e-1))', 'model.channels=int(interval(8,24))' or loss=ce,ce_dice."
        )
