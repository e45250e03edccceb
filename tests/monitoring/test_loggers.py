"""Every logger gets the config, the final scores, the panels and the confusion matrix."""

import csv
import json
import subprocess
import sys

import pytest
import yaml
from pytorch_lightning.loggers import Logger

from facesegl import cli
from helpers.calling import SMALL_UNET, assert_reported, call, train, train_in
from helpers.faces import CLASSES, write_faces
from helpers.trainings import Signal

SMALL = [*(item for item in SMALL_UNET if item != "callbacks.panels=null"), "callbacks.panels.every=1"]


class Own(Logger):
    """A logger of a user: records the calls of Lightning's public API; `refuses` raises."""

    calls: list = []
    name, version = "own", "1"

    def __init__(self, refuses=""):
        self.refuses = refuses

    def _record(self, method, *values):
        if method == self.refuses:
            raise RuntimeError("the service is gone")
        self.calls.append((method, *values))

    def log_hyperparams(self, params):
        self._record("log_hyperparams", params)

    def log_metrics(self, metrics, step=None):
        self._record("log_metrics", metrics)

    def log_image(self, key, images, step=None):
        self._record("log_image", key, images[0].size)


OWN = "{_target_: helpers.own_logger.Own}"
