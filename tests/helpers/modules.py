"""Small untrained modules, their cards and trainers."""

import pytest
import pytorch_lightning as pl
import torch

from facesegl.learning import SegmentationModule
from facesegl.losses import CrossEntropy
from facesegl.nets import UNet
from helpers.faces import FASSEG6

bare_trainer = pytest.mark.filterwarnings(  # what Lightning warns of when facesegl does not configure the trainer
    "ignore:.*does not have many workers.*", r"ignore:.*isinstance\(treespec, LeafSpec\).*"
)
NET = {"_target_": "facesegl.nets.UNet", "num_classes": 6, "channels": 2, "depth": 2}


def make_card(**changes):
    return {
        "format": 1,
        "net": dict(NET),
        "taxonomy": FASSEG6.to_mapping(),
        "normalisation": {"mean": [120.0, 110.0, 100.0], "std": [50.0, 40.0, 30.0]},
        "image_size": 16,
        "data": {"choice": "fasseg_v2", "name": "fasseg_v2", "fingerprint": "0" * 12, "values": {}},
        "config": "seed: 0\n",
        "versions": {"facesegl": "0.1.0"},
        **changes,
    }


def make_net(channels=2, depth=2, seed=0):
    torch.manual_seed(seed)
    return UNet(num_classes=6, channels=channels, depth=depth)


def make_module(net=None, loss=None, lr=1e-2, schedule=None, optimizer=torch.optim.Adam, **card):
    return SegmentationModule(
        net or make_net(),
        loss or CrossEntropy(class_weights=False),
        lambda weights: optimizer(weights, lr=lr),
        schedule,
        card=make_card(**card),
    )


def make_trainer(epochs, callbacks=(), validate=True, **changes):
    silent = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "log_every_n_steps": 1}
    given = {
        **{"accelerator": "cpu", "max_epochs": epochs, "callbacks": list(callbacks), "use_distributed_sampler": False},
        **{"enable_checkpointing": False, "num_sanity_val_steps": 0, "limit_val_batches": 1.0 if validate else 0},
    }
    return pl.Trainer(**{**silent, **given, **changes})


class Watching(pl.LightningModule):
    """Trains nothing and records its batches."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen, self.validated = [], []

    def training_step(self, batch, number):
        self.seen.append(batch)
        return self.weight * 1.0

    def validation_step(self, batch, number):
        self.validated.append(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)
