"""Real trainings on the real photos. Thresholds lie below what docs/results.md has, by more than seeds differ."""

import pytest

import facesegl

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]


def train(real_fasseg, *overrides):
    return facesegl.train("data=fasseg_v2", "data.fold=null", f"paths.data={real_fasseg.parent}", *overrides)


def test_the_reference_learns_in_a_hundred_epochs(real_fasseg, all_threads):
    result = train(real_fasseg, "experiment=reference", "trainer=cpu", "trainer.max_epochs=100")
    assert result.scores["test_clean"]["scores"]["miou"] > 0.72
    again = facesegl.evaluate(result.folder / "checkpoints" / "last.ckpt", f"paths.data={real_fasseg.parent}")
    for name, found in result.scores.items():
        assert again.scores[name]["scores"]["miou"] == pytest.approx(found["scores"]["miou"], abs=1e-6)


def test_the_default_recipe_learns_in_half_of_its_epochs(real_fasseg, all_threads):
    # Seeds 0 to 3 reached 0.867, 0.826, 0.837 and 0.862. A quarter of the epochs is no exam: 0.63 to 0.82, by seed.
    result = train(real_fasseg, "trainer.max_epochs=100")
    assert result.scores["test_clean"]["scores"]["miou"] > 0.77
