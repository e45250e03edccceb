"""The page of a study: history, importance and slices from its job.json files, with the states."""

import json
import re

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from facesegl.reporting.study_charts import importance
from facesegl.runs.sweep_jobs import read_jobs
from facesegl.tuning.space import to_plain
from helpers.records import page, write_sweep

SPACE = {
    "optimizer.lr": FloatDistribution(1e-4, 1e-1, log=True),
    "loss": CategoricalDistribution(["ce", "ce_dice"]),
    "+model.channels": IntDistribution(4, 8),
}
TRIALS = [
    (
        [f"optimizer.lr={1e-4 * 2**n}", f"loss={('ce', 'ce_dice')[n % 2]}", f"+model.channels={4 + n % 3}"],
        None if n == 5 else 0.3 + n / 20,
    )
    for n in range(9)
]


@pytest.fixture
def study(tmp_path):
    folder = write_sweep(tmp_path / "study", TRIALS)
    (folder / "study.json").write_text(json.dumps({"schema": 2, "space": to_plain(SPACE)}))
    note = json.loads((folder / "5" / "job.json").read_text())
    pruned = {"state": "pruned", "exit_code": 0, "messages": ["by pruning after epoch 2 of 9"]}
    (folder / "5" / "job.json").write_text(json.dumps(note | pruned))
    return folder


def test_the_page_has_history_importance_and_slices_and_states(study):
    shown = page(study)
    pictures = sorted(file.stem for file in (study / "figures").iterdir())
    assert pictures == ["history", "importance", "slice_0", "slice_1", "slice_2"]
    assert "9 trials: 8 done, 1 pruned" in shown
    assert "History: mIoU on val of each trial, and the best so far" in shown
    assert "<pre>facesegl train optimizer.lr=0.0256 loss=ce +model.channels=6</pre>" in shown
    assert "the best of many trials is optimistic" in shown
    heads = len(re.findall(r"<th scope", shown))
    rows = re.findall(r"<tr>\s*<td.*?</tr>", shown, re.DOTALL)
    assert [row.count("<td") for row in rows] == [heads] * len(TRIALS)
    assert ("pruned" in rows[-1], "pruned" in rows[0]) == (True, False)


def test_the_key_that_decides_is_the_most_important(study):
    scored = [job for job in read_jobs(study) if job.miou is not None]
    found = importance(scored, to_plain(SPACE))
    assert next(iter(found)) == "optimizer.lr"
    assert {*found} == {"optimizer.lr", "loss", "model.channels"}


def test_the_page_is_written_without_optuna(study, monkeypatch):
    monkeypatch.setattr("facesegl.reporting.study_charts.find_spec", lambda name: None)
    assert "history" in page(study)
    assert not (study / "figures" / "importance.png").exists()
