import os
import subprocess
import sys
from pathlib import Path

import pytest


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
