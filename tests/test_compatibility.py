"""A run folder and its checkpoint written by commit 58ad497 (synthetic faces, in /data/faces) still work."""

import importlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import facesegl
from facesegl.commands.build import GIVEN
from facesegl.config.check import check
from facesegl.config.compose import Composed
from facesegl.config.identity import identity
from facesegl.config.instantiate import build
from facesegl.data.hashes import digest
from facesegl.learning.checkpoint import read_checkpoint
from facesegl.reporting.history import read_history
from helpers.calling import assert_reported, call
from helpers.trainings import SMALL_UNET

FIXTURE = Path(__file__).parent / "fixtures" / "run_58ad497"
RECORD = json.loads((FIXTURE / "result.json").read_text())
FACES = ["data=synthetic", "data.source.train=12", "data.source.test=5", "data.source.height=48"]

NAMES = {  # every public name of that commit that a card, a config or a script may hold
    "facesegl": "FaceDataModule FaceseglError Prediction Predictor Result SegmentationModule Taxonomy compose evaluate "
    "train",
    "facesegl.data": "SETS Augment Batch CachedBatch FaceCache FaceDataModule Row digest unpack_masks",
    "facesegl.labels": "VOID Colour Decoded Taxonomy are_known decode_layers decode_mask decode_numbers "
    "distinct_colours foreign_colour likeliest_parts likely_pairs mask_to_colours overlay_parts pack_onehot "
    "packed_depth restore_mask shrink_mask unpack_onehot",
    "facesegl.learning": "AveragedWeights LastCheckpoint SegmentationModule WholeCheckpointIO add_scores build_net "
    "one_cycle read_checkpoint",
    "facesegl.losses": "CrossEntropyDice",
    "facesegl.monitoring": "Charts PanelCallback TrainingProgress draw_panel draw_samples paint_errors",
    "facesegl.nets": "FCN SMP UNet check_size stride_of weights_follow",
    "facesegl.prediction": "Model Prediction Predictor open_model read_card",
    "facesegl.scores": "FEWEST LEVEL RESAMPLES Estimate PooledCounts Resampled Scores accuracy agreement "
    "boundary_counts boundary_f commonest_classes confusion_counts dice interval iou miou miou_per_photo "
    "resampled_scores summarise",
    "facesegl.sources": "CVAT FASSEG CelebAMaskHQ FolderFaces LabelStudio Sample Source Survey SyntheticFaces "
    "join_groups open_image open_photo orientation photo_of read_rgb resize_photo",
}


@pytest.fixture
def run(tmp_path):
    return Path(shutil.copytree(FIXTURE, tmp_path / "run"))


@pytest.mark.parametrize("module", NAMES)
def test_every_public_name_is_still_importable(module):
    here = importlib.import_module(module)
    assert [name for name in NAMES[module].split() if not hasattr(here, name)] == []


def test_its_files_hold_no_path_outside_its_folder():
    texts = [path.read_text() for path in FIXTURE.iterdir() if path.suffix in (".json", ".yaml", ".txt", ".csv")]
    assert RECORD["started_in"] == "/data/faces"
    assert not any(home in text for text in texts for home in ("/home/", "/root/", "/work/", "/tmp/"))


def test_info_shows_its_card(run):
    shown = call("info", run)
    assert (shown.code, shown.err) == (0, "")
    assert "facesegl.nets.UNet (channels=4, depth=3, num_classes=6)" in shown.out
    card = json.loads(call("info", run, "--json").out)
    assert card["parameters"] == RECORD["parameters"]
    assert card["scores"]["val"]["scores"]["miou"] == RECORD["scores"]["val"]["scores"]["miou"]


def test_evaluate_scores_it_on_the_faces_of_a_newer_renderer_and_says_that_they_differ(run, caplog):
    result = facesegl.evaluate(run, "set=val", "paths.data=data", "panels=0")
    assert result.data["other_data"] is True
    assert f"instead of synthetic ({RECORD['data']['fingerprint']})" in caplog.text
    assert 0 < result.scores["val"]["scores"]["miou"] < 1


def test_report_shows_its_scores_and_curves_and_says_that_its_faces_are_gone(run):
    assert "the synthetic faces that were scored are not on disk" in call("report", run, "paths.data=data").err
    page = (run / "report.html").read_text()
    assert f"{RECORD['scores']['val']['scores']['miou']:.3f}" in page
    assert "figures/loss.png" in page
    assert {len(read_history(run)[name].values) for name in ("train/loss", "val/iou/hair")} == {80}


def test_compare_reads_its_counts(run):
    shutil.copytree(run, "copy")
    shown = json.loads(call("compare", run, "copy", "--json").out)
    assert [model["scores"]["miou"] for model in shown["models"]] == [RECORD["scores"]["val"]["scores"]["miou"]] * 2
    assert shown["differences"][0]["verdict"] == "the same on every photo"


def test_its_command_has_its_identity():
    composed = Composed.of(RECORD["command"].split()[2:])
    faces = build(check(composed, given=GIVEN).data, augment=None)
    # the key of the cache of its faces, which the renderer of that commit drew
    described = [RECORD["data"]["fingerprint"], faces.taxonomy.to_mapping(), faces.image_size, faces.source.reading, 2]
    assert identity(composed.config, digest(described)) == RECORD["identity"]


def test_it_is_not_resumed_with_the_faces_of_a_newer_renderer(run):
    typed = RECORD["command"].split()[2:]
    assert_reported(
        call("train", *typed, f"resume={run}"), 2, "To start a new run from its weights use init=CHECKPOINT"
    )


def test_its_weights_start_a_new_run(run):
    ended = call("train", *SMALL_UNET, *FACES, "trainer.max_epochs=1", "logger=none", f"init={run}")
    assert ended.code == 0, ended.err
    weights = len(read_checkpoint(run / "checkpoints/last.ckpt")["state_dict"])
    assert f"loaded {weights} of {weights} tensors" in ended.err


def test_predictor_and_module_open_its_checkpoint(run):
    checkpoint = run / "checkpoints" / "last.ckpt"
    image = np.random.default_rng(0).integers(0, 255, (48, 40, 3), dtype=np.uint8)
    prediction = facesegl.Predictor(checkpoint, device="cpu")(image)
    assert prediction.index.shape == (48, 40)
    module = facesegl.SegmentationModule.load_from_checkpoint(checkpoint)
    assert module(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)).shape == (1, 6, 32, 32)
