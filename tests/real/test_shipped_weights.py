"""The shipped weights on the real photos: the figure of the model card."""

import re
from pathlib import Path

import pytest

import facesegl

CARD = Path(__file__).parents[2] / "docs" / "model_card.md"

pytestmark = pytest.mark.slow


def test_the_shipped_weights_score_what_the_model_card_says(real_fasseg, all_threads):
    said = re.search(r"<!-- test_clean: (0\.\d+) -->", CARD.read_text(encoding="utf-8"))
    if not said:
        pytest.skip(f"{CARD} has no figure yet, <!-- test_clean: 0.xxx -->")
    result = facesegl.evaluate("facesegl:faces", "data=fasseg_v2", f"paths.data={real_fasseg.parent}")
    assert result.scores["test_clean"]["scores"]["miou"] == pytest.approx(float(said[1]), abs=0.002)
