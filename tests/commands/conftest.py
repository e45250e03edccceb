import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_lightning as pl

SMALL = [
    "data.image_size=16",
    "data.batch_size=2",
    "trainer=cpu",
    "trainer.max_epochs=3",
    "callbacks.checkpoint.every_s=0",
    "callbacks.panels=null",
]
SMALL_UNET = [*SMALL, "model.channels=4", "model.depth=3"]


class Signal(pl.Callback):
    """Sends this process a signal after a step, once; `marker` remembers that it did."""

    def __init__(self, after_step: int, signum: int, marker: str) -> None:
        self.after_step, self.signum, self.marker = after_step, signum, Path(marker)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.after_step and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), self.signum)


def disturbed(after_step, signum=signal.SIGKILL):
    return [
        "+callbacks.disturb._target_=commands.conftest.Signal",
        f"+callbacks.disturb.after_step={after_step}",
        f"+callbacks.disturb.signum={int(signum)}",
        "+callbacks.disturb.marker=disturbed",
    ]


@pytest.fixture
def facesegl(tmp_path):
    """The command, run in a process of its own in this test's folder."""

    def run(*arguments, timeout=120, **environment):
        return subprocess.run(
            [sys.executable, "-W", "error::UserWarning:facesegl", "-m", "facesegl", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1", **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run
