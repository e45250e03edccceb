import numpy as np
import pytest
import torch
from PIL import Image

from facesegl.errors import CheckpointError, ConfigError, DataError
from facesegl.prediction import Predictor
from facesegl.sources import resize_photo
from helpers.models import FASSEG6, Painter, channels, halves


def photo(height=20, width=14, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def by_hand(function, image, size=8):
    """Probabilities (C, H, W) computed by PyTorch."""
    small = resize_photo(image, size, size).transpose(2, 0, 1)[None]
    logits = torch.from_numpy(function(small).astype(np.float32))
    large = torch.nn.functional.interpolate(logits, size=image.shape[:2], mode="bilinear")
    return large.softmax(1)[0].numpy()


def test_a_photo_is_segmented_at_its_own_size():
    found, expected = Predictor(Painter(channels))(photo()), by_hand(channels, photo())
    assert found.names == ("background", "left eye", "right eye")
    assert (found.index.shape, found.index.dtype) == ((20, 14), np.uint8)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)
    assert (found.index == expected.argmax(0)).all()
    assert found.confidence == pytest.approx(expected.max(0).mean(), abs=1e-6)


def test_a_large_photo_in_bands_has_the_same_result(monkeypatch):
    whole = Predictor(Painter(channels))(photo())
    index, confidence, probabilities = whole.index, whole.confidence, whole.probabilities
    monkeypatch.setattr("facesegl.prediction.upsample._BAND", 3 * 14 * 6)
    found = Predictor(Painter(channels))(photo())
    assert [rows for rows, _ in found.bands()] == [slice(0, 6), slice(6, 12), slice(12, 18), slice(18, 20)]
    assert (found.probabilities == probabilities).all()
    assert (found.index == index).all()
    assert found.confidence == pytest.approx(confidence)


def one_of(*classes, height=50.0):
    """Logits that are sure of one class in each column of eight, the classes in turn."""
    logits = np.zeros((1, 3, 8, 8))
    logits[:, [classes[column % len(classes)] for column in range(8)], :, range(8)] = height
    return lambda photos: np.repeat(logits, len(photos), axis=0)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (one_of(0, 1, 2), 1),
        (one_of(0, 1), 2 / 3),
        (one_of(0, height=2000.0), 1 / 3),  # the other probabilities are 0 in float32
        (one_of(0, 1, 2, height=0.0), 1 / 3),
    ],
    ids=["sure of all", "one class is absent", "two are absent", "unsure"],
)
def test_an_image_is_familiar_if_the_net_is_sure_of_every_class(function, expected):
    assert Predictor(Painter(function), tta=True)(photo()).familiarity == pytest.approx(expected, abs=1e-6)


def test_familiarity_and_its_threshold_are_means_over_models():
    models = [Painter(one_of(0, 1)), Painter(one_of(0))]
    assert Predictor(*models)(photo()).familiarity == pytest.approx(1 / 2, abs=1e-6)
    models[0].card["unlike_below"] = 0.6
    assert Predictor(*models).unlike_below is None
    models[1].card["unlike_below"] = 0.3
    assert Predictor(*models).unlike_below == pytest.approx(0.45)


def test_an_ensemble_averages_probabilities_of_models_of_any_input_size():
    found = Predictor(Painter(channels, image_size=8), Painter(halves, image_size=16))(photo())
    expected = (by_hand(channels, photo(), 8) + by_hand(halves, photo(), 16)) / 2
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)
    assert (found.index == expected.argmax(0)).all()


def test_tta_mirrors_masks_back_with_left_and_right_classes_swapped():
    # the model predicts class 1 on the left half of any image, so both views agree once classes are swapped back
    once, twice = Predictor(Painter(halves))(photo()), Predictor(Painter(halves), tta=True)(photo())
    np.testing.assert_allclose(twice.probabilities, once.probabilities, atol=1e-6)


def test_tta_predicts_the_mirrored_photo():
    model = Painter(channels, taxonomy=FASSEG6)
    model.function = lambda photos: np.repeat(photos[:, :1], 6, axis=1)
    Predictor(model, tta=True)(photo())
    first, second = model.seen
    assert (second == first[..., ::-1]).all()


def test_with_tta_a_mirrored_photo_has_the_mirrored_mask():
    def lopsided(photos):
        ramp = np.linspace(0, 4, photos.shape[-1])
        return channels(photos) + ramp * np.array([0, 1, 0])[:, None, None]

    predictor = Predictor(Painter(lopsided), tta=True)
    one, other = predictor(photo(16, 16)), predictor(np.ascontiguousarray(photo(16, 16)[:, ::-1]))
    np.testing.assert_allclose(other.probabilities[[0, 2, 1], :, ::-1], one.probabilities, atol=1e-5)


def test_photos_of_any_sizes_are_one_batch():
    model = Painter(channels)
    several = [photo(20, 14, 0), photo(5, 40, 1), photo(1, 1, 2)]
    together = Predictor(model).many(several)
    assert [seen.shape for seen in model.seen] == [(3, 3, 8, 8)]
    for image, found in zip(several, together, strict=True):
        assert (found.index == Predictor(Painter(channels))(image).index).all()


def test_a_photo_may_be_a_file_a_pillow_image_or_an_array_of_any_mode():
    predictor, image, grey = Predictor(Painter(channels)), Image.fromarray(photo()), photo()[..., 0]
    image.save("me.png")
    for same in ("me.png", image, image.convert("RGBA"), np.dstack([photo(), np.full((20, 14), 255, np.uint8)])):
        assert (predictor(same).index == predictor(photo()).index).all()
    assert (predictor(grey).index == predictor(np.dstack([grey] * 3)).index).all()


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4, 3)), np.zeros((3, 5, 6), np.uint8), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4), np.uint8)],
)
def test_an_array_that_is_no_photo_is_refused(array):
    with pytest.raises(DataError, match=r"expected \(H, W, 3\)"):
        Predictor(Painter(channels))(array)


def test_models_with_different_classes_are_no_ensemble():
    strangers = [Painter(channels, taxonomy=FASSEG6, name=name) for name in ("b.ckpt", "c.ckpt")]
    with pytest.raises(ConfigError) as refused:
        Predictor(Painter(channels), *strangers)
    assert [problem.split(":")[0] for problem in refused.value.problems] == ["b.ckpt", "c.ckpt"]
    assert "left eye" in str(refused.value)


def test_a_folder_without_a_checkpoint_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match=r"checkpoints/last\.ckpt"):
        Predictor(tmp_path)
