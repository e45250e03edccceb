"""The charts of a study: its history, the importance of the keys, and a slice for each of them."""

import json
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from facesegl.reporting.charts import Charts, history_chart, importance_chart, slice_chart, sweep_chart
from facesegl.runs.sweep_jobs import Job
from facesegl.text import finite, number


def states_in_words(jobs: Sequence[Job]) -> str:
    """How many trials ended how, e.g. `12 trials: 9 done, 2 pruned, 1 failed`."""
    counts = Counter(job.state for job in jobs).most_common()
    return f"{number(len(jobs), 'trial')}: {', '.join(f'{count} {state}' for state, count in counts)}"


def study_charts(jobs: Sequence[Job], space: Mapping[str, str], what: str) -> Charts:
    """History, importance and slices, from the job.json files alone.

    Args:
        jobs: the trials.
        space: what was searched, as in study.json.
        what: the score's name.
    """
    scored = [job for job in jobs if job.miou is not None]
    return [*_history(jobs, scored, what), *_importance(scored, space), *_slices(scored, space, what)]


def _history(jobs: Sequence[Job], scored: Sequence[Job], what: str) -> Iterator[Any]:
    scores = {job.number: job.miou or 0.0 for job in scored}
    if not scores:
        return
    unscored: dict[str, list[int]] = {}
    for job in jobs:
        if job.miou is None:
            unscored.setdefault(job.state, []).append(job.number)
    best = max(scored, key=lambda job: job.miou or 0.0)
    words = f"History: {what} of each trial, and the best so far. {states_in_words(jobs)}; best: trial {best.number}"
    yield "history", words, history_chart(scores, unscored, what)


def _importance(scored: Sequence[Job], space: Mapping[str, str]) -> Iterator[Any]:
    found = importance(scored, space)
    if found:
        words = ", ".join(f"{key} {value:.2f}" for key, value in found.items())
        yield "importance", f"Importance for reaching the best scores, by PED-ANOVA: {words}", importance_chart(found)


def importance(scored: Sequence[Job], space: Mapping[str, str]) -> dict[str, float]:
    """The importance of each key by PED-ANOVA, most important first; empty without Optuna or with too few trials."""
    if find_spec("optuna") is None or len(space) < 2:
        return {}
    import optuna

    distributions = {_plain(key): optuna.distributions.json_to_distribution(text) for key, text in space.items()}
    trials = [
        {key: _value(job.values[key], text) for key, text in zip(distributions, space.values(), strict=True)}
        for job in scored
    ]
    if len({job.miou for job in scored}) < 4:  # PED-ANOVA compares the best tenth with the others
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(direction="maximize")
        for job, params in zip(scored, trials, strict=True):
            study.add_trial(optuna.create_trial(params=params, distributions=distributions, value=job.miou))
        optuna.logging.set_verbosity(verbosity)
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def _slices(scored: Sequence[Job], space: Mapping[str, str], what: str) -> Iterator[Any]:
    for index, (key, text) in enumerate(space.items()):
        values, scores = [job.values.get(_plain(key), "") for job in scored], [job.miou or 0.0 for job in scored]
        if len({*values}) < 2:
            continue
        words = f"{what} over {_plain(key)}: a point for each trial"
        if "choices" in json.loads(text)["attributes"]:
            yield f"slice_{index}", f"{words}, and the means", sweep_chart(_plain(key), values, scores, what)
        else:
            numbers = [finite(value) or 0.0 for value in values]
            log = bool(json.loads(text)["attributes"].get("log"))
            yield f"slice_{index}", words, slice_chart(_plain(key), numbers, scores, what, log=log)


def _plain(key: str) -> str:
    return key.lstrip("+~")


def _value(text: str, distribution: str) -> Any:
    kinds: dict[str, Any] = {"FloatDistribution": float, "IntDistribution": int}
    return kinds.get(json.loads(distribution)["name"], str)(text)
